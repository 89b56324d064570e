"""Genotypes that cannot be read at random, converted once into a private temporary folder.

The folder holds 2-bit calls, float32 dosages where there are any, and the variants; it is made
with access for its owner alone, and removed when the process that made it ends or lets go of it.
A pickle names the folder: another process on the same machine maps it instead of converting again.
"""

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes.source import ID, NOT_CALLED, called, listed, pack, text
from equipoise.genotypes.variants import HEADER, Text, Variants
from equipoise.packed.decode import Block, decode, width

_ROWS: Final = 512
_NUMBER: Final = "number"
_COLUMNS: Final = (*HEADER, ID)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Held:
    """The converted genotypes: people, variants, calls and dosages, as `source.GenotypeFile`."""

    folder: Path
    sample_ids: tuple[str, ...] = field(repr=False)
    variants: Variants
    ids: Text = field(repr=False)
    calls: Block = field(repr=False)
    dosage: NDArray[np.float32] | None = field(repr=False)
    left_out: Mapping[str, int]

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages, (stop - start, samples), NaN where not called."""
        if self.dosage is not None:
            return self.dosage[start:stop].copy()
        return decode(self.calls[start:stop], len(self.sample_ids), np.float32)


class Order:
    """Refuses positions that go back, and a chromosome that comes back."""

    def __init__(self) -> None:
        """Begin before the first record."""
        self._chromosome, self._position = "", 0
        self._past: set[str] = set()

    def fault(self, chromosome: str, position: int) -> str | None:
        """Return what is wrong with the next record's place, if anything."""
        if chromosome != self._chromosome:
            self._past.add(self._chromosome)
            self._chromosome, self._position = chromosome, position
            return "a chromosome that began further up" if chromosome in self._past else None
        before, self._position = self._position, position
        return "a position before that of the record above" if position < before else None


class Holding:
    """Takes records one by one, and gives what they hold; a context that cleans up on errors."""

    def __init__(self, path: Path, sample_ids: tuple[str, ...], *, dosages: bool) -> None:
        """Make the folder; `dosages` says whether some may come."""
        self._path, self.sample_ids = path, sample_ids
        self.left_out: Counter[str] = Counter()
        self._folder = Path(tempfile.mkdtemp(prefix="equipoise-"))
        self._calls: BinaryIO = (self._folder / "calls").open("wb")
        self._dosages: BinaryIO | None = (self._folder / "dosages").open("wb") if dosages else None
        self._any_dosage = False
        self._codes = np.empty((_ROWS, len(sample_ids)), np.uint8)
        self._rows: list[tuple[str, str, str, str, str, int]] = []
        self._frames: list[pl.DataFrame] = []

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files, and remove them where something went wrong."""
        self._close()
        if kind is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(
        self,
        row: tuple[str, str, str, str, str, int],
        codes: NDArray[np.uint8],
        dosage: NDArray[np.float32] | None,
    ) -> None:
        """Take a record.

        row     chromosome, position, effect allele, other allele, name, line or record number
        codes   (samples,) 2-bit codes of the genotypes
        dosage  (samples,) NaN where none is given: there the genotype counts. Where one is,
                the call follows from it, as plink2 has it
        """
        if dosage is not None and not np.isnan(dosage).all():
            self._any_dosage = True
            codes = np.where(np.isnan(dosage), codes, called(dosage))
        place = len(self._rows)
        self._codes[place] = codes
        self._rows.append(row)
        if self._dosages is not None:
            self._dosages.write(_completed(codes, dosage).tobytes())
        if place + 1 == _ROWS:
            self._flush()

    def done(self) -> Held:
        """Return what came; InputError where its variants are not in order."""
        self._flush()
        self._close()
        frame = pl.concat(self._frames) if self._frames else _frame([])
        number = frame[_NUMBER].to_numpy()
        # Checked before it is kept, so that a message names the file that came.
        listed(str(self._path), frame.select(_COLUMNS), number)
        frame.select(_COLUMNS).write_ipc(self._folder / "variants")
        if not self._any_dosage:
            (self._folder / "dosages").unlink(missing_ok=True)
        held = opened(self._folder, self.sample_ids, self.left_out)
        weakref.finalize(held, shutil.rmtree, self._folder, ignore_errors=True)
        return held

    def _flush(self) -> None:
        if self._rows:
            self._calls.write(pack(self._codes[: len(self._rows)]).tobytes())
            self._frames.append(_frame(self._rows))
            self._rows = []

    def _close(self) -> None:
        self._calls.close()
        if self._dosages is not None:
            self._dosages.close()


_COPIES: Final = np.array((2, np.nan, 1, 0), np.float32)


def _completed(codes: NDArray[np.uint8], dosage: NDArray[np.float32] | None) -> NDArray[np.float32]:
    copies = _COPIES[codes]
    return copies if dosage is None else np.where(np.isnan(dosage), copies, dosage)


def _frame(rows: list[tuple[str, str, str, str, str, int]]) -> pl.DataFrame:
    types = dict.fromkeys(_COLUMNS, pl.String) | {_NUMBER: pl.Int64}
    return pl.DataFrame(rows, schema=types, orient="row")


def opened(folder: Path, sample_ids: tuple[str, ...], left_out: Mapping[str, int]) -> Held:
    """Return what a folder holds, mapped."""
    frame = pl.read_ipc((folder / "variants").read_bytes())
    position = pl.col(HEADER[1]).cast(pl.Int64)
    chromosome = pl.col(HEADER[0]).str.replace("^(?i)chr", "")
    variants = Variants.of(frame.with_columns(chromosome, position).select(HEADER))
    shape = (variants.n_variants, width(len(sample_ids)))
    dosage = None
    if (folder / "dosages").exists():
        dosage = np.asarray(
            np.memmap(folder / "dosages", np.float32, "r", shape=(shape[0], len(sample_ids)))
        )
    calls = np.zeros(shape, np.uint8)
    if shape[0]:
        calls = np.asarray(np.memmap(folder / "calls", np.uint8, "r", shape=shape))
    kept = MappingProxyType(dict(left_out))
    return Held(folder, sample_ids, variants, text(frame[ID]), calls, dosage, kept)


def nobody_called(n_samples: int) -> NDArray[np.uint8]:
    """Return the codes of a record without genotypes, (samples,)."""
    return np.full(n_samples, NOT_CALLED, np.uint8)
