"""Compiled loops of `packed/cell_sums.py`: what numba turns into machine code, without types.

Each takes rows that are contiguous in themselves, and writes into an array it is given.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.native import Late, native
from equipoise.packed.processor import ROWS, VARIANTS

vectors: Any = Late("equipoise.packed.vectors")

LEFT_AT_ONCE = 2 * VARIANTS
"""Rows of the left that are held in the first cache."""

PEOPLE_AT_ONCE = 2048
"""People of them."""


def room_for(n_right: int) -> NDArray[np.int32]:
    """Return the room that `add_products` works in: a sum for each pair of rows."""
    return np.empty((LEFT_AT_ONCE, n_right), np.int32)


@native("uint8[:,:]", "int32[:]", "int64", "uint8[:,:]", "uint8[:]")
def gather(block: Any, places: Any, of: Any, rows: Any, room: Any) -> None:
    """Write the people of a block in another order, a byte each, (variants, people).

    of    0 the dosage, 2 not called
    room  (4 * bytes of a variant + LANES,) the last are 0, for who is nobody
    """
    size = block.shape[1]
    for v in range(block.shape[0]):
        source = block.ctypes.data + v * block.strides[0]
        if of == 0:
            vectors.unpack_dosage(source, size, room.ctypes.data)
        else:
            vectors.unpack_not_called(source, size, room.ctypes.data)
        for i in range(places.shape[0]):
            rows[v, i] = room[places[i]]


@native("uint8[:,:]", "int8[:,:]", "int64[:]", "int64", "int64[:,:,:]", "int32[:,:]")
def add_products(left: Any, right: Any, edges: Any, upper: Any, sums: Any, out: Any) -> None:
    """Add the products of left with right rows in each cell, (cells, left, right).

    left   rows up to a multiple of LEFT_AT_ONCE, dosages
    right  rows up to a multiple of ROWS
    upper  whether pairs below the diagonal are left out
    """
    t, n_right = sums.shape[1], (sums.shape[2] + ROWS - 1) // ROWS * ROWS
    l_stride, r_stride = left.strides[0], right.strides[0]
    for c in range(edges.shape[0] - 1):
        for v0 in range(0, t, LEFT_AT_ONCE):
            r0 = v0 if upper else 0
            out[:, r0:n_right] = 0
            for first in range(edges[c], edges[c + 1], PEOPLE_AT_ONCE):
                people = min(PEOPLE_AT_ONCE, edges[c + 1] - first)
                for r in range(r0, n_right, ROWS):
                    other = right.ctypes.data + r * r_stride + first
                    for h in range(0, min(LEFT_AT_ONCE, t - v0), VARIANTS):
                        own = left.ctypes.data + (v0 + h) * l_stride + first
                        place = out.ctypes.data + h * out.strides[0] + 4 * r
                        vectors.dot(own, l_stride, other, r_stride, people, place, out.strides[0])
            for h in range(min(LEFT_AT_ONCE, t - v0)):
                for r in range(v0 + h if upper else 0, sums.shape[2]):
                    sums[c, v0 + h, r] += out[h, r]


@native("int64[:,:,:]", "int64[:]", "int64[:]", "int64[:,:,:]")
def add_digits(sums: Any, column: Any, shift: Any, whole: Any) -> None:
    """Add digits to the numbers that they are of, (cells, rows, columns)."""
    for c in range(whole.shape[0]):
        for v in range(whole.shape[1]):
            for r in range(column.shape[0]):
                whole[c, v, column[r]] += sums[c, v, r] << shift[r]


@native("int64[:,:,:]", "int64[:,:,:]", "int64[:]", "float64[:]", "float64[:,:]")
def impute_triangle(sums: Any, cross: Any, place: Any, mean: Any, found: Any) -> None:
    """Write upper triangles, (cells, variants (variants + 1) / 2), missing calls as the mean.

    sums   (cells, variants, variants) upper triangles of dosages
    cross  (cells, variants + M, M) of dosages, then of not called, with not called
    place  (variants,) which of the M is the variant's, -1 where everybody is called
    """
    b = mean.shape[0]
    for c in range(sums.shape[0]):
        k = 0
        for i in range(b):
            for j in range(i, b):
                value = float(sums[c, i, j])
                if place[j] >= 0:
                    value += mean[j] * cross[c, i, place[j]]
                if place[i] >= 0:
                    value += mean[i] * cross[c, j, place[i]]
                    if place[j] >= 0:
                        value += mean[i] * mean[j] * cross[c, b + place[i], place[j]]
                found[c, k] = value
                k += 1


@native("float64[:]", "float64[:,:]")
def unfold(triangle: Any, matrix: Any) -> None:
    """Write the symmetric matrix of an upper triangle, row by row."""
    k = 0
    for i in range(matrix.shape[0]):
        for j in range(i, matrix.shape[0]):
            matrix[i, j] = triangle[k]
            matrix[j, i] = triangle[k]
            k += 1
