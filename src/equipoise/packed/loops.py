"""Compiled loops over packed genotypes: what numba turns into machine code, without types.

Each takes rows that are contiguous in themselves, and writes into an array it is given.
"""

from typing import Any

import numpy as np

from equipoise.packed import vectors
from equipoise.packed.compiled import compiled

VARIANTS_AT_ONCE = 32
"""Variants unpacked at a time, of 4,096 people: as much as the second cache holds."""

BYTES_AT_ONCE = 1024


@compiled
def look_up(block: Any, pairs: Any, found: Any) -> None:
    for v in range(block.shape[0]):
        for place in range(block.shape[1]):
            found[v, 2 * place] = pairs[v, block[v, place] & np.uint8(15)]
            found[v, 2 * place + 1] = pairs[v, block[v, place] >> np.uint8(4)]


@compiled
def count(block: Any, masks: Any, counts: Any) -> None:
    """Write how many people of each cell have the upper bit, the lower bit, and both."""
    wide = block.shape[1]
    row = np.zeros(masks.shape[1], np.uint64)
    for v in range(block.shape[0]):
        address = block.ctypes.data + v * block.strides[0]
        for w in range(masks.shape[1]):
            row[w] = word(address + 8 * w, wide - 8 * w)
        for c in range(masks.shape[0]):
            upper = lower = both = np.uint64(0)
            for w in range(masks.shape[1]):
                low = row[w] & masks[c, w]
                high = (row[w] >> np.uint64(1)) & masks[c, w]
                upper += vectors.ones(high)
                lower += vectors.ones(low)
                both += vectors.ones(high & low)
            counts[c, v, 0], counts[c, v, 1], counts[c, v, 2] = upper, lower, both


@compiled
def word(address: Any, size: Any) -> Any:
    """Return the 8 bytes at an address as one word; of fewer, those and zeros after them."""
    if size >= 8:
        return vectors.word_at(address)
    found = np.uint64(0)
    for i in range(size):
        found |= np.uint64(vectors.byte_at(address + i)) << np.uint64(8 * i)
    return found


@compiled
def multiply(block: Any, digits: Any, of: Any, sums: Any) -> None:
    step, at_once, lanes = vectors.VARIANTS, vectors.ROWS, vectors.LANES
    held = np.zeros(VARIANTS_AT_ONCE * 4 * BYTES_AT_ONCE + lanes, np.uint8)
    lane = held.ctypes.data + (-held.ctypes.data) % lanes
    tail = np.zeros(lanes, np.uint8)
    out = np.zeros(step * at_once, np.int64)
    for start in range(0, block.shape[0], VARIANTS_AT_ONCE):
        stop = min(start + VARIANTS_AT_ONCE, block.shape[0])
        for first in range(0, block.shape[1], BYTES_AT_ONCE):
            size = min(BYTES_AT_ONCE, block.shape[1] - first)
            full = size - size % lanes
            people = 4 * (size + (-size) % lanes)
            for v in range(start, stop):
                source = block.ctypes.data + v * block.strides[0] + first
                target = lane + (v - start) * 4 * BYTES_AT_ONCE
                _unpack(of, source, full, target)
                if size > full:
                    tail[: size - full] = block[v, first + full : first + size]
                    _unpack(of, tail.ctypes.data, lanes, target + 4 * full)
            for row in range(0, digits.shape[0], at_once):
                right = digits.ctypes.data + row * digits.strides[0] + 4 * first
                for v in range(start, stop, step):
                    out[:] = 0
                    left = lane + (v - start) * 4 * BYTES_AT_ONCE
                    vectors.dot(
                        left, 4 * BYTES_AT_ONCE, right, digits.strides[0], people, out.ctypes.data
                    )
                    for i in range(min(step, stop - v)):
                        for k in range(at_once):
                            sums[v + i, row + k] += out[i * at_once + k]
    # numba frees an array after its last use by name, and its address is none.
    held[0], tail[0], out[0] = 0, 0, 0


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


@compiled
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


@compiled
def add_products_not_called(block: Any, columns: Any, sums: Any) -> None:
    """Add, for each variant, the products of columns with columns over those not called.

    columns  (samples, p) float64, 0 for who is not in
    sums     (variants, p, p), its lower half
    """
    people, p = columns.shape
    low = np.uint64(0x5555555555555555)
    for v in range(block.shape[0]):
        for first in range(0, block.shape[1], 8):
            held = word(block.ctypes.data + v * block.strides[0] + first, block.shape[1] - first)
            missing = held & ~(held >> np.uint64(1)) & low
            while missing:
                person = 4 * first + np.int64(vectors.first_one(missing) >> np.uint64(1))
                missing &= missing - np.uint64(1)
                if person < people:
                    for r in range(p):
                        for c in range(r + 1):
                            sums[v, r, c] += columns[person, r] * columns[person, c]
