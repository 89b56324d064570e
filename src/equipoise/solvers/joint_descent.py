"""Coordinate descent for elastic nets of several strata on one LD block, compiled.

The sum that is made least, and what is left of it for one variant, are in `multi_ancestry.py`.
Sums R b are kept in the precision of R, weights in double precision. Most variants stay at 0, so
sweeps go over those that have a weight or are off; all are looked at before and after.

What loops share, by the names of layers below:

    genotypes  (strata, b, b) R
    left       (strata, b) r - R b, kept current
    state      (LAYERS, b, strata) of each variant
    point      (LAYERS, strata) of a point of the path, and of the variant at hand
"""

from functools import partial
from typing import Any, Final

import numpy as np

from equipoise.native import LOOSE, Loop, native

_part: Final = partial(Loop, forceinline=True)
_sum: Final = partial(Loop, forceinline=True, fastmath=set(LOOSE))
"""Parts of one loop. Left to itself LLVM calls some of them, which costs a quarter of the time."""

_TRAIT, _DIAGONAL, _SCALE, _NOW, _SIZE, _INVERSE = range(6)
"""r, R_jj, v (0 where one stratum at most carries the variant), b so far, what b is divided by,
w (R_jj + l2) + c m v^2, and one over it, 0 for a stratum that does not carry the variant."""

LAYERS: Final = 6
"""How many there are."""

_WEIGHT, _L1, _L2, _ALONE, _FRESH = range(5)
"""w, w l1, l2; of one variant w (what is left without its own weights), and its next weights."""


def _descend(
    genotypes: Any,
    known: Any,
    path: Any,
    coupling: Any,
    start: Any,
    weights: Any,
    tolerance: Any,
    most: Any,
    found: Any,
    report: Any,
    left: Any,
    state: Any,
    point: Any,
    listed: Any,
) -> None:
    """Write the weights of every point of a block and (sweeps, change, residual).

    known     (2, strata, b) r and v                path      (2, points, strata) l1 and l2
    coupling  (points,) c                           start     (points,) as in `Penalties`
    weights   (strata,) w                           found     (points, strata, b)
    left, state, point, and listed (2, b), are room
    """
    _know(genotypes, known, state)
    for p in range(len(coupling)):
        _begin(path, weights, coupling[p], p, state, point)
        number = _listed_first(found, start[p], state, listed)
        _subtract(genotypes, left, state)
        sweeps, change = 1, 0.0
        while True:
            number, residual = _look(left, state, point, coupling[p], tolerance, listed, number)
            if residual <= tolerance or sweeps >= most:
                break
            missed = np.inf
            while missed > tolerance and sweeps < most:
                missed, change = _sweep(genotypes, left, state, point, coupling[p], listed, number)
                sweeps += 1
        for j in range(left.shape[1]):
            for a in range(left.shape[0]):
                found[p, a, j] = state[_NOW, j, a]
        report[p, 0], report[p, 1], report[p, 2] = sweeps, change, residual


def _kinds(real: str) -> tuple[str, ...]:
    """Return the kinds of the arguments where R is of this one."""
    cube, square, row = "float64[:,:,:]", "float64[:,:]", "float64[:]"
    of_path = (cube, row, "int64[:]", row, "float64", "int64", cube, square)
    return (f"{real}[:,:,:]", cube, *of_path, f"{real}[:,:]", cube, square, "int64[:,:]")


descend: Final = {real: native(*_kinds(real))(_descend) for real in ("float32", "float64")}
"""By the kind of R."""


@_part
def _know(genotypes: Any, known: Any, state: Any) -> None:
    """Write what is the same at all points."""
    for j in range(state.shape[1]):
        carried = 0
        for a in range(state.shape[2]):
            carried += known[1, a, j] > 0
        for a in range(state.shape[2]):
            state[_TRAIT, j, a] = known[0, a, j]
            state[_DIAGONAL, j, a] = genotypes[a, j, j]
            state[_SCALE, j, a] = known[1, a, j] if carried > 1 else 0.0
            state[_INVERSE, j, a] = 1.0 * (known[1, a, j] > 0)


@_part
def _begin(path: Any, weights: Any, pull: Any, p: Any, state: Any, point: Any) -> None:
    """Write what is the same in all sweeps of a point."""
    strata = state.shape[2]
    for a in range(strata):
        point[_WEIGHT, a] = weights[a]
        point[_L1, a] = weights[a] * path[0, p, a]
        point[_L2, a] = path[1, p, a]
    for j in range(state.shape[1]):
        carried = 0
        for a in range(strata):
            carried += state[_SCALE, j, a] > 0
        for a in range(strata):
            size = weights[a] * (state[_DIAGONAL, j, a] + point[_L2, a])
            size += pull * carried * state[_SCALE, j, a] ** 2
            state[_SIZE, j, a] = size
            state[_INVERSE, j, a] = 1.0 / size if state[_INVERSE, j, a] > 0 else 0.0


@_part
def _listed_first(found: Any, start: Any, state: Any, listed: Any) -> int:
    """Write the weights to begin with, list the variants that have one; return their number."""
    number = 0
    for j in range(state.shape[1]):
        weighted = 0
        for a in range(state.shape[2]):
            state[_NOW, j, a] = found[start, a, j] if start >= 0 else 0.0
            weighted += state[_NOW, j, a] != 0
        listed[1, j] = weighted > 0
        if weighted > 0:
            listed[0, number] = j
            number += 1
    return number


@_part
def _subtract(genotypes: Any, left: Any, state: Any) -> None:
    """Write r - R b anew, once a point: the rounding of a point's steps stays far below 1e-6."""
    for a in range(left.shape[0]):
        for j in range(left.shape[1]):
            left[a, j] = state[_TRAIT, j, a]
        for j in range(left.shape[1]):
            if state[_NOW, j, a] != 0:
                _take(genotypes, left, a, j, left.dtype.type(state[_NOW, j, a]))


@_sum
def _take(genotypes: Any, left: Any, a: Any, j: Any, step: Any) -> None:
    """Take a step's multiple of row j of R from what is left in stratum a."""
    for k in range(left.shape[1]):
        left[a, k] -= genotypes[a, j, k] * step


@_part
def _look(
    left: Any, state: Any, point: Any, pull: Any, tolerance: Any, listed: Any, number: Any
) -> Any:
    """Look at all variants and list those off by more than the tolerance.

    Return how many are listed and the greatest distance from the conditions of an optimum.
    """
    most = 0.0
    for j in range(state.shape[1]):
        off = _violation(left, state, point, pull, j)
        most = max(most, off)
        if off > tolerance and listed[1, j] == 0:
            listed[0, number], listed[1, j] = j, 1
            number += 1
    return number, most


@_part
def _violation(left: Any, state: Any, point: Any, pull: Any, j: Any) -> float:
    """Return how far the weights of variant j are from the conditions of an optimum."""
    most, together = 0.0, 0.0
    for a in range(state.shape[2]):
        together += state[_SCALE, j, a] * state[_NOW, j, a]
    for a in range(state.shape[2]):
        if state[_INVERSE, j, a] > 0:
            own, w = state[_NOW, j, a], point[_WEIGHT, a]
            slope = w * (left[a, j] + state[_DIAGONAL, j, a] * own) - state[_SIZE, j, a] * own
            slope += pull * state[_SCALE, j, a] * together
            if own == 0:
                off = max(abs(slope) - point[_L1, a], 0.0)
            else:
                off = abs(slope - point[_L1, a] if own > 0 else slope + point[_L1, a])
            most = max(most, off / w)
    return most


@_part
def _sweep(
    genotypes: Any, left: Any, state: Any, point: Any, pull: Any, listed: Any, number: Any
) -> Any:
    """Renew the weights of listed variants; return the greatest violation met and change."""
    missed, change = 0.0, 0.0
    for i in range(number):
        off, step = _renew(genotypes, left, state, point, pull, listed[0, i])
        missed, change = max(missed, off), max(change, step)
    return missed, change


@_part
def _renew(genotypes: Any, left: Any, state: Any, point: Any, pull: Any, j: Any) -> Any:
    """Find the weights of variant j in all strata; return their violation before and change."""
    moved, before, together = 0, 0.0, 0.0
    for a in range(state.shape[2]):
        own = state[_NOW, j, a]
        point[_ALONE, a] = point[_WEIGHT, a] * (left[a, j] + state[_DIAGONAL, j, a] * own)
        before += state[_SCALE, j, a] * own
        moved += (own != 0) + (abs(point[_ALONE, a]) > point[_L1, a])
    missed, change = 0.0, 0.0
    if moved > 0:
        if pull > 0 and state.shape[2] > 1:
            together = _balance(state, point, pull, j)
        else:
            _answer(state, point, 0.0, j, 0.0)
        for a in range(state.shape[2]):
            step = point[_FRESH, a] - state[_NOW, j, a]
            if step != 0:
                state[_NOW, j, a] = point[_FRESH, a]
                off = step * state[_SIZE, j, a] - pull * state[_SCALE, j, a] * (together - before)
                missed = max(missed, abs(off) / point[_WEIGHT, a])
                change = max(change, abs(step))
                _take(genotypes, left, a, j, left.dtype.type(step))
    return missed, change


@_part
def _balance(state: Any, point: Any, pull: Any, j: Any) -> float:
    """Write the next weights of variant j; return the T they add up to.

    Newton's steps kept within a bracket, from the T of weights that keep their signs: a T that
    lies on the straight piece whose root it is, is the answer.
    """
    low, high = -np.inf, np.inf
    together, before = _of_same_signs(state, point, pull, j)
    for _ in range(100):
        total, slope, piece = _answer(state, point, pull, j, together)
        off = total - together
        if piece == before or off == 0:
            break
        if off > 0:
            low = together
        else:
            high = together
        following, before = together - off / slope, piece
        if following == together:
            break
        if following <= low or following >= high:
            following, before = (low + high) / 2, -1
        together = following
    return together


@_part
def _answer(state: Any, point: Any, pull: Any, j: Any, together: Any) -> Any:
    """Write the next weights given T; return the T they make, less its slope, and their signs."""
    total, slope, signs = 0.0, -1.0, 0
    for a in range(state.shape[2]):
        v, inverse = state[_SCALE, j, a], state[_INVERSE, j, a]
        alone = point[_ALONE, a] + pull * v * together
        size = max(abs(alone) - point[_L1, a], 0.0) * inverse
        point[_FRESH, a] = size if alone > 0 else -size
        total += v * point[_FRESH, a]
        slope += pull * v * v * inverse * (size > 0)
        signs = 3 * signs + (size > 0) + (size > 0) * (alone > 0)
    return total, slope, signs


@_part
def _of_same_signs(state: Any, point: Any, pull: Any, j: Any) -> Any:
    """Return the T of weights that keep their signs, and these."""
    total, slope, signs = 0.0, 1.0, 0
    for a in range(state.shape[2]):
        own, v, inverse = state[_NOW, j, a], state[_SCALE, j, a], state[_INVERSE, j, a]
        held, sign = 1.0 * (own != 0), 1.0 * (own > 0) - 1.0 * (own < 0)
        total += v * inverse * (held * point[_ALONE, a] - sign * point[_L1, a])
        slope -= held * pull * v * v * inverse
        signs = 3 * signs + (own != 0) + (own > 0)
    return total / slope, signs
