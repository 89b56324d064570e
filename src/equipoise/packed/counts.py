"""How many people carry which genotype, variant by variant."""

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block, check, people, width
from equipoise.packed.loops import count
from equipoise.packed.processor import LANES


def genotype_counts(
    block: Block, n_samples: int, keep: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Return the numbers of hom A1, het, hom A2 and not called, (variants, 4).

    `keep` is a mask over samples; None keeps everybody. A bit is counted for each
    person, without decoding.

    >>> block = np.array([[0b11100100]], np.uint8)
    >>> genotype_counts(block, 4)
    array([[1, 1, 1, 1]])
    >>> genotype_counts(block, 4, np.array([True, False, True, True]))
    array([[1, 1, 1, 0]])
    """
    chosen = np.ones(n_samples, np.bool_) if keep is None else keep
    return cell_counts(block, n_samples, chosen[None])[0]


def cell_counts(block: Block, n_samples: int, cells: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the same for each of several sets of people, (cells, variants, 4).

    >>> block = np.array([[0b11100100]], np.uint8)
    >>> cell_counts(block, 4, np.array([[True, False, True, True], [False, True, False, True]]))
    array([[[1, 1, 1, 0]],
    <BLANKLINE>
           [[0, 0, 1, 1]]])
    """
    check(block, n_samples)
    masks = np.zeros((len(cells), -(-width(n_samples) // LANES) * LANES), np.uint8)
    for mask, cell in zip(masks, cells, strict=True):
        mask[: width(n_samples)] = people(n_samples, cell) & np.uint8(0b01010101)
    counts = np.zeros((len(cells), len(block), 4), np.int64)
    if block.size:
        count(np.ascontiguousarray(block), masks, np.zeros(LANES, np.uint8), counts)
    upper, lower, both = counts[..., 0], counts[..., 1], counts[..., 2]
    everybody = cells.sum(axis=1)[:, None]
    a1, het, missing = everybody - upper - lower + both, upper - both, lower - both
    return np.stack((a1, het, both, missing), axis=-1)
