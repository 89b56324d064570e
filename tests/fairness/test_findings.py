"""Findings from public results and published figures: what is said, and what cannot be."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise.fairness.findings import by_site, comparisons, findings, largest
from fairness.audits import Audit, audit, external, people, thirds
from strategies import Rows

MARGINS = {"auc": 0.05, "o_e": 0.2, "calibration_slope": 0.2}
KEYS = (
    *("group", "metric", "reference", "value", "gap", "low", "high", "verdict"),
    *("minimum_detectable_gap", "reason", "adjusted_p"),
)


def published(run: Audit, sites: dict[str, Any]) -> dict[str, Any]:
    """Return figures as a run has them: by step, site and name, counts of parts withheld."""
    steps = {"performance": run.performance, "recalibration": run.recalibration}
    results = {"performance": run.found, "recalibration": run.refit}
    return by_site(
        {
            step: {
                site: {
                    name: {**asdict(f), **({} if f.shown else {"n": None, "events": None})}
                    for name, f in analysis.figures(cohort, results[step]).items()
                }
                for site, cohort in sites.items()
            }
            for step, analysis in steps.items()
        }
    )


def found(rows: Rows, names: str = "ABC") -> tuple[Audit, list[dict[str, Any]]]:
    sites = dict(zip(names, thirds(rows), strict=True))
    run = audit(rows, list(sites.values()))
    return run, findings(run.found, run.refit, published(run, sites), MARGINS)


def one(made: list[dict[str, Any]], group: str, metric: str) -> dict[str, Any]:
    (finding,) = [f for f in made if (f["group"], f["metric"]) == (group, metric)]
    return finding


def test_every_group_has_a_finding_for_each_metric_in_order() -> None:
    _, made = found(people(41))
    assert all(tuple(f) == KEYS for f in made)
    groups = list(dict.fromkeys(f["group"] for f in made))
    assert groups == [
        "sex=female",
        "sex=male",
        "site=A",
        "site=B",
        "site=C",
        *(f"site={s}, sex={x}" for s in "ABC" for x in ("female", "male")),
    ]
    assert len(made) == 3 * len(groups)
    assert one(made, "sex=female", "auc")["reference"] == "sex=male"
    assert one(made, "site=A, sex=male", "o_e")["reference"] == "everybody else"


def test_one_level_against_the_other_is_the_other_against_the_one_turned_round() -> None:
    _, made = found(people(42))
    for metric in MARGINS:
        women, men = (one(made, f"sex={x}", metric) for x in ("female", "male"))
        assert women["gap"] == pytest.approx(-men["gap"], abs=1e-12)
        assert (women["low"], women["high"]) == pytest.approx((-men["high"], -men["low"]))
        assert women["verdict"] == men["verdict"]
        assert women["adjusted_p"] == men["adjusted_p"]
    # Counted once: 3 metrics of 1 pair, 3 sites and 6 parts of sites.
    assert comparisons(made) == 3 * (1 + 3 + 6)


def test_a_score_that_works_in_one_sex_alone_is_found_out() -> None:
    rows = people(43, n=1500, spread=2.0)
    noise = np.random.default_rng(143).normal(0, 2.0, rows.n)
    score = np.where(rows.columns["sex"] == 1, noise, rows.columns["score"])
    rows = rows.with_column("score", score)
    run, made = found(rows)
    auc, slope = one(made, "sex=male", "auc"), one(made, "sex=male", "calibration_slope")
    assert auc["verdict"] == slope["verdict"] == "gap shown"
    assert auc["adjusted_p"] < 0.001
    men = rows.columns["sex"] == 1
    exact = [roc_auc_score(rows.columns["trait"][m], score[m]) for m in (men, ~men)]
    assert auc["gap"] == pytest.approx(exact[0] - exact[1], abs=float(run.found.bound[1:].sum()))
    assert one(made, "site=A, sex=male", "auc")["verdict"] == "gap shown"
    assert one(made, "site=A", "o_e")["verdict"] in ("inconclusive", "equivalence shown")
    worst = largest(made, "auc")
    assert worst is not None
    assert "sex=" in worst["group"]


def test_many_people_alike_show_equivalence_and_few_show_nothing() -> None:
    _, many = found(people(44, n=12000))
    assert one(many, "sex=female", "auc")["verdict"] == "equivalence shown"
    assert one(many, "site=B", "o_e")["verdict"] == "equivalence shown"
    _, few = found(people(45, n=240))
    least = one(few, "site=A", "auc")["minimum_detectable_gap"]
    assert least > 0.1  # "no significant gap" alone would say nothing
    assert one(few, "site=A", "auc")["verdict"] != "equivalence shown"


def test_a_group_without_cases_is_not_estimable_and_never_the_worst() -> None:
    # Fairlearn 0.15 answers a rate of 0, an interval of [0, 0] and a difference of .778.
    rows = people(46)
    at_a = np.arange(600) % 3 == 0
    trait = rows.columns["trait"].copy()
    trait[at_a & (rows.columns["sex"] == 1)] = 0.0
    _, made = found(rows.with_column("trait", trait))
    for metric in MARGINS:
        finding = one(made, "site=A, sex=male", metric)
        assert finding["verdict"] == "not estimable"
        numbers = ("value", "gap", "low", "high", "minimum_detectable_gap", "adjusted_p")
        assert {finding[key] for key in numbers} == {None}
        assert finding["reason"] == "fewer than 10 people with or without the trait"
        worst = largest(made, metric)
        assert worst is not None
        assert worst["group"] != "site=A, sex=male"


def test_nothing_estimable_has_no_worst() -> None:
    rows = people(47)
    _, made = found(rows.with_column("trait", (np.arange(600) < 4).astype(np.float64)))
    assert {f["verdict"] for f in made} == {"not estimable"}
    assert all(f["reason"] for f in made)
    assert largest(made, "auc") is None
    assert comparisons(made) == 0


def test_a_level_that_is_too_small_makes_neither_level_estimable() -> None:
    rows = people(48).with_column("sex", (np.arange(600) < 12).astype(np.float64))
    _, made = found(rows)
    for sex in ("female", "male"):
        assert one(made, f"sex={sex}", "auc")["verdict"] == "not estimable"
    assert one(made, "site=A", "auc")["verdict"] != "not estimable"


def test_verdicts_at_sites_follow_from_the_figures_alone() -> None:
    rows = people(49)
    run, made = found(rows)
    sites = dict(zip("ABC", thirds(rows), strict=True))
    figures = published(run, sites)["A"]
    auc = one(made, "site=A", "auc")
    gap = figures["auc.gap"]
    assert (auc["gap"], auc["low"], auc["high"]) == (gap["value"], gap["low"], gap["high"])
    assert auc["value"] == figures["auc"]["value"]
    assert auc["minimum_detectable_gap"] == figures["auc.detectable"]["value"]
    narrow = figures["auc.gap90"]
    inside = max(-narrow["low"], narrow["high"]) < 0.05
    assert (auc["verdict"] == "equivalence shown") == inside
    assert all(figures[f"auc{k}@sex=1"]["n"] is None for k in ("", ".gap", ".detectable"))


def test_an_external_site_has_findings_like_any_other() -> None:
    rows, outside = people(50), people(51, n=300, slope=0.2)
    run = audit(rows, thirds(rows))
    figures = published(run, {"X": external(outside.cohort())})
    made = findings(run.found, run.refit, figures, MARGINS)
    slope = one(made, "site=X", "calibration_slope")
    assert slope["verdict"] == "gap shown"
    assert slope["gap"] < -0.4


def test_metrics_without_a_margin_are_not_compared_and_missing_figures_are_said() -> None:
    rows = people(52)
    run = audit(rows, thirds(rows))
    made = findings(run.found, run.refit, {"A": {}}, {"auc": 0.05, "brier": 0.05})
    assert {f["metric"] for f in made} == {"auc"}
    finding = one(made, "site=A", "auc")
    assert finding["verdict"] == "not estimable"
    assert finding["reason"] == "the site published no such figure"


def test_where_groups_do_not_differ_few_gaps_are_shown() -> None:
    # Intervals of 95 %, and those of histograms wider by their bounds: 5 % at most. Findings
    # of one audit hang together, so 20 audits are worth about 200 of their 600 findings, of
    # whose rate four standard errors are .06.
    shown = estimable = 0
    for seed in range(60, 80):
        rows = people(seed, n=600, shift=0.0)
        sites = thirds(rows)
        run = audit(rows, bins=30)
        figures = published(run, dict(zip("ABC", sites, strict=True)))
        made = findings(run.found, run.refit, figures, dict.fromkeys(MARGINS, 1e-6))
        estimable += sum(f["verdict"] != "not estimable" for f in made)
        shown += sum(f["verdict"] == "gap shown" for f in made)
    assert estimable > 500
    assert shown / estimable < 0.11
