"""People grouped by genetic similarity, for tests that must not be pooled over ancestry.

k-means along the principal components by Lloyd's rounds (Lloyd 1982,
doi:10.1109/TIT.1982.1056489): everybody belongs to the nearest centroid, a centroid moves to
the mean of its people. The first round counts, the last counts people with and without the
trait, and those between move centroids. A centroid that has fewer than `least` people is
closed for good; at the end a stratum with fewer people, or fewer without the trait, is merged
into the nearest larger one.

Departure, for the sake of disclosure: which people a sum speaks of depends on the data, and
subtracting one round's sums from the next one's can leave those of a single person. So what
counts of a person is a place on a raster: each coordinate, cut at four standard deviations, to
the nearest half. Means over `least` people hardly notice. Everything is then arithmetic on
multiples of powers of two without any rounding but that of the means: strata are the same on
every machine, and the same whether people are pooled or not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.step import Done, Next
from equipoise.sums import Block, Field, Read, Schema, Sums, head_count

COLUMN = "stratum"
GRID = 2.0**-10
RASTER = 0.5
EDGE = 4.0
START = 1.5
"""In standard deviations, as the components are."""

_AXES = 3
"""How many components have centroids at the start."""


def most_strata(n_components: int) -> int:
    """Return how many centroids there are: the origin, and two along each of three components.

    >>> [most_strata(k) for k in (0, 1, 4)]
    [1, 3, 7]
    """
    return 2 * min(n_components, _AXES) + 1


@dataclass(frozen=True, slots=True)
class StrataState:
    """Where centroids are, and what the round asks about them.

    centroids  (centroids, components) in standard deviations
    open       (centroids,) 1 where people may belong to it, 0 where it is closed
    asked      how many rounds have asked something
    last       1 where this round counts those without the trait, 0 before
    """

    centroids: NDArray[np.float64] = grid(GRID)
    open: NDArray[np.int64] = exact()
    asked: int = exact()
    last: int = exact()


@dataclass(frozen=True, slots=True)
class Strata:
    """Which stratum people near a centroid belong to, and how many each has.

    centroids  (centroids, components) in standard deviations
    labels     (centroids,) the stratum of each, from 0; -1 where it is closed
    people     (strata,)
    controls   (strata,) those without the trait
    """

    centroids: NDArray[np.float64] = grid(GRID)
    labels: NDArray[np.int64] = exact()
    people: NDArray[np.int64] = exact()
    controls: NDArray[np.int64] = exact()


@dataclass(frozen=True, slots=True)
class Stratification:
    """The strata, from columns with standard deviation 1, or 0 for a component not kept.

    `rounds` are the most that may ask something: one counts, one counts controls.
    """

    people: int
    trait: str
    components: tuple[str, ...]
    least: int
    rounds: int

    def start(self) -> StrataState:
        """Return centroids at the origin and on either side of it along each of the first."""
        centroids = np.zeros((most_strata(len(self.components)), len(self.components)))
        for axis in range(min(_AXES, len(self.components))):
            centroids[2 * axis + 1, axis], centroids[2 * axis + 2, axis] = START, -START
        return StrataState(centroids, np.ones(len(centroids), np.int64), 0, int(self.rounds < 2))

    def schema(self, state: StrataState) -> Schema:
        """Ask by centroid for people, those without the trait, and sums of coordinates.

        The sets are those nearest to a centroid: no plan knows them.
        """
        del state
        size, over = most_strata(len(self.components)), (COLUMN,)
        reads = tuple(Read(name, None) for name in self.components)
        shape, limit = (size, len(self.components)), EDGE * max(self.people, 1)
        block: Block = {
            "people": head_count((size,), self.people, over, reads),
            "controls": head_count(
                (size,), self.people, over, (*reads, Read(self.trait, 1, two_valued=True))
            ),
            "coordinates": Field(shape, EDGE, limit, RASTER, over, reads),
        }
        return Schema((block,))

    def summarise(self, cohort: Cohort, state: StrataState) -> Iterator[Sums]:
        """Yield the site's sums; what the round has no use for is zero."""
        place = _raster(cohort, self.components)
        nearest, size = _nearest(place, state.centroids, state.open == 1), len(state.centroids)
        controls, coordinates = np.zeros(size, np.float64), np.zeros(state.centroids.shape)
        if state.last:
            without = 1 - cohort.column(self.trait)
            np.add.at(controls, nearest, without)
        elif state.asked:
            np.add.at(coordinates, nearest, place)
        people = np.bincount(nearest, minlength=size).astype(np.float64)
        yield {"people": people, "controls": controls, "coordinates": coordinates}

    def advance(
        self, state: StrataState, totals: Iterable[Sums]
    ) -> Next[StrataState] | Done[Strata]:
        """Close what is too small and move the others; at the end, merge."""
        (total,) = totals
        people = total["people"].astype(np.int64)
        if state.last:
            return Done(self._merged(state, people, total["controls"].astype(np.int64)))
        stays = people >= self.least
        stays[np.argmax(people)] = True
        centroids = state.centroids.copy()
        if state.asked:
            means = total["coordinates"] / np.maximum(people, 1)[:, None]
            centroids = np.where(stays[:, None], np.rint(means / GRID) * GRID, centroids)
        at_rest = bool(np.all(centroids == state.centroids) and np.all(stays == state.open))
        asked = state.asked + 1
        last = asked + 1 >= self.rounds or stays.sum() == 1 or (state.asked > 0 and at_rest)
        return Next(StrataState(centroids, stays.astype(np.int64), asked, int(last)))

    def derive(self, cohort: Cohort, result: Strata) -> Columns:
        """Return `stratum`: the number of each person's stratum, from 0."""
        place = _raster(cohort, self.components)
        nearest = _nearest(place, result.centroids, result.labels >= 0)
        return {COLUMN: result.labels[nearest].astype(np.float64)}

    def _merged(
        self, state: StrataState, people: NDArray[np.int64], controls: NDArray[np.int64]
    ) -> Strata:
        into = np.where(state.open == 1, np.arange(len(people)), -1)
        people, controls = people.copy(), controls.copy()
        while (small := self._smallest(into, people, controls)) is not None:
            larger = _nearest_larger(small, into, people, state.centroids)
            into[into == small] = larger
            people[larger] += people[small]
            controls[larger] += controls[small]
        left = np.unique(into[into >= 0])
        labels = np.where(into >= 0, np.searchsorted(left, into), -1).astype(np.int64)
        return Strata(state.centroids, labels, people[left], controls[left])

    def _smallest(
        self, into: NDArray[np.int64], people: NDArray[np.int64], controls: NDArray[np.int64]
    ) -> int | None:
        """Return the smallest stratum that cannot stay, None where all can or one is left."""
        left = np.unique(into[into >= 0])
        few = left[controls[left] < self.least]  # who has few people has few controls
        if len(left) == 1 or not len(few):
            return None
        return int(few[np.argmin(people[few])])


def _nearest_larger(
    small: int,
    into: NDArray[np.int64],
    people: NDArray[np.int64],
    centroids: NDArray[np.float64],
) -> int:
    """Return the stratum that takes another in: the nearest of the larger, or else of all."""
    others = np.unique(into[(into >= 0) & (into != small)])
    larger = others[people[others] >= people[small]]
    among = larger if len(larger) else others
    distance = np.sum((centroids[among] - centroids[small]) ** 2, axis=1)
    return int(among[np.argmin(distance)])


def _raster(cohort: Cohort, components: tuple[str, ...]) -> NDArray[np.float64]:
    """Return each person's place on the raster, (samples, components)."""
    columns = np.zeros((cohort.n, len(components)))
    for axis, name in enumerate(components):
        columns[:, axis] = cohort.column(name)
    return np.clip(np.rint(columns / RASTER) * RASTER, -EDGE, EDGE)


def _nearest(
    place: NDArray[np.float64], centroids: NDArray[np.float64], among: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return each person's nearest centroid, the first of those equally near."""
    distance = np.full((len(place), len(centroids)), np.inf)
    for c in np.flatnonzero(among):
        distance[:, c] = np.sum((place - centroids[c]) ** 2, axis=1)
    return np.argmin(distance, axis=1).astype(np.int64)
