"""Recalibration by sums against statsmodels on rows, and the slopes that sites publish."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.analyses.recalibration import SLOPE
from equipoise.solvers.bins import gathered
from fairness.audits import audit, external, people, thirds, without
from laws import harness
from strategies import SEEDS, Rows


def reference(rows: Rows, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intercept and slope with standard errors, by statsmodels."""
    design = sm.add_constant(np.clip(rows.columns["score"][who], -8, 8))
    fit = sm.GLM(rows.columns["trait"][who], design, family=sm.families.Binomial()).fit(tol=1e-12)
    return np.asarray(fit.params), np.asarray(fit.bse)


@settings(max_examples=12)
@given(SEEDS, st.sampled_from([0.3, 1.0, 2.0]), st.sampled_from([-1.5, 0.5]))
def test_every_cell_agrees_with_statsmodels(seed: int, slope: float, shift: float) -> None:
    rows = people(seed, n=500, slope=slope, shift=shift)
    refit = audit(rows, thirds(rows)).refit
    assert refit.rounds <= 8
    for cell, sex in ((0, None), (1, 0.0), (2, 1.0)):
        who = np.ones(rows.n, np.bool_) if sex is None else rows.columns["sex"] == sex
        fit = refit.fit(cell)
        assert fit.reason == ""
        params, errors = reference(rows, who)
        # The square of a last step of at most 2^-7, for a likelihood whose third derivative
        # over its second is below 1 here.
        assert (fit.intercept, fit.slope) == pytest.approx(tuple(params), abs=2.0**-14)
        # The information is that of one step before.
        assert (fit.intercept_error, fit.slope_error) == pytest.approx(tuple(errors), rel=2.0**-7)


@pytest.mark.parametrize("slope", [0.05, 0.2, -0.5, 1.0, 2.0])
@pytest.mark.parametrize("spread", [0.5, 2.0, 4.0])
def test_rounds_settle_for_scores_that_are_far_too_sure(slope: float, spread: float) -> None:
    rows = people(21, n=800, slope=slope, spread=spread, shift=0.0)
    refit = audit(rows, groups=()).refit
    params, _ = reference(rows, np.ones(rows.n, np.bool_))
    if spread * slope > 4:  # an AUC of .99: nearly separated, and said to be
        assert refit.fit(0).reason == "" or refit.change[0] > 2.0**-7
        return
    assert refit.fit(0).reason == ""
    assert refit.coefficients[0] == pytest.approx(params, abs=2.0**-13)


def test_separated_people_have_no_slope_and_a_reason() -> None:
    rows = people(22)
    rows = rows.with_column("score", np.where(rows.columns["trait"] == 1, 1.0, -1.0))
    run = audit(rows)
    assert "did not settle" in run.refit.fit(0).reason
    figures = run.recalibration.figures(rows.cohort(), run.refit)
    assert figures[SLOPE].value is None
    assert figures[SLOPE].reason


def test_scores_that_are_all_alike_have_no_slope_and_a_reason() -> None:
    rows = people(23).with_column("score", np.full(600, 0.3))
    refit = audit(rows).refit
    assert refit.fit(0).reason == "the predicted probabilities are all alike"


def test_a_cell_that_is_not_open_has_no_slope() -> None:
    rows = people(24)
    rows = rows.with_column("sex", (np.arange(600) < 5).astype(np.float64))
    refit = audit(rows).refit
    assert refit.open.tolist() == [1, 0, 0]
    assert "too few people" in refit.fit(2).reason
    assert not refit.coefficients[1:].any()


@settings(max_examples=8)
@given(SEEDS)
def test_predicted_probabilities_are_summed_over_merged_bins_of_enough_people(seed: int) -> None:
    rows = people(seed, n=300)
    run = audit(rows, thirds(rows))
    place = run.refit.place
    fine = np.digitize(rows.columns["score"], run.found.edges)
    p = 1 / (1 + np.exp(-np.clip(rows.columns["score"], -8, 8)))
    expected = np.bincount(place[fine], p, minlength=10)
    # Half a step of 2^-20 and half a quantum a site.
    np.testing.assert_allclose(run.refit.predicted, expected, rtol=0, atol=2.0**-20)
    counts = gathered(run.found.histogram[0], place)
    assert np.all((counts == 0) | (counts >= 5))
    assert np.all(counts.sum(axis=0) >= 5)


def test_probabilities_are_asked_in_the_first_round_alone() -> None:
    rows = people(25)
    run = audit(rows)
    asked = harness.run(run.recalibration, [rows.cohort()], "clear", rounds=8).asked
    assert [bool(a.total[0]["predicted"].any()) for a in asked] == [True] + [False] * (
        len(asked) - 1
    )


def test_a_run_stops_at_its_last_round_and_says_that_it_has_not_settled() -> None:
    rows = people(26)
    first = audit(rows, groups=())
    two = replace(first.recalibration, rounds=2)
    done = harness.run(two, [rows.cohort()], "clear", rounds=2)
    assert len(done.asked) == done.result.rounds == 2
    assert "did not settle" in done.result.fit(0).reason


# Figures by site.


@settings(max_examples=6)
@given(SEEDS)
def test_a_sites_slope_is_statsmodels_made_coarse_and_its_gap_is_to_everybody_else(
    seed: int,
) -> None:
    rows = people(seed, n=600)
    labels = np.arange(rows.n) % 3
    sites = thirds(rows)
    run = audit(rows, sites)
    figures = run.recalibration.figures(sites[0], run.refit)
    for name in ("", "sex=0", "sex=1"):
        who = labels == 0
        if name:
            who &= rows.columns["sex"] == float(name[-1])
        suffix = f"@{name}" if name else ""
        params, errors = reference(rows, who)
        own = figures[SLOPE + suffix]
        assert own.value == pytest.approx(params[1], abs=0.005 + 1e-6)
        assert own.low == pytest.approx(max(params[1] - 1.96 * errors[1], -5), abs=0.011)
        rest, rest_errors = reference(rows, ~who)
        gap = figures[SLOPE + ".gap" + suffix]
        # One step from everybody's slope: what it misses is of second order in the site's
        # influence, below a tenth of the error of the gap.
        error = float(np.hypot(errors[1], rest_errors[1]))
        assert gap.value == pytest.approx(params[1] - rest[1], abs=0.005 + 0.1 * error)
        assert (gap.high - gap.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_an_external_sites_slope_is_compared_with_that_of_all_who_trained() -> None:
    rows, other = people(27), people(28, n=150, slope=0.4)
    run = audit(rows, thirds(rows))
    figures = run.recalibration.figures(external(other.cohort()), run.refit)
    params, _ = reference(other, np.ones(other.n, np.bool_))
    expected = params[1] - run.refit.fit(0).slope
    assert figures[SLOPE + ".gap"].value == pytest.approx(expected, abs=0.005 + 1e-6)


def test_a_wide_interval_of_a_slope_is_cut_and_a_slope_beyond_it_is_not_published() -> None:
    rows = people(29, n=600)
    narrow = rows.with_column("score", rows.columns["score"] * 0.1)
    figures = audit(narrow).recalibration.figures(narrow.cohort(), audit(narrow).refit)
    assert figures[SLOPE].value is None
    assert figures[SLOPE].reason == "the slope is beyond 5"
    few = without(people(30, spread=0.5), np.arange(600) >= 40)
    run = audit(few)
    params, errors = reference(few, np.ones(few.n, np.bool_))
    steep = few.with_column("score", few.columns["score"] * params[1] / 4.0)
    assert 4.0 + 1.96 * errors[1] * 4.0 / params[1] > 5.0
    run = audit(steep)
    slope = run.recalibration.figures(steep.cohort(), run.refit)[SLOPE]
    assert (slope.value, slope.high) == (4.0, 5.0)
