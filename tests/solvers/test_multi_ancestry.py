"""The joint elastic net: adelie's solution, a slow twin, the conditions of an optimum."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solvers.elastic_net import elastic_net
from equipoise.solvers.multi_ancestry import (
    TOLERANCE,
    JointBlock,
    Penalties,
    fit,
    fit_block,
    in_order,
)
from solvers.joint_problems import GOLDEN, Problem, problem, quadratic

DATA = Path(__file__).resolve().parents[1] / "data"
SEEDS = st.integers(0, 2**32 - 1)
TIGHT = 1e-11


def block(of: Problem) -> JointBlock:
    return JointBlock(of.genotypes, of.trait, of.scale)


def penalties(of: Problem, *factors: float) -> Penalties:
    """Return a path of multiples of the problem's l1, each begun where the last one ended."""
    each = np.array(factors or (1.0,))
    points = len(each)
    return Penalties(
        np.outer(each, of.l1),
        np.tile(of.l2, (points, 1)),
        np.full(points, of.coupling),
        np.arange(points, dtype=np.int64) - 1,
        of.weights,
    )


def residual(of: Problem, weights: np.ndarray) -> float:
    """Return the distance from the conditions of an optimum, from the matrix of the whole."""
    matrix, linear, l1 = quadratic(of)
    b = weights.ravel()
    slope = linear - matrix @ b
    off = np.where(b == 0, np.maximum(np.abs(slope) - l1, 0.0), np.abs(slope - l1 * np.sign(b)))
    return float((off / np.repeat(of.weights, of.trait.shape[1]))[of.scale.ravel() > 0].max())


def plainly(of: Problem, sweeps: int = 5000) -> np.ndarray:
    """Return the weights by the update of methods, one stratum and variant after the other."""
    b = np.zeros(of.trait.shape)
    for _ in range(sweeps):
        before = b.copy()
        for a, j in np.argwhere(of.scale > 0):
            v, w, own = of.scale[:, j], of.weights[a], b[a, j]
            others = v @ b[:, j] - v[a] * own
            u = w * (of.trait[a, j] - of.genotypes[a, j] @ b[a] + own)
            u += of.coupling * v[a] * others
            size = w * (1 + of.l2[a]) + of.coupling * (np.count_nonzero(v) - 1) * v[a] ** 2
            b[a, j] = np.sign(u) * max(abs(u) - w * of.l1[a], 0.0) / size
        if np.abs(b - before).max() < 1e-13:
            return b
    raise AssertionError("the slow twin did not settle")


def golden() -> pl.DataFrame:
    return pl.read_csv(DATA / "adelie_weights.tsv", separator="\t", comment_prefix="#")


@pytest.mark.parametrize("name", GOLDEN)
def test_weights_are_those_of_adelie(name: str) -> None:
    of = GOLDEN[name]
    peer = golden().filter(pl.col("problem") == name)
    # The file's problems are the ones at hand, on whatever numpy.
    np.testing.assert_allclose(of.trait.ravel(), peer["r"].to_numpy(), atol=1e-10)
    found = fit_block(block(of), penalties(of), 1e-9).weights[0]
    # Each is within 1e-9 of its optimum; the least curvature is about .1, or that of R where l2 is 0.
    np.testing.assert_allclose(found.ravel(), peer["weight"].to_numpy(), atol=2e-8)
    assert found.any()


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.floats(0.0, 10.0), st.booleans(), st.sampled_from([0.0, 0.03, 0.2]))
def test_weights_are_those_of_the_plain_update(
    seed: int, coupling: float, plain: bool, l1: float
) -> None:
    of = problem(seed, 3, 8, coupling=coupling, l1=l1, l2=0.3, plain=plain)
    found = fit_block(block(of), penalties(of), TIGHT).weights[0]
    # Both stop at steps of about 1e-12; the least curvature is w l2, .03 at least.
    np.testing.assert_allclose(found, plainly(of), atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 5), st.floats(0.0, 1000.0), st.booleans(), st.floats(0.0, 0.3))
def test_every_point_of_a_path_is_an_optimum_and_its_residual_is_told(
    seed: int, strata: int, coupling: float, plain: bool, l1: float
) -> None:
    of = problem(seed, strata, 12, coupling=coupling, l1=l1, plain=plain)
    ended = fit_block(block(of), penalties(of, 2.0, 1.0, 0.5), 1e-8)
    for p, factor in enumerate((2.0, 1.0, 0.5)):
        own = residual(replace(of, l1=factor * of.l1), ended.weights[p])
        # Two orders of addition, of terms up to c times a weight.
        assert own == pytest.approx(ended.residual[p], abs=1e-11)
        assert own <= 2e-8


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 4), st.floats(0.0, 100.0), st.floats(1e-4, 1e-2))
def test_a_tolerance_bounds_how_far_scores_are_from_those_of_the_optimum(
    seed: int, strata: int, coupling: float, tolerance: float
) -> None:
    of = problem(seed, strata, 12, coupling=coupling, plain=False)
    matrix, _, _ = quadratic(of)
    loose = fit_block(block(of), penalties(of, 4.0, 1.0), tolerance).weights[1]
    apart = loose - fit_block(block(of), penalties(of), TIGHT).weights[0]
    # The slopes of both are subgradients but for the tolerance, and subgradients are monotone.
    most = (tolerance + TIGHT) * np.abs(apart).sum(axis=1) @ of.weights
    assert apart.ravel() @ matrix @ apart.ravel() <= most + 1e-15


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 4), st.floats(0.0, 100.0), st.booleans())
def test_correlations_in_single_precision_give_nearly_the_same_weights(
    seed: int, strata: int, coupling: float, plain: bool
) -> None:
    of = problem(seed, strata, 30, coupling=coupling, plain=plain)
    single = replace(block(of), genotypes=of.genotypes.astype(np.float32))
    given_ = penalties(of, 4.0, 2.0, 1.0)
    ended = fit_block(single, given_)
    # Sums of 30 products below 1, each rounded to 6e-8 of its size.
    assert residual(of, ended.weights[2]) == pytest.approx(ended.residual[2], abs=2e-6)
    assert ended.residual.max() <= TOLERANCE
    apart = ended.weights[2] - fit_block(block(of), given_, 1e-9).weights[2]
    most = (TOLERANCE + 2e-6) * np.abs(apart).sum(axis=1) @ of.weights
    assert apart.ravel() @ quadratic(of)[0] @ apart.ravel() <= most + 1e-15


def test_tens_of_thousands_of_sweeps_in_single_precision_do_not_drift() -> None:
    rng = np.random.default_rng(0)
    # Variants that all say nearly the same, and no l2: what the descent is slowest at.
    x = rng.standard_normal((2000, 1)) + 0.1 * rng.standard_normal((2000, 40))
    y = x @ rng.standard_normal(40) + rng.standard_normal(2000)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    genotypes, trait = (x.T @ x / 2000).astype(np.float32), x.T @ y / 2000
    l1 = np.full((1, 1), 1e-5)
    slow = Penalties(l1, 0 * l1, np.zeros(1), np.array([-1]), np.ones(1))
    given_ = JointBlock(genotypes[None], trait[None], np.ones((1, 40)))
    ended = fit_block(given_, slow, TOLERANCE, 100_000)
    assert ended.sweeps[0] > 10_000
    b = ended.weights[0, 0]
    left = trait - genotypes.astype(np.float64) @ b
    off = np.where(b == 0, np.maximum(np.abs(left) - 1e-5, 0.0), np.abs(left - 1e-5 * np.sign(b)))
    # The rounding of one sum of 40 products up to 1.
    assert off.max() == pytest.approx(ended.residual[0], abs=1e-6)


def test_without_coupling_each_stratum_is_fitted_as_by_itself() -> None:
    of = problem(11, 3, coupling=0.0)
    together = fit_block(block(of), penalties(of), TIGHT).weights[0]
    alone = elastic_net(of.genotypes, of.trait, of.l1, of.l2)
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_endless_coupling_gives_one_weight_to_all_strata() -> None:
    of = problem(12, 3, coupling=1e7)
    found = fit_block(block(of), penalties(of), 1e-6).weights[0]
    np.testing.assert_allclose(found, np.broadcast_to(found.mean(axis=0), found.shape), atol=1e-6)
    mean = elastic_net(of.genotypes.mean(0), of.trait.mean(0), of.l1.mean(), of.l2.mean())
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=1e-6)


def test_a_ridge_is_the_solution_of_linear_equations() -> None:
    of = problem(13, 4, coupling=3.0, l1=0.0, plain=False)
    matrix, linear, _ = quadratic(of)
    kept = of.scale.ravel() > 0
    found = fit_block(block(of), penalties(of), TIGHT).weights[0].ravel()
    exact = np.linalg.solve(matrix[np.ix_(kept, kept)], linear[kept])
    np.testing.assert_allclose(found[kept], exact, atol=1e-9)
    assert not found[~kept].any()


def test_where_a_path_begins_does_not_change_where_it_ends() -> None:
    of = problem(14, 3, coupling=4.0)
    warm = fit_block(block(of), penalties(of, 8.0, 4.0, 1.0), TIGHT)
    cold = fit_block(block(of), penalties(of, 1.0), TIGHT)
    np.testing.assert_allclose(warm.weights[-1], cold.weights[0], atol=1e-9)
    # A start from a neighbour is nearer: the last point again takes next to nothing.
    assert fit_block(block(of), penalties(of, 1.0, 1.0), TIGHT).sweeps[1] == 1


def test_a_stratum_that_weighs_more_is_nearer_to_its_own_fit() -> None:
    of = problem(15, 2, coupling=5.0)
    own = elastic_net(of.genotypes[0], of.trait[0], of.l1[0], of.l2[0])
    distance = [
        np.abs(fit_block(block(each), penalties(each), TIGHT).weights[0, 0] - own).max()
        for each in (replace(of, weights=np.array(w)) for w in ((1.0, 1.0), (1.0, 0.01)))
    ]
    assert distance[1] < distance[0] / 2


def test_what_does_not_converge_is_told_and_kept() -> None:
    of = problem(16, 3, coupling=50.0, l1=1e-3, l2=0.0)
    ended = fit_block(block(of), penalties(of), 1e-10, 3)
    assert ended.sweeps[0] == 3
    assert ended.weights.any()
    assert ended.residual[0] > 1e-6
    assert residual(of, ended.weights[0]) == pytest.approx(ended.residual[0])
    # The planted fault is the bound on sweeps: without it the same problem ends.
    assert fit_block(block(of), penalties(of), 1e-10, 100_000).residual[0] < 1e-9


def test_threads_give_the_same_bytes_in_the_same_order() -> None:
    blocks = [block(problem(seed, 3, 10)) for seed in range(9)]
    given_ = penalties(problem(0, 3, 10), 4.0, 1.0)
    with ThreadPoolExecutor(2) as executor:
        spread = [ended.weights.tobytes() for ended in fit(iter(blocks), given_, executor)]
    assert spread == [ended.weights.tobytes() for ended in fit(blocks, given_)]


def test_a_few_blocks_are_held_at_a_time_however_many_there_are() -> None:
    taken: list[int] = []

    def each() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    with ThreadPoolExecutor(2) as executor:
        made = in_order(lambda i: 2 * i, each(), executor)
        assert next(made) == 0
        assert len(taken) <= 6
        assert list(made) == [2 * i for i in range(1, 100)]


def test_a_variant_in_one_stratum_alone_is_not_drawn_to_zero() -> None:
    of = problem(17, 2, 6, coupling=1000.0)
    scale = of.scale.copy()
    scale[1, 2] = 0.0
    genotypes, trait = of.genotypes.copy(), of.trait.copy()
    genotypes[1, 2], genotypes[1, :, 2], trait[1, 2] = 0.0, 0.0, 0.0
    trait[0, 2] = 0.9
    only = replace(of, genotypes=genotypes, trait=trait, scale=scale)
    found = fit_block(block(only), penalties(only), 1e-9).weights[0]
    assert found[0, 2] > 0.1
    assert found[1, 2] == 0


def test_penalties_without_a_least_sum_are_refused() -> None:
    of = problem(1, 2, 4)
    good = penalties(of)
    for changed, why in (
        ({"l1": -good.l1}, "below 0"),
        ({"coupling": np.array([-1.0])}, "below 0"),
        ({"weights": np.zeros(2)}, "not above 0"),
        ({"start": np.array([0])}, "a later one"),
        ({"l2": good.l2[:, :1]}, "unlike shapes"),
        ({"start": np.array([-1, 0])}, "another shape"),
    ):
        with pytest.raises(ValueError, match=why):
            replace(good, **changed)


def test_correlations_that_are_no_numbers_are_refused() -> None:
    of = problem(1, 2, 4)
    trait = of.trait.copy()
    trait[0, 0] = np.nan
    with pytest.raises(ValueError, match="no number"):
        fit_block(block(replace(of, trait=trait)), penalties(of))
    with pytest.raises(ValueError, match="as int64; expected float32"):
        fit_block(replace(block(of), genotypes=of.genotypes.astype(int)), penalties(of))
