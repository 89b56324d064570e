"""What the sums for risk models add up to over all sites, and how many columns of G'G they tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.cell_moments import blocks_from
from equipoise.record import exact, grid
from equipoise.solvers.block_moments import BlockMoments

FINE: Final = 2.0**-34

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MomentsState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class MomentTotals:
    """The sums over all sites; f a fold, s a stratum, v a variant, k a covariate or the ones.

    people  (f, s)    cc  (f, s, k, k)    cy  (f, s, k)    yy  (f, s)
    gc      (f, s, v, k)    gy  (f, s, v)    squares  (f, s, v) the diagonal of G'G
    gg      (f, own, entries) upper triangles of the blocks, one after the other, of the strata
            that are not borrowed
    starts  (blocks + 1,)    borrowed  (borrowed strata,)
    told    (s,) columns of G'G that are told about each stratum    allowed  (s,) that may be
    """

    people: Array = grid(FINE)
    cc: Array = grid(FINE)
    cy: Array = grid(FINE)
    yy: Array = grid(FINE)
    gc: Array = grid(FINE)
    gy: Array = grid(FINE)
    squares: Array = grid(FINE)
    gg: Array = grid(FINE)
    starts: NDArray[np.int64] = exact()
    borrowed: NDArray[np.int64] = exact()
    told: NDArray[np.int64] = exact()
    allowed: NDArray[np.int64] = exact()

    def of(self, stratum: int, fold: int | None = None) -> BlockMoments:
        """Return the sums over one stratum, or over one fold of it.

        Of a stratum whose linkage is borrowed, matrices have their diagonal alone.
        """
        return blocks_from(self._sums(fold), stratum, self._place(stratum), self.starts)

    def _sums(self, fold: int | None) -> dict[str, Array]:
        names = ("people", "cc", "cy", "yy", "gc", "gy", "squares", "gg")
        held = {name: getattr(self, name) for name in names}
        return {n: a.sum(axis=0) if fold is None else a[fold] for n, a in held.items()}

    def _place(self, stratum: int) -> int | None:
        if stratum in self.borrowed:
            return None
        return stratum - int(np.count_nonzero(self.borrowed < stratum))


@dataclass(frozen=True, slots=True)
class StratumColumns:
    """Columns of G'G that are told about one stratum's smallest fold, and how many may be."""

    stratum: int
    used: int
    allowed: int


def smallest_by_stratum(sites: Sequence[Sequence[int]], folds: int) -> tuple[int, ...]:
    """Return the people expected in the smallest set of each stratum that sums let be derived.

    `sites` has the people of each stratum at every site that trains. A site may subtract its
    own sums, so that those of the largest are not counted; a site alone hides from nobody.

    >>> smallest_by_stratum([[600, 50], [400, 100], [500, 20]], 5)
    (180, 14)
    """
    counts = np.array(sites, np.int64)
    largest = counts.max(axis=0) if len(counts) > 1 else np.zeros(counts.shape[1], np.int64)
    return tuple(((counts.sum(axis=0) - largest) // folds).tolist())


def effective_people(weights: Array) -> int:
    """Return how many people with a weight of one weigh as much, (sum w)^2 / sum w^2.

    Kish 1965. Rounded down; 0 where nobody has a weight.

    >>> effective_people(np.array([1.0, 1.0, 0.5, 0.5]))
    3
    """
    total, squares = float(weights.sum()), float(weights @ weights)
    return int(total * total / squares * (1 + 1e-12)) if squares > 0 else 0
