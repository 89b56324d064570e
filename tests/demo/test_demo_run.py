"""The bundled study, run once: it finds the gene, tells who lacks it, and can be verified."""

import json
import re
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from dossier import fakes
from equipoise import demo
from equipoise.artefacts import gwas_ssf
from equipoise.ledger.audit import verify
from study.small import cli

pytestmark = pytest.mark.xdist_group("demo")  # one run serves all

ROOT = Path(__file__).resolve().parents[2]
SITES = ("CEU", "FIN", "GBR", "TSI")
GENE = 24_367_099
COARSE = 0.01
"""Figures by site are published in steps of this."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run, as the command writes it."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    told = cli("demo", "--out", folder)
    assert (told.code, told.err) == (0, "")
    assert "ILLUSTRATIVE" in told.out
    return folder


@pytest.fixture(scope="module")
def results(out: Path) -> dict[str, Any]:
    """Return what `results.json` says."""
    return json.loads((out / "results.json").read_text())


def paths(content: Any, above: str = "") -> set[str]:
    """Return every key of a content with those above it; sites count as one."""
    if isinstance(content, dict):
        named = {f"{above}.{'*' if key in SITES else key}": v for key, v in content.items()}
        return set(named).union(*(paths(value, name) for name, value in named.items()))
    if isinstance(content, list):
        return set().union(*(paths(item, above) for item in content))
    return set()


def rows(path: Path) -> dict[str, dict[str, str]]:
    header, *lines = (line.split("\t") for line in path.read_text().splitlines())
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def test_the_strongest_association_is_the_gene(results: dict[str, Any]) -> None:
    top = results["association"]["top"][0]
    assert top["chromosome"] == "22"
    assert abs(top["base_pair_location"] - GENE) <= 10_000
    assert top["neg_log_10_p_value"] > 30


def test_nothing_far_from_the_gene_is_genome_wide_significant(out: Path) -> None:
    table = gwas_ssf.read(out / "association.tsv")
    far = abs(table.base_pair_location - GENE) > 2_000_000
    assert far.sum() > 70_000
    # About 4.8, which depends on who is admitted; 7.3 is the threshold.
    assert 4 < table.neg_log_10_p_value[far].max() < 6


def test_the_score_tells_who_lacks_the_gene_in_each_cohort(results: dict[str, Any]) -> None:
    by_site = results["evaluation"]["by"]["site"]
    values = [by_site[site]["auc"]["value"] for site in SITES]
    assert min(values) >= 0.85
    assert sum(values) / 4 >= 0.93
    overall = results["evaluation"]["overall"]["auc"]
    assert overall["low"] < overall["value"] < overall["high"]
    assert overall["value"] >= 0.9


def test_the_accuracies_are_those_of_the_rows(out: Path, results: dict[str, Any]) -> None:
    truth: list[bool] = []
    given: list[float] = []
    for site in SITES:
        null = rows(demo.folder() / "sites" / site / "phenotypes.tsv")
        scores = rows(out / "sites" / site / "scores.tsv")
        own = [null[iid]["GSTT1_null"] == "yes" for iid in scores]
        score = [float(row["score"]) for row in scores.values()]
        reported = results["evaluation"]["by"]["site"][site]["auc"]
        assert (reported["n"], reported["events"]) == (len(own), sum(own))
        assert abs(roc_auc_score(own, score) - reported["value"]) <= COARSE / 2 + 1e-9
        truth, given = truth + own, given + score
    overall = results["evaluation"]["overall"]["auc"]
    assert (overall["n"], overall["events"]) == (len(truth), sum(truth))
    assert abs(roc_auc_score(truth, given) - overall["value"]) <= overall["bound"]


def test_the_admitted_are_those_whose_consent_covers_the_purpose(
    out: Path, results: dict[str, Any]
) -> None:
    for site in SITES:
        codes: dict[str, set[str]] = {}
        text = (demo.folder() / "sites" / site / "consents.tsv").read_text()
        for line in text.splitlines():
            if not line.startswith(("#", "IID\t")):
                iid, code, *_ = line.split("\t")
                codes.setdefault(iid, set()).add(code)
        # The demo draws these five kinds of terms; HMB and GRU cover HMB, NPOA does not forbid it.
        covered = {i for i, c in codes.items() if c & {"HMB", "GRU"} and "EQP:WITHDRAWN" not in c}
        assert set(rows(out / "sites" / site / "scores.tsv")) == covered
        assert results["participants"][site]["admitted"] == len(covered)


def test_the_consents_are_called_illustrative_wherever_they_are_shown(
    out: Path, results: dict[str, Any]
) -> None:
    for site in SITES:
        assert any(
            note.startswith("ILLUSTRATIVE") for note in results["participants"][site]["notes"]
        )
    assert "illustrative" in (out / "dossier.html").read_text().casefold()
    assert "ILLUSTRATIVE" in cli("check", demo.folder() / "study.toml").out


def test_the_model_is_of_the_gene_alone(results: dict[str, Any]) -> None:
    variants = results["model"]["variants"]
    assert len(variants) > 1
    assert {variant["chromosome"] for variant in variants} == {"22"}
    # Linkage disequilibrium about the deletion reaches no further.
    assert all(abs(variant["base_pair_location"] - GENE) < 500_000 for variant in variants)
    best = results["model"]["best_single_variant"]
    assert abs(best["base_pair_location"] - GENE) <= 10_000


def test_what_a_score_is_made_of_adds_up_for_everybody_and_is_mostly_the_gene(
    out: Path, results: dict[str, Any]
) -> None:
    part, *_ = results["explanation"]["parts"]
    chromosome, start, end = re.split("[:-]", part["part"])
    assert chromosome == "22"
    assert int(start) <= GENE + 10_000
    assert int(end) >= GENE - 10_000
    assert part["share_with"] > 0.5
    for site in SITES:
        scores = rows(out / "sites" / site / "scores.tsv")
        lines = (out / "sites" / site / "explanations.jsonl").read_text().splitlines()
        said = [json.loads(line) for line in lines]
        assert [person["IID"] for person in said] == list(scores)
        for person in said:
            total = sum(own["value"] for own in person["contributions"])
            # Scores are written with nine digits.
            assert abs(total - float(scores[person["IID"]]["score"])) < 1e-6


def test_each_site_has_the_components_that_were_kept_with_mean_0_and_variance_1_over_all(
    out: Path, results: dict[str, Any]
) -> None:
    kept = [axis["name"] for axis in results["ancestry"]["components"] if axis["kept"]]
    assert kept
    tables = [rows(out / "sites" / site / "components.tsv") for site in SITES]
    people = [person for table in tables for person in table.values()]
    assert len(people) == sum(part["admitted"] for part in results["participants"].values())
    for person in people:
        assert list(person) == ["IID", *kept]
    for name in kept:
        values = [float(person[name]) for person in people]
        # Loadings and eigenvalues are published on a grid of 2^-20 or finer.
        assert abs(fmean(values)) < 1e-4
        assert abs(pstdev(values) - 1) < 1e-3


def test_the_run_can_be_verified(out: Path) -> None:
    assert verify(out).sites == SITES


def test_the_documentation_names_every_key_of_the_results(results: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    told = {part for name in re.findall(r"`([^`]+)`", text) for part in re.split(r"[^\w]+", name)}
    # What comes from the data or the plan: steps, reasons, metrics of the study file.
    free = re.compile(r"\.(timings|participants\.\*\.refused|quality\.variants\.removed)\.")
    named = {name.rpartition(".")[2] for name in paths(results) if not free.match(name)}
    assert named - told - {"*"} == set()


def test_the_page_is_tested_on_keys_that_a_run_writes(results: dict[str, Any]) -> None:
    assert paths(fakes.results()) - paths(results) == set()
