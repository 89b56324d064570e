"""Compiled loops over packed genotypes: what numba turns into machine code, without types.

Each takes rows that are contiguous in themselves, and writes into an array it is given.
"""

from typing import Any

import numpy as np

from equipoise.native import Late, compiled, native
from equipoise.packed.processor import LANES, ROWS, VARIANTS

vectors: Any = Late("equipoise.packed.vectors")

VARIANTS_AT_ONCE = 36
"""Variants unpacked at a time: 180 KiB of them stay in the second cache."""

ROWS_AT_ONCE = 96
"""Rows of digits that they are multiplied with before they are unpacked again."""

BYTES_AT_ONCE = 1280
"""Of each variant that is unpacked at a time: four rows of digits of as many people nearly stay
in the first cache."""


@compiled
def look_up(block: Any, pairs: Any, found: Any) -> None:
    for v in range(block.shape[0]):
        for place in range(block.shape[1]):
            found[v, 2 * place] = pairs[v, block[v, place] & np.uint8(15)]
            found[v, 2 * place + 1] = pairs[v, block[v, place] >> np.uint8(4)]


@native("uint8[:,:]", "uint8[:,:]", "uint8[:]", "int64[:,:,:]")
def count(block: Any, masks: Any, tail: Any, counts: Any) -> None:
    """Add how many people of each cell have the upper bit, the lower bit, and both.

    The last vector of a variant reaches into the next one, whose bits the masks leave out.

    masks  (cells, bytes up to whole vectors) the lower bit of each person of a cell
    tail   (LANES,) room to work in, zeros
    """
    wide = block.shape[1]
    full, whole = wide - wide % LANES, wide + (-wide) % LANES
    end = block.ctypes.data + block.shape[0] * wide
    for v in range(block.shape[0]):
        source = block.ctypes.data + v * wide
        direct = whole if source + whole <= end else full
        for i in range(wide - direct):
            tail[i] = block[v, full + i]
        for c in range(masks.shape[0]):
            mask = masks.ctypes.data + c * masks.strides[0]
            sums = counts.ctypes.data + c * counts.strides[0] + v * counts.strides[1]
            if direct:
                vectors.tally(source, mask, direct, sums)
            if wide > direct:
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


SUMS = VARIANTS_AT_ONCE, ROWS_AT_ONCE
"""The shape of room for the sums of each variant and row, of 32 bits."""


@native("uint8[:,:]", "int8[:,:]", "int64", "int64[:,:]", "uint8[:]", "uint8[:]", "int32[:,:]")
def multiply(block: Any, digits: Any, of: Any, sums: Any, held: Any, tail: Any, out: Any) -> None:
    """Write the products of a block with rows of digits, (variants, rows).

    of                what of the genotype: 0 the dosage, 1 its square, 2 not called
    held, tail, out   room to work in: HELD and LANES bytes, SUMS
    """
    for first in range(0, digits.shape[0], ROWS_AT_ONCE):
        rows = digits[first : first + ROWS_AT_ONCE]
        for start in range(0, block.shape[0], VARIANTS_AT_ONCE):
            part = block[start : start + VARIANTS_AT_ONCE]
            _dots(part, rows, of, held, tail, out)
            for v in range(part.shape[0]):
                for row in range(rows.shape[0]):
                    sums[start + v, first + row] = out[v, row]


@native(
    "uint8[:,:]",
    "int8[:,:]",
    "int64",
    "int64",
    "float64[:]",
    "float64[:,:]",
    "uint8[:]",
    "uint8[:]",
    "int32[:,:]",
)
def multiply_columns(
    block: Any,
    digits: Any,
    of: Any,
    places: Any,
    grid: Any,
    sums: Any,
    held: Any,
    tail: Any,
    out: Any,
) -> None:
    """Write the products with numbers of so many digits of base 256, (variants, numbers).

    places  3 or 4: row places * c + d of `digits` is digit d of number c
    grid    (numbers,) the unit of each; all else as `multiply`
    """
    for first in range(0, digits.shape[0], ROWS_AT_ONCE):
        rows = digits[first : first + ROWS_AT_ONCE]
        number = first // places
        last = min(number + ROWS_AT_ONCE // places, len(grid))
        for start in range(0, block.shape[0], VARIANTS_AT_ONCE):
            part = block[start : start + VARIANTS_AT_ONCE]
            _dots(part, rows, of, held, tail, out)
            for v in range(part.shape[0]):
                for c in range(number, last):
                    total = np.int64(0)
                    for row in range(places * (c + 1) - 1, places * c - 1, -1):  # Horner's rule
                        total = (total << np.int64(8)) + out[v, row - first]
                    sums[start + v, c] = np.float64(total) * grid[c]


@compiled
def _dots(block: Any, digits: Any, of: Any, held: Any, tail: Any, out: Any) -> None:
    """Write the sums of each variant of a few with each row to `out`."""
    out[: block.shape[0] + (-block.shape[0]) % VARIANTS, : digits.shape[0]] = 0
    lane = held.ctypes.data + (-held.ctypes.data) % LANES
    pieces = (block.shape[1] + BYTES_AT_ONCE - 1) // BYTES_AT_ONCE
    # Of one length: a short last piece costs nearly as much as a long one.
    piece = (block.shape[1] + LANES * pieces - 1) // (LANES * pieces) * LANES
    wide, end = 4 * BYTES_AT_ONCE, block.ctypes.data + block.shape[0] * block.shape[1]
    for first in range(0, block.shape[1], piece):
        size = min(piece, block.shape[1] - first)
        people = 4 * (size + (-size) % LANES)
        for v in range(block.shape[0]):
            source = block.ctypes.data + v * block.strides[0] + first
            if source + people // 4 <= end:
                # What is beyond the piece, of the next variant at worst, is multiplied with 0.
                _unpack(of, source, people // 4, lane + v * wide)
            else:
                _unpack_all(of, source, size, lane + v * wide, tail)
        for row in range(0, digits.shape[0], ROWS):
            right = digits.ctypes.data + row * digits.strides[0] + 4 * first
            for v in range(0, block.shape[0], VARIANTS):
                left, place = lane + v * wide, out.ctypes.data + v * out.strides[0] + 4 * row
                vectors.dot(left, wide, right, digits.strides[0], people, place, out.strides[0])


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
