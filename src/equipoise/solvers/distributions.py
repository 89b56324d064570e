"""The one typed seam to scipy's distributions, ranks and root finding, which have no types."""

from collections.abc import Callable
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


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties at their mean."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[inverse].astype(np.float64)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that changes sign between `low` and `high` is zero."""
    return float(import_module("scipy.optimize").brentq(function, low, high))
