"""A run with all that a study file may ask for: components, an audit, a site that only tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from equipoise.ledger.audit import verify
from study.small import all_files, draw, edit, go, scores, write

pytestmark = pytest.mark.xdist_group("options")  # one run serves all


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run; it is not to be changed."""
    folder = tmp_path_factory.mktemp("options")
    study = write(folder / "study", draw(people=60))
    edit(study, 'columns = ["sex"]', 'columns = ["sex"]\ncomponents = 1')
    edit(study, "[validation]\n", '[audit]\ngroups = ["sex"]\n\n[validation]\n')
    edit(study, "folds = 4", "folds = 3")
    edit(study, 'consents = "West/consents.tsv"', 'consents = "West/consents.tsv"\nexternal = true')
    go(study, folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def results(out: Path) -> dict[str, Any]:
    """Return what `results.json` says."""
    return json.loads((out / "results.json").read_text())


def test_a_site_that_only_tests_is_in_no_total_and_is_judged(
    out: Path, results: dict[str, Any]
) -> None:
    people = results["participants"]
    trained = sum(part["admitted"] for part in people.values() if not part["external"])
    assert [name for name, part in people.items() if part["external"]] == ["West"]
    assert results["evaluation"]["overall"]["auc"]["n"] == trained == 172
    west = results["evaluation"]["by"]["site"]["West"]
    assert west["external"] is True
    assert west["auc"]["n"] == people["West"]["admitted"] == 60
    assert west["auc"]["value"] > 0.7
    assert {fold for _, fold in scores(out, "West").values()} == {-1}
    assert {fold for _, fold in scores(out, "East").values()} == {0, 1, 2}


def test_a_component_of_people_without_structure_is_dropped_and_left_out(
    out: Path, results: dict[str, Any]
) -> None:
    ancestry = results["ancestry"]
    assert (ancestry["asked"], ancestry["kept"]) == (1, 0)
    (component,) = ancestry["components"]
    assert component["reason"]
    assert results["association"]["covariates"] == ["sex"]
    assert results["association"]["left_out"] == ["PC1"]
    # What is 0 in everybody is no component of anybody.
    assert not list(out.rglob("components.tsv"))


def test_every_group_of_the_audit_has_a_verdict_on_every_metric(results: dict[str, Any]) -> None:
    audit = results["audit"]
    assert audit["groups"] == ["sex"]
    found = {(finding["group"], finding["metric"]) for finding in audit["findings"]}
    sexes = ("sex=female", "sex=male")
    sites = [f"site={site}" for site in results["participants"]]
    groups = [*sexes, *sites, *(f"{site}, {sex}" for site in sites for sex in sexes)]
    assert found == {(group, metric) for group in groups for metric in audit["margins"]}
    assert len(audit["findings"]) == len(found)
    verdicts = {"gap shown", "equivalence shown", "inconclusive", "not estimable"}
    assert {finding["verdict"] for finding in audit["findings"]} <= verdicts


def test_the_run_can_be_verified_and_holds_no_other_file(out: Path) -> None:
    assert verify(out).sites == ("East", "North", "South", "West")
    own = {path.relative_to(out).as_posix() for path in all_files(out / "sites")}
    files = ("scores.tsv", "explanations.jsonl", "ledger/checkpoint", "ledger/entries.jsonl")
    sites = ("East", "North", "South", "West")
    assert own == {f"sites/{site}/{name}" for site in sites for name in files}
