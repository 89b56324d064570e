"""The one typed seam to scipy's distributions, ranks and root finding, which have no types."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

_brentq = cast("Callable[..., float]", cast("Any", optimize).brentq)
_stats = cast("Any", stats)


def normal_quantile(upper_tail: float) -> float:
    """Return the value that a standard normal exceeds with this probability.

    >>> round(normal_quantile(0.025), 6)
    1.959964
    """
    return float(_stats.norm.isf(upper_tail))


def student_log_tail(t: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Return the natural logarithm of P(T > t), T Student's with `dof` degrees of freedom."""
    return np.asarray(_stats.t.logsf(t, dof), np.float64)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties at their mean."""
    return np.asarray(_stats.rankdata(values), np.float64)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that changes sign between `low` and `high` is zero."""
    return float(_brentq(function, low, high))
