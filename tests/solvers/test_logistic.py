import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from equipoise.solvers.logistic import newton_step, probability


def fit(x: np.ndarray, y: np.ndarray, penalty: float, rounds: int = 30) -> np.ndarray:
    terms = np.column_stack([np.ones(len(y)), x])
    b = np.zeros(terms.shape[1])
    for _ in range(rounds):
        p = probability(terms @ b)
        hessian = (terms * (p * (1 - p))[:, None]).T @ terms
        b = newton_step(b, terms.T @ (y - p), hessian, np.array([0.0, penalty]))
    return b


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 10.0]))
def test_steps_lead_to_what_scikit_learn_finds(seed: int, penalty: float) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=100)
    y = (draw.random(100) < probability(2 * x - 1)).astype(float)
    if y.min() == y.max():
        return
    peer = LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=10_000).fit(x[:, None], y)
    found = fit(x, y, penalty)
    # scikit-learn stops by the size of the gradient.
    np.testing.assert_allclose(found, [peer.intercept_[0], peer.coef_[0, 0]], atol=1e-4)


def test_a_predictor_that_parts_cases_and_others_has_a_finite_slope() -> None:
    x = np.array([-1.0, -0.9, 0.9, 1.0])
    found = fit(x, np.array([0.0, 0.0, 1.0, 1.0]), 1.0)
    assert np.isfinite(found).all()
    assert 0 < found[1] < 5


def test_terms_that_are_not_independent_are_refused() -> None:
    with pytest.raises(ArithmeticError, match="not independent"):
        newton_step(np.zeros(2), np.ones(2), np.zeros((2, 2)), np.array([0.0, 1.0]))


@given(st.floats(-700, 700))
def test_probabilities_of_opposite_log_odds_add_up_to_one(logit: float) -> None:
    both = probability(np.array([logit, -logit]))
    # One rounding in each.
    assert abs(both.sum() - 1) < 1e-15
