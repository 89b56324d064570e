"""The people of a group, in the two parts that a model is fitted and tuned on."""

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]

LEAST_PEOPLE: Final = 8
"""Of a group: four that weights are fitted on, and four that the stack is tuned on."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is fitted.

    tuning_share  of people whom weights are not fitted on
    folds         of these
    refinements   how often blocks are refitted to what others leave of the trait
    least         people (with the trait, and without it) from which a group is calibrated
    """

    tuning_share: float
    folds: int
    refinements: int
    least: int


@dataclass(frozen=True, slots=True)
class People:
    """The rows of one group.

    dosage      (people, variants) none missing
    covariates  (people, c) the first column ones
    """

    dosage: Array
    covariates: Array
    trait: Array

    def among(self, rows: Places) -> "People":
        """Return some of the people."""
        return People(self.dosage[rows], self.covariates[rows], self.trait[rows])


@dataclass(frozen=True, slots=True)
class Parted:
    """A group's people in two parts."""

    training: People
    tuning: People


def parted(people: People, share: float, draw: np.random.RandomState) -> Parted:
    """Return a group's people in two parts by chance, of like traits.

    ValueError for fewer people than `LEAST_PEOPLE`, and where the trait does not vary in either.
    """
    n = len(people.trait)
    if n < LEAST_PEOPLE:
        raise ValueError(
            f"n_samples={n} in a group is too few; expected {LEAST_PEOPLE} at least: join groups"
        )
    tuned_on = min(max(LEAST_PEOPLE // 2, ceil(share * n)), n - LEAST_PEOPLE // 2)
    order, tuned = spread(people.trait, tuned_on, draw)
    found = Parted(people.among(order[~tuned]), people.among(order[tuned]))
    for part, what in ((found.training, "fitted"), (found.tuning, "tuned")):
        if len(np.unique(part.trait)) < 2:
            raise ValueError(
                f"a trait that is the same in all people whom a group is {what} on; expected one"
                " that varies: join groups, or take more people"
            )
    return found


def spread(
    trait: Array, number: int, draw: np.random.RandomState
) -> tuple[Places, NDArray[np.bool_]]:
    """Return people in the order of their trait, and which of these places are chosen.

    `number` are chosen by chance, one of each run of people with like traits, so that cases
    fall in proportion to either part. Ties are in an order of chance.
    """
    n = len(trait)
    order = draw.permutation(n)
    order = order[np.argsort(trait[order], kind="stable")]
    bounds = np.arange(number + 1) * n // number
    place = bounds[:-1] + np.floor(draw.random_sample(number) * np.diff(bounds)).astype(np.int64)
    chosen = np.zeros(n, np.bool_)
    chosen[place] = True
    return order, chosen
