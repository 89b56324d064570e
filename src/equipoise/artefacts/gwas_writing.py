"""Writing summary statistics of any number of variants in GWAS-SSF, block by block.

The standard is named in `gwas_ssf`.
"""

import gzip
import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, NoReturn, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.artefacts.gwas_ssf import COLUMNS, DIGITS, replacing

Columns: TypeAlias = Mapping[str, NDArray[Any] | pl.Series]
"""Columns of one block of rows, by name, each of shape (variants,)."""

PLACE: Final = COLUMNS[:4]
EFFECTS: Final = ("beta", "odds_ratio", "hazard_ratio")
"""What may stand in the fifth column: one of these."""

SIGNIFICANCES: Final = ("p_value", "neg_log_10_p_value")
"""What may stand in the eighth column: one of these."""

ENCOURAGED: Final = ("variant_id", "rsid", "info", "n", "ref_allele", "ci_lower", "ci_upper")
"""Further columns that the standard names; those of nobody but us come after them."""

CODES: Final = {
    **dict.fromkeys(("X", "XY", "PAR", "PAR1", "PAR2", "25"), "23"),
    "Y": "24",
    **dict.fromkeys(("MT", "M", "26"), "25"),
}
"""The standard's numbers. PLINK's are 25 for the part that X and Y share and 26 for MT."""

ROWS: Final = 100_000
"""Rows that are formatted at a time."""

LEVEL: Final = 1
"""Of gzip: three times as fast as the usual 6, for a file an eighth longer."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    md5        of the bytes of the file, in hexadecimal
    is_sorted  whether rows rise by chromosome, as the standard numbers it, and position
    unplaced   rows on a chromosome that the standard does not number; their name stands as it is
    """

    rows: int
    md5: str
    is_sorted: bool
    unplaced: int


def write_table(path: Path, blocks: Iterable[Columns]) -> Written:
    r"""Write blocks of rows one after the other, whole or not at all; gzip where named `.gz`.

    Each block has the columns `PLACE`, one of `EFFECTS`, `standard_error`,
    `effect_allele_frequency`, one of `SIGNIFICANCES`, and any others, the same in each
    block; they are written in the standard's order, those that it does not know last, in
    the order of the first block. A chromosome is a name (X, chr7) or the standard's number.
    NaN, None, "" and "." are written as `NA`; a number has `DIGITS` digits. Memory is that
    of one block.

    ValueError for a column too few or of another length, an infinite value, or a text with a
    tab or a line end: then, and where `blocks` breaks off, an old file stays as it was.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.tsv"
    >>> one = np.array([0.1])
    >>> block = {"chromosome": np.array(["chrX"]), "base_pair_location": np.array([100]),
    ...     "effect_allele": np.array(["A"]), "other_allele": np.array(["G"]), "beta": one,
    ...     "standard_error": one, "effect_allele_frequency": one, "status": np.array(["ok"]),
    ...     "neg_log_10_p_value": np.array([np.nan]), "n": np.array([358])}
    >>> write_table(path, [block]).rows
    1
    >>> print(path.read_text().replace("\t", " ").splitlines()[1])
    23 100 A G 0.1 0.1 0.1 NA 358 ok
    """
    tally = _Tally()
    with replacing(path) as file, _zipped(file, path.suffix == ".gz", tally) as sink:
        for block in blocks:
            tally.names = tally.names or order(tuple(block))
            for frame in _frames(block, tally.names):
                sink.write(_written(frame, tally))
        if not tally.headed:
            raise ValueError("no block; expected at least one, without rows if there are none")
    return Written(tally.rows, tally.md5.hexdigest(), tally.is_sorted, tally.unplaced)


def order(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns in the standard's order; ValueError where one is missing.

    >>> order([*reversed(COLUMNS), "info"]) == (*COLUMNS[:8], "info", "n", "status")
    True
    """
    effect = _one_of(names, EFFECTS)
    significance = _one_of(names, SIGNIFICANCES)
    first = (*PLACE, effect, "standard_error", "effect_allele_frequency", significance)
    missing = [name for name in first if name not in names]
    if missing:
        raise ValueError(f"no column {' '.join(missing)}; expected the columns {' '.join(first)}")
    known = (*first, *(name for name in ENCOURAGED if name in names))
    return (*known, *(name for name in names if name not in known))


def _one_of(names: Sequence[str], choice: tuple[str, ...]) -> str:
    found = [name for name in choice if name in names]
    if len(found) != 1:
        raise ValueError(f"{len(found)} of the columns {' '.join(choice)}; expected one")
    return found[0]


class _Tally:
    """What is known of a table so far; also a file's bytes on their way to the disk."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.headed = False
        self.rows = 0
        self.unplaced = 0
        self.is_sorted = True
        self.last = (0, 0)
        self.md5 = hashlib.md5(usedforsecurity=False)  # the standard asks for it

    def place(self, chromosome: pl.Series, position: pl.Series) -> None:
        """Count rows without a number of the standard, and see whether rows rise."""
        code = chromosome.cast(pl.Int64, strict=False).fill_null(0).to_numpy()
        self.unplaced += int(np.count_nonzero((code < 1) | (code > 25)))
        key = np.append(self.last[0], code), np.append(self.last[1], position.to_numpy())
        steps = np.diff(key[0]), np.diff(key[1])
        rising = (steps[0] > 0) | ((steps[0] == 0) & (steps[1] >= 0))
        self.is_sorted = self.is_sorted and not self.unplaced and bool(rising.all())
        self.last = int(key[0][-1]), int(key[1][-1])


def _frames(block: Columns, names: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """Yield the block in slices of at most `ROWS` rows, its columns in order."""
    if set(block) != set(names):
        raise ValueError("a block with other columns than the first; expected the same in each")
    sizes = {len(values) for values in block.values()}
    if len(sizes) > 1:
        raise ValueError("columns of different lengths; expected one value a variant in each")
    for start in range(0, max(*sizes, 1), ROWS):
        yield pl.DataFrame(
            {name: _column(name, block[name][start : start + ROWS]) for name in names}
        )


def _column(name: str, values: NDArray[Any] | pl.Series) -> pl.Series:
    if isinstance(values, pl.Series):
        return values.alias(name)
    kind = values.dtype.kind
    if kind in "iu":
        return pl.Series(name, values, pl.Int64)
    if kind == "f":
        # Adding 0 makes a negative zero positive.
        return pl.Series(name, values + 0.0, pl.Float64)
    # A chromosome or a status stands in runs, of which one text each is converted.
    starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)[: len(values)]
    if len(starts) * 8 > len(values):
        return pl.Series(name, values.tolist(), pl.String)
    runs = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    return pl.Series(name, values[starts].tolist(), pl.String).gather(runs)


def _written(frame: pl.DataFrame, tally: _Tally) -> bytes:
    """Return the text of some rows, the header before the first of all."""
    real = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    for name in real:
        if np.isinf(frame[name].to_numpy()).any():
            raise ValueError(f"an infinite value in the column {name}; expected none")
    rows = formatted(frame)
    tally.place(rows["chromosome"], rows["base_pair_location"])
    head, file = not tally.headed, BytesIO()
    rows.write_csv(file, include_header=head, separator="\t", null_value="NA", quote_style="never")
    text, lines = file.getvalue(), len(rows) + head
    # Quicker than to look through every cell.
    held, expected = np.frombuffer(text, np.uint8), (lines * (len(rows.columns) - 1), lines, 0)
    if tuple(np.count_nonzero(held == ord(mark)) for mark in "\t\n\r") != expected:
        _refuse_breaks(frame)
    tally.headed = True
    tally.rows += len(rows)
    return text


def _refuse_breaks(frame: pl.DataFrame) -> NoReturn:
    """Raise ValueError for the column with a tab or a line end, or a name of a column with one."""
    text = frame.select(pl.col(pl.String).str.contains("[\t\n\r]").any())
    found = [f"the column {name}" for name in text.columns if text[name][0]]
    raise ValueError(f"a tab or a line end in {(*found, 'the header')[0]}; expected none")


def formatted(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame as it is written: rounded, chromosomes numbered, null for `NA`."""
    real = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    text = [n for n, kind in frame.schema.items() if kind == pl.String and n != "chromosome"]
    chromosome = pl.col("chromosome").cast(pl.String).str.replace("^(?i)chr", "")
    if frame.schema["chromosome"] == pl.String:
        chromosome = chromosome.replace(CODES)
    return frame.with_columns(
        chromosome,
        pl.col(real).fill_nan(None).round_sig_figs(DIGITS),
        pl.when(~pl.col(text).is_in(["", "."])).then(pl.col(text)),
    )


@contextmanager
def _zipped(file: IO[bytes], zipped: bool, tally: _Tally) -> Generator[Any]:
    """Yield a file to write the text to, whose bytes pass by `tally.md5`."""
    hashed: Any = _Hashed(file, tally)
    if not zipped:
        yield hashed
        return
    # Without a name and a time, the same table gives the same bytes.
    with gzip.GzipFile("", "wb", LEVEL, hashed, mtime=0) as packed:
        yield packed


class _Hashed:
    def __init__(self, file: IO[bytes], tally: _Tally) -> None:
        self._file, self._tally = file, tally

    def write(self, data: Any) -> int:
        self._tally.md5.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()
