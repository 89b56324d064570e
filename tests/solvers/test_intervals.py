"""MOVER against Newcombe's published intervals, statsmodels and simulation; power likewise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from equipoise.solvers import intervals
from equipoise.solvers.intervals import Estimate, detectable, difference, wald

ENDS = st.floats(0, 2)


def wilson(events: int, n: int, level: float = 0.95) -> Estimate:
    low, high = proportion_confint(events, n, alpha=1 - level, method="wilson")
    return Estimate(events / n, float(low), float(high))


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:873, method 10: MOVER of two Wilson
        # intervals.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_mover_of_wilsons_intervals_is_newcombes_published_one(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = difference(wilson(*one), wilson(*other))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5.1e-5)  # printed digits


@given(st.integers(0, 40), st.integers(0, 90))
def test_mover_of_wilsons_intervals_is_statsmodels(a: int, b: int) -> None:
    found = difference(wilson(a, 40), wilson(b, 90))
    ends = confint_proportions_2indep(a, 40, b, 90, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx(tuple(map(float, ends)), abs=1e-9)


@given(st.floats(-2, 2), st.floats(-2, 2), ENDS, ENDS, ENDS, ENDS)
def test_turning_the_two_round_mirrors_the_interval(
    one: float, other: float, a: float, b: float, c: float, d: float
) -> None:
    first, second = Estimate(one, one - a, one + b), Estimate(other, other - c, other + d)
    there, back = difference(first, second, 0.1), difference(second, first, 0.1)
    mirrored = (-back.value, -back.high, -back.low)
    assert (there.value, there.low, there.high) == pytest.approx(mirrored, abs=1e-12)
    assert there.low <= there.value <= there.high


def test_a_bound_widens_either_end_by_itself() -> None:
    one, other = wald(0.8, 0.05), wald(0.7, 0.02)
    plain, wide = difference(one, other), difference(one, other, 0.03)
    assert (wide.low, wide.high) == pytest.approx((plain.low - 0.03, plain.high + 0.03))


def test_the_interval_of_a_gap_in_rates_covers_it_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(600):
        a, b = int(draw.binomial(30, 0.2)), int(draw.binomial(60, 0.35))
        found = difference(wilson(a, 30), wilson(b, 60))
        covered += found.low <= -0.15 <= found.high
    # Four standard errors of 600 simulations of 95 % are .036.
    assert abs(covered / 600 - 0.95) < 0.036


@pytest.mark.parametrize("power", [0.5, 0.8, 0.9])
def test_the_detectable_difference_is_statsmodels(power: float) -> None:
    expected = NormalIndPower().solve_power(nobs1=50, alpha=0.05, power=power, ratio=4)
    found = detectable(1 / 50 + 1 / 200, power=power)
    # statsmodels adds the chance to be significant on the wrong side: 5e-5 at a power of .5.
    assert found == pytest.approx(expected, abs=2e-4)


@given(st.integers(0, 60), st.integers(1, 60))
def test_the_interval_of_a_share_is_that_of_statsmodels(events: int, n: int) -> None:
    events = min(events, n)
    expected = proportion_confint(events, n, method="wilson")
    # Both are closed forms in double precision.
    found = intervals.wilson(events / n, n)
    np.testing.assert_allclose([found.low, found.high], expected, atol=1e-9)
