"""What a model's answers are made of, over all sites: absolute contributions, on average.

Absolute contributions (`contributions`) are summed over people with a probability of 1/2
or more, and over the others: first the people are counted, then, if there are at least k
of both, the sums come apart; else all are summed with the others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.contributions import columns, loci_of, runs
from equipoise.analyses.nets import Nets
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.step import Done, Next
from equipoise.sums import Block, Read, Schema, Sums, head_count, real

Array = NDArray[np.float64]

MOST: Final = 64.0
"""A contribution to log odds is cut to this where it is summed over people."""

PREDICTED: Final = "predicted"


@dataclass(frozen=True, slots=True)
class RelevanceState:
    """people  (2,) how many are predicted without and with the trait; -1 before the count."""

    people: Array = grid(1.0)


@dataclass(frozen=True, slots=True)
class RelevanceTotals:
    """Absolute contributions over all sites.

    people  (2,) predicted without and with the trait
    total   (2, loci + 2) sums over them; background and covariates come last. Where one of
            the two is smaller than k, everybody is in the first row
    apart   1 where the two rows are apart
    locus   (selected,) the locus of each variant of `Nets`
    merged  1 where the last locus stands for several that are weaker
    """

    people: Array = grid(1.0)
    total: Array = grid(2.0**-20)
    apart: int = exact()
    locus: NDArray[np.int64] = exact()
    merged: int = exact()


@dataclass(frozen=True, slots=True)
class Relevance:
    """Sums the derived columns of contributions.

    loci   the most loci that are told apart; weaker ones share the last
    tiles  the tile of each window
    """

    people: int
    k: int
    loci: int
    tiles: tuple[int, ...]
    nets: Nets

    def start(self) -> RelevanceState:
        """Return that nobody has been counted."""
        return RelevanceState(np.full(2, -1.0))

    def schema(self, state: RelevanceState) -> Schema:
        """Ask for a count of people, then for sums: both rounds have the form of both."""
        del state
        return Schema((self._sums(),))

    def summarise(self, cohort: Cohort, state: RelevanceState) -> Iterator[Sums]:
        """Yield the site's count, or its sums of absolute contributions."""
        cell = cohort.column(PREDICTED).astype(np.int64)
        parts = np.stack([cohort.column(name) for name in columns(self.loci)])
        counted, total = np.zeros(2), np.zeros((2, self.loci + 2))
        if state.people[0] < 0:
            counted += np.bincount(cell, minlength=2)
        else:
            size = np.minimum(np.abs(parts), MOST)
            for c in range(2):
                members = cell == c if self._apart(state) else np.full(cohort.n, c == 0)
                total[c] = size[:, members].sum(axis=1)
        yield {"people": counted, "total": total}

    def advance(
        self, state: RelevanceState, totals: Iterable[Sums]
    ) -> Next[RelevanceState] | Done[RelevanceTotals]:
        """Publish the count, then the sums."""
        (total,) = totals
        if state.people[0] < 0:
            return Next(RelevanceState(total["people"]))
        run = runs(self.nets, self.tiles)
        locus = loci_of(self.nets, self.tiles, self.loci)
        merged = int(len(run) > 0 and run[-1] >= self.loci)
        apart = int(self._apart(state))
        return Done(RelevanceTotals(state.people, total["total"], apart, locus, merged))

    def derive(self, cohort: Cohort, result: RelevanceTotals) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _apart(self, state: RelevanceState) -> bool:
        return bool(state.people.min() >= self.k)

    def _sums(self) -> Block:
        # Everybody may be summed in the first row, so the rows are no cells of a partition.
        by = Read(PREDICTED, None)
        reads = (*(Read(name, None) for name in columns(self.loci)), by)
        return {
            "people": head_count((2,), self.people, (PREDICTED,), (by,)),
            "total": real((2, self.loci + 2), MOST, self.people, (), reads),
        }
