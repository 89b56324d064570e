"""In how many variants two people have the same genotype."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block, decode

NOT_CALLED: Final = np.int8(-1)


def calls(block: Block, n_samples: int) -> NDArray[np.int8]:
    """Return the copies of A1, (variants, samples), -1 where not called.

    >>> calls(np.array([[0b11100100]], np.uint8), 4)
    array([[ 2, -1,  1,  0]], dtype=int8)
    """
    return np.nan_to_num(decode(block, n_samples, np.float32), nan=-1.0).astype(np.int8)


def shared(
    left: NDArray[np.int8], right: NDArray[np.int8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return in how many variants each pair has one genotype, and in how many both are called.

    Both arrays are (people on the left, people on the right); the arguments are (variants,
    people), as from `calls`. Products of indicators, exact below 2**24 variants.

    >>> same, both = shared(np.array([[0], [2], [1]], np.int8), np.array([[0], [1], [-1]], np.int8))
    >>> same, both
    (array([[1]]), array([[2]]))
    """
    if len(left) != len(right):
        raise ValueError(f"{len(left)} variants on the left, {len(right)} on the right")
    same = np.zeros((left.shape[1], right.shape[1]), np.float32)
    for genotype in (0, 1, 2):
        same += _where(left == genotype).T @ _where(right == genotype)
    both = _where(left != NOT_CALLED).T @ _where(right != NOT_CALLED)
    return same.astype(np.int64), both.astype(np.int64)


def _where(chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    return chosen.astype(np.float32)
