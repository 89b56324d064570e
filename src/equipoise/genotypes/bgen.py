"""BGEN: genotype probabilities, read at random.

Layout 2 of BGEN 1.2 and 1.3 (Band and Marchini 2018, doi:10.1101/308296; bgenformat.org), with
1 to 32 bits a probability, phased or not, one or two copies. The places of the variants are found
once, by stepping over the probabilities. Blocks packed by zlib are checked by their checksum; those
packed by Zstandard need the package zstandard (the extra `bgen`) and are checked by their length.

Which allele is the reference the format does not say: the first, unless `reference="last"`, as
`plink2 --bgen FILE ref-first`. The effect allele is the other one.
"""

import mmap
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.bgen_index import COPY, NOTHING, ZLIB, Header, Reference, Scan, header_of
from equipoise.genotypes.bgen_probabilities import dosage_of_first
from equipoise.genotypes.oxford import people_of
from equipoise.genotypes.source import (
    Progress,
    broken,
    called,
    imported,
    pack,
    people,
)
from equipoise.genotypes.text import whole
from equipoise.genotypes.variants import Text, Variants
from equipoise.packed.decode import Block


@dataclass(frozen=True, slots=True, eq=False)
class BgenFile:
    """The genotypes of a BGEN file, mapped; as `source.GenotypeFile`.

    sample_ids  ID_2 of the `.sample` beside the file, or the IDs inside it
    """

    path: Path
    reference: Reference
    sample_ids: tuple[str, ...] = field(repr=False)
    sex: NDArray[np.int8] = field(repr=False)
    variants: Variants
    ids: Text = field(repr=False)
    left_out: Mapping[str, int]
    _packing: int = field(repr=False)
    _places: NDArray[np.int64] = field(repr=False)
    _bytes: mmap.mmap = field(repr=False)

    @classmethod
    def open(
        cls, path: Path, reference: Reference = "first", progress: Progress | None = None
    ) -> Self:
        """Return the file; `progress` is told the share of it that is stepped over.

        Raises InputError, with the byte, where it is cut short, of another layout, or holds
        lengths that do not fit; and where nothing names its people. What is wrong inside the
        probabilities of a variant is found when they are read.
        """
        data = _mapped(path)
        header = header_of(path, data)
        ids, sex = _people(path, header)
        scan = Scan(path, data, header)
        variants, names = scan.variants(reference, progress)
        left_out = MappingProxyType(dict(scan.left_out))
        places = np.array(scan.places, np.int64).reshape(-1, 2)
        return cls(
            path, reference, ids, sex, variants, names, left_out, header.packing, places, data
        )

    @property
    def n_samples(self) -> int:
        """Number of people."""
        return len(self.sample_ids)

    @property
    def n_variants(self) -> int:
        """Number of variants, without those left out."""
        return self.variants.n_variants

    @property
    def has_dosages(self) -> bool:
        """True: the format holds probabilities."""
        return True

    @property
    def unread(self) -> tuple[str, ...]:
        """What is not read."""
        return ("genotype probabilities beyond their dosage", "phase", "the variant's second name")

    def packed(self, start: int, stop: int) -> Block:
        """Return hard calls, within .1 of a whole dosage, (stop - start, ceil(samples / 4))."""
        return pack(called(self.dosages(start, stop)))

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return expected copies of the effect allele, (stop - start, samples), NaN not called.

        Raises InputError, with the byte, where a block is altered or of another form.
        """
        places = self._places[start:stop]
        found = np.empty((len(places), self.n_samples), np.float32)
        for row, (begin, end) in zip(found, places.tolist(), strict=True):
            row[:] = self._dosage(begin, end)
        return found

    def _dosage(self, begin: int, end: int) -> NDArray[np.float64]:
        try:
            block = _unpacked(self.path, self._bytes[begin:end], self._packing)
            first = dosage_of_first(block, self.n_samples)
        except (ValueError, zlib.error) as error:
            found, _, expected = str(error).partition("; expected ")
            expected = expected or "a whole block"
            raise broken(self.path, f"byte {begin}", found, expected, COPY) from None
        return 2 - first if self.reference == "first" else first

    def __reduce__(self) -> tuple[Callable[..., "BgenFile"], tuple[Path, Reference]]:
        """Pickle the path: who reads the pickle opens the file again."""
        return BgenFile.open, (self.path, self.reference)


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise whole(path, "an empty file", "a BGEN file", "write or copy it again")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        remedy = "correct the path or add the file"
        raise whole(path, "no such file", "a BGEN file", remedy) from None
    except OSError:
        raise whole(path, "a file that cannot be read", "a BGEN file", "allow reading it") from None


def _people(path: Path, header: Header) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    beside = path.with_suffix(".sample")
    if beside.is_file():
        ids, sex = people_of(beside)
        if len(ids) != header.n_samples:
            found = f"{len(ids)} people"
            expected = f"{header.n_samples}, as the .bgen has"
            raise whole(beside, found, expected, "give the .sample that came with the .bgen")
        return ids, sex
    if not header.names:
        raise whole(path, "no IDs in it", f"{beside.name} beside it", "add the .sample")
    return people(path, header.names), np.zeros(header.n_samples, np.int8)


def _unpacked(path: Path, block: bytes, packing: int) -> bytes:
    """Return the probabilities; ValueError or zlib.error where they are altered."""
    if packing == NOTHING:
        return block
    if len(block) < 4:
        raise ValueError("a block without its length; expected 4 bytes or more")
    (length,) = struct.unpack_from("<I", block)
    found = _of_zlib(block, length) if packing == ZLIB else _of_zstd(path, block, length)
    if len(found) != length:
        raise ValueError(f"{len(found)} bytes in the block; expected {length}")
    return found


def _of_zlib(block: bytes, length: int) -> bytes:
    inflate = zlib.decompressobj()
    # One byte more than promised shows that there is too much, and no more is made of it.
    found = inflate.decompress(memoryview(block)[4:], length + 1)
    if len(found) <= length and (not inflate.eof or inflate.unused_data):
        raise ValueError("a block that does not end where it should; expected whole zlib")
    return found


def _of_zstd(path: Path, block: bytes, length: int) -> bytes:
    zstandard = imported(path, "zstandard", "bgen")
    try:
        # As for zlib; a block cut short gives too few.
        return zstandard.ZstdDecompressor().stream_reader(block[4:]).read(length + 1)
    except zstandard.ZstdError:
        raise ValueError("a block that is altered; expected whole Zstandard") from None
