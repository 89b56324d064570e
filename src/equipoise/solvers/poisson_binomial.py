"""The exact distribution of the number of minor alleles among cases, for a rare variant.

Person i carries g_i = 1 or 2 minor alleles and is a case with probability mu_i, the fitted
value of the null model. Then T = sum g_i Y_i is a Poisson-binomial variable, whose probabilities
follow by convolution, one carrier after the other (Hong 2013, doi:10.1016/j.csda.2012.10.006,
section 2; two steps for two alleles). Nothing is approximated, where the saddle-point is 4 to
26 % off at a minor allele count of 20 and one case in a hundred.

Two-sided means: outcomes at least as far from the mean m = sum g_i mu_i as the observed one,
on either side. That is what the saddle-point's two tails at +-|S| are, S = T - m, so that the
two meet where one takes over from the other; outcomes "no likelier" would differ from it by
the whole of the smaller tail. The mid-p value counts outcomes exactly as far by half
(Lancaster 1961, doi:10.1080/01621459.1961.10482105): T is a small whole number, and without
that the test is conservative.

Covariates enter by mu_i. What is left out is that mu was estimated from the same people: the
score's variance is g'Wg less g'WC (C'WC)^-1 C'Wg, and the second term, the share of g that
covariates explain, is ignored. It is the carriers' share of all people or a little more, so
the test is conservative by half that share in the standard deviation: 0.5 % for 200 carriers
of 20,000. `score.binary_block` goes on with the saddle-point where the share passes 5 %:
few people, or an allele private to one covariate group.
"""

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled

Array = NDArray[np.float64]

_SMALL = 1e-250
"""A tail below this is computed again, tilted to where it lies: it would lose digits."""

_TIE = 1e-9
"""Two outcomes whose distances from the mean differ by less are equally far."""


def probabilities(copies: NDArray[np.int64], fitted: Array) -> Array:
    """Return P(T = 0), P(T = 1), ..., (sum of copies + 1,).

    copies  (carriers,) 1 or 2;  fitted  (carriers,) probability of being a case

    >>> probabilities(np.array([1, 2]), np.array([0.5, 0.1])).round(3).tolist()
    [0.45, 0.45, 0.05, 0.05]
    """
    return _convolved(copies.astype(np.float64), fitted, 0.0)


def log_mid_p(observed: int, copies: NDArray[np.int64], fitted: Array) -> float:
    """Return the natural logarithm of the two-sided mid-p value of `observed` minor alleles.

    It stays right below the least double. 0 where nobody carries the allele.

    >>> round(float(np.exp(log_mid_p(2, np.array([1, 1]), np.array([0.5, 0.5])))), 9)
    0.25
    """
    return float(_log_mid_p(float(observed), copies.astype(np.float64), fitted))


def log_mid_p_of(dosage: Array, y: Array, fitted: Array) -> Array:
    """Return the natural logarithm of the two-sided mid-p of each variant, (variants,).

    dosage  (variants, people) 0, 1, 2, or NaN where not called: such people take no part.
            Whichever allele is rarer among those called is counted
    y       (people,) 0 or 1;  fitted  (people,) of the null model

    NaN for a variant with dosages that are not whole.
    """
    found = np.empty(len(dosage))
    _each(np.ascontiguousarray(dosage), y, fitted, found)
    return found


@compiled
def _each(dosage: Array, y: Array, fitted: Array, found: Array) -> None:
    n = dosage.shape[1]
    copies, risks = np.empty(n), np.empty(n)
    for v in range(dosage.shape[0]):
        called, alleles, whole = 0, 0.0, True
        for i in range(n):
            g = dosage[v, i]
            if not np.isnan(g):
                called += 1
                alleles += g
                whole = whole and g in (0.0, 1.0, 2.0)
        flip = alleles > called
        carriers, observed = 0, 0.0
        for i in range(n):
            g = 2.0 - dosage[v, i] if flip else dosage[v, i]
            if g > 0.0:
                copies[carriers], risks[carriers] = g, fitted[i]
                observed += g * y[i]
                carriers += 1
        found[v] = _log_mid_p(observed, copies[:carriers], risks[:carriers]) if whole else np.nan


@compiled
def _log_mid_p(observed: float, copies: Array, fitted: Array) -> float:
    mean = (copies * fitted).sum()
    far = abs(observed - mean)
    upper = _log_tail(mean + far, copies, fitted)
    # The lower tail of T is the upper tail of what the others carry.
    lower = _log_tail(copies.sum() - mean + far, copies, 1.0 - fitted)
    more, less = max(upper, lower), min(upper, lower)
    if more == -np.inf:
        return more
    # At the mean itself both tails count the same outcome: by half each, so once.
    return min(more + np.log1p(np.exp(less - more)), 0.0)


@compiled
def _log_tail(start: float, copies: Array, fitted: Array) -> float:
    """Return log of P(T > start) + P(T = start) / 2."""
    tail, tilt = _tail(start, copies, fitted, 0.0), 0.0
    if tail < _SMALL:
        if start > copies.sum() + _TIE:
            return -np.inf
        tilt = _tilt_to(min(start, copies.sum() - 0.5), copies, fitted)
        tail = _tail(start, copies, fitted, tilt)
    scale = 0.0
    if tilt != 0.0:
        for i in range(len(copies)):
            scale += np.log(1.0 - fitted[i] + fitted[i] * np.exp(tilt * copies[i]))
        scale -= tilt * start
    return np.log(tail) + scale


@compiled
def _tail(start: float, copies: Array, fitted: Array, tilt: float) -> float:
    """Return the tail, each outcome k weighted by exp(tilt (k - start)) under the null.

    Tilted probabilities are P(k) exp(tilt k - K(tilt)); dividing by the tilt again leaves
    the tail itself times exp(tilt start - K(tilt)).
    """
    p = _convolved(copies, fitted, tilt)
    total = 0.0
    for k in range(len(p) - 1, -1, -1):
        if k < start - _TIE:
            break
        part = p[k] * np.exp(-tilt * (k - start))
        total += 0.5 * part if k <= start + _TIE else part
    return total


@compiled
def _convolved(copies: Array, fitted: Array, tilt: float) -> Array:
    """Return the probabilities of T when carrier i's odds are multiplied by exp(tilt g_i)."""
    p = np.zeros(int(copies.sum()) + 1)
    p[0], most = 1.0, 0
    for i in range(len(copies)):
        step = int(copies[i])
        odds = np.exp(tilt * copies[i])
        case = fitted[i] * odds / (1.0 - fitted[i] + fitted[i] * odds)
        for k in range(most + step, step - 1, -1):
            p[k] = p[k] * (1.0 - case) + p[k - step] * case
        for k in range(step - 1, -1, -1):
            p[k] *= 1.0 - case
        most += step
    return p


@compiled
def _tilt_to(mean: float, copies: Array, fitted: Array) -> float:
    """Return the tilt at which T has this mean."""
    low, high = 0.0, 60.0
    for _ in range(40):
        tilt, found = (low + high) / 2, 0.0
        for i in range(len(copies)):
            odds = np.exp(tilt * copies[i])
            found += copies[i] * fitted[i] * odds / (1.0 - fitted[i] + fitted[i] * odds)
        if found < mean:
            low = tilt
        else:
            high = tilt
    return (low + high) / 2
