"""A file of lines with a fixed number of cells, as columns of text that know their lines.

No message quotes a cell: a private variant or an identifier would name its carrier.
"""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError, Problem

MOST_PROBLEMS: Final = 20

_UTF8_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong at some lines of a file."""

    lines: NDArray[np.int64]
    found: str
    expected: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a file that have as many cells as they should, and what is wrong with others.

    frame   text columns, a row a line
    number  (rows,) the 1-based line of each row
    """

    file: str
    frame: pl.DataFrame
    number: NDArray[np.int64]
    faults: tuple[Fault, ...]

    def fault(self, bad: pl.Series, found: str, expected: str, remedy: str) -> Fault:
        """Return the fault of the rows where `bad` is true."""
        return Fault(self.number[bad.to_numpy()], found, expected, remedy)


def whole(path: Path, found: str, expected: str, remedy: str) -> InputError:
    """Return the error of a file as a whole."""
    return InputError(Problem(str(path), None, found, expected, remedy))


def contents(path: Path, what: str) -> bytes:
    """Return the bytes of a file, unzipped where it is gzip; InputError where there are none."""
    return cleaned(path, raw(path, what), what)


def raw(path: Path, what: str) -> bytes:
    """Return the bytes of a file as they are; InputError where it cannot be read."""
    expected = f"the {what}"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise whole(path, "no such file", expected, "correct the path or add the file") from None
    except OSError:
        raise whole(path, "a file that cannot be read", expected, "allow reading it") from None


def cleaned(path: Path, data: bytes, what: str) -> bytes:
    """Return the text in the bytes of a file, unzipped, with line ends alike."""
    expected = f"the {what}"
    try:
        if data.startswith(b"\x1f\x8b"):
            # Not gzip.decompress, whose time grows with the square of bgzip's many members.
            data = gzip.GzipFile(fileobj=BytesIO(data)).read()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise whole(path, "a gzip file cut short or altered", expected, "copy it again") from None
    data = data.removeprefix(_UTF8_MARK)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if data.endswith(b"\n"):
        data = data.rstrip(b"\n")
    if not data:
        raise whole(path, "an empty file", expected, "write or copy it again")
    try:
        if not data.isascii():
            data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(str(path), line, "bytes that are no UTF-8", "text", "save it as UTF-8")
        raise InputError(problem) from None
    return data


def lines(file: str, data: bytes, names: tuple[str, ...], first: int = 1) -> Lines:
    r"""Return the cells of tab-separated lines, of which the first is line `first`.

    >>> table = lines("a.tsv", b"1\t2\n3\n4\t5", ("a", "b"), first=2)
    >>> table.frame["b"].to_list(), table.number
    (['2', '5'], array([2, 4]))
    >>> table.faults[0].lines, table.faults[0].found
    (array([3]), 'a line of another number of cells')
    """
    raw = np.frombuffer(data, np.uint8)
    ends = np.append(np.flatnonzero(raw == ord("\n")), raw.size)
    tabs = np.flatnonzero(raw == ord("\t"))
    cells = np.diff(np.searchsorted(tabs, ends), prepend=0) + 1
    good = cells == len(names)
    number = np.arange(ends.size, dtype=np.int64) + first
    faults: tuple[Fault, ...] = ()
    if not good.all():
        kept = zip(data.split(b"\n"), good.tolist(), strict=True)
        data = b"\n".join(line for line, well in kept if well)
        remedy = "write each of: " + " ".join(names)
        expected = f"{len(names)}"
        faults = (Fault(number[~good], "a line of another number of cells", expected, remedy),)
    return Lines(file, _frame(data, names), number[good], faults)


def tabbed(data: bytes) -> bytes:
    r"""Return the lines with one tab between cells, as PLINK reads any run of blanks.

    >>> tabbed(b"0 P1  0")
    b'0\tP1\t0'
    """
    if b" " not in data and b"\t\t" not in data:
        return data
    return b"\n".join(b"\t".join(line.split()) for line in data.split(b"\n"))


def _frame(data: bytes, names: tuple[str, ...]) -> pl.DataFrame:
    if not data:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    return pl.read_csv(
        data,
        has_header=False,
        new_columns=list(names),
        separator="\t",
        quote_char=None,
        infer_schema=False,
    ).with_columns(pl.all().fill_null(""))


def refuse(file: str, faults: Iterable[Fault]) -> None:
    """Raise InputError with the first problems by line, if there is a fault anywhere."""
    found = [fault for fault in faults if fault.lines.size]
    if not found:
        return
    each = sorted(
        (int(line), place)
        for place, fault in enumerate(found)
        for line in fault.lines[:MOST_PROBLEMS]
    )
    problems: list[Problem] = []
    for line, place in each[:MOST_PROBLEMS]:
        fault = found[place]
        problems.append(Problem(file, line, fault.found, fault.expected, fault.remedy))
    more = sum(fault.lines.size for fault in found) - len(problems)
    if more:
        remedy = "mend those above, then check again"
        problems.append(Problem(file, None, f"and {more} more problems", "none", remedy))
    raise InputError(problems)
