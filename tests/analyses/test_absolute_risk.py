"""Absolute risk by sums against statsmodels on rows, by group; and what is never asked."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings

from equipoise.analyses.absolute_risk import INTERCEPT, SLOPE, AbsoluteRisk
from equipoise.analyses.calibrated_risks import AbsoluteRisks
from equipoise.errors import InputError
from equipoise.solvers.absolute_risk import NOT_SETTLED, TOO_FEW, TOO_FEW_IN_ALL
from equipoise.solvers.logistic import probability
from laws import harness
from strategies import SEEDS, Rows, make_rows

SIZES = (600, 150, 12)
"""People by group: fitted whole, by an intercept, and not at all."""


def people(seed: int, *, binary: bool = True, shift: float = 0.0) -> Rows:
    """Return rows of three groups, whose trait follows score and age beside it."""
    draw = np.random.default_rng(seed)
    n = sum(SIZES)
    group = np.repeat(np.arange(3.0), SIZES)
    score, age = np.clip(draw.normal(size=(2, n)), -4, 4)
    linear = -0.4 + shift + 0.9 * score + 0.4 * age + 0.5 * (group == 1)
    if binary:
        trait = (draw.random(n) < probability(linear)).astype(np.float64)
    else:
        trait = np.clip(linear + draw.normal(size=n), -8, 8)
    columns = {"stratum": group, "score": score, "age": age, "trait": trait}
    order = draw.permutation(n)
    mixed = {name: values[order] for name, values in columns.items()}
    return make_rows(seed, n=n, kinds=("common",)).with_columns(mixed)


def analysis(rows: Rows, **changes: Any) -> AbsoluteRisk:
    """Return the analysis; the second group has fewer cases or others than `refit`."""
    literals: dict[str, Any] = {"binary": True, "k": 10, "refit": 100, **changes}
    bounds = (4.0, 4.0, 1.0 if literals["binary"] else 8.0)
    named = {"trait": "trait", "score": "score", "covariates": ("age",), "group": "stratum"}
    return AbsoluteRisk(rows.n, **named, bounds=bounds, groups=3, **literals)


def fitted(rows: Rows, built: AbsoluteRisk) -> AbsoluteRisks:
    """Return the result over three sites."""
    sites = rows.split(np.arange(rows.n) % 3, 3)
    return harness.run(built, sites, "masked", rounds=16).result


def design(rows: Rows, who: np.ndarray) -> np.ndarray:
    held = rows.columns
    return np.column_stack([np.ones(who.sum()), held["score"][who], held["age"][who]])


@settings(max_examples=8)
@given(SEEDS)
def test_a_yes_no_trait_is_calibrated_in_each_group_as_by_statsmodels(seed: int) -> None:
    rows = people(seed)
    built = analysis(rows)
    result = fitted(rows, built)
    group, trait = rows.columns["stratum"], rows.columns["trait"]
    family = sm.families.Binomial()
    whole = sm.GLM(trait[group == 0], design(rows, group == 0), family=family).fit(tol=1e-12)
    own = result.of_group(0)
    # The square of a last step of at most 2^-7, as in recalibration.
    np.testing.assert_allclose(own.coefficients, whole.params, rtol=0, atol=2.0**-13)
    np.testing.assert_allclose(own.covariance, whole.cov_params(), rtol=2.0**-6, atol=2.0**-14)
    both = group < 2  # nobody of the third is in the sums of everybody
    every = sm.GLM(trait[both], design(rows, both), family=family).fit(tol=1e-12)
    found = result.everybody()
    np.testing.assert_allclose(found.coefficients, every.params, rtol=0, atol=2.0**-13)
    assert found.people == 750
    second = design(rows, group == 1)
    offset = second[:, 1:] @ every.params[1:]
    few = sm.GLM(trait[group == 1], second[:, :1], family=family, offset=offset).fit(tol=1e-12)
    held = result.of_group(1)
    assert (held.own_slope, held.reason, held.people) == (False, "", 150)
    assert held.intercept == pytest.approx(few.params[0], abs=2.0**-12)
    assert held.slope == pytest.approx(every.params[1], abs=2.0**-12)
    assert result.of_group(2).reason == TOO_FEW
    assert result.of_group(2).intercept is None


@settings(max_examples=8)
@given(SEEDS)
def test_a_quantitative_trait_is_calibrated_as_by_statsmodels(seed: int) -> None:
    rows = people(seed, binary=False)
    built = analysis(rows, binary=False, k=50, refit=200)
    result = fitted(rows, built)
    group, trait = rows.columns["stratum"], rows.columns["trait"]
    fit = sm.OLS(trait[group == 0], design(rows, group == 0)).fit()
    own = result.of_group(0)
    np.testing.assert_allclose(own.coefficients, fit.params, rtol=0, atol=2.0**-18)
    np.testing.assert_allclose(own.covariance, fit.cov_params(), rtol=1e-4, atol=2.0**-18)
    assert own.deviation == pytest.approx(np.sqrt(fit.scale), abs=2.0**-18)
    every = sm.OLS(trait[group < 2], design(rows, group < 2)).fit()
    second = design(rows, group == 1)
    left = trait[group == 1] - second[:, 1:] @ every.params[1:]
    assert result.of_group(1).intercept == pytest.approx(left.mean(), abs=2.0**-15)
    assert result.of_group(2).reason == TOO_FEW


def test_nothing_but_its_count_is_asked_of_a_group_that_is_not_estimable() -> None:
    rows = people(5)
    built = analysis(rows)
    third = rows.columns["stratum"] == 2
    changed = rows.with_column(
        "score", np.where(third, -rows.columns["score"], rows.columns["score"])
    )
    changed = changed.with_column(
        "trait", np.where(third, 1 - rows.columns["trait"], rows.columns["trait"])
    )
    states = [a.state for a in harness.run(built, [rows.cohort()], "clear", rounds=16).asked]
    assert len(states) > 3
    for state in states[1:]:
        (one,), (other,) = (harness.sums_of(built, r.cohort(), state) for r in (rows, changed))
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)
        assert not one["gradient@group"][2].any()
    (first,) = harness.sums_of(built, rows.cohort(), states[0])
    assert [name for name, value in first.items() if value.any()] == ["counts"]


def test_no_group_is_estimable_where_all_are_too_few_for_slopes() -> None:
    rows = people(6)
    result = fitted(rows, analysis(rows, refit=2000))
    assert [result.of_group(g).reason for g in range(3)] == [TOO_FEW] * 3
    assert result.everybody().reason == TOO_FEW_IN_ALL


def test_a_score_that_separates_is_said_to_and_ends() -> None:
    rows = people(7)
    rows = rows.with_column("trait", (rows.columns["score"] > 0).astype(np.float64))
    result = fitted(rows, analysis(rows))
    assert result.of_group(0).reason == NOT_SETTLED


def test_a_site_publishes_how_its_people_lie_about_the_risk() -> None:
    rows = people(8)
    built = analysis(rows)
    result = fitted(rows, built)
    moved = people(9, shift=1.0)
    figures = built.figures(moved.cohort(), result)
    intercept, slope = figures[INTERCEPT], figures[SLOPE]
    assert intercept.low is not None
    assert intercept.high is not None
    assert intercept.low < 1.0 < intercept.high
    assert slope.low is not None
    assert slope.high is not None
    assert slope.low < 1.0 < slope.high
    assert intercept.n == 750  # who is in the third group has no risk to be compared with
    few = built.figures(rows.cohort(range(12)), result)
    assert few[INTERCEPT].value is None
    assert few[INTERCEPT].reason


def test_figures_of_a_quantitative_trait_are_those_of_a_straight_line() -> None:
    rows = people(10, binary=False)
    built = analysis(rows, binary=False, k=50, refit=200)
    result = fitted(rows, built)
    moved = people(11, binary=False, shift=0.7)
    figures = built.figures(moved.cohort(), result)
    assert figures[INTERCEPT].value == pytest.approx(0.7, abs=0.15)
    assert figures[SLOPE].value == pytest.approx(1.0, abs=0.15)


def test_a_trait_beyond_its_bound_is_refused() -> None:
    rows = people(12, binary=False)
    built = replace(analysis(rows, binary=False), bounds=(4.0, 4.0, 0.5))
    with pytest.raises(InputError, match=r"beyond its bound of 0\.5"):
        harness.run(built, [rows.cohort()], "clear", rounds=16)


def test_rounds_settle_for_a_steep_slope() -> None:
    rows = people(13)
    draw = np.random.default_rng(13)
    steep = (draw.random(rows.n) < probability(8 * rows.columns["score"])).astype(np.float64)
    result = fitted(rows.with_column("trait", steep), analysis(rows, refit=50))
    own = result.of_group(0)
    assert own.reason == ""
    assert own.slope is not None
    assert own.slope > 5
