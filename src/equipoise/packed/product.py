"""Sums over people of dosage times a column, G'B, straight from packed genotypes.

A column is rounded once to a grid, a power of two, and from then on all is whole numbers:
sums do not depend on the order of people, on how they are spread over sites, or on the
processor. A number of the grid is written in digits of base 256, each from -128 to 127,
which the processor multiplies with dosages 64 at a time (`packed/vectors.py`); a processor
that cannot multiplies the same digits as float32, a few thousand people at a time, which is
exact as well. Four digits are the rule; three are a fifth quicker, for columns that need no more.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block, check
from equipoise.packed.loops import (
    HELD,
    SUMS,
    VARIANTS_AT_ONCE,
    add_not_called,
    add_products_not_called,
    multiply,
    multiply_columns,
)
from equipoise.packed.processor import LANES, ROWS, byte_products

Of: TypeAlias = Literal["dosage", "square", "not called"]
"""What of a genotype is multiplied: the dosage of A1 or its square, 0 where not called, or
1 where not called and else 0."""

Digits: TypeAlias = Literal[3, 4]

BITS: Final[dict[Digits, int]] = {3: 22, 4: 30}
"""A column's grid is its bound over 2**22, of three digits, or over 2**30, of four."""

_RAISED: Final[dict[Digits, int]] = {3: 0x00808080, 4: 0x80808080}
_GROUP: Final = 4 * LANES
"""People of one vector of a block."""

_SUMMED: Final = 2**22
"""People whose products with one digit add up in 32 bits: 2**22 * 4 * 128 = 2**31."""

_EXACT: Final = 2**15
"""People whose products with one digit add up exactly in float32: 2**15 * 4 * 128 = 2**24."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of people, ready to be multiplied with blocks of theirs; 0 for all others.

    whole    (samples, columns) in units of each column's grid
    grid     (columns,) powers of two
    digits   (rows, people in the order of `unpack`) signed bytes; with p of them to a number row
             p c + d is digit d of column c, the lowest first, and rows of zeros follow up to a
             multiple of four
    places   p
    """

    whole: NDArray[np.int64] = field(repr=False)
    grid: NDArray[np.float64] = field(repr=False)
    digits: NDArray[np.int8] = field(repr=False)
    places: Digits = 4

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the columns alone: digits are made anew, at the start of a vector."""
        return _of_whole, (self.whole, self.grid, self.places)

    @property
    def n_samples(self) -> int:
        """Number of people in the file."""
        return len(self.whole)

    @property
    def n(self) -> int:
        """Number of columns."""
        return len(self.grid)


def columns(
    values: NDArray[np.float64],
    n_samples: int,
    rows: NDArray[np.int64] | None = None,
    bounds: NDArray[np.float64] | None = None,
    digits: Digits = 4,
) -> Columns:
    """Return `values`, (people, columns), for products with blocks of `n_samples` people.

    `rows` are the people's places in the blocks, all in order if not given. `bounds`, (columns,),
    are the most that a column may be in absolute value, which the grid follows from: the
    same at every site where sums of several are to be equal to the last digit; if not given,
    the columns' own greatest. `digits` says how fine the grid is (`BITS`). ValueError for a value
    beyond its bound or not finite.
    """
    if not np.all(np.isfinite(values)):
        raise ValueError("a column with a value that is not finite")
    largest = np.abs(values).max(axis=0, initial=0.0)
    most = largest if bounds is None else bounds
    if np.any(largest > most * (1 + 1e-12)):
        raise ValueError("a column with a value beyond its bound")
    grid = np.exp2(np.ceil(np.log2(np.where(most > 0, most, 1.0))) - BITS[digits])
    whole = np.zeros((n_samples, len(grid)), np.int64)
    places = slice(None) if rows is None else rows
    for c, unit in enumerate(grid):
        whole[places, c] = np.rint(values[:, c] / unit)
    return _of_whole(whole, grid, digits)


def _of_whole(whole: NDArray[np.int64], grid: NDArray[np.float64], places: Digits) -> Columns:
    return Columns(whole, grid, _digits(whole, places), places)


def _digits(whole: NDArray[np.int64], places: Digits) -> NDArray[np.int8]:
    samples, n = whole.shape
    rows = _rows(n * places, samples)
    for c in range(n):  # by itself: all together would take several times the memory
        # w = sum of d 256^i with d from -128 to 127: w + 128 sum of 256^i has the bytes d + 128.
        raised = (whole[:, c] + _RAISED[places]).astype("<u4")
        natural = (raised.view(np.uint8).reshape(samples, 4) ^ np.uint8(128)).view(np.int8)
        _order(natural.T[:places], rows[c * places : (c + 1) * places])
    return rows


def _rows(n: int, samples: int) -> NDArray[np.int8]:
    """Return room for so many rows as `unpack` orders people, zeros up to whole vectors."""
    return _aligned((-(-n // ROWS) * ROWS, -(-samples // _GROUP) * _GROUP))


def _order(natural: NDArray[Any], rows: NDArray[np.int8]) -> None:
    """Write rows over people, (n, samples), as `unpack` orders them."""
    n, samples = natural.shape
    groups = rows.shape[1] // _GROUP
    padded = np.zeros((n, rows.shape[1]), np.int8)
    padded[:, :samples] = natural
    order = padded.reshape(n, groups, LANES, 4).transpose(0, 1, 3, 2)
    rows.reshape(n, groups, 4, LANES)[:] = order


def product(block: Block, held: Columns, of: Of = "dosage") -> NDArray[np.float64]:
    """Return the sums over people, (variants, columns); ValueError for blocks of others.

    >>> block = np.array([[0b11100100]], np.uint8)
    >>> product(block, columns(np.array([[1.0], [10], [0.5], [7]]), 4))
    array([[2.5]])
    """
    check(block, held.n_samples)
    if block.size and held.n and _by_instruction(held.n_samples):
        found = np.empty((len(block), held.n))
        how = (_KINDS.index(of), held.places, held.grid)
        multiply_columns(np.ascontiguousarray(block), held.digits, *how, found, *_room())
        return found
    sums = multiply_rows(block, held.digits, held.n_samples, of)[:, : held.n * held.places]
    digits = sums.reshape(len(block), held.n, held.places)
    return (digits @ 256 ** np.arange(held.places)) * held.grid


def multiply_rows(
    block: Block, rows: NDArray[np.int8], n_samples: int, of: Of = "dosage"
) -> NDArray[np.int64]:
    """Return the products with rows of signed bytes, (variants, rows), as `unpack` orders people.

    `rows` are as in `Columns.digits` or from `rows_of`; whoever is beyond `n_samples` has 0.
    """
    check(block, n_samples)
    if not block.size or not len(rows):
        return np.zeros((len(block), len(rows)), np.int64)
    if _by_instruction(n_samples):
        found = np.empty((len(block), len(rows)), np.int64)
        multiply(np.ascontiguousarray(block), rows, _KINDS.index(of), found, *_room())
        return found
    return by_floats(block, rows, of)


def rows_of(
    block: Block, n_samples: int, keep: NDArray[np.bool_] | None = None, of: Of = "dosage"
) -> NDArray[np.int8]:
    """Return the genotypes of a block as rows for `multiply_rows`, 0 for whoever is not kept.

    Rows of zeros follow up to a multiple of four.
    """
    check(block, n_samples)
    table = _table(of, np.int8)
    natural = table[block].reshape(len(block), -1)[:, :n_samples]
    rows = _rows(len(block), n_samples)
    _order(natural if keep is None else natural * keep, rows[: len(block)])
    return rows


def not_called(block: Block, held: Columns) -> NDArray[np.float64]:
    """Return the sums over those not called alone, (variants, columns).

    The same as `product` of "not called", by going through them: quicker where they are few.
    """
    check(block, held.n_samples)
    sums = np.zeros((len(block), held.n), np.int64)
    add_not_called(np.ascontiguousarray(block), held.whole, sums)
    return sums * held.grid


def products_not_called(block: Block, columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products of columns with columns over those not called, (variants, p, p).

    `columns`, (samples, p), are 0 for whoever is left out.
    """
    check(block, len(columns))
    people, p = columns.shape
    wide = np.zeros((people, -(-p // 8) * 8))
    wide[:, :p] = columns
    sums = np.zeros((len(block), p, wide.shape[1]))
    add_products_not_called(np.ascontiguousarray(block), wide, sums)
    return sums[:, :, :p]


def _by_instruction(n_samples: int) -> bool:
    """Return whether the processor's own products of bytes are right for so many people."""
    return byte_products() and n_samples < _SUMMED


def _room() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]:
    """Return what the loops over rows work in."""
    return np.empty(HELD, np.uint8), np.empty(LANES, np.uint8), np.empty(SUMS, np.int32)


def by_floats(block: Block, rows: NDArray[np.int8], of: Of = "dosage") -> NDArray[np.int64]:
    """Return `multiply_rows` by products of float32.

    What a processor without a dot product of bytes does; exact, and the same.
    """
    sums = np.zeros((len(block), len(rows)), np.int64)
    by_group = rows.reshape(len(rows), rows.shape[1] // _GROUP, 4, LANES)
    natural = by_group.transpose(0, 1, 3, 2).reshape(rows.shape)
    table = _table(of, np.float32)
    for first in range(0, 4 * block.shape[1], _EXACT):
        right = natural[:, first : min(first + _EXACT, 4 * block.shape[1])].T.astype(np.float32)
        for start in range(0, len(block), VARIANTS_AT_ONCE):
            part = block[start : start + VARIANTS_AT_ONCE, first // 4 : (first + len(right)) // 4]
            left = table[part].reshape(len(part), -1)
            sums[start : start + len(part)] += (left @ right).astype(np.int64)
    return sums


def _table(of: Of, dtype: type[np.int8 | np.float32]) -> NDArray[np.int8 | np.float32]:
    """Return the genotypes of the four people of each byte, (256, 4)."""
    of_code = _OF_CODE[of]
    return np.array([[of_code[b >> 2 * i & 3] for i in range(4)] for b in range(256)], dtype)


_KINDS: Final[tuple[Of, ...]] = ("dosage", "square", "not called")
_OF_CODE: Final[dict[Of, tuple[int, ...]]] = {
    "dosage": (2, 0, 1, 0),
    "square": (4, 0, 1, 0),
    "not called": (0, 1, 0, 0),
}


def _aligned(shape: tuple[int, int]) -> NDArray[np.int8]:
    """Return zeros that begin at a whole vector, as all rows then do."""
    held = np.zeros(shape[0] * shape[1] + LANES, np.int8)
    first = -held.ctypes.data % LANES
    return held[first : first + shape[0] * shape[1]].reshape(shape)
