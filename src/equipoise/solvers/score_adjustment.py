"""Scores adjusted for ancestry: mean and variance along principal components.

The mean of a score is a linear function of the components (Khera et al. 2019,
doi:10.1161/CIRCULATIONAHA.118.035658), and so is the logarithm of its variance about that (Khan
et al. 2022, doi:10.1038/s41591-022-01869-1, adjust both). Means by least squares; variances by
Fisher's scoring of the normal likelihood (Harvey 1976, doi:10.2307/1913974), of which the log
link keeps them above 0. Adjusting evens out who is called high-risk. It restores no accuracy
where a score has none: within people of one place on the components, their order stays.
"""

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

EDGE: Final = 8.0
"""Components, which have standard deviation 1, are cut here."""

MOST_RATIO: Final = 64.0
"""A squared residual over its variance is cut here, at eight standard deviations."""

MOST_STEP: Final = 1.0
LEAST_VARIANCE: Final = 2.0**-20
_DAMP: Final = 2.0**-10


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a score is adjusted by.

    components    the principal components, by name
    mean          (1 + components,) intercept and effects on the mean
    log_variance  (1 + components,) the same on the logarithm of the variance
    """

    components: tuple[str, ...]
    mean: Array
    log_variance: Array

    def adjusted(self, score: Array, components: Array) -> Array:
        """Return adjusted scores, (people,), of mean 0 and variance 1 at each place.

        components  (people, components) with standard deviation 1 where these were found
        """
        a = design(components)
        return (score - a @ self.mean) * np.exp(-(a @ self.log_variance) / 2)


def percentile(adjusted: Array) -> Array:
    """Return the percentiles of adjusted scores, as those of normal deviates.

    >>> percentile(np.array([0.0, 1.6448536])).round(4).tolist()
    [50.0, 95.0]
    """
    return 100 * np.asarray(cast("Any", special).ndtr(adjusted), np.float64)


def design(components: Array) -> Array:
    """Return ones beside the components, which are cut at `EDGE`."""
    kept = np.clip(components, -EDGE, EDGE)
    return np.concatenate([np.ones((len(kept), 1)), kept], axis=1)


def mean_coefficients(products: Array, score: Array) -> Array:
    """Return the effects on the mean from A'A and A's; 0 for a component that does not vary.

    The damping, 2^-10 of one person, makes them continuous in the sums; the intercept has none.
    """
    return np.asarray(np.linalg.solve(products + _damping(len(score)), score), np.float64)


def first_log_variance(products: Array, score: Array, square: float, mean: Array) -> Array:
    """Return a log variance that is the same everywhere, from A'A, A's, s's and the mean."""
    left = (square - 2 * mean @ score + mean @ products @ mean) / max(products[0, 0], 1.0)
    return np.array([np.log(max(left, LEAST_VARIANCE)), *np.zeros(len(score) - 1)])


def ratios(a: Array, score: Array, mean: Array, log_variance: Array) -> Array:
    """Return squared residuals over their variances, (people,), cut at `MOST_RATIO`."""
    # Far from the optimum a variance may be tiny: its logarithm is what is bounded here.
    scale = np.exp(np.clip(-(a @ log_variance), -700.0, 700.0))
    return np.minimum((score - a @ mean) ** 2 * scale, MOST_RATIO)


def scoring_step(products: Array, gradient: Array) -> Array:
    """Return the step of the log variance from A'A and A'(ratio - 1), cut at `MOST_STEP`.

    Score and information of the normal likelihood are half of these.
    """
    step = np.linalg.solve(products + _damping(len(gradient)), gradient)
    return np.asarray(np.clip(step, -MOST_STEP, MOST_STEP), np.float64)


def of_rows(
    names: tuple[str, ...], components: Array, score: Array, rounds: int = 30
) -> Adjustment:
    """Return the adjustment of people whose rows are at hand."""
    a = design(components)
    products, along = a.T @ a, a.T @ score
    mean = mean_coefficients(products, along)
    log_variance = first_log_variance(products, along, float(score @ score), mean)
    for _ in range(rounds):
        step = scoring_step(products, a.T @ (ratios(a, score, mean, log_variance) - 1))
        log_variance = log_variance + step
    return Adjustment(names, mean, log_variance)


def _damping(terms: int) -> Array:
    return np.diag([2.0**-30, *np.full(terms - 1, _DAMP)])
