"""Logistic regression of a yes/no trait on each variant, plain and by Firth's penalty.

Firth's method maximises log L + 1/2 log det X'WX over all coefficients together, the variant's
and the covariates' (Firth 1993, doi:10.1093/biomet/80.1.27; Heinze and Schemper 2002,
doi:10.1002/sim.1047, equation 4). With h the diagonal of W^1/2 X (X'WX)^-1 X' W^1/2 the
gradient is X'(y - p + h (1/2 - p)). The estimate is finite where all carriers are cases, and
nearly unbiased where few are.

People without a call are left out, variant by variant: complete-case, as plink2's --glm. So
are its standard errors, from (X'WX)^-1 without the penalty, and its Wald p values. The
penalised likelihood ratio, which Heinze and Schemper prefer, costs a second fit: `ratio`.

Departure: iterations go on until no coefficient moves by 1e-8 of its standard error, with
steps halved until the likelihood rises; plink2 stops earlier, in single precision.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled, vectorised
from equipoise.solvers.saddlepoint import log_normal_tail

Array = NDArray[np.float64]


class Status(IntEnum):
    """How the fit of one variant ended.

    MONOMORPHIC    all who are called have one genotype, or nobody is called
    COLLINEAR      the covariates add up to the genotype among those called
    SEPARATED      the genotype parts cases from others: there is no finite maximum
    NOT_CONVERGED  no maximum was found
    """

    OK = 0
    MONOMORPHIC = 1
    SEPARATED = 2
    NOT_CONVERGED = 3
    COLLINEAR = 4


@dataclass(frozen=True, slots=True)
class Fits:
    """One fit a variant, each array (variants,); NaN unless the status is OK.

    beta            log odds ratio per effect allele
    standard_error  of beta
    log_p           natural logarithm of the two-sided Wald p value
    ratio           natural logarithm of the p value of the (penalised) likelihood ratio;
                    NaN where it was not asked for
    n               people who have a call
    status          as `Status`
    """

    beta: Array
    standard_error: Array
    log_p: Array
    ratio: Array
    n: NDArray[np.int64]
    status: NDArray[np.int8]


def firth(dosage: Array, terms: Array, y: Array, *, ratio: bool = False) -> Fits:
    """Return Firth's fit of each variant.

    dosage  (variants, people), NaN where not called
    terms   (people, k) covariates, a column of ones among them
    y       (people,) 0 or 1
    ratio   whether to fit without the variant too, for the likelihood ratio
    """
    return _fits(dosage, terms, y, penalised=True, ratio=ratio)


def logistic(dosage: Array, terms: Array, y: Array, *, ratio: bool = False) -> Fits:
    """Return the plain maximum-likelihood fit of each variant; see `firth`."""
    return _fits(dosage, terms, y, penalised=False, ratio=ratio)


def _fits(dosage: Array, terms: Array, y: Array, *, penalised: bool, ratio: bool) -> Fits:
    variants = len(dosage)
    numbers = np.full((4, variants), np.nan)
    n, status = np.zeros(variants, np.int64), np.zeros(variants, np.int8)
    rows = np.ascontiguousarray(terms.T)
    _each(np.ascontiguousarray(dosage), rows, y, penalised, ratio, numbers, n, status)
    beta, error, log_p, likelihood_ratio = numbers
    return Fits(beta, error, log_p, likelihood_ratio, n, status)


_MOST_STEP = 5.0
_ITERATIONS = 200
_HALVINGS = 25
_SETTLED = 1e-8
_PLAIN_ITERATIONS = 40
_ROUNDING = 1e-10
_ALIKE = 1e-9
"""A term whose variance beside the earlier ones is below this share of its own is collinear."""

_TILE = 256
_OK, _MONOMORPHIC, _SEPARATED = int(Status.OK), int(Status.MONOMORPHIC), int(Status.SEPARATED)
_NOT_CONVERGED, _COLLINEAR = int(Status.NOT_CONVERGED), int(Status.COLLINEAR)


@compiled
def _each(
    dosage: Array,
    terms: Array,
    y: Array,
    penalised: bool,
    ratio: bool,
    numbers: Array,
    n: NDArray[np.int64],
    status: NDArray[np.int8],
) -> None:
    k, people = terms.shape
    x, case = np.empty((k + 1, people)), np.empty(people)
    # Every fit begins where that without a variant ends, whatever came before it.
    start = np.zeros(k + 1)
    if _fit(terms, y, penalised, k, start[:k])[2] != _OK:
        start[:] = 0.0
    for v in range(dosage.shape[0]):
        called = _called(dosage[v], terms, y, x, case)
        n[v] = called
        xs, ys = x[:, :called], case[:called]
        status[v] = _looked_at(xs[k], ys, penalised)
        if status[v] != _OK:
            continue
        beta = start.copy()
        error, likelihood, status[v] = _fit(xs, ys, penalised, k + 1, beta)
        if status[v] != _OK:
            continue
        numbers[0, v], numbers[1, v] = beta[k], error
        numbers[2, v] = log_normal_tail(abs(float(beta[k])) / error) + math.log(2.0)
        if ratio:
            beta[k] = 0.0
            _, without, ended = _fit(xs, ys, penalised, k, beta)
            if ended == _OK:
                root = math.sqrt(max(2.0 * (likelihood - without), 0.0))
                numbers[3, v] = log_normal_tail(root) + math.log(2.0)


@compiled
def _called(g: Array, terms: Array, y: Array, x: Array, case: Array) -> int:
    """Copy those who have a call; the genotype is the last row. Return how many they are."""
    k, called = terms.shape[0], 0
    for i in range(len(g)):
        if not np.isnan(g[i]):
            for j in range(k):
                x[j, called] = terms[j, i]
            x[k, called], case[called] = g[i], y[i]
            called += 1
    return called


@compiled
def _looked_at(g: Array, y: Array, penalised: bool) -> int:
    """Return what the genotype alone says: MONOMORPHIC, SEPARATED or OK."""
    if len(g) == 0 or g.min() == g.max():
        return _MONOMORPHIC
    least, most = np.array([np.inf, np.inf]), np.array([-np.inf, -np.inf])
    for i in range(len(g)):
        side = int(y[i])
        least[side], most[side] = min(least[side], g[i]), max(most[side], g[i])
    parted = most[1] <= least[0] or most[0] <= least[1]
    return _SEPARATED if parted and not penalised else _OK


@compiled
def _fit(x: Array, y: Array, penalised: bool, free: int, beta: Array) -> tuple[float, float, int]:
    """Fit the first `free` coefficients, in place; the others stay.

    Returns the standard error of the last (the last pivot of X'WX is 1 over its variance), the
    (penalised) log likelihood, and the status.
    The penalty is that of all terms, as in Heinze and Schemper, whichever are free.
    """
    n = len(y)
    p, weight, hat = np.empty(n), np.empty(n), np.zeros(n)
    likelihood, factor, singular = _state(x, y, beta, penalised, p, weight)
    if singular:
        return np.nan, np.nan, _COLLINEAR
    before = beta.copy()
    for _ in range(_ITERATIONS if penalised else _PLAIN_ITERATIONS):
        if penalised:
            _leverage(x, weight, factor, hat)
        gradient = _gradient(x, y, p, hat, free)
        # The leading part of the factor is the factor of the leading part.
        step = _solved(factor[:free, :free], gradient)
        if step @ gradient <= _SETTLED * _SETTLED:
            return 1.0 / factor[-1, -1], likelihood, _OK
        step *= min(1.0, _MOST_STEP / np.abs(step).max())
        before[:] = beta
        least = likelihood - _ROUNDING * abs(likelihood)
        for _ in range(_HALVINGS):
            beta[:free] = before[:free] + step
            likelihood, factor, singular = _state(x, y, beta, penalised, p, weight)
            if not singular and likelihood >= least:
                break
            step *= 0.5
        else:
            break
    return np.nan, np.nan, _ended(p)


@compiled
def _ended(p: Array) -> int:
    """Return why there is no maximum: somebody's probability went to 0 or 1, or neither."""
    for i in range(len(p)):
        if min(p[i], 1.0 - p[i]) < 1e-10:
            return _SEPARATED
    return _NOT_CONVERGED


@compiled
def _state(
    x: Array, y: Array, beta: Array, penalised: bool, p: Array, weight: Array
) -> tuple[float, Array, bool]:
    """Set p and weight; return the log likelihood, the factor of X'WX, whether it is singular."""
    terms, n = x.shape
    p[:] = 0.0
    for j in range(terms):
        _add(p, beta[j], x[j])
    likelihood = 0.0
    for i in range(n):
        eta = p[i]
        small = math.exp(-abs(eta))
        p[i] = (1.0 if eta >= 0.0 else small) / (1.0 + small)
        weight[i] = small / ((1.0 + small) * (1.0 + small))
        likelihood += y[i] * eta - max(eta, 0.0) - math.log1p(small)
    factor, singular = _cholesky(_information(x, weight))
    if penalised and not singular:
        for j in range(terms):
            likelihood += math.log(factor[j, j])
    return likelihood, factor, singular


@vectorised
def _add(to: Array, times: float, row: Array) -> None:
    for i in range(len(to)):
        to[i] += times * row[i]


@vectorised
def _information(x: Array, weight: Array) -> Array:
    """Return X'WX, the lower triangle, a few people at a time so that they stay in the cache."""
    terms, n = x.shape
    found, weighted = np.zeros((terms, terms)), np.empty(_TILE)
    for start in range(0, n, _TILE):
        size = min(_TILE, n - start)
        for a in range(terms):
            for i in range(size):
                weighted[i] = x[a, start + i] * weight[start + i]
            for b in range(a + 1):
                total = 0.0
                for i in range(size):
                    total += weighted[i] * x[b, start + i]
                found[a, b] += total
    return found


@compiled
def _cholesky(matrix: Array) -> tuple[Array, bool]:
    """Return the lower factor, and whether a term is collinear with the ones before it."""
    terms = len(matrix)
    factor = np.zeros((terms, terms))
    for a in range(terms):
        for b in range(a + 1):
            left = matrix[a, b]
            for j in range(b):
                left -= factor[a, j] * factor[b, j]
            if a > b:
                factor[a, b] = left / factor[b, b]
            elif left > _ALIKE * matrix[a, a]:
                factor[a, a] = math.sqrt(left)
            else:
                return factor, True
    return factor, False


@compiled
def _solved(factor: Array, right: Array) -> Array:
    terms = len(right)
    found = right.copy()
    for a in range(terms):
        for j in range(a):
            found[a] -= factor[a, j] * found[j]
        found[a] /= factor[a, a]
    for a in range(terms - 1, -1, -1):
        for j in range(a + 1, terms):
            found[a] -= factor[j, a] * found[j]
        found[a] /= factor[a, a]
    return found


@vectorised
def _leverage(x: Array, weight: Array, factor: Array, hat: Array) -> None:
    """Set hat to the diagonal of W^1/2 X (X'WX)^-1 X' W^1/2."""
    terms, n = x.shape
    solved = np.empty((terms, _TILE))
    for start in range(0, n, _TILE):
        size = min(_TILE, n - start)
        hat[start : start + size] = 0.0
        for a in range(terms):
            for i in range(size):
                solved[a, i] = x[a, start + i]
            for b in range(a):
                share = factor[a, b]
                for i in range(size):
                    solved[a, i] -= share * solved[b, i]
            inverse = 1.0 / factor[a, a]
            for i in range(size):
                solved[a, i] *= inverse
                hat[start + i] += solved[a, i] * solved[a, i]
        for i in range(size):
            hat[start + i] *= weight[start + i]


@vectorised
def _gradient(x: Array, y: Array, p: Array, hat: Array, free: int) -> Array:
    found = np.zeros(free)
    for j in range(free):
        total = 0.0
        for i in range(len(y)):
            total += x[j, i] * (y[i] - p[i] + hat[i] * (0.5 - p[i]))
        found[j] = total
    return found
