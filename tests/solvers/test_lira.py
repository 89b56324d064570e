"""The likelihood-ratio attack on models: on one that repeats its people, and on a private one."""

from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from equipoise.solvers.lira import (
    Shadows,
    Train,
    attacked,
    label_confidence,
    leverage_power,
    leverage_statistic,
    leverages,
    offline,
    online,
    shadows,
)
from strategies import SEEDS

EPSILON, DELTA = 1.0, 1e-5
BOUND = exp(EPSILON) * 0.01 + DELTA
"""Of the true-positive rate at 1 % false positives (Kairouz et al. 2015, arXiv 1311.0776)."""

PEOPLE, COLUMNS = 200, 300


def gaussian_sd(epsilon: float, delta: float, sensitivity: float) -> float:
    """Return the noise of the Gaussian mechanism (Balle and Wang 2018, arXiv 1805.06530, th. 8)."""

    def excess(sd: float) -> float:
        a, b = sensitivity / (2 * sd), epsilon * sd / sensitivity
        return stats.norm.cdf(a - b) - exp(epsilon) * stats.norm.cdf(-a - b) - delta

    return optimize.brentq(excess, 1e-3 * sensitivity, 1e3 * sensitivity)


class Ridge:
    """A linear model of noise on rows of length 1: what it knows of its people is overfitted.

    With `noise` it is the Gaussian mechanism on X'X and X'y: with |x| and |y| at most 1 one
    person adds at most sqrt(|x|^4 + |x|^2 y^2) <= sqrt(2) to the two together.
    """

    def __init__(self, noise: float = 0.0, seed: int = 1) -> None:
        draw = np.random.default_rng(seed)
        x = draw.normal(size=(PEOPLE, COLUMNS))
        self.x = x / np.linalg.norm(x, axis=1, keepdims=True)
        self.y = np.where(draw.random(PEOPLE) < 0.5, 1.0, -1.0)
        self.noise, self.draw = noise, draw

    def train(self, chosen: NDArray[np.int64]):
        x, y = self.x[chosen], self.y[chosen]
        upper = np.triu(self.draw.normal(0, self.noise, (COLUMNS, COLUMNS)))
        gram = x.T @ x + upper + np.triu(upper, 1).T
        if self.noise:
            # Any ridge is allowed: it is work on what was released.
            gram += 2 * self.noise * sqrt(COLUMNS) * np.eye(COLUMNS)
        released = x.T @ y + self.draw.normal(0, self.noise, COLUMNS)
        weight = np.linalg.solve(gram + 1e-6 * np.eye(COLUMNS), released)
        return lambda places: label_confidence(self.x[places] @ weight, self.y[places] > 0)


def rate(train: Train, how=online, targets: int = 20):
    draw = np.random.default_rng(20261125)
    known, aims = (shadows(train, PEOPLE, n, draw) for n in (80, targets))
    return attacked(known, aims, how).rates[0].power


def test_an_overfitted_model_is_attacked() -> None:
    assert rate(Ridge().train).low > 0.3
    assert rate(Ridge().train, offline).low > 5 * BOUND


def test_a_private_model_stays_under_the_bound_of_its_epsilon() -> None:
    sd = gaussian_sd(EPSILON, DELTA, sqrt(2))
    for how in (online, offline):
        # About 2,000 members: a standard error of .004 at the bound.
        assert rate(Ridge(sd).train, how).value < BOUND


def test_noise_a_hundredth_of_what_epsilon_needs_is_found_out() -> None:
    sd = gaussian_sd(EPSILON, DELTA, sqrt(2))
    assert rate(Ridge(sd / 100).train).low > BOUND


def test_the_formula_gives_the_noise_that_dp_accounting_does() -> None:
    accounting = pytest.importorskip("dp_accounting", reason="the package dp-accounting is absent")
    sd = gaussian_sd(EPSILON, DELTA, sqrt(2))
    event = accounting.GaussianDpEvent(sd / sqrt(2))
    accountant = accounting.pld.PLDAccountant()
    assert accountant.compose(event).get_epsilon(DELTA) == pytest.approx(EPSILON, rel=1e-3)


def test_the_online_ratio_is_that_of_two_normal_densities() -> None:
    draw = np.random.default_rng(3)
    known = Shadows(draw.random((200, 5)) < 0.5, draw.normal(size=(200, 5)))
    seen = draw.normal(size=5)
    for i, value in enumerate(online(known, seen).tolist()):
        inside, outside = (known.score[known.member[:, i] == kind, i] for kind in (True, False))
        expected = stats.norm.logpdf(seen[i], inside.mean(), inside.std(ddof=1))
        expected -= stats.norm.logpdf(seen[i], outside.mean(), outside.std(ddof=1))
        assert value == pytest.approx(expected)
        z = (seen[i] - outside.mean()) / outside.std(ddof=1)
        assert offline(known, seen)[i] == pytest.approx(z)


def test_few_shadow_models_share_one_variance() -> None:
    draw = np.random.default_rng(4)
    known = Shadows(np.arange(8)[:, None] % 2 == np.zeros(50, int), draw.normal(size=(8, 50)))
    mean = known.score[1::2].mean(axis=0)
    sd = sqrt(np.sum((known.score[1::2] - mean) ** 2) / (3 * 50))
    np.testing.assert_allclose(offline(known, np.ones(50)), (1 - mean) / sd)


def test_a_model_that_gives_every_member_one_score_is_no_division_by_zero() -> None:
    draw = np.random.default_rng(5)
    member = draw.random((100, 30)) < 0.5
    known = Shadows(member, np.where(member, 1.0, draw.normal(size=(100, 30))))
    found = online(known, np.where(np.arange(30) < 15, 1.0, 0.3))
    assert np.isfinite(found).all()
    assert found[:15].min() > 0 > found[15:].max()


@given(SEEDS, st.integers(2, 30), st.integers(1, 12))
def test_leverages_are_the_diagonal_of_the_hat_matrix(seed: int, people: int, columns: int) -> None:
    x = np.random.default_rng(seed).normal(size=(people, columns))
    found = leverages(x)
    np.testing.assert_allclose(found, np.diag(x @ np.linalg.pinv(x)), atol=1e-8)
    assert found.sum() == pytest.approx(np.linalg.matrix_rank(x))
    np.testing.assert_allclose(leverages(np.column_stack([x, x[:, :1]])), found, atol=1e-8)


@pytest.mark.parametrize("alpha", [0.01, 0.001])
@pytest.mark.parametrize("leverage", [0.05, 0.5, 0.9])
def test_equal_leverages_have_the_closed_form(leverage: float, alpha: float) -> None:
    law = stats.chi2(1)
    expected = law.cdf(law.ppf(alpha) / (1 - leverage) ** 2)
    assert leverage_power(np.full(7, leverage), alpha) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(alpha / (1 - leverage), rel=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from([0.01, 0.001]))
def test_leverage_never_does_worse_than_chance(each: list[float], alpha: float) -> None:
    assert alpha * (1 - 1e-6) <= leverage_power(np.array(each), alpha) <= 1


def test_the_baseline_is_what_least_squares_does() -> None:
    """Residuals of fits with and without each person, against the closed form."""
    draw = np.random.default_rng(6)
    x = draw.normal(size=(40, 30)) * np.linspace(0.2, 3, 40)[:, None]
    h = leverages(x)
    hat = x @ np.linalg.pinv(x)
    noise = draw.normal(size=(40, 20_000))
    inside = noise - hat @ noise
    # Of the fit that leaves the person out.
    outside = inside / (1 - h)[:, None]
    limit = np.quantile(leverage_statistic(outside**2, h[:, None]), 0.99)
    power = np.mean(leverage_statistic(inside**2, h[:, None]) > limit)
    assert power == pytest.approx(leverage_power(h, 0.01), rel=0.03)


def test_what_cannot_be_attacked_is_refused() -> None:
    draw = np.random.default_rng(7)
    with pytest.raises(ValueError, match="no finite score"):
        shadows(lambda _: lambda places: np.full(len(places), np.nan), 5, 3, draw)
    with pytest.raises(ValueError, match="no finite score"):
        shadows(lambda _: lambda _: np.zeros(3), 5, 3, draw)
    with pytest.raises(ValueError, match="fewer than 2 shadow models"):
        online(Shadows(np.ones((4, 2), np.bool_), np.zeros((4, 2))), np.zeros(2))
