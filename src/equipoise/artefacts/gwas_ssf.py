"""Summary statistics of a genome scan in GWAS-SSF, the format of the GWAS Catalog.

Hayhurst et al. 2022, doi:10.1101/2022.07.15.500230, and
https://github.com/EBISPOT/gwas-summary-statistics-standard. The columns of the standard come
first and in its order; the significance is `neg_log_10_p_value`, which the standard allows in
the place of `p_value` and which does not become 0. `n` is one of its optional columns, `status`
our own. A row whose effect cannot be estimated stays, with `NA`, and `status` says why: there
the standard, which has no empty cell in its first eight columns, is not kept.

Here is a study's table, held in memory; `gwas_writing` writes any number of rows, block by
block, and `gwas_reading` reads the files of others too.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError, Problem

COLUMNS: Final = (
    "chromosome",
    "base_pair_location",
    "effect_allele",
    "other_allele",
    "beta",
    "standard_error",
    "effect_allele_frequency",
    "neg_log_10_p_value",
    "n",
    "status",
)
DIGITS: Final = 9
"""Significant decimal digits that are written."""

_REAL: Final = COLUMNS[4:8]
_WHOLE: Final = ("base_pair_location", "n")
_KIND: Final = {
    name: pl.Float64 if name in _REAL else pl.Int64 if name in _WHOLE else pl.String
    for name in COLUMNS
}


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """One row a variant, each array of shape (variants,); NaN is what cannot be estimated.

    beta  in units of the trait per effect allele
    """

    chromosome: NDArray[Any] = field(repr=False)
    base_pair_location: NDArray[np.int64] = field(repr=False)
    effect_allele: NDArray[Any] = field(repr=False)
    other_allele: NDArray[Any] = field(repr=False)
    beta: NDArray[np.float64] = field(repr=False)
    standard_error: NDArray[np.float64] = field(repr=False)
    effect_allele_frequency: NDArray[np.float64] = field(repr=False)
    neg_log_10_p_value: NDArray[np.float64] = field(repr=False)
    n: NDArray[np.int64] = field(repr=False)
    status: NDArray[Any] = field(repr=False)


def write(path: Path, table: Statistics) -> None:
    r"""Write the file whole or not at all.

    ValueError where a value is infinite or arrays differ in length.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "association.tsv"
    >>> one = np.array([0.1])
    >>> names = (np.array([name]) for name in ("22", "A", "G", "ok"))
    >>> chromosome, effect, other, status = names
    >>> write(path, Statistics(chromosome, np.array([100]), effect, other,
    ...     one, one / 3, one, np.array([np.nan]), np.array([358]), status))
    >>> print(path.read_text().replace("\t", " ").splitlines()[1])
    22 100 A G 0.1 0.0333333333 0.1 NA 358 ok
    """
    if len({len(getattr(table, name)) for name in COLUMNS}) > 1:
        raise ValueError("columns of different lengths; expected one value a variant in each")
    frame = pl.DataFrame({name: _series(name, getattr(table, name)) for name in COLUMNS})
    if frame.select(pl.col(_REAL).is_infinite().any()).transpose().to_series().any():
        raise ValueError("an infinite value; expected a number, or NaN where not estimable")
    real = pl.col(_REAL).fill_nan(None).round_sig_figs(DIGITS)
    with replacing(path) as file:
        frame.with_columns(real).write_csv(
            file, separator="\t", null_value="NA", quote_style="never"
        )


def read(path: Path) -> Statistics:
    """Return what `write` wrote; InputError for a file with other columns."""
    try:
        frame = pl.read_csv(path, separator="\t", null_values="NA", schema=_KIND, quote_char=None)
    except (OSError, pl.exceptions.PolarsError):
        found = "a file that cannot be read as GWAS-SSF"
        remedy = "take the association.tsv of a run"
        expected = "the columns " + " ".join(COLUMNS)
        raise InputError(Problem(str(path), None, found, expected, remedy)) from None
    arrays = {name: frame[name].to_numpy() for name in COLUMNS}
    return Statistics(**arrays)


def _series(name: str, values: NDArray[Any]) -> pl.Series:
    if _KIND[name] is pl.String:
        return pl.Series(name, values.astype(object), dtype=pl.String)
    # Adding 0 makes a negative zero positive.
    return pl.Series(name, values + 0, dtype=_KIND[name])


@contextmanager
def replacing(path: Path) -> Generator[IO[bytes]]:
    """Yield a file that takes the name `path` at the end, if nothing was raised before."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make the renaming itself last, where the system can sync a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
