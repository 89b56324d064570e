"""One variant at a time from sums: against statsmodels, in complete cases and in everybody."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solvers.regression import Effects, Moments, Status, complete_cases, regress


def sums(dosage, c, y, missing):
    g = np.where(missing, 0.0, dosage)
    z = np.column_stack([c, y])
    absent = np.einsum("vi,ip,iq->vpq", missing.astype(float), z, z)
    return g @ c, g @ y, np.einsum("vi,vi->v", g, g), absent


def scan(seed: int, n: int = 60, share: float = 0.1) -> tuple[Effects, list[tuple[float, float]]]:
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.3, (8, n)).astype(float)
    missing = rng.random((8, n)) < share
    c = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    y = rng.standard_normal((n, 2)) + dosage[0][:, None]
    cg, gy, gg, absent = sums(dosage, c, y, missing)
    found = complete_cases(Moments.of(c, y), cg, gy, gg, absent)
    expected = []
    for g, gone in zip(dosage, missing, strict=True):
        for trait in y.T:
            fit = sm.OLS(trait[~gone], np.column_stack([c, g])[~gone]).fit()
            expected.append((fit.params[-1], fit.bse[-1]))
    return found, expected


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_complete_cases_are_those_of_statsmodels(seed: int) -> None:
    found, expected = scan(seed)
    pairs = np.stack([found.beta, found.standard_error], axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(pairs, expected, rtol=1e-9)
    assert np.all(found.status == Status.OK)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_without_missing_calls_both_ways_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.2, (9, 40)).astype(float)
    c = np.column_stack([np.ones(40), rng.standard_normal((40, 3))])
    y = rng.standard_normal((40, 1))
    cg, gy, gg, absent = sums(dosage, c, y, np.zeros((9, 40), np.bool_))
    one = complete_cases(Moments.of(c, y), cg, gy, gg, absent)
    other = regress(Moments.of(c, y), cg, gy, gg)
    np.testing.assert_allclose(one.t, other.t, rtol=1e-9)
    np.testing.assert_array_equal(one.status, other.status)


def test_what_cannot_be_estimated_says_why_and_is_nan() -> None:
    n = 20
    rng = np.random.default_rng(0)
    x = rng.binomial(2, 0.4, n).astype(float)
    c = np.column_stack([np.ones(n), x])
    y = rng.standard_normal((n, 1))
    dosage = np.stack([np.full(n, 2.0), x, np.zeros(n), rng.binomial(2, 0.5, n), x])
    missing = np.zeros((5, n), np.bool_)
    missing[2] = True
    missing[3, 3:] = True
    missing[4, ::2] = True
    found = complete_cases(Moments.of(c, y), *sums(dosage, c, y, missing))
    names = [Status(s).name for s in found.status[:, 0]]
    assert names == ["MONOMORPHIC", "COLLINEAR", "NOT_CALLED", "TOO_FEW", "COLLINEAR"]
    assert np.isnan(found.beta).all()
    assert np.isnan(found.t).all()


def test_one_carrier_in_half_a_million_is_estimable() -> None:
    n = 500_000.0
    moments = Moments(np.array([[n]]), np.array([[0.0]]), np.array([n]))
    found = regress(moments, np.array([[1.0]]), np.array([[2.0]]), np.array([1.0]))
    assert found.status[0, 0] == Status.OK
    assert found.beta[0, 0] == pytest.approx(2.0, rel=1e-5)


def test_covariates_that_add_up_to_one_another_are_refused() -> None:
    c = np.ones((5, 2))
    with pytest.raises(ValueError, match="add up"):
        regress(
            Moments.of(c, np.arange(5.0)[:, None]), np.ones((1, 2)), np.ones((1, 1)), np.ones(1)
        )
