"""How many people there are in each validation fold, over all sites."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, Columns
from equipoise.errors import DisclosureError
from equipoise.record import exact
from equipoise.step import Done
from equipoise.sums import Schema, Sums, head_count


@dataclass(frozen=True, slots=True)
class CensusState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class People:
    """people: (folds,) how many people each fold has."""

    people: NDArray[np.int64] = exact()

    @property
    def smallest(self) -> int:
        """People in the smallest fold: the smallest set that subtraction derives."""
        return int(self.people.min())


@dataclass(frozen=True, slots=True)
class Census:
    """Counts people by fold; DisclosureError where a fold has fewer than `least`."""

    people: int
    folds: int
    least: int

    def start(self) -> CensusState:
        """Return the empty state."""
        return CensusState()

    def schema(self, state: CensusState) -> Schema:
        """Ask for one count a fold."""
        del state
        return Schema(({"people": head_count((self.folds,), self.people, ("fold",))},))

    def summarise(self, cohort: Cohort, state: CensusState) -> Iterator[Sums]:
        """Count the site's people by fold."""
        del state
        yield {"people": np.bincount(cohort.fold, minlength=self.folds).astype(np.float64)}

    def advance(self, state: CensusState, totals: Iterable[Sums]) -> Done[People]:
        """Return the counts."""
        del state
        (total,) = totals
        people = total["people"].astype(np.int64)
        if people.min() < self.least:
            raise DisclosureError(
                f"a fold has fewer than {self.least} people over all sites; use fewer folds"
            )
        return Done(People(people))

    def derive(self, cohort: Cohort, result: People) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}
