"""How good a score is in everybody and in each group over all sites, for people to read.

Everything comes from public records; what a plain dictionary holds may be published. A
cell that is not open has no number, no count, and a reason.
"""

from dataclasses import asdict, dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.performance import PerformanceResult
from equipoise.analyses.recalibration import RecalibrationResult
from equipoise.solvers.bins import gathered
from equipoise.solvers.calibration import Fit
from equipoise.solvers.comparison import Part, log_ratio
from equipoise.solvers.intervals import LEVEL

TOO_FEW = "too few people with or without the trait, here or among those compared with"

MEASURES = (
    "auc",
    "o_e",
    "brier",
    "scaled_brier",
    "calibration_slope",
    "calibration_intercept",
)


@dataclass(frozen=True, slots=True)
class Bin:
    """People of one merged bin of predicted probability: enough to be shown.

    At least k people, and of cases and of controls none or at least k.
    """

    n: int
    events: int
    mean_predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a ROC curve."""

    false_positive_rate: float
    true_positive_rate: float


def part(found: PerformanceResult, cell: int) -> Part:
    """Return the people of a cell, by sums."""
    return Part(found.histogram[cell], found.sums[cell])


def measures(
    found: PerformanceResult, refit: RecalibrationResult, cell: int
) -> dict[str, dict[str, Any]]:
    """Return each measure of a cell: value, low, high, n, events, and a reason or None.

    auc                    with `bound`, by which the bins may move it; the interval has it in
    o_e                    observed over expected cases
    brier, scaled_brier    mean (y - p)^2, and 1 - that over what the rate alone would give
    calibration_slope, calibration_intercept  of logit P(y = 1) = a + b logit
    """
    auc = discrimination(found, cell)
    if not found.open[cell]:
        return {name: dict(auc) for name in MEASURES}
    people = part(found, cell)
    ratio, rate = log_ratio(people), people.cases / people.n
    brier = float(found.sums[cell, 2]) / people.n
    numbers = {
        "o_e": [exp(ratio.value), exp(ratio.low), exp(ratio.high)],
        "brier": [brier, None, None],
        "scaled_brier": [1 - brier / (rate * (1 - rate)), None, None],
    }
    rows = {name: _row(people, values) for name, values in numbers.items()}
    return {"auc": auc, **rows, **_refit(people, refit.fit(cell))}


def discrimination(found: PerformanceResult, cell: int) -> dict[str, Any]:
    """Return the row `auc` of `measures`, which needs no probability."""
    if not found.open[cell]:
        n = int(found.counts[0].sum()) if cell == 0 else None
        blank = {"value": None, "low": None, "high": None, "n": n, "events": None}
        return {**blank, "reason": TOO_FEW}
    ends = [float(x[cell]) for x in (found.auc, found.low, found.high)]
    controls, cases = found.counts[cell].tolist()
    row = dict(zip(("value", "low", "high"), ends, strict=True))
    counts = {"n": controls + cases, "events": cases, "reason": None}
    return {**row, **counts, "bound": float(found.bound[cell])}


def calibration_table(found: PerformanceResult, refit: RecalibrationResult) -> list[dict[str, Any]]:
    """Return the merged bins of everybody (see `Bin`), from low to high probability."""
    if not found.open[0]:
        return []
    controls, cases = gathered(found.histogram[0], refit.place)
    n = controls + cases
    predicted = refit.predicted[: len(n)] / n
    rows = zip(n, cases, predicted, strict=True)
    return [asdict(Bin(int(n), int(c), float(p), float(c / n))) for n, c, p in rows]


def roc(found: PerformanceResult, refit: RecalibrationResult) -> list[dict[str, Any]]:
    """Return the ROC curve of everybody's merged bins, from (0, 0) to (1, 1).

    Its bins are those of the calibration table: two partitions would give away the few
    people between an edge of the one and the nearest of the other.
    """
    if not found.open[0]:
        return []
    rates = [_from_above(kind) for kind in gathered(found.histogram[0], refit.place)]
    pairs = zip(*rates, strict=True)
    return [asdict(Point(float(false), float(true))) for false, true in pairs]


def _from_above(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of people at or above each bin, from the highest, after 0."""
    return np.concatenate([[0.0], np.cumsum(counts[::-1]) / counts.sum()])


def _refit(people: Part, fit: Fit) -> dict[str, dict[str, Any]]:
    names = ("calibration_slope", "calibration_intercept")
    if fit.reason:
        return {name: _row(people, [None] * 3, fit.reason) for name in names}
    both = fit.slope_at(LEVEL), fit.intercept_at(LEVEL)
    return {
        name: _row(people, [of.value, of.low, of.high])
        for name, of in zip(names, both, strict=True)
    }


def _row(people: Part, values: list[Any], reason: str | None = None) -> dict[str, Any]:
    value, low, high = values
    counts = {"n": people.n, "events": people.cases}
    return {"value": value, "low": low, "high": high, **counts, "reason": reason}
