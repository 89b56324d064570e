"""Sums by cell straight from packed genotypes: G'G of a block and G'B, exact whole numbers.

A variant is unpacked and its people are put in the order of their cells (`packed/cells.py`);
then the processor's dot product of bytes multiplies, as in `packed/product.py`. A processor
without it multiplies the same bytes as float32, in pieces small enough to be exact.

Imputation by a mean adds products of who is not called with everything else. Those are taken,
as exactly, over the people who lack a call in the block: with few missing they are few.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.cell_loops import (
    LEFT_AT_ONCE,
    add_digits,
    add_products,
    gather,
    impute_triangle,
    room_for,
)
from equipoise.packed.cells import WEIGHT_BITS, CellColumns, Cells, Piece, few, room
from equipoise.packed.decode import Block, check
from equipoise.packed.processor import LANES, byte_products

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


def cell_sums(
    block: Block,
    cells: Cells,
    columns: CellColumns,
    mean: Array,
    used: NDArray[np.bool_],
    linkage: bool = True,
) -> tuple[Array, Array]:
    """Return G'G and G'B of one block in every cell, missing calls as `mean`, (variants,).

    G'G is its upper triangle row by row, (strata, cells, variants (variants + 1) / 2), in units
    of the weights' and of their number of sets, 1 where there are no weights; its diagonal
    alone, (strata, cells, variants), without `linkage`. G'B is (strata, cells, variants,
    columns). Variants that are not `used` are 0. ValueError for blocks of other people.

    >>> from equipoise.packed.cells import cells_of, columns_of
    >>> block = np.array([[0b11100100], [0b00000000]], np.uint8)
    >>> cells = cells_of(4, np.arange(4), np.array([0, 0, 1, 1]), 2)
    >>> ones = columns_of(cells, np.ones((4, 1), np.int64), np.ones(1))
    >>> gram, sums = cell_sums(block, cells, ones, np.array([1.0, 2.0]), np.array([True, True]))
    >>> gram[0]
    array([[5., 6., 8.],
           [1., 2., 8.]])
    >>> sums[0, :, :, 0]
    array([[3., 4.],
           [1., 4.]])
    """
    check(block, cells.n_samples)
    bits = block & ~(block >> np.uint8(1)) & cells.mask
    lacking = np.flatnonzero(bits.any(axis=1) & used)
    filled = np.where(used, np.nan_to_num(mean), 0.0)
    gram, whole = _of_dosages(block, cells, columns, used, linkage)
    who = np.bitwise_or.reduce(bits[lacking], axis=0)
    cross, missing = _of_missing(block, cells, columns, used, (lacking, who), linkage)
    sums = whole * columns.grid
    sums[:, lacking] += filled[lacking, None] * (missing * columns.grid)
    strata = max(columns.strata, 1)
    by_stratum = sums.reshape(cells.n, len(block), strata, len(columns.grid) // strata)
    products = by_stratum.transpose(2, 0, 1, 3)
    if not linkage:
        squares = gram.astype(np.float64)
        squares[..., lacking] += filled[lacking] ** 2 * cross
        return squares, products
    place = np.full(len(block), -1, np.int64)
    place[lacking] = np.arange(len(lacking))
    flat = strata * cells.n
    found = np.empty((flat, len(block) * (len(block) + 1) // 2))
    grams, crosses = (x.reshape(flat, *x.shape[2:]) for x in (gram, cross))
    impute_triangle(grams, crosses, place, filled, found)
    return found.reshape(strata, cells.n, -1), products


def _of_dosages(
    block: Block, cells: Cells, columns: CellColumns, used: NDArray[np.bool_], linkage: bool
) -> tuple[Whole, Whole]:
    """Return G'G, upper triangles in (strata, cells, b, b) or diagonals, and G'B in whole units."""
    strata, b = max(columns.strata, 1), len(block)
    gram = np.zeros((strata, cells.n, b, b) if linkage else (strata, cells.n, b), np.int64)
    whole = np.zeros((cells.n, b, len(columns.grid)), np.int64)
    for i, piece in enumerate(cells.pieces):
        if piece.edges[-1]:  # the vector loops begin without asking
            rows = _unpacked(block, piece, used, np.zeros(0, np.int64))
            _add_columns(rows, columns.digits[i], columns, piece.edges, whole)
            if linkage:
                _add_weighted(rows, rows, columns.planes[i], piece.edges, gram, upper=True)
            else:
                _add_squares(rows, columns.planes[i], piece.edges, gram)
    return gram, whole


def _of_missing(
    block: Block,
    cells: Cells,
    columns: CellColumns,
    used: NDArray[np.bool_],
    lacking: tuple[Whole, NDArray[np.uint8]],
    linkage: bool,
) -> tuple[Whole, Whole]:
    """Return the products of who is not called with what they are multiplied with.

    `lacking` are the M variants that lack calls, and who lacks any. With dosages and then with
    not called, (strata, cells, b + M, M), or with themselves, (strata, cells, M); and with
    columns, (cells, M, columns).
    """
    strata, b, m = max(columns.strata, 1), len(block), len(lacking[0])
    shape = (strata, cells.n, b + m, m) if linkage else (strata, cells.n, m)
    cross = np.zeros(shape, np.int64)
    whole = np.zeros((cells.n, m, len(columns.grid)), np.int64)
    for i, piece in enumerate(cells.pieces if m else ()):
        part, found = few(piece, lacking[1][piece.first : piece.last])
        if part.edges[-1]:
            rows = _unpacked(block, part, used, lacking[0])
            planes = np.ascontiguousarray(columns.planes[i][..., found])
            digits = room(len(columns.digits[i]), len(found)).view(np.int8)
            np.take(columns.digits[i], found, axis=1, out=digits)
            _add_columns(rows[b:], digits, columns, part.edges, whole)
            if linkage:
                _add_weighted(rows, rows[b:], planes, part.edges, cross, upper=False)
            else:
                _add_squares(rows[b:], planes, part.edges, cross)
    return cross, whole


def _unpacked(
    block: Block, piece: Piece, used: NDArray[np.bool_], lacking: Whole
) -> NDArray[np.uint8]:
    """Return dosages in the order of cells, then who is not called of the variants `lacking`.

    More rows follow, so many that the loops may read whole tiles from either on.
    """
    size, b, t = piece.last - piece.first, len(block), len(block) + len(lacking)
    part = np.zeros((b, -(-size // LANES) * LANES), np.uint8)
    part[:, :size] = block[:, piece.first : piece.last]
    rows = room(t + 2 * LEFT_AT_ONCE, len(piece.people))
    rows[t:] = 0
    if byte_products():
        held = np.zeros(4 * part.shape[1] + LANES, np.uint8)
        gather(part, piece.places, 0, rows[:b], held)
        gather(np.ascontiguousarray(part[lacking]), piece.places, 2, rows[b:t], held)
    else:
        _looked_up(part, piece, lacking, rows)
    rows[:b][~used] = 0
    return rows


def _looked_up(part: Block, piece: Piece, lacking: Whole, rows: NDArray[np.uint8]) -> None:
    """Do what `gather` does, without vectors."""
    inside = np.where(piece.people < 0, 0, piece.people - 4 * piece.first)
    for v, source in enumerate([*part, *part[lacking]]):
        codes = source[inside // 4] >> (2 * (inside % 4)).astype(np.uint8) & np.uint8(3)
        of = (2, 0, 1, 0) if v < len(part) else (0, 1, 0, 0)
        rows[v] = np.where(piece.people < 0, 0, np.array(of, np.uint8)[codes])


def _add_columns(
    rows: NDArray[np.uint8],
    digits: NDArray[np.int8],
    columns: CellColumns,
    edges: Whole,
    whole: Whole,
) -> None:
    found = np.zeros((*whole.shape[:2], len(digits)), np.int64)
    _add(rows, digits, edges, found, upper=False)
    add_digits(found, columns.column, columns.shift, whole)


def _add_weighted(
    left: NDArray[np.uint8],
    right: NDArray[np.uint8],
    planes: NDArray[np.int8],
    edges: Whole,
    sums: Whole,
    *,
    upper: bool,
) -> None:
    """Add the products of rows with rows, once or by each set of weights."""
    if not len(planes):
        _add(left, right.view(np.int8), edges, sums[0], upper=upper)
        return
    weighted = room(*right.shape).view(np.int8)
    for own, bits in zip(sums, planes, strict=True):
        for raised, plane in enumerate(bits):
            np.multiply(right.view(np.int8), plane, out=weighted)
            found = np.zeros_like(own)
            _add(left, weighted, edges, found, upper=upper)
            np.add(own, found << (WEIGHT_BITS * raised), out=own)


def _add_squares(
    rows: NDArray[np.uint8], planes: NDArray[np.int8], edges: Whole, sums: Whole
) -> None:
    """Add the sums of squares, (strata, cells, rows)."""
    squares = rows[: sums.shape[2]].astype(np.int64) ** 2
    weights = np.ones((1, squares.shape[1]), np.int64)
    if len(planes):
        raised = np.array([1 << WEIGHT_BITS * p for p in range(planes.shape[1])], np.int64)
        weights = np.einsum("spi,p->si", planes.astype(np.int64), raised)
    for c, (start, stop) in enumerate(pairwise(edges.tolist())):
        sums[:, c] += weights[:, start:stop] @ squares[:, start:stop].T


def _add(
    left: NDArray[np.uint8], right: NDArray[np.int8], edges: Whole, sums: Whole, *, upper: bool
) -> None:
    """Add the products of rows with rows in every cell, (cells, left, right)."""
    if byte_products():
        add_products(left, right, edges, int(upper), sums, room_for(len(right)))
        return
    t, r = sums.shape[1:]
    for c, (start, stop) in enumerate(pairwise(edges.tolist())):
        one, other = left[:t, start:stop], right[:r, start:stop]
        sums[c] += (one.astype(np.float32) @ other.astype(np.float32).T).astype(np.int64)
