"""Columns of labels in tables of people, such as the ancestry group that a study uses."""

from pathlib import Path
from typing import Final

from equipoise.errors import InputError, Problem
from equipoise.genotypes.text import contents
from equipoise.tools.people import MISSING

_IID: Final = ("IID", "#IID", "iid")
_LONGEST: Final = 60
_MOST: Final = 100


def read_labels(path: Path, name: str) -> dict[str, str]:
    """Return the label of each IID, "" where it is missing.

    Cells are parted by tabs where the header has one, else by blanks. InputError where a
    column is not there, a row has another number of cells, an IID comes twice, or labels are
    so long or so many that they can be no groups.
    """
    lines = contents(path, "table of phenotypes").decode().split("\n")
    parted = "\t" if "\t" in lines[0] else None
    header = [cell.strip() for cell in lines[0].split(parted)]
    key = next((name for name in _IID if name in header), None)
    if key is None or name not in header:
        missing = "IID" if key is None else repr(name)
        raise _wrong(path, 1, f"no column {missing}", f"a header with IID and {name}", "name it")
    person, label = header.index(key), header.index(name)
    found: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        cells = [cell.strip() for cell in line.split(parted)]
        if len(cells) != len(header):
            said = "a row of another number of cells"
            raise _wrong(path, number, said, f"{len(header)}", "correct the row")
        if cells[person] in found:
            raise _wrong(path, number, "an IID that comes twice", "each once", "remove the row")
        found[cells[person]] = "" if cells[label].lower() in MISSING else cells[label]
    labels = set(found.values())
    if len(labels) > _MOST or any(len(one) > _LONGEST or not one.isprintable() for one in labels):
        said = f"a column {name!r} with over {_MOST} different labels, or labels that are no names"
        raise _wrong(path, None, said, "names of groups", "name a column of groups")
    return found


def _wrong(path: Path, line: int | None, found: str, expected: str, remedy: str) -> InputError:
    return InputError(Problem(str(path), line, found, expected, remedy))
