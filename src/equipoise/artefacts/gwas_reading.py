"""Reading summary statistics in GWAS-SSF: our own and those of others.

The standard is named in `gwas_ssf`. No message quotes a cell: a rare variant would name its carrier.
"""

import gzip
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special

from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.artefacts.gwas_writing import EFFECTS, PLACE, SIGNIFICANCES
from equipoise.errors import InputError, Problem

MOST_PROBLEMS: Final = 20
NOT_GIVEN: Final = ("NA", "#NA", "")

_REAL: Final = (
    *(*EFFECTS, "z-score", "standard_error", "effect_allele_frequency"),
    *(*SIGNIFICANCES, "n", "info", "ci_lower", "ci_upper"),
)
_NAMES: Final = {"23": "X", "24": "Y", "25": "MT"}
_NUMBER: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_CHUNK: Final = 1 << 24
_special = cast("Any", special)  # scipy has no types

_RANGES: Final = {
    "base_pair_location": (1, 2**53, "a position from 1"),
    "odds_ratio": (0, np.inf, "a number from 0"),
    "hazard_ratio": (0, np.inf, "a number from 0"),
    "standard_error": (0, np.inf, "a number from 0"),
    "effect_allele_frequency": (0, 1, "a number from 0 to 1"),
    "p_value": (0, 1, "a number from 0 to 1"),
    "neg_log_10_p_value": (0, np.inf, "a number from 0"),
}


def read_table(path: Path) -> pl.DataFrame:
    """Return a GWAS-SSF file, plain or gzip, one row a variant in the order of the file.

    Columns: `PLACE`, with chromosomes as names (1 to 22, X, Y, MT); `beta`, of an odds or a
    hazard ratio its natural logarithm, null in a file of z-scores; `standard_error` as it
    stands; `effect_allele_frequency`; `neg_log_10_p_value`, from `p_value` where the file
    has that; then what else the file has, `n` and `info` as numbers, what the standard does
    not name as text. NA, #NA and an empty cell are null. Where a p-value is 0, which is one
    that its program could not hold, the significance is that of beta over its standard
    error in the normal distribution.

    InputError with all problems (the first 20), by line.
    """
    data = contents(path, "a table in GWAS-SSF")
    header, _, body = data.partition(b"\n")
    names = _header(path, header)
    _refuse(path, _cells(data, len(names)))
    if not body:
        return _canonical(pl.DataFrame(schema={name: _kind(name) for name in names}))
    try:
        frame = _parsed(data, {name: _kind(name) for name in names})
    except pl.exceptions.PolarsError:
        _refuse(path, _no_text(data))
        texts = _parsed(data, dict.fromkeys(names, pl.String))
        _refuse(path, _of_another_form(texts))
        found = "a table that cannot be read"
        raise _whole(path, found, "GWAS-SSF", "write it again") from None
    _refuse(path, _out_of_range(frame))
    table = _canonical(frame)
    lost = table["neg_log_10_p_value"].is_infinite().fill_null(value=False)
    _refuse(path, _faults(lost, "a p-value of 0", "one, or beta and its standard error"))
    return table


def statistics(table: pl.DataFrame) -> Statistics:
    """Return what `read_table` gave as `Statistics`; n is 0 where the file does not say it.

    A file without `status` has `ok` where the significance is known, `not_given` elsewhere.
    """
    real = ("beta", "standard_error", "effect_allele_frequency", "neg_log_10_p_value")
    known = table["neg_log_10_p_value"].to_numpy()
    status = np.where(np.isfinite(known), "ok", "not_given")
    n = table["n"].fill_null(0).to_numpy() if "n" in table else np.zeros(len(table))
    text: dict[str, NDArray[Any]] = {
        name: table[name].to_numpy() for name in ("chromosome", "effect_allele", "other_allele")
    }
    return Statistics(
        **text,
        base_pair_location=table["base_pair_location"].to_numpy(),
        **{name: table[name].to_numpy().astype(np.float64) for name in real},
        n=np.rint(n).astype(np.int64),
        status=table["status"].to_numpy() if "status" in table else status,
    )


def contents(path: Path, expected: str) -> bytes:
    """Return the lines of a file, unzipped where it is gzip, without blank ones at the end."""
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.GzipFile(fileobj=BytesIO(data)).read()
    except FileNotFoundError:
        raise _whole(path, "no such file", expected, "correct the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _whole(path, "a gzip file cut short or altered", expected, "copy it again") from None
    except OSError:
        raise _whole(path, "a file that cannot be read", expected, "allow reading it") from None
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").rstrip(b"\n")
    if not data:
        raise _whole(path, "an empty file", expected, "write or copy it again")
    return data


def _header(path: Path, line: bytes) -> tuple[str, ...]:
    names = tuple(line.decode(errors="replace").split("\t"))
    first = (*PLACE, "standard_error", "effect_allele_frequency")
    choices = ((*EFFECTS, "z-score"), SIGNIFICANCES)
    missing = [name for name in first if name not in names]
    missing += [" or ".join(c) for c in choices if not set(c) & set(names)]
    if missing:
        found = "a first line without " + ", ".join(missing)
        raise _whole(path, found, "the columns of GWAS-SSF, parted by tabs", "name the columns so")
    if len(set(names)) < len(names):
        raise _whole(path, "two columns of one name", "each name once", "remove one of the two")
    return names


def _kind(name: str) -> Any:
    return pl.Int64 if name == "base_pair_location" else pl.Float64 if name in _REAL else pl.String


def _parsed(data: bytes, schema: dict[str, Any]) -> pl.DataFrame:
    return pl.read_csv(
        data, separator="\t", schema=schema, null_values=list(NOT_GIVEN), quote_char=None
    )


def _cells(data: bytes, columns: int) -> Iterator[Problem]:
    """Yield the lines of another number of cells than the first; polars would fill or fail."""
    line, start = 1, 0
    while start < len(data):
        end = data.find(b"\n", min(start + _CHUNK, len(data)))
        end = len(data) if end < 0 else end
        raw = np.frombuffer(data, np.uint8, end - start, start)
        ends = np.append(np.flatnonzero(raw == ord("\n")), raw.size)
        tabs = np.flatnonzero(raw == ord("\t"))
        cells = np.diff(np.searchsorted(tabs, ends), prepend=0) + 1
        for i in np.flatnonzero(cells != columns)[:MOST_PROBLEMS]:
            yield _problem(line + int(i), f"{cells[i]} cells", f"{columns}, as in the first line")
        line, start = line + len(ends), end + 1


def _no_text(data: bytes) -> Iterator[Problem]:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield _problem(line, "bytes that are no UTF-8", "text")


def _of_another_form(texts: pl.DataFrame) -> Iterator[Problem]:
    for name in texts.columns:
        kind = _kind(name)
        if kind != pl.String:
            form = "^[0-9]+$" if kind == pl.Int64 else _NUMBER
            what = "a whole number" if kind == pl.Int64 else "a number or NA"
            bad = ~texts[name].str.contains(form).fill_null(value=True)
            yield from _faults(bad, f"no number in {name}", what)


def _out_of_range(frame: pl.DataFrame) -> Iterator[Problem]:
    for name in PLACE:
        yield from _faults(frame[name].is_null(), f"no {name}", "one in each line")
    for name in (name for name in _REAL if name in frame):
        bad = (frame[name].is_infinite() | frame[name].is_nan()).fill_null(value=False)
        yield from _faults(bad, f"an infinite or undefined {name}", "a number or NA")
    for name, (low, high, expected) in _RANGES.items():
        if name in frame:
            bad = ~frame[name].is_between(low, high).fill_null(value=True)
            yield from _faults(bad, f"a {name} out of range", expected)


def _faults(bad: pl.Series, found: str, expected: str) -> Iterator[Problem]:
    for row in np.flatnonzero(bad.to_numpy())[:MOST_PROBLEMS]:
        yield _problem(int(row) + 2, found, expected)


def _canonical(frame: pl.DataFrame) -> pl.DataFrame:
    effect = next((name for name in EFFECTS if name in frame), None)
    beta = pl.lit(None, pl.Float64) if effect is None else pl.col(effect)
    beta = beta if effect in (None, "beta") else beta.log()
    chromosome = pl.col("chromosome").str.replace("^(?i)chr", "").replace(_NAMES)
    given = "neg_log_10_p_value" in frame
    significance = pl.col("neg_log_10_p_value") if given else -pl.col("p_value").log10() + 0.0
    table = frame.with_columns(
        chromosome, beta.alias("beta"), significance.alias("neg_log_10_p_value")
    )
    if not given:
        table = table.with_columns(_mended(table))
    first = (*PLACE, "beta", "standard_error", "effect_allele_frequency", "neg_log_10_p_value")
    gone = (*first, *EFFECTS[1:], *SIGNIFICANCES)
    return table.select(*first, *(name for name in frame.columns if name not in gone))


def _mended(table: pl.DataFrame) -> pl.Series:
    """Return the significance, where a p-value of 0 made it infinite that of beta and its error."""
    significance = table["neg_log_10_p_value"].to_numpy().astype(np.float64)
    lost = np.isinf(significance)
    error = table["standard_error"].to_numpy()[lost]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(table["beta"].to_numpy()[lost] / error)
    tail = np.asarray(_special.log_ndtr(-z), np.float64)
    found = 0.0 - (tail + np.log(2.0)) / np.log(10.0)
    significance = significance.copy()
    significance[lost] = np.where(np.isfinite(z), found, np.inf)
    return pl.Series("neg_log_10_p_value", significance).fill_nan(None)


def _problem(line: int, found: str, expected: str) -> Problem:
    return Problem("", line, found, expected, "correct the line")


def _whole(path: Path, found: str, expected: str, remedy: str) -> InputError:
    return InputError(Problem(str(path), None, found, expected, remedy))


def _refuse(path: Path, problems: Iterator[Problem]) -> None:
    """Raise InputError with the first problems by line, if there is one."""
    found = sorted(problems, key=lambda problem: problem.line or 0)[:MOST_PROBLEMS]
    if found:
        raise InputError(Problem(str(path), p.line, p.found, p.expected, p.remedy) for p in found)
