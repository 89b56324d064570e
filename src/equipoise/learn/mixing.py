"""How a group mixes candidates, from sums over its tuning people by fold."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Final

import numpy as np

from equipoise.learn.people import Array, Options, Parted, Places
from equipoise.solvers.sparse_weights import SparseWeights
from equipoise.solvers.stack import (
    StackMoments,
    alone,
    best,
    best_ridge,
    ridge,
    stack,
    stack_moments,
)

LEAST_STACKED: Final = 40
"""Tuning people of a group; with fewer, its own best candidate is taken and nothing is mixed."""

_LEAST_FOLDS: Final = 4
"""A stack needs three, and one more is left out for calibration."""


def mixture(folds: Sequence[StackMoments], own: tuple[int, ...], people: int) -> Array:
    """Return how a group of so many tuning people mixes the candidates, (k,)."""
    if people >= LEAST_STACKED:
        return stack(folds, own).weights
    everybody = reduce(add, folds)
    return alone(everybody, best(everybody, own)).weights


def blend(folds: Sequence[StackMoments]) -> Array:
    """Return the ridge stack of tuning people, whether it is taken or not, (k,).

    A group that ends with one candidate is no surer of a person's score than one that mixes.
    """
    return ridge(reduce(add, folds), best_ridge(folds)).weights


def tuned(
    groups: Mapping[str, Parted], weights: SparseWeights, options: Options
) -> dict[str, list[StackMoments]]:
    """Return the sums over each group's tuning people, by fold."""
    dense = weights.dense(0, len(weights.starts) - 1)
    found: dict[str, list[StackMoments]] = {}
    for name, p in groups.items():
        made, own = p.tuning.dosage @ dense, p.tuning
        found[name] = [
            stack_moments(made[rows], own.covariates[rows], own.trait[rows])
            for rows in _folds(len(own.trait), options)
        ]
    return found


def _folds(people: int, options: Options) -> list[Places]:
    number = max(_LEAST_FOLDS, min(options.folds, people))
    return [np.arange(k, people, number) for k in range(number)]


def unseen(
    each: Array,
    folds: Sequence[StackMoments],
    own: tuple[int, ...],
    options: Options,
    *,
    stacked: bool,
) -> Array:
    """Return scores of tuning people by the mixture of the other folds, (people,).

    each     (people, k) by each candidate
    stacked  whether the group's own mixture is a stack: then these are, too

    Zeros where people are too few to be calibrated by them.
    """
    found = np.zeros(len(each))
    if len(each) < LEAST_STACKED:
        return found
    for k, rows in enumerate(_folds(len(each), options)):
        rest = [fold for i, fold in enumerate(folds) if i != k]
        everybody = reduce(add, rest)
        mixed = blend(rest) if stacked else alone(everybody, best(everybody, own)).weights
        found[rows] = each[rows] @ mixed
    return found
