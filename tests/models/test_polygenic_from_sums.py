"""From scores at sites to a saved model with absolute risks: what sums give, rows confirm."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from equipoise.analyses.absolute_risk import AbsoluteRisk
from equipoise.analyses.score_adjustment import ADJUSTED, ScoreAdjustment
from equipoise.models.polygenic import PolygenicModel
from equipoise.solvers.absolute_risk import TOO_FEW
from equipoise.solvers.logistic import probability
from equipoise.tools import model_files
from laws import harness
from models.polygenic_models import dosages, make_model
from strategies import Rows, make_rows

SIZES = (900, 700, 8)
AXES = ("PC1", "PC2")


def scored(model: PolygenicModel) -> tuple[Rows, np.ndarray]:
    """Return people of the model's groups with their standardised scores, and their dosages."""
    draw = np.random.default_rng(1)
    n = sum(SIZES)
    group = np.repeat(np.arange(3.0), SIZES)
    dosage = dosages(2, n, model.variants.n_variants)
    score = np.zeros(n)
    for g, name in enumerate(model.groups):
        who = group == g
        score[who] = model.score(dosage[who], name).standardised
    score = np.clip(score, -8, 8)
    age = np.clip(draw.normal(size=n), -4, 4)
    trait = draw.random(n) < probability(-0.5 + 0.8 * score + 0.3 * age)
    components = np.clip(draw.normal(size=(2, n)), -4, 4)
    columns = {"score": score, "age": age, "trait": trait.astype(np.float64), "stratum": group}
    columns |= dict(zip(AXES, components, strict=True))
    return make_rows(3, n=n, kinds=("common",)).with_columns(columns), dosage


def plain(seed: int) -> PolygenicModel:
    """Return a model whose scores are standardised in the people of `scored`."""
    model = make_model(seed)
    dosage = dosages(2, sum(SIZES), model.variants.n_variants)
    each = np.column_stack([model.score(dosage, group).score for group in model.groups])
    return replace(model, centre=each.mean(axis=0), deviation=each.std(axis=0))


def test_a_model_made_of_sums_predicts_as_regressions_on_rows(tmp_path: Path) -> None:
    model = plain(4)
    rows, dosage = scored(model)
    named = {"trait": "trait", "score": "score", "group": "stratum", "groups": 3}
    calibration = AbsoluteRisk(rows.n, covariates=("age",), bounds=(8.0, 4.0, 1.0), **named)
    adjustment = ScoreAdjustment(rows.n, components=AXES, bounds=(8.0, 1.0), **named)
    sites = rows.split(np.arange(rows.n) % 3, 3)
    risks, adjusted = (
        harness.run(step, sites, "masked", rounds=16).result for step in (calibration, adjustment)
    )
    figures = {f"s{i}": calibration.figures(site, risks) for i, site in enumerate(sites)}
    made = replace(
        model,
        calibrations=tuple(risks.of_group(g) for g in range(3)),
        sites=model_files.sites_of(figures),
        adjustment=adjusted.adjustment,
    )
    model_files.save(tmp_path / "model", made)
    again = model_files.load(tmp_path / "model")
    z = adjustment.derive(rows.cohort(), adjusted)[ADJUSTED]
    for g, name in enumerate(again.groups[:2]):
        who = rows.columns["stratum"] == g
        score, age = again.score(dosage[who], name), rows.columns["age"][who]
        components = np.column_stack([rows.columns[axis][who] for axis in AXES])
        found = again.predict(score, name, age[:, None], components=components, level=0.95)
        design = np.column_stack([np.ones(who.sum()), score.standardised, age])
        family = sm.families.Binomial()
        fit = sm.GLM(rows.columns["trait"][who], design, family=family).fit(tol=1e-12)
        assert found.risk is not None
        np.testing.assert_allclose(found.risk.value, fit.predict(design), rtol=0, atol=2.0**-12)
        assert found.adjusted is not None
        np.testing.assert_allclose(found.adjusted, z[who], rtol=0, atol=1e-9)
        assert again.sites["s0"].slope == pytest.approx(1, abs=0.3)
    few = again.predict(again.score(dosage[-8:], "rare"), "rare", np.zeros((8, 1)))
    assert (few.risk, few.reason) == (None, TOO_FEW)


def test_a_site_with_few_people_has_no_calibration_of_its_own() -> None:
    model = plain(5)
    rows, _ = scored(model)
    named = {"trait": "trait", "score": "score", "group": "stratum", "groups": 3}
    calibration = AbsoluteRisk(rows.n, covariates=("age",), bounds=(8.0, 4.0, 1.0), **named)
    risks = harness.run(calibration, [rows.cohort()], "clear", rounds=16).result
    few = model_files.sites_of({"few": calibration.figures(rows.cohort(range(9)), risks)})
    assert (few["few"].intercept, few["few"].slope) == (None, None)
    assert "fewer than 10 people" in few["few"].reason
