"""The area under the ROC curve: from rows, from a histogram, and its interval."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.distributions import normal_quantile, ranks, root
from equipoise.solvers.intervals import Estimate, detectable

_EDGE = 1e-12
"""At 0 and 1 themselves V is 0, which is a root that is not meant."""


def auc_from_rows(score: NDArray[np.float64], case: NDArray[np.bool_]) -> float:
    """Return the chance that a case scores above a control, ties counted half.

    The Mann-Whitney statistic over n cases times n controls. ValueError without a case
    or without a control.

    >>> auc_from_rows(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    0.875
    """
    n, m = int(case.sum()), int((~case).sum())
    if not n or not m:
        raise ValueError("an AUC needs a case and a control")
    return float((ranks(score)[case].sum() - n * (n + 1) / 2) / (n * m))


def auc_from_histogram(
    cases: NDArray[np.int64], controls: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the AUC of binned scores, and how far that of the scores may lie from it.

    Within a bin the order is unknown: a pair counts half, so the bound is
    half of Σ P(bin | case) P(bin | control).

    >>> auc_from_histogram(np.array([0, 1]), np.array([1, 1]))
    (0.75, 0.25)
    """
    p, q = cases / cases.sum(), controls / controls.sum()
    below = np.concatenate([[0.0], np.cumsum(q)[:-1]])
    tied = float(p @ q)
    return float(p @ below) + tied / 2, tied / 2


def auc_interval(auc: float, n: int, m: int, level: float = 0.95) -> tuple[float, float]:
    """Return an interval for the AUC of n cases and m controls.

    Newcombe 2006, Statistics in Medicine 25:559, doi:10.1002/sim.2324, method 5: the
    θ for which |auc - θ| = z sqrt(V(θ)), with the exponential model's variance

        V(θ) = θ (1 - θ) (1 + N ((1 - θ) / (2 - θ) + θ / (1 + θ))) / (n m)

    and N = (n + m) / 2 - 1. Unlike DeLong's it has a width at an AUC of 1.

    >>> low, high = auc_interval(1.0, 10, 70)
    >>> low < 0.97 and high == 1.0
    True
    """
    z = normal_quantile(0.5 - level / 2)
    size = (n + m) / 2 - 1

    def apart(theta: float) -> float:
        spread = 1 + size * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(auc - theta) - z * sqrt(theta * (1 - theta) * spread / (n * m))

    low = 0.0 if auc <= 0 else root(apart, 0.0, min(auc, 1 - _EDGE))
    high = 1.0 if auc >= 1 else root(apart, max(auc, _EDGE), 1.0)
    return low, high


def auc_estimate(auc: float, n: int, m: int, level: float = 0.95) -> Estimate:
    """Return an AUC of n cases and m controls with `auc_interval`."""
    return Estimate(auc, *auc_interval(auc, n, m, level))


def auc_variance(auc: float, n: int, m: int) -> float:
    """Return the variance of the AUC of n cases and m controls.

    Hanley and McNeil 1982, Radiology 143:29, doi:10.1148/radiology.143.1.7063747,
    equations 1 and 2: with Q1 = θ / (2 - θ) and Q2 = 2 θ^2 / (1 + θ)

        V = (θ (1 - θ) + (n - 1) (Q1 - θ^2) + (m - 1) (Q2 - θ^2)) / (n m)

    >>> round(sqrt(auc_variance(0.5, 1, 1)), 3)
    0.5
    """
    square = auc * auc
    first = auc / (2 - auc) - square
    second = 2 * square / (1 + auc) - square
    return (auc * (1 - auc) + (n - 1) * first + (m - 1) * second) / (n * m)


def detectable_auc_gap(pooled: float, one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the least gap between two AUCs that is shown with a power of 80 %.

    `one` and `other` are (cases, controls). Both variances are Hanley and McNeil's at
    the pooled AUC: an AUC estimated in few people may be 0 or 1, where V is 0 and any
    gap would seem to be seen. The pooled one is held off the ends too, as if half of
    one case or control were on the wrong side.
    """
    edge = 0.5 / max(min(one[0] + other[0], one[1] + other[1]), 1)
    held = min(max(pooled, edge), 1 - edge)
    return detectable(auc_variance(held, *one) + auc_variance(held, *other))
