"""Two levels of ridge regression: sums by fold give what regression on rows gives."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import Ridge as Reference

from equipoise.solvers.ridge_levels import FoldSums, level_one, level_zero, penalties

FOLDS = 3


def rows(
    seed: int, n: int = 60, b: int = 7, traits: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, b)) @ draw.normal(size=(b, b)) + 1
    c = np.column_stack([np.ones(n), draw.normal(size=(n, 2)) + 0.2 * x[:, :2]])
    y = draw.normal(size=(n, traits)) + x[:, :1] + c[:, 1:2]
    return x, c, y, draw.permutation(np.arange(n) % FOLDS)


def sums(x: NDArray[np.float64], c: NDArray[np.float64], y: NDArray[np.float64], fold) -> FoldSums:
    members = [fold == f for f in range(FOLDS)]

    def by_fold(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([left[m].T @ right[m] for m in members])

    return FoldSums(by_fold(x, x), by_fold(x, c), by_fold(x, y), by_fold(c, c), by_fold(c, y))


@given(st.integers(0, 10_000))
def test_level_zero_is_ridge_regression_on_residuals_without_the_fold(seed: int) -> None:
    x, c, y, fold = rows(seed)
    found = level_zero(sums(x, c, y, fold), np.array([0.5, 20.0]))
    # The slow twin has rows: residuals by least squares, and another library's ridge.
    left = x - c @ np.linalg.lstsq(c, x, rcond=None)[0]
    left /= np.sqrt((left**2).mean(axis=0))
    of_y = y - c @ np.linalg.lstsq(c, y, rcond=None)[0]
    for f in range(FOLDS):
        own = fold == f
        for r, penalty in enumerate((0.5, 20.0)):
            fitted = Reference(alpha=penalty, fit_intercept=False).fit(left[~own], of_y[~own])
            predicted = x[own] @ found.columns[f, :, r] - c[own] @ found.covariates[f, :, r]
            np.testing.assert_allclose(predicted, fitted.predict(left[own]), rtol=1e-6, atol=1e-8)


@given(st.integers(0, 10_000), st.integers(1, 59))
def test_sums_of_two_sites_add_up(seed: int, split: int) -> None:
    x, c, y, fold = rows(seed)
    parts = [
        sums(x[part], c[part], y[part], fold[part]) for part in (slice(split), slice(split, None))
    ]
    together, pooled = parts[0].plus(parts[1]), sums(x, c, y, fold)
    for own in fields(FoldSums):
        np.testing.assert_allclose(
            getattr(together, own.name), getattr(pooled, own.name), atol=1e-9
        )


def test_a_column_that_covariates_make_up_weighs_nothing() -> None:
    x, c, y, fold = rows(1)
    x[:, 3], x[:, 5] = c[:, 1] * 2 - 1, 0.0
    found = level_zero(sums(x, c, y, fold), np.array([1.0]))
    assert np.all(np.isfinite(found.columns))
    assert np.array_equal(np.all(found.columns == 0, axis=(0, 2, 3)), [0, 0, 0, 1, 0, 1, 0])


def test_a_fold_is_predicted_without_its_own_traits() -> None:
    x, c, y, fold = rows(2)
    c = c[:, :1]
    changed = y.copy()
    own = fold == 0
    # Moves traits within the fold and leaves the mean, so that no covariate has it.
    changed[own] += 100 * (np.arange(own.sum())[:, None] - (own.sum() - 1) / 2)
    one, two = (level_zero(sums(x, c, v, fold), np.array([1.0])) for v in (y, changed))
    np.testing.assert_allclose(one.columns[0], two.columns[0], rtol=1e-9)
    assert not np.allclose(one.columns[1], two.columns[1])


@given(st.integers(0, 10_000))
def test_level_one_takes_the_penalty_of_least_error_out_of_fold(seed: int) -> None:
    w, _, y, fold = rows(seed, traits=1)
    trait = y[:, 0]
    members = [fold == f for f in range(FOLDS)]
    gram = np.stack([w[m].T @ w[m] for m in members])
    score = np.stack([w[m].T @ trait[m] for m in members])
    square = np.array([trait[m] @ trait[m] for m in members])
    stack = level_one(gram, score, square, len(trait), (0.1, 0.9))
    unit = np.sqrt((w**2).mean(axis=0))
    errors, weights = [], []
    for share in (0.1, 0.9):
        alpha = w.shape[1] * (1 - share) / share
        fits = [
            Reference(alpha=alpha, fit_intercept=False).fit((w / unit)[~m], trait[~m])
            for m in members
        ]
        left = [trait[m] - fit.predict((w / unit)[m]) for m, fit in zip(members, fits, strict=True)]
        errors.append(np.mean(np.concatenate(left) ** 2))
        weights.append([fit.coef_ / unit for fit in fits])
    best = int(np.argmin(errors))
    np.testing.assert_allclose(stack.error, errors, rtol=1e-6)
    assert stack.share == (0.1, 0.9)[best]
    np.testing.assert_allclose(stack.weights, weights[best], rtol=1e-5, atol=1e-7)


def test_predictions_that_are_zero_weigh_nothing() -> None:
    gram, score = np.zeros((2, 2, 2)), np.zeros((2, 2))
    gram[:, 0, 0], score[:, 0] = 5.0, 2.0
    stack = level_one(gram, score, np.ones(2), 10)
    assert np.all(stack.weights[:, 1] == 0)
    assert np.all(stack.weights[:, 0] > 0)


def test_penalties_are_above_zero() -> None:
    assert np.all(penalties(10) > 0)
    with pytest.raises(ValueError, match="above 0"):
        level_zero(sums(*rows(1)), np.array([0.0]))
