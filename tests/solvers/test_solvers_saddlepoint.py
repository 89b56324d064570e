"""The saddle-point against a slow twin, person by person, and against exact tails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from equipoise.solvers.poisson_binomial import log_mid_p
from equipoise.solvers.saddlepoint import (
    Trait,
    log_normal_tail,
    log_tail_at,
    log_tails,
    log_two_sided,
)


def twin(g, mu, s):
    """Return the log tail beyond s by K(t) of everybody, and a root by bisection."""

    def terms(t):
        up, stay = np.log(mu) + t * g, np.log1p(-mu)
        return np.logaddexp(up, stay), np.exp(up - np.logaddexp(up, stay))

    def slope(t):
        return g @ (terms(t)[1] - mu)

    side = np.sign(s)
    most = np.maximum(side * g, 0).sum() - side * (g @ mu)
    if side * s >= most:
        return -np.inf
    far = side
    while side * slope(far) < side * s:
        far *= 2
    t = optimize.brentq(lambda t: slope(t) - s, 0, far, xtol=1e-15, rtol=1e-14)
    value, case = terms(t)
    k, curve = value.sum() - t * (g @ mu), g * g @ (case * (1 - case))
    w, v = np.sqrt(2 * (t * s - k)), abs(t) * np.sqrt(curve)
    return special.log_ndtr(-(w + np.log(v / w) / w))


def drawn(seed, n, share, frequency):
    """Return adjusted dosages and fitted probabilities."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=n)
    mu = 1 / (1 + np.exp(-(np.log(share / (1 - share)) + 0.7 * x)))
    g = draw.binomial(2, frequency, n).astype(float)
    c, w = np.column_stack([np.ones(n), x]), mu * (1 - mu)
    return g - c @ np.linalg.solve(c.T @ (w[:, None] * c), c.T @ (w * g)), mu


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.01, 0.1, 0.5, 0.95]),
    frequency=st.sampled_from([0.01, 0.1, 0.4, 0.97]),
    z=st.floats(2, 12),
)
def test_two_sided_p_is_that_of_the_slow_twin(seed, share, frequency, z) -> None:
    g, mu = drawn(seed, 1500, share, frequency)
    s = z * np.sqrt(g * g @ (mu * (1 - mu)))
    if not s > 0:
        return
    expected = np.logaddexp(twin(g, mu, s), twin(g, mu, -s))
    (found,) = log_two_sided(g[None], np.array([s]), Trait.of(mu))
    if np.isneginf(expected):
        assert np.isneginf(found)
    else:
        # The series of cumulants is cut where it is right to 1e-5 of a person's share.
        assert found == pytest.approx(min(expected, 0.0), abs=1e-4, rel=1e-5)


def test_series_of_cumulants_holds_at_its_edge_for_every_probability() -> None:
    mu = np.linspace(1e-6, 1 - 1e-6, 2001)
    trait, x = Trait.of(mu), 1.0
    powers = x ** np.arange(2, 11) / special.factorial(np.arange(2, 11))
    exact = np.log1p(mu * np.expm1(x)) - x * mu
    assert np.abs(powers @ trait.cumulants / exact - 1).max() < 1e-5


def test_both_tails_are_given() -> None:
    g, mu = drawn(3, 4000, 0.2, 0.3)
    s = 4 * np.sqrt(g * g @ (mu * (1 - mu)))
    (found,) = log_tails(g[None], np.array([-s]), Trait.of(mu))
    np.testing.assert_allclose(found, [twin(g, mu, s), twin(g, mu, -s)], rtol=1e-5)


def test_which_allele_is_counted_does_not_matter() -> None:
    g, mu = drawn(5, 2000, 0.05, 0.2)
    s = np.array([3 * np.sqrt(g * g @ (mu * (1 - mu)))])
    one, other = log_two_sided(g[None], s, Trait.of(mu)), log_two_sided(-g[None], -s, Trait.of(mu))
    np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("observed", [9, 12, 15, 20])
def test_a_score_of_whole_numbers_differs_from_the_exact_mid_p_as_it_must(observed) -> None:
    copies, mu = np.ones(1000), np.full(1000, 0.003)
    (found,) = log_two_sided(copies[None], np.array([observed - 3.0]), Trait.of(mu))
    exact = log_mid_p(observed, copies.astype(np.int64), mu)
    # Tilted by t to where it lies, the law falls by e^-t a step: its sum from the outcome on,
    # that by half, is t / 2 coth(t / 2) times the integral, whatever the number of carriers.
    t = np.log(observed / 3) + np.log(997 / (1000 - observed))
    assert np.exp(exact - found) == pytest.approx(t / 2 / np.tanh(t / 2), rel=0.02)


def test_no_outcome_so_far_out_has_no_tail() -> None:
    g, mu = np.array([[1.0, -1, 0]]), np.array([0.5, 0.5, 0.5])
    assert np.isneginf(log_two_sided(g, np.array([1.5]), Trait.of(mu))).all()


def test_a_constant_genotype_has_no_saddle_point() -> None:
    assert np.isnan(log_tails(np.zeros((1, 5)), np.zeros(1), Trait.of(np.full(5, 0.2)))).all()


def test_log_normal_tail_is_scipys() -> None:
    x = np.array([-5.0, 0, 1, 8, 11.99, 12, 12.01, 40, 1e4])
    found = [log_normal_tail(float(v)) for v in x]
    np.testing.assert_allclose(found, special.log_ndtr(-x), rtol=1e-13, atol=1e-15)


def test_the_tail_at_a_given_saddle_point() -> None:
    # K(t) = t^2 / 2 is the normal law: w = v, and nothing is to be corrected.
    t = np.array([[2.0, -3.0]])
    found = log_tail_at(t, t, t**2 / 2, np.ones_like(t))
    np.testing.assert_allclose(found, special.log_ndtr(-np.abs(t)), rtol=1e-13)
