"""Which variants a model may use in each window, chosen in each training set by itself.

All of it is a function of published numbers, by exact comparisons: the same everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.census import People
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.linear import Association

LEAST_EXPECTED = 5
"""Cochran's rule: a test goes by the normal distribution where so many are expected."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """A window's candidates.

    variants  (candidates,) places in the study's list
    rows      (folds + 1, candidates) which training sets use each
    """

    variants: NDArray[np.int64]
    rows: NDArray[np.bool_]


def reliable(frequencies: Frequencies, census: People) -> NDArray[np.bool_]:
    """Return which variants a linear test can be trusted for, (folds + 1, variants).

    Those with at least `LEAST_EXPECTED` minor alleles expected in the smaller of cases and
    others of each training set (Cochran 1954, doi:10.2307/3001616): below it the test's
    tail is far heavier than Student's, and chance passes any threshold.
    """
    alleles, called = frequencies.alleles, frequencies.called
    minor = np.minimum(alleles, 2 * called - alleles)
    people = census.people.sum() - np.concatenate([[0], census.people])
    cases = census.cases.sum() - np.concatenate([[0], census.cases])
    fewer = np.minimum(cases, people - cases)[:, None]
    # Alleles are counted over everybody, as frequencies are.
    return minor * fewer >= LEAST_EXPECTED * int(census.people.sum())


def strengths(association: Association, usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return |t| in each training set, (folds + 1, variants), 0 for what is not to be used.

    usable  (folds + 1, variants)
    """
    t = np.stack([association.t(row) for row in range(len(association.people))])
    return np.where(np.isnan(t) | ~usable, 0.0, np.abs(t))


def least_t(threshold: float, dof: int) -> float:
    """Return the t that is as improbable as a standard normal of `threshold`.

    By the first terms of its expansion in 1/dof (Abramowitz and Stegun 1964, 26.7.5): plain
    arithmetic, the same everywhere, within .01 for 100 degrees of freedom and a threshold
    of 5.45.

    >>> round(least_t(5.451, 240), 2)
    5.63
    """
    z, z2 = threshold, threshold * threshold
    first = z * (z2 + 1) / (4 * dof)
    second = z * (5 * z2 * z2 + 16 * z2 + 3) / (96 * dof * dof)
    third = z * (3 * z2 * z2 * z2 + 19 * z2 * z2 + 17 * z2 - 15) / (384 * dof * dof * dof)
    return z + first + second + third


def candidates(
    strength: NDArray[np.float64],
    thresholds: Sequence[float],
    windows: Sequence[int],
    room: int,
) -> list[Candidates]:
    """Return for each window the variants beyond the threshold, at most `room` in all.

    strength    (folds + 1, variants) |t| in each training set
    thresholds  (folds + 1) the least |t| of a candidate there

    A training set uses the first of its own ranking, as many as there is room for: which
    they are depends on nobody whom it leaves out, only how many depends on the others.
    """
    starts = np.array(windows[:-1])
    ranked = [_ranked(t, least) for t, least in zip(strength, thresholds, strict=True)]
    queues = [_by_window(order, starts) for order in ranked]
    return [_share([queue[w] for queue in queues], room) for w in range(len(starts))]


def _ranked(t: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Return variants beyond the threshold by falling |t|."""
    order = np.argsort(-t, kind="stable")
    return order[: int(np.count_nonzero(t >= threshold))]


def _by_window(order: NDArray[np.int64], starts: NDArray[np.int64]) -> list[list[int]]:
    """Return the ranked variants of each window, in their order."""
    lists: list[list[int]] = [[] for _ in starts]
    window = np.asarray(np.searchsorted(starts, order, "right"), np.int64) - 1
    for variant, place in zip(order.tolist(), window.tolist(), strict=True):
        lists[int(place)].append(int(variant))
    return lists


def _share(rankings: Sequence[Sequence[int]], room: int) -> Candidates:
    """Return the variants that fit: training sets take turns, best first, while there is room."""
    chosen: list[int] = []
    taken = [0] * len(rankings)
    for depth in range(max(map(len, rankings))):
        for row, ranking in enumerate(rankings):
            if len(ranking) <= depth or taken[row] < depth:
                continue
            if ranking[depth] not in chosen and len(chosen) < room:
                chosen.append(ranking[depth])
            taken[row] += ranking[depth] in chosen
    rows = np.zeros((len(rankings), len(chosen)), np.bool_)
    for used, ranking, depth in zip(rows, rankings, taken, strict=True):
        used[[chosen.index(variant) for variant in ranking[:depth]]] = True
    return Candidates(np.array(chosen, np.int64), rows)
