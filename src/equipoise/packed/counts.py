"""How many people carry which genotype, variant by variant."""

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block, check, people


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
    check(block, n_samples)
    chosen = people(n_samples, keep) & np.uint8(0b01010101)
    high, low = block >> np.uint8(1) & chosen, block & chosen
    a2, upper, lower = _bits(high & low), _bits(high), _bits(low)
    a1 = _bits(chosen[None]) - upper - lower + a2
    return np.stack((a1, upper - a2, a2, lower - a2), axis=1)


def _bits(block: Block) -> NDArray[np.int64]:
    return np.bitwise_count(block).sum(axis=1, dtype=np.int64)
