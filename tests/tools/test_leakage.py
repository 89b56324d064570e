"""The attack on a run's folder: one is made up here, with real sums over made-up people."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from equipoise.artefacts import gwas_ssf, scores
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import decode, encode
from equipoise.solvers.membership import membership_auc
from equipoise.tools.leakage import CASES, EVERYBODY, SMALLEST_FOLD, leak

M, MEMBERS, OTHERS, FOLDS = 3_000, 60, 45, 4
MARK = "-qqz"


@dataclass(frozen=True)
class Made:
    """A folder, the genotypes of two ancestries in pairs, the list of cases."""

    folder: Path
    genotypes: list[str]
    cases: Path


def listed() -> Variants:
    rows = [(str(1 + i % 22), 1_000 * i + 1, *"AG") for i in range(M)]
    rows[0] = ("X", 1, *"AG")
    return Variants.of(pl.DataFrame(rows, schema=list(HEADER), orient="row"))


def scan(calls: NDArray[np.float64], y: NDArray[np.float64]) -> Statistics:
    """Return the linear scan without covariates, missing calls at the mean."""
    n, known = len(y), listed().frame()
    frequency = np.nanmean(calls, axis=1) / 2
    g = np.where(np.isnan(calls), 2 * frequency[:, None], calls) - 2 * frequency[:, None]
    gg, gy = np.sum(g * g, axis=1), g @ (y - y.mean())
    beta = gy / gg
    error = np.sqrt((np.sum((y - y.mean()) ** 2) - beta * gy) / (n - 2) / gg)
    return Statistics(
        *(known[name].to_numpy() for name in HEADER),
        beta, error, frequency, np.ones(M), np.full(M, n), np.full(M, "ok", object),
    )  # fmt: skip


def results(folds: NDArray[np.int64], cases: int) -> dict[str, Any]:
    sizes = np.bincount(folds).tolist()
    sets = [(SMALLEST_FOLD, min(sizes)), (EVERYBODY, len(folds)), ("cases of a fold", 5)]
    release = {
        "step": "association",
        "values": 3 * FOLDS * M,
        "over": ["fold"],
        "reads": ["genotype"],
    }
    budget = {"over": ["fold"], "used": 5, "allowed": 6, "block": [0, 9], "blocks": 1}
    return {
        "study": {"id": "made-up"},
        "participants": {"A": {}, "B": {}},
        "association": {"covariates": []},
        "evaluation": {"overall": {"auc": {"events": cases}}},
        "model": {"variants": [{}] * 6, "covariates": []},
        "disclosure": {
            "releases": [release],
            "cells": [{"over": ["fold"], "number": FOLDS, "smallest": 30}],
            "columns": [budget],
            "membership": {
                "sets": [{"set": name, "people": n} for name, n in sets],
                "effective_variants": 500.0,
            },
        },
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("leak")
    draw = np.random.default_rng(20261127)
    ancestral = draw.uniform(0.2, 0.8, M)
    words: list[str] = []
    inside: list[NDArray[np.float64]] = []
    ids: dict[str, list[str]] = {}
    for site in "AB":
        p = np.clip(ancestral + draw.normal(0, 0.05, M), 0.05, 0.95)
        for kind, n in (("in", MEMBERS), ("out", OTHERS)):
            calls = draw.binomial(2, p[:, None], (M, n)).astype(np.float64)
            calls[draw.random(calls.shape) < 0.01] = np.nan
            ids[site + kind] = [f"{site}{kind}{i}{MARK}" for i in range(n)]
            plink.write(folder / f"{site}-{kind}", encode(calls), listed(), tuple(ids[site + kind]))
            words.append(f"{folder / f'{site}-{kind}'}.bed")
            if kind == "in":
                inside.append(calls)
    y = (draw.random(2 * MEMBERS) < 0.3).astype(np.float64)
    folds = np.arange(2 * MEMBERS) % FOLDS
    folds[0] = 1
    out = folder / "out"
    for site, part in zip("AB", np.split(np.arange(2 * MEMBERS), 2), strict=True):
        path = out / "sites" / site / "scores.tsv"
        zeros = np.zeros(MEMBERS)
        scores.write(path, ids[site + "in"], zeros, zeros, folds[part])
    gwas_ssf.write(out / "association.tsv", scan(np.concatenate(inside, axis=1), y))
    (out / "results.json").write_text(json.dumps(results(folds, int(y.sum()))))
    cases = folder / "cases.txt"
    chosen = np.array(ids["Ain"] + ids["Bin"])[y > 0]
    cases.write_text("\n".join(chosen) + "\n")
    return Made(out, words, cases)


@pytest.fixture(scope="module")
def found(made: Made) -> dict[str, dict[str, Any]]:
    content = leak(made.folder, made.genotypes, made.cases)
    return {"": content} | {row["set"]: row for row in content["sets"]}


def changed(made: Made, tmp_path: Path, change: Callable[[Any], None]) -> Path:
    """Return a copy of the folder with other results."""
    folder = Path(shutil.copytree(made.folder, tmp_path / "out"))
    content = json.loads((folder / "results.json").read_text())
    change(content)
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_without_genotypes_theory_is_told_for_every_set(made: Made) -> None:
    content = leak(made.folder)
    rows = {row["set"]: row for row in content["sets"]}
    assert list(rows)[:2] == [EVERYBODY, CASES]
    for row in rows.values():
        assert row["measured"] is None
        assert row["reason"] == "no genotypes were given"
        assert row["theory"]["auc"] == pytest.approx(membership_auc(row["people"], 500), rel=1e-5)
    assert content["effective_variants_from"] == "results"


def test_independent_variants_are_counted_from_the_genotypes_given(found: Any) -> None:
    assert found[""]["variants"] == M - 1, "X is left out"
    assert found[""]["effective_variants"] == pytest.approx(M, rel=0.1)


@pytest.mark.parametrize("name", [EVERYBODY, CASES, SMALLEST_FOLD])
def test_who_is_in_a_set_is_found_out_about_as_well_as_theory_says(found: Any, name: str) -> None:
    measured = found[name]["measured"]
    assert measured["others"] == 2 * OTHERS
    assert measured["members"] == found[name]["people"]
    assert measured["reference"] == pytest.approx(2 * OTHERS, rel=0.05)
    low, high = measured["auc"]["low"], measured["auc"]["high"]
    assert low - 0.02 <= measured["theory"]["auc"] <= high + 0.02
    assert measured["auc"]["value"] > 0.9
    loose = measured["rates"][0]["power"]
    assert loose["low"] - 0.1 <= measured["theory"]["power_5"] <= loose["high"] + 0.1


def test_a_small_set_says_more_than_a_large_one(found: Any) -> None:
    aucs = [found[name]["theory"]["auc"] for name in (EVERYBODY, CASES, SMALLEST_FOLD)]
    assert aucs[0] < min(aucs[1:])
    assert found["cases of a fold"]["measured"] is None


def test_the_cases_are_attacked_by_what_the_scan_publishes_alone(
    made: Made, tmp_path: Path
) -> None:
    """With effects turned round, who has the trait is told no better than who took part."""
    folder = Path(shutil.copytree(made.folder, tmp_path / "out"))
    table = gwas_ssf.read(folder / "association.tsv")
    gwas_ssf.write(folder / "association.tsv", replace(table, beta=-table.beta))
    row = leak(folder, made.genotypes, made.cases)["sets"][1]
    assert row["set"] == CASES
    assert row["measured"]["auc"]["value"] < 0.7


def test_people_who_took_no_part_are_not_found_out(made: Made, tmp_path: Path) -> None:
    """A null: the first and the second file are both of others."""
    folder = Path(shutil.copytree(made.folder, tmp_path / "out"))
    shutil.rmtree(folder / "sites")
    halves: list[str] = []
    for word in made.genotypes[1::2]:
        file = plink.PlinkFile.open(Path(word))
        calls = decode(file.packed(0, M), file.n_samples)
        for part in (slice(0, 22), slice(22, OTHERS)):
            prefix = tmp_path / f"{len(halves)}"
            plink.write(prefix, encode(calls[:, part]), listed(), file.sample_ids[part])
            halves.append(f"{prefix}.bed")
    row = leak(folder, halves)["sets"][0]
    # 44 and 46 people: a standard error of .06.
    assert abs(row["measured"]["auc"]["value"] - 0.5) < 0.18


def test_swapped_alleles_and_another_order_change_nothing(made: Made, tmp_path: Path) -> None:
    words = list(made.genotypes)
    file = plink.PlinkFile.open(Path(words[0]))
    calls = 2 - decode(file.packed(0, M), file.n_samples)[::-1]
    frame = listed().frame()[::-1].rename({HEADER[2]: HEADER[3], HEADER[3]: HEADER[2]})
    plink.write(tmp_path / "a", encode(calls), Variants.of(frame.select(HEADER)), file.sample_ids)
    words[0] = f"{tmp_path / 'a'}.bed"
    assert leak(made.folder, words) == leak(made.folder, made.genotypes)


def test_the_model_is_judged_by_its_mean_leverage(found: Any) -> None:
    model = found[""]["model"]
    assert (model["parameters"], model["people"]) == (7, 2 * MEMBERS)
    assert model["power_1"] == pytest.approx(0.01 / (1 - 7 / 120), rel=0.01)


def test_as_many_equations_as_unknowns_are_found(made: Made, tmp_path: Path) -> None:
    assert not leak(made.folder)["reconstruction"]["enough"]

    def many(content: Any) -> None:
        content["disclosure"]["releases"][0]["values"] = 2 * MEMBERS * (M - 1)

    def columns(content: Any) -> None:
        content["disclosure"]["columns"][0]["used"] = 29

    for i, change in enumerate((many, columns)):
        told = leak(changed(made, tmp_path / str(i), change))["reconstruction"]
        assert told["enough"]


def test_no_one_is_named_in_what_is_told(found: Any) -> None:
    assert MARK not in json.dumps(found[""])


def test_withheld_cases_and_unknown_variants_are_said(made: Made, tmp_path: Path) -> None:
    def withheld(content: Any) -> None:
        content["evaluation"]["overall"]["auc"]["events"] = None
        content["disclosure"]["membership"] = {"sets": [], "effective_variants": None}
        content["model"] = None

    content = leak(changed(made, tmp_path, withheld))
    assert [row["set"] for row in content["sets"]] == [EVERYBODY]
    assert content["sets"][0]["theory"] is content["model"] is None


def test_wrong_input_is_refused_without_a_name(made: Made, tmp_path: Path) -> None:
    inside, outside, *_ = made.genotypes
    nobody = tmp_path / "nobody.txt"
    nobody.write_text(f"stranger{MARK}\n")
    refused: list[tuple[str, Callable[[], Any]]] = [
        ("expected pairs", lambda: leak(made.folder, [inside])),
        ("60 of 60|45 of 45", lambda: leak(made.folder, [outside, inside])),
        ("in two files", lambda: leak(made.folder, [inside, outside] * 2)),
        ("nobody in the list", lambda: leak(made.folder, made.genotypes, nobody)),
        ("no list that can be read", lambda: leak(made.folder, made.genotypes, tmp_path / "no")),
        ("no file of results", lambda: leak(tmp_path)),
    ]
    for message, call in refused:
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert MARK not in str(caught.value)


@pytest.mark.parametrize("spoilt", ["[]", "{}", "nonsense", '{"participants": {"A": 1}}', "\x00"])
def test_results_of_another_form_are_refused(made: Made, tmp_path: Path, spoilt: str) -> None:
    folder = Path(shutil.copytree(made.folder, tmp_path / "out"))
    (folder / "results.json").write_text(spoilt)
    with pytest.raises(InputError, match=r"results\.json"):
        leak(folder)


def test_too_few_others_are_refused(made: Made, tmp_path: Path) -> None:
    plink.write(
        tmp_path / "few", encode(np.ones((M, 9))), listed(), tuple(f"p{i}" for i in range(9))
    )
    with pytest.raises(InputError, match="at least 10"):
        leak(made.folder, [made.genotypes[0], f"{tmp_path / 'few'}.bed"])


def test_genotypes_that_do_not_vary_are_refused(made: Made, tmp_path: Path) -> None:
    for name, n in (("in", 12), ("out", 11)):
        ids = tuple(f"{name}{i}" for i in range(n))
        plink.write(tmp_path / name, encode(np.full((M, n), 2.0)), listed(), ids)
    folder = Path(shutil.copytree(made.folder, tmp_path / "copy"))
    shutil.rmtree(folder / "sites")
    with pytest.raises(InputError, match="no variant in common at which people differ"):
        leak(folder, [f"{tmp_path / 'in'}.bed", f"{tmp_path / 'out'}.bed"])


def test_blocks_without_a_common_variant_add_nothing(made: Made, tmp_path: Path) -> None:
    """The last tenth of the list is not in two of the files, so whole blocks count for nothing."""
    kept = slice(0, M * 9 // 10)
    words = list(made.genotypes)
    for i, word in enumerate(words[:2]):
        file = plink.PlinkFile.open(Path(word))
        variants = Variants.of(listed().frame()[kept])
        plink.write(tmp_path / str(i), file.packed(0, M)[kept], variants, file.sample_ids)
        words[i] = f"{tmp_path / str(i)}.bed"
    with patch("equipoise.tools.leakage._BLOCK", 100):
        content = leak(made.folder, words)
    assert content["sets"][0]["measured"]["auc"]["value"] > 0.9
    assert content["effective_variants"] == pytest.approx(0.9 * M, rel=0.1)
