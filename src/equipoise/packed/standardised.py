"""Products of standardised genotypes with a few columns, tile by tile in single precision.

A genotype g counts (g - 2p) / sqrt(2p(1 - p)), and 0 where it is not called. A tile is small
enough to stay in the processor's cache between decoding and multiplying; products of a tile
add up in float32, and those of tiles in float64. The relative error
is about 2**-22, and depends on how people are spread over sites: for sums that have to be
exact there is `packed.product`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block, valued

VARIANTS: Final = 64
PEOPLE: Final = 2**12
"""Of a tile: a megabyte. A multiple of four, since four people share a byte."""


def values_of(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each code stands for, (variants, 4), given the mean dosages 2p.

    `mean` lies between 0 and 2, both excluded.

    >>> values_of(np.array([1.0]))
    array([[ 1.41421356,  0.        ,  0.        , -1.41421356]])
    """
    scale = 1 / np.sqrt(mean * (1 - mean / 2))
    called = (np.array([2.0, 0.0, 1.0, 0.0]) - mean[:, None]) * scale[:, None]
    called[:, 1] = 0.0
    return called


def standardise(dosage: NDArray[np.floating], mean: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return dosages, (variants, samples), standardised in the same way; NaN becomes 0."""
    x = (dosage - mean[:, None]) / np.sqrt(mean * (1 - mean / 2))[:, None]
    return np.nan_to_num(x, copy=False).astype(np.float32)


def scores(
    block: Block, n_samples: int, values: NDArray[np.float64], columns: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the sums over variants of genotype times each column, (columns, samples).

    columns  (variants, columns)
    """
    total = np.zeros((columns.shape[1], n_samples))
    across = np.ascontiguousarray(columns.T)
    for first, last, part in _people(block, n_samples):
        for v in range(0, len(block), VARIANTS):
            tile = valued(
                part[v : v + VARIANTS], last - first, values[v : v + VARIANTS], np.float32
            )
            total[:, first:last] += across[:, v : v + VARIANTS] @ tile
    return total


def loadings(
    block: Block, n_samples: int, values: NDArray[np.float64], columns: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the sums over people of genotype times each column, (variants, columns).

    columns  (samples, columns)
    """
    total = np.zeros((len(block), columns.shape[1]))
    for first, last, part in _people(block, n_samples):
        for v in range(0, len(block), VARIANTS):
            tile = valued(
                part[v : v + VARIANTS], last - first, values[v : v + VARIANTS], np.float32
            )
            total[v : v + VARIANTS] += tile @ columns[first:last]
    return total


def _people(block: Block, n_samples: int) -> list[tuple[int, int, Block]]:
    """Return spans of people with their part of the block."""
    spans = ((s, min(s + PEOPLE, n_samples)) for s in range(0, n_samples, PEOPLE))
    return [(s, e, block[:, s // 4 : (e + 3) // 4]) for s, e in spans]
