"""The test for structure against noise, two populations, and Tracy and Widom's distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import airy

from equipoise.solvers.spectrum import (
    CRITICAL,
    Noise,
    above_noise,
    all_found,
    converged,
    effective_number,
)

Floats = NDArray[np.float64]


def tracy_widom_tail(s: float) -> float:
    """Return P(TW > s) of order 1, as a Fredholm determinant.

    Ferrari and Spohn 2005, doi:10.1088/0305-4470/38/33/L02: F(s) = det(1 - K) with the
    kernel Ai((x + y) / 2 + s) / 2 on x, y > 0; by quadrature as in Bornemann 2010,
    doi:10.1090/S0025-5718-09-02280-7.
    """
    x, w = np.polynomial.legendre.leggauss(60)
    x, w = 8 * (x + 1), 8 * w
    kernel = airy((x[:, None] + x[None]) / 2 + s)[0] / 2
    return 1 - float(np.linalg.det(np.eye(60) - np.sqrt(w)[:, None] * kernel * np.sqrt(w)))


def eigenvalues(seed: int, people: int, variants: int, apart: float = 0.0) -> Floats:
    """Return the eigenvalues of XX'/m for independent variants; `apart` is Fst of two halves."""
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.1, 0.9, variants)
    spread = np.sqrt(apart * p * (1 - p))
    halves = np.clip(p + spread * draw.choice([-1, 1], size=(2, variants)), 0.06, 0.94)
    g = draw.binomial(2, halves[np.arange(people) % 2]).astype(np.float64)
    f = g.mean(axis=0) / 2
    x = (g - 2 * f) / np.sqrt(2 * f * (1 - f))
    return np.linalg.eigvalsh(x @ x.T / variants)[::-1].copy()


def test_the_critical_value_is_that_of_tracy_and_widom() -> None:
    assert tracy_widom_tail(0.9793) == pytest.approx(0.05, rel=1e-3)  # a tabulated quantile
    assert tracy_widom_tail(CRITICAL) == pytest.approx(0.001, rel=1e-3)  # four digits of it


@pytest.mark.parametrize(("people", "variants"), [(120, 300), (150, 150), (300, 100)])
def test_independent_genotypes_have_no_component(people: int, variants: int) -> None:
    for seed in range(40):
        values = eigenvalues(seed, people, variants)
        assert not above_noise(values[:4], Noise(values.sum(), people, variants)).any()


@pytest.mark.parametrize(("people", "variants"), [(120, 300), (150, 150), (300, 100)])
def test_two_populations_have_one(people: int, variants: int) -> None:
    for seed in range(20):
        values = eigenvalues(seed, people, variants, apart=0.1)
        found = above_noise(values[:4], Noise(values.sum(), people, variants))
        assert found.tolist() == [True, False, False, False]


def by_patterson(values: Floats, total: float, people: int, effective: float) -> list[bool]:
    """Return the same with powers, as the paper writes it."""
    found = []
    for k, value in enumerate(values):
        m = people - k
        a, b = np.sqrt(effective - 1), np.sqrt(m)
        mu = (a + b) ** 2 / effective
        sigma = (a + b) / effective * (1 / a + 1 / b) ** (1 / 3)
        x = (value * (m - 1) / (total - values[:k].sum()) - mu) / sigma
        found.append(bool(x > CRITICAL) and all(found))
    return found


@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=5), st.integers(20, 500), st.floats(5, 900))
def test_it_is_the_test_of_patterson_et_al(
    drawn: list[float], people: int, effective: float
) -> None:
    values = np.sort(np.array(drawn))[::-1].copy()
    total = float(people) + values.sum()
    expected = by_patterson(values, total, people, effective)
    assert above_noise(values, Noise(total, people, effective)).tolist() == expected


@pytest.mark.parametrize(
    ("total", "people", "effective"), [(0.0, 50, 40.0), (9.0, 2, 40.0), (9.0, 50, 1.0)]
)
def test_too_little_to_judge_by_is_noise(total: float, people: int, effective: float) -> None:
    assert not above_noise(np.array([8.0, 1.0]), Noise(total, people, effective)).any()


def test_a_vector_is_found_when_its_residual_is_small_against_both_gaps() -> None:
    values = np.array([9.0, 5.0, 4.999, 2.0, 1.0])
    residuals = np.array([0.004, 1e-9, 1e-9, 0.004])
    assert converged(values, residuals, 0.01).tolist() == [True, False, False, True]
    assert converged(values, residuals, 0.0009).tolist() == [False, False, False, False]
    assert converged(values, residuals, 0.0001).tolist() == [False, True, True, False]


def test_nothing_is_found_among_zeros() -> None:
    assert not converged(np.zeros(4), np.zeros(3), 0.01).any()


def test_the_search_ends_once_all_that_may_stand_out_is_found() -> None:
    noise = Noise(100.0, 100, 1000.0)  # a mean of 1: by chance at most 1.9
    values, small = np.array([9.0, 5.0, 1.3, 1.2]), np.full(3, 0.005)
    assert all_found(values, small, noise, 0.01)
    for residuals in (
        [0.1, 0.005, 0.005],
        [0.005, 0.1, 0.005],
        [0.005, 0.005, 0.5],
        [0.005, 0.005, 0.05],
    ):
        assert not all_found(values, np.array(residuals), noise, 0.01)


def test_after_a_round_in_which_all_values_are_low_the_search_goes_on() -> None:
    values, residuals = np.array([1.1, 1.0, 0.9, 0.8]), np.full(3, 0.3)
    noise = Noise(100.0, 100, 1000.0)
    assert not above_noise(values[:3] + residuals, noise).any()
    assert not all_found(values, residuals, noise, 0.01)


def test_independent_variants_are_about_as_many_as_there_are() -> None:
    draw = np.random.default_rng(1)
    for people, m in ((100, 400), (400, 100)):
        r = np.corrcoef(draw.normal(size=(m, people)))
        found = effective_number(m, float((r**2).sum()), people, most=2.0 * m)
        assert found == pytest.approx(m, rel=0.05)  # m^2 / 2 squares, each with its own error
        doubled = np.kron(r, np.ones((2, 2)))
        same = effective_number(2 * m, float((doubled**2).sum()), people, most=2.0 * m)
        assert same == pytest.approx(m, rel=0.05)
