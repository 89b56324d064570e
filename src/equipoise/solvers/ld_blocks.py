"""Blocks of linkage disequilibrium: where a chromosome is cut so that least linkage is lost.

Of all ways to cut a row of variants into blocks of at most so many, the one with the largest
sum of squared correlations within blocks, hence the smallest between them, found by dynamic
programming (Privé 2022, doi:10.1093/bioinformatics/btab519). Of several equal ones, that with
the smallest sum of squared sizes, since that is what a block costs.

Departures: the number of blocks is not given but follows; there is no least size; and numbers
are whole multiples of a step, so that every machine finds the same blocks.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.native import native

STEP: Final = 2.0**-10
"""Squared correlations are rounded to multiples of this."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Blocks of variants.

    starts   (blocks + 1,) where each begins, and where the last ends
    cut      sum of squared correlations between blocks, as far as the window tells
    within   the same of pairs inside a block
    """

    starts: NDArray[np.int64]
    cut: float
    within: float


def ld_blocks(
    r2: NDArray[np.float64], most: int, segments: tuple[int, ...], least_r2: float = 0.0
) -> Cut:
    """Return the blocks.

    r2        (variants, window) squared correlation of each variant with the 1st, 2nd, ... after
              it; what reaches beyond a segment is left out
    most      variants of a block, at most
    segments  where chromosomes begin, and where the last ends: no block reaches over an edge
    least_r2  what is below counts as 0: correlations by chance, which no cut should follow

    ValueError for segments that do not run from 0 to the number of variants, or no variants in
    a block.

    >>> ld_blocks(np.array([[0.5], [0.1], [0.5], [0.0]]), 3, (0, 4)).starts
    array([0, 2, 4])
    """
    if most < 1 or segments[0] != 0 or segments[-1] != len(r2) or min(np.diff(segments)) < 0:
        raise ValueError(
            f"blocks of {most} variants, segments {segments[0]} to {segments[-1]} of {len(r2)}"
            " variants; expected at least one, and all variants in order"
        )
    kept = np.where(r2 >= least_r2, np.nan_to_num(r2), 0.0)
    steps = np.rint(kept / STEP).astype(np.int64)
    starts, within, total = [0], 0, 0
    for first, last in pairwise(segments):
        part = np.ascontiguousarray(steps[first:last])
        after = np.arange(1, r2.shape[1] + 1, dtype=np.int64)
        beyond = np.arange(first, last, dtype=np.int64)[:, None] + after >= last
        part = np.where(beyond, 0, part)
        ends, value = _best(part, most)
        starts += (first + ends).tolist()
        within += value
        total += int(part.sum())
    return Cut(np.array(starts, np.int64), (total - within) * STEP, within * STEP)


def joined(starts: NDArray[np.int64], least: int, segments: tuple[int, ...]) -> NDArray[np.int64]:
    """Return blocks with neighbours put together as long as they are no larger than `least`.

    Where little is linked, blocks are of one variant or two, and what each costs besides its
    variants is most of the work. No block reaches over the edge of a segment.

    >>> joined(np.array([0, 1, 2, 5, 6]), 3, (0, 6)).tolist()
    [0, 2, 5, 6]
    """
    edges = set(segments)
    kept = [0]
    for before, start in pairwise(starts.tolist()[1:]):
        if before in edges or start - kept[-1] > least:
            kept.append(before)
    return np.array([*kept, int(starts[-1])], np.int64)


def _best(band: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], int]:
    """Return where the blocks of one segment end, and the sum within them."""
    n = len(band)
    value, squares, back = (np.zeros(n + 1, np.int64) for _ in range(3))
    _search(np.ascontiguousarray(band), most, np.zeros(n, np.int64), value, squares, back)
    ends, end = list[int](), n
    while end > 0:
        ends.append(end)
        end = int(back[end])
    return np.array(ends[::-1], np.int64), int(value[n])


@native("int64[:,:]", "int64", "int64[:]", "int64[:]", "int64[:]", "int64[:]")
def _search(band: Any, most: Any, within: Any, value: Any, squares: Any, back: Any) -> None:
    """Write, for every number of first variants, the best sum, its squares and its last start.

    within  (n,) room for the sum inside a block from each start to the present variant
    """
    n, window = band.shape
    for j in range(n):
        with_before = 0
        for i in range(j, max(j - most, -1), -1):
            if i == j:
                within[i] = 0
            elif j - i <= window:
                with_before += band[i, j - i - 1]
            within[i] += with_before
            found = value[i] + within[i]
            size = squares[i] + (j + 1 - i) * (j + 1 - i)
            if i == j or found > value[j + 1] or (found == value[j + 1] and size < squares[j + 1]):
                value[j + 1] = found
                squares[j + 1] = size
                back[j + 1] = i
