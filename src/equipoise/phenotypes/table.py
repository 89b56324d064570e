"""The phenotype table of a site: tab-separated, one row a person, keyed by `IID`.

UTF-8, a header, and above it any lines that begin with `#`: notes. Missing is
an empty cell, `NA`, `.` or `nan` in any case, and becomes NaN. Only the columns
asked for are read, each by its kind (`columns.py`).
No message holds an identifier or a value of a person, but for the codings named above.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError, Problem
from equipoise.phenotypes.columns import Fault, Kind, Values, convert

Lines = NDArray[np.int64]

MOST_PROBLEMS: Final = 1000
_NO_LEVELS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class PhenotypeTable:
    """People in the order of the file, and a float64 array a column; its repr names nobody."""

    iids: tuple[str, ...] = field(repr=False)
    columns: Mapping[str, Values] = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Text:
    """A file as bytes: the header's cells, and the rows that have as many, with their lines."""

    notes: tuple[str, ...]
    header: tuple[str, ...]
    body: bytes
    lines: Lines


def read(
    path: Path,
    columns: Mapping[str, Kind],
    levels: Mapping[str, tuple[str, ...]] = _NO_LEVELS,
) -> PhenotypeTable:
    r"""Give the people of a file and the columns asked for.

    `levels` names the two levels of a categorical column, the one coded 0 first.
    Raises InputError with every problem found (the first thousand).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "phenotypes.tsv"
    >>> _ = path.write_text("IID\tnull\tsex\nP1\tyes\tF\nP2\tNA\tmale\n")
    >>> table = read(path, {"null": "binary", "sex": "categorical"})
    >>> table.columns["null"], table.columns["sex"]
    (array([ 1., nan]), array([0., 1.]))
    """
    file = str(path)
    problems: list[Problem] = []
    text = _text(file, _bytes(path), problems)
    _check_header(file, text, columns, problems)
    present = [name for name in columns if text.header.count(name) == 1]
    frame = _frame(text, ["IID", *present])
    _check_iids(file, frame["IID"], text.lines, problems)
    arrays: dict[str, Values] = {}
    for name in present:
        arrays[name], faults = convert(name, columns[name], frame[name], levels)
        for fault in faults:
            problems.extend(_located(file, name, fault, text.lines))
    if problems:
        raise InputError(_first(file, problems))
    return PhenotypeTable(tuple(frame["IID"].to_list()), arrays, text.notes)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        found = "no such file" if missing else "a file that cannot be read"
        raise InputError(_whole(str(path), found, "give the path of the table")) from None
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").rstrip(b"\n")
    if not data:
        raise InputError(_whole(str(path), "an empty file", _ADD_HEADER))
    return data


def _text(file: str, data: bytes, problems: list[Problem]) -> _Text:
    """Take notes and header off, and leave out each row that has not the header's columns."""
    data = _without_bad_bytes(file, data, problems)
    notes: list[str] = []
    while data.startswith(b"#"):
        line, _, data = data.partition(b"\n")
        notes.append(line.decode().lstrip("#").strip())
    first, _, body = data.partition(b"\n")
    header = tuple(first.decode().split("\t"))
    at = len(notes) + 1
    if "IID" not in header:
        # The line is not quoted: in a table without a header it would be a person's.
        expected = "a header with a column IID, parted by tabs"
        raise InputError([Problem(file, at, "a line without it", expected, _ADD_HEADER), *problems])
    if not body:
        raise InputError([_whole(file, "no row", "add a row for each person"), *problems])
    good, lines = _rows(file, body, len(header), at + 1, problems)
    if not good.all():
        body = b"\n".join(row for row, ok in zip(body.split(b"\n"), good, strict=True) if ok)
    return _Text(tuple(notes), header, body, lines[good])


def _rows(
    file: str, body: bytes, width: int, first: int, problems: list[Problem]
) -> tuple[NDArray[np.bool_], Lines]:
    """Give, for each line, whether it has `width` cells and is not empty, and its number."""
    raw = np.frombuffer(body, dtype=np.uint8)
    ends = np.append(np.flatnonzero(raw == ord("\n")), raw.size)
    tabs = np.flatnonzero(raw == ord("\t"))
    cells = np.diff(np.searchsorted(tabs, ends), prepend=0) + 1
    good = (cells == width) & (np.diff(ends, prepend=-1) > 1)
    lines = np.arange(ends.size, dtype=np.int64) + first
    for number, count in zip(lines[~good].tolist(), cells[~good].tolist(), strict=True):
        found = "an empty line" if count == width == 1 else f"a row of {count} columns"
        expected = f"{width} as in the header"
        problems.append(Problem(file, number, found, expected, _FIX_COLUMNS))
    return good, lines


def _without_bad_bytes(file: str, data: bytes, problems: list[Problem]) -> bytes:
    """Give the same bytes if they are UTF-8, else with a mark for what is not, and say where."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        kept = [line.decode("utf-8", errors="replace").encode() for line in data.split(b"\n")]
        for number, (was, now) in enumerate(zip(data.split(b"\n"), kept, strict=True), start=1):
            if was != now:
                found, remedy = "bytes that are no UTF-8", "save the file as UTF-8"
                problems.append(Problem(file, number, found, "text", remedy))
        return b"\n".join(kept)
    return data


def _check_header(
    file: str, text: _Text, columns: Mapping[str, Kind], problems: list[Problem]
) -> None:
    at = len(text.notes) + 1
    for name in ("IID", *columns):
        count = text.header.count(name)
        if count > 1:
            found, remedy = f"{count} columns `{name}`", "remove or rename all but one"
            problems.append(Problem(file, at, found, "one", remedy))
        elif count == 0:
            near = get_close_matches(name, text.header, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            remedy = "add the column, or name another in the study file" + hint
            problems.append(Problem(file, at, f"no column `{name}`", "one", remedy))


def _frame(text: _Text, names: list[str]) -> pl.DataFrame:
    """Give the columns as text, a row a line of `text.lines`."""
    places = {text.header.index(name): name for name in names}
    if not text.body:
        return pl.DataFrame({name: pl.Series([], dtype=pl.String) for name in names})
    frame = pl.read_csv(
        text.body,
        has_header=False,
        columns=sorted(places),
        separator="\t",
        quote_char=None,
        infer_schema=False,
    )
    frame.columns = [places[place] for place in sorted(places)]
    return frame.with_columns(pl.all().fill_null(""))


def _check_iids(file: str, iids: pl.Series, lines: Lines, problems: list[Problem]) -> None:
    again = iids.is_duplicated() & (iids != "")
    first: dict[str, int] = {}
    for row in again.arg_true().to_list():
        iid, line = str(iids[row]), int(lines[row])
        if iid in first:
            found = f"the IID of line {first[iid]} again"
            problems.append(Problem(file, line, found, "one row a person", "remove one of the two"))
        first.setdefault(iid, line)
    for rows, found, remedy in (
        (iids == "", "an empty IID", "write whose row this is"),
        (iids != iids.str.strip_chars(), "spaces around an IID", "remove the spaces"),
    ):
        at = lines[rows.to_numpy()].tolist()
        problems.extend(Problem(file, line, found, "an identifier", remedy) for line in at)


def _located(file: str, name: str, fault: Fault, lines: Lines) -> Iterable[Problem]:
    for line in lines[fault.rows.to_numpy()].tolist():
        found = f"column `{name}` holds {fault.found}"
        yield Problem(file, line, found, fault.expected, fault.remedy)


_ADD_HEADER: Final = "begin the file with the names of its columns, IID among them"
_FIX_COLUMNS: Final = "write NA for what is missing and one tab between columns"


def _whole(file: str, found: str, remedy: str) -> Problem:
    return Problem(file, None, found, "a table with a row for each person", remedy)


def _first(file: str, problems: list[Problem]) -> list[Problem]:
    """Give the first problems in order of line, and how many more there are."""
    ordered = sorted(problems, key=lambda problem: problem.line or 0)
    more = len(ordered) - MOST_PROBLEMS
    if more <= 0:
        return ordered
    rest = Problem(
        file, None, f"{more} more problems", "none", "mend those above, then check again"
    )
    return [*ordered[:MOST_PROBLEMS], rest]
