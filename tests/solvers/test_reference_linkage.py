"""Borrowed linkage: the people's own gives their own back, and a wrong reference is told."""

from dataclasses import replace
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.solvers.block_moments import BlockMoments, moments_of_rows
from equipoise.solvers.reference_linkage import borrowed

Array = NDArray[np.float64]

BLOCKS, SIZE = 12, 30
STARTS = np.arange(0, BLOCKS * SIZE + 1, SIZE)


def ancestry(seed: int) -> tuple[Array, Array]:
    """Return allele frequencies and which allele goes with its neighbours', of one ancestry."""
    draw = np.random.default_rng(seed)
    return draw.uniform(0.1, 0.9, BLOCKS * SIZE), draw.choice([-1.0, 1.0], BLOCKS * SIZE)


def people(seed: int, n: int, of: int = 1, linkage: float = 0.9) -> Array:
    """Return dosages, (people, variants): haplotypes of a chain within each block."""
    frequency, sign = ancestry(of)
    limit = np.array([NormalDist().inv_cdf(p) for p in frequency])
    draw, g = np.random.default_rng(seed), np.zeros((n, BLOCKS * SIZE))
    for _ in range(2):
        chain = draw.standard_normal((n, BLOCKS * SIZE))
        for j in range(BLOCKS * SIZE):
            if j % SIZE:
                chain[:, j] *= np.sqrt(1 - linkage**2)
                chain[:, j] += linkage * chain[:, j - 1]
        g += sign * chain < limit
    return g


def moments(g: Array, y: Array | None = None) -> BlockMoments:
    trait = np.zeros(len(g)) if y is None else y
    age = np.random.default_rng(len(g)).standard_normal(len(g))
    return moments_of_rows(g, np.column_stack([np.ones(len(g)), age]), trait, STARTS)


def diagonal(found: BlockMoments) -> BlockMoments:
    """Return what is released of people whose linkage is borrowed."""
    return replace(found, genotypes=tuple(np.diag(np.diag(m)) for m in found.genotypes))


@cache
def study() -> tuple[Array, BlockMoments]:
    """Return 1,500 people and their moments: a trait of which genotypes explain 40 %."""
    g, draw = people(2, 1500), np.random.default_rng(4)
    effect = draw.normal(size=g.shape[1]) * (draw.random(g.shape[1]) < 0.1)
    said = (g - g.mean(axis=0)) @ effect
    y = np.sqrt(0.4) * said / said.std() + np.sqrt(0.6) * draw.standard_normal(len(g))
    return g, moments(g, y)


def test_the_peoples_own_linkage_gives_their_own_moments() -> None:
    _, own = study()
    found, match = borrowed(diagonal(own), own)
    for one, other in zip(found.genotypes, own.genotypes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)
    assert match.fits
    assert (match.compared, match.absent) == (BLOCKS * SIZE, 0)
    np.testing.assert_allclose(match.frequency_correlation, 1.0)


def test_nothing_of_the_peoples_own_matrices_is_used_but_the_diagonal() -> None:
    _, own = study()
    reference = moments(people(5, 600))
    one, other = borrowed(own, reference)[0], borrowed(diagonal(own), reference)[0]
    for a, b in zip(one.genotypes, other.genotypes, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.genotypes, own.genotypes, strict=True):
        np.testing.assert_allclose(np.diag(a), np.diag(b), rtol=1e-10)


def test_people_of_the_same_ancestry_fit_and_those_of_another_do_not() -> None:
    _, own = study()
    same = borrowed(diagonal(own), moments(people(6, 800)))[1]
    other = borrowed(diagonal(own), moments(people(7, 800, of=9, linkage=0.7)))[1]
    assert same.fits
    assert not other.fits
    assert same.frequency_correlation > 0.99 > other.frequency_correlation
    assert same.inconsistency < 0.2 < other.inconsistency


def test_alleles_of_the_other_signs_do_not_fit_though_frequencies_do() -> None:
    """Linkage alone is wrong: the same frequencies, other alleles in phase."""
    _, own = study()
    g = people(8, 800)
    linked, frequencies = moments(2 - g[:, ::-1]), moments(g)
    mean = frequencies.genotype_covariates[:, 0] / 800
    grams = tuple(_moved(m, linked, mean, i) for i, m in enumerate(linked.genotypes))
    match = borrowed(diagonal(own), replace(frequencies, genotypes=grams))[1]
    assert match.frequency_correlation > 0.99
    assert match.inconsistency > 0.25
    assert not match.fits


def _moved(gram: Array, linked: BlockMoments, mean: Array, block: int) -> Array:
    part = slice(block * SIZE, (block + 1) * SIZE)
    own = linked.genotype_covariates[part, 0] / linked.people
    return gram + linked.people * (np.outer(mean[part], mean[part]) - np.outer(own, own))


def test_swapped_alleles_beside_a_causal_variant_are_named() -> None:
    g = people(2, 1500)
    causal = SIZE // 2
    noise = np.random.default_rng(4).standard_normal(len(g))
    own = diagonal(moments(g, 0.3 * g[:, causal] + noise))
    assert borrowed(own, moments(people(11, 5000)))[1].swapped.tolist() == []
    reference = people(11, 5000)
    reference[:, causal + 1] = 2 - reference[:, causal + 1]
    assert borrowed(own, moments(reference))[1].swapped.tolist() == [causal + 1]


def test_what_does_not_vary_in_the_reference_has_no_linkage() -> None:
    _, own = study()
    g = people(12, 600)
    g[:, 3] = 0.0
    found, match = borrowed(diagonal(own), moments(g))
    assert match.absent == 1
    mean = own.genotype_covariates[:, 0] / own.people
    expected = own.people * mean[3] * mean[:SIZE]
    np.testing.assert_allclose(np.delete(found.genotypes[0][3], 3), np.delete(expected, 3))


def test_other_blocks_and_an_empty_reference_are_refused() -> None:
    _, own = study()
    with pytest.raises(ValueError, match="other LD blocks"):
        borrowed(own, replace(own, starts=own.starts + 1))
    with pytest.raises(ValueError, match="nothing varies"):
        borrowed(own, moments(np.ones((50, BLOCKS * SIZE))))
