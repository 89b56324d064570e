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
    u = np.linalg.solve(lower, cg.T)
    v = np.linalg.solve(lower, moments.cy)
    centred = gg - cg[:, 0] ** 2 / moments.n
    left = gg - np.einsum("kv,kv->v", u, u)
    n = np.full(len(gg), moments.n)
    return _effects(
        n - len(moments.cc) - 1,
        (centred, left),
        gy - u.T @ v,
        np.broadcast_to(moments.yy - np.einsum("kt,kt->t", v, v), gy.shape),
        n,
    )


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
    found = np.zeros((len(gg), 3 + 2 * traits))
    p = k + traits
    room = np.zeros((p, p)), np.zeros((k, k)), np.zeros((2, k))
    sums, gone = np.concatenate([cg, gy], axis=1), np.ascontiguousarray(absent)
    _solve_each(everybody, gone, sums, np.ascontiguousarray(gg), found, *room)
    n = found[:, 0]
    return _effects(
        n - k - 1, (found[:, 1], found[:, 2]), found[:, 3 : 3 + traits], found[:, 3 + traits :], n
    )


_MATRIX: Final = "float64[:,:]"


@native(_MATRIX, "float64[:,:,:]", _MATRIX, "float64[:]", _MATRIX, _MATRIX, _MATRIX, _MATRIX)
def _solve_each(
    everybody: Any,
    absent: Any,
    sums: Any,
    gg: Any,
    found: Any,
    present: Any,
    lower: Any,
    solved: Any,
) -> None:
    """Write n, g'g about its mean, g'g~, g'y~ and y'y~ of each variant; g'g~ is 0 if singular.

    present, lower, solved  room to work in: (p, p), (k, k) and (2, k)
    """
    p, k = len(everybody), len(lower)
    for i in range(len(gg)):
        for r in range(p):
            for c in range(p):
                present[r, c] = everybody[r, c] - absent[i, r, c]
        n = present[0, 0]
        found[i, 0] = n
        if n <= 0.5:
            continue
        found[i, 1] = gg[i] - sums[i, 0] ** 2 / n
        if not _factor(present, lower):
            continue
        _substitute(lower, sums, i, solved, 0)
        found[i, 2] = gg[i] - _dot(solved, 0, 0, k)
        for t in range(k, p):
            _substitute(lower, present, t, solved, 1)
            found[i, 3 + t - k] = sums[i, t] - _dot(solved, 0, 1, k)
            found[i, 3 + p - k + t - k] = present[t, t] - _dot(solved, 1, 1, k)


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
def _dot(rows: Any, one: Any, other: Any, k: Any) -> float:
    total = 0.0
    for j in range(k):
        total += rows[one, j] * rows[other, j]
    return total


def _effects(
    dof: NDArray[np.float64],
    variance: tuple[NDArray[np.float64], NDArray[np.float64]],
    score: NDArray[np.float64],
    residual: NDArray[np.float64],
    n: NDArray[np.float64],
) -> Effects:
    """Return effects and why there is none; `variance` is that of g, and what covariates leave."""
    centred, left = variance
    status = np.full(len(n), Status.OK, np.int8)
    # 1 called copy in n people has a variance of nearly 1: a millionth of it is none at all.
    status[left <= LEAST_SHARE * np.maximum(centred, 1e-300)] = Status.COLLINEAR
    status[centred <= 1e-6] = Status.MONOMORPHIC
    status[dof < 1] = Status.TOO_FEW
    status[n < 0.5] = Status.NOT_CALLED
    fine = status == Status.OK
    divisor = np.where(fine, left, 1.0)[:, None]
    beta = np.where(fine[:, None], score / divisor, np.nan)
    rest = np.maximum(residual - beta * score, 0.0)
    error = np.sqrt(rest / np.where(fine, dof, 1.0)[:, None] / divisor)
    return Effects(beta, error, dof, np.repeat(status[:, None], score.shape[1], axis=1))
