"""Products between variants, G'G, from packed genotypes: exact whole numbers."""

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block
from equipoise.packed.product import Of, multiply_rows, rows_of


def gram(
    left: Block,
    right: Block,
    n_samples: int,
    keep: NDArray[np.bool_] | None = None,
    of: tuple[Of, Of] = ("dosage", "dosage"),
) -> NDArray[np.int64]:
    """Return the sums over people of one genotype times another, (left, right).

    `of` says what of each is multiplied (see `packed.product`): dosages are 0 where not
    called, so that products of "dosage" and "not called" give the terms that imputation
    by a mean adds. `keep` is a mask over samples; None keeps everybody.

    >>> block = np.array([[0b11100100], [0b00000000]], np.uint8)
    >>> gram(block, block, 4)
    array([[ 5,  6],
           [ 6, 16]])
    >>> gram(block, block, 4, of=("not called", "dosage"))
    array([[0, 2],
           [0, 0]])
    """
    rows = rows_of(right, n_samples, keep, of[1])
    return multiply_rows(left, rows, n_samples, of[0])[:, : len(right)]
