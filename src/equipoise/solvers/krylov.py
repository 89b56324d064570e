"""The leading eigenvectors of a matrix that is known by its products with a few columns alone.

Block Lanczos with full reorthogonalisation (Golub and Underwood 1977,
doi:10.1016/B978-0-12-587260-7.50018-2), which spans the block Krylov space of Musco and
Musco 2015, arXiv:1504.05477, algorithm 2. A is symmetric and has no negative eigenvalue;
every round gives A V for a new block V of orthonormal columns, and the Rayleigh-Ritz
method over all blocks so far gives eigenvalues and eigenvectors. Its speed hangs on the
number of columns in all much more than on how many there are in a block: one column a
round needs the fewest, a wide block the fewest rounds.

Departures: what comes in was published on a grid, so columns are orthonormal up to that;
A B itself was computed, not inferred, so Rayleigh-Ritz stays right all the same. And a
block is nudged by random numbers before it is made orthonormal: where nothing new is left
in a direction, all machines go on with the same one instead of with their last digits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

NUDGE = 2.0**-22
"""The share of random numbers in a new block: double rounding, 2^-53, stays 2^-31 of it."""

TIE = 2.0**-20
"""Eigenvalues nearer than this share of the greatest have no eigenvectors of their own."""


@dataclass(frozen=True, slots=True)
class Ritz:
    """Approximate eigenpairs, greatest first.

    values     (columns,) Ritz values: they approach eigenvalues from below
    vectors    (size, columns) of length 1
    residuals  (columns,) |A u - theta u|: an eigenvalue lies within it of theta; where
               values tie, the root sum of squares over the tie, which does not depend on
               the vectors that a library happens to choose within it
    """

    values: Matrix
    vectors: Matrix
    residuals: Matrix


def first_basis(size: int, width: int, seed: int) -> Matrix:
    """Return (size, width) orthonormal columns in random directions.

    >>> first = first_basis(5, 2, seed=1)
    >>> bool(np.allclose(first.T @ first, np.eye(2)))
    True
    """
    return _orthonormal(np.random.default_rng((seed, 0)).normal(size=(size, width)))


def next_basis(bases: Matrix, products: Matrix, seed: int) -> Matrix:
    """Return the block that follows: A times the last one, orthogonal to all before.

    bases, products  (blocks, size, width): V and A V of all rounds so far

    ValueError where `size` leaves no room for another block.
    """
    known, (blocks, size, width) = _side_by_side(bases), bases.shape
    if (blocks + 1) * width > size:
        raise ValueError(f"{blocks + 1} blocks of {width} columns do not fit {size} dimensions")
    last = products[-1]
    nudge: Matrix = np.random.default_rng((seed, blocks)).normal(size=(size, width))
    share = NUDGE * (1.0 + float(np.linalg.norm(last))) / float(np.sqrt(last.size))
    new = last + share * nudge
    for _ in range(2):  # once leaves what rounding adds: Giraud et al. 2005, "twice is enough"
        new = new - known @ (known.T @ new)
    return _orthonormal(new)


def ritz(bases: Matrix, products: Matrix, most: int) -> Ritz:
    """Return the greatest Ritz pairs of A over the span of all blocks, at most so many.

    bases, products  (blocks, size, width): V and A V of all rounds so far
    """
    basis, image = _side_by_side(bases), _side_by_side(products)
    inner = basis.T @ image
    values, within = np.linalg.eigh((inner + inner.T) / 2)
    values, within = values[::-1][:most], within[:, ::-1][:, :most]
    vectors = basis @ within
    left = image @ within - vectors * values
    squares = np.einsum("ij,ij->j", left, left)
    apart = np.abs(values[:, None] - values[None, :])
    weight = np.maximum(0.0, 1.0 - apart / (TIE * float(np.abs(values).max()) + TIE))
    residuals = np.sqrt(weight @ squares)
    lengths = np.linalg.norm(vectors, axis=0)
    return Ritz(values, vectors / lengths, np.asarray(residuals, np.float64))


def trace_of_square(first: Matrix, product: Matrix, values: Matrix, vectors: Matrix) -> float:
    """Return an estimate of tr(A^2) from one block V of random directions and A V.

    Hutchinson 1990, doi:10.1080/03610919008812866: tr(A^2) = E |A v|^2 for v of random
    signs; here v is a random direction of length sqrt(size). The eigenpairs that are known
    are taken out of it and added exactly, as in Meyer et al. 2021, arXiv:2010.09649, but
    with eigenvectors that do not depend on V. The relative standard error is about
    sqrt(2 tr(B^4) / columns) / tr(A^2), B being A without those pairs.

    values, vectors  (known,), (size, known): eigenpairs that are known, perhaps none
    """
    share = vectors.T @ first
    left = product - vectors @ (values[:, None] * share)
    size, width = first.shape
    return float(values @ values) + size / width * float(np.einsum("ij,ij->", left, left))


def _side_by_side(blocks: Matrix) -> Matrix:
    """Return (blocks, size, width) as (size, blocks * width)."""
    return np.concatenate(list(blocks), axis=1)


def _orthonormal(columns: Matrix) -> Matrix:
    """Return the Q of a QR whose R has no negative diagonal: the signs are fixed."""
    q, r = np.linalg.qr(columns)
    return np.asarray(q * np.where(np.diag(r) < 0, -1.0, 1.0), np.float64)
