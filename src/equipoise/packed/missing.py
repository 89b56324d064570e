"""How many variants each person is not called at."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block, check

_LOW: Final = np.uint8(0b01010101)
_MOST: Final = 255
"""As many ones as a byte can count."""


def missing_counts(block: Block, n_samples: int) -> NDArray[np.int64]:
    """Return how many variants of the block each person is not called at, (samples,).

    Nothing is decoded: the code of a missing call is the only one whose low bit stands alone.

    >>> missing_counts(np.array([[0b11100100], [0b01000100]], np.uint8), 4)
    array([0, 2, 0, 1])
    """
    check(block, n_samples)
    missing = block & ~(block >> np.uint8(1)) & _LOW
    total = np.zeros((block.shape[1], 4), np.int64)
    for lane in range(4) if missing.any() else ():
        ones = missing >> np.uint8(2 * lane) & np.uint8(1)
        for start in range(0, len(ones), _MOST):
            total[:, lane] += ones[start : start + _MOST].sum(axis=0, dtype=np.uint8)
    return total.reshape(-1)[:n_samples]
