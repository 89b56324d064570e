"""Tuning against statsmodels on rows, and what it refuses to use."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from analyses.modelled import COVARIATES, PENALTIES, imputed, modelled, run
from equipoise.analyses.prediction import covariate_scores, net_scores, predictors
from strategies import FOLDS

PAIRS = len(PENALTIES) // 2


def scored(found, row: int, fold: int, pair: int) -> np.ndarray:
    """Return the scores of a fold's people by one net: plain sums over variants."""
    members = found.rows.fold == fold
    g = imputed(found) - 2 * found.frequencies.frequency[:, None]
    weights = found.nets.weights[row, fold + 1, pair]
    return weights @ g[found.nets.variants][:, members]


def test_scores_are_sums_of_weights_fitted_without_the_person() -> None:
    found = modelled()
    z = net_scores(found.rows.cohort(), found.nets, found.frequencies)
    for row in range(FOLDS + 1):
        for fold in range(FOLDS):
            for pair in range(PAIRS):
                mine = z[row, pair, found.rows.fold == fold]
                np.testing.assert_allclose(mine, scored(found, row, fold, pair), atol=1e-12)


def test_covariates_are_scored_by_least_squares_without_the_person() -> None:
    found = modelled()
    c = np.column_stack([found.rows.columns[name] for name in COVARIATES])
    z = covariate_scores(found.rows.cohort(), found.nets, COVARIATES)
    for row in range(FOLDS + 1):
        for fold in range(FOLDS):
            kept = ~np.isin(found.rows.fold, [row - 1, fold])
            fit = sm.OLS(found.rows.columns["trait"][kept], sm.add_constant(c[kept])).fit()
            expected = (c - c.mean(axis=0))[found.rows.fold == fold] @ fit.params[1:]
            # Sums are on a grid of 2^-33 or finer; weights on one of 2^-30.
            np.testing.assert_allclose(z[row, found.rows.fold == fold], expected, atol=1e-7)


@pytest.mark.parametrize("row", range(FOLDS + 1))
@pytest.mark.parametrize("seed", [3, 4])
def test_choice_and_weights_are_those_of_least_squares(row: int, seed: int) -> None:
    found = modelled(seed)
    kept = found.rows.fold != row - 1
    y = found.rows.columns["trait"][kept]
    z = net_scores(found.rows.cohort(), found.nets, found.frequencies)[row][:, kept]
    r = [np.corrcoef(q, y)[0, 1] if q.std() else -1.0 for q in z]
    best = int(np.argmax(r))
    alone = sm.OLS(y, sm.add_constant(z[best])).fit()
    assert found.tuned.choice[row] == (best if alone.tvalues[1] >= 2 else -1)
    assert abs(found.tuned.r2[row] - r[best] ** 2) < 1e-5
    others = covariate_scores(found.rows.cohort(), found.nets, COVARIATES)[row, kept]
    both = sm.OLS(y, sm.add_constant(np.column_stack([z[best], others]))).fit()
    joined = both.tvalues[2] >= 2
    expected = both.params[1:] if joined else [alone.params[1], 0.0]
    # Sums of squares are published in steps of 2^-20, of scores whose own are near 10.
    np.testing.assert_allclose(found.tuned.weights[row], expected, atol=1e-5)


def test_a_useless_score_is_not_used() -> None:
    found = modelled()
    draw = np.random.default_rng(5)
    rows = found.rows.with_column("trait", draw.permutation(found.rows.columns["trait"]))
    tuned = run(found.tuning, rows)
    unused = tuned.choice < 0
    assert unused.any()
    assert not tuned.weights[unused, 0].any()


def test_the_fold_that_is_tested_on_tunes_nothing() -> None:
    found = modelled()
    rows = found.rows
    flipped = np.where(rows.fold == 0, 1 - rows.columns["trait"], rows.columns["trait"])
    tuned = run(found.tuning, rows.with_column("trait", flipped))
    assert tuned.choice[1] == found.tuned.choice[1]
    np.testing.assert_array_equal(tuned.weights[1], found.tuned.weights[1])
    assert np.any(tuned.weights[0] != found.tuned.weights[0])


def test_predictors_have_standard_deviation_one_where_they_are_tuned() -> None:
    found = modelled()
    x = predictors(found.rows.cohort(), found.nets, found.tuned, found.frequencies, COVARIATES)
    for row in range(FOLDS + 1):
        kept = found.rows.fold != row - 1
        assert abs(x[row, kept].std() - 1) < 1e-5


def test_a_model_that_uses_nothing_predicts_zero() -> None:
    found = modelled()
    nothing = replace(
        found.tuned,
        choice=np.full(FOLDS + 1, -1),
        weights=np.zeros((FOLDS + 1, 2)),
        scale=np.zeros(FOLDS + 1),
    )
    x = predictors(found.rows.cohort(), found.nets, nothing, found.frequencies, COVARIATES)
    assert not x.any()
