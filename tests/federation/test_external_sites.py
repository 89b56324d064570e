"""A site that never trains adds nothing to a sum, and shows how the model does there."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from equipoise.analyses.performance import Performance, PerformanceResult
from equipoise.analysis import Figure
from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError
from equipoise.federation import agreement, registry
from federation.attacks import agreeable, nothing
from federation.building import STRONG, Federation, build, scored, scores
from federation.driver import Driver


@pytest.mark.parametrize("kind", ["masked", "clear"])
def test_an_external_site_changes_no_result(kind: str, tmp_path: Path) -> None:
    with_it = build(tmp_path / "with", kind=kind, external=("s3",))
    without = build(tmp_path / "without", kind=kind, n_sites=3)
    results: list[Mapping[str, Any]] = []
    for federation in (with_it, without):
        done, log, _ = federation.run()
        results.append(done.results)
        log.close()
        federation.close()
    one, other = results
    for name in ("census", "frequency"):
        for field in ("people", "cases", "called", "alleles"):
            counts = [getattr(found[name], field, None) for found in (one, other)]
            assert np.array_equal(counts[0], counts[1])
    assert one["model"].variants.tolist() == other["model"].variants.tolist() == [STRONG]
    assert np.array_equal(one["model"].weights, other["model"].weights)


def test_all_that_an_external_site_sends_into_a_sum_is_zero(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear", external=("s3",))).to_start()
    sent: dict[str, list[int]] = {name: [] for name in driver.federation.names}
    while not driver.running.finished:
        asked = driver.running.asks and driver.phase == 0
        driver.go()
        if asked:
            for name, answer in driver.answers.items():
                values = np.frombuffer(b"".join(answer.blocks), "<i8")
                sent[name].append(int(np.count_nonzero(values)))
    assert set(sent["s3"]) == {0}
    assert all(0 not in sent[name] for name in ("s0", "s1", "s2"))
    driver.federation.close()


def test_people_of_an_external_site_are_scored_by_the_model_of_everybody(tmp_path: Path) -> None:
    federation = build(tmp_path, external=("s1",), calibrated=True)
    done, log, _ = federation.run()
    assert done.results["model"].variants.tolist() == [STRONG]
    found = scores(federation, "s1")
    assert {fold for _, fold in found} == {-1}
    np.testing.assert_allclose([s for s, _ in found], scored(federation, "s1", done, 0))
    assert {fold for _, fold in scores(federation, "s0")} == {0, 1, 2}
    log.close()
    federation.close()


def test_an_external_site_publishes_how_the_model_does_there(tmp_path: Path) -> None:
    federation = build(tmp_path, external=("s3",))
    done, log, _ = federation.run()
    auc = done.figures["performance"]["s3"]["auc"]
    assert auc["value"] > 0.7
    assert auc["n"] == federation.people["s3"].roster.n
    assert done.results["performance"].counts[0].sum() == done.plan.people == 90
    log.close()
    federation.close()


def test_an_external_site_goes_by_its_own_line_and_not_by_the_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the check of the plan's lines taken out, its people are in no sum."""
    driver = Driver(build(tmp_path, kind="clear", external=("s3",), steward=agreeable)).to_plan()
    assert driver.plan is not None
    lines = tuple(replace(line, external=False) for line in driver.plan.members)
    driver.plan = replace(driver.plan, members=lines)
    monkeypatch.setattr(agreement, "check_plan", nothing)
    assert driver.send("s3", driver.signing("s3")).kind == "signed"
    assert driver.federation.people["s3"].contributing.n == 0
    driver.federation.close()


@pytest.mark.parametrize("external", [("s2",), ("s1", "s2")])
def test_zeros_hide_nobody(external: tuple[str, ...], tmp_path: Path) -> None:
    """Three sites of which fewer train are refused: two would learn each other's sums."""
    federation = build(tmp_path, n_sites=3, external=external)
    driver = Driver(federation).to_plan()
    assert driver.plan is not None
    with pytest.raises(DisclosureError, match="external sites do not count"):
        agreement.check_protection(driver.plan)
    for name in federation.names:
        answer = driver.send(name, driver.signing(name))
        assert answer.body["error"] == "DisclosureError"
        assert "external sites do not count" in answer.body["reason"]
    federation.close()


def test_three_that_train_are_enough_and_two_without_external_sites_are_not(
    tmp_path: Path,
) -> None:
    three = Driver(build(tmp_path / "3", external=("s0",))).to_plan()
    assert three.plan is not None
    agreement.check_protection(three.plan)
    two = Driver(build(tmp_path / "2", n_sites=2)).to_plan()
    assert two.plan is not None
    with pytest.raises(DisclosureError, match=r"where one party may see every sum$"):
        agreement.check_protection(two.plan)


# --- what figures by site say


class Telling(Performance):
    """Publishes figures of every kind."""

    coarse: ClassVar[float] = 0.01
    said: ClassVar[dict[str, Figure]] = {}

    def figures(self, cohort: Cohort, result: PerformanceResult, /) -> Mapping[str, Figure]:
        del cohort, result
        return self.said


def told(figures: dict[str, Figure], root: Path, patch: pytest.MonkeyPatch) -> Federation:
    """Return a federation in which every site publishes these figures."""
    patch.setattr(Telling, "said", figures)
    patch.setattr(registry, "ANALYSES", {**registry.ANALYSES, "performance": Telling})
    return build(root, kind="clear")


def test_counts_that_are_not_shown_do_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {
        "auc": Figure(0.8, 0.7, 0.9, 30, 12),
        "auc@sex=1": Figure(0.7, 0.6, 0.8, 14, 6, shown=False),
        "mean": Figure(0.1, None, None, 30, None),
        "few": Figure(None, None, None, 3, None, "too few", shown=False),
    }
    federation = told(figures, tmp_path, monkeypatch)
    done, log, _ = federation.run()
    said = done.figures["performance"]["s0"]
    assert said["auc"] == {
        "value": 0.8,
        "low": 0.7,
        "high": 0.9,
        "n": 30,
        "events": 12,
        "reason": None,
    }
    assert said["auc@sex=1"] == {**said["auc"], "value": 0.7, "low": 0.6, "high": 0.8} | {
        "n": None,
        "events": None,
    }
    assert (said["mean"]["value"], said["mean"]["n"], said["mean"]["events"]) == (0.1, 30, None)
    assert (said["few"]["n"], said["few"]["reason"]) == (None, "too few")
    log.close()
    federation.close()


@pytest.mark.parametrize(
    "figure",
    [
        Figure(0.7, 0.6, 0.8, 14, 4, shown=False),
        Figure(0.7, 0.6, 0.8, 9, None),
        Figure(0.701, 0.6, 0.8, 14, 6),
    ],
)
def test_a_figure_that_says_too_much_never_leaves(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = told({"auc": figure}, tmp_path, monkeypatch)
    with pytest.raises(DisclosureError, match="site s0 refuses: a figure by site"):
        federation.run()
    assert federation.kinds("s0")[-1] == "refusal"
    federation.close()
