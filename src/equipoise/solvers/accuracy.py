"""How well scores do in people whom nothing has seen, from sums over their scores."""

from dataclasses import dataclass
from math import atanh, exp, pi, sqrt, tanh
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.distributions import normal_quantile
from equipoise.solvers.stack import StackMoments, incremental_r2

LEAST_PEOPLE: Final = 30
_Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of what covariates leave of the trait that a score explains, with a 95 % interval.

    An interval of a correlation by Fisher's transformation, squared; one that reaches below 0
    begins at 0.
    """

    r2: float
    low: float
    high: float
    people: int


def accuracies(moments: StackMoments) -> list[Accuracy] | None:
    """Return the accuracy of every candidate in one group; None of fewer than `LEAST_PEOPLE`.

    A score that points the wrong way has 0.
    """
    n = round(moments.people)
    free = n - moments.covariates - 2
    if n < LEAST_PEOPLE or free < LEAST_PEOPLE // 2:
        return None
    found: list[Accuracy] = []
    for r in signed_correlations(moments).tolist():
        reach = _Z / sqrt(free - 1)
        low, high = (max(tanh(atanh(min(r, 1 - 1e-12)) + d), 0.0) ** 2 for d in (-reach, reach))
        found.append(Accuracy(max(r, 0.0) ** 2, low, high, n))
    return found


def signed_correlations(moments: StackMoments) -> NDArray[np.float64]:
    """Return each score's correlation with the trait, both free of covariates, (k,)."""
    c = moments.covariates
    part = np.linalg.lstsq(moments.gram[:c, :c], moments.trait[:c], rcond=1e-12)[0]
    rising = moments.trait[c:] - moments.gram[c:, :c] @ part
    return np.asarray(np.sign(rising) * np.sqrt(incremental_r2(moments)), np.float64)


def liability_r2(r2: float, cases: float, prevalence: float) -> float:
    """Return what share of the liability an R^2 on the scale of 0 and 1 is.

    Lee et al. 2012, doi:10.1002/gepi.21614, equation 15 without the correction for R^2 being
    large. `cases` is the share of cases in the sample, `prevalence` that in the population.

    >>> round(liability_r2(0.1, 0.5, 0.01), 3)
    0.055
    """
    density = exp(-(normal_quantile(prevalence) ** 2) / 2) / sqrt(2 * pi)
    spread = prevalence * (1 - prevalence)
    return r2 * spread**2 / (density**2 * cases * (1 - cases))
