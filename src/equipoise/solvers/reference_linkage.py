"""Linkage borrowed from a reference, for people too few to release their own, and whether it fits.

Of the people only sums by variant are known: of g, g^2, g with covariates and g with the trait.
With R the correlations of the reference, D their own standard deviations and m their means,

    G'G = n (D R D + m m')

takes the place of what they do not release. Two checks say whether the reference is one for
them. Allele frequencies should correlate; and the z values of the trait should fit R: with
z ~ N(0, (1 - s) R + s I), the s of greatest likelihood is near 0 where they do and rises to 1
where R says nothing about them. Of a single variant the others say

    E = z_j - (W z)_j / W_jj,    variance 1 / W_jj,    W = ((1 - s) R + s I)^-1

and where z_j is far from E but near -E, its alleles are likely swapped in one of the two (Zou,
Carbonetto, Wang and Stephens 2022, doi:10.1371/journal.pgen.1010299, `estimate_s_rss` and
`kriging_rss` of susieR; here one s over all blocks, and two distances for their likelihood
ratio, since a causal variant alone is far from E). A reference in which linkage is weaker than
in the people is not told by s.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.block_correlations import BlockCorrelations, correlations
from equipoise.solvers.block_moments import BlockMoments

Array = NDArray[np.float64]

LEAST_VARIANCE: Final = 1e-6
"""Of a dosage; one copy in n people has nearly 1 / n."""

LEAST_FREQUENCY_CORRELATION: Final = 0.95
MOST_INCONSISTENCY: Final = 0.25
MOST_SWAPPED: Final = 0.01
"""Limits of a reference that fits: of our own choice. References of the people's own ancestry,
500 people or more with blocks of 40, stayed below .17 for s in simulations, others reached .9."""

FAR: Final = 4.0
NEAR: Final = 2.0
"""Standard deviations from what the others say, and from the opposite, of swapped alleles."""

_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class ReferenceMatch:
    """How well a reference fits the people whose linkage it stands for.

    compared               variants that vary in both
    absent                 variants that vary in the people and not in the reference: no linkage
    frequency_correlation  of allele frequencies, over those compared
    inconsistency          s, from 0 to 1
    swapped                (swapped,) places of variants whose alleles are likely swapped
    """

    compared: int
    absent: int
    frequency_correlation: float
    inconsistency: float
    swapped: NDArray[np.int64] = field(repr=False)

    @property
    def fits(self) -> bool:
        """Whether frequencies correlate, z values are consistent and few alleles swapped."""
        return (
            self.frequency_correlation >= LEAST_FREQUENCY_CORRELATION
            and self.inconsistency <= MOST_INCONSISTENCY
            and len(self.swapped) <= MOST_SWAPPED * self.compared
        )


def borrowed(own: BlockMoments, reference: BlockMoments) -> tuple[BlockMoments, ReferenceMatch]:
    """Return the people's moments with the reference's linkage, and how well that fits.

    Of `own.genotypes` only the diagonal is used. A variant that does not vary in the reference
    has no linkage. ValueError for other variants or blocks, or where fewer than three vary in
    both.
    """
    if not np.array_equal(own.starts, reference.starts):
        raise ValueError("a reference of other LD blocks; expected the same variants in both")
    mean, deviation = _spread(own)
    other_mean, other_deviation = _spread(reference)
    both = (deviation > 0) & (other_deviation > 0)
    if np.count_nonzero(both) < 3:
        raise ValueError("a reference in which nothing varies that varies here")
    grams: list[Array] = []
    for i, gram in enumerate(reference.genotypes):
        part = slice(int(own.starts[i]), int(own.starts[i + 1]))
        centred = gram / reference.people - np.outer(other_mean[part], other_mean[part])
        unit = np.where(both[part], 1 / np.where(both[part], other_deviation[part], 1.0), 0.0)
        r = centred * np.outer(unit, unit)
        np.fill_diagonal(r, 1.0)
        scaled = r * np.outer(deviation[part], deviation[part])
        grams.append(own.people * (scaled + np.outer(mean[part], mean[part])))
    moments = replace(own, genotypes=tuple(grams))
    together = float(np.corrcoef(mean[both], other_mean[both])[0, 1])
    absent = int(np.count_nonzero((deviation > 0) & ~both))
    s, swapped = _consistency(correlations(moments))
    return moments, ReferenceMatch(int(np.count_nonzero(both)), absent, together, s, swapped)


def _spread(moments: BlockMoments) -> tuple[Array, Array]:
    """Return means and standard deviations of dosages; 0 where nobody differs."""
    mean = moments.genotype_covariates[:, 0] / moments.people
    squares = np.concatenate([np.diagonal(gram) for gram in moments.genotypes])
    variance = squares / moments.people - mean * mean
    return mean, np.sqrt(np.where(variance > LEAST_VARIANCE, variance, 0.0))


def _consistency(found: BlockCorrelations) -> tuple[float, NDArray[np.int64]]:
    """Return s, and the variants whose z is far from what the others say, and near its opposite."""
    z = np.sqrt(max(found.people - 1, 1.0)) * found.trait
    values: list[Array] = []
    rotated: list[Array] = []
    vectors: list[Array] = []
    kept: list[NDArray[np.int64]] = []
    for i, r in enumerate(found.genotypes):
        start, stop = int(found.starts[i]), int(found.starts[i + 1])
        there = np.flatnonzero(found.usable[start:stop])
        eigen, basis = np.linalg.eigh(r[np.ix_(there, there)])
        kept.append(start + there)
        values.append(np.maximum(eigen, 0.0))
        vectors.append(np.asarray(basis, np.float64))
        rotated.append(basis.T @ z[start + there])
    s = _likeliest(np.concatenate(values), np.concatenate(rotated))
    swapped: list[NDArray[np.int64]] = []
    for places, eigen, basis, turned in zip(kept, values, vectors, rotated, strict=True):
        inverse = 1 / ((1 - s) * eigen + s)
        precision = (basis * basis) @ inverse
        apart = basis @ (inverse * turned) / np.sqrt(precision)
        opposite = 2 * z[places] * np.sqrt(precision) - apart
        swapped.append(places[(np.abs(apart) > FAR) & (np.abs(opposite) < NEAR)])
    return s, np.concatenate(swapped)


def _likeliest(values: Array, turned: Array) -> float:
    """Return the s of greatest likelihood, between 1e-4 and 1: a grid, then a finer one."""

    def loss(s: float) -> float:
        variance = (1 - s) * values + s
        return float(np.sum(np.log(variance) + turned * turned / variance))

    grid = np.concatenate([[1e-4, 1e-3], np.linspace(0.005, 1.0, _STEPS * 5)])
    best = int(np.argmin([loss(s) for s in grid.tolist()]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    finer = [low + (high - low) * i / _STEPS for i in range(_STEPS + 1)]
    return finer[int(np.argmin([loss(s) for s in finer]))]
