"""What a run leaves at a site for its own people: what there is, and nothing where there is none."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from analyses.modelled import Modelled, modelled, run
from equipoise.federation import own_files
from equipoise.genotypes.variants import HEADER, Variants
from federation.building import build

POSITIONS = (10, 20, 30, 150_010, 150_020, 150_030, 900_010, 900_020)
LISTED = Variants.of(
    pl.DataFrame(
        [("22", position, "A", "G") for position in POSITIONS],
        schema=dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64},
        orient="row",
    )
)
APART = (1, 50, 99)
"""Tiles so far apart that each window is a locus of its own."""

Kept = dict[str, NDArray[np.float64]]


@cache
def found(loci: int = 4, tiles: tuple[int, ...] = APART) -> tuple[Modelled, Kept, dict[str, Any]]:
    """Return a modelled cohort, what its site keeps of it, and the public results."""
    at = modelled()
    calibration = replace(at.calibration, loci=loci, tiles=tiles)
    kept = dict(calibration.derive(at.rows.cohort(), at.calibrated))
    kept["PC1"] = at.rows.columns["PC1"]
    rows = at.rows.with_columns(kept)
    relevance = run(replace(at.summing, loci=loci, tiles=tiles), rows)
    return at, kept, {"model": at.nets, "tuning": at.tuned, "relevance": relevance}


def write(
    folder: Path, kept: Kept, results: Mapping[str, Any], variants: Variants | None = LISTED
) -> list[str]:
    rows = modelled().rows
    written = own_files.write(
        folder, rows.ids, rows.fold, kept=kept, results=results, variants=variants
    )
    there = sorted(folder.iterdir()) if folder.exists() else []
    assert sorted(written) == there
    return [path.name for path in there]


def said(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "explanations.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def table(path: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return header, rows


def test_all_that_is_kept_is_written_one_row_a_person(tmp_path: Path) -> None:
    at, kept, results = found()
    names = write(tmp_path, kept, results)
    assert names == ["components.tsv", "explanations.jsonl", "scores.tsv"]
    header, rows = table(tmp_path / "scores.tsv")
    assert header == ["IID", "score", "probability", "fold"]
    assert [(row[0], int(row[3])) for row in rows] == list(
        zip(at.rows.ids, at.rows.fold.tolist(), strict=True)
    )
    # Nine digits are written.
    np.testing.assert_allclose([float(row[1]) for row in rows], kept["score"], rtol=1e-8)
    np.testing.assert_allclose([float(row[2]) for row in rows], kept["probability"], rtol=1e-8)
    assert table(tmp_path / "components.tsv")[0] == ["IID", "PC1"]
    assert [person["IID"] for person in said(tmp_path)] == list(at.rows.ids)


def test_an_explanation_is_of_the_named_parts_and_adds_up_to_the_score(tmp_path: Path) -> None:
    at, kept, results = found()
    write(tmp_path, kept, results)
    names = own_files.part_names(at.nets, results["relevance"], LISTED)
    assert names[-2:] == ("background", "covariates")
    assert len(names) - 2 == len(set(at.nets.window.tolist())) > 1
    for place, person in enumerate(said(tmp_path)):
        parts = {part["locus"]: part["value"] for part in person["contributions"]}
        assert tuple(parts) == names
        # Twelve decimals are written.
        assert abs(sum(parts.values()) - kept["score"][place]) < 1e-10
        assert abs(parts["background"] - kept["relevance_background"][place]) < 1e-11
        assert abs(parts["covariates"] - kept["relevance_covariates"][place]) < 1e-11
        assert abs(parts[names[0]] - kept["relevance_0"][place]) < 1e-11
        logit = person["baseline"] + person["score"]
        assert abs(person["probability"] - 1 / (1 + np.exp(-logit))) < 1e-10


def test_a_locus_is_named_by_where_its_variants_lie() -> None:
    at, _, results = found()
    names = own_files.part_names(at.nets, results["relevance"], LISTED)[:-2]
    for number, name in enumerate(names):
        own = at.nets.variants[results["relevance"].locus == number]
        lies = [POSITIONS[place] for place in own.tolist()]
        assert name == f"22:{min(lies)}-{max(lies)}"


def test_loci_that_share_the_last_are_called_elsewhere(tmp_path: Path) -> None:
    at, kept, results = found(loci=2)
    relevance = results["relevance"]
    assert relevance.merged == 1
    names = own_files.part_names(at.nets, relevance, LISTED)
    assert names[1:] == ("elsewhere", "background", "covariates")
    assert names[0].startswith("22:")
    write(tmp_path, kept, results)
    _, every, _ = found()
    told = sum(every[f"relevance_{i}"] for i in range(4))
    for place, person in enumerate(said(tmp_path)):
        parts = {part["locus"]: part["value"] for part in person["contributions"]}
        assert tuple(parts) == names
        # What is merged is not lost: loci together are what they were when told apart.
        assert abs(parts[names[0]] + parts["elsewhere"] - told[place]) < 1e-10


def test_where_nothing_is_kept_nothing_is_written_not_even_a_folder(tmp_path: Path) -> None:
    assert write(tmp_path / "s0", {}, {}) == []
    assert not (tmp_path / "s0").exists()


@pytest.mark.parametrize(
    "kept", [{"score"}, {"probability"}, {"single"}, {"logit", "predicted"}, {"PC", "PC1x"}]
)
def test_columns_that_make_no_file_leave_none(kept: set[str], tmp_path: Path) -> None:
    columns = {name: np.ones(modelled().rows.n) for name in kept}
    assert write(tmp_path / "s0", columns, {}) == []


@pytest.mark.parametrize("lacks", ["model", "relevance"])
def test_without_a_model_or_its_relevance_nothing_is_explained(lacks: str, tmp_path: Path) -> None:
    _, kept, results = found()
    less = {name: result for name, result in results.items() if name != lacks}
    assert write(tmp_path, kept, less) == ["components.tsv", "scores.tsv"]


def test_without_the_list_nothing_is_explained(tmp_path: Path) -> None:
    _, kept, results = found()
    assert write(tmp_path, kept, results, None) == ["components.tsv", "scores.tsv"]


def test_components_come_in_their_order_without_those_that_were_dropped(tmp_path: Path) -> None:
    n = modelled().rows.n
    kept = {f"PC{i}": np.full(n, float(i)) for i in (10, 2, 1, 9)} | {"PC3": np.zeros(n)}
    assert write(tmp_path, kept, {}) == ["components.tsv"]
    header, rows = table(tmp_path / "components.tsv")
    assert header == ["IID", "PC1", "PC2", "PC9", "PC10"]
    assert rows[0][1:] == ["1", "2", "9", "10"]


def test_where_every_component_was_dropped_there_is_no_file(tmp_path: Path) -> None:
    n = modelled().rows.n
    assert write(tmp_path / "s0", {"PC1": np.zeros(n), "PC2": np.zeros(n)}, {}) == []


def test_a_run_leaves_at_a_site_what_its_ledger_lists(tmp_path: Path) -> None:
    for calibrated, files in ((False, []), (True, ["scores.tsv"])):
        root = tmp_path / str(calibrated)
        federation = build(root, kind="clear", calibrated=calibrated)
        _, log, _ = federation.run()
        log.close()
        for name in federation.names:
            entries = federation.entries(name)
            assert [e.body["path"] for e in entries if e.kind == "artefact"] == files
            there = {path.name for path in (root / "sites" / name).iterdir()}
            assert there == {"ledger", *files}
        federation.close()
