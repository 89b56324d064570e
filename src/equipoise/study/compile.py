"""From a study file to a plan: a pure function, so that every party gets the same plan."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import equipoise
from equipoise.federation import registry
from equipoise.federation.budget import allowed_columns, people_outside
from equipoise.genotypes.variants import Variants
from equipoise.plan import VERSION, Literal, Member, Plan, Ref, Step
from equipoise.solvers.distributions import normal_quantile
from equipoise.study.records import Study

K = 5
"""No published count from 1 to K - 1, no metric on fewer events or non-events."""

ROSTER_K = 10
"""Rosters are equal or differ by so many people; no site or fold has fewer."""

MINOR_ALLELES = 10
"""Variants with fewer minor alleles over all sites are withheld from what follows."""

WINDOW = 100_000
"""Base pairs of a window within which candidates are clumped and weighted together."""

MOST_COLUMNS = 16
GENOME_WIDE = 5e-8
CLUMP_R2 = 0.5
RIDGE = 1.0
PEOPLE_PER_BIN = 10

_BOUNDS = {"sex": 1.0}
_BOUND = 1024.0


def compile_plan(study: Study, variants: Variants, members: tuple[Member, ...]) -> Plan:
    """Return the plan of a study for the people that its sites announced."""
    people = sum(member.people for member in members)
    folds = study.validation.folds
    return Plan(
        version=VERSION,
        package=equipoise.__version__,
        sources=registry.sources(),
        study=public_study(study),
        variants=variants.digest().hex(),
        n_variants=variants.n_variants,
        members=members,
        protection=study.protection.kind,
        seed=study.seed,
        folds=folds,
        k=K,
        roster_k=ROSTER_K,
        steps=_steps(study, variants, people, people_outside(members)),
    )


def _steps(study: Study, variants: Variants, people: int, outside: int) -> tuple[Step, ...]:
    folds, n = study.validation.folds, variants.n_variants
    covariates = study.covariates.columns
    sizes: dict[str, Literal] = {"people": people, "folds": folds}
    terms: dict[str, Literal] = {
        "covariates": covariates,
        "bounds": tuple(_BOUNDS.get(name, _BOUND) for name in covariates),
    }
    frequencies = Ref("frequency")
    return (
        Step("census", "census", {**sizes, "least": ROSTER_K, "k": K, "trait": study.trait.name}),
        Step(
            "frequency",
            "frequency",
            {"people": people, "n_variants": n, "floor": MINOR_ALLELES},
        ),
        Step(
            "association",
            "linear",
            {
                **sizes,
                **terms,
                "n_variants": n,
                "trait": study.trait.name,
                "frequencies": frequencies,
            },
        ),
        Step(
            "score",
            "clumping",
            {
                **sizes,
                **terms,
                "windows": windows(variants),
                "columns": min(MOST_COLUMNS, allowed_columns(outside // folds)),
                "outside": outside / people,
                "threshold": normal_quantile(GENOME_WIDE / 2),
                "r2": CLUMP_R2,
                "ridge": RIDGE,
                "census": Ref("census"),
                "frequencies": frequencies,
                "association": Ref("association"),
            },
            keeps=("score",),
        ),
        Step(
            "discrimination",
            "discrimination",
            {
                "people": people,
                "bins": max(2, people // PEOPLE_PER_BIN),
                "k": K,
                "trait": study.trait.name,
                "score": "score",
                "frequencies": frequencies,
                "weights": Ref("score"),
            },
            figures=True,
        ),
    )


def public_study(study: Study) -> dict[str, Any]:
    """Return what a plan says of its study: all that is public, and its id."""
    return {**study.public(), "id": study.id}


def windows(variants: Variants) -> tuple[int, ...]:
    """Return where windows begin in the list, and its end: they tile it, disjoint."""
    chromosome: NDArray[Any] = variants.chromosome
    tile = variants.position // WINDOW
    new = (chromosome[1:] != chromosome[:-1]) | (tile[1:] != tile[:-1])
    starts = np.flatnonzero(new) + 1
    return (0, *starts.tolist(), variants.n_variants)
