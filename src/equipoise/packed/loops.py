"""Compiled loops over packed genotypes: what numba turns into machine code, without types.

Each takes rows that are contiguous in themselves, and writes into an array it is given.
"""

from typing import Any

import numpy as np

from equipoise.native import Late, compiled, native
from equipoise.packed.processor import LANES, ROWS, VARIANTS

vectors: Any = Late("equipoise.packed.vectors")

VARIANTS_AT_ONCE = 36
"""Variants unpacked at a time, of 4,096 people: as much as the second cache holds."""

ROWS_AT_ONCE = 96
"""Rows of digits that they are multiplied with before they are unpacked again."""

BYTES_AT_ONCE = 1024


@compiled
def look_up(block: Any, pairs: Any, found: Any) -> None:
    for v in range(block.shape[0]):
        for place in range(block.shape[1]):
            found[v, 2 * place] = pairs[v, block[v, place] & np.uint8(15)]
            found[v, 2 * place + 1] = pairs[v, block[v, place] >> np.uint8(4)]


@native("uint8[:,:]", "uint8[:,:]", "uint8[:]", "int64[:,:,:]")
def count(block: Any, masks: Any, tail: Any, counts: Any) -> None:
    """Add how many people of each cell have the upper bit, the lower bit, and both.

    masks  (cells, bytes up to whole vectors) the lower bit of each person of a cell
    tail   (LANES,) room to work in, zeros
    """
    wide = block.shape[1]
    full = wide - wide % LANES
    for v in range(block.shape[0]):
        source = block.ctypes.data + v * block.strides[0]
        for i in range(wide - full):
            tail[i] = block[v, full + i]
        for c in range(masks.shape[0]):
            mask = masks.ctypes.data + c * masks.strides[0]
            sums = counts.ctypes.data + c * counts.strides[0] + v * counts.strides[1]
            if full:
                vectors.tally(source, mask, full, sums)
            if wide > full:
                vectors.tally(tail.ctypes.data, mask + full, LANES, sums)


@compiled
def word(address: Any, size: Any) -> Any:
    """Return the 8 bytes at an address as one word; of fewer, those and zeros after them."""
    if size >= 8:
        return vectors.word_at(address)
    found = np.uint64(0)
    for i in range(size):
        found |= np.uint64(vectors.byte_at(address + i)) << np.uint64(8 * i)
    return found


HELD = VARIANTS_AT_ONCE * 4 * BYTES_AT_ONCE + LANES
"""Bytes of room that `multiply` works in."""


SUMS = VARIANTS_AT_ONCE * ROWS_AT_ONCE * LANES
"""Bytes of room for a vector of sums for each variant and row."""


@native("uint8[:,:]", "int8[:,:]", "int64", "int64[:,:]", "uint8[:]", "uint8[:]", "uint8[:]")
def multiply(block: Any, digits: Any, of: Any, sums: Any, held: Any, tail: Any, out: Any) -> None:
    """Write the products of a block with rows of digits, (variants, rows).

    of                what of the genotype: 0 the dosage, 1 its square, 2 not called
    held, tail, out   room to work in: HELD, LANES and SUMS bytes
    """
    for first in range(0, digits.shape[0], ROWS_AT_ONCE):
        rows = digits[first : first + ROWS_AT_ONCE]
        for start in range(0, block.shape[0], VARIANTS_AT_ONCE):
            part = block[start : start + VARIANTS_AT_ONCE]
            _dots(part, rows, of, held, tail, out)
            for v in range(part.shape[0]):
                for row in range(rows.shape[0]):
                    sums[start + v, first + row] = vectors.across(_place(out, rows, v, row))


@native(
    "uint8[:,:]", "int8[:,:]", "int64", "int64", "int64[:,:]", "uint8[:]", "uint8[:]", "uint8[:]"
)
def multiply_whole(
    block: Any, digits: Any, of: Any, places: Any, whole: Any, held: Any, tail: Any, out: Any
) -> None:
    """Write the products with whole numbers of so many digits of base 256, (variants, numbers).

    places  3 or 4: row places * c + d of `digits` is digit d of number c; all else as `multiply`
    """
    for first in range(0, digits.shape[0], ROWS_AT_ONCE):
        rows = digits[first : first + ROWS_AT_ONCE]
        number = first // places
        last = min(number + ROWS_AT_ONCE // places, whole.shape[1])
        for start in range(0, block.shape[0], VARIANTS_AT_ONCE):
            part = block[start : start + VARIANTS_AT_ONCE]
            _dots(part, rows, of, held, tail, out)
            for v in range(part.shape[0]):
                for c in range(number, last):
                    total = np.int64(0)
                    for row in range(places * (c + 1) - 1, places * c - 1, -1):  # Horner's rule
                        place = _place(out, rows, v, row - first)
                        total = (total << np.int64(8)) + vectors.across(place)
                    whole[start + v, c] = total


@compiled
def _place(out: Any, digits: Any, v: Any, row: Any) -> Any:
    """Return the address of the vector of sums of one variant with a row."""
    group, within = v // VARIANTS, v % VARIANTS
    first = row - row % ROWS
    vector = VARIANTS * (group * digits.shape[0] + first) + within * ROWS + row % ROWS
    return out.ctypes.data + vector * LANES


@compiled
def _dots(block: Any, digits: Any, of: Any, held: Any, tail: Any, out: Any) -> None:
    """Write a vector of sums for each variant of a few and each row to `out`, see `_place`."""
    lane = held.ctypes.data + (-held.ctypes.data) % LANES
    pieces = (block.shape[1] + BYTES_AT_ONCE - 1) // BYTES_AT_ONCE
    # Of one length: a short last piece costs nearly as much as a long one.
    piece = (block.shape[1] + LANES * pieces - 1) // (LANES * pieces) * LANES
    wide = 4 * BYTES_AT_ONCE
    for first in range(0, block.shape[1], piece):
        size = min(piece, block.shape[1] - first)
        people = 4 * (size + (-size) % LANES)
        for v in range(block.shape[0]):
            source = block.ctypes.data + v * block.strides[0] + first
            _unpack_all(of, source, size, lane + v * wide, tail)
        for row in range(0, digits.shape[0], ROWS):
            right = digits.ctypes.data + row * digits.strides[0] + 4 * first
            for v in range(0, block.shape[0], VARIANTS):
                left, place = lane + v * wide, _place(out, digits, v, row)
                again = np.int64(first > 0)
                vectors.dot(left, wide, right, digits.strides[0], people, place, again)


@compiled
def _unpack_all(of: Any, source: Any, size: Any, target: Any, tail: Any) -> None:
    """Unpack so many bytes, the last of them by way of `tail` where they fill no vector."""
    full = size - size % LANES
    _unpack(of, source, full, target)
    if size > full:
        for i in range(size - full):
            tail[i] = vectors.byte_at(source + full + i)
        _unpack(of, tail.ctypes.data, LANES, target + 4 * full)


@compiled
def _unpack(of: Any, source: Any, size: Any, target: Any) -> None:
    if size == 0:
        return
    if of == 0:
        vectors.unpack_dosage(source, size, target)
    elif of == 1:
        vectors.unpack_square(source, size, target)
    else:
        vectors.unpack_not_called(source, size, target)


@native("uint8[:,:]", "int64[:,:]", "int64[:,:]")
def add_not_called(block: Any, whole: Any, sums: Any) -> None:
    people, n = whole.shape
    low = np.uint64(0x5555555555555555)
    for v in range(block.shape[0]):
        for first in range(0, block.shape[1], 8):
            held = word(block.ctypes.data + v * block.strides[0] + first, block.shape[1] - first)
            missing = held & ~(held >> np.uint64(1)) & low
            while missing:
                person = 4 * first + np.int64(vectors.first_one(missing) >> np.uint64(1))
                missing &= missing - np.uint64(1)
                if person < people:
                    for k in range(n):
                        sums[v, k] += whole[person, k]


@native("uint8[:,:]", "float64[:,:]", "float64[:,:,:]")
def add_products_not_called(block: Any, columns: Any, sums: Any) -> None:
    """Add, for each variant, the products of columns with columns over those not called.

    columns  (samples, q) float64, 0 for who is not in; q a multiple of 8
    sums     (variants, p, q), p of the columns with all
    """
    people, q = columns.shape
    p = sums.shape[1]
    low = np.uint64(0x5555555555555555)
    for v in range(block.shape[0]):
        for first in range(0, block.shape[1], 8):
            held = word(block.ctypes.data + v * block.strides[0] + first, block.shape[1] - first)
            missing = held & ~(held >> np.uint64(1)) & low
            while missing:
                person = 4 * first + np.int64(vectors.first_one(missing) >> np.uint64(1))
                missing &= missing - np.uint64(1)
                if person < people:
                    row = columns.ctypes.data + person * columns.strides[0]
                    vectors.add_outer(row, p, q, sums.ctypes.data + v * sums.strides[0])
