"""Who lies far from the middle of their own group, by a rule that outliers do not move.

The middle is the median and the spread the median absolute deviation times 1.4826, which
equals a standard deviation where values are normal (Hampel 1974,
doi:10.1080/01621459.1974.10482962). Means and standard deviations are drawn out by the very
people who are sought.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = 5.0
"""Spreads from the median beyond which a value is an outlier; 1 in 1.7 million normal ones is."""

LEAST_PEOPLE: Final = 10
"""A smaller group is not judged."""

_NORMAL: Final = 1.482602218505602


def distances(
    values: NDArray[np.float64], group: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return how many spreads each value is from the median of its group, (people,).

    group  (people,) the number of each person's group, -1 for none; one group if not given

    NaN where the value is NaN, where the person has no group, and in groups of fewer than 10
    values; 0 for a value at the median and infinite beside it where there is no spread.

    >>> round(float(distances(np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 100.0]))[-1]), 1)
    25.5
    """
    if group is not None and group.shape != values.shape:
        raise ValueError(f"groups of shape {group.shape} for values of shape {values.shape}")
    labels = np.zeros(len(values), np.int64) if group is None else group
    found = np.full(len(values), np.nan)
    for label in np.unique(labels[labels >= 0]):
        own = np.flatnonzero((labels == label) & ~np.isnan(values))
        if len(own) >= LEAST_PEOPLE:
            found[own] = _scaled(values[own])
    return found


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    away = values - np.median(values)
    spread = _NORMAL * float(np.median(np.abs(away)))
    if spread > 0:
        return away / spread
    return np.where(away == 0, 0.0, np.copysign(np.inf, away))
