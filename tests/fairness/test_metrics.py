"""What is shown of each group: a hand-made table, outside references, and what is withheld."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import roc_auc_score

from equipoise.analyses.performance import PerformanceResult
from equipoise.analyses.recalibration import RecalibrationResult
from equipoise.fairness import labels
from equipoise.fairness.metrics import MEASURES, calibration_table, measures, roc
from fairness.audits import Audit, audit, people, thirds
from strategies import SEEDS


def by_hand() -> tuple[PerformanceResult, RecalibrationResult]:
    """Return 100 people in two bins: 40 controls and 10 cases low, 20 and 30 high."""
    histogram = np.array([[[40, 20], [10, 30]]])
    one = np.array([0.7])
    found = PerformanceResult(
        groups="",
        open=np.array([1]),
        counts=np.array([[60, 40]]),
        edges=np.array([0.0]),
        histogram=histogram,
        sums=np.array([[50.0, 20.0, 18.0]]),
        auc=one,
        low=one - 0.1,
        high=one + 0.1,
        bound=one - 0.5,
    )
    refit = RecalibrationResult(
        open=np.array([1]),
        coefficients=np.array([[-0.25, 0.8]]),
        change=np.array([0.0]),
        information=np.array([[25.0, 0.0, 100.0]]),
        predicted=np.array([15.0, 35.0]),
        place=np.array([0, 1]),
        rounds=5,
    )
    return found, refit


def test_a_table_made_by_hand() -> None:
    shown = measures(*by_hand(), 0)
    assert tuple(shown) == MEASURES
    assert all((m["n"], m["events"], m["reason"]) == (100, 40, None) for m in shown.values())
    # 40 observed, 50 expected; ln(.8) ± 1.96 sqrt(.6 / 40).
    assert shown["o_e"]["value"] == pytest.approx(0.8)
    reach = 1.959964 * sqrt(0.6 / 40)
    assert shown["o_e"]["low"] == pytest.approx(exp(log(0.8) - reach), rel=1e-6)
    assert shown["o_e"]["high"] == pytest.approx(exp(log(0.8) + reach), rel=1e-6)
    # 18 / 100; 1 - .18 / (.4 * .6).
    assert shown["brier"]["value"] == pytest.approx(0.18)
    assert shown["scaled_brier"]["value"] == pytest.approx(0.25)
    # Errors 1 / sqrt(100) and 1 / sqrt(25).
    slope, intercept = shown["calibration_slope"], shown["calibration_intercept"]
    assert (slope["value"], slope["high"]) == pytest.approx((0.8, 0.8 + 0.1959964))
    assert (intercept["value"], intercept["low"]) == pytest.approx((-0.25, -0.25 - 0.3919928))
    assert (shown["auc"]["value"], shown["auc"]["bound"]) == pytest.approx((0.7, 0.2))
    assert calibration_table(*by_hand()) == [
        {"n": 50, "events": 10, "mean_predicted": 0.3, "observed": 0.2},
        {"n": 50, "events": 30, "mean_predicted": 0.7, "observed": 0.6},
    ]
    curve = [(p["false_positive_rate"], p["true_positive_rate"]) for p in roc(*by_hand())]
    np.testing.assert_allclose(curve, [(0, 0), (20 / 60, 30 / 40), (1, 1)], rtol=1e-12)


@settings(max_examples=6)
@given(SEEDS)
def test_the_area_under_the_curve_is_that_of_the_merged_bins(seed: int) -> None:
    rows = people(seed, n=400)
    run = audit(rows)
    curve = roc(run.found, run.refit)
    x = [p["false_positive_rate"] for p in curve]
    y = [p["true_positive_rate"] for p in curve]
    fine = np.digitize(rows.columns["score"], run.found.edges)
    merged = roc_auc_score(rows.columns["trait"], run.refit.place[fine])
    assert np.trapezoid(y, x) == pytest.approx(merged, abs=1e-12)


def test_a_table_has_everybody_and_no_bin_of_few() -> None:
    run = audit(people(31), thirds(people(31)))
    table = calibration_table(run.found, run.refit)
    assert sum(row["n"] for row in table) == run.found.counts[0].sum()
    assert sum(row["events"] for row in table) == run.found.counts[0, 1]
    for row in table:
        assert row["n"] >= 5
        assert row["events"] == 0 or row["events"] >= 5
        assert row["n"] == row["events"] or row["n"] - row["events"] >= 5


def few(seed: int) -> Audit:
    rows = people(seed)
    return audit(rows.with_column("sex", (np.arange(600) < 12).astype(np.float64)))


def test_a_group_of_few_has_neither_numbers_nor_counts() -> None:
    run = few(32)
    for cell in (1, 2):  # nor has the other level: everybody less it would be the group
        for measure in measures(run.found, run.refit, cell).values():
            assert {measure[k] for k in ("value", "low", "high", "n", "events")} == {None}
            assert measure["reason"]
    assert measures(run.found, run.refit, 0)["auc"]["value"] is not None


def test_a_slope_that_did_not_settle_is_withheld_with_its_reason_and_nothing_else_is() -> None:
    rows = people(33)
    run = audit(rows.with_column("score", np.where(rows.columns["trait"] == 1, 1.0, -1.0)))
    shown = measures(run.found, run.refit, 0)
    assert shown["calibration_slope"]["value"] is None
    assert "did not settle" in shown["calibration_slope"]["reason"]
    assert shown["o_e"]["value"] is not None


def test_groups_are_named_as_people_read_them() -> None:
    assert list(labels.cells(("sex", "smoker")).values()) == [
        "everybody",
        "sex=female",
        "sex=male",
        "smoker=no",
        "smoker=yes",
    ]
