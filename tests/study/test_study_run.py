"""A run: what it writes, that it is the pooled analysis, and what it does not depend on."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.artefacts import gwas_ssf
from equipoise.federation.roster import folds
from equipoise.ledger.log import read
from equipoise.ledger.reading import grow
from equipoise.ledger.tree import Frontier
from study.small import (
    CAUSAL,
    MARK,
    RARE,
    SITES,
    Person,
    Site,
    all_files,
    changed,
    draw,
    edit,
    findings,
    go,
    listed,
    matched,
    science,
    scores,
    write,
)

OWN = ("scores.tsv", "explanations.jsonl")
"""What a site has of its own people, where no components are asked for."""


def admitted(site: Site) -> Site:
    return [p for p in site if p.terms and "EQP:WITHDRAWN" not in {t[0] for t in p.terms}]


def everybody() -> Site:
    return [person for site in draw().values() for person in admitted(site)]


def close(one: Any, other: Any, tolerance: float) -> bool:
    """Say whether two pieces of JSON are the same but for so much in each number."""
    if isinstance(one, dict) and isinstance(other, dict):
        same = list(one) == list(other)
        return same and all(close(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(close(a, b, tolerance) for a, b in pairs)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance
    return bool(one == other)


def test_the_folder_holds_what_the_documents_promise_and_nothing_else(done: Path) -> None:
    ledger = {"ledger/checkpoint", "ledger/entries.jsonl"}
    ours = {"association.tsv", "model.txt", "dossier.html", "results.json", *ledger}
    sites = {f"sites/{site}/{name}" for site in SITES for name in (*OWN, *ledger)}
    assert {path.relative_to(done).as_posix() for path in all_files(done)} == ours | sites


def test_participants_are_counted_by_site_and_small_counts_are_merged(done: Path) -> None:
    people = science(done)["participants"]
    assert set(people) == set(SITES)
    counts = {name: {k: p[k] for k in ("recruited", "admitted", "refused")} for name, p in people.items()}  # fmt: skip
    assert counts["North"] == {"recruited": 40, "admitted": 34, "refused": {"withdrawn": 6}}
    # Two people: `other` is null, and so is what would give it away by subtraction.
    assert counts["East"] == {"recruited": None, "admitted": 38, "refused": {"other": None}}
    assert counts["South"] == {"recruited": 40, "admitted": 40, "refused": {}}


def test_results_have_the_keys_that_others_rely_on(done: Path) -> None:
    content = json.loads((done / "results.json").read_text())
    assert content["study"]["id"] == "small"
    row = {"chromosome", "base_pair_location", "effect_allele", "other_allele"}
    row |= {"beta", "standard_error", "neg_log_10_p_value"}
    assert all(row <= set(variant) for variant in content["association"]["top"])
    figure = {"value", "low", "high", "n", "events"}
    overall = content["evaluation"]["overall"]["auc"]
    assert figure <= set(overall)
    assert overall["n"] == 152
    assert overall["low"] < overall["value"] < overall["high"]
    by_site = content["evaluation"]["by"]["site"]
    assert set(by_site) == set(SITES)
    for name, site in by_site.items():
        assert figure <= set(site["auc"])
        assert site["auc"]["n"] == content["participants"][name]["admitted"]
    assert content["timings"]["total"] > 0
    steps = {"census", "frequency", "quality", "association", "model", "tuning", "calibration"}
    steps |= {"performance", "single", "recalibration", "relevance"}
    assert set(content["timings"]) == {*steps, "total"}
    assert set(content) == {
        "schema",
        "equipoise",
        "study",
        "people",
        "participants",
        "quality",
        "ancestry",
        "association",
        "model",
        "evaluation",
        "audit",
        "explanation",
        "disclosure",
        "ledger",
        "timings",
    }
    assert content["schema"] == 2
    assert (content["ancestry"], content["audit"]) == (None, None)
    metrics = {"auc", "o_e", "brier", "calibration_slope", "calibration_intercept"}
    assert set(content["evaluation"]["overall"]) == {*metrics, "roc", "calibration"}
    assert set(content["model"]["chosen"]) == {"l1", "l2", "tuned_r2"}
    assert len(content["model"]["chosen_by_fold"]) == content["evaluation"]["folds"] == 4
    parts = content["explanation"]["parts"]
    assert [part["part"] for part in parts] == [
        *content["model"]["loci"],
        "background",
        "covariates",
    ]


def test_the_ledger_in_the_results_is_the_one_before_them_and_names_them_next(done: Path) -> None:
    said = json.loads((done / "results.json").read_text())["ledger"]
    log = read(done / "ledger")
    lines = [entry.to_bytes() for entry in log.entries]
    assert grow(Frontier(), lines[: said["entries"]]).root.hex() == said["root"]
    after = log.entries[said["entries"]]
    content = (done / "results.json").read_bytes()
    assert after.kind == "artefact"
    assert after.body == {
        "path": "results.json",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }


def test_the_scan_has_a_row_for_each_variant_of_the_list_and_na_where_withheld(done: Path) -> None:
    table, public = gwas_ssf.read(done / "association.tsv"), listed()
    assert table.base_pair_location.tolist() == public.position.tolist()
    assert table.effect_allele.tolist() == public.effect_allele.tolist()
    withheld = [i for i, status in enumerate(table.status.tolist()) if status == "withheld"]
    assert withheld == [RARE]
    row = (done / "association.tsv").read_text().splitlines()[1 + RARE].split("\t")
    assert row[4:8] == ["NA"] * 4
    assert science(done)["association"]["withheld"] == 1
    assert int(np.nanargmax(table.neg_log_10_p_value)) == CAUSAL
    assert science(done)["association"]["top"][0]["base_pair_location"] == public.position[CAUSAL]


def imputed(people: Site) -> NDArray[np.float64]:
    dosage = np.stack([person.dosage for person in people])
    return np.where(np.isnan(dosage), np.nanmean(dosage, axis=0), dosage)


def test_the_scan_is_the_regression_on_all_rows_pooled(done: Path) -> None:
    people, table = everybody(), gwas_ssf.read(done / "association.tsv")
    ill = np.array([person.ill == "yes" for person in people], np.float64)
    male = np.array([person.sex == "male" for person in people], np.float64)
    dosage = imputed(people)
    for i in set(range(80)) - {RARE}:
        x = np.column_stack([np.ones(len(people)), male, dosage[:, i]])
        beta, (left,), *_ = np.linalg.lstsq(x, ill)
        error = np.sqrt(left / (len(people) - 3) * np.linalg.inv(x.T @ x)[2, 2])
        # Sums are published on a grid of 2^-20; there are about 60 units of variance.
        assert abs(table.beta[i] - beta[2]) < 1e-6
        assert abs(table.standard_error[i] - error) < 1e-6


def test_scores_are_of_the_admitted_alone_each_in_the_fold_of_the_seed(done: Path) -> None:
    for name, site in draw().items():
        found = scores(done, name)
        assert list(found) == [person.iid for person in admitted(site)]
        assert [f for _, f in found.values()] == folds(found, 7, 4).tolist()


def test_a_score_is_out_of_fold_from_the_weights_that_never_saw_the_person(done: Path) -> None:
    people = {person.iid: person for person in everybody()}
    dosage = dict(zip(people, imputed(everybody())[:, CAUSAL], strict=True))
    found = {iid: both for site in SITES for iid, both in scores(done, site).items()}
    mean = float(np.mean(list(dosage.values())))
    for fold in range(4):
        ratio = [
            score / (dosage[iid] - mean)
            for iid, (score, f) in found.items()
            if f == fold and dosage[iid] != pytest.approx(mean)
        ]
        # One variant is chosen, so that one weight serves a fold. Scores have 9 digits.
        assert max(ratio) - min(ratio) < 1e-6
    assert len({round(s / (dosage[i] - mean), 6) for i, (s, _) in found.items() if s}) == 4


def test_what_a_person_has_changes_no_score_of_their_own_fold(done: Path, tmp_path: Path) -> None:
    people = draw()
    fold = {iid: f for site in SITES for iid, (_, f) in scores(done, site).items()}
    own = [p for site in people.values() for p in site if fold.get(p.iid) == 0]
    other = {"yes": "no", "no": "yes"}
    turned = {p.iid for ill in other for p in [q for q in own if q.ill == ill][:4]}
    turn = {
        name: [changed(p, ill=other[p.ill]) if p.iid in turned else p for p in site]
        for name, site in people.items()
    }
    go(write(tmp_path / "study", turn), tmp_path / "out")
    before, after = (
        {iid: score for site in SITES for iid, (score, _) in scores(out, site).items()}
        for out in (done, tmp_path / "out")
    )
    assert len(turned) == 8
    # Who is not called at the one variant of the model has 0 from every model.
    told = {iid for iid, score in before.items() if score != 0}
    assert {i for i in told if after[i] == before[i]} == {i for i in told if fold[i] == 0}


def test_a_site_keeps_the_same_of_a_person_in_each_of_its_files(done: Path) -> None:
    for site in SITES:
        folder = done / "sites" / site
        table = [row.split("\t") for row in (folder / "scores.tsv").read_text().splitlines()[1:]]
        said = [json.loads(row) for row in (folder / "explanations.jsonl").read_text().splitlines()]
        assert [person["IID"] for person in said] == [row[0] for row in table]
        for person, (_, score, probability, _) in zip(said, table, strict=True):
            assert float(score) == pytest.approx(person["score"], rel=1e-8)
            assert float(probability) == pytest.approx(person["probability"], rel=1e-8)
            total = sum(part["value"] for part in person["contributions"])
            # Each contribution is written with 12 decimals.
            assert total == pytest.approx(person["score"], abs=1e-10)
            odds = person["baseline"] + person["score"]
            assert person["probability"] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-10)


def test_the_model_in_its_file_is_the_one_of_the_results(done: Path) -> None:
    lines = (done / "model.txt").read_text().splitlines()
    notes = dict(line[1:].split("=", 1) for line in lines if line[0] == "#" and line[1] != "#")
    header, *rows = (line.split("\t") for line in lines if line[0] != "#")
    found = [dict(zip(header, row, strict=True)) for row in rows]
    model = science(done)["model"]
    assert [
        (v["chromosome"], v["base_pair_location"], v["effect_allele"], v["other_allele"])
        for v in model["variants"]
    ] == [
        (v["chr_name"], int(v["chr_position"]), v["effect_allele"], v["other_allele"])
        for v in found
    ]
    assert [v["weight"] for v in model["variants"]] == [float(v["effect_weight"]) for v in found]
    assert float(notes["equipoise_intercept"]) == model["calibration"]["intercept"]
    assert int(notes["variants_number"]) == len(found) > 0


def test_the_same_inputs_and_seed_give_the_same_bytes_but_for_timings_and_ledger(
    small: Path, done: Path, tmp_path: Path
) -> None:
    go(small, tmp_path / "again")

    def kept(out: Path) -> str:
        content = json.loads((out / "results.json").read_text())
        content["timings"] = content["ledger"] = None
        return json.dumps(content)

    assert kept(tmp_path / "again") == kept(done)
    own = [f"sites/{site}/{name}" for site in SITES for name in OWN]
    names = ["association.tsv", "model.txt", *own]
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (done / name).read_bytes()


def test_another_seed_puts_people_into_other_folds(small: Path, done: Path, tmp_path: Path) -> None:
    shutil.copytree(small.parent, tmp_path / "study")
    edit(tmp_path / "study" / "study.toml", "seed = 7", "seed = 8")
    go(tmp_path / "study" / "study.toml", tmp_path / "out")
    assert scores(tmp_path / "out", "East") != scores(done, "East")
    assert science(tmp_path / "out")["association"] == science(done)["association"]


def test_masked_is_clear_to_the_last_digit(small: Path, done: Path, tmp_path: Path) -> None:
    shutil.copytree(small.parent, tmp_path / "study")
    edit(tmp_path / "study" / "study.toml", 'kind = "masked"', 'kind = "clear"')
    go(tmp_path / "study" / "study.toml", tmp_path / "out")
    assert science(tmp_path / "out") == science(done)
    for site in SITES:
        assert scores(tmp_path / "out", site) == scores(done, site)


def test_the_order_of_sites_in_the_study_file_changes_nothing(done: Path, tmp_path: Path) -> None:
    people = draw()
    study = write(tmp_path / "study", {name: people[name] for name in reversed(SITES)})
    go(study, tmp_path / "out")
    assert science(tmp_path / "out") == science(done)


def test_the_order_of_people_in_the_files_changes_nothing(done: Path, tmp_path: Path) -> None:
    people = draw()
    for site in people.values():
        random.Random(3).shuffle(site)
    go(write(tmp_path / "study", people), tmp_path / "out")
    # Floats are added in another order before they are put on their grid of 2^-20.
    assert close(science(tmp_path / "out"), science(done), 1e-5)
    for name in SITES:
        before, after = scores(done, name), scores(tmp_path / "out", name)
        assert {i: f for i, (_, f) in after.items()} == {i: f for i, (_, f) in before.items()}


def test_swapped_alleles_and_another_order_of_variants_at_a_site_change_nothing(
    done: Path, tmp_path: Path
) -> None:
    order = random.Random(4).sample(range(80), 80)
    study = write(
        tmp_path / "study",
        draw(),
        order={"East": order},
        swapped={"East": set(range(20, 60)), "West": {CAUSAL}},
    )
    go(study, tmp_path / "out")
    assert findings(tmp_path / "out") == findings(done)
    for site, count in {"East": 40, "West": 1, "North": 0}.items():
        as_they_are = {"swapped": count, "matched": 80 - count}
        assert matched(tmp_path / "out", site) == {**matched(done, site), **as_they_are}


def test_a_variant_that_a_site_lacks_is_one_that_nobody_there_was_called_at(tmp_path: Path) -> None:
    lacking = {CAUSAL, 2, 3, 77}
    has = [i for i in range(80) if i not in lacking]
    go(write(tmp_path / "lacks", draw(), order={"West": has}), tmp_path / "one")

    def without(person: Person) -> Person:
        dosage = person.dosage.copy()
        dosage[list(lacking)] = np.nan
        return changed(person, dosage=dosage)

    people = draw()
    people["West"] = [without(person) for person in people["West"]]
    go(write(tmp_path / "calls", people), tmp_path / "other")
    assert findings(tmp_path / "one") == findings(tmp_path / "other")
    lacks = {"matched": 76, "absent": 4}
    assert matched(tmp_path / "one", "West") == {**matched(tmp_path / "other", "West"), **lacks}
    # One site in four has no call there: beneath the least call rate, so withheld.
    assert science(tmp_path / "one")["association"]["tested"] == 80 - len({RARE, *lacking})


def test_a_figure_below_the_floor_is_null_with_its_reason_and_keeps_its_key(tmp_path: Path) -> None:
    people = draw()
    few = [changed(p, ill="yes" if i < 3 else "no") for i, p in enumerate(people["South"])]
    study = write(tmp_path / "study", {**people, "South": few})
    edit(study, "folds = 4", "folds = 3")  # so that each has enough cases without South's
    go(study, tmp_path / "out")
    auc = science(tmp_path / "out")["evaluation"]["by"]["site"]["South"]["auc"]
    assert auc["reason"] == "fewer than 5 people with or without the trait"
    assert [auc[key] for key in ("value", "low", "high", "events")] == [None] * 4
    assert auc["n"] == 40
    assert science(tmp_path / "out")["evaluation"]["overall"]["auc"]["value"] > 0.5
    assert "fewer than 5 people" in (tmp_path / "out" / "dossier.html").read_text()


def test_no_public_file_names_a_person(done: Path) -> None:
    private = {done / "sites" / site / name for site in SITES for name in OWN}
    for path in set(all_files(done)) - private:
        assert MARK.encode() not in path.read_bytes(), path


def test_new_files_have_the_rights_that_the_user_gives_to_new_files(
    small: Path, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        go(small, tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in all_files(tmp_path / "out"))


def test_results_may_go_into_an_empty_folder_and_through_a_link(
    small: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    outcome = go(small, tmp_path / "link")
    assert outcome.folder == tmp_path / "link"
    assert (tmp_path / "empty" / "results.json").exists()
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link"]
