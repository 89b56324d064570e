"""PGEN, plink2's own format: a `.pgen` with its `.pvar` (variants) and `.psam` (people).

Calls and dosages are read at random through the package pgenlib (the extra `pgen`); the index at
the head of the file, which says how long each record is, is checked here before. The effect allele
is ALT. Hard calls are those of the file; they are not made again from its dosages.
Layout after the PGEN specification (chrchang/plink-ng, pgen_spec): the records have no checksum.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.pgen_index import Index, check_index
from equipoise.genotypes.pgen_tables import people_of, variants_of
from equipoise.genotypes.source import (
    EFFECT_ONCE,
    EFFECT_TWICE,
    NOT_CALLED,
    OTHER_TWICE,
    broken,
    imported,
    listed,
    pack,
    text,
    why_left_out,
)
from equipoise.genotypes.text import whole
from equipoise.genotypes.variants import HEADER, Text, Variants
from equipoise.packed.decode import Block

_ABSENT: Final = -9
"""How pgenlib says that somebody is not called; as a byte it is 247."""

_CODES: Final = np.full(256, NOT_CALLED, np.uint8)
_CODES[:3] = OTHER_TWICE, EFFECT_ONCE, EFFECT_TWICE


@dataclass(frozen=True, slots=True, eq=False)
class PgenFile:
    """The genotypes of a PGEN file; as `source.GenotypeFile`. Threads read it at once."""

    path: Path
    sample_ids: tuple[str, ...] = field(repr=False)
    sex: NDArray[np.int8] = field(repr=False)
    variants: Variants
    ids: Text = field(repr=False)
    left_out: Mapping[str, int]
    has_dosages: bool
    _rows: NDArray[np.uint32] = field(repr=False)
    _offsets: NDArray[np.uintp] | None = field(repr=False)
    _own: threading.local = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the files named by their prefix or by one of the three.

        Raises InputError where one is missing, empty or malformed, where they do not belong
        together, and where the `.pgen` is not as long as its index says. What is wrong inside a
        record is found when it is read.
        """
        prefix = path.with_suffix("") if path.suffix in {".pgen", ".pvar", ".psam"} else path
        pgen = prefix.with_name(prefix.name + ".pgen")
        index = check_index(pgen)
        ids, sex = people_of(prefix.with_name(prefix.name + ".psam"))
        table = variants_of(prefix)
        _refuse_strangers(pgen, index, len(ids), len(table.number))
        alts = table.frame[HEADER[2]].to_list()
        refs = table.frame[HEADER[3]].to_list()
        reasons = [why_left_out([r, *a.split(",")]) for r, a in zip(refs, alts, strict=True)]
        kept = np.array([reason is None for reason in reasons], np.bool_)
        variants = listed(table.file, table.frame.filter(kept), table.number[kept])
        names = text(table.frame["id"].filter(kept))
        left_out = MappingProxyType(dict(Counter(filter(None, reasons))))
        rows = np.flatnonzero(kept).astype(np.uint32)
        offsets = _offsets(alts)
        has = index.has_dosages
        file = cls(pgen, ids, sex, variants, names, left_out, has, rows, offsets, threading.local())
        file._reader()  # Errors of the package's own opening come now.
        return file

    @property
    def n_samples(self) -> int:
        """Number of people."""
        return len(self.sample_ids)

    @property
    def n_variants(self) -> int:
        """Number of variants, without those left out."""
        return self.variants.n_variants

    @property
    def unread(self) -> tuple[str, ...]:
        """What is not read."""
        return ("phase", "QUAL, FILTER, INFO and centimorgan", "family, parents and phenotypes")

    def packed(self, start: int, stop: int) -> Block:
        """Return the hard calls of the file, (stop - start, ceil(n_samples / 4))."""
        rows = self._rows[start:stop]
        calls = np.empty((len(rows), self.n_samples), np.int8)
        self._read("read_list", rows, calls)
        return pack(_CODES[calls.view(np.uint8)])

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages of ALT, (stop - start, samples), NaN where not called.

        A genotype without a dosage of its own has that of its hard call.
        """
        rows = self._rows[start:stop]
        dosage = np.empty((len(rows), self.n_samples), np.float32)
        self._read("read_dosages_list", rows, dosage)
        dosage[dosage == _ABSENT] = np.nan
        return dosage

    def _read(self, method: str, rows: NDArray[np.uint32], out: NDArray[Any]) -> None:
        if not len(rows):
            return
        try:
            getattr(self._reader(), method)(rows, out)
        except RuntimeError:
            place = f"records {int(rows[0]) + 1} to {int(rows[-1]) + 1}"
            found = "a record that is altered"
            raise broken(self.path, place, found, "whole records", "copy it again") from None

    def _reader(self) -> Any:
        """Return this thread's reader: one cannot serve two threads."""
        if not hasattr(self._own, "reader"):
            self._own.reader = _opened(self.path, self.n_samples, self._offsets)
        return self._own.reader

    def __reduce__(self) -> tuple[Callable[[Path], "PgenFile"], tuple[Path]]:
        """Pickle the path: who reads the pickle opens the file again."""
        return PgenFile.open, (self.path,)


def _opened(path: Path, n_samples: int, offsets: NDArray[np.uintp] | None) -> Any:
    pgenlib = imported(path, "pgenlib", "pgen")
    try:
        return pgenlib.PgenReader(str(path).encode(), n_samples, allele_idx_offsets=offsets)
    except RuntimeError as error:
        found = "a head that pgenlib cannot read"
        raise whole(path, found, "a .pgen of plink2", "copy it again, with its .pvar") from error


def _offsets(alts: list[str]) -> NDArray[np.uintp] | None:
    """Return where the alleles of each variant begin in a row of all; None if all have two."""
    counts = np.array([2 + alt.count(",") for alt in alts], np.uintp)
    if not np.any(counts > 2):
        return None
    return np.concatenate([np.zeros(1, np.uintp), np.cumsum(counts)]).astype(np.uintp)


def _refuse_strangers(path: Path, index: Index, n_samples: int, n_variants: int) -> None:
    if (index.n_samples, index.n_variants) == (n_samples, n_variants):
        return
    found = f"{index.n_variants} variants and {index.n_samples} people"
    expected = f"{n_variants} of the .pvar and {n_samples} of the .psam"
    raise _apart(path, found, expected)


def _apart(path: Path, found: str, expected: str) -> InputError:
    return whole(path, found, expected, "take the three files from one run of plink2")
