"""Ridge regression in two levels, from sums by fold: what a trait owes to the whole genome.

After step 1 of regenie (Mbatchou et al. 2021, doi:10.1038/s41588-021-00870-7, Methods). Level 0
fits each block of variants with several penalties, level 1 fits the predictions of all blocks;
both are fitted without the fold that they then predict, F_k below being the sums of fold k:

    (X'X - X'X_k + penalty I) b_k = X'y - X'y_k                              (Hoerl and Kennard 1970)

Departures from regenie: columns are projected free of covariates by everybody's sums, once; the
penalty of level 1 is the one of least squared error in the folds left out.
"""

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

HERITABILITIES: Final = (0.01, 0.25, 0.5, 0.75, 0.99)
"""Shares of the trait's variance that the penalties of either level stand for."""

LEAST_SHARE: Final = 1e-4
"""Of a column's variance: what covariates must leave of it, else it is left out."""


@dataclass(frozen=True, slots=True)
class FoldSums:
    """Sums of columns x, covariates c (the first of them 1) and traits y, by fold.

    xx  (folds, columns, columns)    xc  (folds, columns, k)    xy  (folds, columns, traits)
    cc  (folds, k, k)                cy  (folds, k, traits)
    """

    xx: NDArray[np.float64]
    xc: NDArray[np.float64]
    xy: NDArray[np.float64]
    cc: NDArray[np.float64]
    cy: NDArray[np.float64]

    def plus(self, other: "FoldSums") -> "FoldSums":
        """Return the sums of both: those of other people."""
        names = ("xx", "xc", "xy", "cc", "cy")
        return FoldSums(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, slots=True)
class Predictors:
    """Weights of level 0: a person of fold k is predicted by x @ columns[k] - c @ covariates[k].

    columns     (folds, columns, penalties, traits)
    covariates  (folds, k, penalties, traits)
    """

    columns: NDArray[np.float64]
    covariates: NDArray[np.float64]


def penalties(n_columns: int, shares: tuple[float, ...] = HERITABILITIES) -> NDArray[np.float64]:
    """Return the ridge penalties that stand for shares of variance, (shares,).

    Of so many columns of variance 1 with effects of equal variance: columns (1 - share) / share.

    >>> penalties(100, (0.5, 0.2)).tolist()
    [100.0, 400.0]
    """
    held = np.array(shares)
    return n_columns * (1 - held) / held


def level_zero(sums: FoldSums, penalty: NDArray[np.float64]) -> Predictors:
    """Return the out-of-fold weights of one block, for each penalty and trait.

    Columns are taken free of covariates and to variance 1 over everybody; those that covariates
    make up weigh 0. ValueError for a penalty that is not above 0.
    """
    if not np.all(penalty > 0):
        raise ValueError("a penalty that is not above 0")
    cc, n = sums.cc.sum(axis=0), float(sums.cc[:, 0, 0].sum())
    inverse = _inverse(cc)
    of_x, of_y = inverse @ sums.xc.sum(axis=0).T, inverse @ sums.cy.sum(axis=0)
    gram, score = _projected(sums, of_x, of_y)
    left = np.diagonal(gram.sum(axis=0)) / n
    before = np.diagonal(sums.xx.sum(axis=0)) / n
    usable = left > LEAST_SHARE * np.maximum(before, np.finfo(np.float64).tiny)
    scale = np.where(usable, 1 / np.sqrt(np.where(usable, left, 1.0)), 0.0)
    gram *= scale[:, None] * scale
    score *= scale[:, None]
    fitted = _out_of_fold(gram, score, penalty) * scale[:, None, None]
    return Predictors(fitted, np.einsum("cv,kvrt->kcrt", of_x, fitted))


def _inverse(cc: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(cc), np.float64)


def _projected(
    sums: FoldSums, of_x: NDArray[np.float64], of_y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums by fold of x - c of_x with itself and with y - c of_y."""
    across = sums.xc @ of_x
    gram = sums.xx - across - across.transpose(0, 2, 1) + of_x.T @ sums.cc @ of_x
    score = sums.xy - sums.xc @ of_y - of_x.T @ sums.cy + of_x.T @ sums.cc @ of_y
    return gram, score


def _out_of_fold(
    gram: NDArray[np.float64], score: NDArray[np.float64], penalty: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what is fitted without each fold, (folds, columns, penalties, traits)."""
    folds, columns, traits = score.shape
    found = np.empty((folds, columns, len(penalty), traits))
    everybody, of_all = gram.sum(axis=0), score.sum(axis=0)
    for k in range(folds):
        without, right = everybody - gram[k], of_all - score[k]
        for r, size in enumerate(penalty.tolist()):
            ridged = without.copy()
            ridged.flat[:: columns + 1] += size
            found[k, :, r] = _solved(ridged, right)
    return found


def _solved(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the solution of a symmetric positive definite system; the matrix is used up."""
    # scipy's functions come without types.
    lapack = cast("Any", linalg)
    factor = lapack.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    return lapack.cho_solve(factor, right, check_finite=False)


@dataclass(frozen=True, slots=True)
class Stack:
    """Level 1 of one trait.

    weights  (folds, columns) fitted without each fold, of columns as they came
    share    the share of variance whose penalty had the least error
    error    (shares,) the mean squared error in the folds left out
    """

    weights: NDArray[np.float64]
    share: float
    error: NDArray[np.float64]


def level_one(
    gram: NDArray[np.float64],
    score: NDArray[np.float64],
    square: NDArray[np.float64],
    n: int,
    shares: tuple[float, ...] = HERITABILITIES,
) -> Stack:
    """Return the ridge regression of a trait on the predictions of all blocks.

    gram    (folds, columns, columns) sums of their products    score  (folds, columns) with the
    trait    square  (folds,) of the trait's square    n  people

    Columns are taken to a mean square of 1; those that are 0 in everybody weigh 0.
    """
    size = np.sqrt(np.diagonal(gram.sum(axis=0)) / max(n, 1))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    gram, score = gram * (scale[:, None] * scale), score * scale
    fitted = _out_of_fold(gram, score[..., None], penalties(gram.shape[1], shares))[..., 0]
    explained = np.einsum("kpr,kp->kr", fitted, score)
    spread = np.einsum("kpr,kpq,kqr->kr", fitted, gram, fitted, optimize=True)
    error = (square[:, None] - 2 * explained + spread).sum(axis=0) / max(n, 1)
    best = int(error.argmin())
    return Stack(fitted[:, :, best] * scale, shares[best], error)
