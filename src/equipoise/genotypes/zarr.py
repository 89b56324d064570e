"""VCF-Zarr, a folder of chunked arrays, through the package zarr (the extra `zarr`).

VCF Zarr specification 0.4 (sgkit-dev/vcf-zarr-spec), Zarr format 2 or 3: `call_genotype`,
`variant_contig`, `variant_position`, `variant_allele`, `contig_id`, `sample_id`, `variant_id`, and
for dosages `call_DS` or `call_GP`. zarr reads a chunk that is not there as its fill value, so that
a lost file would be genotypes that nobody measured: a store with a chunk missing is refused.
Dosages and hard calls follow the rules of VCF (`vcf.py`).
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.source import (
    ID,
    NAMELESS,
    broken,
    called,
    imported,
    listed,
    pack,
    people,
    text,
    why_left_out,
)
from equipoise.genotypes.text import whole
from equipoise.genotypes.variants import HEADER, Text, Variants
from equipoise.genotypes.vcf_fields import expected_copies, in_range, of_alleles
from equipoise.packed.decode import Block

_ROWS: Final = 1 << 16
_BLOSC_HEAD: Final = 16
_MOST_INFLATED: Final = 1 << 16
"""Times that a chunk may grow; more is a damaged head, or a bomb."""
_GENOTYPE: Final = "call_genotype"
_NEEDED: Final = ("variant_contig", "variant_position", "variant_allele", "contig_id", "sample_id")
_CALLS: Final = (_GENOTYPE, "call_DS", "call_GP")
_COPY: Final = "copy the folder again, or write it again with vcf2zarr"
_COPIES: Final = np.array((2, np.nan, 1, 0))


@dataclass(frozen=True, slots=True, eq=False)
class ZarrFile:
    """The genotypes of a VCF-Zarr store; as `source.GenotypeFile`."""

    path: Path
    sample_ids: tuple[str, ...] = field(repr=False)
    variants: Variants
    ids: Text = field(repr=False)
    left_out: Mapping[str, int]
    _rows: NDArray[np.int64] = field(repr=False)
    _arrays: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the store.

        Raises InputError where an array is missing, has another shape, or has lost a chunk.
        What is wrong inside a chunk is found when it is read.
        """
        arrays = _arrays(path)
        _check(path, arrays)
        ids = people(path, _strings(path, arrays["sample_id"], slice(None)))
        frame, reasons = _variants(path, arrays)
        kept = np.array([reason is None for reason in reasons], np.bool_)
        rows = np.flatnonzero(kept)
        variants = listed(str(path), frame.filter(kept).drop(ID), rows + 1)
        left_out = MappingProxyType(dict(Counter(filter(None, reasons))))
        return cls(path, ids, variants, text(frame[ID].filter(kept)), left_out, rows, arrays)

    @property
    def sex(self) -> NDArray[np.int8]:
        """(samples,) unknown: the format does not say."""
        return np.zeros(self.n_samples, np.int8)

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
        """Whether the store has DS or GP."""
        return "call_DS" in self._arrays or "call_GP" in self._arrays

    @property
    def unread(self) -> tuple[str, ...]:
        """What is not read."""
        return ("phase", "quality, filters and INFO", "call fields other than genotype, DS and GP")

    def packed(self, start: int, stop: int) -> Block:
        """Return the hard calls, (stop - start, ceil(n_samples / 4))."""
        codes, dosage = self._read(start, stop)
        if dosage is not None:
            codes = np.where(np.isnan(dosage), codes, called(dosage))
        return pack(codes)

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages of ALT, (stop - start, samples), NaN where not called."""
        codes, dosage = self._read(start, stop)
        copies = _COPIES[codes].astype(np.float32)
        return copies if dosage is None else np.where(np.isnan(dosage), copies, dosage)

    def _read(self, start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Return the codes of the genotypes, and the dosages that are given, NaN for none."""
        rows = self._rows[start:stop]
        if not len(rows):
            return np.zeros((0, self.n_samples), np.uint8), None
        span, wanted = slice(int(rows[0]), int(rows[-1]) + 1), rows - rows[0]
        parts = {
            name: _part(self.path, self._arrays[name], span)[wanted]
            for name in _CALLS
            if name in self._arrays
        }
        try:
            return _codes_and_dosage(parts, (len(rows), self.n_samples))
        except ValueError as error:
            found, _, expected = str(error).partition("; expected ")
            place = f"variants {rows[0] + 1} to {rows[-1] + 1}"
            raise broken(self.path, place, found, expected, _COPY) from None

    def __reduce__(self) -> tuple[Callable[[Path], "ZarrFile"], tuple[Path]]:
        """Pickle the path: who reads the pickle opens the store again."""
        return ZarrFile.open, (self.path,)


def _codes_and_dosage(
    parts: Mapping[str, NDArray[Any]], shape: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    codes = np.ones(shape, np.uint8)
    haploid = np.zeros(shape, np.bool_)
    if _GENOTYPE in parts:
        codes, haploid = of_alleles(parts[_GENOTYPE].astype(np.int64))
    dosage = None
    if "call_GP" in parts:
        probability = parts["call_GP"].astype(np.float64)
        two = np.isnan(probability[..., 2]) & ~np.isnan(probability[..., 1])
        probability[two, 2], probability[two, 1] = probability[two, 1], 0.0
        dosage = expected_copies(probability.reshape(-1, 3)).reshape(shape)
    if "call_DS" in parts:
        given = parts["call_DS"].astype(np.float64).reshape(shape)
        in_range(given, haploid)
        given = np.where(haploid, 2 * given, given)
        dosage = given if dosage is None else np.where(np.isnan(given), dosage, given)
    return codes, None if dosage is None else dosage.astype(np.float32)


def _arrays(path: Path) -> Mapping[str, Any]:
    """Return the arrays by name; InputError where one is missing or cannot be opened."""
    if not path.is_dir():
        raise whole(path, "no such folder", "a VCF-Zarr store", "correct the path")
    zarr = imported(path, "zarr", "zarr")
    found: dict[str, Any] = {}
    try:
        group = zarr.open_group(str(path), mode="r")
        for name in (*_NEEDED, *_CALLS, "variant_id"):
            if name in group and isinstance(group[name], zarr.Array):
                found[name] = group[name]
    except Exception as error:
        # What the package raises for metadata that is no metadata has no common kind.
        raise whole(path, "metadata that zarr cannot read", "a VCF-Zarr store", _COPY) from error
    lacking = [name for name in _NEEDED if name not in found]
    if lacking or not any(name in found for name in _CALLS):
        said = "no array " + " ".join(lacking or _CALLS)
        raise whole(path, said, "those of VCF-Zarr", _COPY)
    return MappingProxyType(found)


def _check(path: Path, arrays: Mapping[str, Any]) -> None:
    """Raise InputError where a shape does not fit, or a chunk is not there."""
    n_variants = int(arrays["variant_position"].shape[0])
    n_samples = int(arrays["sample_id"].shape[0])
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        _GENOTYPE: ((n_variants, n_samples, 1), (n_variants, n_samples, 2)),
        "call_DS": ((n_variants, n_samples), (n_variants, n_samples, 1)),
        "call_GP": ((n_variants, n_samples, 3),),
        "variant_contig": ((n_variants,),),
        "variant_id": ((n_variants,),),
    }
    for name, array in arrays.items():
        shape = tuple(int(size) for size in array.shape)
        if name in shapes and shape not in shapes[name]:
            expected = " or ".join(map(str, shapes[name]))
            raise whole(path / name, f"the shape {shape}", expected, _COPY)
        if array.nchunks_initialized != array.nchunks:
            lost = array.nchunks - array.nchunks_initialized
            remedy = f"{_COPY}, with empty chunks"
            raise whole(path / name, f"{lost} chunks missing", f"{array.nchunks}", remedy)
        _check_blosc(path / name, array)
        _check_counts(path / name, array)


def _check_blosc(path: Path, array: Any) -> None:
    """Raise InputError where a chunk is not as long as its head says.

    The decoder takes that length on trust, and reads on behind a chunk that was cut short.
    """
    if not any(type(codec).__name__.startswith("Blosc") for codec in array.compressors):
        return
    if array.shards is not None:
        raise whole(path, "Blosc in shards", "chunks in files of their own", "write it so")
    for file in path.rglob("*"):
        if not file.is_file() or file.name.startswith(".") or file.name == "zarr.json":
            continue
        with file.open("rb") as chunk:
            head = chunk.read(_BLOSC_HEAD)
        size, said = file.stat().st_size, int.from_bytes(head[12:], "little")
        if len(head) < _BLOSC_HEAD or size != said:
            raise broken(file, f"byte {size}", f"{size} bytes of a chunk", f"{said}", _COPY)
        inside = int.from_bytes(head[4:8], "little")
        if inside > _MOST_INFLATED * size:
            found = f"{size} bytes that are to become {inside}"
            raise broken(file, "byte 4", found, "a chunk of genotypes", _COPY)


def _check_counts(path: Path, array: Any) -> None:
    """Raise InputError where a chunk of strings counts other than its shape says (format 2).

    The decoder makes room for as many strings as the chunk claims, which may be billions.
    """
    if array.metadata.zarr_format != 2 or array.metadata.dtype.to_native_dtype().kind not in "OT":
        return
    expected = math.prod(array.chunks)
    for file in path.iterdir():
        if file.name.startswith("."):
            continue
        data = file.read_bytes()
        try:
            for codec in reversed(array.compressors):
                data = bytes(codec.decode(data))
        except Exception as error:
            # As in `_part`.
            raise _altered(path.parent, array, slice(None)) from error
        if int.from_bytes(data[:4], "little") != expected:
            raise broken(file, "byte 0", "another number of strings", f"{expected}", _COPY)


def _variants(path: Path, arrays: Mapping[str, Any]) -> tuple[pl.DataFrame, list[str | None]]:
    """Return all variants as text columns of `HEADER` and `id`, and why each is left out."""
    contigs = _strings(path, arrays["contig_id"], slice(None))
    n_variants = int(arrays["variant_position"].shape[0])
    rows: list[tuple[str, str, str, str, str]] = []
    reasons: list[str | None] = []
    for start in range(0, n_variants, _ROWS):
        part = slice(start, min(start + _ROWS, n_variants))
        chromosome = _part(path, arrays["variant_contig"], part)
        if np.any((chromosome < 0) | (chromosome >= len(contigs))):
            raise whole(path / "variant_contig", "a number of no contig", "a place", _COPY)
        position = _part(path, arrays["variant_position"], part)
        alleles: list[list[Any]] = _part(path, arrays["variant_allele"], part).tolist()
        names = [NAMELESS] * len(alleles)
        if "variant_id" in arrays:
            names = _strings(path, arrays["variant_id"], part)
        own = [contigs[int(contig)] for contig in chromosome]
        places: list[int] = position.tolist()
        for contig, place, spelled, name in zip(own, places, alleles, names, strict=True):
            known = [str(allele) for allele in spelled if allele] or [NAMELESS]
            known = known if len(known) > 1 else [*known, NAMELESS]
            reasons.append(why_left_out(known))
            rows.append((contig, str(place), known[1], known[0], name or NAMELESS))
    frame = pl.DataFrame(rows, schema=dict.fromkeys((*HEADER, ID), pl.String), orient="row")
    return frame, reasons


def _part(path: Path, array: Any, part: slice) -> NDArray[Any]:
    """Return some rows of an array; InputError where a chunk cannot be read."""
    try:
        return np.asarray(array[part])
    except Exception as error:
        # What the package and its codecs raise for a chunk that is altered has no common kind.
        raise _altered(path, array, part) from error


def _altered(path: Path, array: Any, part: slice) -> InputError:
    place = f"rows {part.start} to {part.stop}" if part.stop is not None else "all"
    return broken(path / str(array.basename), place, "an altered chunk", "whole chunks", _COPY)


def _strings(path: Path, array: Any, part: slice) -> list[str]:
    return [str(value) for value in _part(path, array, part).tolist()]
