"""How many people lie where along the first two principal components: a plot without people.

Counts in squares, over all sites. A site publishes of itself where its people lie: mean and
standard deviation along each component, to a tenth of the standard deviation of everybody.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from equipoise.analysis import Figure
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact
from equipoise.step import Done
from equipoise.sums import Read, Schema, Sums, head_count

EDGE = 4.0
"""The map ends at so many standard deviations on each side; what lies beyond is in its border."""


@dataclass(frozen=True, slots=True)
class AncestryMapState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class AncestryCounts:
    """(bins, bins) people in each square; the first axis is the first component, rising."""

    counts: NDArray[np.int64] = exact()


@dataclass(frozen=True, slots=True)
class AncestryMap:
    """The map over the two named columns; a second that is absent is 0 in everybody.

    bins   squares along each side, which run evenly over -4 to 4 standard deviations
    k      the least count of people that is shown
    least  the fewest people of a site that publishes where they lie
    """

    people: int
    bins: int
    components: tuple[str, ...]
    k: int
    least: int

    coarse: ClassVar[float] = 0.1

    def start(self) -> AncestryMapState:
        """Return the empty state."""
        return AncestryMapState()

    def schema(self, state: AncestryMapState) -> Schema:
        """Ask for the count of each square."""
        del state
        reads = tuple(Read(name, None) for name in self.components[:2])
        squares = tuple(f"{name} square" for name in self.components[:2])
        counts = head_count((self.bins, self.bins), self.people, squares, reads)
        return Schema(({"counts": counts},))

    def summarise(self, cohort: Cohort, state: AncestryMapState) -> Iterator[Sums]:
        """Count the site's people in each square."""
        del state
        counts = np.zeros((self.bins, self.bins))
        first, second = (self._bin(cohort, axis) for axis in (0, 1))
        np.add.at(counts, (first, second), 1.0)
        yield {"counts": counts}

    def advance(self, state: AncestryMapState, totals: Iterable[Sums]) -> Done[AncestryCounts]:
        """Return the counts over all sites."""
        del state
        (total,) = totals
        return Done(AncestryCounts(total["counts"].astype(np.int64)))

    def derive(self, cohort: Cohort, result: AncestryCounts) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def figures(self, cohort: Cohort, result: AncestryCounts) -> Mapping[str, Figure]:
        """Return the mean of each component at the site, one standard deviation around it."""
        del result
        return {name: self._figure(cohort.column(name)) for name in self.components[:2]}

    def _figure(self, values: NDArray[np.float64]) -> Figure:
        if len(values) < self.least:
            reason = f"fewer than {self.least} people at the site"
            return Figure(None, None, None, None, None, reason)
        mean, sd = float(values.mean()), float(values.std())
        value, low, high = (
            round(round(v / self.coarse) * self.coarse, 1) + 0.0
            for v in (mean, mean - sd, mean + sd)
        )
        return Figure(value, low, high, len(values), None)

    def _bin(self, cohort: Cohort, axis: int) -> NDArray[np.int64]:
        values = np.zeros(cohort.n)
        if axis < len(self.components):
            values = cohort.column(self.components[axis])
        place = np.floor((values + EDGE) / (2 * EDGE) * self.bins)
        return np.clip(place, 0, self.bins - 1).astype(np.int64)


def shown(counts: NDArray[np.int64], k: int) -> list[list[int | None]]:
    """Return the counts that may be shown, row by row: None for 1 to k - 1, and where needed.

    The total is known, so what is hidden is known as a sum. Where that gives a hidden count
    away, the smallest count shown is hidden too, and so on; where none is left to hide,
    nothing is shown. It is given away where one square is hidden, or where so many hidden
    people can only be 1, or only k - 1, in each of so many squares; also where those hidden
    for the sake of others are all as large as the smallest shown, which is known to be no
    smaller. Zeros are shown.

    >>> shown(np.array([[0, 3], [20, 7]]), 5)
    [[0, None], [20, None]]
    """
    flat = counts.ravel().tolist()
    hidden = [i for i, count in enumerate(flat) if 0 < count < k]
    while hidden and _given_away(flat, hidden, k):
        left = [i for i in range(len(flat)) if flat[i] >= k and i not in hidden]
        # The smallest of those that are left, the first of equal ones.
        hidden += [min(left, key=flat.__getitem__)] if left else []
        if not left:
            return [[None] * counts.shape[1] for _ in counts]
    table = [None if i in hidden else int(count) for i, count in enumerate(flat)]
    width = counts.shape[1]
    return [table[start : start + width] for start in range(0, len(table), width)]


def _given_away(counts: list[int], hidden: list[int], k: int) -> bool:
    """Return whether the total tells a count that is hidden for being small."""
    people = sum(counts[i] for i in hidden)
    if len(hidden) == 1 or people in (len(hidden), (k - 1) * len(hidden)):
        return True
    others = [counts[i] for i in hidden if counts[i] >= k]
    left = [count for i, count in enumerate(counts) if count >= k and i not in hidden]
    return bool(others and left) and sum(others) == len(others) * min(left)
