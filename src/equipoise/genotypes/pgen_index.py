"""The head of a `.pgen`: how many variants and people it has, and how long each record is."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from equipoise.errors import InputError
from equipoise.genotypes.source import broken
from equipoise.genotypes.text import whole
from equipoise.packed.decode import width

_MAGIC: Final = b"\x6c\x1b"
_FIXED, _VARYING = 0x02, 0x10
_HEAD: Final = 12
_BLOCK: Final = 1 << 16
_DOSAGES: Final = 0x60
"""The bits of a record's type that say that it has dosages."""

_COPY: Final = "copy the file again, or write it again with plink2 --make-pgen"


@dataclass(frozen=True, slots=True)
class Index:
    """What the head says."""

    n_variants: int
    n_samples: int
    has_dosages: bool


def check_index(path: Path) -> Index:
    """Return what the head says; InputError where the file is not as long as it says."""
    if not path.is_file():
        expected = "the genotypes, as one of .pgen, .pvar and .psam"
        raise whole(path, "no such file", expected, "add the file, or correct the path")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if not head:
            raise whole(path, "an empty file", "the genotypes", _COPY)
        if len(head) < _HEAD or head[:2] != _MAGIC or head[2] not in (_FIXED, _VARYING):
            found = f"a file that begins with {head[:3].hex(' ')}"
            remedy = "write it again with plink2 --make-pgen"
            raise broken(path, "byte 0", found, "6c 1b 10 or 6c 1b 02", remedy)
        n_variants, n_samples = struct.unpack_from("<II", head, 3)
        if not n_variants or not n_samples:
            raise broken(path, "byte 3", "no variants or no people", "some of both", _COPY)
        if head[2] == _FIXED:
            _refuse_other_size(path, size, _HEAD + n_variants * width(n_samples))
            return Index(n_variants, n_samples, has_dosages=False)
        return Index(n_variants, n_samples, _has_dosages(path, file, head[11], n_variants, size))


def _has_dosages(path: Path, file: BinaryIO, control: int, n_variants: int, size: int) -> bool:
    """Return whether some record has dosages, having checked the length of each block."""
    kind = control & 15
    if kind > 7:
        found = "a head of a kind that is not read"
        raise broken(path, "byte 11", found, "one that plink2 --make-pgen writes", _COPY)
    n_blocks = -(-n_variants // _BLOCK)
    starts = file.read(8 * n_blocks)
    if len(starts) < 8 * n_blocks:
        raise _cut(path, size)
    offsets = np.frombuffer(starts, "<u8").tolist()
    found = False
    ends: list[int] = []
    for block in range(n_blocks):
        count = min(_BLOCK, n_variants - block * _BLOCK)
        types, lengths, rest = _sizes(control, count)
        head = file.read(types + lengths)
        if len(head) < types + lengths or len(file.read(rest)) < rest:
            raise _cut(path, size)
        found |= kind > 3 and bool(np.any(np.frombuffer(head[:types], np.uint8) & _DOSAGES))
        each = np.frombuffer(head[types:], np.uint8).reshape(count, -1).astype(np.int64)
        ends.append(offsets[block] + int((each << 8 * np.arange(each.shape[1])).sum()))
    if [file.tell(), *ends[:-1]] != offsets:
        found_said = "records that do not begin where the index says"
        raise broken(path, f"byte {_HEAD}", found_said, "an index that fits", _COPY)
    _refuse_other_size(path, size, ends[-1])
    return found


def _cut(path: Path, size: int) -> InputError:
    return broken(path, f"byte {size}", "an index cut short", "a whole file", _COPY)


def _sizes(control: int, count: int) -> tuple[int, int, int]:
    """Return the bytes of the types, of the lengths, and of all else about so many variants."""
    kind = control & 15
    types = count if kind > 3 else (count + 1) // 2
    flags = (count + 7) // 8 if control >> 6 == 3 else 0
    return types, count * (kind % 4 + 1), count * (control >> 4 & 3) + flags


def _refuse_other_size(path: Path, size: int, expected: int) -> None:
    if size != expected:
        found = f"{size} bytes, " + ("cut short" if size < expected else "too long")
        raise broken(path, f"byte {min(size, expected)}", found, f"{expected} bytes", _COPY)
