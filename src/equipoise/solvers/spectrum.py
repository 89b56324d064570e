"""Which eigenvalues stand out of noise, and which eigenvectors have been found.

Both are decisions, so both are made by comparisons and + - * / and square roots alone:
on published numbers they come out the same on every machine.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

CRITICAL = 3.2724
"""What a Tracy-Widom variable of order 1 exceeds once in 1,000 times."""

SURE = 2.0**-8
"""The most that a residual is, as a share of its value, where a component is given up.

At 2^-4 two of six random subsets of real data lost a component that stood out."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What the eigenvalues of XX'/m would be without structure follows from this.

    total      the sum of all eigenvalues
    people     n
    effective  the number of independent variants
    """

    total: float
    people: int
    effective: float


def above_noise(values: Vector, noise: Noise) -> NDArray[np.bool_]:
    """Return for each eigenvalue whether it and all before it stand out of noise.

    Patterson et al. 2006, doi:10.1371/journal.pgen.0020190, after Johnstone 2001,
    doi:10.1214/aos/1009210544: without structure, the greatest of m - 1 eigenvalues, as a
    multiple L of their mean, exceeds

        mu + CRITICAL sigma      mu = (sqrt(M - 1) + sqrt(m))^2 / M
                                 sigma = (sqrt(M - 1) + sqrt(m)) / M
                                         * (1 / sqrt(M - 1) + 1 / sqrt(m))^(1/3)

    once in 1,000 times, m people and M independent variants. Each further one is tested
    among those left, with a person less.

    Departures: Patterson et al. take M from the second moment of the eigenvalues, which
    takes all of them and counts the structure that is looked for as if it were linkage;
    here M is given, from linkage between neighbours. And both sides are cubed, since a
    cube root is not the same on every machine.

    values  greatest first
    """
    above = np.zeros(len(values), np.bool_)
    total, effective = noise.total, noise.effective
    for place, value in enumerate(values.tolist()):
        m, mean = noise.people - place, total / max(noise.people - place - 1, 1)
        if m < 3 or effective < 2 or mean <= 0:
            break
        a, b = sqrt(effective - 1), sqrt(m)
        width = (a + b) / effective
        excess = value / mean - width * (a + b)
        most = CRITICAL * width
        if excess <= 0 or excess * excess * excess <= most * most * most * (1 / a + 1 / b):
            break
        above[place] = True
        total -= value
    return above


def converged(values: Vector, residuals: Vector, tolerance: float) -> NDArray[np.bool_]:
    """Return for each Ritz pair but the last whether its vector has been found.

    Davis and Kahan 1970, doi:10.1137/0707001: the sine of the angle between a Ritz vector
    and the eigenvector is at most residual / gap. The gap is to the nearer neighbour among
    the Ritz values: exact once they are, which is what the run goes on for. A gap of less
    than `tolerance` times the value is no gap: what lies within is one space.

    values     (pairs + 1,) greatest first
    residuals  (pairs,)
    """
    gap = values[:-1] - values[1:]
    gap[1:] = np.minimum(gap[1:], gap[:-1])
    return (gap > tolerance * values[:-1]) & (residuals <= tolerance * gap)


def all_found(values: Vector, residuals: Vector, noise: Noise, tolerance: float) -> bool:
    """Return whether every pair that may stand out of noise has been found.

    The first that cannot stand out even with its residual added ends them, once that
    residual is small against it: after few rounds all Ritz values are low.

    values     (pairs + 1,) greatest first
    residuals  (pairs,)
    """
    pairs = len(residuals)
    ends = int(np.count_nonzero(above_noise(values[:pairs] + residuals, noise)))
    found = converged(values, residuals, tolerance)[:ends]
    return bool(np.all(found) and (ends == pairs or residuals[ends] <= SURE * values[ends]))


def effective_number(trace: float, square: float, people: int, most: float) -> float:
    """Return tr(R)^2 / tr(R^2), R the correlations of variants in so many people.

    Each square of a correlation is less 1 / (people - 1), which independent variants have
    on average. Between 1 and `most`.

    >>> round(effective_number(100.0, 200.0, 101, most=100.0), 6)
    99.009901
    """
    square -= trace * (trace - 1) / max(people - 1, 1)
    return max(1.0, most if square * most <= trace * trace else trace * trace / square)
