"""LD scores from a reference, in the form of LDSC (`.l2.ldscore`, `.l2.ldscore.gz`).

Bulik-Sullivan et al. 2015, doi:10.1038/ng.3211: a table with a header, parted by tabs or blanks,
of which CHR, BP and L2 are read. Positions must be of the scan's genome build.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.artefacts.gwas_reading import contents
from equipoise.errors import InputError, Problem

COLUMNS: Final = ("CHR", "BP", "L2")
KINDS: Final = {"CHR": pl.String, "BP": pl.Int64, "L2": pl.Float64}


def read(paths: Sequence[Path]) -> pl.DataFrame:
    """Return the LD scores of one or more files, as a rule one a chromosome: `COLUMNS`.

    Rows without a score (NA) are left out. InputError for a file of another form.
    """
    return pl.concat([_read(path) for path in paths])


def matched(
    scores: pl.DataFrame, chromosome: Sequence[str], position: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the score of each variant, (variants,), NaN where none has its position.

    Where several scores have one position, the first is taken.

    >>> table = pl.DataFrame({"CHR": ["1", "X"], "BP": [5, 5], "L2": [2.0, 3.0]})
    >>> matched(table, ["X", "2"], np.array([5, 5])).tolist()
    [3.0, nan]
    """
    wanted = pl.DataFrame(
        {"CHR": pl.Series(list(chromosome), dtype=pl.String), "BP": pl.Series(position)}
    )
    known = scores.unique(["CHR", "BP"], keep="first")
    found = wanted.join(known, on=["CHR", "BP"], how="left", maintain_order="left")
    return found["L2"].fill_null(np.nan).to_numpy().astype(np.float64)


def _read(path: Path) -> pl.DataFrame:
    expected = "a table of LD scores with the columns " + " ".join(COLUMNS)
    data = contents(path, expected)
    if b" " in data:
        data = b"\n".join(b"\t".join(line.split()) for line in data.split(b"\n"))
    try:
        frame = pl.read_csv(
            data, separator="\t", columns=list(COLUMNS), schema_overrides=KINDS, null_values="NA"
        )
    except pl.exceptions.PolarsError:
        found, remedy = "a file of another form", "give the .l2.ldscore files of LDSC"
        raise InputError(Problem(str(path), None, found, expected, remedy)) from None
    names = pl.col("CHR").str.replace("^(?i)chr", "").replace({"23": "X", "24": "Y", "25": "MT"})
    return frame.select(names, "BP", "L2").filter(pl.col("L2").is_finite())
