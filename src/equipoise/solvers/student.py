"""Tails of Student's t, in logarithms, right far below the least double.

P(T > t) = I_x(a, b) / 2 with x = dof / (dof + t^2), a = dof / 2 and b = 1/2, the incomplete beta
function by its continued fraction (DLMF 8.17.22, https://dlmf.nist.gov/8.17#E22) after
Lentz, or 1 - I_{1-x}(b, a) where that converges sooner. Compiled, and without a library that
takes longer to import than a million tails take.
"""

from math import lgamma, log, log1p
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled, native

_TINY: Final = 1e-300
_CLOSE: Final = 1e-15
_TERMS: Final = 100_000


def student_log_tail(
    t: NDArray[np.float64], dof: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the natural logarithm of P(T > t), T Student's with `dof` degrees of freedom.

    `dof` is one for all, or of the shape of `t`; NaN, and dof below 1, give NaN.

    >>> round(float(student_log_tail(np.array([200.0]), 350)[0]), 6)
    -834.641654
    """
    found = np.empty(t.shape)
    dofs = np.ascontiguousarray(np.broadcast_to(np.asarray(dof, np.float64), t.shape))
    _log_tails(np.ascontiguousarray(t).reshape(-1), dofs.reshape(-1), found.reshape(-1))
    return found


@native("float64[:]", "float64[:]", "float64[:]")
def _log_tails(t: Any, dof: Any, found: Any) -> None:
    before, constant = 0.0, 0.0
    for i in range(len(t)):
        if not (dof[i] >= 1.0) or np.isnan(t[i]):
            found[i] = np.nan
            continue
        if dof[i] != before:
            before, constant = dof[i], _constant(dof[i] / 2)
        found[i] = _log_tail(abs(t[i]), dof[i], constant)
        if t[i] < 0:
            found[i] = log1p(-np.exp(found[i]))


@compiled
def _constant(a: Any) -> float:
    """Return -log B(a, 1/2); of a large a by the series of the ratio of gammas, DLMF 5.11.13."""
    if a < 50.0:
        return lgamma(a + 0.5) - lgamma(a) - lgamma(0.5)
    r = 1.0 / a
    return 0.5 * log(a) - r / 8 + r**3 / 192 - r**5 / 640 - lgamma(0.5)


@compiled
def _log_tail(t: Any, dof: Any, constant: Any) -> float:
    """Return log P(T > t) for t at least 0; `constant` is -log B(dof / 2, 1/2)."""
    if t == 0.0:
        return -log(2.0)
    if t == np.inf:
        return -np.inf
    a, b, ratio = dof / 2, 0.5, t * t / dof
    x, rest = 1.0 / (1.0 + ratio), ratio / (1.0 + ratio)
    log_front = constant - a * log1p(ratio) + b * log(rest)
    if x < (a + 1.0) / (a + b + 2.0):
        return log_front - log(a) + log(_fraction(x, a, b)) - log(2.0)
    inner = np.exp(log_front - log(b)) * _fraction(rest, b, a)
    return log((1.0 - inner) / 2)


@compiled
def _fraction(x: Any, a: Any, b: Any) -> float:
    """Return the continued fraction of I_x(a, b), by Lentz's method."""
    d = 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    c, value = 1.0, d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        d = 1.0 / _nonzero(1.0 + even * d)
        c = _nonzero(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        d = 1.0 / _nonzero(1.0 + odd * d)
        c = _nonzero(1.0 + odd / c)
        value *= d * c
        if abs(d * c - 1.0) < _CLOSE:
            break
    return value


@compiled
def _nonzero(value: Any) -> float:
    return value if abs(value) > _TINY else _TINY
