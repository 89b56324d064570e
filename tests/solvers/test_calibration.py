"""Recalibration from rows against statsmodels, and the formulas beside it."""

from math import log, sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equipoise.solvers.calibration import (
    SETTLED,
    detectable_log_ratio,
    detectable_slope_gap,
    fitted,
    newton,
    observed_expected,
    recalibrate,
    terms,
)


def draw(seed: int, slope: float, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    logit = np.clip(generator.normal(-0.5, 2.0, n), -8, 8)
    p = 1 / (1 + np.exp(-(0.3 + slope * logit)))
    return logit, (generator.random(n) < p).astype(np.float64)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-0.4, 0.1, 1.0, 2.0]))
def test_slope_intercept_and_errors_are_statsmodels(seed: int, slope: float) -> None:
    logit, trait = draw(seed, slope)
    fit = fitted(*recalibrate(logit, trait))
    reference = sm.Logit(trait, sm.add_constant(logit)).fit(disp=0, tol=1e-12)
    # Both stop where a step is below 1e-9.
    assert (fit.intercept, fit.slope) == pytest.approx(tuple(reference.params), abs=1e-7)
    errors = fit.intercept_error, fit.slope_error
    assert errors == pytest.approx(tuple(reference.bse), rel=1e-6)


def test_terms_are_the_derivatives_of_the_likelihood() -> None:
    logit, trait = draw(1, 1.0, 50)

    def likelihood(at: np.ndarray) -> float:
        eta = at[0] + at[1] * logit
        return float((trait * eta - np.logaddexp(0, eta)).sum())

    at, h = np.array([0.2, 0.7]), 1e-5
    gradient, information = (part.sum(axis=0) for part in terms(logit, trait, at))
    for term in (0, 1):
        step = h * np.eye(2)[term]
        slope = (likelihood(at + step) - likelihood(at - step)) / (2 * h)
        # Differences of numbers near 30, over 2e-5.
        assert gradient[term] == pytest.approx(slope, abs=1e-6)
        moved = terms(logit, trait, at + step)[0] - terms(logit, trait, at - step)[0]
        curvature = -moved.sum(axis=0) / (2 * h)
        assert information[term : term + 2] == pytest.approx(curvature, abs=1e-6)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 8), st.floats(0, 1e6))
def test_a_step_is_finite_and_short_whatever_the_information(
    g0: float, g1: float, at: float, weight: float
) -> None:
    # All scores at one place: a singular information.
    step = newton(np.array([g0, g1]), weight * np.array([1.0, at, at * at]))
    assert np.all(np.abs(step) <= 4.0)


def test_separated_people_do_not_settle() -> None:
    logit = np.linspace(-1, 1, 40)
    *_, change = recalibrate(logit, (logit > 0).astype(np.float64))
    assert change > SETTLED


@given(st.integers(1, 500), st.integers(0, 500), st.floats(0.01, 1e3))
def test_observed_over_expected_has_the_interval_of_a_rate_on_the_log_scale(
    events: int, others: int, expected: float
) -> None:
    n = events + others
    found = observed_expected(events, n, expected)
    error = sqrt((1 - events / n) / events)
    assert found.value == pytest.approx(log(events / expected), abs=1e-12)
    reach = stats.norm.isf(0.025) * error
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))


def test_the_least_log_ratio_is_found_in_four_of_five_simulated_samples() -> None:
    rate, n, m = 0.2, 400, 1600
    least = detectable_log_ratio(rate, n, m)
    generator, shown = np.random.default_rng(2), 0
    up, down = rate * np.exp(least * m / (n + m)), rate * np.exp(-least * n / (n + m))
    for _ in range(800):
        counts = generator.binomial(n, up), generator.binomial(m, down)
        logs = [log(c / (size * rate)) for c, size in zip(counts, (n, m), strict=True)]
        error = sqrt(sum((1 - c / s) / c for c, s in zip(counts, (n, m), strict=True)))
        shown += abs(logs[0] - logs[1]) > 1.959964 * error
    # Four standard errors of 800 simulations of 80 % are .057; the log is a first order.
    assert abs(shown / 800 - 0.8) < 0.057


def test_the_least_slope_gap_is_that_of_the_errors_of_two_groups() -> None:
    logit, trait = draw(3, 1.0, 4000)
    coefficients, information, change = recalibrate(logit, trait)
    error = fitted(coefficients, information, change).slope_error
    least = detectable_slope_gap(information / 4000, 4000, 4000)
    # (1.96 + .84) errors of the difference of two such slopes.
    assert least == pytest.approx(2.801585 * error * sqrt(2), rel=1e-6)
