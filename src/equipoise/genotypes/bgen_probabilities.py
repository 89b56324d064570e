"""The probabilities of one variant of a BGEN file (layout 2), as a dosage of its first allele.

Each function says what is wrong in a ValueError, `found; expected ...`; who calls knows where.
"""

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MISSING: Final = 0x80
_COPIES: Final = 0x3F
_FIXED: Final = 8


def dosage_of_first(block: bytes, n_samples: int) -> NDArray[np.float64]:
    """Return expected copies of the first allele of two, (samples,), NaN where missing.

    A person with one copy counts double.

    >>> head = struct.pack("<IHBB", 2, 2, 2, 2)
    >>> dosage_of_first(head + bytes([2, 0x82, 0, 8, 51, 204, 0, 0]), 2)
    array([1.2, nan])
    """
    copies, missing, phased, bits = _head(block, n_samples)
    values = _values(block[_FIXED + n_samples + 2 :], int(copies.sum()), bits)
    if np.all(copies == 2):
        first, second = values.reshape(n_samples, 2).T
    else:
        # One more zero, so that who has no copy and comes last has a place to look at.
        values = np.append(values, (0.0, 0.0))
        starts = np.cumsum(copies) - copies
        first, second = values[starts], values[starts + 1]
        second = np.where(copies == 2, second, first if phased else 0.0)
    if not phased and np.any((copies == 2) & ~missing & (first + second > 1 + 1e-9)):
        raise ValueError("probabilities that add up to more than 1; expected at most 1")
    dosage = first + second if phased else 2 * first + second
    return np.where(missing | (copies == 0), np.nan, dosage)


def _head(block: bytes, n_samples: int) -> tuple[NDArray[np.int64], NDArray[np.bool_], bool, int]:
    """Return copies and missing of each person, whether phased, and the bits a probability."""
    if len(block) < _FIXED + n_samples + 2:
        raise ValueError(f"{len(block)} bytes of probabilities; expected more")
    people, alleles, least, most = struct.unpack_from("<IHBB", block)
    if people != n_samples or alleles != 2:
        raise ValueError(
            f"{people} people and {alleles} alleles in the block; expected {n_samples} and 2"
        )
    ploidy = np.frombuffer(block, np.uint8, n_samples, _FIXED)
    copies, missing = (ploidy & _COPIES).astype(np.int64), ploidy & _MISSING != 0
    if copies.max() > 2:
        raise ValueError("a genotype of more than two copies; expected one or two")
    phased, bits = block[_FIXED + n_samples], block[_FIXED + n_samples + 1]
    within = least <= copies.min() and copies.max() <= most and not np.any(ploidy & 0x40)
    if not within or phased > 1 or not 1 <= bits <= 32:
        raise ValueError("a head of the block that contradicts itself; expected BGEN 1.2")
    return copies, missing, bool(phased), bits


def _values(packed: bytes, count: int, bits: int) -> NDArray[np.float64]:
    """Return the probabilities, (count,), each of so many bits from the lowest on."""
    size = (count * bits + 7) // 8
    if len(packed) != size:
        raise ValueError(f"{len(packed)} bytes of probabilities; expected {size}")
    most = (1 << bits) - 1
    if bits in (8, 16, 32):
        return np.frombuffer(packed, f"<u{bits // 8}").astype(np.float64) / most
    each = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little", count=count * bits)
    return each.reshape(count, bits) @ (2.0 ** np.arange(bits)) / most
