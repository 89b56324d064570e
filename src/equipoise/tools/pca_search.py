"""The search for eigenvectors over sites: when it ends, and how what it found is measured.

Block Lanczos (`solvers.subspace`) on products that are asked of all sites. The search ends once
every component that is asked for has been found, as its residual and the gap to its neighbours
tell, or lies so near a neighbour that nothing tells the two apart. What does not stand out of
noise is given up after `PATIENCE` rounds, all else after `MOST`. In the end the products of the
loadings themselves are asked for, so that each residual is measured; a component that it does
not tell is reported as not found, and not given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.spectrum import Noise, above_noise
from equipoise.solvers.subspace import Pairs, Search, residuals
from equipoise.tools.adding import Adding
from equipoise.tools.products import Products, scores

TOLERANCE: Final = 2.0**-10
"""The greatest sine of the angle to the eigenvector at which a component counts as found."""

FLOOR: Final = 2.0**-21
"""A residual of this share of its eigenvalue is as small as single precision lets it be."""

PATIENCE: Final = 16
"""Rounds for what does not stand out of noise; ten times as many where they cost little."""

_LITTLE: Final = 300_000_000
"""Genotypes that a round goes through in about a second."""

MOST: Final = 400


@dataclass(frozen=True, slots=True)
class Found:
    """As in `tools.pca.Principal`; `columns` are those asked in all rounds."""

    loadings: NDArray[np.float64]
    scores: tuple[NDArray[np.float64], ...]
    eigenvalues: NDArray[np.float64]
    residuals: NDArray[np.float64]
    found: NDArray[np.bool_]
    rounds: int
    columns: int


@dataclass(frozen=True, slots=True)
class EigenvectorSearch:
    """The search for the first eigenvectors of X'X/m.

    adding      the sites, with nothing but the variants that are used
    mean        (variants,) mean dosage over all sites
    noise       what eigenvalues would be without structure
    components  how many are asked for
    """

    adding: Adding
    mean: NDArray[np.float64]
    noise: Noise
    components: int
    seed: int

    def run(self, at: Callable[[float], None]) -> Found:
        """Ask until all components are found or none comes any more, then measure them."""
        k, m = self.components, len(self.mean)
        width = max(4, k // 2 + 3)
        search = Search(m, width, k + 10 * width, k, self.seed)
        asked = search.asked.shape[1]
        pairs, rounds = search.answer(self._product(search.asked)), 1
        while search.asked.shape[1] and not self._ends(pairs, rounds):
            asked += search.asked.shape[1]
            pairs, rounds = search.answer(self._product(search.asked)), rounds + 1
            at(0.1 + 0.8 * (1 - 0.96**rounds))
        vectors = search.vectors(min(k + 1, m))
        return self._measured(vectors, rounds + 1, asked + vectors.shape[1])

    def _product(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        asked = Products(self.noise.people, self.mean, columns, self.noise.total)
        return self.adding.run(asked).product

    def _ends(self, pairs: Pairs, rounds: int) -> bool:
        """Return whether all is found, or what is missing is noise or does not come."""
        k = self.components
        if len(pairs.values) <= k:
            return False
        values, apart = pairs.values[:k], pairs.residuals[:k]
        settled = _found_by(pairs.values, apart) | (apart <= FLOOR * values)
        stands_out = above_noise(values, self.noise)
        little = self.noise.people * len(self.mean) < _LITTLE
        patience = PATIENCE * (10 if little else 1)
        limit = patience if np.all(settled[stands_out]) else MOST
        return bool(np.all(settled)) or rounds >= limit

    def _measured(self, vectors: NDArray[np.float64], rounds: int, columns: int) -> Found:
        """Return what the products of the vectors themselves say of them."""
        k = self.components
        values, apart = residuals(vectors, self._product(vectors))
        found = _found_by(values, apart[:k])
        # The same signs however people are spread: those of a product with a fixed vector.
        fixed = np.random.default_rng(self.seed).normal(size=len(vectors))
        vectors = vectors[:, :k] * np.where(fixed @ vectors[:, :k] < 0, -1.0, 1.0)
        vectors[:, ~found] = np.nan
        spread = np.sqrt(self.noise.people / (np.maximum(values[:k], 1e-12) * len(vectors)))
        own = tuple(
            np.where(found, scores(cohort, self.mean, np.nan_to_num(vectors)) * spread, np.nan)
            for cohort in self.adding.cohorts
        )
        return Found(vectors, own, values[:k], apart[:k], found, rounds, columns)


def _found_by(values: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which components the residuals tell from their neighbours, (k,).

    The sine of the angle to the eigenvector is at most the residual over the gap (Davis and
    Kahan 1970, doi:10.1137/0707001). `values` has the one after the last as well.
    """
    gap = values[:-1] - values[1:]
    gap[1:] = np.minimum(gap[1:], gap[:-1])
    return apart <= TOLERANCE * gap
