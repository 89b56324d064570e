"""Ridge from correlations against sklearn's on rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from equipoise.solvers.ridge import ridge


@settings(max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from([1e-3, 0.5, 1.0, 30.0]),
)
def test_weights_are_those_of_ridge_on_columns_of_length_one(
    seed: int, p: int, penalty: float
) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(40, p))
    x = (x - x.mean(axis=0)) / np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=0))
    y = draw.normal(size=40)
    fit = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky").fit(x, y)
    # Two solvers of a matrix whose condition is below 1e5.
    np.testing.assert_allclose(ridge(x.T @ x, x.T @ y, penalty), fit.coef_, rtol=0, atol=1e-9)


def test_without_a_penalty_they_are_least_squares() -> None:
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(30, 4)), draw.normal(size=30)
    expected = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(ridge(x.T @ x, x.T @ y, 0.0), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("penalty", [0.5, 1.0])
def test_two_equal_variants_share_one_weight(penalty: float) -> None:
    equal = np.ones((2, 2))
    found = ridge(equal, np.array([0.6, 0.6]), penalty)
    np.testing.assert_allclose(found, 0.6 / (2 + penalty), rtol=1e-12)


def test_nothing_chosen_has_no_weights() -> None:
    assert ridge(np.zeros((0, 0)), np.zeros(0), 1.0).shape == (0,)
