"""Blocks of linkage disequilibrium chosen from the study's own people.

One round after the counts (`frequency`): products of each variant with the next ones, as many as
a window is wide, within each stratum of ancestry. From the published squared correlations,
summed over strata, the blocks follow (`solvers.ld_blocks`). Over several ancestries at once,
variants far apart would seem linked by their different frequencies alone.

A variant's products with a window on either side tell 2 (window + 1) columns of G'G at most,
about each stratum; a plan that asks for more than a stratum has people for is refused.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.cell_moments import CellMoments, reference_counts
from equipoise.analyses.frequency import Frequencies
from equipoise.cohort import Cohort, Columns
from equipoise.errors import DisclosureError
from equipoise.record import exact, grid, rounded
from equipoise.solvers.ld_blocks import STEP, ld_blocks
from equipoise.step import Done, Next
from equipoise.sums import (
    GENOTYPE,
    PEOPLE_PER_COLUMN,
    Block,
    Field,
    Read,
    Schema,
    Sums,
    head_count,
    real,
)

TILE = 64
"""Variants whose products with the next ones are summed at once, where the window is narrower."""

LEAST_VARIANCE = 2.0**-10
"""Below this a dosage does not vary: all people may be heterozygous."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LdBlocksState:
    """(variants, window) sums over strata of squared correlations; none at first."""

    r2: Array = grid(STEP)


@dataclass(frozen=True, slots=True)
class LdBlocks:
    """The blocks.

    starts  (blocks + 1,) where each begins, and where the last ends
    cut     (1,) sum of squared correlations between blocks, within the window
    within  (1,) the same inside blocks
    """

    starts: NDArray[np.int64] = exact()
    cut: Array = grid(STEP)
    within: Array = grid(STEP)


@dataclass(frozen=True, slots=True)
class LdBlockSearch:
    """The search.

    segments  where chromosomes begin, and where the last ends: public
    window    variants after each whose linkage with it is asked for
    most      variants of a block, at most
    counted   for each stratum, the people of it whom a site cannot subtract
    stratum   the column with each person's stratum, from 0; "" for one of everybody
    least_r2  squared correlations below this count as 0
    """

    people: int
    segments: tuple[int, ...]
    window: int
    most: int
    counted: tuple[int, ...]
    frequencies: Frequencies
    stratum: str = ""
    least_r2: float = 0.05

    def start(self) -> LdBlocksState:
        """Return the state before the round: no correlations."""
        return LdBlocksState(np.zeros((0, self.window)))

    def schema(self, state: LdBlocksState) -> Schema:
        """Ask for products of neighbours, tile by tile; nothing once they are known.

        DisclosureError where they tell more columns than a stratum has people for.
        """
        self._refuse()
        if len(state.r2):
            return Schema()
        over, who = ((self.stratum,), self._who) if self.stratum else ((), ())
        people = head_count((len(self.counted),), self.people, over, who)
        return Schema(
            ({"people": people}, *(self._tile(start, stop) for start, stop, _ in self._tiles))
        )

    def summarise(self, cohort: Cohort, state: LdBlocksState) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        everybody = replace(cohort, fold=np.zeros(cohort.n, np.int64))
        strata = len(self.counted)
        sums = CellMoments.of(
            everybody,
            (),
            np.zeros(0),
            1,
            stratum=self.stratum,
            strata=strata,
            weights=(),
            step=1.0,
        )
        yield {
            "people": np.bincount(sums.cell[sums.cell >= 0], minlength=strata).astype(np.float64)
        }

        def tile(start: int, stop: int) -> Sums:
            size, reach = min(self._step, stop - start), stop - start
            mean, used = self.frequencies.means(start, stop)
            found = sums.block(start, stop, mean, used, linkage=True)
            answer: dict[str, Array] = {}
            for s in range(strata):
                answer[f"sum{s}"] = found.products[0, s, :size, 0]
                answer[f"band{s}"] = _band(found.triangle[0, s], size, reach, self.window)
            return answer

        bounds = tuple((start, reach) for start, _, reach in self._tiles)
        yield from cohort.map_blocks(tile, bounds)

    def advance(
        self, state: LdBlocksState, totals: Iterable[Sums]
    ) -> Next[LdBlocksState] | Done[LdBlocks]:
        """Publish the squared correlations; then, from what was published, the blocks."""
        if len(state.r2):
            found = ld_blocks(state.r2, self.most, self.segments)
            return Done(LdBlocks(found.starts, np.array([found.cut]), np.array([found.within])))
        head, *tiles = totals
        r2 = np.zeros((self.segments[-1], self.window))
        for s, people in enumerate(head["people"].tolist()):
            if people > 1:
                total = np.concatenate([tile[f"sum{s}"] for tile in tiles])
                band = np.concatenate([tile[f"band{s}"] for tile in tiles])
                squared = _squared_correlations(band / people, total / people)
                r2 += np.where(squared >= self.least_r2, squared, 0.0)
        return Next(LdBlocksState(np.where(self._inside, r2, 0.0)))

    def derive(self, cohort: Cohort, result: LdBlocks) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    @property
    def columns(self) -> int:
        """The columns of G'G that are told about each stratum."""
        return 2 * (self.window + 1)

    def _refuse(self) -> None:
        for s, people in enumerate(self.counted):
            if self.columns > people // PEOPLE_PER_COLUMN:
                raise DisclosureError(
                    f"a window of {self.window} variants would release {self.columns} columns of"
                    f" G'G of stratum {s}, and {people // PEOPLE_PER_COLUMN} are allowed, one for"
                    f" {PEOPLE_PER_COLUMN} of about {people} people: take a smaller window, or"
                    " blocks of a reference"
                )

    @property
    def _who(self) -> tuple[Read, ...]:
        return (Read(self.stratum, None),) if self.stratum else ()

    @property
    def _inside(self) -> NDArray[np.bool_]:
        """(variants, window) whether the pair is on one chromosome."""
        last = np.repeat(np.array(self.segments[1:], np.int64), np.diff(self.segments))
        first = np.arange(self.segments[-1], dtype=np.int64)[:, None]
        return first + np.arange(1, self.window + 1, dtype=np.int64) < last[:, None]

    @property
    def _tiles(self) -> list[tuple[int, int, int]]:
        """Start and stop of each tile, and where the tile after it stops."""
        found: list[tuple[int, int, int]] = []
        for first, last in pairwise(self.segments):
            for start in range(first, last, self._step):
                stop = min(start + self._step, last)
                found.append((start, stop, min(stop + self.window, last)))
        return found

    @property
    def _step(self) -> int:
        return max(self.window, TILE)

    def _tile(self, start: int, stop: int) -> Block:
        size, fields = stop - start, dict[str, Field]()
        for s in range(len(self.counted)):
            once, twice = (Read(GENOTYPE, 1), *self._who), (Read(GENOTYPE, 2), *self._who)
            band = real((size, self.window + 1), 4.0, self.people, (), twice)
            fields[f"sum{s}"] = real((size,), 2.0, self.people, (), once)
            # A window on either side: what is told of a variant by those before it counts too.
            fields[f"band{s}"] = replace(band, directions=self.columns, block=(start, stop))
        return fields


def reference_blocks(
    cohort: Cohort, segments: tuple[int, ...], window: int, most: int, least_r2: float = 0.05
) -> LdBlocks:
    """Return the blocks of a reference's people, of whom nothing is released.

    `segments`, `window`, `most` and `least_r2` are as in `LdBlockSearch`.
    """
    search = LdBlockSearch(
        cohort.n,
        segments,
        window,
        most,
        (2 * (window + 1) * PEOPLE_PER_COLUMN,),
        reference_counts(cohort, segments[-1]),
        least_r2=least_r2,
    )
    state = search.start()
    while True:
        outcome = search.advance(state, search.summarise(cohort, state))
        if isinstance(outcome, Done):
            return rounded(outcome.result)
        state = rounded(outcome.state)


def _band(triangle: Array, size: int, reach: int, window: int) -> Array:
    """Return the products of the first `size` variants with themselves and the next ones.

    (size, window + 1), 0 beyond the last variant; `triangle` is the upper one of all `reach`.
    """
    i = np.arange(size, dtype=np.int64)[:, None]
    d = np.arange(window + 1, dtype=np.int64)
    inside = i + d < reach
    place = i * reach - i * (i - 1) // 2 + d
    return np.where(inside, triangle[np.where(inside, place, 0)], 0.0)


def _squared_correlations(band: Array, mean: Array) -> Array:
    """Return r^2 of each variant with the next ones from mean products and means, (n, window)."""
    n, window = len(band), band.shape[1] - 1
    variance = band[:, 0] - mean * mean
    varies = variance > LEAST_VARIANCE
    step = np.arange(1, window + 1, dtype=np.int64)
    other = np.arange(n, dtype=np.int64)[:, None] + step
    inside = other < n
    other = np.where(inside, other, 0)
    covariance = band[:, 1:] - mean[:, None] * mean[other]
    known = inside & varies[:, None] & varies[other]
    scale = np.where(known, variance[:, None] * variance[other], 1.0)
    return np.where(known, covariance * covariance / scale, 0.0)
