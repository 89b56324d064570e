"""Tails, ranks and roots; above all the tail of Student's t where p itself is 0."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from equipoise.solvers.distributions import normal_quantile, ranks, root
from equipoise.solvers.student import student_log_tail


def by_series(t: float, dof: float) -> float:
    """Return log P(T > t) by the hypergeometric series of the incomplete beta function.

    DLMF 8.17.8, https://dlmf.nist.gov/8.17#E8: terms of one sign, summed to the end.
    """
    a, b, x = dof / 2, 0.5, dof / (dof + t * t)
    total, term, k = 0.0, 1.0, 0
    while term > 1e-18 * total:
        total += term
        term *= (a + b + k) / (a + 1 + k) * x
        k += 1
    log_x = -np.log1p(t * t / dof)
    log_y = 2 * np.log(t) - np.log(dof + t * t)
    log_beta = special.betaln(a, b)
    return a * log_x + b * log_y - np.log(a) - log_beta + np.log(total) - np.log(2)


def by_integral(t: float, dof: float) -> float:
    """Return log P(T > t) as log f(t) plus the logarithm of an integral of ordinary size."""
    scale = (dof + t * t) / ((dof + 1) * t)

    def ratio(z: float) -> float:
        further = t + z * scale
        return float(np.exp(-(dof + 1) / 2 * (np.log1p(further**2 / dof) - np.log1p(t * t / dof))))

    area = integrate.quad(ratio, 0, np.inf, epsrel=1e-11)[0]
    return float(stats.t.logpdf(t, dof) + np.log(area * scale))


@pytest.mark.parametrize("dof", [3, 50, 350, 5_000, 400_000])
@pytest.mark.parametrize("t", [0.5, 5.0, 30.0, 37.0, 38.3, 38.5, 40.0, 60.0, 200.0, 1e3, 1e6])
def test_the_tail_of_t_is_right_however_far_out(t: float, dof: int) -> None:
    found = float(student_log_tail(np.array([t]), dof)[0])
    # The logarithm of the beta function loses nine digits of a million at most.
    if t * t > dof / 500:  # nearer in, the series has millions of terms
        assert found == pytest.approx(by_series(t, dof), rel=1e-9, abs=1e-8)
    assert found == pytest.approx(by_integral(t, dof), rel=1e-8, abs=1e-7)


def test_the_tail_neither_jumps_nor_turns_where_the_two_ways_meet() -> None:
    t = np.linspace(36, 40, 4001)
    for dof in (2_000, 100_000, 400_000):
        slope = np.diff(student_log_tail(t, dof))
        assert np.all(slope < 0)
        # Log-concave up to rounding of numbers near 700 and of the beta function.
        assert np.abs(np.diff(slope)).max() < 1e-5


def test_for_many_people_the_tail_is_the_normal_one() -> None:
    t = np.array([1.0, 10.0, 50.0])
    # t^4 / (4 dof) is what the two differ by, 1.6e-4 at 50.
    np.testing.assert_allclose(student_log_tail(t, 1e10), stats.norm.logsf(t), rtol=1e-6)


def test_what_is_not_estimable_stays_so_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = student_log_tail(np.array([np.nan, 0.0, -3.0, 1e9]), 350)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(np.log(0.5), abs=1e-12)
    assert found[2] == pytest.approx(stats.t.logsf(-3.0, 350), abs=1e-12)
    assert np.isfinite(found[3])


@given(st.floats(1e-12, 1 - 1e-12))
def test_the_quantile_is_exceeded_with_its_probability(tail: float) -> None:
    assert stats.norm.sf(normal_quantile(tail)) == pytest.approx(tail, rel=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_ranks_are_from_1_with_ties_at_their_mean(values: list[int]) -> None:
    slow = [
        1 + sum(other < value for other in values) + (values.count(value) - 1) / 2
        for value in values
    ]
    assert ranks(np.array(values, np.float64)).tolist() == slow


def test_a_root_is_found_between_its_ends() -> None:
    # The finder stops within 2e-12 of it.
    assert root(lambda x: x**3 - 2, 0, 2) == pytest.approx(2 ** (1 / 3), abs=1e-11)
    with pytest.raises(ValueError, match="different signs"):
        root(lambda x: x**2 + 1, -1, 1)
