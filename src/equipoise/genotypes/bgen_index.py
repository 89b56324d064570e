"""The head of a BGEN file, and where the probabilities of each variant begin and end."""

import mmap
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import polars as pl

from equipoise.errors import InputError
from equipoise.genotypes.source import ID, Progress, broken, listed, text, why_left_out
from equipoise.genotypes.variants import HEADER, Text, Variants

Reference: TypeAlias = Literal["first", "last"]
"""Which allele of a record is the reference."""

NOTHING, ZLIB, ZSTD = 0, 1, 2
"""What packs a block."""

COPY: Final = "copy the file again, or write it again"

_LAYOUT: Final = 2
_BATCH: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of the file say."""

    begins: int
    n_variants: int
    n_samples: int
    packing: int
    names: tuple[str, ...]


def header_of(path: Path, data: mmap.mmap) -> Header:
    """Return what the first bytes say; InputError, with the byte, where they do not fit."""
    if len(data) < 24 or data[16:20] not in (b"bgen", b"\0\0\0\0"):
        raise broken(path, "byte 16", "other bytes than a BGEN file has", "bgen", COPY)
    offset, length, n_variants, n_samples = struct.unpack_from("<IIII", data)
    if length < 20 or length > offset or offset + 4 > len(data):
        raise broken(path, "byte 0", "lengths that do not fit the file", "a whole file", COPY)
    (flags,) = struct.unpack_from("<I", data, length)
    packing, layout = flags & 3, flags >> 2 & 15
    if layout != _LAYOUT or packing > ZSTD:
        found = f"layout {layout}, packing {packing}"
        remedy = "write it again with plink2 --export bgen-1.2 or qctool"
        raise broken(path, f"byte {length}", found, "layout 2 (BGEN 1.2 or 1.3)", remedy)
    if not n_variants or not n_samples:
        raise broken(path, "byte 8", "no variants or no people", "some of both", COPY)
    names = ()
    if flags >> 31:
        names = _names(path, data, length + 4, offset + 4, n_samples)
    return Header(offset + 4, n_variants, n_samples, packing, names)


def _names(path: Path, data: mmap.mmap, begin: int, end: int, n_samples: int) -> tuple[str, ...]:
    """Return the IDs inside the file."""
    names: list[str] = []
    try:
        length, count = struct.unpack_from("<II", data, begin)
        place = begin + 8
        for _ in range(n_samples):
            (size,) = struct.unpack_from("<H", data, place)
            names.append(data[place + 2 : place + 2 + size].decode())
            place += 2 + size
            if place > end:
                break
    except (struct.error, UnicodeDecodeError):
        length = count = place = -1
    if count != n_samples or length != place - begin or place > end:
        found = "a list of people that does not fit its length"
        raise broken(path, f"byte {begin}", found, f"{n_samples} IDs", COPY)
    return tuple(names)


class Scan:
    """Steps over the variants, and keeps where the probabilities of each begin and end."""

    def __init__(self, path: Path, data: mmap.mmap, header: Header) -> None:
        self._path, self._data, self._header = path, data, header
        self.places: list[tuple[int, int]] = []
        self.left_out: Counter[str] = Counter()

    def variants(self, reference: Reference, progress: Progress | None) -> tuple[Variants, Text]:
        """Return the variants and their names."""
        columns = (*HEADER, ID, "number")
        frames: list[pl.DataFrame] = []
        rows: list[tuple[str | int, ...]] = []
        for number, (identity, alleles) in enumerate(self._records(), 1):
            if reference == "last":
                alleles.reverse()
            rows.append((*identity[:2], alleles[1], alleles[0], identity[2], number))
            if len(rows) == _BATCH:
                frames.append(_frame(rows, columns))
                rows = []
                if progress is not None:
                    progress(self.places[-1][1] / len(self._data))
        frame = pl.concat([*frames, _frame(rows, columns)])
        number = frame["number"].to_numpy()
        return listed(str(self._path), frame.select(columns[:-1]), number), text(frame[ID])

    def _records(self) -> Iterator[tuple[tuple[str, str, str], list[str]]]:
        place = self._header.begins
        for _ in range(self._header.n_variants):
            begin = place
            try:
                identity, alleles, place = self._identity(place)
                (length,) = struct.unpack_from("<I", self._data, place)
            except (struct.error, UnicodeDecodeError):
                raise self._broken(begin, "a variant cut short or altered") from None
            place += 4
            if place + length > len(self._data):
                found = f"{length} bytes of probabilities where {len(self._data) - place} are left"
                raise self._broken(place - 4, found)
            reason = why_left_out(alleles)
            if reason is None:
                self.places.append((place, place + length))
                yield identity, alleles
            else:
                self.left_out[reason] += 1
            place += length
        if place != len(self._data):
            found = f"{len(self._data) - place} bytes after the last variant"
            raise self._broken(place, found)

    def _identity(self, place: int) -> tuple[tuple[str, str, str], list[str], int]:
        """Return chromosome, position and name, the alleles, and the byte after them."""
        first, place = self._string(place, "<H")
        name, place = self._string(place, "<H")
        chromosome, place = self._string(place, "<H")
        position, count = struct.unpack_from("<IH", self._data, place)
        place += 6
        alleles: list[str] = []
        for _ in range(count):
            allele, place = self._string(place, "<I")
            alleles.append(allele)
        if count < 2:
            raise struct.error
        shown = chromosome.lstrip("0") or chromosome
        return (shown, str(position), name or first or "."), alleles, place

    def _string(self, place: int, form: str) -> tuple[str, int]:
        (size,) = struct.unpack_from(form, self._data, place)
        place += struct.calcsize(form)
        if place + size > len(self._data):
            raise struct.error
        return self._data[place : place + size].decode("ascii"), place + size

    def _broken(self, byte: int, found: str) -> InputError:
        expected = f"{self._header.n_variants} whole variants and nothing after them"
        return broken(self._path, f"byte {byte}", found, expected, COPY)


def _frame(rows: list[tuple[str | int, ...]], columns: tuple[str, ...]) -> pl.DataFrame:
    types = dict.fromkeys(columns, pl.String) | {"number": pl.Int64}
    return pl.DataFrame(rows, schema=types, orient="row")
