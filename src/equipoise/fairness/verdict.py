"""What may be said of a gap: it is shown, equality within a margin is shown, or neither."""

from collections.abc import Sequence
from math import isfinite

from equipoise.solvers.distributions import normal_cdf, normal_quantile
from equipoise.solvers.intervals import LEVEL, Estimate

EQUIVALENCE_SHOWN = "equivalence shown"
GAP_SHOWN = "gap shown"
INCONCLUSIVE = "inconclusive"
NOT_ESTIMABLE = "not estimable"

_TOUCH = 1e-9
"""Published ends are multiples of .01, which doubles are not: an end at the margin is on it."""


def verdict(wide: Estimate, narrow: Estimate, margin: float) -> str:
    """Return the verdict on a gap with its 95 % and its 90 % interval.

    Equivalence is shown where the 90 % interval lies inside ±margin (two one-sided tests:
    Schuirmann 1987, doi:10.1007/BF01068419), else a gap where the 95 % interval excludes
    0, else nothing. A small gap may be both: then it is equivalence that is said.
    ValueError for a margin that is not above 0.

    >>> verdict(Estimate(0.0, -0.2, 0.2), Estimate(0.0, -0.17, 0.17), 0.05)
    'inconclusive'
    """
    if not (isfinite(margin) and margin > 0):
        raise ValueError("a margin of equivalence is a number above 0")
    if -margin < narrow.low - _TOUCH and narrow.high + _TOUCH < margin:
        return EQUIVALENCE_SHOWN
    return GAP_SHOWN if wide.low > _TOUCH or wide.high < -_TOUCH else INCONCLUSIVE


def p_value(wide: Estimate) -> float:
    """Return the two-sided p of a gap, from its 95 % interval.

    The standard error is taken from the side of 0, so that p is .05 where that end is 0.
    A gap that is published as 0 has a p of 1.
    """
    reach = wide.value - wide.low if wide.value > 0 else wide.high - wide.value
    if wide.value == 0 or reach <= 0:
        return 1.0
    return 2 * normal_cdf(-abs(wide.value) / reach * normal_quantile(0.5 - LEVEL / 2))


def adjusted(p: Sequence[float]) -> list[float]:
    """Return p values adjusted to the rate of false discoveries.

    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x: of sorted ones, the
    least of p_j m / j over all j from i on, at most 1.

    >>> adjusted([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    result, least = [1.0] * len(p), 1.0
    for rank in range(len(p), 0, -1):
        place = order[rank - 1]
        least = min(least, p[place] * len(p) / rank)
        result[place] = least
    return result
