"""The one typed seam to scipy's distributions, ranks and root finding, which have no types."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

_brentq = cast("Callable[..., float]", cast("Any", optimize).brentq)
_special = cast("Any", special)
_stats = cast("Any", stats)

_LEAST_LOG = -700.0
"""Below e to this, a probability is no longer a double of full precision."""

_TERMS = 32
"""Where P(T > t) is below e^-700, 16 terms of the fraction reach the last digit."""


def normal_quantile(upper_tail: float) -> float:
    """Return the value that a standard normal exceeds with this probability.

    >>> round(normal_quantile(0.025), 6)
    1.959964
    """
    return float(_stats.norm.isf(upper_tail))


def normal_cdf(value: float) -> float:
    """Return the probability that a standard normal is at most this value.

    >>> normal_cdf(0.0)
    0.5
    """
    return float(_stats.norm.cdf(value))


def student_log_tail(t: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Return the natural logarithm of P(T > t), T Student's with `dof` degrees of freedom.

    It stays right where the probability itself is below the least double.

    >>> round(float(student_log_tail(np.array([200.0]), 350)[0]), 6)
    -834.641654
    """
    direct = np.asarray(_stats.t.logsf(t, dof), np.float64)
    return np.where(direct > _LEAST_LOG, direct, _far_tail(np.maximum(t, 1.0), dof))


def _far_tail(t: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Return log P(T > t) far out, where scipy's underflows.

    P(T > t) = I_x(a, b) / 2 with x = dof / (dof + t^2), a = dof / 2, b = 1/2: the
    incomplete beta function by its continued fraction, DLMF 8.17.22,
    https://dlmf.nist.gov/8.17#E22, whose coefficients are d below.
    """
    a, b = dof / 2, 0.5
    x = dof / (dof + t * t)
    fraction = np.ones_like(t)
    for j in range(_TERMS, 0, -1):
        m = j // 2
        top = m * (b - m) if j % 2 == 0 else -(a + m) * (a + b + m)
        d = top * x / ((a + j - 1) * (a + j))
        fraction = 1 + d / fraction
    scale = np.log(a) + float(_special.betaln(a, b)) + np.log(2.0)
    return b * np.log1p(-x) - a * np.log1p(t * t / dof) - scale - np.log(fraction)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties at their mean."""
    return np.asarray(_stats.rankdata(values), np.float64)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that changes sign between `low` and `high` is zero."""
    return float(_brentq(function, low, high))
