"""What a polygenic model predicts, against plain arithmetic; and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.models.polygenic import PolygenicModel
from equipoise.solvers.absolute_risk import TOO_FEW
from equipoise.solvers.logistic import probability
from models.polygenic_models import dosages, make_model, models

GROUPS = ("AFR", "EUR")


@settings(max_examples=30)
@given(models(), st.integers(0, 1000))
def test_a_score_is_the_sum_of_weights_and_a_missing_call_the_mean(
    model: PolygenicModel, seed: int
) -> None:
    n = model.variants.n_variants
    dosage = dosages(seed, 5, n)
    for g, group in enumerate(model.groups):
        found = model.score(dosage, group)
        for person in range(5):
            terms = [
                model.weights[j, g] * (model.means[j, g] if np.isnan(d) else d)
                for j, d in enumerate(dosage[person])
            ]
            assert found.score[person] == pytest.approx(sum(terms), abs=1e-12)
        expected = (found.score - model.centre[g]) / model.deviation[g]
        np.testing.assert_array_equal(found.standardised, expected)


@settings(max_examples=30)
@given(models(), st.integers(0, 1000))
def test_the_spread_is_that_of_the_candidates_of_the_groups_stack(
    model: PolygenicModel, seed: int
) -> None:
    n = model.variants.n_variants
    dosage = dosages(seed, 4, n)
    dense = model.candidates.dense(0, n)
    for g, group in enumerate(model.groups):
        filled = np.where(np.isnan(dosage), model.means[:, g], dosage)
        each = (filled @ dense - model.candidate_centre[:, g]) / model.candidate_deviation[:, g]
        share = model.shares[:, g]
        mean = each @ share
        expected = ((each - mean[:, None]) ** 2) @ share  # none has a share: 0
        np.testing.assert_allclose(model.score(dosage, group).spread, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("group", GROUPS)
def test_a_prediction_is_the_calibration_of_the_score_and_covariates(
    binary: bool, group: str
) -> None:
    model = make_model(3, binary=binary)
    score = model.score(dosages(4, 30, 12), group)
    age = np.linspace(-1, 1, 30)
    found = model.predict(score, group, age[:, None])
    a, b, c = model.calibrations[model.place(group)].coefficients
    linear = a + b * score.standardised + c * age
    assert found.risk is not None
    assert found.reason == ""
    value = probability(linear) if binary else linear
    np.testing.assert_allclose(found.risk.value, value, rtol=0, atol=1e-12)
    assert bool(np.all(found.risk.low <= value) and np.all(value <= found.risk.high))
    narrow = model.predict(score, group, age[:, None], level=0.5).risk
    assert narrow is not None
    assert bool(np.all(narrow.high - narrow.low <= found.risk.high - found.risk.low))


def test_a_group_that_is_not_estimable_has_scores_and_no_risk() -> None:
    model = make_model(5)
    found = model.predict(model.score(dosages(6, 3, 12), "rare"), "rare", np.zeros((3, 1)))
    assert found.risk is None
    assert found.reason == TOO_FEW
    assert len(found.score.score) == 3


def test_a_site_is_gone_by_where_it_has_people_enough() -> None:
    model = make_model(7)
    score, covariates = model.score(dosages(8, 9, 12), "EUR"), np.zeros((9, 1))
    plain, own, other = (
        model.predict(score, "EUR", covariates, site=site).risk for site in (None, "Turku", "Pisa")
    )
    assert plain is not None
    assert own is not None
    assert other is not None
    logit = np.log(plain.value / (1 - plain.value))
    np.testing.assert_allclose(own.value, probability(0.1 + 0.9 * logit), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(other.value, plain.value)


def test_the_adjusted_score_is_a_percentile_of_normal_deviates() -> None:
    model = make_model(9)
    assert model.adjustment is not None
    score, components = model.score(dosages(10, 9, 12), "EUR"), np.zeros((9, 2))
    found = model.predict(score, "EUR", np.zeros((9, 1)), components=components)
    assert found.adjusted is not None
    assert found.percentile is not None
    mean, log_variance = model.adjustment.mean[0], model.adjustment.log_variance[0]
    expected = (score.standardised - mean) / np.exp(log_variance / 2)
    np.testing.assert_allclose(found.adjusted, expected, rtol=0, atol=1e-12)
    assert bool(np.all(np.argsort(found.percentile) == np.argsort(found.adjusted)))
    none = replace(model, adjustment=None).predict(
        score, "EUR", np.zeros((9, 1)), components=components
    )
    assert none.adjusted is None
    assert none.percentile is None


def test_scores_made_elsewhere_have_the_interval_of_the_calibration_alone() -> None:
    model = make_model(11)
    whole = model.score(dosages(12, 9, 12), "EUR")
    plain = model.scored(whole.score, np.zeros((9, 0)), "EUR")
    assert not plain.spread.any()
    np.testing.assert_array_equal(plain.standardised, whole.standardised)


def test_wrong_people_and_variants_are_refused_in_words() -> None:
    model, group = make_model(13), "EUR"
    own = model.variants
    score = model.score(dosages(14, 3, 12), group)
    age = np.zeros((3, 1))
    with pytest.raises(InputError, match=r"expected \(people, 12\)"):
        model.score(np.zeros((3, 11)), group)
    with pytest.raises(InputError, match="recode missing calls such as -9"):
        model.score(np.full((3, 12), -9.0), group)
    with pytest.raises(InputError, match="dosages beyond 0 to 2"):
        model.score(np.full((3, 12), np.inf), group)
    with pytest.raises(InputError, match="no group 'EAS'"):
        model.score(np.zeros((3, 12)), "EAS")
    with pytest.raises(InputError, match="score that is no number"):
        model.scored(np.array([np.nan]), np.zeros((1, 0)), group)
    with pytest.raises(InputError, match=r"expected \(3, 1\): age"):
        model.predict(score, group)
    with pytest.raises(InputError, match="covariate that is missing"):
        model.predict(score, group, np.full((3, 1), np.nan))
    with pytest.raises(InputError, match="no site 'Oulu'"):
        model.predict(score, group, age, site="Oulu")
    with pytest.raises(InputError, match="PC1, PC2"):
        model.predict(score, group, age, components=np.zeros((3, 3)))
    columns = (own.chromosome, own.position, own.effect_allele, own.other_allele)
    model.check_variants(*columns)
    with pytest.raises(InputError, match="not the 12 of the model"):
        model.check_variants(own.chromosome, own.position, own.other_allele, own.effect_allele)
    with pytest.raises(InputError, match="not the 12 of the model"):
        model.check_variants(own.chromosome, own.position + 1, own.effect_allele, own.other_allele)
