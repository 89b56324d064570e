"""From a study file to a plan: a pure function, so that every party gets the same plan."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import equipoise
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.federation import agreement, registry
from equipoise.genotypes.variants import Variants
from equipoise.plan import VERSION, Member, Plan
from equipoise.protections import kinds
from equipoise.study.budgeted import spend
from equipoise.study.records import Study
from equipoise.study.steps import Sizes, steps

K: Final = 5
"""No published count from 1 to K - 1, no metric on fewer events or non-events."""

ROSTER_K: Final = 10
"""Rosters are equal or differ by so many people; no site or fold has fewer."""

WINDOW: Final = 100_000
"""Base pairs of a window within which variants are modelled together."""

PRUNING_WINDOW: Final = 1_000_000
"""Of a window of pruning: wider than linkage disequilibrium mostly reaches."""

_FAR: Final = 1_000_000
"""Tiles of one chromosome are nearer to each other than this, those of two never."""


def compile_plan(
    study: Study,
    variants: Variants,
    members: tuple[Member, ...],
    keeper: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan of a study for the people that its sites announced.

    `keeper` is what the plan says of the key keeper, where there is one (`agreement.keeper`).

    DisclosureError where its components of ancestry go beyond the column budget, or where
    that is since too few sites take part for its protection. InputError where the protection
    takes a library that is not to be had here.
    """
    validation = study.validation
    training = [member for member in members if not member.external]
    folds = len(training) if validation.hold_out_each_site else validation.folds
    starts, tiles = windows(variants, WINDOW)
    if study.protection.kind in agreement.HOMOMORPHIC:
        kinds.protection(study.protection.kind).check(len(training))
    try:
        spending = spend(members, folds, validation.fold_by, study.covariates.components)
    except DisclosureError:
        # Where the protection would protect nobody, that is what to say first.
        kinds.protection(study.protection.kind).check(len(training))
        raise
    sizes = Sizes(
        people=sum(member.people for member in training),
        folds=folds,
        n_variants=variants.n_variants,
        windows=starts,
        tiles=tiles,
        pruning=windows(variants, PRUNING_WINDOW)[0],
        k=K,
        least=ROSTER_K,
        spending=spending,
    )
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
        steps=steps(study, sizes),
        fold_by=validation.fold_by,
        lost_site=study.protection.lost_site,
        privacy=study.protection.privacy,
        keeper=keeper,
    )


def check_follows(study: Study, variants: Variants, plan: Plan) -> None:
    """Raise ProtocolError unless a plan is what the study file comes to for its members."""
    if compile_plan(study, variants, plan.members, plan.keeper).digest() != plan.digest():
        raise ProtocolError("the plan is not the one that follows from the study file")


def public_study(study: Study) -> dict[str, Any]:
    """Return what a plan says of its study: all that is public, and its id."""
    return {**study.public(), "id": study.id}


def windows(variants: Variants, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where windows of so many base pairs begin in the list, and its end.

    They tile it, disjoint. And the tile of each window: on one chromosome, windows side by side differ by 1.
    """
    chromosome: NDArray[Any] = variants.chromosome
    tile = variants.position // width
    new = (chromosome[1:] != chromosome[:-1]) | (tile[1:] != tile[:-1])
    starts = np.concatenate([[0], np.flatnonzero(new) + 1])
    number = np.cumsum(chromosome[starts][1:] != chromosome[starts][:-1], dtype=np.int64)
    tiles = tile[starts] + np.concatenate([[0], number]) * _FAR
    return (*starts.tolist(), variants.n_variants), tuple(tiles.tolist())
