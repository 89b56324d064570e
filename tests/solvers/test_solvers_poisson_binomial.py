"""The exact distribution against enumeration of every outcome."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from equipoise.solvers.poisson_binomial import log_mid_p, log_mid_p_of, probabilities

carriers = st.lists(
    st.tuples(st.integers(1, 2), st.floats(0.001, 0.999)), min_size=1, max_size=10
).map(lambda pairs: (np.array([c for c, _ in pairs]), np.array([p for _, p in pairs])))


def enumerated(copies, fitted):
    """Return P(T = k) by going through all who may be cases."""
    found = np.zeros(copies.sum() + 1)
    for cases in product((0, 1), repeat=len(copies)):
        chosen = np.array(cases)
        found[chosen @ copies] += np.prod(np.where(chosen, fitted, 1 - fitted))
    return found


def slow_mid_p(observed, copies, fitted, law=None):
    p = enumerated(copies, fitted) if law is None else law
    mean = copies @ fitted
    distance = np.abs(np.arange(len(p)) - mean)
    tied = np.abs(distance - abs(observed - mean)) < 1e-9
    return p[(distance > abs(observed - mean)) & ~tied].sum() + p[tied].sum() / 2


@given(carriers)
def test_probabilities_are_those_of_enumeration(drawn) -> None:
    copies, fitted = drawn
    # Sums of at most 1,024 products of ten factors.
    np.testing.assert_allclose(
        probabilities(copies, fitted), enumerated(copies, fitted), atol=1e-13
    )


@given(carriers, st.data())
def test_mid_p_is_that_of_enumeration(drawn, data) -> None:
    copies, fitted = drawn
    observed = data.draw(st.integers(0, int(copies.sum())))
    expected = slow_mid_p(observed, copies, fitted)
    assert np.exp(log_mid_p(observed, copies, fitted)) == pytest.approx(expected, rel=1e-9)


def test_equal_risks_give_the_binomial_distribution() -> None:
    copies, fitted = np.ones(150, np.int64), np.full(150, 0.01)
    law = stats.binom.pmf(np.arange(151), 150, 0.01)
    for observed in (0, 1, 2, 5, 12):
        expected = slow_mid_p(observed, copies, fitted, law)
        assert np.exp(log_mid_p(observed, copies, fitted)) == pytest.approx(expected, rel=1e-9)


def test_mid_p_stays_right_below_the_least_double() -> None:
    copies, fitted = np.ones(180, np.int64), np.full(180, 1e-3)
    # No outcome is as far on the other side, and the observed one counts by half.
    assert log_mid_p(180, copies, fitted) == pytest.approx(
        180 * np.log(1e-3) - np.log(2), rel=1e-12
    )
    law = 179 * np.log(1e-3) + np.log(180 * 0.999)
    expected = np.logaddexp(law - np.log(2), 180 * np.log(1e-3))
    assert log_mid_p(179, copies, fitted) == pytest.approx(expected, rel=1e-12)


def test_an_uneven_far_tail_is_right() -> None:
    copies, fitted = np.repeat([1, 2], 60), np.tile([1e-3, 2e-2], 60)
    # 163 of 180 copies: far below 1e-250; the twin works with logarithms.
    log_p = np.full(181, -np.inf)
    log_p[0] = 0.0
    for c, mu in zip(copies, fitted, strict=True):
        moved = np.concatenate([np.full(c, -np.inf), log_p[:-c] + np.log(mu)])
        log_p = np.logaddexp(log_p + np.log1p(-mu), moved)
    expected = np.logaddexp.reduce(np.concatenate([log_p[164:], [log_p[163] - np.log(2)]]))
    assert log_mid_p(163, copies, fitted) == pytest.approx(expected, rel=1e-10)


def test_nobody_who_carries_the_allele_tells_nothing() -> None:
    assert log_mid_p(0, np.zeros(0, np.int64), np.zeros(0)) == 0.0
    assert log_mid_p_of(np.zeros((1, 3)), np.array([0.0, 1, 0]), np.full(3, 0.3)) == [0.0]


@given(st.integers(0, 2**32 - 1))
def test_a_block_counts_the_rarer_allele_among_those_called(seed) -> None:
    draw = np.random.default_rng(seed)
    dosage = draw.choice([0.0, 1, 2, np.nan], size=(4, 30), p=[0.8, 0.1, 0.05, 0.05])
    y, fitted = draw.integers(0, 2, 30).astype(float), draw.uniform(0.05, 0.9, 30)
    found = log_mid_p_of(dosage, y, fitted)
    for row, log_p in zip(dosage, found, strict=True):
        held = np.nan_to_num(row)
        carried = held > 0
        copies = held[carried].astype(np.int64)
        assert log_p == pytest.approx(log_mid_p(int(held @ y), copies, fitted[carried]), abs=1e-12)
    np.testing.assert_allclose(log_mid_p_of(2 - dosage, y, fitted), found, atol=1e-12)


def test_dosages_that_are_not_whole_are_not_enumerated() -> None:
    found = log_mid_p_of(np.array([[0.0, 0.7, 1.0]]), np.array([0.0, 1, 0]), np.full(3, 0.3))
    assert np.isnan(found).all()
