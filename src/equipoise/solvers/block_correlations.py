"""Correlations of genotypes by LD block, free of covariates, from sums."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

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


class NothingVariesError(ValueError):
    """People in whom what should be explained, or explain, is the same in everybody."""


@dataclass(frozen=True, slots=True)
class BlockCorrelations:
    """One stratum, standardised after its covariates are projected out.

    people           n, or the sum of weights
    genotypes        per block (b, b) R, the diagonal 1, or 0 where a variant is not usable; of
                     4 or 8 bytes a value
    trait            (variants,) r, correlations with the trait; 0 where not usable
    deviation        (variants,) standard deviation of the dosage; 0 where not usable
    trait_deviation  that of the trait
    usable           (variants,) False where the variant does not vary in this stratum
    starts           (blocks + 1,) where blocks begin among variants
    """

    people: float
    genotypes: tuple[NDArray[Any], ...]
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


@dataclass(frozen=True, slots=True)
class Projection:
    """What covariates say, from sums over one stratum's people: takes block after block.

    people            n, or the sum of weights
    inverse           (c, c) of C'C
    covariates_trait  (c,) C'y
    left              y'y free of covariates
    """

    people: float
    inverse: Array
    covariates_trait: Array
    left: float

    @classmethod
    def of(cls, moments: BlockMoments) -> "Projection":
        """Return that of a stratum; its genotypes are not looked at.

        NothingVariesError where the covariates leave nothing of the trait.
        """
        inverse, cy = _inverse(moments.covariates), moments.covariates_trait
        square = float(moments.trait[1])
        left = square - float(cy @ inverse @ cy)
        if not left > LEAST_SHARE * square:
            raise NothingVariesError("covariates leave nothing of the trait; expected it to vary")
        return cls(moments.people, inverse, cy, left)

    def block(self, gram: Array, covariates: Array, trait: Array) -> tuple[Array, Array, Array]:
        """Return R, r and the deviation of each variant from g'g, g'C and g'y of a block.

        A deviation of 0 is that of a variant that does not vary. Each pair's g'h is projected
        (`correlations`).
        """
        score = trait - covariates @ (self.inverse @ self.covariates_trait)
        squares = np.diagonal(gram)
        variance = squares - np.einsum("vc,cd,vd->v", covariates, self.inverse, covariates)
        usable = _varies(squares - covariates[:, 0] ** 2 / self.people, variance)
        size = np.where(usable, np.sqrt(np.where(usable, variance, 1.0)), 0.0)
        matrix = _standardised(gram - covariates @ self.inverse @ covariates.T, size)
        r = np.where(usable, score / np.where(usable, size, 1.0), 0.0) / np.sqrt(self.left)
        return matrix, r, size / np.sqrt(self.people)


@dataclass(slots=True)
class Correlating:
    """The correlations of one stratum, made of blocks as they come.

    kept  the precision in which R is held: 4 bytes a value are as good as 8 for a fit whose
          tolerance is 1e-5, and take half the memory
    """

    projection: Projection
    kept: type[np.float32 | np.float64] = np.float64
    blocks: list[NDArray[Any]] = field(default_factory=list[NDArray[Any]])
    trait: list[Array] = field(default_factory=list[Array])
    deviation: list[Array] = field(default_factory=list[Array])

    def add(self, gram: Array, covariates: Array, trait: Array) -> None:
        """Take the next block (`Projection.block`)."""
        matrix, r, deviation = self.projection.block(gram, covariates, trait)
        self.blocks.append(matrix.astype(self.kept, copy=False))
        self.trait.append(r)
        self.deviation.append(deviation)

    def end(self) -> BlockCorrelations:
        """Return the correlations of all blocks so far."""
        deviation = np.concatenate([np.zeros(0), *self.deviation])
        sizes = [len(block) for block in self.blocks]
        return BlockCorrelations(
            self.projection.people,
            tuple(self.blocks),
            np.concatenate([np.zeros(0), *self.trait]),
            deviation,
            float(np.sqrt(self.projection.left / self.projection.people)),
            deviation > 0,
            np.cumsum([0, *sizes]).astype(np.int64),
        )


def correlations(
    moments: BlockMoments, kept: type[np.float32 | np.float64] = np.float64
) -> BlockCorrelations:
    """Return the correlations of genotypes by block and with the trait.

    With C the covariates, g'h~ = g'h - g'C (C'C)^-1 C'h is taken for every pair (Frisch and
    Waugh 1933, doi:10.2307/1907330), then R = g'h~ / sqrt(g'g~ h'h~). Covariates that say
    the same twice count once. NothingVariesError where the covariates leave nothing of the trait.

    >>> from equipoise.solvers.block_moments import moments_of_rows
    >>> rows = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> made = moments_of_rows(rows, np.ones((3, 1)), np.array([1.0, 2.0, 3.0]), np.array([0, 2]))
    >>> found = correlations(made)
    >>> found.trait.round(9).tolist(), found.usable.tolist()
    ([1.0, 0.0], [True, False])
    """
    found = Correlating(Projection.of(moments), kept)
    for i, gram in enumerate(moments.genotypes):
        part = slice(int(moments.starts[i]), int(moments.starts[i + 1]))
        found.add(gram, moments.genotype_covariates[part], moments.genotype_trait[part])
    return found.end()


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
    blocks: list[NDArray[Any]] = []
    for i in range(len(first.genotypes)):
        part = slice(int(first.starts[i]), int(first.starts[i + 1]))
        gram = sum(
            (s.people * s.genotypes[i] * np.outer(s.deviation[part], s.deviation[part]))
            for s in strata
        )
        kept = first.genotypes[i].dtype
        blocks.append(_standardised(np.asarray(gram, np.float64), size[part]).astype(kept))
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
