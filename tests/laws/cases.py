"""For each analysis of the package: how a study asks for it, and how near results must be.

A new analysis gets a `Case` here. `tolerance` names the fields of its result that may
differ between a pooled and a split run, and by how much; all other fields must be equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from equipoise.analysis import Analysis
from equipoise.federation import registry
from equipoise.plan import Parameter, Ref, Step
from laws import harness
from strategies import BOUNDS, COVARIATES, FOLDS, Rows


@dataclass(frozen=True)
class Case:
    """parameters  of the step, for a study of these rows; `Ref`s name other cases."""

    parameters: Callable[[Rows], Mapping[str, Parameter]]
    tolerance: Mapping[str, float] = field(default_factory=dict[str, float])
    reason: str = "whole numbers, or plain arithmetic on whole numbers"


def _sizes(rows: Rows) -> dict[str, Parameter]:
    return {"people": rows.n, "folds": FOLDS}


def _census(rows: Rows) -> Mapping[str, Parameter]:
    return {**_sizes(rows), "least": 0, "k": 0, "trait": "trait"}


def _frequency(rows: Rows) -> Mapping[str, Parameter]:
    # Blocks that do not divide the variants; a floor that withholds some rare ones.
    return {"people": rows.n, "n_variants": rows.n_variants, "floor": 3, "block_size": 5}


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


def _clumping(rows: Rows) -> Mapping[str, Parameter]:
    return {
        **_sizes(rows),
        "windows": (0, (rows.n_variants + 1) // 2, rows.n_variants),
        "columns": 4,
        "outside": 1.0,
        "threshold": 1.0,
        "r2": 0.4137,  # no ratio of small whole numbers, so that no tie is on the limit
        "ridge": 1.0,
        "covariates": COVARIATES,
        "bounds": BOUNDS,
        "census": Ref("census"),
        "frequencies": Ref("frequency"),
        "association": Ref("linear"),
    }


def _discrimination(rows: Rows) -> Mapping[str, Parameter]:
    return {
        "people": rows.n,
        "bins": 6,
        "k": 2,
        "trait": "trait",
        "score": "score",
        "frequencies": Ref("frequency"),
        "weights": Ref("clumping"),
    }


CASES: Mapping[str, Case] = {
    "census": Case(_census),
    "frequency": Case(_frequency),
    "linear": Case(
        _linear,
        dict.fromkeys(("score", "variance", "residual"), 1.5 * 2.0**-20),
        "quanta are below 2^-28 here, so the two lie on one or on neighbouring points of the grid",
    ),
    "clumping": Case(
        _clumping,
        {"weights": 2.0**-16},
        "G'G~ may differ by a step of 2^-20, and a ridge of 1 lets a weight move by no more than"
        " its size times that step over g'g~; in 300 drawn cohorts 2^-23 was the most",
    ),
    "discrimination": Case(_discrimination),
}


def step(name: str, rows: Rows) -> Step:
    """Return the step of a plan that asks for the analysis `name`."""
    return Step(name, name, CASES[name].parameters(rows))


def analysis(name: str, rows: Rows) -> Analysis[Any, Any]:
    """Return the analysis, its references filled by pooled runs in the clear."""
    return registry.build(step(name, rows), earlier(name, rows))


def ready(name: str, rows: Rows) -> tuple[Analysis[Any, Any], Rows]:
    """Return the analysis and the rows that it runs on, with the score that it may read."""
    known = earlier(name, rows)
    built = registry.build(step(name, rows), known)
    if "clumping" in known:
        clumping = registry.build(step("clumping", rows), known)
        rows = rows.with_columns(clumping.derive(rows.cohort(), known["clumping"]))
    return built, rows


def pooled(name: str, rows: Rows) -> Any:
    """Return the result of a pooled run in the clear."""
    return harness.run(analysis(name, rows), [rows.cohort()], "clear").result


def earlier(name: str, rows: Rows, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the results that a step refers to, and those that they refer to."""
    known = {} if known is None else known
    for value in CASES[name].parameters(rows).values():
        if isinstance(value, Ref) and value.step not in known:
            built = registry.build(step(value.step, rows), earlier(value.step, rows, known))
            known[value.step] = harness.run(built, [rows.cohort()], "clear").result
    return known
