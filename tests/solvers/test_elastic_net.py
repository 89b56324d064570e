import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet

from equipoise.solvers.elastic_net import elastic_net

SEEDS = st.integers(0, 2**32 - 1)


def draw(seed: int, n: int = 80, p: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised columns, some of them nearly copies, and a standardised trait."""
    rng = np.random.default_rng(seed)
    x = rng.binomial(2, 0.4, (n, p)).astype(float)
    x[:, 1] = np.where(rng.random(n) < 0.9, x[:, 0], x[:, 1])
    y = x[:, 0] - 0.5 * x[:, p - 1] + rng.normal(size=n)
    return (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()


@settings(max_examples=25)
@given(SEEDS, st.floats(0.01, 0.6), st.floats(0.05, 2.0))
def test_weights_are_those_of_scikit_learn(seed: int, l1: float, l2: float) -> None:
    x, y = draw(seed)
    n = len(y)
    found = elastic_net(x.T @ x / n, x.T @ y / n, np.array(l1), np.array(l2))
    peer = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-12)
    peer.set_params(max_iter=100_000)
    # Both stop where a sweep moves nothing; scikit-learn's test is on the duality gap.
    np.testing.assert_allclose(found, peer.fit(x, y).coef_, atol=1e-6)


@settings(max_examples=25)
@given(SEEDS, st.floats(0.01, 0.6), st.floats(0.05, 2.0))
def test_the_weights_satisfy_the_conditions_of_an_optimum(seed: int, l1: float, l2: float) -> None:
    x, y = draw(seed)
    n = len(y)
    correlations, r = x.T @ x / n, x.T @ y / n
    b = elastic_net(correlations, r, np.array(l1), np.array(l2))
    slope = r - correlations @ b - l2 * b
    on = b != 0
    np.testing.assert_allclose(slope[on], l1 * np.sign(b[on]), atol=1e-9)
    assert np.all(np.abs(slope[~on]) <= l1 + 1e-9)


def test_a_batch_gives_what_each_problem_gives_by_itself() -> None:
    problems = [draw(seed) for seed in range(3)]
    correlations = np.stack([x.T @ x / len(y) for x, y in problems])
    r = np.stack([x.T @ y / len(y) for x, y in problems])
    l1, l2 = np.array([0.05, 0.3]), np.array([0.1, 1.0])
    batch = elastic_net(correlations[:, None], r[:, None], l1, l2)
    for i in range(3):
        for j in range(2):
            alone = elastic_net(correlations[i], r[i], l1[j : j + 1][0], l2[j : j + 1][0])
            np.testing.assert_allclose(batch[i, j], alone, atol=1e-9)


def test_what_is_not_usable_has_no_weight_and_no_part_in_the_rest() -> None:
    x, y = draw(1)
    n = len(y)
    correlations, r = x.T @ x / n, x.T @ y / n
    usable = np.array([True, False, True, True, False, True])
    found = elastic_net(correlations, r, np.array(0.05), np.array(0.1), usable)
    kept = np.flatnonzero(usable)
    alone = elastic_net(correlations[np.ix_(kept, kept)], r[kept], np.array(0.05), np.array(0.1))
    assert not found[~usable].any()
    np.testing.assert_allclose(found[kept], alone, atol=1e-9)


def test_sums_of_no_correlations_are_refused() -> None:
    wild = np.array([[1.0, -40.0], [40.0, 1.0]])
    with pytest.raises(ArithmeticError, match="does not settle"), np.errstate(all="ignore"):
        elastic_net(wild, np.ones(2), np.array(0.0), np.array(0.1))
