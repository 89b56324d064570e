"""Correlations of genotypes by LD block, free of covariates, from sums."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.block_moments import BlockMoments

Array = NDArray[np.float64]

LEAST_SHARE: Final = 1e-9
"""Of g'g about its mean: what covariates must leave of it, else the variant is one of them."""

LEAST_VARIANCE: Final = 1e-6
"""Of g'g about its mean: below it nobody differs. One copy in n people leaves nearly 1."""

_ALIKE: Final = 1e-10
"""Covariates whose correlations have an eigenvalue below this say the same twice."""


@dataclass(frozen=True, slots=True)
class BlockCorrelations:
    """One stratum, standardised after its covariates are projected out.

    people           n, or the sum of weights
    genotypes        per block (b, b) R, the diagonal 1, or 0 where a variant is not usable
    trait            (variants,) r, correlations with the trait; 0 where not usable
    deviation        (variants,) standard deviation of the dosage; 0 where not usable
    trait_deviation  that of the trait
    usable           (variants,) False where the variant does not vary in this stratum
    starts           (blocks + 1,) where blocks begin among variants
    """

    people: float
    genotypes: tuple[Array, ...]
    trait: Array
    deviation: Array
    trait_deviation: float
    usable: NDArray[np.bool_]
    starts: NDArray[np.int64]

    def allelic(self, standardised: Array) -> Array:
        """Return weights per copy of the effect allele in units of the trait, (variants, ...)."""
        scale = np.zeros_like(self.deviation)
        scale[self.usable] = self.trait_deviation / self.deviation[self.usable]
        return standardised * scale.reshape(-1, *[1] * (standardised.ndim - 1))


def correlations(moments: BlockMoments) -> BlockCorrelations:
    """Return the correlations of genotypes by block and with the trait.

    With C the covariates, g'h~ = g'h - g'C (C'C)^-1 C'h is taken for every pair (Frisch and
    Waugh 1933, doi:10.2307/1907330), then R = g'h~ / sqrt(g'g~ h'h~). Covariates that say
    the same twice count once. ValueError where the covariates leave nothing of the trait.

    >>> from equipoise.solvers.block_moments import moments_of_rows
    >>> rows = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> made = moments_of_rows(rows, np.ones((3, 1)), np.array([1.0, 2.0, 3.0]), np.array([0, 2]))
    >>> found = correlations(made)
    >>> found.trait.round(9).tolist(), found.usable.tolist()
    ([1.0, 0.0], [True, False])
    """
    inverse = _inverse(moments.covariates)
    cg, n = moments.genotype_covariates, moments.people
    left = float(moments.trait[1] - moments.covariates_trait @ inverse @ moments.covariates_trait)
    if not left > LEAST_SHARE * float(moments.trait[1]):
        raise ValueError("covariates leave nothing of the trait; expected a trait that varies")
    score = moments.genotype_trait - cg @ (inverse @ moments.covariates_trait)
    squares = np.concatenate([np.diagonal(gram) for gram in moments.genotypes])
    variance = squares - np.einsum("vc,cd,vd->v", cg, inverse, cg)
    usable = _varies(squares - cg[:, 0] ** 2 / n, variance)
    size = np.where(usable, np.sqrt(np.where(usable, variance, 1.0)), 0.0)
    blocks: list[Array] = []
    for i, gram in enumerate(moments.genotypes):
        part = slice(int(moments.starts[i]), int(moments.starts[i + 1]))
        blocks.append(_standardised(gram - cg[part] @ inverse @ cg[part].T, size[part]))
    r = np.where(usable, score / np.where(usable, size, 1.0), 0.0) / np.sqrt(left)
    deviation = size / np.sqrt(n)
    return BlockCorrelations(
        n, tuple(blocks), r, deviation, float(np.sqrt(left / n)), usable, moments.starts
    )


def _varies(centred: Array, left: Array) -> NDArray[np.bool_]:
    return (centred > LEAST_VARIANCE) & (left > LEAST_SHARE * centred)


def _inverse(cc: Array) -> Array:
    """Return (C'C)^-1, or where columns say the same twice, that of what they span."""
    size = np.sqrt(np.diagonal(cc))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    values, vectors = np.linalg.eigh(cc * np.outer(scale, scale))
    kept = values > _ALIKE
    spanned = vectors[:, kept] / np.sqrt(values[kept])
    held = scale[:, None] * spanned
    return np.asarray(held @ held.T, np.float64)


def _standardised(gram: Array, size: Array) -> Array:
    """Return R of g'h~; rows and columns of size 0 are 0."""
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    found = gram * np.outer(scale, scale)
    found = np.minimum(np.maximum((found + found.T) / 2, -1.0), 1.0)
    np.fill_diagonal(found, (size > 0).astype(np.float64))
    return np.asarray(found, np.float64)


@dataclass(frozen=True, slots=True)
class Residuals:
    """Sums over a stratum's people of what a score leaves of the trait, e = y - score.

    covariates  (c,) C'e
    genotypes   (variants,) G'e
    """

    covariates: Array
    genotypes: Array


def refined(
    stratum: BlockCorrelations, moments: BlockMoments, residuals: Residuals, weights: Array
) -> BlockCorrelations:
    """Return a stratum's correlations with the trait, free of what other blocks explain of it.

    weights  (variants,) of the score, per copy of the effect allele

    A fit by blocks leaves out correlations between blocks, so each block's r has the noise of the
    whole trait. With b the score's standardised weights and e its residuals, free of covariates,

        r + (R_blocks - R) b = G'e / (n s s_y) + R_blocks b

    so that one more column of G'G, the one of a public score, gives each block the trait less
    what the score says of it in other blocks. A fit that comes back to b is that of all variants
    together, correlations between blocks included.
    """
    inverse = _inverse(moments.covariates)
    score = residuals.genotypes - moments.genotype_covariates @ (inverse @ residuals.covariates)
    size = np.where(stratum.usable, stratum.deviation, 1.0)
    left = score / (stratum.people * size * stratum.trait_deviation)
    b = weights * stratum.deviation / stratum.trait_deviation
    own = [
        block @ b[int(stratum.starts[i]) : int(stratum.starts[i + 1])]
        for i, block in enumerate(stratum.genotypes)
    ]
    return replace(stratum, trait=np.where(stratum.usable, left + np.concatenate(own), 0.0))


def pooled(strata: Sequence[BlockCorrelations]) -> BlockCorrelations:
    """Return the correlations of all strata's people as one, each about its own covariates.

    A variant that does not vary in one stratum varies in the pool if it does in another.
    Projected sums are added, so each stratum keeps a mean, and covariate effects, of its own.
    """
    first = strata[0]
    square = sum(s.people * s.trait_deviation**2 for s in strata)
    people = sum(s.people for s in strata)
    variance = sum((s.people * s.deviation**2 for s in strata), np.zeros_like(first.trait))
    score = sum(
        (s.people * s.trait_deviation * s.deviation * s.trait for s in strata),
        np.zeros_like(first.trait),
    )
    usable = np.logical_or.reduce([s.usable for s in strata])
    size = np.sqrt(variance)
    blocks: list[Array] = []
    for i in range(len(first.genotypes)):
        part = slice(int(first.starts[i]), int(first.starts[i + 1]))
        gram = sum(
            (s.people * s.genotypes[i] * np.outer(s.deviation[part], s.deviation[part]))
            for s in strata
        )
        blocks.append(_standardised(np.asarray(gram, np.float64), size[part]))
    r = np.where(usable, score / np.where(usable, size, 1.0), 0.0) / np.sqrt(square)
    trait_deviation = float(np.sqrt(square / people))
    deviation = size / np.sqrt(people)
    return BlockCorrelations(
        people, tuple(blocks), r, deviation, trait_deviation, usable, first.starts
    )


def borrowed(own: BlockCorrelations, reference: BlockCorrelations) -> BlockCorrelations:
    """Return a stratum whose correlations of genotypes are those of a reference.

    For strata too small to release their own. Correlations with the trait and deviations stay
    their own; a variant must vary in both. ValueError for other blocks.
    """
    if not np.array_equal(own.starts, reference.starts):
        raise ValueError("a reference of other LD blocks; expected those of the stratum")
    usable = own.usable & reference.usable
    kept: list[Array] = []
    for i, block in enumerate(reference.genotypes):
        part = usable[int(own.starts[i]) : int(own.starts[i + 1])]
        kept.append(np.where(np.outer(part, part), block, 0.0))
    return replace(
        own,
        genotypes=tuple(kept),
        trait=np.where(usable, own.trait, 0.0),
        deviation=np.where(usable, own.deviation, 0.0),
        usable=usable,
    )
