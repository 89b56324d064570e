"""Intervals of estimates and of their differences, and the least difference to be seen."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

from equipoise.solvers.distributions import normal_quantile

POWER = 0.8
LEVEL = 0.95
EQUIVALENCE = 0.9
"""Two one-sided tests at 5 % are an interval of 90 % (Schuirmann 1987, doi:10.1007/BF01068419)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its interval."""

    value: float
    low: float
    high: float


AtLevel: TypeAlias = Callable[[float], Estimate]
"""An estimate with the interval of a given level, such as 0.95."""


def wald(value: float, error: float, level: float = LEVEL) -> Estimate:
    """Return `value` with the interval of so many standard errors to either side.

    >>> wald(1.0, 0.0)
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    reach = normal_quantile(0.5 - level / 2) * error
    return Estimate(value, value - reach, value + reach)


def wilson(share: float, n: int, level: float = LEVEL) -> Estimate:
    """Return a share of n people with its interval (Wilson 1927, doi:10.2307/2276774).

    >>> round(wilson(0.0, 10).high, 3)
    0.278
    """
    z = normal_quantile(0.5 - level / 2)
    width = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / width
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / width
    # At the ends rounding would leave a trace of what is 0 or 1 exactly.
    low = max(centre - reach, 0.0) if share > 0 else 0.0
    return Estimate(share, low, min(centre + reach, 1.0) if share < 1 else 1.0)


def difference(one: Estimate, other: Estimate, bound: float = 0.0) -> Estimate:
    """Return `one` - `other` with an interval made of the two.

    Zou and Donner 2008, Statistics in Medicine 27:1693, doi:10.1002/sim.3095, MOVER:

        low  = d - sqrt((one - low_1)^2 + (high_2 - other)^2)
        high = d + sqrt((high_1 - one)^2 + (other - low_2)^2)

    with d = one - other. The two are taken as independent. `bound` is how far d may be
    off whatever the sample (by a histogram's bins): it is no chance and does not
    average out, so it is added to either end and not under the root.

    >>> round(difference(Estimate(0.8, 0.7, 0.85), Estimate(0.6, 0.6, 0.6)).low, 9)
    0.1
    """
    apart = one.value - other.value
    below = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    above = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    return Estimate(apart, apart - below - bound, apart + above + bound)


def detectable(variance: float, power: float = POWER, level: float = LEVEL) -> float:
    """Return the least difference that a two-sided test shows with this power.

    (z(level) + z(power)) standard errors of the difference, whose variance is given.

    >>> round(detectable(1.0), 3)
    2.802
    """
    reach = normal_quantile(0.5 - level / 2) + normal_quantile(1 - power)
    return reach * sqrt(variance)
