"""Columns that an analysis may take no further than was declared: group numbers, and a trait."""

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.errors import InputError

Array = NDArray[np.float64]


def numbered(cohort: Cohort, column: str, groups: int) -> NDArray[np.int64]:
    """Return each person's group, from 0; -1 for who is in none of those declared."""
    number = cohort.column(column)
    known = (number >= 0) & (number < groups) & (number % 1 == 0)
    return np.where(known, number, -1.0).astype(np.int64)


def counted(group: NDArray[np.int64], trait: NDArray[np.float64] | None, groups: int) -> Array:
    """Return people by group and, where a yes/no trait is given, those with it, (groups, 2)."""
    found, among = np.zeros((groups, 2)), group >= 0
    found[:, 0] = np.bincount(group[among], minlength=groups)
    if trait is not None:
        found[:, 1] = np.bincount(group[among], trait[among], groups)
    return found


def bounded(cohort: Cohort, column: str, most: float) -> NDArray[np.float64]:
    """Return a column; InputError where a value is beyond its bound: a trait is never cut."""
    values = cohort.column(column)
    if bool((np.abs(values) > most).any()):
        raise InputError(
            f"the column {column!r} has values beyond its bound of {most:g}; expected none;"
            " correct the values, or declare a greater bound"
        )
    return values
