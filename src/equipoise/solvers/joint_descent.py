"""Coordinate descent for elastic nets of several strata on one LD block, compiled.

The sum that is made least, and what is left of it for one variant, are in `multi_ancestry.py`.
Arrays are as there: `genotypes` is R (strata, b, b), `known` r and v (2, strata, b), `path` l1
and l2 (2, points, strata), `weights` w (strata,), `found` the weights (points, strata, b).
"""

from typing import Any, Final

import numpy as np

from equipoise.native import compiled, native

_CUBE: Final = "float64[:,:,:]"


@native(
    _CUBE,
    _CUBE,
    _CUBE,
    "float64[:]",
    "int64[:]",
    "float64[:]",
    "float64",
    "int64",
    _CUBE,
    "float64[:,:]",
    _CUBE,
)
def descend(
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
    room: Any,
) -> None:
    """Write the weights of every point of a block and (sweeps, change, residual).

    known  r and v          path  l1 and l2
    room   (2, strata, b): R b, kept current, and at [1, a, 0] what is left of one variant
    """
    strata, size = found.shape[1], found.shape[2]
    for p in range(len(coupling)):
        for a in range(strata):
            for j in range(size):
                found[p, a, j] = found[start[p], a, j] if start[p] >= 0 else 0.0
        _multiply(genotypes, found, p, room)
        sweeps, change, violation, full = 0, 0.0, np.inf, True
        while sweeps < most:
            change, violation = _sweep(
                genotypes, known, path, coupling[p], weights, p, found, room, full
            )
            sweeps += 1
            if violation < tolerance and full:
                # A sweep sees each variant before those after it have moved.
                _multiply(genotypes, found, p, room)
                if _residual(known, path, coupling[p], weights, p, found, room) <= (tolerance):
                    break
            else:
                # All are looked at again once those with a weight have settled.
                full = violation < tolerance
        _multiply(genotypes, found, p, room)
        report[p, 0], report[p, 1] = sweeps, change
        report[p, 2] = _residual(known, path, coupling[p], weights, p, found, room)


@compiled
def _multiply(genotypes: Any, found: Any, p: Any, room: Any) -> None:
    """Write R b of the point p into the first layer of the room."""
    strata, size = found.shape[1], found.shape[2]
    for a in range(strata):
        for k in range(size):
            room[0, a, k] = 0.0
        for j in range(size):
            own = found[p, a, j]
            if own != 0:
                for k in range(size):
                    room[0, a, k] += genotypes[a, j, k] * own


@compiled
def _sweep(
    genotypes: Any,
    known: Any,
    path: Any,
    c: Any,
    weights: Any,
    p: Any,
    found: Any,
    room: Any,
    full: Any,
) -> Any:
    """Go over all variants, or those with a weight; return the greatest change and violation."""
    change, violation = 0.0, 0.0
    for j in range(found.shape[2]):
        carried = _carriers(known, j)
        if carried == 0 or not (full or _has_weight(found, p, j)):
            continue
        pull = c if carried > 1 else 0.0
        missed = _violation(known, path, pull, weights, p, found, room, j)
        if missed > 0:
            violation = max(violation, missed)
            change = max(change, _renew(genotypes, known, path, pull, weights, p, found, room, j))
    return change, violation


@compiled
def _renew(
    genotypes: Any,
    known: Any,
    path: Any,
    pull: Any,
    weights: Any,
    p: Any,
    found: Any,
    room: Any,
    j: Any,
) -> float:
    """Find the weights of variant j in all strata, keep R b current; return the change."""
    strata, size, change, together = found.shape[1], found.shape[2], 0.0, 0.0
    for a in range(strata):
        own = genotypes[a, j, j] * found[p, a, j]
        room[1, a, 0] = weights[a] * (known[0, a, j] - room[0, a, j] + own)
        together += known[1, a, j] * found[p, a, j]
    if pull > 0:
        together = _balance(genotypes, known, path, pull, weights, p, room, j, together)
    for a in range(strata):
        if known[1, a, j] > 0:
            new = _best(genotypes, known, path, pull, weights, p, room, j, a, together)
            step = new - found[p, a, j]
            if step != 0:
                found[p, a, j] = new
                change = max(change, abs(step))
                for k in range(size):
                    room[0, a, k] += genotypes[a, j, k] * step
    return change


@compiled
def _has_weight(found: Any, p: Any, j: Any) -> bool:
    number = 0
    for a in range(found.shape[1]):
        number += found[p, a, j] != 0
    return number > 0


@compiled
def _carriers(known: Any, j: Any) -> int:
    number = 0
    for a in range(known.shape[1]):
        if known[1, a, j] > 0:
            number += 1
    return number


@compiled
def _best(
    genotypes: Any,
    known: Any,
    path: Any,
    pull: Any,
    weights: Any,
    p: Any,
    room: Any,
    j: Any,
    a: Any,
    together: Any,
) -> float:
    """Return the weight of variant j in stratum a, given T."""
    v = known[1, a, j]
    left = room[1, a, 0] + pull * v * together
    shrunk = max(abs(left) - weights[a] * path[0, p, a], 0.0)
    size = weights[a] * (genotypes[a, j, j] + path[1, p, a])
    if pull > 0:
        size += pull * _carriers(known, j) * v * v
    return shrunk / size if left > 0 else -shrunk / size


@compiled
def _balance(
    genotypes: Any,
    known: Any,
    path: Any,
    pull: Any,
    weights: Any,
    p: Any,
    room: Any,
    j: Any,
    together: Any,
) -> float:
    """Return the T whose weights add up to it, by Newton's steps kept within a bracket."""
    low, high, carried = -np.inf, np.inf, _carriers(known, j)
    for _ in range(100):
        total, slope = 0.0, -1.0
        for a in range(known.shape[1]):
            v = known[1, a, j]
            if v > 0:
                own = _best(genotypes, known, path, pull, weights, p, room, j, a, together)
                total += v * own
                if own != 0:
                    plain = weights[a] * (genotypes[a, j, j] + path[1, p, a])
                    slope += pull * v * v / (plain + pull * carried * v * v)
        off = total - together
        if abs(off) <= 1e-15 * (abs(total) + abs(together)):
            break
        if off > 0:
            low = together
        else:
            high = together
        together -= off / slope
        if together <= low or together >= high:
            together = (low + high) / 2
    return together


@compiled
def _violation(
    known: Any,
    path: Any,
    pull: Any,
    weights: Any,
    p: Any,
    found: Any,
    room: Any,
    j: Any,
) -> float:
    """Return how far the weights of variant j are from the conditions of an optimum."""
    most, together, carried = 0.0, 0.0, _carriers(known, j)
    for a in range(known.shape[1]):
        together += known[1, a, j] * found[p, a, j]
    for a in range(known.shape[1]):
        v, own = known[1, a, j], found[p, a, j]
        if v > 0:
            left = known[0, a, j] - room[0, a, j] - path[1, p, a] * own
            left += pull * v * (together - carried * v * own) / weights[a]
            if own > 0:
                off = abs(left - path[0, p, a])
            elif own < 0:
                off = abs(left + path[0, p, a])
            else:
                off = max(abs(left) - path[0, p, a], 0.0)
            most = max(most, off)
    return most


@compiled
def _residual(
    known: Any,
    path: Any,
    c: Any,
    weights: Any,
    p: Any,
    found: Any,
    room: Any,
) -> float:
    most = 0.0
    for j in range(found.shape[2]):
        pull = c if _carriers(known, j) > 1 else 0.0
        most = max(most, _violation(known, path, pull, weights, p, found, room, j))
    return most
