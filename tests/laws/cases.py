"""For each analysis of the package: how a study asks for it, and how near results must be.

A new analysis gets a `Case` here. `tolerance` names the fields of its result that may
differ between a pooled and a split run, and by how much; all other fields must be equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import reject

from equipoise.analyses.contributions import columns as contributions
from equipoise.analysis import Analysis
from equipoise.cohort import Columns
from equipoise.errors import InputError
from equipoise.federation import registry
from equipoise.plan import Parameter, Ref, Step
from equipoise.solvers.risk_stages import most_first
from laws import harness, law
from strategies import BOUNDS, COVARIATES, FOLDS, Rows

ROUNDS = 16
"""More than any analysis of the suite asks."""

AXES = ("PC1", "PC2", "PC3")


@dataclass(frozen=True)
class Case:
    """parameters  of the step, for a study of these rows; `Ref`s name other cases.

    columns   derived by steps that have no case here, which the analysis reads
    refuses   people in whom nothing varies, which some drawn ones are: the laws pass them over
    rounding  of a sum, beside its largest term, where columns are rounded before they are summed
    """

    parameters: Callable[[Rows], Mapping[str, Parameter]]
    tolerance: Mapping[str, float] = field(default_factory=dict[str, float])
    reason: str = "whole numbers, or plain arithmetic on whole numbers"
    columns: Callable[[Rows], Columns] = lambda rows: {}
    rounding: float = law.ROUNDING
    refuses: bool = False


def _sizes(rows: Rows) -> dict[str, Parameter]:
    return {"people": rows.n, "folds": FOLDS}


def _census(rows: Rows) -> Mapping[str, Parameter]:
    return {**_sizes(rows), "least": 0, "k": 0, "trait": "trait"}


def _frequency(rows: Rows) -> Mapping[str, Parameter]:
    # Blocks that do not divide the variants; a floor that withholds some rare ones, and a call
    # rate that few variants miss even where three calls in ten are missing.
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "floor": 3,
        "least_called": least_called(rows),
        "block_size": 5,
    }


def least_called(rows: Rows) -> int:
    """Return how many people must have a call: half of them, rounded up."""
    return -(-rows.n // 2)


def _linear(rows: Rows) -> Mapping[str, Parameter]:
    return {
        **_sizes(rows),
        "n_variants": rows.n_variants,
        "trait": "trait",
        "covariates": COVARIATES,
        "bounds": BOUNDS,
        "frequencies": Ref("frequency"),
        "block_size": 5,
    }


def _scan(rows: Rows) -> Mapping[str, Parameter]:
    # A value beyond its bound is refused; laws make values up to three times as large.
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "traits": ("trait",),
        "covariates": COVARIATES,
        "bounds": (*(4 * bound for bound in BOUNDS), 4.0),
        "frequencies": Ref("frequency"),
        "block_size": 5,
    }


def _moments(rows: Rows) -> Mapping[str, Parameter]:
    # One stratum's linkage is borrowed; two blocks, so that they do not divide the variants.
    return {
        **_sizes(rows),
        "starts": (0, (rows.n_variants + 1) // 2, rows.n_variants),
        "trait": "trait",
        "covariates": COVARIATES,
        "bounds": (*(4 * bound for bound in BOUNDS), 4.0),
        "counted": (60, 60, 10),
        "frequencies": Ref("frequency"),
        "stratum": "stratum",
        "borrowed": (2,),
    }


# A trait that is no yes and no: it varies in however few people.
_RISK_COLUMNS: Mapping[str, Parameter] = {
    "trait": "age",
    "covariates": ("sex",),
    "bounds": (16.0, 16.0),
    "stratum": "half",
}


def _risk_moments(rows: Rows) -> Mapping[str, Parameter]:
    # One part of four trains; linkage of its own in every stratum.
    own = {k: v for k, v in _moments(rows).items() if k != "borrowed"}
    return {
        **own,
        "folds": 1,
        "part": "part",
        "training": 3,
        "counted": (60, 60),
        **_RISK_COLUMNS,
    }


def _risk_fit(rows: Rows) -> dict[str, Parameter]:
    del rows
    return {"linkage": Ref("risk_moments.held"), "frequencies": Ref("frequency")}


def _score_sums(rows: Rows) -> Mapping[str, Parameter]:
    return {
        "people": rows.n,
        "strata": 2,
        "candidates": most_first(2),
        "part": "part",
        "tuning": 3,
        "trait": "age",
        "covariates": ("sex",),
        "bounds": BOUNDS[:1],
        "frequencies": Ref("frequency"),
        "weights": Ref("risk_singles"),
        "columns": Ref("risk_moments"),
        "stratum": "half",
        "full": False,  # all products of so many scores take long; `tests/analyses` has them
    }


def _risk_joint(rows: Rows) -> Mapping[str, Parameter]:
    return {**_risk_fit(rows), "fits": Ref("risk_singles.held"), "totals": Ref("score_sums")}


def _risk_stack(rows: Rows) -> Mapping[str, Parameter]:
    # Sums of other scores than those of the stack: of the same form, which is all a law sees.
    del rows
    return {
        "candidates": Ref("risk_joint"),
        "joint": Ref("risk_joint.held"),
        "totals": Ref("score_sums"),
        "frequencies": Ref("frequency"),
        "name": "risk",
        "stratum": "half",
    }


def _residual_sums(rows: Rows) -> Mapping[str, Parameter]:
    return {
        "people": rows.n,
        "strata": 2,
        "n_variants": rows.n_variants,
        "part": "part",
        "training": 3,
        "trait": "age",
        "score": "score",
        "covariates": ("sex",),
        "bounds": (16.0,),
        "frequencies": Ref("frequency"),
        "columns": Ref("risk_moments"),
        "stratum": "half",
    }


def _risk_refined(rows: Rows) -> Mapping[str, Parameter]:
    del rows
    return {
        "linkage": Ref("risk_moments.held"),
        "columns": Ref("risk_moments"),
        "weights": Ref("risk_stack"),
        "residuals": Ref("residual_sums"),
    }


def _risk_methods(rows: Rows) -> Mapping[str, Parameter]:
    del rows
    return {
        "fits": Ref("risk_singles.held"),
        "joint": Ref("risk_joint.held"),
        "totals": Ref("score_sums"),
        "once": Ref("risk_stack"),
        "ended": Ref("risk_stack"),
        "frequencies": Ref("frequency"),
        "people": Ref("risk_moments"),
    }


def _ld_blocks(rows: Rows) -> Mapping[str, Parameter]:
    # Two chromosomes, the second of one variant; blocks of fewer variants than a window reaches.
    return {
        "people": rows.n,
        "segments": (0, rows.n_variants - 1, rows.n_variants),
        "window": 3,
        "most": 2,
        "counted": (60, 60, 60),
        "frequencies": Ref("frequency"),
        "stratum": "stratum",
        "least_r2": 0.0537,  # no ratio of small whole numbers, so that no tie is on the limit
    }


PENALTIES = (0.3013, 0.2, 0.1013, 1.0)


def _elastic_net(rows: Rows) -> Mapping[str, Parameter]:
    return {
        **_sizes(rows),
        "trait": "trait",
        "windows": (0, (rows.n_variants + 1) // 2, rows.n_variants),
        "columns": 4,
        "counted": 1.0,
        "threshold": 1.0137,  # no t of small whole numbers, so that no tie is on the limit
        "penalties": PENALTIES,
        "covariates": COVARIATES,
        "bounds": BOUNDS,
        "background": COVARIATES[1:],
        "census": Ref("census"),
        "frequencies": Ref("frequency"),
        "quality": Ref("hardy"),
        "association": Ref("linear"),
    }


def _scored(rows: Rows) -> dict[str, Parameter]:
    refs: dict[str, Parameter] = {"frequencies": Ref("frequency"), "nets": Ref("elastic_net")}
    return {**_sizes(rows), "trait": "trait", "covariates": COVARIATES, **refs}


def _tuning(rows: Rows) -> Mapping[str, Parameter]:
    return {**_scored(rows), "penalties": len(PENALTIES) // 2}


def _calibration(rows: Rows) -> Mapping[str, Parameter]:
    explained: dict[str, Parameter] = {"background": COVARIATES[1:], "tiles": (1, 9), "loci": 2}
    return {**_scored(rows), **explained, "rounds": 12, "tuned": Ref("tuning")}


def _relevance(rows: Rows) -> Mapping[str, Parameter]:
    sizes: dict[str, Parameter] = {"people": rows.n, "k": 5, "loci": 2, "tiles": (1, 9)}
    return {**sizes, "nets": Ref("elastic_net")}


def explained(rows: Rows) -> Columns:
    """Return a guess of who has the trait, and what it is made of."""
    draw = np.random.default_rng(rows.n)
    parts = {name: draw.normal(size=rows.n) for name in contributions(2)}
    return {"predicted": (rows.columns["score"] > 0).astype(np.float64), **parts}


def _audited(rows: Rows) -> dict[str, Parameter]:
    # A floor that some drawn cohorts miss in one sex: then no sums are asked by sex.
    sizes: dict[str, Parameter] = {"people": rows.n, "k": 2, "floor": 4}
    return {
        **sizes,
        "trait": "trait",
        "score": "score",
        "groups": ("sex",),
        "rank": "age",
        "span": 3.0,
    }


def _performance(rows: Rows) -> Mapping[str, Parameter]:
    return {**_audited(rows), "bins": 6}


def _recalibration(rows: Rows) -> Mapping[str, Parameter]:
    return {**_audited(rows), "tables": 3, "performance": Ref("performance")}


def _absolute_risk(rows: Rows) -> Mapping[str, Parameter]:
    # Groups of which some are fitted whole, some by an intercept, and some not at all.
    return {
        "people": rows.n,
        "trait": "trait",
        "score": "score",
        "covariates": ("age",),
        "bounds": (4.0, 4.0, 1.0),
        "group": "stratum",
        "groups": 3,
        "k": 2,
        "refit": 7,
    }


def _score_adjustment(rows: Rows) -> Mapping[str, Parameter]:
    # A threshold at the mean, so that groups of some ten people are shown.
    return {
        "people": rows.n,
        "trait": "trait",
        "score": "score",
        "components": AXES[:2],
        "bounds": (4.0, 4.0),
        "group": "stratum",
        "groups": 3,
        "k": 3,
        "high": 0.0137,  # no value of a drawn score, so that no tie is on the limit
    }


def _pruning(rows: Rows) -> Mapping[str, Parameter]:
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "windows": (0, (rows.n_variants + 1) // 2, rows.n_variants),
        "columns": 3,
        "frequencies": Ref("frequency"),
        "r2": 0.2137,  # no ratio of small whole numbers, so that no tie is on the limit
    }


def _components(rows: Rows) -> Mapping[str, Parameter]:
    # One round in as many columns as there are dimensions: all that can be known.
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "k": 2,
        "width": 6,
        "rounds": 1,
        "size": 6,
        "frequencies": Ref("frequency"),
        "pruned": Ref("pruning"),
        "seed": 5,
    }


def _strata(rows: Rows) -> Mapping[str, Parameter]:
    sizes: dict[str, Parameter] = {"people": rows.n, "trait": "trait", "components": AXES}
    return {**sizes, "least": 4, "rounds": 8}


def _hardy(rows: Rows) -> Mapping[str, Parameter]:
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "strata": 3,
        "trait": "trait",
        "stratum": "stratum",
        "frequencies": Ref("frequency"),
        "least": 6,
        "block_size": 5,
    }


def _ancestry_map(rows: Rows) -> Mapping[str, Parameter]:
    return {"people": rows.n, "bins": 5, "components": AXES[:2], "k": 2, "least": 10}


def _gene_network(rows: Rows) -> Mapping[str, Parameter]:
    # Two genes that share a variant; some parts have nobody.
    middle = (rows.n_variants + 1) // 2
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "rounds": 10,
        "starts": (0, middle - 1),
        "stops": (middle, rows.n_variants),
        **dict.fromkeys(("width", "attention", "hidden"), 4),
        **{name: name for name in ("trait", "score", "part", "weight")},
        "covariates": COVARIATES,
        "bounds": (*BOUNDS, 1.0),
        "seed": 5,
        "frequencies": Ref("frequency"),
        "clip": 1.0,
        "group": "stratum",
        "groups": 3,
        "least": 0,
    }


def training(rows: Rows) -> Columns:
    """Return what each person is for, a weight, and one of three strata."""
    draw = np.random.default_rng(rows.n)
    part = draw.permutation(np.arange(rows.n) % 5) - 2.0
    weight = draw.uniform(0.5, 2.0, rows.n)
    return {"part": np.maximum(part, 0.0), "weight": weight, **strata(rows)}


def ancestry(rows: Rows) -> Columns:
    """Return components of two groups of people; the third is one that is not kept."""
    draw = np.random.default_rng(rows.n)
    first = 2.0 * draw.integers(0, 2, rows.n) - 1 + 0.4 * draw.normal(size=rows.n)
    second, third = 1.5 * draw.normal(size=rows.n), np.zeros(rows.n)
    return dict(zip(AXES, (first, second, third), strict=True))


def strata(rows: Rows) -> Columns:
    """Return one of three strata for each person."""
    draw = np.random.default_rng(rows.n)
    return {"stratum": draw.integers(0, 3, rows.n).astype(np.float64)}


def placed(rows: Rows) -> Columns:
    """Return strata and components."""
    return {**strata(rows), **ancestry(rows)}


def _risk_parts(rows: Rows) -> Mapping[str, Parameter]:
    del rows
    return {"tuning": 1, "test": 1, "name": "risk_part"}


def parted(rows: Rows) -> Columns:
    """Return one of two strata, and what people are for: three parts tune, half of them train."""
    place = np.random.default_rng(rows.n).permutation(rows.n)
    part, half = np.minimum(place % 6, 3), place // 6 % 2
    return {"part": part.astype(np.float64), "half": half.astype(np.float64)}


_RISK_FITS = {
    "risk_parts": _risk_parts,
    "risk_singles": _risk_fit,
    "risk_joint": _risk_joint,
    "risk_stack": _risk_stack,
    "risk_refined": _risk_refined,
    "risk_methods": _risk_methods,
}

CASES: Mapping[str, Case] = {
    "census": Case(_census),
    "frequency": Case(_frequency),
    "linear": Case(
        _linear,
        dict.fromkeys(("score", "variance", "residual"), 1.5 * 2.0**-20),
        "quanta are below 2^-28 here, so the two lie on one or on neighbouring points of the grid",
    ),
    "scan": Case(
        _scan,
        dict.fromkeys(("cc", "cy", "yy", "cg", "gy", "gg"), 2.0**-22),
        "quanta are below 2^-25 here, and each site rounds to the nearest",
        rounding=2.0**-19,  # columns lie on a grid of 2^-26; a third difference weighs it by 8
    ),
    "moments": Case(
        _moments,
        dict.fromkeys(("people", "cc", "cy", "yy", "gc", "gy", "squares", "gg"), 2.0**-22),
        "quanta are below 2^-25 here, and each site rounds to the nearest",
        columns=strata,
        rounding=2.0**-19,  # as in `scan`
    ),
    "risk_moments": Case(
        _risk_moments,
        dict.fromkeys(("people", "cc", "cy", "yy"), 2.0**-22),
        "as in moments",
        columns=parted,
        rounding=2.0**-19,
        refuses=True,
    ),
    "score_sums": Case(
        _score_sums,
        dict.fromkeys(("people", "square", "gram", "trait"), 2.0**-16),
        "quanta are below 2^-20 here, and each site rounds to the nearest",
        columns=parted,
        rounding=2.0**-16,
    ),
    "residual_sums": Case(
        _residual_sums,
        dict.fromkeys(("covariates", "genotypes"), 2.0**-20),
        "as in moments",
        columns=parted,
        rounding=2.0**-16,
    ),
    **{name: Case(asked, columns=parted, refuses=True) for name, asked in _RISK_FITS.items()},
    "ld_blocks": Case(
        _ld_blocks,
        dict.fromkeys(("cut", "within"), 0.04),
        "squared correlations lie on one or on neighbouring points of a grid of 2^-10; 33 pairs",
        columns=strata,
    ),
    "elastic_net": Case(
        _elastic_net,
        {
            **dict.fromkeys(("weights", "effect"), 2.0**-14),
            **dict.fromkeys(("background", "covariates", "means"), 2.0**-16),
        },
        "sums may differ by a step of 2^-20, which a penalty of .2 and a variance of 2^-10 at least"
        " let a weight follow",
    ),
    "tuning": Case(
        _tuning,
        dict.fromkeys(("weights", "r2", "scale"), 2.0**-10),
        "sums may differ by a step of 2^-20, and are divided by sums of squares of 2^-16 at least",
    ),
    "calibration": Case(
        _calibration,
        dict.fromkeys(("coefficients", "change"), 2.0**-16),
        "gradients differ by quanta below 2^-30; the slope's penalty of 1 bounds what follows",
    ),
    "relevance": Case(
        _relevance,
        {"total": 1.5 * 2.0**-20},
        "quanta are below 2^-28 here, so the two lie on one or on neighbouring points of the grid",
        columns=explained,
    ),
    "performance": Case(
        _performance,
        {"sums": 1.5 * 2.0**-20},
        "quanta are below 2^-33 here, so the two lie on one or on neighbouring points of the grid",
    ),
    "recalibration": Case(
        _recalibration,
        dict.fromkeys(("coefficients", "change", "information", "predicted"), 2.0**-16),
        "totals differ by 2^-30 at most, which a step of Newton's multiplies by no more than the"
        " 2^10 of its damping; in 300 drawn cohorts the information differed by a step of 2^-20,"
        " and nothing else",
    ),
    "absolute_risk": Case(
        _absolute_risk,
        dict.fromkeys(("coefficients", "information", "variance", "change"), 2.0**-16),
        "as in recalibration",
        columns=strata,
    ),
    "score_adjustment": Case(
        _score_adjustment,
        dict.fromkeys(("mean", "log_variance", "spread", "r2"), 2.0**-16),
        "totals differ by 2^-28 at most, which a damping of 2^-10 multiplies by 2^10",
        columns=placed,
    ),
    "pruning": Case(
        _pruning,
        {"effective": 2.0**-9, "trace": 2.0**-18},
        "covariances may differ by a step of 2^-24, and are divided by variances above .09",
    ),
    "components": Case(
        _components,
        {
            **dict.fromkeys(("eigenvalues", "residuals", "following", "total"), 2.0**-18),
            "loadings": 2.0**-10,
            "local": 2.0**-9,
            "independent": 2.0**-6,
        },
        "products differ by quanta below 2^-28 and traces as in pruning; a kept loading by that"
        " over a gap of 2^-10 of its eigenvalue at least",
    ),
    "gene_network": Case(
        _gene_network,
        reason="each person's terms are rounded by themselves, and whole numbers are added",
        columns=training,
    ),
    "strata": Case(_strata, columns=ancestry),
    "hardy": Case(_hardy, columns=strata),
    "ancestry_map": Case(_ancestry_map, columns=ancestry),
}


def step(name: str, rows: Rows) -> Step:
    """Return the step of a plan that asks for the analysis `name`."""
    return Step(name, name, CASES[name].parameters(rows))


def analysis(name: str, rows: Rows) -> Analysis[Any, Any]:
    """Return the analysis, its references filled by pooled runs in the clear."""
    return registry.build(step(name, rows), earlier(name, rows))


def ready(name: str, rows: Rows) -> tuple[Analysis[Any, Any], Rows]:
    """Return the analysis and the rows that it runs on, with the columns that it may read."""
    known = earlier(name, rows)
    built = registry.build(step(name, rows), known)
    rows = rows.with_columns(CASES[name].columns(rows))
    if CASES[name].refuses:
        try:
            harness.run(built, [rows.cohort()], "clear", rounds=ROUNDS)
        except InputError:
            reject()
    return built, rows


def pooled(name: str, rows: Rows) -> Any:
    """Return the result of a pooled run in the clear."""
    return harness.run(analysis(name, rows), [rows.cohort()], "clear", rounds=ROUNDS).result


def earlier(name: str, rows: Rows, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the results that a step refers to, and those that they refer to."""
    known = {} if known is None else known
    for value in CASES[name].parameters(rows).values():
        if isinstance(value, Ref) and value.step not in known:
            other = value.step.removesuffix(".held")
            rows = rows.with_columns(CASES[other].columns(rows))
            built = registry.build(step(other, rows), earlier(other, rows, known))
            try:
                done = harness.run(built, [rows.cohort()], "clear", rounds=ROUNDS)
            except InputError:
                reject()  # two folds left out may leave too few people for the covariates
            known[other], known[f"{other}.held"] = done.result, done.held
    return known
