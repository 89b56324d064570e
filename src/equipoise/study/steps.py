"""The steps of a study's plan, in the order in which they run."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, isqrt, sqrt
from typing import Final

from equipoise.analyses.contributions import columns as contributions
from equipoise.analyses.strata import most_strata
from equipoise.plan import Literal, Parameter, Ref, Step
from equipoise.solvers.distributions import normal_quantile
from equipoise.study.budgeted import Spending
from equipoise.study.records import Study

MINOR_ALLELES: Final = 10
"""Variants with fewer minor alleles over all sites are withheld from what follows."""

LEAST_FREQUENCY: Final = 0.01
"""So are those of which fewer would be seen than with this frequency in everybody."""

CALL_RATE: Final = 95
"""So are variants that are called in fewer people, per cent."""

PRUNE_FREQUENCY: Final = 0.05
PRUNE_R2: Final = 0.1
FOUND: Final = 2.0**-7
"""The sine of the angle within which a component counts as found."""

LEAST_STRATUM: Final = 20
STRATA_ROUNDS: Final = 8
LEAST_CASES: Final = 10
"""An audit calls a group with fewer cases, or fewer others, not estimable."""

GENOME_WIDE: Final = 5e-8
PENALTIES: Final = (0.4, 0.1, 0.3, 0.1, 0.2, 0.1, 0.1, 0.1, 0.3, 1.0, 0.1, 1.0)
"""l1 and l2 of each elastic net that is tried, on correlations; the sparsest first."""

LOCI: Final = 24
NEWTON: Final = 12
"""Rounds of Newton's method: from even odds, four or five reach a prevalence of 1 in 100."""

PEOPLE_PER_BIN: Final = 10
TABLES: Final = 10
"""Merged bins of a calibration table."""

RECALIBRATION: Final = 8
SPAN: Final = 8.0
"""Bins of scores run over log odds between minus and plus this."""

_BOUND: Final = 1024.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the form of the steps depends on besides the study file.

    windows  where windows of the list begin, and its end
    tiles    the tile of each window
    pruning  where the wider windows of pruning begin, and the end
    """

    people: int
    folds: int
    n_variants: int
    windows: tuple[int, ...]
    tiles: tuple[int, ...]
    pruning: tuple[int, ...]
    k: int
    least: int
    spending: Spending


def least_alleles(people: int) -> int:
    """Return the least minor alleles of a variant that is used, in so many people.

    >>> least_alleles(315), least_alleles(10_000)
    (10, 200)
    """
    return max(MINOR_ALLELES, ceil(2 * people * LEAST_FREQUENCY))


def component_names(components: int) -> tuple[str, ...]:
    """Return the names of the derived columns of components.

    >>> component_names(2)
    ('PC1', 'PC2')
    """
    return tuple(f"PC{i + 1}" for i in range(components))


def steps(study: Study, sizes: Sizes) -> tuple[Step, ...]:
    """Return every step of a study; under noise it counts and scans, and no more."""
    if not study.trains:
        return (*_counts(study, sizes), _scan(study, sizes))
    return (
        *_counts(study, sizes),
        *_ancestry(study, sizes),
        *_association(study, sizes),
        *_model(study, sizes),
        *_judgement(study, sizes),
    )


def _counts(study: Study, sizes: Sizes) -> tuple[Step, ...]:
    people = sizes.people
    census: dict[str, Literal] = {
        "people": people,
        "folds": sizes.folds,
        "least": sizes.least,
        "k": sizes.k,
        "trait": study.trait.name,
    }
    frequency: dict[str, Literal] = {
        "people": people,
        "n_variants": sizes.n_variants,
        "floor": least_alleles(people),
        "least_called": -(-people * CALL_RATE // 100),
    }
    return Step("census", "census", census), Step("frequency", "frequency", frequency)


def _ancestry(study: Study, sizes: Sizes) -> tuple[Step, ...]:
    """Return pruning, components, strata and the map; nothing where none are asked for."""
    k, spending = study.covariates.components, sizes.spending
    if not k:
        return ()
    pruning: dict[str, Parameter] = {
        "people": sizes.people,
        "n_variants": sizes.n_variants,
        "windows": sizes.pruning,
        "columns": spending.pruned,
        "least_frequency": PRUNE_FREQUENCY,
        "r2": PRUNE_R2,
        "frequencies": Ref("frequency"),
    }
    size = (len(sizes.pruning) - 1) * spending.pruned
    rounds = min(spending.rounds, size // spending.width)
    components: dict[str, Parameter] = {
        "people": sizes.people,
        "n_variants": sizes.n_variants,
        "k": k,
        "width": spending.width,
        "rounds": rounds,
        "size": size,
        "tolerance": FOUND,
        "least_frequency": PRUNE_FREQUENCY,
        "seed": study.seed,
        "frequencies": Ref("frequency"),
        "pruned": Ref("pruning"),
    }
    names = component_names(k)
    strata: dict[str, Parameter] = {
        "people": sizes.people,
        "components": names,
        "trait": study.trait.name,
        "least": LEAST_STRATUM,
        "rounds": STRATA_ROUNDS,
    }
    area: dict[str, Parameter] = {
        "people": sizes.people,
        "bins": max(2, isqrt(sizes.people // PEOPLE_PER_BIN)),
        "components": names[:2],
        "k": sizes.k,
        "least": sizes.least,
    }
    asked = 1 if spending.pruned > 1 else 0
    return (
        Step("pruning", "pruning", pruning, asked),
        Step("components", "components", components, rounds, names),
        Step("strata", "strata", strata, STRATA_ROUNDS, ("stratum",)),
        Step("ancestry", "ancestry_map", area, figures=True),
    )


def _terms(study: Study, sizes: Sizes) -> dict[str, Literal]:
    """Return the covariates: columns of the phenotypes, then components, and their bounds.

    Components have standard deviation 1 over everybody, so none is beyond sqrt(people);
    a hundredth more is for rounding.
    """
    columns, names = study.covariates.columns, component_names(study.covariates.components)
    bounds = (*_bounds(study), *[1.01 * sqrt(sizes.people)] * len(names))
    return {"covariates": (*columns, *names), "bounds": bounds}


def _bounds(study: Study) -> tuple[float, ...]:
    """Return the most that each covariate of the phenotypes may be, in absolute value."""
    columns, groups = study.covariates.columns, study.audit.groups if study.audit else ()
    two_valued = {name for name in columns if name.casefold() == "sex" or name in groups}
    return tuple(1.0 if name in two_valued else _BOUND for name in columns)


def _scan(study: Study, sizes: Sizes) -> Step:
    """Return the scan of everybody at once: sums by fold would only have more noise."""
    scan: dict[str, Parameter] = {
        "people": sizes.people,
        "n_variants": sizes.n_variants,
        "traits": (study.trait.name,),
        "covariates": study.covariates.columns,
        "bounds": (*_bounds(study), 1.0),
        "frequencies": Ref("frequency"),
    }
    return Step("association", "scan", scan)


def _association(study: Study, sizes: Sizes) -> tuple[Step, ...]:
    k = study.covariates.components
    common: Mapping[str, Parameter] = {
        "people": sizes.people,
        "n_variants": sizes.n_variants,
        "trait": study.trait.name,
        "frequencies": Ref("frequency"),
    }
    quality: dict[str, Parameter] = {
        **common,
        "strata": most_strata(k) if k else 1,
        "stratum": "stratum" if k else "",
        "least": LEAST_STRATUM,
    }
    scan: dict[str, Parameter] = {
        **common,
        **_terms(study, sizes),
        "folds": sizes.folds,
        "background": component_names(k),
    }
    return Step("quality", "hardy", quality), Step("association", "linear", scan)


def _model(study: Study, sizes: Sizes) -> tuple[Step, ...]:
    terms, trait, frequencies = _terms(study, sizes), study.trait.name, Ref("frequency")
    common: Mapping[str, Parameter] = {
        "people": sizes.people,
        "folds": sizes.folds,
        "trait": trait,
        "frequencies": frequencies,
    }
    nets: dict[str, Parameter] = {
        **common,
        **terms,
        "windows": sizes.windows,
        "columns": sizes.spending.candidates,
        "counted": sizes.spending.counted,
        "threshold": round(normal_quantile(GENOME_WIDE / 2), 6),
        "penalties": PENALTIES,
        "background": component_names(study.covariates.components),
        "census": Ref("census"),
        "quality": Ref("quality"),
        "association": Ref("association"),
    }
    tuning: dict[str, Parameter] = {
        **common,
        "covariates": terms["covariates"],
        "penalties": len(PENALTIES) // 2,
        "nets": Ref("model"),
    }
    calibration: dict[str, Parameter] = {
        **common,
        "rounds": NEWTON,
        "covariates": terms["covariates"],
        "background": component_names(study.covariates.components),
        "tiles": sizes.tiles,
        "loci": LOCI,
        "nets": Ref("model"),
        "tuned": Ref("tuning"),
    }
    kept = ("score", "logit", "probability", "predicted", *contributions(LOCI))
    return (
        Step("model", "elastic_net", nets, keeps=("single",)),
        Step("tuning", "tuning", tuning),
        Step("calibration", "calibration", calibration, NEWTON, kept),
    )


def _judgement(study: Study, sizes: Sizes) -> tuple[Step, ...]:
    groups = study.audit.groups if study.audit else ()
    bins = max(2, sizes.people // (2 * PEOPLE_PER_BIN))
    common: Mapping[str, Parameter] = {
        "people": sizes.people,
        "k": sizes.k,
        "trait": study.trait.name,
    }
    performance: dict[str, Parameter] = {
        **common,
        "bins": bins,
        "floor": LEAST_CASES,
        "rank": "score",
        "score": "logit",
        "groups": groups,
        "span": SPAN,
    }
    single = {
        **performance,
        "score": "single",
        "rank": "",
        "calibrated": False,
        "groups": (),
        "span": 1.0,
    }
    recalibration: dict[str, Parameter] = {
        **common,
        "floor": LEAST_CASES,
        "rank": "score",
        "score": "logit",
        "groups": groups,
        "span": SPAN,
        "tables": TABLES,
        "rounds": RECALIBRATION,
        "performance": Ref("performance"),
    }
    relevance: dict[str, Parameter] = {
        "people": sizes.people,
        "k": sizes.k,
        "loci": LOCI,
        "tiles": sizes.tiles,
        "nets": Ref("model"),
    }
    return (
        Step("performance", "performance", performance, 3, figures=True),
        Step("single", "performance", single, 3, figures=True),
        Step("recalibration", "recalibration", recalibration, RECALIBRATION, figures=True),
        Step("relevance", "relevance", relevance, 2),
    )
