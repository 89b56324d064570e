r"""Who takes part in a command: people of genotype files matched with tables, by IID.

A table has a header with `IID` (or `#IID`), parted by tabs or blanks, one row a person; `FID`
and other columns may be there. Missing is an empty cell between tabs, `NA`, `nan`, `.` in
any case. Two levels may be words (`WORDS`). As in PLINK, -9 in a trait is missing too; how many cells that was is said.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError, Problem
from equipoise.genotypes.text import contents
from equipoise.tools.sites import Site, Sites

MISSING: Final = ("", "na", "nan", ".", "n/a", "null")
NOT_KNOWN: Final = -9.0
"""PLINK's missing trait."""

PART: Final = 1 << 20
"""Bytes of a table that are read at a time."""

WORDS: Final = (
    {"no": "0", "yes": "1"},
    {"false": "0", "true": "1"},
    {"control": "0", "case": "1"},
    {"male": "1", "female": "2", "m": "1", "f": "2"},
)
"""Words for two levels, in any case, and the numbers they stand for."""

_IID: Final = ("IID", "#IID", "iid")


@dataclass(frozen=True, slots=True)
class Matched:
    """The people of one site who take part, in the order of its genotype file.

    rows      (people,) their places in the file
    values    (people, columns) what the tables say of them
    counts    of the file's people: in no table, without a trait, without a covariate, and
              taken; and how many of the tables' people are in no file of this site
    """

    rows: NDArray[np.int64] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Tables:
    """What tables say, by IID; the repr names nobody.

    place  the row of each IID
    cells  (rows, columns) NaN where missing
    nines  how many cells of a trait were -9
    """

    place: dict[str, int] = field(repr=False)
    cells: NDArray[np.float64] = field(repr=False)
    nines: int = 0


def read_tables(paths: Sequence[Path], traits: Sequence[str], covariates: Sequence[str]) -> Tables:
    """Return the columns asked for, of all tables together.

    Raises InputError where a column is not there, a cell is no number, or an IID comes twice.
    """
    place: dict[str, int] = {}
    parts: list[NDArray[np.float64]] = []
    names = (*traits, *covariates)
    for path in paths:
        ids, cells = _table(path, names)
        before = len(place)
        place.update(zip(ids, range(before, before + len(ids)), strict=True))
        if len(place) != before + len(ids):
            found = f"{before + len(ids) - len(place)} IDs that come twice"
            raise _wrong(path, found, "each person once, in all tables", "remove the other rows")
        parts.append(cells)
    cells = np.concatenate(parts) if parts else np.zeros((0, len(names)))
    nine = cells[:, : len(traits)] == NOT_KNOWN
    cells[:, : len(traits)][nine] = np.nan
    return Tables(place, cells, int(np.count_nonzero(nine)))


def match(sites: Sites, tables: Sequence[Tables], n_traits: int) -> tuple[Matched, ...]:
    """Return who takes part at each site; `tables` is one for all sites, or one for each.

    InputError where nobody of a site is in a table.
    """
    if len(tables) not in (1, len(sites.sites)):
        raise InputError(
            f"{len(tables)} tables of phenotypes for {len(sites.sites)} sites;"
            " expected one for each, in the same order, or one for all"
        )
    each = list(tables) * (1 if len(tables) == len(sites.sites) else len(sites.sites))
    return tuple(_match(site, t, n_traits) for site, t in zip(sites.sites, each, strict=True))


def everybody(sites: Sites) -> tuple[Matched, ...]:
    """Return all people of every site, for commands without tables."""
    return tuple(
        Matched(np.arange(n), np.zeros((n, 0)), {"taken": n})
        for n in (len(site.sample_ids) for site in sites.sites)
    )


def _match(site: Site, tables: Tables, n_traits: int) -> Matched:
    known = np.array([tables.place.get(iid, -1) for iid in site.sample_ids], np.int64)
    there = known >= 0
    if not there.any():
        raise InputError(
            f"none of the {len(known)} people of {site.name} is in the table of phenotypes;"
            " expected the same IDs in its column IID as in the genotypes;"
            " give the table of this site, or rename one of the two"
        )
    cells = tables.cells[known[there]]
    no_trait = np.isnan(cells[:, :n_traits]).any(axis=1)
    no_covariate = ~no_trait & np.isnan(cells[:, n_traits:]).any(axis=1)
    taken = ~no_trait & ~no_covariate
    counts = {
        "in_genotypes": len(known),
        "not_in_phenotypes": int(np.count_nonzero(~there)),
        "without_trait": int(np.count_nonzero(no_trait)),
        "without_covariate": int(np.count_nonzero(no_covariate)),
        "taken": int(np.count_nonzero(taken)),
        "phenotypes_not_in_genotypes": len(tables.place) - int(np.count_nonzero(there)),
    }
    values = cells if taken.all() else cells[taken]
    return Matched(np.flatnonzero(there)[taken], values, counts)


def _table(path: Path, names: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the IID of each row, and the columns asked for, (rows, columns), NaN where missing."""
    text = contents(path, "table of phenotypes")
    if b"\t" not in text.partition(b"\n")[0]:
        text = re.sub(rb"[ \t]+", b"\t", re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", text))
    if found := _plain(text, names):
        return found
    try:
        frame = _read(text, {})
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        found = "rows of other lengths than the header, or no text"
        raise _wrong(
            path, found, "one row a person, parted by tabs", "correct the table"
        ) from error
    key = next((name for name in _IID if name in frame.columns), None)
    if key is None:
        raise _wrong(path, "no column IID", "a header with IID", "name the column of IDs IID")
    columns = [_numbers(path, frame, name) for name in names]
    return frame[key].to_list(), np.column_stack([np.zeros((len(frame), 0)), *columns])


def _plain(text: bytes, names: Sequence[str]) -> tuple[list[str], NDArray[np.float64]] | None:
    """Return what `_table` does where all cells asked for hold numbers, as most do; else None.

    Part by part: the cells of a whole table as text would be most of a command's memory.
    """
    start = text.find(b"\n") + 1
    head, ids = text[:start], list[str]()
    cells: list[NDArray[np.float64]] = []
    while 0 < start < len(text):
        end = text.find(b"\n", start + PART) + 1 or len(text)
        part = _plain_part(head + text[start:end], names)
        if part is None:
            return None
        ids += part[0]
        cells.append(part[1])
        start = end
    return (ids, np.concatenate(cells)) if cells else None


def _plain_part(text: bytes, names: Sequence[str]) -> tuple[list[str], NDArray[np.float64]] | None:
    try:
        frame = _read(text, dict.fromkeys(names, pl.Float64))
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None
    key = next((name for name in _IID if name in frame.columns), None)
    if key is None or not set(names) <= set(frame.columns):
        return None
    cells = frame.select(names)
    if any(column.null_count() or not column.is_finite().all() for column in cells):
        return None
    return frame[key].to_list(), cells.to_numpy()


def _read(text: bytes, kinds: Mapping[str, type[pl.Float64]]) -> pl.DataFrame:
    return pl.read_csv(
        text, separator="\t", infer_schema=False, schema_overrides=kinds, quote_char=None
    )


def _numbers(path: Path, frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in frame.columns:
        close = ", ".join(c for c in frame.columns if c not in _IID)[:200]
        raise _wrong(path, f"no column {name!r}", f"one of: {close}", "name one that is there")
    cells = frame[name].str.strip_chars()
    numbers = cells.cast(pl.Float64, strict=False)
    if not numbers.null_count() and numbers.is_finite().all():
        return numbers.to_numpy().astype(np.float64)
    lower = cells.fill_null("").str.to_lowercase()
    for words in WORDS:
        if lower.is_in([*words, *MISSING]).all():
            numbers = lower.replace(words).cast(pl.Float64, strict=False)
    missing = lower.is_in(MISSING)
    bad = numbers.is_null() & ~missing | numbers.is_infinite().fill_null(value=False)
    if bad.any():
        first, count = int(bad.arg_true()[0]) + 2, int(bad.sum())
        found = f"{count} cells of {name!r} that are no numbers, the first in line {first}"
        raise _wrong(
            path, found, "numbers, yes and no, or NA where missing", "code levels as 0 and 1"
        )
    return np.array(numbers.fill_null(np.nan), np.float64)


def _wrong(path: Path, found: str, expected: str, remedy: str) -> InputError:
    return InputError(Problem(str(path), None, found, expected, remedy))
