"""The commands for one person with files: each runs, tells JSON, and refuses clearly."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from study.small import cli
from tools.risk_people import people, write
from tools.test_associate import M, N, Study

COMMANDS = ("associate", "pca", "qc", "relatedness", "score", "convert", "simulate", "train")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = Study(tmp_path_factory.mktemp("files"), missing=0.01, seed=9)
    made.chromosomes = [str(1 + i // 10) for i in range(M)]
    return made


@pytest.fixture(scope="module")
def files(study: Study) -> tuple[str, Path]:
    everybody = np.arange(N)
    return study.genotypes("all", everybody), study.table("all", everybody)


def associate(files: tuple[str, Path], out: Path, *more: object):
    genotypes, table = files
    options = ("--genotypes", genotypes, "--phenotypes", table, "--trait", "y", "--out", out)
    return cli("associate", *options, "--covariates", "age,sex", *more)


def test_associate_tells_what_it_did(files: tuple[str, Path], tmp_path: Path) -> None:
    told = associate(files, tmp_path / "scan.tsv")
    assert (told.code, told.err) == (0, "")
    assert f"Trait y: {M} variants, written to {tmp_path / 'scan.tsv'}" in told.out
    assert f"  all: {N} of {N} people" in told.out
    assert (tmp_path / "scan.tsv-meta.yaml").read_text().startswith("---\n")
    (one,) = associate(files, tmp_path / "again.tsv", "--json").json["traits"]
    assert one["status"] == {"ok": M}
    assert 0 < one["lambda_gc"] < 5
    assert (tmp_path / "scan.tsv").read_bytes() == (tmp_path / "again.tsv").read_bytes()


def test_associate_draws_where_asked(files: tuple[str, Path], tmp_path: Path) -> None:
    page, plots = tmp_path / "page.html", tmp_path / "plots"
    told = associate(files, tmp_path / "scan.tsv", "--report", page, "--plots", plots)
    assert told.code == 0
    assert "<svg" in page.read_text()
    assert sorted(p.name for p in plots.iterdir()) == ["scan.manhattan.svg", "scan.qq.svg"]


def test_two_threads_write_the_same_bytes(files: tuple[str, Path], tmp_path: Path) -> None:
    associate(files, tmp_path / "one.tsv")
    associate(files, tmp_path / "two.tsv", "--threads", "2")
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()


def test_whole_genome_offsets_are_off_by_default_and_nothing_on_one_chromosome(
    study: Study, files: tuple[str, Path], tmp_path: Path
) -> None:
    plain, off = tmp_path / "plain.tsv", tmp_path / "off.tsv"
    associate(files, plain)
    (one,) = associate(files, off, "--whole-genome", "--json").json["traits"]
    assert one["model"] == "linear regression, offsets of other chromosomes"
    first, second = (pl.read_csv(p, separator="\t", null_values="NA") for p in (plain, off))
    assert not np.allclose(first["beta"], second["beta"])
    held = study.chromosomes
    study.chromosomes = ["7"] * M
    single = (study.genotypes("single", np.arange(N)), files[1])
    study.chromosomes = held
    associate(single, plain)
    associate(single, off, "--whole-genome")
    first, second = (pl.read_csv(p, separator="\t", null_values="NA") for p in (plain, off))
    np.testing.assert_allclose(first["beta"], second["beta"], rtol=1e-9)


def test_pca_writes_a_row_a_person(files: tuple[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "pcs.tsv"
    told = cli("pca", "--genotypes", files[0], "--components", "2", "--out", out, "--json")
    assert (told.code, told.err) == (0, "")
    table = pl.read_csv(out, separator="\t", null_values="NA")
    assert table.columns[:3] == ["IID", "PC1", "PC2"]
    assert table["IID"].to_list() == [f"P{i}" for i in range(N)]
    assert (tmp_path / "pcs.eigenvalues.tsv").exists()
    assert (tmp_path / "pcs.loadings.tsv").exists()
    assert told.json["tables"]["people"] == str(out)


def test_qc_and_relatedness_write_their_tables(files: tuple[str, Path], tmp_path: Path) -> None:
    told = cli("qc", "--genotypes", files[0], "--out", tmp_path / "qc", "--json")
    assert told.code == 0
    names = {path.name for path in (tmp_path / "qc").iterdir()}
    assert names >= {"variants.tsv", "people.tsv", "summary.json", "report.html"}
    pairs = tmp_path / "pairs.tsv"
    told = cli("relatedness", "--genotypes", files[0], "--out", pairs, "--json")
    assert (told.code, told.err) == (0, "")
    assert pairs.exists()


def test_convert_keeps_every_call(files: tuple[str, Path], tmp_path: Path) -> None:
    told = cli("convert", files[0], "--out", tmp_path / "copy.bed", "--json")
    assert told.code == 0
    assert (tmp_path / "copy.bed").read_bytes() == Path(files[0]).read_bytes()
    again = cli("convert", files[0], "--out", tmp_path / "x.bed", "--reference", "middle")
    assert again.code == 2


def test_score_matches_and_says_so(files: tuple[str, Path], tmp_path: Path) -> None:
    weights = tmp_path / "weights.txt"
    rows = ["chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight"]
    rows += [f"{1 + i // 10}\t{100 + 10 * i}\tA\tG\t0.5" for i in range(M)]
    weights.write_text("#format_version=2.0\n" + "\n".join(rows) + "\n")
    out = tmp_path / "scores.tsv"
    told = cli("score", "--genotypes", files[0], "--weights", weights, "--out", out, "--json")
    assert told.code == 0
    (one,) = told.json["scores"]
    assert (one["weights"], one["used"]) == (M, M)
    assert len(pl.read_csv(out, separator="\t")) == N


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("associate", ("--genotypes", "no.bed", "--phenotypes", "no.tsv", "--trait", "y")),
        ("pca", ("--genotypes", "no.bed", "--components", "2")),
        ("pca", ("--genotypes", "no.bed", "--components", "2", "--window", "wide")),
        ("qc", ("--genotypes", "no.bed")),
        ("relatedness", ("--genotypes", "no.bed")),
        ("score", ("--genotypes", "no.bed", "--weights", "no.txt")),
        ("convert", ("no.bed",)),
    ],
)
def test_wrong_input_ends_with_2_and_writes_nothing(
    command: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out.bed"
    told = cli(command, *options, "--out", out, "--json")
    assert told.code == 2
    assert json.loads(told.out)["error"] == "InputError"
    assert not out.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    told = cli(command, "--help")
    assert told.code == 0
    assert f"Example: equipoise {command}" in told.out


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Return the options that name three sites' files, and what is predicted."""
    files = write(tmp_path_factory.mktemp("sites"), people(), sites=3)
    each = [("--genotypes", f, "--phenotypes", f.with_suffix(".tsv")) for f in files]
    return (*(word for words in each for word in words), "--trait", "trait", "--covariates", "age")


def test_train_shows_the_network_beside_the_linear_model(
    sites: tuple[object, ...], tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    out = tmp_path / "out"
    told = cli("train", *sites, "--out", out, "--network", "--network-width", "2")
    assert (told.code, told.err) == (0, "")
    said = json.loads((out / "training.json").read_text("utf-8"))
    network = said["network"]
    assert network == json.loads((out / "network.json").read_text("utf-8"))
    assert said["shares"]["test"] == 0.34
    assert network["recommendation"] in told.out
    columns, most = network["columns"], network["rounds"]["most"]
    assert columns["told"] == 4 * network["rounds"]["run"] <= columns["allowed"]
    assert most == columns["allowed"] // 4 < 60
    assert f"of {most} that the people allow (60 asked)" in told.out
    assert f"{columns['told']} columns told, of {columns['allowed']} allowed" in told.out
    assert (out / "network" / "network.safetensors").exists()
    assert network["recommendation"] in (out / "report.html").read_text("utf-8")


def test_train_says_nothing_of_a_network_that_was_not_asked_for(
    sites: tuple[object, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told = cli("train", *sites, "--out", out, "--json").json
    assert (told["network"], told["shares"]["test"]) == (None, 0.16)
    assert not list(out.glob("network*"))
    assert "Gene network" not in (out / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--genes", "GRCh38"), 2, "--genes is for the gene network; give --network as well"),
        (("--gene-margin", "5"), 2, "--gene-margin is for the gene network"),
        (("--network", "--test", ".05"), 2, "raise --test"),
        (("--network", "--genes", "no.gff3"), 2, "no such file"),
        (("--network",), 3, "take a smaller --network-width"),
    ],
)
def test_train_refuses_a_network_clearly_and_writes_nothing(
    sites: tuple[object, ...], tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    if "--network" in options:
        pytest.importorskip("jax")
    told = cli("train", *sites, "--out", tmp_path / "out", *options)
    assert told.code == code
    assert said in told.err
    assert list(tmp_path.iterdir()) == []
