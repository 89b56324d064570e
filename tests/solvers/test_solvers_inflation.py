"""Genomic inflation against scipy's chi-square, and where doubles end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm, t

from equipoise.solvers import inflation


@given(st.floats(0, 250))
def test_the_chi_square_of_a_p_value_is_scipys(strength: float) -> None:
    found = inflation.chi_square(np.array([strength]))[0]
    # isf of p near 1 loses digits of its own.
    assert found == pytest.approx(chi2.isf(10.0**-strength, 1), rel=1e-8, abs=1e-9)


@given(st.floats(0, 1e4), st.floats(1e-3, 100))
def test_more_significance_is_more_chi_square(strength: float, more: float) -> None:
    low, high = inflation.chi_square(np.array([strength, strength + more]))
    assert low < high


def test_the_chi_square_of_a_p_value_below_doubles_is_right() -> None:
    z = np.sqrt(inflation.chi_square(np.array([400.0, 5000.0])))
    found = -(norm.logsf(z) + np.log(2)) / np.log(10)
    np.testing.assert_allclose(found, [400.0, 5000.0], rtol=1e-12)


def test_what_is_not_known_stays_so() -> None:
    assert np.isnan(inflation.chi_square(np.array([np.nan]))[0])
    assert np.isnan(inflation.chi_square_of_t(np.array([np.nan]), 10)[0])


@given(st.floats(-30, 30), st.integers(3, 10**6))
def test_a_t_statistic_and_its_p_value_have_one_chi_square(value: float, dof: int) -> None:
    p = 2 * t.sf(abs(value), dof)
    found = inflation.chi_square_of_t(np.array([value]), dof)[0]
    assert found == pytest.approx(chi2.isf(p, 1), rel=1e-7, abs=1e-8)


def test_chance_has_no_inflation_and_a_scale_is_found() -> None:
    z = np.random.default_rng(4).normal(size=200_001)
    # The median of so many has a standard error of .4 %.
    assert inflation.lambda_gc(z**2) == pytest.approx(1.0, abs=0.012)
    assert inflation.lambda_gc(1.3 * z**2) == pytest.approx(
        1.3 * inflation.lambda_gc(z**2), rel=1e-12
    )


def test_the_median_of_p_gives_the_inflation_of_an_odd_number_of_tests() -> None:
    strength = -np.log10(np.random.default_rng(5).random(1001))
    by_median = inflation.lambda_of_median(float(np.median(strength)))
    assert by_median == pytest.approx(inflation.lambda_gc(inflation.chi_square(strength)), rel=1e-9)


def test_nothing_to_take_a_median_of_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        inflation.lambda_gc(np.array([np.nan]))
    with pytest.raises(ValueError, match="no control"):
        inflation.lambda_1000(1.1, 10, 0)


@given(st.floats(0.8, 3), st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_people_are_scaled_down(value: float, cases: int, controls: int) -> None:
    scaled = inflation.lambda_1000(value, cases, controls) - 1
    assert scaled * (value - 1) >= 0
    assert inflation.lambda_1000(value, 2 * cases, 2 * controls) - 1 == pytest.approx(scaled / 2)
