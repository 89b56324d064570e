"""Covariates and traits as a regression takes them: standardised, and none of them twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.tools.people import Matched
from equipoise.tools.sites import Sites

INDEPENDENT: Final = 1e-8
"""Of a standardised covariate's variance: what others must leave of it."""


@dataclass(frozen=True, slots=True)
class Design:
    """The columns of a regression, ready at each site.

    columns     (people, columns) by site: covariates, then traits, each of mean 0 and variance 1
    covariates  the names of those kept
    dropped     constant ones, and those that earlier ones add up to
    scale       (traits,) the standard deviation of each trait: effects are given in its units
    bounds      the most that each column is in absolute value, a power of two
    """

    columns: tuple[NDArray[np.float64], ...] = field(repr=False)
    covariates: tuple[str, ...]
    dropped: tuple[str, ...]
    traits: tuple[str, ...]
    scale: NDArray[np.float64]
    bounds: tuple[float, ...]

    def cohorts(self, sites: Sites, matched: Sequence[Matched]) -> tuple[Cohort, ...]:
        """Return the people of each site with these columns, by name."""
        names = (*self.covariates, *self.traits)
        return tuple(
            Cohort(
                site.source,
                people.rows,
                {name: columns[:, i] for i, name in enumerate(names)},
                np.zeros(len(people.rows), np.int64),
            )
            for site, people, columns in zip(sites.sites, matched, self.columns, strict=True)
        )


def design(
    matched: Sequence[Matched],
    traits: Sequence[str],
    covariates: Sequence[str],
    binary: bool = False,
) -> Design:
    """Return the columns of all sites on one scale: mean and variance are over everybody.

    A binary trait is coded 0 and 1, or 1 and 2 as PLINK has it, and becomes 0 and 1. The scale
    of a column is taken from the files themselves, all of which the command reads.
    InputError where a trait is constant or has other values, or there are too few people.
    """
    values = np.concatenate([people.values for people in matched])
    for i, name in enumerate(traits if binary else ()):
        values[:, i] = _coded(values[:, i], name)
    n, t = len(values), len(traits)
    if n < t + 3:
        raise InputError(
            f"{n} people have the trait and all covariates; expected at least {t + 3};"
            " see how many were not matched, and correct the tables"
        )
    mean = values.mean(axis=0)
    spread = values.std(axis=0)
    constant = spread <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    for name in np.array(traits)[constant[:t]]:
        raise InputError(f"the trait {str(name)!r} is the same in everybody; name another")
    if binary:
        mean[:t], spread[:t] = 0.0, 1.0
    values -= mean
    values /= np.where(constant, 1.0, spread)
    kept = _independent(values[:, t:], constant[t:])
    scaled = values[:, np.concatenate([t + kept, np.arange(t)]).astype(np.int64)]
    largest = np.abs(scaled).max(axis=0)
    bounds = np.exp2(np.ceil(np.log2(np.maximum(largest, 1e-300))))
    ends = np.cumsum([len(people.values) for people in matched])[:-1]
    names = tuple(str(covariates[int(i)]) for i in kept)
    return Design(
        tuple(np.split(scaled, ends)),
        names,
        tuple(name for name in covariates if name not in names),
        tuple(traits),
        spread[:t],
        tuple(bounds.tolist()),
    )


def _coded(trait: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return a yes/no trait as 0 and 1."""
    if set(np.unique(trait)) <= {1.0, 2.0} and (trait == 2).any():
        return trait - 1
    if not np.isin(trait, (0.0, 1.0)).all():
        raise InputError(
            f"the trait {name!r} has other values than 0 and 1, or 1 and 2; expected a yes/no"
            " trait; recode it, or leave --binary out"
        )
    return trait


def _independent(columns: NDArray[np.float64], constant: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return which columns add something to those before them."""
    kept: list[int] = []
    room = np.empty(columns.shape, order="F")
    for i in range(columns.shape[1]):
        basis = room[:, : len(kept)]
        left = columns[:, i] - basis @ (basis.T @ columns[:, i])
        left -= basis @ (basis.T @ left)
        size = float(left @ left)
        if not constant[i] and size > INDEPENDENT * len(columns):
            room[:, len(kept)] = left / np.sqrt(size)
            kept.append(i)
    return np.array(kept, np.int64)
