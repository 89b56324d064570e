"""Accuracy from sums: against rows at hand, and how often an interval holds the truth."""

import numpy as np
import pytest
from scipy import stats

from equipoise.solvers.accuracy import LEAST_PEOPLE, accuracies, liability_r2, signed_correlations
from equipoise.solvers.stack import stack_moments


def drawn(n: int, seed: int, r: float = 0.4):
    draw = np.random.default_rng(seed)
    c = np.column_stack([np.ones(n), draw.standard_normal(n)])
    z = draw.standard_normal((n, 3))
    y = r * z[:, 0] + np.sqrt(1 - r * r) * draw.standard_normal(n) + 0.7 * c[:, 1]
    return z, c, y


def test_correlations_are_those_of_what_covariates_leave() -> None:
    z, c, y = drawn(300, 1)
    z[:, 1] = -z[:, 0]
    held = stack_moments(z, c, y)
    left = [v - c @ np.linalg.lstsq(c, v)[0] for v in (*z.T, y)]
    expected = [np.corrcoef(one, left[-1])[0, 1] for one in left[:-1]]
    np.testing.assert_allclose(signed_correlations(held), expected, atol=1e-12)
    found = accuracies(held)
    assert found is not None
    assert found[0].r2 == pytest.approx(expected[0] ** 2)
    assert found[1].r2 == found[1].low == 0.0  # points the wrong way
    assert all(one.low <= one.r2 <= one.high or one.r2 == 0.0 for one in found)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(400):
        found = accuracies(stack_moments(*drawn(150, seed)))
        assert found is not None
        held += found[0].low <= 0.16 <= found[0].high
    assert 0.92 <= held / 400 <= 0.98


def test_few_people_have_no_accuracy() -> None:
    assert accuracies(stack_moments(*drawn(LEAST_PEOPLE - 1, 2))) is None
    assert accuracies(stack_moments(*drawn(LEAST_PEOPLE, 2))) is not None


def test_the_share_of_the_liability() -> None:
    # Liabilities with a known share; a yes/no trait of 1 in 20, all people sampled.
    draw = np.random.default_rng(3)
    z = draw.standard_normal(400_000)
    liability = np.sqrt(0.2) * z + np.sqrt(0.8) * draw.standard_normal(len(z))
    cases = (liability > stats.norm.isf(0.05)).astype(float)
    observed = np.corrcoef(z, cases)[0, 1] ** 2
    assert liability_r2(observed, 0.05, 0.05) == pytest.approx(0.2, abs=0.01)
