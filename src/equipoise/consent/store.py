"""The consent table of a site: one row a term, read whole or refused with all that is wrong.

Tab-separated, UTF-8, columns exactly `IID code value date`. A person may have
many rows; dates are ISO; value is empty or `.` where a term has none. Lines
that begin with `#` above the header are notes, shown wherever the consents are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from equipoise.consent.terms import Term, day
from equipoise.errors import InputError, Problem

HEADER: Final = ("IID", "code", "value", "date")
MOST_PROBLEMS: Final = 1000

_Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class ConsentTable:
    """All terms of all people of one site; its repr holds no identifier."""

    terms: Mapping[str, tuple[Term, ...]] = field(repr=False)
    notes: tuple[str, ...] = ()

    def of(self, iid: str) -> tuple[Term, ...]:
        """Give a person's terms in the order of the file; none for who is not in the table."""
        return self.terms.get(iid, ())


def read(path: Path) -> ConsentTable:
    r"""Give the consents in a file; an unknown code is no error here, `decide` refuses it.

    Raises InputError with every problem found (the first thousand).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "consents.tsv"
    >>> _ = path.write_text("#illustrative\nIID\tcode\tvalue\tdate\nP1\tHMB\t.\t2020-05-01\n")
    >>> read(path)
    ConsentTable(notes=('illustrative',))
    >>> read(path).of("P1")
    (Term(code='HMB', value='', date=datetime.date(2020, 5, 1)),)
    """
    file = str(path)
    problems: list[Problem] = []
    numbered = _lines(path, problems)
    notes: list[str] = []
    for number, line in numbered:
        if line.startswith("#"):
            notes.append(line.lstrip("#").strip())
            continue
        if tuple(line.split("\t")) != HEADER:
            raise InputError(_header_problem(file, number))
        break
    terms = _terms(file, numbered, problems)
    if not terms and not problems:
        problems.append(_no_rows(file))
    if problems:
        raise InputError(_first(file, problems))
    return ConsentTable({iid: tuple(rows) for iid, rows in terms.items()}, tuple(notes))


def _lines(path: Path, problems: list[Problem]) -> Iterator[tuple[int, str]]:
    """Give the lines with their numbers, without those that are empty or no UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        found = "no such file" if missing else "a file that cannot be read"
        raise InputError(_whole(str(path), found, "give the path of the consent table")) from None
    raw = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n").split(b"\n")
    if raw == [b""]:
        raise InputError(_whole(str(path), "an empty file", _ADD_HEADER))
    return _decoded(str(path), raw, problems)


def _decoded(file: str, raw: list[bytes], problems: list[Problem]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(raw, start=1):
        try:
            text = line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError:
            problems.append(Problem(file, number, "bytes that are no UTF-8", "text", _SAVE_UTF8))
            continue
        if text:
            yield number, text
        else:
            problems.append(Problem(file, number, "an empty line", "a row", "remove the line"))


def _terms(
    file: str, numbered: Iterator[tuple[int, str]], problems: list[Problem]
) -> dict[str, list[Term]]:
    terms: dict[str, list[Term]] = {}
    seen: dict[tuple[str, str, str], Term] = {}
    for number, line in numbered:
        cells = line.split("\t")
        if len(cells) != len(HEADER):
            found = f"a row of {len(cells)} columns"
            problems.append(Problem(file, number, found, "4, parted by tabs", _FIX_COLUMNS))
            continue
        iid, *rest = cells
        key = (rest[0], rest[1], rest[2])
        term = seen.get(key)
        if term is None or not iid or iid != iid.strip():
            term = _checked(file, number, (iid, *key), problems)
        if term is not None:
            seen[key] = term
            terms.setdefault(iid, []).append(term)
    return terms


def _checked(file: str, number: int, row: _Row, problems: list[Problem]) -> Term | None:
    """Give the row's term, or None after adding each thing that is wrong with the row."""
    iid, code, value, written = row
    before = len(problems)
    if any(cell != cell.strip() for cell in row):
        remedy = "remove the spaces"
        problems.append(Problem(file, number, "spaces around a cell", "none", remedy))
    if not iid.strip():
        remedy = "write whose consent this is"
        problems.append(Problem(file, number, "an empty IID", "an identifier", remedy))
    if not code.strip():
        remedy = "write the code, such as HMB or DUO:0000006"
        problems.append(Problem(file, number, "an empty code", "a consent code", remedy))
    signed = day(written.strip())
    if signed is None:
        found = "a date of another form, or none"
        remedy = "write the day on which the term was given"
        problems.append(Problem(file, number, found, "YYYY-MM-DD in column date", remedy))
    if signed is None or len(problems) > before:
        return None
    return Term(code, "" if value == "." else value, signed)


_ADD_HEADER: Final = "begin the file with the line `IID code value date`, parted by tabs"
_SAVE_UTF8: Final = "save the file as UTF-8"
_FIX_COLUMNS: Final = "write `.` for an empty value and one tab between columns"


def _whole(file: str, found: str, remedy: str) -> Problem:
    return Problem(file, None, found, "a consent table with a row for each term", remedy)


def _header_problem(file: str, number: int) -> Problem:
    # The line is not quoted: in a table without a header it would be a person's.
    expected = "exactly `IID code value date`, parted by tabs"
    return Problem(file, number, "a header of another form", expected, _ADD_HEADER)


def _no_rows(file: str) -> Problem:
    remedy = "add the terms of each person; who has none is refused"
    return _whole(file, "no row", remedy)


def _first(file: str, problems: list[Problem]) -> list[Problem]:
    """Give the first problems in order of line, and how many more there are."""
    ordered = sorted(problems, key=lambda problem: problem.line or 0)
    more = len(ordered) - MOST_PROBLEMS
    if more <= 0:
        return ordered
    rest = Problem(
        file, None, f"{more} more problems", "none", "mend those above, then check again"
    )
    return [*islice(ordered, MOST_PROBLEMS), rest]
