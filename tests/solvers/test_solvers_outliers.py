"""Outliers by median and MAD: unmoved by the outliers, by group, and in any unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.solvers.outliers import LEAST_PEOPLE, LIMIT, distances


@given(st.integers(0, 99), st.floats(0.1, 100), st.floats(-100, 100))
def test_unit_and_origin_do_not_matter(seed: int, unit: float, origin: float) -> None:
    values = np.random.default_rng(seed).normal(size=40)
    # Adding an origin of a hundred loses two digits of each value.
    np.testing.assert_allclose(
        distances(unit * values + origin), distances(values), rtol=1e-6, atol=1e-6
    )


def test_spreads_of_normal_values_are_standard_deviations() -> None:
    values = np.random.default_rng(1).normal(3, 2, 100_000)
    # The MAD of 100,000 has a relative standard error of .4 %.
    assert np.std(distances(values)) == pytest.approx(1, abs=0.02)


def test_a_third_of_gross_errors_does_not_hide_them() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(size=70), np.full(30, 100.0)])
    assert np.flatnonzero(np.abs(distances(values)) > LIMIT).tolist() == list(range(70, 100))


def test_each_group_has_a_middle_of_its_own() -> None:
    draw = np.random.default_rng(3)
    values = np.concatenate([draw.normal(size=50), draw.normal(100, 1, 50), [50.0]])
    group = np.repeat([0, 1, -1], [50, 50, 1])
    found = distances(values, group)
    np.testing.assert_array_equal(found[:50], distances(values[:50]))
    assert np.nanmax(np.abs(found)) < LIMIT
    assert np.isnan(found[-1])


def test_few_values_missing_values_and_no_spread() -> None:
    assert np.isnan(distances(np.arange(LEAST_PEOPLE - 1.0))).all()
    values = np.arange(12.0)
    values[3] = np.nan
    assert np.flatnonzero(np.isnan(distances(values))).tolist() == [3]
    same = np.zeros(12)
    same[5], same[6] = 1, -1
    assert distances(same)[4:7].tolist() == [0, np.inf, -np.inf]
    assert distances(np.zeros(0)).shape == (0,)


def test_groups_of_others_are_refused() -> None:
    with pytest.raises(ValueError, match="groups of shape"):
        distances(np.zeros(3), np.zeros(2, np.int64))
