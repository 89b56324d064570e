"""The exact test of Hardy-Weinberg equilibrium by walking from what was observed.

The p value and the mid-p value of `solvers/hardy.py` at once (Wigginton et al. 2005,
doi:10.1086/429864, equation 2; Graffelman and Moreno 2013, doi:10.1515/sagmb-2012-0039), for
tables of millions of variants: outcomes are walked through one by one from the observed
number of heterozygotes, up and down, each relative to it. What becomes too large for a
double is kept with an exponent of its own, so that p far below the least double stays right;
a walk ends where an outcome is below 1e-20 of the observed one. Outcomes as probable as the
observed one count as it does: fully for p, by half for the mid-p value, as in PLINK.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled

_TIE: Final = 1e-9
_STEP: Final = 2.0**512
_LEAST: Final = 1e-20


def neg_log_10_p(
    het: NDArray[np.int64], hom: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return -log10 of the exact p value and of the mid-p value, each of the counts' shape.

    `hom` and `other` are the two kinds of homozygotes, in either order; all three have one
    shape. Where one outcome alone is possible p is 1 and the mid-p value a half. ValueError
    for a negative count, or more than 2**31 people.

    >>> p, mid = neg_log_10_p(np.array([57]), np.array([14]), np.array([50]))
    >>> round(float(10 ** -p[0]), 6), round(float(10 ** -mid[0]), 6)
    (0.84228, 0.766681)
    """
    counts = np.stack([het.ravel(), hom.ravel(), other.ravel()]).astype(np.int64)
    if counts.min(initial=0) < 0 or counts.sum(axis=0).max(initial=0) > 2**31:
        raise ValueError("a genotype count below 0, or more than 2**31 people")
    found = np.zeros((2, het.size))
    _each(counts[0], counts[1], counts[2], found)
    return found[0].reshape(het.shape), found[1].reshape(het.shape)


@compiled
def _each(het: Any, hom: Any, other: Any, found: Any) -> None:
    for i in range(len(het)):
        rare, common = min(hom[i], other[i]), max(hom[i], other[i])
        up = _walk(het[i], rare, common, 1)
        down = _walk(het[i], rare, common, -1)
        less, tied = up[2] + down[2], 1.0 + up[3] + down[3]
        log_all = _log_sum(up[0], up[1], down[0], down[1])
        found[0, i] = max((log_all - np.log(less + tied)) / np.log(10.0), 0.0)
        found[1, i] = max((log_all - np.log(less + 0.5 * tied)) / np.log(10.0), 0.0)


@compiled
def _walk(het: Any, rare: Any, common: Any, sign: Any) -> Any:
    """Return the outcomes on one side, relative to the observed one.

    Their sum as a double and an exponent of `_STEP`; the sum of those less probable than the
    observed one; and how many are as probable.
    """
    h, r, c = float(het), float(rare), float(common)
    value, exponent = 1.0, 0
    total, at, less, tied = 0.0, 0, 0.0, 0.0
    ratio = _ratio(h, r, c, sign)
    while ratio > 0:
        h, r, c = h + 2 * sign, r - sign, c - sign
        value, exponent = _level(value * ratio, exponent)
        if exponent > at:
            total, at = total / _STEP, exponent
        # Two steps down is nothing beside what there is already.
        if exponent == at:
            total += value
        elif exponent == at - 1:
            total += value / _STEP
        if exponent == 0:
            if abs(value - 1) <= _TIE:
                tied += 1.0
            elif value < 1:
                less += value
            if ratio < 1 and value < _LEAST:
                break
        ratio = _ratio(h, r, c, sign)
    return total, at, less, tied


@compiled
def _level(value: Any, exponent: Any) -> Any:
    """Return the same number with its double from 1 to `_STEP`, or below where it is small."""
    if value > _STEP:
        return value / _STEP, exponent + 1
    if exponent > 0 and value < 1.0:
        return value * _STEP, exponent - 1
    return value, exponent


@compiled
def _ratio(h: Any, r: Any, c: Any, sign: Any) -> float:
    """Return how probable two heterozygotes more, or fewer, are: 0 where there are no such."""
    if sign > 0:
        return 4 * r * c / ((h + 2) * (h + 1))
    return h * (h - 1) / (4 * (r + 1) * (c + 1))


@compiled
def _log_sum(a: Any, a_at: Any, b: Any, b_at: Any) -> float:
    """Return the logarithm of 1 and both sides together."""
    most = max(a_at, b_at)
    total = _scaled(1.0, most) + _scaled(a, most - a_at) + _scaled(b, most - b_at)
    return np.log(total) + most * np.log(_STEP)


@compiled
def _scaled(value: Any, down: Any) -> float:
    """Return a value so many steps of `_STEP` down; two steps are nothing."""
    if down == 0:
        return value
    return value / _STEP if down == 1 else 0.0
