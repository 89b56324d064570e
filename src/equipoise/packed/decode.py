"""The coding of a block: from bytes to dosages and back.

PLINK 1's, variant-major (chrchang/plink-ng, .bed format): sample i of a variant is in
bits 2·(i mod 4) of byte i // 4.

    00  two copies of A1    dosage 2        10  one copy     dosage 1
    11  none                dosage 0        01  not called   NaN

A1 is the effect allele, and the dosage counts it. A block is uint8 of shape (variants,
ceil(samples / 4)). What the bits beyond the last sample hold never matters; whatever is
made here has zeros there.
"""

from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.loops import look_up

Block = NDArray[np.uint8]

_ONE: Final = np.uint8(1)
_LOW: Final = np.uint8(0b01010101)
_MISSING: Final = np.uint8(0b01)
_OF_CODE: Final = (2.0, np.nan, 1.0, 0.0)
_FIRST: Final = np.arange(16) & 3
_SECOND: Final = np.arange(16) >> 2
"""The codes of the two people of half a byte."""


def width(n_samples: int) -> int:
    """Return the bytes of one variant.

    >>> width(5)
    2
    """
    return (n_samples + 3) // 4


def check(block: Block, n_samples: int) -> None:
    """Raise ValueError unless the block has as many bytes a variant as the samples need."""
    if block.ndim != 2 or block.shape[1] != width(n_samples):
        raise ValueError(
            f"a block of shape {block.shape} for {n_samples} samples; expected"
            f" (variants, {width(n_samples)})"
        )


@overload
def decode(
    block: Block, n_samples: int, dtype: type[np.float64] = np.float64
) -> NDArray[np.float64]: ...
@overload
def decode(block: Block, n_samples: int, dtype: type[np.float32]) -> NDArray[np.float32]: ...
def decode(
    block: Block, n_samples: int, dtype: type[np.float32 | np.float64] = np.float64
) -> NDArray[np.float32 | np.float64]:
    """Return the dosages of A1, (variants, samples), NaN where not called.

    >>> decode(np.array([[0b11100100]], np.uint8), 4)
    array([[ 2., nan,  1.,  0.]])
    """
    values = np.broadcast_to(np.array(_OF_CODE), (len(block), 4))
    return valued(block, n_samples, values, dtype)


def valued(
    block: Block,
    n_samples: int,
    values: NDArray[np.float64],
    dtype: type[np.float32 | np.float64] = np.float64,
) -> NDArray[Any]:
    """Return what each genotype stands for in its variant, (variants, samples).

    `values`, (variants, 4), are those of the codes 00, 01, 10 and 11: two copies of A1, not
    called, one copy, none. So standardising, or filling in a mean, costs no more than decoding.

    >>> valued(np.array([[0b11100100]], np.uint8), 4, np.array([[1.5, 0.0, 0.5, -0.5]]))
    array([[ 1.5,  0. ,  0.5, -0.5]])
    """
    check(block, n_samples)
    if values.shape != (len(block), 4):
        raise ValueError(f"values of shape {values.shape}; expected ({len(block)}, 4)")
    # Two people are one complex number: half as many to look up and to store.
    pairs = np.empty((len(block), 16, 2), dtype)
    pairs[..., 0], pairs[..., 1] = values[:, _FIRST], values[:, _SECOND]
    kind = np.complex64 if dtype is np.float32 else np.complex128
    found = np.empty((len(block), 2 * block.shape[1]), kind)
    look_up(np.asarray(block), pairs.reshape(len(block), 32).view(kind), found)
    return found.view(dtype)[:, :n_samples]


def valued_at(
    block: Block, samples: NDArray[np.int64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what the genotypes of some people stand for, (variants, people); see `valued`.

    >>> valued_at(np.array([[0b11100100]], np.uint8), np.array([3, 0]), np.array([[1.0, 0, 0, 7]]))
    array([[7., 1.]])
    """
    n_samples = 4 * block.shape[1]
    if 4 * len(samples) > n_samples:
        whole = valued(block, n_samples, values)
        first = len(samples)
        if np.array_equal(samples, np.arange(first)):
            return np.asarray(whole[:, :first], np.float64)
        return np.asarray(whole[:, samples], np.float64)
    codes = block[:, samples >> 2] >> (2 * (samples & 3)).astype(np.uint8) & np.uint8(3)
    place = codes.astype(np.intp) + 4 * np.arange(len(block))[:, None]
    return values.ravel()[place]


def encode(dosage: NDArray[np.floating]) -> Block:
    """Return the block of dosages of A1, (variants, samples), each 0, 1, 2 or NaN.

    ValueError for any other dosage: imputed fractions are not hard calls.

    >>> encode(np.array([[2, np.nan, 1, 0, 1.0]]))
    array([[228,   2]], dtype=uint8)
    """
    missing = np.isnan(dosage)
    if not np.all(missing | np.isin(dosage, (0, 1, 2))):
        raise ValueError("a dosage that is none of 0, 1, 2 or NaN; expected hard calls")
    codes = np.array((3, 2, 0), np.uint8)[np.where(missing, 0, dosage).astype(np.intp)]
    codes[missing] = _MISSING
    variants, samples = codes.shape
    padded = np.zeros((variants, width(samples), 4), np.uint8)
    padded.reshape(variants, 4 * width(samples))[:, :samples] = codes
    return (padded << np.array((0, 2, 4, 6), np.uint8)).sum(axis=2, dtype=np.uint8)


def flip(block: Block, n_samples: int) -> Block:
    """Return the block that counts the other allele.

    >>> decode(flip(encode(np.array([[2, np.nan, 1, 0, 1.0]])), 5), 5)
    array([[ 0., nan,  1.,  2.,  1.]])
    """
    check(block, n_samples)
    same = ~(block >> _ONE ^ block) & _LOW
    return (block ^ (same | same << _ONE)) & people(n_samples)


def absent(n_variants: int, n_samples: int) -> Block:
    """Return a block in which nobody is called.

    >>> decode(absent(1, 3), 3)
    array([[nan, nan, nan]])
    """
    return np.tile(_LOW & people(n_samples), (n_variants, 1))


def people(n_samples: int, keep: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Return the bytes with both bits of each sample set, or of those in the mask `keep`.

    >>> people(5, np.array([True, False, False, True, True]))
    array([195,   3], dtype=uint8)
    """
    if keep is not None and keep.shape != (n_samples,):
        raise ValueError(f"a mask of shape {keep.shape}; expected ({n_samples},)")
    chosen = np.ones(n_samples, np.bool_) if keep is None else keep
    return np.packbits(np.repeat(chosen, 2), bitorder="little")
