"""Tail probabilities of the score of a binary trait, by saddle-point approximation.

The score S = sum g~_i (Y_i - mu_i), with Y_i a case with probability mu_i and g~ the dosages
less what covariates explain of them, has the cumulant generating function

    K(t) = sum_i log(1 - mu_i + mu_i exp(t g~_i)) - t mu_i g~_i

and with K'(t) = s, w = sign(t) sqrt(2 (t s - K(t))) and v = t sqrt(K''(t)),

    P(S > s) = 1 - Phi(w + log(v / w) / w)

(Barndorff-Nielsen's form of Lugannani and Rice; Dey et al. 2017,
doi:10.1016/j.ajhg.2017.05.014, equations 2 to 5). Two-sided is the sum of both tails at
+-|s|, as there.

A score that is a whole number, as that of a rare allele nearly is, has a mid-p value t / 2
coth(t / 2) times as large, t the saddle-point per allele: 2 % at an odds ratio of 1.6, a fifth
at 5. So rare variants have `poisson_binomial`.

Departures. fastSPA takes people without the allele for normal. Here everybody near 0, with
|t g~| at most 1, enters by the first ten cumulants of the trait, whose sums over people are
taken once a variant: what is cut off is below 1e-5 of their share of K (that series has a
radius of pi at least). Only the others are evaluated one by one. So the cost is that of
one pass over the people for common variants too, and nothing is taken for normal.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled, vectorised

Array = NDArray[np.float64]

ORDER = 10
"""Cumulants of the near people."""

_NEAR = 1.0
"""The most that |t g~| may be where the series of cumulants is used."""

_STEPS = 100
_SETTLED = 1e-9
_ATTEMPTS = 12
_NEGLIGIBLE = -16.0
_TILE = 512


@dataclass(frozen=True, slots=True)
class Trait:
    """Fitted probabilities, (people,), and their cumulants, (ORDER - 1, people), from the second.

    Made once for all variants.
    """

    fitted: Array = field(repr=False)
    cumulants: Array = field(repr=False)

    @classmethod
    def of(cls, fitted: Array) -> "Trait":
        """Return the trait of people who are cases with these probabilities.

        The cumulants of a yes/no variable are polynomials in its mean p: k1 = p and
        k(j + 1) = p (1 - p) dkj/dp.
        """
        polynomial = np.polynomial.Polynomial([0.0, 1.0])
        rows: list[Array] = []
        for _ in range(ORDER - 1):
            polynomial = polynomial.deriv() * np.polynomial.Polynomial([0.0, 1.0, -1.0])
            rows.append(np.asarray(polynomial(fitted), np.float64))
        return cls(np.ascontiguousarray(fitted), np.array(rows))


def log_tails(adjusted: Array, score: Array, trait: Trait) -> Array:
    """Return log P(S > |s|) and log P(S < -|s|), (variants, 2).

    adjusted  (variants, people) dosages less what covariates explain of them
    score     (variants,) s

    -inf where no outcome is so far out, NaN where the saddle-point was not found. A tail that
    is shown to be below e^-16 of the other may be given as a bound of it instead. The
    approximation fails next to 0: use it for scores some standard deviations out.
    """
    found = np.empty((len(adjusted), 2))
    _each(np.ascontiguousarray(adjusted), score, trait.fitted, trait.cumulants, found)
    return found


def log_two_sided(adjusted: Array, score: Array, trait: Trait) -> Array:
    """Return the natural logarithm of the two-sided p value, (variants,); see `log_tails`."""
    tails = log_tails(adjusted, score, trait)
    return np.minimum(np.logaddexp(tails[:, 0], tails[:, 1]), 0.0)


def log_tail_at(t: Array, score: Array, k: Array, variance: Array) -> Array:
    """Return the log tail beyond `score` from K(t) and K''(t) at the saddle-point t, all (...,).

    t and score are not 0 and have one sign, which says which tail.
    """
    found = np.empty(t.size)
    flat = (values.ravel() for values in np.broadcast_arrays(t, score, k, variance))
    for i, (at, s, value, second) in enumerate(zip(*flat, strict=True)):
        found[i] = _log_tail(float(at), float(s), float(value), float(second))
    return found.reshape(t.shape)


@compiled
def log_normal_tail(x: float) -> float:
    """Return the natural logarithm of P(X > x), X standard normal.

    Far out by Laplace's continued fraction (DLMF 7.9.3), right to the last digits from 12 on.

    >>> round(log_normal_tail(40.0), 6)
    -804.608442
    """
    if x < 12.0:
        return math.log(0.5 * math.erfc(x / math.sqrt(2.0)))
    fraction = x
    for j in range(40, 0, -1):
        fraction = x + j / fraction
    return -0.5 * x * x - math.log(fraction) - 0.5 * math.log(2.0 * math.pi)


@compiled
def _log_tail(t: float, s: float, k: float, second: float) -> float:
    squared = 2.0 * (t * s - k)
    if not (squared > 0.0 and second > 0.0):
        return np.nan
    w, v = math.sqrt(squared), abs(t) * math.sqrt(second)
    return log_normal_tail(w + math.log(v / w) / w)


@compiled
def _each(adjusted: Array, score: Array, fitted: Array, cumulants: Array, found: Array) -> None:
    n = adjusted.shape[1]
    near, far, risk = np.empty(n), np.empty(n), np.empty(n)
    for v in range(adjusted.shape[0]):
        s = abs(score[v])
        found[v] = _tails(s, adjusted[v], fitted, cumulants, near, far, risk)


@compiled
def _tails(
    s: float, g: Array, fitted: Array, cumulants: Array, near: Array, far: Array, risk: Array
) -> tuple[float, float]:
    low, high, variance = _range(g, fitted)
    upper, lower = -np.inf if s >= high else np.nan, -np.inf if -s <= low else np.nan
    if not (variance > 0.0 and s > 0.0):
        return np.nan, np.nan
    reach = 2.0 * s / variance
    for _ in range(_ATTEMPTS):
        n_far, widest = _parted(_NEAR / reach, g, fitted, near, far, risk)
        series = _series(near, cumulants)
        others, risks = far[:n_far], risk[:n_far]
        limit = _NEAR / widest if widest > 0.0 else np.inf
        if np.isnan(upper):
            upper = _tail(s, limit, series, others, risks)
        if np.isnan(lower):
            lower = _tail(-s, limit, series, others, risks)
        if np.isnan(upper) and not np.isnan(lower):
            upper = _negligible(s, limit, lower, series, others, risks)
        if np.isnan(lower) and not np.isnan(upper):
            lower = _negligible(-s, -limit, upper, series, others, risks)
        if not (np.isnan(upper) or np.isnan(lower)) or n_far == len(g):
            break
        reach = 4.0 * max(reach, limit)
    return upper, lower


@compiled
def _tail(s: float, limit: float, series: Array, far: Array, risk: Array) -> float:
    """Return the log tail, NaN where the saddle-point is beyond the limit."""
    t = _saddle_point(s, limit, series, far, risk)
    if np.isnan(t):
        return np.nan
    value, second = _value(t, series, far, risk), _slopes(t, series, far, risk)[1]
    return _log_tail(t, s, value, second)


@compiled
def _negligible(s: float, t: float, other: float, series: Array, far: Array, risk: Array) -> float:
    """Return a bound of the log tail where it shows that the other is all that counts, or NaN.

    Chernoff's: P(S > s) is at most exp(K(t) - t s) for every t.
    """
    if np.isinf(t):
        return np.nan
    bound = _value(t, series, far, risk) - t * s
    return bound if bound < other + _NEGLIGIBLE else np.nan


@vectorised
def _range(g: Array, fitted: Array) -> tuple[float, float, float]:
    """Return the least and the greatest S, and its variance."""
    least, most, mean, variance = 0.0, 0.0, 0.0, 0.0
    for i in range(len(g)):
        least += min(g[i], 0.0)
        most += max(g[i], 0.0)
        mean += g[i] * fitted[i]
        variance += g[i] * g[i] * fitted[i] * (1.0 - fitted[i])
    return least - mean, most - mean, variance


@compiled
def _parted(
    limit: float, g: Array, fitted: Array, near: Array, far: Array, risk: Array
) -> tuple[int, float]:
    """Split the people: `near` gets g or 0; return how many are far, and the widest near."""
    n_far, widest = 0, 0.0
    for i in range(len(g)):
        x = g[i]
        if abs(x) <= limit:
            near[i] = x
            widest = max(widest, abs(x))
        else:
            near[i] = 0.0
            far[n_far], risk[n_far] = x, fitted[i]
            n_far += 1
    return n_far, widest


@vectorised
def _series(near: Array, cumulants: Array) -> Array:
    """Return the coefficients of the near people's K(t), from t^2 to t^ORDER."""
    n, orders = len(near), cumulants.shape[0]
    series, power = np.zeros(orders), np.empty(_TILE)
    for start in range(0, n, _TILE):
        size = min(_TILE, n - start)
        for i in range(size):
            power[i] = near[start + i] * near[start + i]
        for j in range(orders):
            total = 0.0
            for i in range(size):
                total += cumulants[j, start + i] * power[i]
                power[i] *= near[start + i]
            series[j] += total
    factorial = 1.0
    for j in range(orders):
        factorial *= j + 2.0
        series[j] /= factorial
    return series


@compiled
def _slopes(t: float, series: Array, far: Array, risk: Array) -> tuple[float, float]:
    """Return K'(t) and K''(t)."""
    first, second = 0.0, 0.0
    for j in range(len(series) - 1, -1, -1):
        first = first * t + (j + 2.0) * series[j]
        second = second * t + (j + 2.0) * (j + 1.0) * series[j]
    first *= t
    for i in range(len(far)):
        case = risk[i] / (risk[i] + (1.0 - risk[i]) * math.exp(-t * far[i]))
        first += far[i] * (case - risk[i])
        second += far[i] * far[i] * case * (1.0 - case)
    return first, second


@compiled
def _value(t: float, series: Array, far: Array, risk: Array) -> float:
    """Return K(t)."""
    value = 0.0
    for j in range(len(series) - 1, -1, -1):
        value = value * t + series[j]
    value *= t * t
    for i in range(len(far)):
        x = t * far[i]
        # From whichever end does not overflow.
        if x > 0.0:
            value += x * (1.0 - risk[i]) + math.log(risk[i] + (1.0 - risk[i]) * math.exp(-x))
        else:
            value += math.log(1.0 - risk[i] + risk[i] * math.exp(x)) - x * risk[i]
    return value


@compiled
def _saddle_point(s: float, limit: float, series: Array, far: Array, risk: Array) -> float:
    """Return t with K'(t) = s, |t| at most `limit`; NaN where it is further out.

    By Newton's method, kept within what is known to hold the root: K' rises all the way
    as long as the series holds.
    """
    sign = 1.0 if s > 0.0 else -1.0
    low, high, size = 0.0, limit, min(abs(s) / _slopes(0.0, series, far, risk)[1], limit)
    for _ in range(_STEPS):
        first, second = _slopes(sign * size, series, far, risk)
        off = sign * first - abs(s)
        if abs(off) <= _SETTLED * abs(s):
            return sign * size
        if off < 0.0:
            if size == limit:
                return np.nan
            low = size
        else:
            high = size
        step = size - off / second
        # Far from the root Newton's step may be far too long.
        size = min(step if low < step else (low + high) / 2.0, 4.0 * size, limit)
        if size >= high and high < limit:
            size = (low + high) / 2.0
    return np.nan
