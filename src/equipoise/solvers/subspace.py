"""The leading eigenvectors of a large symmetric matrix A, in bounded memory.

Block Lanczos with full reorthogonalisation, as in `solvers.krylov`, and thick restarts (Wu
and Simon 2000, doi:10.1137/S0895479898334605): once the basis has as many columns as may be
held, its best Ritz vectors replace it, and the search goes on from the block that came after.
A has no negative eigenvalue, and is known by its products with a few columns at a time:

    search = Search(size, width=8, most=64, wanted=4, seed=1)
    while not enough(found := search.answer(A @ search.asked)):
        pass

Departures: products come with an error, of single precision or of a fixed point, so that
residuals, which are inferred from the last block alone, are right up to it. Whoever needs to
be sure multiplies the vectors once more (`residuals`).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

NUDGE = 2.0**-30
"""The share of random numbers in a new block, so that it never lacks directions."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Ritz values, greatest first, and how far at most an eigenvalue lies from each."""

    values: Matrix
    residuals: Matrix


@dataclass(slots=True)
class Search:
    """A search for the `wanted` greatest eigenpairs.

    size    of A
    width   columns that are asked for at a time
    most    columns that the basis may have, at least wanted + 2 width, or the size
    asked   (size, columns) what to multiply A with next; no columns once nothing is left
    """

    size: int
    width: int
    most: int
    wanted: int
    seed: int
    restarts: int = 0
    asked: Matrix = field(init=False, repr=False)
    _basis: Matrix = field(init=False, repr=False)
    _inner: Matrix = field(init=False, repr=False)
    _within: Matrix = field(init=False, repr=False)
    _held: int = field(init=False, default=0)
    _scale: float = field(init=False, default=1e-300)
    _draw: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin with random columns; ValueError where the basis may not grow."""
        self.width = min(self.width, self.size)
        self.most = min(self.most, self.size)
        if self.most < min(self.size, self.wanted + 2 * self.width):
            raise ValueError(
                f"a basis of {self.most} columns for {self.wanted} vectors, {self.width} at a time"
            )
        self._draw = np.random.default_rng(self.seed)
        # By columns, so that those held lie together.
        self._basis = np.zeros((self.size, self.most), order="F")
        self._inner = np.zeros((0, 0))
        self._within = np.zeros((0, 0))
        self.asked = np.linalg.qr(self._draw.normal(size=(self.size, self.width)))[0]

    def answer(self, product: Matrix) -> Pairs:
        """Take A times `asked`, and return what is known after it."""
        if not self.asked.shape[1]:
            raise ValueError("nothing was asked")
        self._add(product)
        rest, coupling = self._outside(product)
        values, within = np.linalg.eigh(self._inner)
        values, self._within = values[::-1], within[:, ::-1]
        last = self._within[-product.shape[1] :]
        residuals = np.linalg.norm(coupling @ last, axis=0)
        if self._held < self.size and self._held + rest.shape[1] > self.most:
            self._restart(values)
        self.asked = rest
        most = min(self.wanted + 1, len(values))
        return Pairs(values[:most], residuals[:most])

    def vectors(self, count: int) -> Matrix:
        """Return the first Ritz vectors as they are now, (size, count), of length 1."""
        found = self._basis[:, : len(self._within)] @ self._within[:, :count]
        return found / np.linalg.norm(found, axis=0)

    def _add(self, product: Matrix) -> None:
        """Take the asked columns into the basis, and their products into V'AV."""
        before, after = self._held, self._held + self.asked.shape[1]
        self._basis[:, before:after] = self.asked
        self._held = after
        across = self._basis[:, :after].T @ product
        inner = np.zeros((after, after))
        inner[:before, :before] = self._inner
        inner[:before, before:] = across[:before]
        inner[before:, :before] = across[:before].T
        inner[before:, before:] = (across[before:] + across[before:].T) / 2
        self._inner = inner

    def _outside(self, product: Matrix) -> tuple[Matrix, Matrix]:
        """Return the directions of the product that the basis lacks, and their shares in it."""
        basis = self._basis[:, : self._held]
        rest = product - basis @ (basis.T @ product)
        rest -= basis @ (basis.T @ rest)
        if self._held >= self.size:
            return rest[:, :0], np.zeros((0, product.shape[1]))
        room = min(product.shape[1], self.size - self._held)
        self._scale = max(self._scale, float(np.abs(product).max()))
        new = rest[:, :room] + NUDGE * self._scale * self._draw.normal(size=(self.size, room))
        # Where nothing new is left, what QR makes of rounding lies in the basis at first.
        for _ in range(3):
            new = np.linalg.qr(new - basis @ (basis.T @ new))[0]
        return new, new.T @ rest

    def _restart(self, values: Matrix) -> None:
        """Put the best Ritz vectors in the place of the basis."""
        # Half a block beyond those wanted: they come back soonest.
        keep = min(self.wanted + self.width // 2 + 1, self.most - self.width)
        self._basis[:, :keep] = self._basis[:, : self._held] @ self._within[:, :keep]
        self._inner = np.diag(values[:keep])
        self._within = np.eye(keep)
        self._held = keep
        self.restarts += 1


def residuals(vectors: Matrix, products: Matrix) -> tuple[Matrix, Matrix]:
    """Return the values u'Au and |Au - u u'Au| of vectors u of length 1, each (vectors,).

    An eigenvalue lies within the residual of each value, whatever was searched before.

    >>> residuals(np.eye(2), np.diag([2.0, 1.0]))
    (array([2., 1.]), array([0., 0.]))
    """
    values = np.einsum("ij,ij->j", vectors, products)
    return values, np.linalg.norm(products - vectors * values, axis=0)
