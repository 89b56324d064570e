"""People of a `.sample` file, as lies beside BGEN (Oxford format)."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.source import people
from equipoise.genotypes.text import contents, lines, refuse, tabbed, whole

_IDS: Final = ("ID_2", "ID_1", "ID")
_SEX: Final = {"1": 1, "2": 2, "male": 1, "female": 2, "M": 1, "F": 2, "0": 0, "NA": 0, "-9": 0}


def people_of(path: Path) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Return IDs (ID_2, else the first column) and sex (1 male, 2 female, 0 unknown).

    Raises InputError where a line has more or fewer cells than the first, or a sex is of
    another form.
    """
    first, _, body = tabbed(contents(path, "people")).partition(b"\n")
    names = tuple(name.decode() for name in first.split(b"\t"))
    # The second line names the types of the columns; that of the IDs is 0.
    types, _, rows = body.partition(b"\n")
    name = next((name for name in _IDS if name in names), None)
    if name is None or not types.startswith(b"0") or len(set(names)) != len(names):
        found, expected = "two first lines of another form", "ID_1 ID_2 missing, then 0 0 0"
        raise whole(path, found, expected, "give the .sample that came with the .bgen")
    table = lines(str(path), rows, names, first=3)
    sex = table.frame["sex"] if "sex" in names else table.frame[name].str.head(0) + "0"
    form = table.fault(
        ~sex.is_in(tuple(_SEX)), "a sex of another form", "1, 2 or 0", "correct the cell"
    )
    refuse(table.file, (*table.faults, form))
    codes = np.array([_SEX[code] for code in sex.to_list()], np.int8)
    return people(path, table.frame[name].to_list()), codes
