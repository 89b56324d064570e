"""Linear regression of traits on one variant at a time, from sums.

With C the covariates (the first a column of ones), y the traits and A = (C'C)^-1,

    g'g~ = g'g - g'C A C'g     g'y~ = g'y - g'C A C'y     y'y~ = y'y - y'C A C'y
    beta = g'y~ / g'g~         se^2 = (y'y~ - beta g'y~) / (n - k - 1) / g'g~

with k columns of C (Frisch and Waugh 1933, doi:10.2307/1907330). Where some people are
not called, either they have been given a mean dosage before the sums were made (several
sites: `regress`), or they leave the regression altogether: their C'C, C'y and y'y are
taken off for that variant alone (one site: `complete_cases`), which is exact.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled, native

LEAST_SHARE: Final = 1e-9
"""Of g'g about its mean: what covariates must leave of it, else the variant is one of them."""


class Status(IntEnum):
    """Why a row has an effect, or has none."""

    OK = 0
    NOT_CALLED = 1
    MONOMORPHIC = 2
    COLLINEAR = 3
    TOO_FEW = 4


_OK, _NOT_CALLED, _MONOMORPHIC = int(Status.OK), int(Status.NOT_CALLED), int(Status.MONOMORPHIC)
_COLLINEAR, _TOO_FEW = int(Status.COLLINEAR), int(Status.TOO_FEW)


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over the people of a regression, each called person counted once.

    cc  (k, k) covariates with covariates, the first of them 1 in everybody
    cy  (k, traits)
    yy  (traits,)
    """

    cc: NDArray[np.float64]
    cy: NDArray[np.float64]
    yy: NDArray[np.float64]

    @property
    def n(self) -> float:
        """Number of people."""
        return float(self.cc[0, 0])

    @classmethod
    def of(cls, covariates: NDArray[np.float64], traits: NDArray[np.float64]) -> "Moments":
        """Return the sums of (people, k) covariates and (people, traits) traits."""
        return cls(
            covariates.T @ covariates, covariates.T @ traits, np.einsum("it,it->t", traits, traits)
        )


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects of variants on traits; NaN where `status` is not OK.

    beta, standard_error  (variants, traits)
    dof                   (variants,) degrees of freedom, n - k - 1
    status                (variants, traits)
    """

    beta: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    dof: NDArray[np.float64]
    status: NDArray[np.int8]

    @classmethod
    def room(cls, variants: int, traits: int) -> "Effects":
        """Return effects that are yet to be written."""
        shape = (variants, traits)
        return cls(np.empty(shape), np.empty(shape), np.empty(variants), np.empty(shape, np.int8))

    @property
    def arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """All four, as loops that write them take them."""
        return self.beta, self.standard_error, self.dof, self.status

    @property
    def t(self) -> NDArray[np.float64]:
        """(variants, traits) Student's t with `dof` degrees of freedom."""
        return self.beta / self.standard_error


def regress(
    moments: Moments, cg: NDArray[np.float64], gy: NDArray[np.float64], gg: NDArray[np.float64]
) -> Effects:
    """Return effects where every person has a dosage.

    `cg` is (variants, k), its first column the sum of dosages, `gy` (variants, traits),
    `gg` (variants,). ValueError where C'C is singular: drop covariates before.
    """
    try:
        lower = np.linalg.cholesky(moments.cc)
    except np.linalg.LinAlgError as error:
        raise ValueError("the covariates add up to one another") from error
    found = Effects.room(*gy.shape)
    traits = np.ascontiguousarray(np.linalg.solve(lower, moments.cy).T)
    rest = moments.yy - np.einsum("tk,tk->t", traits, traits)
    cg, gy, gg = (np.ascontiguousarray(each, np.float64) for each in (cg, gy, gg))
    solved = np.empty((1, len(lower)))
    _regress_each(lower, traits, rest, moments.n, cg, gy, gg, solved, *found.arrays)
    return found


def complete_cases(
    moments: Moments,
    cg: NDArray[np.float64],
    gy: NDArray[np.float64],
    gg: NDArray[np.float64],
    absent: NDArray[np.float64],
) -> Effects:
    """Return effects among the people called at each variant.

    Sums with g are over those called. `absent`, (variants, p, p) with p = k + traits, holds
    for each variant the sums of products of (C, y) over those not called, its lower half.
    """
    k, traits = moments.cy.shape
    everybody = np.zeros((k + traits, k + traits))
    everybody[:k, :k], everybody[k:, :k] = moments.cc, moments.cy.T
    everybody[np.arange(k, k + traits), np.arange(k, k + traits)] = moments.yy
    found, p = Effects.room(*gy.shape), k + traits
    room = np.zeros((p, p)), np.zeros((k, k)), np.zeros((2, k))
    sums, gone = np.concatenate([cg, gy], axis=1), np.ascontiguousarray(absent)
    _solve_each(everybody, gone, sums, np.ascontiguousarray(gg), *room, *found.arrays)
    return found


_MATRIX: Final = "float64[:,:]"


_FOUND: Final = (_MATRIX, _MATRIX, "float64[:]", "int8[:,:]")
"""Of `Effects.arrays`."""


@native(_MATRIX, _MATRIX, "float64[:]", "float64", _MATRIX, _MATRIX, "float64[:]", _MATRIX, *_FOUND)
def _regress_each(
    lower: Any,
    traits: Any,
    rest: Any,
    n: Any,
    cg: Any,
    gy: Any,
    gg: Any,
    solved: Any,
    beta: Any,
    error: Any,
    dof: Any,
    status: Any,
) -> None:
    """Write the effects of each variant, one after the other.

    lower   (k, k) the factor of C'C
    traits  (traits, k) C'y solved by it
    rest    (traits,) y'y~
    solved  room to work in, (1, k)
    """
    k = len(lower)
    for i in range(len(gg)):
        dof[i] = n - k - 1
        _substitute(lower, cg, i, solved, 0)
        left = gg[i] - _dot(solved, 0, solved, 0, k)
        why = _why(n, dof[i], gg[i] - cg[i, 0] ** 2 / n, left)
        for t in range(len(rest)):
            score = gy[i, t] - _dot(solved, 0, traits, t, k)
            _write(i, t, why, left, score, rest[t], beta, error, dof, status)


@native(_MATRIX, "float64[:,:,:]", _MATRIX, "float64[:]", _MATRIX, _MATRIX, _MATRIX, *_FOUND)
def _solve_each(
    everybody: Any,
    absent: Any,
    sums: Any,
    gg: Any,
    present: Any,
    lower: Any,
    solved: Any,
    beta: Any,
    error: Any,
    dof: Any,
    status: Any,
) -> None:
    """Write the effects of each variant, each with a C'C of its own.

    present, lower, solved  room to work in: (p, p), (k, k) and (2, k)
    """
    p, k = len(everybody), len(lower)
    for i in range(len(gg)):
        for r in range(p):
            for c in range(p):
                present[r, c] = everybody[r, c] - absent[i, r, c]
        n = present[0, 0]
        dof[i] = n - k - 1
        centred = gg[i] - sums[i, 0] ** 2 / n if n > 0.5 else 0.0
        left = 0.0
        solvable = n > 0.5 and _factor(present, lower)
        if solvable:
            _substitute(lower, sums, i, solved, 0)
            left = gg[i] - _dot(solved, 0, solved, 0, k)
        why = _why(n, dof[i], centred, left)
        for t in range(k, p):
            score = rest = 0.0
            if solvable:
                _substitute(lower, present, t, solved, 1)
                score = sums[i, t] - _dot(solved, 0, solved, 1, k)
                rest = present[t, t] - _dot(solved, 1, solved, 1, k)
            _write(i, t - k, why, left, score, rest, beta, error, dof, status)


@compiled
def _factor(matrix: Any, lower: Any) -> bool:
    """Write the Cholesky factor of the leading part of a matrix; return whether there is one."""
    for r in range(len(lower)):
        for c in range(r + 1):
            left = matrix[r, c]
            for j in range(c):
                left -= lower[r, j] * lower[c, j]
            if r > c:
                lower[r, c] = left / lower[c, c]
            elif left > 1e-11 * matrix[r, r]:
                lower[r, r] = np.sqrt(left)
            else:
                return False
    return True


@compiled
def _substitute(lower: Any, rights: Any, at: Any, solved: Any, place: Any) -> None:
    """Solve for the row `at` of `rights` into the row `place` of `solved`."""
    for r in range(len(lower)):
        left = rights[at, r]
        for j in range(r):
            left -= lower[r, j] * solved[place, j]
        solved[place, r] = left / lower[r, r]


@compiled
def _dot(rows: Any, one: Any, others: Any, other: Any, k: Any) -> float:
    total = 0.0
    for j in range(k):
        total += rows[one, j] * others[other, j]
    return total


@compiled
def _why(n: Any, dof: Any, centred: Any, left: Any) -> int:
    """Return the status of a variant with g'g about its mean and g'g~."""
    if n < 0.5:
        return _NOT_CALLED
    if dof < 1:
        return _TOO_FEW
    # 1 called copy in n people has a variance of nearly 1: a millionth of it is none at all.
    if centred <= 1e-6:
        return _MONOMORPHIC
    if left <= LEAST_SHARE * max(centred, 1e-300):
        return _COLLINEAR
    return _OK


@compiled
def _write(
    i: Any,
    t: Any,
    why: Any,
    left: Any,
    score: Any,
    residual: Any,
    beta: Any,
    error: Any,
    dof: Any,
    status: Any,
) -> None:
    """Write the effect of variant i on trait t, of g'g~, g'y~ and y'y~."""
    status[i, t] = why
    beta[i, t] = error[i, t] = np.nan
    if why == _OK:
        beta[i, t] = score / left
        rest = max(residual - beta[i, t] * score, 0.0)
        error[i, t] = np.sqrt(rest / dof[i] / left)
