"""Performance by sums against sklearn and plain arithmetic on rows, and figures by site."""

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from equipoise.analyses.performance import Performance, PerformanceResult
from equipoise.errors import InputError
from equipoise.federation import budget
from equipoise.solvers.auc import auc_interval
from equipoise.solvers.cells import names
from fairness.audits import Audit, audit, external, people, thirds, without
from laws import harness
from strategies import SEEDS, Rows, make_rows

GROUPS = ("sex", "smoker")


def members(rows: Rows, cell: str) -> np.ndarray:
    """Return who is in a cell such as "" or "sex=1"."""
    if not cell:
        return np.ones(rows.n, np.bool_)
    column, value = cell.split("=")
    return rows.columns[column] == float(value)


def probabilities(rows: Rows, span: float = 8.0) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(rows.columns["score"], -span, span)))


@settings(max_examples=10)
@given(SEEDS, st.sampled_from([0.5, 1.5, 6.0]))
def test_every_cell_agrees_with_sklearn_on_its_rows(seed: int, spread: float) -> None:
    rows = people(seed, n=400, spread=spread)
    found = audit(rows, thirds(rows), groups=GROUPS).found
    assert found.cells == ("", "sex=0", "sex=1", "smoker=0", "smoker=1")
    p, trait = probabilities(rows), rows.columns["trait"]
    for cell, name in enumerate(found.cells):
        who = members(rows, name)
        assert found.open[cell]
        assert tuple(found.counts[cell]) == ((trait[who] == 0).sum(), trait[who].sum())
        assert np.array_equal(found.histogram[cell].sum(axis=1), found.counts[cell])
        exact = roc_auc_score(trait[who], rows.columns["score"][who])
        # Published in steps of 2^-30, bound and value each.
        assert abs(found.auc[cell] - exact) <= found.bound[cell] + 2.0**-29
        assert found.low[cell] <= found.auc[cell] <= found.high[cell]
        sums = (
            p[who].sum(),
            (p * (1 - p))[who].sum(),
            brier_score_loss(trait[who], p[who]) * who.sum(),
        )
        # Half a step of 2^-20, and half a quantum (below 2^-30) a site.
        np.testing.assert_allclose(found.sums[cell], sums, rtol=0, atol=2.0**-20)


def test_the_auc_of_bins_is_sklearns_of_the_bins() -> None:
    rows = people(1)
    found = audit(rows, bins=7, span=2.0).found
    place = np.digitize(rows.columns["score"], found.edges)
    assert found.auc[0] == pytest.approx(roc_auc_score(rows.columns["trait"], place), abs=2.0**-30)
    low = auc_interval(float(found.auc[0] - found.bound[0]), *map(int, found.counts[0][::-1]))[0]
    assert found.low[0] == pytest.approx(low, abs=2.0**-28)  # roundings of two numbers


def test_bins_are_cut_to_where_people_are() -> None:
    rows = people(12, n=2000)
    found = audit(rows, bins=50).found
    assert found.bound.max() < 0.5 / 50
    assert found.histogram[0].sum(axis=0).min() > 20  # forty each, but for the even first cut


def test_people_are_counted_before_they_are_put_in_bins() -> None:
    rows = people(2)
    analysis = audit(rows).performance
    (first,) = harness.sums_of(analysis, rows.cohort(), analysis.start())
    for name, sums in first.items():
        assert not sums[..., 1:].any(), f"{name}: more than counts in the first round"
    assert not first["sums"].any()
    asked = harness.run(analysis, [rows.cohort()], "clear", rounds=3).asked
    assert len(asked) == 3
    second = asked[1].total[0]
    assert np.count_nonzero(second["histogram"]) > 2
    assert not second["histogram@sex"].any()
    assert not second["sums"].any()


@pytest.mark.parametrize("women_with", [0, 1, 9])
def test_a_column_with_a_small_level_is_asked_for_its_counts_alone(women_with: int) -> None:
    rows = people(3)
    sex = rows.columns["sex"].copy()
    sex[rows.columns["trait"] == 1] = 1.0
    sex[np.flatnonzero(rows.columns["trait"] == 1)[:women_with]] = 0.0
    rows = rows.with_column("sex", sex)
    run = audit(rows, groups=GROUPS)
    assert run.found.open.tolist() == [1, 0, 0, 1, 1]
    assert not run.found.histogram[1:3].any()
    assert not run.found.sums[1:3].any()
    state = replace(run.performance.start(), counts=_counts(run), stage=2)
    (second,) = harness.sums_of(run.performance, rows.cohort(), state)
    assert not second["histogram@sex"].any()
    assert not second["sums@sex"].any()
    assert second["histogram@smoker"].any()
    # Nor are they in any round of the recalibration.
    (third,) = harness.sums_of(run.recalibration, rows.cohort(), run.recalibration.start())
    assert not any(sums.any() for name, sums in third.items() if name.endswith("@sex"))
    figures = run.figures(rows.cohort())
    assert figures["auc"].value is not None
    for level, metric in (("sex=0", "auc"), ("sex=0", "o_e"), ("sex=1", "auc.gap")):
        figure = figures[f"{metric}@{level}"]
        assert figure.value is None
        assert figure.reason


def _counts(run: Audit) -> np.ndarray:
    return run.found.counts[[0, *range(2, len(run.found.counts), 2)]]


@pytest.mark.parametrize("cases", [0, 4, 596, 600])
def test_too_few_of_a_kind_in_all_ask_nothing_but_the_counts(cases: int) -> None:
    rows = people(4).with_column("trait", (np.arange(600) < cases).astype(np.float64))
    run = audit(rows)
    assert not run.found.open.any()
    assert not run.found.auc.any()
    assert tuple(run.found.counts[0]) == (600 - cases, cases)
    done = harness.run(run.performance, [rows.cohort()], "clear", rounds=3)
    assert len(done.asked) == 1
    figure = run.figures(rows.cohort())["auc"]
    assert (figure.value, figure.low, figure.high, figure.events) == (None,) * 4
    assert figure.reason == "fewer than 5 people with or without the trait"


def test_a_continuous_attribute_is_no_group() -> None:
    # Fairlearn 0.15 makes as many groups of one as it has values.
    rows = make_rows(5, n=60)
    analysis = audit(rows, k=2, floor=2).performance
    continuous = replace(analysis, groups=("age",))
    with pytest.raises(InputError, match="'age' has values other than 0 and 1; expected a column"):
        harness.sums_of(continuous, rows.cohort(), continuous.start())
    with pytest.raises(InputError, match="a column of two values"):
        continuous.figures(rows.cohort(), run_alone(rows))


def run_alone(rows: Rows) -> PerformanceResult:
    return audit(rows, k=2, floor=2).found


def test_scores_beyond_the_span_fall_into_the_end_bins() -> None:
    rows = people(6)
    shifted = rows.with_column("score", rows.columns["score"] + 1e6)
    found = audit(shifted).found
    assert found.histogram[0, :, -1].sum() == rows.n
    assert found.auc[0] == 0.5


# Figures by site.


@settings(max_examples=6)
@given(SEEDS)
def test_a_sites_figures_are_those_of_its_rows_made_coarse(seed: int) -> None:
    rows = people(seed, n=500)
    sites = thirds(rows)
    run = audit(rows, sites)
    for site in sites:
        figures = run.performance.figures(site, run.found)
        for name in names(("sex",)):
            who = site.column("sex") == float(name[-1]) if name else np.ones(site.n, np.bool_)
            trait, score = site.column("trait")[who], site.column("score")[who]
            p = 1 / (1 + np.exp(-score))
            suffix = f"@{name}" if name else ""
            cases, n = int(trait.sum()), len(trait)
            auc = figures["auc" + suffix]
            exact = roc_auc_score(trait, score)
            assert auc.value == pytest.approx(exact, abs=0.005 + 1e-9)
            low, high = auc_interval(exact, cases, n - cases)
            assert low - 0.01 <= auc.low <= low + 1e-9  # outward: the coarse covers the fine
            assert high - 1e-9 <= auc.high <= high + 0.01
            # O/E: exp(ln(O / E) ± 1.96 sqrt((1 - rate) / O)), methods as in the docstring.
            ratio, error = cases / p.sum(), sqrt((1 - cases / n) / cases)
            o_e = figures["o_e" + suffix]
            assert o_e.value == pytest.approx(ratio, abs=0.005 + 1e-9)
            assert o_e.low == pytest.approx(exp(log(ratio) - 1.959964 * error), abs=0.01)
            assert o_e.high == pytest.approx(exp(log(ratio) + 1.959964 * error), abs=0.01)
            brier = figures["brier" + suffix]
            assert brier.value == pytest.approx(brier_score_loss(trait, p), abs=0.005 + 1e-9)
            for figure in (auc, o_e, brier):
                assert (figure.n, figure.events, figure.shown) == (n, cases, not name)


@settings(max_examples=4)
@given(SEEDS)
def test_a_gap_is_to_everybody_who_is_not_in_the_group(seed: int) -> None:
    rows = people(seed, n=500)
    labels = np.arange(rows.n) % 3
    sites = thirds(rows)
    run = audit(rows, sites)
    figures = run.performance.figures(sites[1], run.found)
    for name in names(("sex",)):
        who = (labels == 1) & members(rows, name)
        rest = without(rows, who)
        alone = audit(rest, groups=()).found
        own = roc_auc_score(rows.columns["trait"][who], rows.columns["score"][who])
        suffix = f"@{name}" if name else ""
        gap = figures["auc.gap" + suffix]
        assert gap.value == pytest.approx(own - alone.auc[0], abs=0.005 + 1e-6)
        # Wider than either interval alone, by no less than the bound.
        assert gap.high - gap.low >= 2 * alone.bound[0]
        narrow = figures["auc.gap90" + suffix]
        assert gap.low <= narrow.low <= narrow.value <= narrow.high <= gap.high
        p = probabilities(rows)
        ratio = [rows.columns["trait"][w].sum() / p[w].sum() for w in (who, ~who)]
        expected = log(ratio[0] / ratio[1])
        assert figures["o_e.gap" + suffix].value == pytest.approx(expected, abs=0.005 + 1e-6)


def test_an_external_site_is_compared_with_everybody_who_trained() -> None:
    rows, other = people(7, n=500), people(8, n=90)
    run = audit(rows, thirds(rows))
    found = run.performance.figures(external(other.cohort()), run.found)
    own = roc_auc_score(other.columns["trait"], other.columns["score"])
    assert found["auc.gap"].value == pytest.approx(own - run.found.auc[0], abs=0.005 + 1e-9)
    # As a site that trained, its own people would have been taken off a total without them.
    ratio = other.columns["trait"].sum() / probabilities(other).sum()
    everybody = run.found.counts[0][1] / run.found.sums[0][0]
    assert found["o_e.gap"].value == pytest.approx(log(ratio / everybody), abs=0.005 + 1e-9)


def test_every_figure_passes_the_gate_and_is_named_alike_whatever_is_estimable() -> None:
    rows = people(9, n=240)
    few = rows.split(np.where(np.arange(240) < 25, 0, 1 + np.arange(240) % 2), 3)
    run = audit(rows, few)
    keys = [set(run.figures(site)) for site in few]
    assert keys[0] == keys[1] == set(run.figures(rows.cohort([])))
    for site in few:
        for figure in run.figures(site).values():
            budget.check_figure(figure, 0.01, 5)
    small = run.figures(few[0])
    assert small["auc.gap@sex=1"].reason == "fewer than 10 people with or without the trait"


def test_a_site_that_is_everybody_has_nobody_to_be_compared_with() -> None:
    rows = people(10, n=200)
    figures = audit(rows).figures(rows.cohort())
    assert figures["auc"].value is not None
    for metric in ("auc", "o_e", "calibration_slope"):
        assert figures[f"{metric}.gap"].value is None
        assert "among everybody else" in str(figures[f"{metric}.gap"].reason)
    assert figures["auc.gap@sex=1"].value is not None


def test_the_least_gap_is_taken_at_the_pooled_auc_and_never_at_an_estimate_of_1() -> None:
    rows = people(11, n=500)
    perfect = (np.arange(rows.n) < 60) & True
    score = np.where(
        perfect, np.where(rows.columns["trait"] == 1, 5.0, -5.0), rows.columns["score"]
    )
    rows = rows.with_column("score", score)
    sites = rows.split(np.where(perfect, 0, 1 + np.arange(rows.n) % 2), 3)
    figures = audit(rows, sites).performance.figures(sites[0], audit(rows, sites).found)
    assert figures["auc"].value == 1.0
    assert figures["auc"].low < 1.0
    assert figures["auc.detectable"].value > 0.05


def test_the_form_of_a_performance_without_groups_has_everybody_alone() -> None:
    plain = Performance(100, 6, 5, 10, "trait", "score")
    assert [name for name, _ in plain.schema(plain.start()).fields] == ["histogram", "sums"]
