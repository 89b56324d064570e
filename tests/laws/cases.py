"""For each analysis of the package: how a study asks for it, and how near results must be.

A new analysis gets a `Case` here. `tolerance` names the fields of its result that may
differ between a pooled and a split run, and by how much; all other fields must be equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import reject

from equipoise.analysis import Analysis
from equipoise.cohort import Columns
from equipoise.errors import InputError
from equipoise.federation import registry
from equipoise.plan import Parameter, Ref, Step
from laws import harness, law
from laws import risk_parameters as risk
from laws import study_parameters as study
from laws.derived_columns import ancestry, explained, parted, placed, strata, training
from strategies import Rows

ROUNDS = 16
"""More than any analysis of the suite asks."""

least_called = study.least_called
"""How many people must have a call: the tests of single analyses ask for it too."""


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


CASES: Mapping[str, Case] = {
    "census": Case(study.census),
    "frequency": Case(study.frequency),
    "linear": Case(
        study.linear,
        dict.fromkeys(("score", "variance", "residual"), 1.5 * 2.0**-20),
        "quanta are below 2^-28 here, so the two lie on one or on neighbouring points of the grid",
    ),
    "scan": Case(
        study.scan,
        dict.fromkeys(("cc", "cy", "yy", "cg", "gy", "gg"), 2.0**-22),
        "quanta are below 2^-25 here, and each site rounds to the nearest",
        rounding=2.0**-19,  # columns lie on a grid of 2^-26; a third difference weighs it by 8
    ),
    "moments": Case(
        risk.moments,
        dict.fromkeys(("people", "cc", "cy", "yy", "gc", "gy", "squares", "gg"), 2.0**-22),
        "quanta are below 2^-25 here, and each site rounds to the nearest",
        columns=strata,
        rounding=2.0**-19,  # as in `scan`
    ),
    "risk_moments": Case(
        risk.risk_moments,
        dict.fromkeys(("people", "cc", "cy", "yy"), 2.0**-22),
        "as in moments",
        columns=parted,
        rounding=2.0**-19,
        refuses=True,
    ),
    "score_sums": Case(
        risk.score_sums,
        dict.fromkeys(("people", "square", "gram", "trait"), 2.0**-16),
        "quanta are below 2^-20 here, and each site rounds to the nearest",
        columns=parted,
        rounding=2.0**-16,
    ),
    "residual_sums": Case(
        risk.residual_sums,
        dict.fromkeys(("covariates", "genotypes"), 2.0**-20),
        "as in moments",
        columns=parted,
        rounding=2.0**-16,
    ),
    **{name: Case(asked, columns=parted, refuses=True) for name, asked in risk.FITS.items()},
    "ld_blocks": Case(
        study.ld_blocks,
        dict.fromkeys(("cut", "within"), 0.04),
        "squared correlations lie on one or on neighbouring points of a grid of 2^-10; 33 pairs",
        columns=strata,
    ),
    "elastic_net": Case(
        study.elastic_net,
        {
            **dict.fromkeys(("weights", "effect"), 2.0**-14),
            **dict.fromkeys(("background", "covariates", "means"), 2.0**-16),
        },
        "sums may differ by a step of 2^-20, which a penalty of .2 and a variance of 2^-10 at least"
        " let a weight follow",
    ),
    "tuning": Case(
        study.tuning,
        dict.fromkeys(("weights", "r2", "scale"), 2.0**-10),
        "sums may differ by a step of 2^-20, and are divided by sums of squares of 2^-16 at least",
    ),
    "calibration": Case(
        study.calibration,
        dict.fromkeys(("coefficients", "change"), 2.0**-16),
        "gradients differ by quanta below 2^-30; the slope's penalty of 1 bounds what follows",
    ),
    "relevance": Case(
        study.relevance,
        {"total": 1.5 * 2.0**-20},
        "quanta are below 2^-28 here, so the two lie on one or on neighbouring points of the grid",
        columns=explained,
    ),
    "performance": Case(
        study.performance,
        {"sums": 1.5 * 2.0**-20},
        "quanta are below 2^-33 here, so the two lie on one or on neighbouring points of the grid",
    ),
    "recalibration": Case(
        study.recalibration,
        dict.fromkeys(("coefficients", "change", "information", "predicted"), 2.0**-16),
        "totals differ by 2^-30 at most, which a step of Newton's multiplies by no more than the"
        " 2^10 of its damping; in 300 drawn cohorts the information differed by a step of 2^-20,"
        " and nothing else",
    ),
    "absolute_risk": Case(
        risk.absolute_risk,
        dict.fromkeys(("coefficients", "information", "variance", "change"), 2.0**-16),
        "as in recalibration",
        columns=strata,
    ),
    "score_adjustment": Case(
        risk.score_adjustment,
        dict.fromkeys(("mean", "log_variance", "spread", "r2"), 2.0**-16),
        "totals differ by 2^-28 at most, which a damping of 2^-10 multiplies by 2^10",
        columns=placed,
    ),
    "pruning": Case(
        study.pruning,
        {"effective": 2.0**-9, "trace": 2.0**-18},
        "covariances may differ by a step of 2^-24, and are divided by variances above .09",
    ),
    "components": Case(
        study.components,
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
        study.gene_network,
        reason="each person's terms are rounded by themselves, and whole numbers are added",
        columns=training,
    ),
    "strata": Case(study.strata, columns=ancestry),
    "hardy": Case(study.hardy, columns=strata),
    "ancestry_map": Case(study.ancestry_map, columns=ancestry),
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
