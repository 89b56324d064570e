"""Adjustment for ancestry by sums against statsmodels, and what it does and does not even out."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings

from equipoise.analyses.score_adjustment import ADJUSTED, PERCENTILE, AdjustedScore, ScoreAdjustment
from equipoise.solvers.score_adjustment import of_rows
from laws import harness
from strategies import SEEDS, Rows, make_rows

AXES = ("PC1", "PC2")
SIZES = (1500, 1200, 60)


def people(seed: int) -> Rows:
    """Return rows of three groups along PC1: the score's mean and spread follow it.

    In the second group the score says less of the trait, as one made elsewhere does.
    """
    draw = np.random.default_rng(seed)
    n = sum(SIZES)
    group = np.repeat(np.arange(3.0), SIZES)
    first = np.array([-0.8, 1.0, 0.0])[group.astype(int)] + 0.1 * draw.normal(size=n)
    second = draw.normal(size=n)
    genetic = draw.normal(size=n)
    score = 0.8 * first + np.exp(0.3 * first) * genetic
    effect = np.array([1.2, 0.3, 0.6])[group.astype(int)]
    trait = (draw.logistic(size=n) < effect * genetic).astype(np.float64)
    columns = {"PC1": first, "PC2": second, "score": score, "trait": trait, "stratum": group}
    order = draw.permutation(n)
    mixed = {name: values[order] for name, values in columns.items()}
    return make_rows(seed, n=n, kinds=("common",)).with_columns(mixed)


def adjusted(rows: Rows, **changes: Any) -> tuple[ScoreAdjustment, AdjustedScore]:
    """Return the analysis and its result over three sites."""
    literals: dict[str, Any] = {"bounds": (8.0, 1.0), "group": "stratum", "groups": 3, **changes}
    built = ScoreAdjustment(rows.n, "trait", "score", AXES, **literals)
    sites = rows.split(np.arange(rows.n) % 3, 3)
    return built, harness.run(built, sites, "masked", rounds=16).result


@settings(max_examples=6)
@given(SEEDS)
def test_mean_and_variance_are_those_of_statsmodels(seed: int) -> None:
    rows = people(seed)
    _, result = adjusted(rows)
    assert result.settled
    a = sm.add_constant(np.column_stack([rows.columns[name] for name in AXES]))
    score = rows.columns["score"]
    mean = sm.OLS(score, a).fit()
    np.testing.assert_allclose(result.mean, mean.params, rtol=0, atol=2.0**-18)
    gamma = sm.families.Gamma(link=sm.families.links.Log())
    variance = sm.GLM(mean.resid**2, a, family=gamma).fit(tol=1e-13)
    # The last step is below 2^-10, and squared residuals are cut at 64 variances.
    np.testing.assert_allclose(result.log_variance, variance.params, rtol=0, atol=2.0**-9)


def test_rows_give_what_sites_give() -> None:
    rows = people(3)
    _, result = adjusted(rows)
    components = np.column_stack([rows.columns[name] for name in AXES])
    twin = of_rows(AXES, components, rows.columns["score"])
    np.testing.assert_allclose(result.mean, twin.mean, rtol=0, atol=2.0**-18)
    np.testing.assert_allclose(result.log_variance, twin.log_variance, rtol=0, atol=2.0**-9)
    assert result.adjustment.components == AXES


def test_who_is_called_high_risk_is_evened_out_and_accuracy_is_not_restored() -> None:
    rows = people(4)
    built, result = adjusted(rows)
    before, after = (result.high[:2] / result.counts[:2, :1]).T
    assert before[1] - before[0] > 0.15
    # Five per cent are expected; within four binomial standard deviations of 1,200 people.
    np.testing.assert_allclose(after, 0.05, rtol=0, atol=0.026)
    assert result.r2[0, 0] > 3 * result.r2[1, 0] > 0
    np.testing.assert_allclose(result.r2[:2, 1], result.r2[:2, 0], rtol=0, atol=0.01)
    columns = built.derive(rows.cohort(), result)
    for g in range(2):
        own = columns[ADJUSTED][rows.columns["stratum"] == g]
        assert own.mean() == pytest.approx(0, abs=0.1)
        assert own.std() == pytest.approx(1, abs=0.1)
        assert np.mean(columns[PERCENTILE][rows.columns["stratum"] == g] > 50) == pytest.approx(
            0.5, abs=0.06
        )


def test_the_shown_squared_correlations_are_numpys() -> None:
    rows = people(5)
    built, result = adjusted(rows)
    z = built.derive(rows.cohort(), result)[ADJUSTED]
    for g in range(2):
        who, trait = rows.columns["stratum"] == g, rows.columns["trait"]
        for place, score in enumerate((rows.columns["score"], z)):
            expected = np.corrcoef(score[who], trait[who])[0, 1] ** 2
            assert result.r2[g, place] == pytest.approx(expected, abs=2.0**-12)


def test_a_group_too_small_to_have_k_people_above_the_threshold_is_not_shown() -> None:
    rows = people(6)
    built, result = adjusted(rows)
    assert result.open.tolist() == [1, 1, 0]
    assert not result.high[2].any()
    assert not result.r2[2].any()
    assert result.counts[2, 0] == 60
    states = [a.state for a in harness.run(built, [rows.cohort()], "clear", rounds=16).asked]
    shown = [bool(harness.sums_of(built, rows.cohort(), s)[0]["high"].any()) for s in states]
    # Asked once: a threshold that moves would tell of those whom it passes.
    assert shown == [False] * (len(states) - 1) + [True]


def test_a_component_that_does_not_vary_changes_nothing() -> None:
    rows = people(7).with_column("PC2", np.zeros(sum(SIZES)))
    _, result = adjusted(rows)
    assert result.settled
    assert (result.mean[2], result.log_variance[2]) == (0.0, 0.0)
