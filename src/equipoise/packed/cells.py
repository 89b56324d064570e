"""People by cell, and columns of theirs, ready for sums over blocks of genotypes.

Each person is in one cell (a stratum of ancestry and a fold, say) or in none. People are put in
the order of their cells, each filled up to whole vectors, so that sums in all cells together
cost little more than those over everybody (`packed/cell_sums.py`).
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import width
from equipoise.packed.processor import LANES, ROWS

PEOPLE_AT_ONCE: Final = 1 << 16
"""People of a piece: with so many, products of 2 by 128 add up exactly in float32."""

WEIGHT_BITS: Final = 5
"""Bits of a weight multiplied at a time: twice 31 is a signed byte."""

_GROUP: Final = 4 * LANES


@dataclass(frozen=True, slots=True)
class Cells:
    """Who is in which cell, ready for blocks of `n_samples` people; see `cells_of`.

    mask  (bytes of a variant,) the lower bit of everybody who is in a cell
    """

    n_samples: int
    n: int
    mask: NDArray[np.uint8] = field(repr=False)
    pieces: tuple["Piece", ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some people in the order of their cells.

    first, last  their bytes of a variant
    people       (size,) their places in the file, -1 where a cell is filled up to whole vectors
    places       (size,) where `gather` finds them
    edges        (cells + 1,) where the cells begin, whole vectors
    """

    first: int
    last: int
    people: NDArray[np.int64]
    places: NDArray[np.int32]
    edges: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CellColumns:
    """Columns of people and weights, ready to be multiplied by cell; see `columns_of`.

    digits   for each piece, (rows, size) signed bytes in the order of cells
    column   (rows,) whose digit a row is, and `shift` how many bits it is raised by
    grid     (columns,) powers of two
    planes   for each piece, (strata, planes, size) bits of weights, the lowest first
    strata   sets of weights; 0 where everybody counts once
    """

    digits: tuple[NDArray[np.int8], ...] = field(repr=False)
    column: NDArray[np.int64]
    shift: NDArray[np.int64]
    grid: NDArray[np.float64]
    planes: tuple[NDArray[np.int8], ...] = field(repr=False)
    strata: int


def cells_of(
    n_samples: int, rows: NDArray[np.int64], cell: NDArray[np.int64], n_cells: int
) -> Cells:
    """Return the people at `rows` of a file, in the cells (people,) from 0; -1 is none."""
    of = np.full(n_samples, -1, np.int64)
    of[rows] = cell
    bounds = range(0, n_samples, PEOPLE_AT_ONCE)
    pieces = (_piece(of[s : s + PEOPLE_AT_ONCE], s, n_cells) for s in bounds)
    there = np.zeros(4 * width(n_samples), np.uint8)
    there[:n_samples] = of >= 0
    quads = there.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)
    mask = quads.sum(axis=1, dtype=np.uint8)
    return Cells(n_samples, n_cells, mask, tuple(pieces))


def _piece(of: NDArray[np.int64], start: int, n_cells: int) -> Piece:
    size = np.bincount(of[of >= 0], minlength=n_cells)
    edges, wide = _edges(size)
    people = np.full(wide, -1, np.int64)
    for c in range(n_cells):
        people[edges[c] : edges[c] + size[c]] = np.flatnonzero(of == c)
    held = width(len(of))
    nobody = 4 * (-(-held // LANES) * LANES)
    unpacked = people // _GROUP * _GROUP + people % 4 * LANES + people % _GROUP // 4
    places = np.where(people < 0, nobody, unpacked).astype(np.int32)
    people = np.where(people < 0, -1, people + start)
    return Piece(start // 4, start // 4 + held, people, places, edges)


def columns_of(
    cells: Cells,
    whole: NDArray[np.int64],
    grid: NDArray[np.float64],
    weights: NDArray[np.int64] | None = None,
) -> CellColumns:
    """Return columns for `cell_sums`.

    whole    (samples, columns) in units of `grid`, below 2^31 in absolute value; see
             `packed.product.Columns`
    weights  (strata, samples) whole numbers from 0 to 2^10; each column is multiplied by the
             weights of each stratum, and so is G'G
    """
    if weights is None:
        digits, column, shift = _digits(whole.T)
        planes = np.zeros((0, 1, cells.n_samples), np.int8)
    else:
        if weights.min(initial=0) < 0 or weights.max(initial=0) > 1 << 2 * WEIGHT_BITS:
            raise ValueError("weights are from 0 to 2^10")
        by_stratum = weights[:, None] * whole.T[None]
        by_stratum = by_stratum.reshape(len(weights) * whole.shape[1], cells.n_samples)
        digits, column, shift = _digits(by_stratum)
        planes = _planes(weights)
    ordered = tuple(_ordered(digits, piece, ROWS) for piece in cells.pieces)
    bits = tuple(
        np.ascontiguousarray(np.where(p.people < 0, 0, planes[..., p.people])).astype(np.int8)
        for p in cells.pieces
    )
    strata = 0 if weights is None else len(weights)
    return CellColumns(ordered, column, shift, np.tile(grid, max(strata, 1)), bits, strata)


def _digits(
    whole: NDArray[np.int64],
) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
    """Return signed digits of base 256, those that are not 0 in everybody, and what they are."""
    rows: list[NDArray[np.int8]] = []
    of: list[tuple[int, int]] = []
    for column, numbers in enumerate(whole):
        left, place = numbers.copy(), 0
        while left.any():
            digit = ((left + 128) & 255) - 128
            if digit.any():
                rows.append(digit.astype(np.int8))
                of.append((column, 8 * place))
            left = (left - digit) >> 8
            place += 1
    named = np.array(of, np.int64).reshape(-1, 2)
    held = np.array(rows, np.int8).reshape(len(rows), whole.shape[1])
    return held, named[:, 0].copy(), named[:, 1].copy()


def _planes(weights: NDArray[np.int64]) -> NDArray[np.int8]:
    """Return weights as digits of base 32, the lowest first; the last goes to 32."""
    n = 1 if weights.max(initial=0) <= 1 << WEIGHT_BITS else 2
    planes = [weights & ((1 << WEIGHT_BITS) - 1), weights >> WEIGHT_BITS] if n == 2 else [weights]
    return np.stack(planes, axis=1).astype(np.int8)


def _ordered(rows: NDArray[np.int8], piece: Piece, multiple: int) -> NDArray[np.int8]:
    """Return rows over people in the order of a piece, and rows of zeros up to a multiple."""
    held = room(-(-len(rows) // multiple) * multiple, len(piece.people)).view(np.int8)
    held[:] = 0
    held[: len(rows)] = np.where(piece.people < 0, 0, rows[:, piece.people])
    return held


def few(piece: Piece, who: NDArray[np.uint8]) -> tuple[Piece, NDArray[np.int64]]:
    """Return those of a piece who have their lower bit in `who`, (bytes of the piece,).

    Beside them where each was, (size,); somewhere that nobody is, where a cell is filled up.
    """
    flags = (who[:, None] >> np.array([0, 2, 4, 6], np.uint8) & np.uint8(1)).ravel() > 0
    inside = np.where(piece.people < 0, 0, piece.people - 4 * piece.first)
    before = np.flatnonzero((piece.people >= 0) & flags[inside])
    cell = np.searchsorted(piece.edges, before, "right") - 1
    size = np.bincount(cell, minlength=len(piece.edges) - 1)
    edges, wide = _edges(size)
    place = edges[cell] + np.arange(len(before)) - (np.cumsum(size) - size)[cell]
    # The last of a piece is nobody.
    found = np.full(wide, len(piece.people) - 1, np.int64)
    found[place] = before
    people, places = piece.people[found], piece.places[found]
    return Piece(piece.first, piece.last, people, places, edges), found


def room(n: int, wide: int) -> NDArray[np.uint8]:
    """Return an array, not filled, whose rows begin at whole vectors."""
    held = np.empty(n * wide + LANES, np.uint8)
    first = -held.ctypes.data % LANES
    return held[first : first + n * wide].reshape(n, wide)


def _edges(size: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return where cells of such sizes begin, and how long rows over them are."""
    edges = np.concatenate([[0], np.cumsum(-(-size // LANES) * LANES)]).astype(np.int64)
    # An odd number of vectors: rows a power of two apart would fall on the same cache lines.
    return edges, int(edges[-1]) + LANES * (1 + int(edges[-1]) // LANES % 2)
