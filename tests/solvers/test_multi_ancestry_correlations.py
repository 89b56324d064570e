"""Correlations from summed moments: what regression on rows gives, and how sums split."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solvers.block_correlations import (
    BlockCorrelations,
    Residuals,
    borrowed,
    correlations,
    pooled,
    refined,
)
from equipoise.solvers.block_moments import BlockMoments, moments_of_rows

SEEDS = st.integers(0, 2**32 - 1)
STARTS = np.array([0, 3, 4, 8])


def rows(seed: int, n: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dosages, the fourth of them alike in everybody, covariates and a trait."""
    rng = np.random.default_rng(seed)
    g = rng.binomial(2, rng.uniform(0.2, 0.8, 8), (n, 8)).astype(float)
    g[:, 1] = np.where(rng.random(n) < 0.8, g[:, 0], g[:, 1])
    g[:, 3] = 2.0
    c = np.column_stack([np.ones(n), rng.normal(size=(n, 2)) + 0.3 * g[:, :2]])
    return g, c, 10 + g[:, 0] - c[:, 1] + rng.normal(size=n)


def free(of: np.ndarray, c: np.ndarray) -> np.ndarray:
    return of - c @ np.linalg.lstsq(c, of, rcond=None)[0]


@given(SEEDS)
def test_correlations_are_those_of_residuals_on_covariates(seed: int) -> None:
    g, c, y = rows(seed)
    found = correlations(moments_of_rows(g, c, y, STARTS))
    x, z = free(g, c), free(y, c)
    varies = np.arange(8) != 3
    assert np.array_equal(found.usable, varies)
    whole = np.corrcoef(x[:, varies], z, rowvar=False)
    np.testing.assert_allclose(found.trait[varies], whole[-1, :-1], atol=1e-9)
    full = np.zeros((8, 8))
    full[np.ix_(varies, varies)] = whole[:-1, :-1]
    for i, block in enumerate(found.genotypes):
        part = slice(STARTS[i], STARTS[i + 1])
        np.testing.assert_allclose(block, full[part, part], atol=1e-9)
    np.testing.assert_allclose(found.deviation[varies], x[:, varies].std(axis=0), rtol=1e-9)
    assert found.trait_deviation == pytest.approx(z.std())


@given(SEEDS, st.integers(1, 88))
def test_sums_of_two_sites_add_up_and_a_fold_can_be_left_out(seed: int, at: int) -> None:
    g, c, y = rows(seed)
    one, other = (moments_of_rows(g[s], c[s], y[s], STARTS) for s in (slice(at), slice(at, None)))
    everybody = moments_of_rows(g, c, y, STARTS)
    for field in fields(BlockMoments):
        for made, meant in (((one + other), everybody), ((everybody - one), other)):
            pairs = getattr(made, field.name), getattr(meant, field.name)
            for a, b in zip(*pairs, strict=True) if field.name == "genotypes" else [pairs]:
                np.testing.assert_allclose(a, b, atol=1e-8)


def test_other_blocks_or_covariates_are_not_added() -> None:
    g, c, y = rows(1)
    one = moments_of_rows(g, c, y, STARTS)
    with pytest.raises(ValueError, match="other LD blocks"):
        one + moments_of_rows(g, c, y, np.array([0, 4, 8]))
    with pytest.raises(ValueError, match="other covariates"):
        one + moments_of_rows(g, c[:, :2], y, STARTS)


def test_covariates_that_say_the_same_twice_count_once() -> None:
    g, c, y = rows(2)
    twice = np.column_stack([c, 3 * c[:, 1] - 2, np.zeros(len(y))])
    one, other = (correlations(moments_of_rows(g, each, y, STARTS)) for each in (c, twice))
    np.testing.assert_allclose(one.trait, other.trait, atol=1e-9)
    np.testing.assert_allclose(one.genotypes[2], other.genotypes[2], atol=1e-9)


def test_a_variant_that_covariates_make_up_is_not_used() -> None:
    g, c, y = rows(3)
    c = np.column_stack([c, g[:, 5]])
    assert not correlations(moments_of_rows(g, c, y, STARTS)).usable[5]


def test_a_trait_that_covariates_make_up_is_refused() -> None:
    g, c, _ = rows(4)
    with pytest.raises(ValueError, match="nothing of the trait"):
        correlations(moments_of_rows(g, c, c[:, 1] + 1, STARTS))


@given(SEEDS)
def test_the_pool_is_that_of_rows_with_covariates_of_their_own_in_each_stratum(seed: int) -> None:
    parts = [rows(seed), rows(seed + 1, 60)]
    parts[1][0][:, 3] = np.arange(60) % 3  # varies in the second alone
    strata = [correlations(moments_of_rows(*part, STARTS)) for part in parts]
    found = pooled(strata)
    x = np.concatenate([free(g, c) for g, c, _ in parts])
    z = np.concatenate([free(y, c) for _, c, y in parts])
    assert found.usable.all()
    np.testing.assert_allclose(found.deviation, x.std(axis=0), rtol=1e-8)
    np.testing.assert_allclose(found.trait, x.T @ z / (x.std(0) * z.std() * len(z)), atol=1e-9)
    np.testing.assert_allclose(found.genotypes[2], np.corrcoef(x[:, 4:], rowvar=False), atol=1e-9)


@given(SEEDS)
def test_weights_of_the_other_allele_are_the_same_with_the_sign_turned(seed: int) -> None:
    g, c, y = rows(seed)
    turned = g.copy()
    turned[:, 2] = 2 - g[:, 2]
    one, other = (correlations(moments_of_rows(each, c, y, STARTS)) for each in (g, turned))
    sign = np.where(np.arange(8) == 2, -1, 1)
    np.testing.assert_allclose(one.trait, other.trait * sign, atol=1e-9)
    np.testing.assert_allclose(one.allelic(one.trait), other.allelic(other.trait) * sign, atol=1e-9)


def test_a_borrowed_stratum_keeps_what_it_saw_of_the_trait() -> None:
    own, reference = (correlations(moments_of_rows(*rows(seed), STARTS)) for seed in (5, 6))
    reference = replace(reference, usable=reference.usable & (np.arange(8) != 4))
    found = borrowed(own, reference)
    assert found.usable.tolist() == [True, True, True, False, False, True, True, True]
    np.testing.assert_array_equal(found.trait[5:], own.trait[5:])
    np.testing.assert_array_equal(found.genotypes[0], reference.genotypes[0])
    assert not found.genotypes[2][0].any()
    with pytest.raises(ValueError, match="other LD blocks"):
        borrowed(own, replace(reference, starts=np.array([0, 4, 8])))


def whole(g: np.ndarray, c: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the ridge weights of all variants together, correlations between blocks included."""
    all_of_it = correlations(moments_of_rows(g, c, y, np.array([0, 8])))
    return np.linalg.solve(all_of_it.genotypes[0] + 0.2 * np.eye(8), all_of_it.trait)


def by_blocks(found: BlockCorrelations) -> np.ndarray:
    parts = zip(found.genotypes, np.split(found.trait, STARTS[1:-1]), strict=True)
    return np.concatenate([np.linalg.solve(r + 0.2 * np.eye(len(r)), t) for r, t in parts])


def again(g: np.ndarray, c: np.ndarray, y: np.ndarray, weights: np.ndarray) -> BlockCorrelations:
    moments = moments_of_rows(g, c, y, STARTS)
    left = y - g @ weights
    return refined(correlations(moments), moments, Residuals(c.T @ left, g.T @ left), weights)


@settings(max_examples=20)
@given(SEEDS)
def test_refined_blocks_give_back_the_fit_of_all_variants_together(seed: int) -> None:
    g, c, y = rows(seed)
    plain = correlations(moments_of_rows(g, c, y, STARTS))
    meant = whole(g, c, y)
    # At that fit, the blocks' own fits are it: what methods leave out is there again.
    np.testing.assert_allclose(by_blocks(again(g, c, y, plain.allelic(meant))), meant, atol=1e-8)
    assert not np.allclose(by_blocks(plain), meant, atol=1e-4)


def test_refining_over_and_over_ends_at_the_fit_of_all_variants_together() -> None:
    g, c, y = rows(7)
    found = correlations(moments_of_rows(g, c, y, STARTS))
    for _ in range(60):
        found = again(g, c, y, found.allelic(by_blocks(found)))
    np.testing.assert_allclose(by_blocks(found), whole(g, c, y), atol=1e-8)


def test_a_score_of_nothing_refines_nothing() -> None:
    g, c, y = rows(8)
    plain = correlations(moments_of_rows(g, c, y, STARTS))
    np.testing.assert_allclose(again(g, c, y, np.zeros(8)).trait, plain.trait, atol=1e-10)
