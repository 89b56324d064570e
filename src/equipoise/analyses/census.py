"""How many people, and how many cases, each validation fold has over all sites."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, Columns
from equipoise.errors import DisclosureError, InputError
from equipoise.record import exact
from equipoise.step import Done
from equipoise.sums import Read, Schema, Sums, head_count


@dataclass(frozen=True, slots=True)
class CensusState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class People:
    """Head-counts over all sites.

    people  (folds,) how many people each fold has
    cases   (folds,) how many of them have the trait
    """

    people: NDArray[np.int64] = exact()
    cases: NDArray[np.int64] = exact()

    @property
    def smallest(self) -> int:
        """People in the smallest fold."""
        return int(self.people.min())


@dataclass(frozen=True, slots=True)
class Census:
    """Counts people and cases by fold, before anything is asked about their genotypes.

    Sums by fold that involve a yes/no trait are sums over the cases of that fold. So
    DisclosureError where a fold has fewer than `least` people, fewer than `k` cases or
    fewer than `k` others; InputError where the trait is the same in everybody.
    """

    people: int
    folds: int
    least: int
    k: int
    trait: str

    def start(self) -> CensusState:
        """Return the empty state."""
        return CensusState()

    def schema(self, state: CensusState) -> Schema:
        """Ask for two counts a fold."""
        del state
        size, over = (self.folds,), ("fold",)
        case = (Read(self.trait, 1, two_valued=True),)
        counts = {
            "people": head_count(size, self.people, over),
            "cases": head_count(size, self.people, over, case),
        }
        return Schema((counts,))

    def summarise(self, cohort: Cohort, state: CensusState) -> Iterator[Sums]:
        """Count the site's people and cases by fold."""
        del state
        members = [cohort.fold == f for f in range(self.folds)]
        case = cohort.column(self.trait)
        yield {
            "people": np.array([np.count_nonzero(m) for m in members], np.float64),
            "cases": np.array([case[m].sum() for m in members], np.float64),
        }

    def advance(self, state: CensusState, totals: Iterable[Sums]) -> Done[People]:
        """Return the counts, once they are large enough to go on."""
        del state
        (total,) = totals
        people, cases = total["people"].astype(np.int64), total["cases"].astype(np.int64)
        if cases.sum() in (0, people.sum()):
            raise InputError(
                f"the trait {self.trait!r} is the same in everybody who takes part; expected"
                " people with and without it; choose another trait or check its coding"
            )
        if people.min() < self.least or min(cases.min(), (people - cases).min()) < self.k:
            raise DisclosureError(
                f"a fold has fewer than {self.least} people, or fewer than {self.k} with or"
                " without the trait; sums by fold would speak of too few: use fewer folds"
            )
        return Done(People(people, cases))

    def derive(self, cohort: Cohort, result: People) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}
