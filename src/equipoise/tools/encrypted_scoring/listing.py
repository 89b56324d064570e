"""What is public of a model: its name and variants, without the weights."""

import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.artefacts.pgs_catalog import COLUMNS, ScoringFile
from equipoise.errors import InputError, Problem, ProtocolError
from equipoise.genotypes.matching import UNUSED
from equipoise.protections import score_ring, score_scheme

FORMAT: Final = "equipoise encrypted score"
VERSION: Final = 1

EXPECTED: Final = "expected"
"""Column of the list: the dosage of the effect allele where there is no call; null if not told."""

MOST_WEIGHTS: Final = 1 << 24
_MOST_TEXT: Final = 1 << 31
_SCHEMA: Final = {
    **{n: t for n, t in COLUMNS.items() if n != "weight"},
    EXPECTED: pl.Float64,
}
_FREQUENCY: Final = "allelefrequency_effect"
_NAME: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The variants of a model.

    frame  a row a weight, in the owner's order, with the columns of a scoring file but for the
           weight, and `EXPECTED`
    """

    name: str
    build: str | None
    frame: pl.DataFrame = field(repr=False)

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return len(self.frame)

    @property
    def expected(self) -> NDArray[np.float64]:
        """What the owner gives those not called, (weights,), NaN where nothing is told."""
        return self.frame[EXPECTED].fill_null(np.nan).to_numpy()

    def text(self) -> bytes:
        """Return the list as tab-separated text."""
        return self.frame.write_csv(separator="\t", null_value="", quote_style="never").encode()

    def as_file(self) -> ScoringFile:
        """Return the list as a scoring file whose weights are not known."""
        weight = pl.lit(None, pl.Float64).alias("weight")
        frame = self.frame.with_columns(weight).select(*COLUMNS)
        return ScoringFile(self.name, "", self.build, False, None, frame)


def listing_of(file: ScoringFile, expected: NDArray[np.float64]) -> Listing:
    """Return what is public of a scoring file; `expected`, (weights,), NaN where not known."""
    told = pl.Series(EXPECTED, expected).fill_nan(None)
    frame = file.weights.with_columns(
        told, pl.col("rsid", "effect_allele", "other_allele").str.replace_all(r"[\t\r\n]", " ")
    )
    name = "".join(c if c.isprintable() else " " for c in file.name)[:_NAME]
    return Listing(name, file.build, frame.select(*_SCHEMA))


def expected_dosages(path: Path, n_weights: int) -> NDArray[np.float64]:
    """Return twice the effect allele's frequency that a scoring file tells, NaN where it does not.

    The file is one that `pgs_catalog.read` has read. InputError for what is no frequency.
    """
    raw = path.read_bytes()
    text = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    lines = text.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n").split("\n")
    names_at = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    names = [name.strip() for name in lines[names_at].split("\t")]
    found = np.full(n_weights, np.nan)
    if _FREQUENCY not in names:
        return found
    column = names.index(_FREQUENCY)
    for at, line in enumerate(lines[names_at + 1 :]):
        cell = line.split("\t")[column].strip()
        if cell in ("", "NA", "NR", "."):
            continue
        try:
            found[at] = 2 * float(cell)
        except ValueError:
            found[at] = -1
        if not 0 <= found[at] <= 2:
            problem = f"{cell[:20]!r} in {_FREQUENCY}"
            remedy = "correct the cell, or empty it"
            line_at = names_at + 2 + at
            raise InputError(Problem(str(path), line_at, problem, "a number from 0 to 1", remedy))
    return found


def ring_told() -> dict[str, Any]:
    """Return the constants that both sides must have in common."""
    return {
        "degree": score_ring.DEGREE,
        "primes": list(score_ring.PRIMES),
        "weight_bits": score_scheme.WEIGHT_BITS,
        "dosage_bits": score_scheme.DOSAGE_BITS,
        "flood_bits": score_scheme.FLOOD_BITS,
    }


def described(listing: Listing, text: bytes, zipped: bytes) -> dict[str, Any]:
    """Return the description of a model that a server gives out; both texts are its list."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": listing.name,
        "build": listing.build,
        "weights": listing.n_weights,
        "list_bytes": len(text),
        "list_zipped": len(zipped),
        "list_sha256": hashlib.sha256(text).hexdigest(),
        "ring": ring_told(),
    }


@dataclass(frozen=True, slots=True)
class Description:
    """A model as a server describes it, checked."""

    name: str
    build: str | None
    weights: int
    list_bytes: int
    list_zipped: int
    digest: bytes
    left: int


def read_description(data: bytes) -> Description:
    """Return what a server says of its model; ProtocolError for anything else."""
    try:
        told = cast("Mapping[str, Any]", json.loads(data))
        if (told["format"], told["version"]) != (FORMAT, VERSION) or told["ring"] != ring_told():
            raise ProtocolError(
                "the server speaks another version of encrypted scoring than this program; install"
                " the same version of equipoise on both sides"
            )
        sizes = [told[name] for name in ("weights", "list_bytes", "list_zipped", "left")]
        if any(type(size) is not int or size < 0 for size in sizes):
            raise ValueError("a size that is no whole number")
        if not 0 < sizes[0] <= MOST_WEIGHTS or max(sizes[1:3]) > _MOST_TEXT:
            raise ValueError("a size out of bounds")
        name, build, digest = told["name"], told["build"], bytes.fromhex(told["list_sha256"])
        if not _plain(name) or not (build is None or _plain(build)) or len(digest) != 32:
            raise ValueError("a name or digest out of form")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(
            "the server's description of its model is not one; see that the address is that of"
            " `equipoise owner serve`"
        ) from error
    return Description(name, build, sizes[0], sizes[1], sizes[2], digest, sizes[3])


def read_listing(zipped: bytes, said: Description) -> Listing:
    """Return the list that a server sends; ProtocolError unless it is the one described."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(zipped)) as file:
            text = file.read(said.list_bytes + 1)
        if hashlib.sha256(text).digest() != said.digest:
            raise ValueError("another list")
        frame = pl.read_csv(text, separator="\t", schema=_SCHEMA, quote_char=None)
        expected = frame[EXPECTED].drop_nulls()
        known = frame["unsupported"].is_null() | frame["unsupported"].is_in(UNUSED)
        fits = expected.is_between(0, 2).all() and frame["effect_allele"].null_count() == 0
        if len(frame) != said.weights or not known.all() or not fits:
            raise ValueError("rows out of form")
    except (OSError, EOFError, ValueError, pl.exceptions.PolarsError) as error:
        raise ProtocolError(
            "the server's list of variants is not the one that it describes; ask for it again, and"
            " tell the model's owner"
        ) from error
    return Listing(said.name, said.build, frame)


def _plain(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _NAME and value.isprintable()
