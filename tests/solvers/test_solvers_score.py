"""The null model, the score test by sums, and the choice of what p values rest on."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equipoise.errors import InputError
from equipoise.solvers.firth import Status, firth
from equipoise.solvers.poisson_binomial import log_mid_p_of
from equipoise.solvers.saddlepoint import log_two_sided
from equipoise.solvers.score import (
    Method,
    binary_block,
    columns,
    doubtful,
    normal_log_p,
    null_logistic,
    score_test,
)

LN_10 = np.log(10)


def people(seed, n=2000, share=0.1):
    draw = np.random.default_rng(seed)
    terms = np.column_stack([np.ones(n), draw.normal(size=n), draw.integers(1, 3, n)])
    logit = np.log(share / (1 - share)) + 0.5 * terms[:, 1]
    return draw, terms, (draw.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def genotypes(draw, n, frequencies, missing=0.0):
    dosage = np.stack([draw.binomial(2, f, n) for f in frequencies]).astype(float)
    dosage[draw.random(dosage.shape) < missing] = np.nan
    return dosage


def filled(dosage):
    return np.where(np.isnan(dosage), np.nanmean(dosage, axis=1)[:, None], dosage)


def test_the_null_model_is_statsmodels() -> None:
    _, terms, y = people(1)
    null = null_logistic(terms, y)
    theirs = sm.Logit(y, terms).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(null.coefficients, theirs.params, atol=1e-9)
    np.testing.assert_allclose(null.inverse, theirs.cov_params(), rtol=1e-7)
    # Converged: what the covariates could still explain is nothing.
    assert np.abs(terms.T @ null.residual).max() < 1e-8


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_scores_and_variances_are_those_of_the_projected_genotypes(seed) -> None:
    draw, terms, y = people(seed, n=300, share=0.3)
    null = null_logistic(terms, y)
    g = genotypes(draw, 300, [0.05, 0.3])
    sums = g @ columns(null)
    score, variance = score_test(sums[:, 0], (g * g) @ null.weight, sums[:, 1:], null.inverse)
    root = np.sqrt(null.weight)
    for v in range(2):
        # Weighted least squares, by an outside routine.
        left = g[v] - terms @ np.linalg.lstsq(root[:, None] * terms, root * g[v], rcond=None)[0]
        assert score[v] == pytest.approx(left @ null.residual, abs=1e-8)
        assert variance[v] == pytest.approx(left @ (null.weight * left), rel=1e-9, abs=1e-9)


def test_z_squared_is_raos_score_statistic_and_near_the_likelihood_ratio() -> None:
    draw, terms, y = people(3, n=4000, share=0.3)
    dosage = genotypes(draw, 4000, [0.3])
    rows = binary_block(dosage, null_logistic(terms, y))
    full = sm.Logit(y, np.column_stack([terms, dosage[0]])).fit(disp=0)
    less = sm.Logit(y, terms).fit(disp=0)
    assert rows.z[0] ** 2 == pytest.approx(2 * (full.llf - less.llf), rel=0.02, abs=0.02)
    assert rows.beta[0] == pytest.approx(full.params[-1], abs=0.02)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda t, y: (t, np.zeros(len(y))), "not both 0 and 1"),
        (lambda t, y: (t, y + 1), "recode"),
        (lambda t, y: (t[:0], y[:0]), "recode"),
        (lambda t, y: (np.where(t > 2, np.nan, t), y), "leave out"),
        (lambda t, y: (np.column_stack([t, t[:, 1]]), y), "drop one"),
        (lambda t, y: (np.column_stack([t, y]), y), "part cases from others"),
        (lambda t, y: (np.column_stack([t, np.arange(len(y)) == y.argmax()]), y), "part cases"),
    ],
)
def test_a_null_model_that_cannot_be_fitted_is_refused(spoilt, message) -> None:
    _, terms, y = people(2, n=400)
    with pytest.raises(InputError, match=message):
        null_logistic(*spoilt(terms, y))


def test_covariates_of_any_size_are_fitted() -> None:
    _, terms, y = people(4)
    scaled = terms * np.array([1.0, 1e6, 1e-6])
    np.testing.assert_allclose(
        null_logistic(scaled, y).fitted, null_logistic(terms, y).fitted, atol=1e-9
    )


def test_each_p_value_is_found_the_way_that_fits_it() -> None:
    draw, terms, y = people(5, n=20_000, share=0.02)
    null = null_logistic(terms, y)
    dosage = genotypes(draw, 20_000, [0.002, 0.002, 0.2, 0.2, 0.02])
    # One of the rare and of the common variants, and the last, are carried by the cases.
    for v in (1, 3, 4):
        dosage[v, (y > 0) & (draw.random(20_000) < 0.2)] = 2.0 if v != 1 else 1.0
    rows = binary_block(dosage, null, firth_below=0)
    assert rows.method[0] == Method.EXACT
    assert (rows.method[3:] == Method.SADDLE_POINT).all()
    assert np.abs(rows.z[3:]).min() > 5
    exact = log_mid_p_of(dosage[:1], null.y, null.fitted)
    assert rows.neg_log_10_p[0] == pytest.approx(-exact[0] / LN_10)
    weighted = null.weight[:, None] * terms
    adjusted = dosage[3:] - dosage[3:] @ weighted @ null.inverse @ terms.T
    tails = log_two_sided(adjusted, adjusted @ null.residual, null.trait)
    np.testing.assert_allclose(rows.neg_log_10_p[3:], -tails / LN_10, rtol=1e-6)
    assert (rows.method[np.abs(rows.z) < 2] != Method.SADDLE_POINT).all()


def test_a_rare_variant_that_covariates_explain_goes_to_the_saddle_point() -> None:
    draw, terms, y = people(6, n=4000, share=0.1)
    group = (np.arange(4000) < 150).astype(float)
    y[:150] = draw.random(150) < 0.5
    # Nearly everybody of one group carries it, and nobody else.
    dosage = (group * (draw.random(4000) < 0.9))[None].copy()
    rows = binary_block(dosage, null_logistic(np.column_stack([terms, group]), y))
    assert rows.method[0] in {Method.SCORE, Method.SADDLE_POINT}


def test_small_p_values_bring_firths_effect() -> None:
    draw, terms, y = people(7)
    dosage = genotypes(draw, 2000, [0.1, 0.1], missing=0.02)
    dosage[1] += (y > 0) & (draw.random(2000) < 0.3)
    dosage = np.minimum(dosage, 2)
    null = null_logistic(terms, y)
    rows = binary_block(dosage, null)
    assert rows.beta_method.tolist() == [Method.SCORE, Method.FIRTH]
    fits = firth(dosage, terms, y)
    # Where the fit begins does not matter beyond what it converges to.
    assert rows.beta[1] == pytest.approx(fits.beta[1], abs=1e-6)
    assert rows.standard_error[1] == pytest.approx(fits.standard_error[1], rel=1e-6)
    everywhere = binary_block(dosage, null, firth_below=1.1)
    np.testing.assert_allclose(everywhere.beta, fits.beta, atol=1e-6)


def test_missing_calls_are_the_mean_dosage() -> None:
    draw, terms, y = people(8)
    null = null_logistic(terms, y)
    dosage = genotypes(draw, 2000, [0.3, 0.4], missing=0.1)
    one, other = binary_block(dosage, null), binary_block(filled(dosage), null)
    np.testing.assert_allclose(one.z, other.z, rtol=1e-12)


def test_what_is_not_estimable_says_why() -> None:
    _, terms, y = people(9)
    dosage = np.stack([np.zeros(2000), np.full(2000, 2.0), np.full(2000, np.nan), terms[:, 2] - 1])
    rows = binary_block(dosage, null_logistic(terms, y))
    expected = [Status.MONOMORPHIC] * 3 + [Status.COLLINEAR]
    assert rows.status.tolist() == expected
    for values in (rows.beta, rows.standard_error, rows.z, rows.neg_log_10_p):
        assert np.isnan(values).all()
    assert (rows.method == Method.NONE).all()


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_the_other_allele_has_the_opposite_effect_and_the_same_p(seed) -> None:
    draw, terms, y = people(seed, n=500, share=0.15)
    try:
        null = null_logistic(terms, y)
    except InputError:
        return
    dosage = genotypes(draw, 500, [0.01, 0.1, 0.4], missing=0.03)
    one, other = binary_block(dosage, null), binary_block(2 - dosage, null)
    np.testing.assert_allclose(one.z, -other.z, atol=1e-8)
    np.testing.assert_allclose(one.neg_log_10_p, other.neg_log_10_p, atol=1e-6)
    np.testing.assert_array_equal(one.method, other.method)


def test_no_variants_and_no_doubt() -> None:
    _, terms, y = people(10)
    assert len(binary_block(np.zeros((0, 2000)), null_logistic(terms, y)).beta) == 0
    z = np.array([np.nan, 1.0, 2.5, 0.1, 0.1])
    mac = np.array([5.0, 500, 500, 50, 50])
    assert doubtful(z, mac, 0.01).tolist() == [False, False, True, True, True]
    assert doubtful(z, mac, 0.5).tolist() == [False, False, True, False, False]


def test_normal_p_is_scipys_and_not_zero_far_out() -> None:
    z = np.array([-1.0, 0, 3, 100, np.nan])
    np.testing.assert_allclose(normal_log_p(z), stats.norm.logsf(np.abs(z)) + np.log(2), atol=1e-12)


def test_type_one_error_is_right_for_rare_variants_and_few_cases() -> None:
    draw, terms, y = people(11, n=4000, share=0.03)
    null = null_logistic(terms, y)
    p = []
    for frequency in (0.005, 0.02, 0.1):
        # A fresh trait would be as good; fresh genotypes are quicker.
        dosage = genotypes(draw, 4000, [frequency] * 1500)
        p.append(binary_block(dosage, null, firth_below=0).neg_log_10_p)
    rate = float(np.mean(np.concatenate(p) > 2))
    # 45 expected of 4,500; the discrete ones stay below. Within four standard deviations.
    assert 0.004 < rate < 0.016
