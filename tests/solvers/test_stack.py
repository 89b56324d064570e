"""The stack: sums of scores give what regressions on rows give, and nobody is left worse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from equipoise.solvers.stack import (
    Fitted,
    StackMoments,
    alone,
    best,
    best_ridge,
    error,
    incremental_r2,
    ridge,
    stack,
    stack_moments,
)

SEEDS = st.integers(0, 2**32 - 1)
FOLDS = 5


def rows(seed: int, n: int = 200, k: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores that tell more or less of a trait, covariates and the trait."""
    rng = np.random.default_rng(seed)
    c = np.column_stack([np.ones(n), rng.normal(size=n)])
    truth = rng.normal(size=n)
    z = truth[:, None] * rng.uniform(0, 1, k) + rng.normal(size=(n, k)) + 0.4 * c[:, 1:]
    return z * rng.uniform(0.1, 9, k) + 5, c, truth + c[:, 1] + rng.normal(size=n)


def parts(z: np.ndarray, c: np.ndarray, y: np.ndarray) -> list[StackMoments]:
    return [stack_moments(z[k::FOLDS], c[k::FOLDS], y[k::FOLDS]) for k in range(FOLDS)]


def summed(folds: list[StackMoments]) -> StackMoments:
    return folds[0] + folds[1] + folds[2] + folds[3] + folds[4]


def free(of: np.ndarray, c: np.ndarray) -> np.ndarray:
    return of - c @ np.linalg.lstsq(c, of, rcond=None)[0]


@given(SEEDS)
def test_sums_of_folds_add_up_and_one_can_be_left_out(seed: int) -> None:
    z, c, y = rows(seed)
    folds = parts(z, c, y)
    for made, kept in ((summed(folds), slice(None)), (summed(folds) - folds[0], None)):
        rest = np.arange(len(y)) % FOLDS != 0 if kept is None else kept
        meant = stack_moments(z[rest], c[rest], y[rest])
        np.testing.assert_allclose(made.gram, meant.gram, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(made.trait, meant.trait, rtol=1e-9, atol=1e-7)
        assert (made.people, made.square) == pytest.approx((meant.people, meant.square))


@given(SEEDS)
def test_incremental_r2_is_that_of_residuals_on_covariates(seed: int) -> None:
    z, c, y = rows(seed)
    found = incremental_r2(stack_moments(z, c, y))
    left, of_y = free(z, c), free(y, c)
    peer = [np.corrcoef(column, of_y)[0, 1] ** 2 for column in left.T]
    np.testing.assert_allclose(found, peer, atol=1e-9)


@given(SEEDS, st.floats(1e-3, 100.0))
def test_the_ridge_is_that_of_scikit_learn_on_rows(seed: int, share: float) -> None:
    z, c, y = rows(seed)
    found = ridge(stack_moments(z, c, y), share)
    left = free(z, c)
    size = left.std(axis=0)
    peer = Ridge(alpha=share * len(y), fit_intercept=False).fit(left / size, free(y, c))
    np.testing.assert_allclose(found.weights, peer.coef_ / size, rtol=1e-7, atol=1e-9)
    # What is left of the trait has nothing to do with the covariates.
    rest = y - z @ found.weights - c @ found.covariates
    np.testing.assert_allclose(c.T @ rest / len(y), 0.0, atol=1e-8)


@given(SEEDS)
def test_the_error_in_other_people_is_that_of_their_rows(seed: int) -> None:
    z, c, y = rows(seed)
    fitted = Fitted(np.arange(6) / 10, np.array([0.3, -1.0]))
    rest = y - z @ fitted.weights - c @ fitted.covariates
    assert error(stack_moments(z, c, y), fitted) == pytest.approx(float(rest @ rest))


@settings(max_examples=10)
@given(SEEDS)
def test_the_penalty_is_the_one_of_least_error_in_rows_left_out(seed: int) -> None:
    z, c, y = rows(seed)
    shares = (1e-3, 1e-1, 10.0)
    errors = []
    for share in shares:
        total = 0.0
        for k in range(FOLDS):
            out = np.arange(len(y)) % FOLDS == k
            fitted = ridge(stack_moments(z[~out], c[~out], y[~out]), share)
            rest = y[out] - z[out] @ fitted.weights - c[out] @ fitted.covariates
            total += rest @ rest
        errors.append(total)
    assert best_ridge(parts(z, c, y), shares) == shares[int(np.argmin(errors))]


def test_a_score_that_does_not_vary_weighs_nothing() -> None:
    z, c, y = rows(1)
    z[:, 2], z[:, 4] = 3.0, 2 * c[:, 1] - 1
    moments = stack_moments(z, c, y)
    assert np.flatnonzero(ridge(moments, 0.1).weights == 0).tolist() == [2, 4]
    assert np.flatnonzero(incremental_r2(moments) == 0).tolist() == [2, 4]
    assert not alone(moments, 2).weights.any()
    without = stack_moments(np.delete(z, [2, 4], axis=1), c, y)
    kept = np.delete(ridge(moments, 0.1).weights, [2, 4])
    np.testing.assert_allclose(kept, ridge(without, 0.1).weights, atol=1e-9)


def test_a_score_that_points_the_wrong_way_is_not_the_best() -> None:
    z, c, y = rows(2)
    z[:, 0] = -y
    moments = stack_moments(z, c, y)
    assert int(incremental_r2(moments).argmax()) == 0
    assert best(moments, range(6)) != 0
    assert best(moments, [0]) == 0


@settings(max_examples=10)
@given(SEEDS)
def test_the_stack_of_useful_scores_explains_more_than_the_best_of_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(600, 3))
    y = truth.sum(axis=1) + rng.normal(size=600)
    found = stack(parts(truth, np.ones((600, 1)), y), [0])
    assert found.stacked
    assert found.r2 > found.own_r2 + 0.2


def test_where_the_stack_is_no_better_the_group_keeps_its_own_score() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=60)
    # The group's own score is the trait but for a little; forty others are chance.
    z = np.column_stack([y + 0.1 * rng.normal(size=60), rng.normal(size=(60, 40))])
    folds = parts(z, np.ones((60, 1)), y)
    found = stack(folds, [0], ridges=(1e-3, 1e-2))
    assert not found.stacked
    assert np.flatnonzero(found.weights).tolist() == [0]
    assert found.own_r2 > found.r2
    # The planted fault: without the comparison the ridge would have weighed them all.
    assert np.count_nonzero(ridge(summed(folds), 1e-2).weights) == 41


@settings(max_examples=8)
@given(SEEDS)
def test_what_a_group_is_told_of_its_choice_comes_from_folds_that_had_no_part_in_it(
    seed: int,
) -> None:
    z, c, y = rows(seed, 100)
    folds = parts(z, c, y)
    found = stack(folds, [0, 1])
    of_stack, of_own, of_nothing = 0.0, 0.0, 0.0
    for k in range(FOLDS):
        out = np.arange(len(y)) % FOLDS == k
        rest = [fold for i, fold in enumerate(folds) if i != k]
        seen = stack_moments(z[~out], c[~out], y[~out])
        nothing = y[out] - c[out] @ np.linalg.lstsq(c[~out], y[~out], rcond=None)[0]
        of_nothing += nothing @ nothing
        rising = free(z[~out], c[~out]).T @ y[~out] > 0
        r = np.where(rising, incremental_r2(seen), 0.0)
        for fitted, own in (
            (ridge(seen, best_ridge(rest)), False),
            (alone(seen, 0 if r[0] >= r[1] else 1), True),
        ):
            left = y[out] - z[out] @ fitted.weights - c[out] @ fitted.covariates
            of_own, of_stack = (
                (of_own + left @ left, of_stack) if own else (of_own, of_stack + left @ left)
            )
    assert found.r2 == pytest.approx(1 - of_stack / of_nothing, abs=1e-9)
    assert found.own_r2 == pytest.approx(1 - of_own / of_nothing, abs=1e-9)
    assert found.stacked == (found.r2 > found.own_r2)


def test_some_of_the_candidates_can_be_chosen() -> None:
    z, c, y = rows(4)
    some = stack_moments(z, c, y).chosen([4, 1])
    meant = stack_moments(z[:, [4, 1]], c, y)
    np.testing.assert_allclose(some.gram, meant.gram)
    np.testing.assert_allclose(some.trait, meant.trait)


def test_what_cannot_be_stacked_is_refused() -> None:
    z, c, y = rows(5)
    folds = parts(z, c, y)
    with pytest.raises(ValueError, match="fewer than three folds"):
        stack(folds[:2], [0])
    with pytest.raises(ValueError, match="no candidate"):
        stack(folds, [])
    with pytest.raises(ValueError, match="above 0"):
        ridge(folds[0], 0.0)
    with pytest.raises(ValueError, match="other covariates or candidates"):
        folds[0] + replace(folds[0], covariates=1)
    with pytest.raises(ValueError, match="nothing of the trait"):
        incremental_r2(stack_moments(z, c, c[:, 1]))
