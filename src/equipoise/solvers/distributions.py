"""The one typed seam to scipy's distributions, ranks and root finding, which have no types."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

_special = cast("Any", special)
# Not scipy.stats, which takes half a second to import: it rests on these functions itself.


def normal_quantile(upper_tail: float) -> float:
    """Return the value that a standard normal exceeds with this probability.

    >>> round(normal_quantile(0.025), 6)
    1.959964
    """
    return float(-_special.ndtri(upper_tail))


def normal_cdf(value: float) -> float:
    """Return the probability that a standard normal is at most this value.

    >>> normal_cdf(0.0)
    0.5
    """
    return float(_special.ndtr(value))


def student_above(value: float, freedom: int, shift: float = 0.0) -> float:
    """Return the probability that a noncentral t exceeds this value.

    A normal around `shift` with a standard deviation of 1, over the root of chi-square over its
    degrees of freedom: the normal's share above is averaged over 1,000 quantiles of that root.

    >>> round(student_above(1.812461, 10), 4), round(student_above(2.0, 10, 2.0), 3)
    (0.05, 0.519)
    """
    above: NDArray[np.float64] = _special.ndtr(shift - value * _spreads(freedom))
    return float(above.mean())


@cache
def _spreads(freedom: int) -> NDArray[np.float64]:
    steps = (np.arange(1000) + 0.5) / 1000
    squares: NDArray[np.float64] = _special.gammaincinv(freedom / 2, steps)
    return np.sqrt(2 * squares / freedom)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties at their mean."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[inverse].astype(np.float64)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that changes sign between `low` and `high` is zero."""
    return float(import_module("scipy.optimize").brentq(function, low, high))
