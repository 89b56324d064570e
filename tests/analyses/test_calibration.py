"""Calibration against scikit-learn on rows."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from analyses.modelled import COVARIATES, modelled, run
from equipoise.analyses.prediction import predictors
from equipoise.solvers.logistic import probability
from strategies import FOLDS


@pytest.mark.parametrize("row", range(FOLDS + 1))
def test_coefficients_are_those_of_scikit_learn(row: int) -> None:
    found = modelled()
    cohort = found.rows.cohort()
    x = predictors(cohort, found.nets, found.tuned, found.frequencies, COVARIATES)[row]
    kept = found.rows.fold != row - 1
    peer = LogisticRegression(C=10.0, tol=1e-12, max_iter=10_000)
    peer.fit(x[kept, None], found.rows.columns["trait"][kept])
    expected = [peer.intercept_[0], peer.coef_[0, 0]]
    assert found.calibrated.converged
    # scikit-learn stops by the size of the gradient.
    np.testing.assert_allclose(found.calibrated.coefficients[row], expected, atol=1e-4)


def test_each_person_is_judged_by_the_model_that_never_saw_their_fold() -> None:
    found = modelled()
    x = predictors(found.rows.cohort(), found.nets, found.tuned, found.frequencies, COVARIATES)
    for person in range(found.rows.n):
        row = found.rows.fold[person] + 1
        a, b = found.calibrated.coefficients[row]
        assert abs(found.rows.columns["score"][person] - b * x[row, person]) < 1e-12
        assert abs(found.rows.columns["logit"][person] - a - b * x[row, person]) < 1e-12
    columns = found.rows.columns
    np.testing.assert_allclose(columns["probability"], probability(columns["logit"]))
    np.testing.assert_array_equal(columns["predicted"], columns["probability"] >= 0.5)


def test_people_who_never_trained_are_judged_by_the_model_of_everybody() -> None:
    found = modelled()
    cohort = replace(found.rows.cohort(), fold=np.full(found.rows.n, -1))
    derived = found.calibration.derive(cohort, found.calibrated)
    x = predictors(cohort, found.nets, found.tuned, found.frequencies, COVARIATES)[0]
    a, b = found.calibrated.coefficients[0]
    np.testing.assert_allclose(derived["logit"], a + b * x, atol=1e-12)


def test_too_few_rounds_are_said_not_to_have_converged() -> None:
    found = modelled()
    short = run(replace(found.calibration, rounds=2), found.rows)
    assert short.rounds == 2
    assert not short.converged


def test_without_a_predictor_everybody_has_the_prevalence() -> None:
    found = modelled()
    nothing = replace(found.tuned, weights=np.zeros((FOLDS + 1, 2)), scale=np.zeros(FOLDS + 1))
    flat = run(replace(found.calibration, tuned=nothing), found.rows)
    rate = found.rows.columns["trait"].mean()
    assert not flat.coefficients[:, 1].any()
    assert abs(probability(flat.coefficients[0, 0]) - rate) < 1e-6
