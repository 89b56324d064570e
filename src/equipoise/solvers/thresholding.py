"""Clumping and thresholding from summed moments: the simplest polygenic score.

Within an LD block, variants are taken from the least p value on; those in LD with one that was
taken are dropped (Purcell et al. 2009, doi:10.1038/nature08185). Candidates keep the variants
below each threshold with their effects in a regression on one variant at a time.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.block_correlations import BlockCorrelations
from equipoise.solvers.distributions import normal_quantile
from equipoise.solvers.sparse_weights import SparseWeights, sparse

Array = NDArray[np.float64]

P_VALUES: Final = (5e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 5e-2, 1e-1, 5e-1)
MOST_R2: Final = 0.1


def clumped(stratum: BlockCorrelations, most_r2: float = MOST_R2) -> NDArray[np.bool_]:
    """Return which variants are left when each block is clumped, (variants,).

    Of those taken no two of a block have a squared correlation above `most_r2`. Ties of |r| go
    to the first.
    """
    found = np.zeros(len(stratum.trait), np.bool_)
    for i, block in enumerate(stratum.genotypes):
        first = int(stratum.starts[i])
        size = np.abs(stratum.trait[first : first + len(block)])
        free = stratum.usable[first : first + len(block)].copy()
        for j in np.argsort(-size, kind="stable").tolist():
            if free[j]:
                found[first + j] = True
                free &= block[j] ** 2 <= most_r2
                free[j] = False
    return found


def thresholded(
    name: str,
    stratum: BlockCorrelations,
    p_values: Sequence[float] = P_VALUES,
    most_r2: float = MOST_R2,
) -> SparseWeights:
    """Return a candidate for each p value, per copy of the effect allele.

    A p value is that of r sqrt(n / (1 - r^2)) as a normal deviate.
    """
    left = np.maximum(1 - stratum.trait**2, np.finfo(np.float64).eps)
    deviate = np.abs(stratum.trait) * np.sqrt(stratum.people / left)
    kept = clumped(stratum, most_r2)
    least = np.array([normal_quantile(p / 2) for p in p_values])
    held = (kept[:, None] & (deviate[:, None] >= least)) * stratum.trait[:, None]
    labels = [f"{name}: clumped, p < {p:g}" for p in p_values]
    return sparse([stratum.allelic(held)], labels)
