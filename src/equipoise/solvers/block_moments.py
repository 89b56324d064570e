"""Sums of genotypes, covariates and a trait by LD block: what a risk model is fitted from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BlockMoments:
    """Sums over one stratum's people, by LD block.

    Dosages are of the effect allele, missing ones as the global mean.

    people                n, or the sum of weights
    trait                 (2,) sum of y, sum of y^2
    covariates            (c, c) C'C, the first column of C is ones
    covariates_trait      (c,) C'y
    genotype_covariates   (variants, c) G'C, so its first column is the sum of g
    genotype_trait        (variants,) G'y
    genotypes             per block (b, b) G'G, symmetric
    starts                (blocks + 1,) where blocks begin among variants
    """

    people: float
    trait: Array
    covariates: Array
    covariates_trait: Array
    genotype_covariates: Array
    genotype_trait: Array
    genotypes: tuple[Array, ...]
    starts: NDArray[np.int64]

    def __add__(self, other: "BlockMoments") -> "BlockMoments":
        """Return the sums over both sets of people; ValueError for other variants or blocks.

        >>> one = moments_of_rows(np.eye(2), np.ones((2, 1)), np.ones(2), np.array([0, 2]))
        >>> (one + one).people, ((one + one) - one).trait.tolist()
        (4.0, [2.0, 2.0])
        """
        return _joined(self, other, np.add)

    def __sub__(self, other: "BlockMoments") -> "BlockMoments":
        """Return the sums without those of `other`, a fold of the same people."""
        return _joined(self, other, np.subtract)


def _joined(
    one: BlockMoments, other: BlockMoments, how: Callable[[Array, Array], Array]
) -> BlockMoments:
    if not np.array_equal(one.starts, other.starts):
        raise ValueError("moments of other LD blocks; expected both over the same variants")
    if one.covariates.shape != other.covariates.shape:
        raise ValueError("moments with other covariates; expected the same columns in both")
    return BlockMoments(
        float(how(np.array(one.people), np.array(other.people))),
        how(one.trait, other.trait),
        how(one.covariates, other.covariates),
        how(one.covariates_trait, other.covariates_trait),
        how(one.genotype_covariates, other.genotype_covariates),
        how(one.genotype_trait, other.genotype_trait),
        tuple(how(a, b) for a, b in zip(one.genotypes, other.genotypes, strict=True)),
        one.starts,
    )


def moments_of_rows(
    dosage: Array, covariates: Array, trait: Array, starts: NDArray[np.int64]
) -> BlockMoments:
    """Return the sums over people whose rows are at hand.

    dosage      (people, variants), none missing
    covariates  (people, c), the first column ones
    trait       (people,)
    starts      (blocks + 1,) from 0 to the number of variants
    """
    bounds = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    return BlockMoments(
        float(len(trait)),
        np.array([trait.sum(), trait @ trait]),
        covariates.T @ covariates,
        covariates.T @ trait,
        dosage.T @ covariates,
        dosage.T @ trait,
        tuple(dosage[:, a:b].T @ dosage[:, a:b] for a, b in bounds),
        starts,
    )
