"""What a column of a phenotype table means, by its kind, as numbers.

binary        yes or 1 is 1, no or 0 is 0. PLINK's 1 for controls and 2 for cases
              would be misread: a 2 is a problem, and so is a column that has
              1 and never 0, no or yes, which could be either.
quantitative  finite numbers. An exact `-9`, PLINK's missing, is a problem; -9.0 is
              a measurement.
categorical   numbers if there are no levels, else the place in the levels: the
              first is 0, the second 1. Levels come from the caller and never from
              the rows, or a site with one level only would code otherwise than
              the rest. `sex` has them built in: female, F or 2 is 0, male, M or 1
              is 1; a 0 is a problem (unknown in PLINK, female in UK Biobank).

Missing is an empty cell, `NA`, `.` or `nan` in any case, and becomes NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Kind = Literal["binary", "quantitative", "categorical"]
Values = NDArray[np.float64]

MISSING: Final = ("", "na", ".", "nan")
_BINARY: Final = {"yes": 1.0, "1": 1.0, "no": 0.0, "0": 0.0}
_SEX: Final = {"female": 0.0, "f": 0.0, "2": 0.0, "male": 1.0, "m": 1.0, "1": 1.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """Rows of one column with one thing wrong."""

    rows: pl.Series
    found: str
    expected: str
    remedy: str


def convert(
    name: str, kind: Kind, cells: pl.Series, levels: Mapping[str, tuple[str, ...]]
) -> tuple[Values, list[Fault]]:
    """Give the numbers of one column, NaN where missing or at fault, and the faults.

    >>> convert("sex", "categorical", pl.Series(["female", "M", "."]), {})[0]
    array([ 0.,  1., nan])
    """
    if kind == "binary":
        return _binary(cells)
    if kind == "categorical" and name in levels:
        return _levels(cells, levels[name])
    if kind == "categorical" and name.casefold() == "sex":
        return _sex(cells)
    return _numbers(cells, kind)


def _coded(cells: pl.Series, codes: Mapping[str, float]) -> tuple[pl.Series, pl.Series]:
    """Give the codes, NaN for missing, and the rows that are neither."""
    table: dict[str, float] = {**dict.fromkeys(MISSING, np.nan), **codes}
    lower = cells.str.to_lowercase()
    keys = pl.select(pl.when(lower.is_in(MISSING)).then(lower).otherwise(cells)).to_series()
    values = keys.replace_strict(table, default=None, return_dtype=pl.Float64)
    return values, values.is_null()


def _binary(cells: pl.Series) -> tuple[Values, list[Fault]]:
    lower = cells.str.to_lowercase()
    values, bad = _coded(lower, _BINARY)
    two = lower == "2"
    faults = [
        Fault(
            two, "a 2, as in PLINK's coding by 1 and 2", "yes or no", "write no for 1, yes for 2"
        ),
        Fault(bad & ~two, "a value of another form", "yes, no, 1, 0 or NA", "correct the cell"),
    ]
    ones = lower == "1"
    if ones.any() and not (lower.is_in(("0", "yes", "no")) | bad).any():
        found = "1 and never 0, which may be PLINK's coding for controls"
        remedy = "write yes for cases and no for controls"
        faults.append(Fault(ones & (ones.cum_sum() == 1), found, "yes or no", remedy))
    return values.to_numpy(), faults


def _sex(cells: pl.Series) -> tuple[Values, list[Fault]]:
    values, bad = _coded(cells.str.to_lowercase(), _SEX)
    nought = cells == "0"
    found = "a 0, which is unknown in PLINK and female in UK Biobank"
    expected = "female, male, F, M, 2, 1 or NA"
    return values.to_numpy(), [
        Fault(nought, found, expected, "write female, male or NA"),
        Fault(bad & ~nought, "a value of another form", expected, "correct the cell"),
    ]


def _levels(cells: pl.Series, levels: tuple[str, ...]) -> tuple[Values, list[Fault]]:
    if len(levels) != 2 or len(set(levels)) != 2:
        rows = pl.Series(np.arange(len(cells)) == 0)
        found = f"a column of {len(set(levels))} levels"
        remedy = "make a yes/no column of each level; more than two are not yet supported"
        return np.full(len(cells), np.nan), [Fault(rows, found, "two levels", remedy)]
    codes = {level: float(place) for place, level in enumerate(levels)}
    values, bad = _coded(cells, codes)
    expected = " or ".join(f"`{level}`" for level in levels)
    fault = Fault(bad, "a value that is no level of it", f"{expected} or NA", "correct the cell")
    return values.to_numpy(), [fault]


def _numbers(cells: pl.Series, kind: Kind) -> tuple[Values, list[Fault]]:
    missing = cells.str.to_lowercase().is_in(MISSING)
    values = cells.cast(pl.Float64, strict=False)
    nine = cells == "-9"
    bad = ~missing & ~nine & ~values.is_finite().fill_null(value=False)
    remedy = "correct the cell"
    if kind == "categorical":
        remedy += "; text needs its two levels to be named, as only `sex` has them built in"
    faults = [
        Fault(
            nine, "-9, which PLINK writes for missing", "a number", "write NA, or -9.0 if measured"
        ),
        Fault(bad, "a value that is no finite number", "a number or NA", remedy),
    ]
    filled = pl.select(pl.when(missing).then(np.nan).otherwise(values)).to_series()
    return filled.fill_null(np.nan).to_numpy(), faults
