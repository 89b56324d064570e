"""Everybody, and the two levels of each group column: the cells that an audit compares.

Cell 0 is everybody; 1 + 2 g and 2 + 2 g are the people with a 0 and with a 1 in group
column g. Sums are asked for everybody and for those with a 1; the rest is plain
subtraction of whole numbers, or of multiples of one quantum.
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.errors import InputError

T = TypeVar("T", np.int64, np.float64)


def names(groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the cells.

    >>> names(("sex",))
    ('', 'sex=0', 'sex=1')
    """
    return ("", *(f"{group}={level}" for group in groups for level in (0, 1)))


def levels(group: str, values: NDArray[np.float64]) -> Iterator[NDArray[np.bool_]]:
    """Yield who has a 0 and who has a 1; InputError where a column has another value.

    A continuous column would make as many groups as people.
    """
    if not np.isin(values, (0.0, 1.0)).all():
        raise InputError(
            f"the group column {group!r} has values other than 0 and 1; expected a column of"
            " two values, such as sex or a yes/no column; choose another group to audit"
        )
    yield values == 0
    yield values == 1


def members(groups: tuple[str, ...], cohort: Cohort) -> dict[str, NDArray[np.bool_]]:
    """Return who of a site's people is in each cell, by the names of the cells."""
    parts = [np.ones(cohort.n, np.bool_)]
    for group in groups:
        parts += levels(group, cohort.column(group))
    return dict(zip(names(groups), parts, strict=True))


def from_yes(sums: NDArray[T]) -> NDArray[T]:
    """Return sums by cell, from those of everybody (row 0) and of each column's 1s.

    >>> from_yes(np.array([[10], [4]])).ravel()
    array([10,  6,  4])
    """
    parts = [sums[:1], *(part for yes in sums[1:] for part in ((sums[0] - yes)[None], yes[None]))]
    return np.concatenate(parts)


def open_cells(counts: NDArray[np.int64], k: int, floor: int) -> NDArray[np.int64]:
    """Return 1 for each cell of which sums may be asked, from (cells, 2) controls and cases.

    Everybody needs `k` of each, a level `floor` of each, and so does the other level of
    its column: it would follow by subtraction.
    """
    everybody = bool(counts[0].min() >= k)
    pairs = counts[1:].reshape(-1, 2 * 2).min(axis=1) >= floor
    return np.asarray(np.concatenate([[everybody], np.repeat(pairs & everybody, 2)]), np.int64)
