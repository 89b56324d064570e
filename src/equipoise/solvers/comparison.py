"""Two sets of people compared: their AUC, and observed over expected cases."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.auc import auc_estimate, auc_from_histogram, detectable_auc_gap
from equipoise.solvers.calibration import detectable_log_ratio, observed_expected
from equipoise.solvers.intervals import EQUIVALENCE, LEVEL, AtLevel, Estimate, difference


@dataclass(frozen=True, slots=True)
class Part:
    """Some people, by sums.

    histogram  (2, bins) controls and cases by bin of the logit
    sums       (3,) of p, of p (1 - p), and of (y - p)^2
    """

    histogram: NDArray[np.int64]
    sums: NDArray[np.float64]

    @property
    def controls(self) -> int:
        """Number of people without the trait."""
        return int(self.histogram[0].sum())

    @property
    def cases(self) -> int:
        """Number of people with it."""
        return int(self.histogram[1].sum())

    @property
    def n(self) -> int:
        """Number of people."""
        return self.controls + self.cases

    def less(self, other: "Part") -> "Part":
        """Return those who are not in `other`, which is a part of this."""
        return Part(self.histogram - other.histogram, self.sums - other.sums)


@dataclass(frozen=True, slots=True)
class Gap:
    """One estimate less another, with 95 % (`wide`) and 90 % (`narrow`) intervals."""

    wide: Estimate
    narrow: Estimate
    detectable: float


def gap(one: AtLevel, other: AtLevel, *, detectable: float, bound: float = 0.0) -> Gap:
    """Return the gap of two independent estimates; `bound` as in `difference`."""
    wide = difference(one(LEVEL), other(LEVEL), bound)
    return Gap(wide, difference(one(EQUIVALENCE), other(EQUIVALENCE), bound), detectable)


def auc_gap(one: Part, other: Part, pooled: float, exact: float | None = None) -> Gap:
    """Return the gap between two AUCs of histograms; `exact` is the first one's from rows.

    `pooled` is everybody's, at which the least detectable gap is taken.
    """
    first, off = auc_from_histogram(one.histogram[1], one.histogram[0])
    second, bound = auc_from_histogram(other.histogram[1], other.histogram[0])
    value = first if exact is None else exact
    sizes = (one.cases, one.controls), (other.cases, other.controls)
    return gap(
        partial(auc_estimate, value, *sizes[0]),
        partial(auc_estimate, second, *sizes[1]),
        detectable=detectable_auc_gap(pooled, *sizes),
        bound=bound + (off if exact is None else 0.0),
    )


def ratio_gap(one: Part, other: Part, rate: float) -> Gap:
    """Return the gap between two ln(O / E); `rate` is the share of cases in everybody."""
    return gap(
        partial(log_ratio, one),
        partial(log_ratio, other),
        detectable=detectable_log_ratio(rate, one.n, other.n),
    )


def log_ratio(part: Part, level: float = LEVEL) -> Estimate:
    """Return ln(O / E) of a part."""
    return observed_expected(part.cases, part.n, float(part.sums[0]), level)
