"""Wrong input: each problem says what, where and what to do, and leaves nothing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.small import SITE, Told, cli, edit
from study.spoiling import rows, run, there

Change = Callable[[Path], object]


def wrong(study: Path) -> Told:
    """Run a study that is wrong input: nothing is left."""
    before = there(study.parent.parent)
    told = run(study)
    assert (told.code, told.out) == (2, ""), told.err
    assert there(study.parent.parent) == before
    return told


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def begin(path: Path, magic: bytes) -> None:
    path.write_bytes(magic + path.read_bytes()[3:])


def column(path: Path, line: int, place: int, cell: str) -> None:
    def put(text: list[str]) -> list[str]:
        cells = text[line - 1].split("\t")
        cells[place] = cell
        return [*text[: line - 1], "\t".join(cells), *text[line:]]

    rows(path, put)


def shift(path: Path) -> None:
    """Move every position, as another genome build does."""

    def moved(line: str) -> str:
        cells = line.split("\t")
        return "\t".join([*cells[:3], str(int(cells[3]) + 77), *cells[4:]])

    rows(path, lambda text: [moved(line) for line in text])


def header_only(path: Path) -> None:
    path.write_text("IID\tcode\tvalue\tdate\n")


def everybody(folder: Path, place: int, cell: str) -> None:
    for path in folder.glob("*/phenotypes.tsv"):
        for line in range(2, 2 + 40):
            column(path, line, place, cell)


WRONG: dict[str, tuple[Change, str, str]] = {
    "bed truncated": (
        lambda f: cut(f / "East/genotypes.bed"),
        "East/genotypes.bed: ",
        "802 bytes, cut short",
    ),
    "bed of another kind": (
        lambda f: begin(f / "East/genotypes.bed", b"PK\x03"),
        "East/genotypes.bed: ",
        "begins with 50 4b 03",
    ),
    "bed sample-major": (
        lambda f: begin(f / "East/genotypes.bed", b"\x6c\x1b\x00"),
        "East/genotypes.bed: ",
        "plink --make-bed",
    ),
    "bed empty": (
        lambda f: (f / "East/genotypes.bed").write_bytes(b""),
        "East/genotypes.bed: ",
        "an empty file",
    ),
    "bim of fewer lines": (
        lambda f: rows(f / "East/genotypes.bim", lambda text: text[:-1]),
        "East/genotypes.bed: ",
        "803 bytes, too long; expected 793 for the 79 variants",
    ),
    "bim of more lines": (
        lambda f: rows(f / "East/genotypes.bim", lambda text: [*text, "22\t.\t0\t9\tA\tG"]),
        "East/genotypes.bed: ",
        "803 bytes, cut short",
    ),
    "variant twice": (
        lambda f: rows(f / "East/genotypes.bim", lambda text: [*text[:-1], text[0]]),
        "East/genotypes.bim:80: ",
        "a variant that an earlier line has",
    ),
    "person twice in fam": (
        lambda f: rows(f / "East/genotypes.fam", lambda text: [*text[:-1], text[0]]),
        "East/genotypes.fam:40: ",
        "an IID that an earlier line has",
    ),
    "person twice in phenotypes": (
        lambda f: rows(f / "East/phenotypes.tsv", lambda text: [*text, text[1]]),
        "East/phenotypes.tsv:42: ",
        "the IID of line 2 again",
    ),
    "another build": (
        lambda f: shift(f / "East/genotypes.bim"),
        "East/genotypes.bed: ",
        "0 of 80 variants of the study's list are in this site's genotypes, 0%;"
        " expected at least 80%; most likely the positions are of another genome build",
    ),
    "no trait": (
        lambda f: edit(f / "study.toml", 'name = "ill"', 'name = "il"'),
        "East/phenotypes.tsv:1: ",
        "no column `il`; expected one; add the column, or name another in the study file;"
        " did you mean `ill`?",
    ),
    "no number": (
        lambda f: column(f / "East/phenotypes.tsv", 7, 1, "tall"),
        "East/phenotypes.tsv:7: ",
        "column `sex` holds a value of another form",
    ),
    "no yes or no": (
        lambda f: column(f / "East/phenotypes.tsv", 8, 2, "2"),
        "East/phenotypes.tsv:8: ",
        "yes or no",
    ),
    "no consents": (
        lambda f: (f / "East/consents.tsv").unlink(),
        "East/consents.tsv: ",
        "no such file",
    ),
    "consents empty": (
        lambda f: (f / "East/consents.tsv").write_text(""),
        "East/consents.tsv: ",
        "an empty file",
    ),
    "consents without a row": (
        lambda f: header_only(f / "East/consents.tsv"),
        "East/consents.tsv: ",
        "no row",
    ),
    "no phenotypes": (
        lambda f: (f / "East/phenotypes.tsv").unlink(),
        "East/phenotypes.tsv: ",
        "no such file",
    ),
    "phenotypes a folder": (
        lambda f: ((f / "East/phenotypes.tsv").unlink(), (f / "East/phenotypes.tsv").mkdir()),
        "East/phenotypes.tsv: ",
        "a file that cannot be read",
    ),
    "no bed": (lambda f: (f / "East/genotypes.bed").unlink(), "genotypes.bed: ", "no such file"),
    "no bim": (lambda f: (f / "East/genotypes.bim").unlink(), "genotypes.bim: ", "no such file"),
    "no fam": (lambda f: (f / "East/genotypes.fam").unlink(), "genotypes.fam: ", "no such file"),
    "no list": (lambda f: (f / "variants.tsv").unlink(), "variants.tsv: ", "no such file"),
    "list of another form": (
        lambda f: edit(f / "variants.tsv", "chromosome", "chrom"),
        "variants.tsv: ",
        "a first line of another form",
    ),
    "unknown build": (
        lambda f: edit(f / "study.toml", "GRCh37", "hg19"),
        "study.toml:22: ",
        'expected "GRCh37" or "GRCh38"',
    ),
    "a site that signs as the centre": (
        lambda f: edit(f / "study.toml", 'name = "East"', 'name = "Centre"'),
        "study.toml:37: ",
        "another name",
    ),
    "covariate beyond its bound": (
        lambda f: (
            edit(f / "East/phenotypes.tsv", "\tsex", "\theight"),
            edit(f / "North/phenotypes.tsv", "\tsex", "\theight"),
            edit(f / "South/phenotypes.tsv", "\tsex", "\theight"),
            edit(f / "West/phenotypes.tsv", "\tsex", "\theight"),
            edit(f / "study.toml", '"sex"', '"height"'),
            everybody(f, 1, "1625.5"),
        ),
        "East/phenotypes.tsv: ",
        "the covariate height goes beyond 1024",
    ),
    "trait the same in everybody": (
        lambda f: everybody(f, 2, "no"),
        "the trait 'ill' is the same in everybody",
        "choose another trait",
    ),
    "covariate the same in everybody": (
        lambda f: everybody(f, 1, "F"),
        "covariates are constant",
        "drop one",
    ),
    "covariate the other way in everybody": (
        lambda f: everybody(f, 1, "M"),
        "covariates are constant",
        "drop one",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named_with_its_place_and_leaves_nothing(study: Path, name: str) -> None:
    change, where, words = WRONG[name]
    change(study.parent)
    said = wrong(study).err
    assert any(where in line and words in line for line in said.splitlines()), said


def test_all_problems_of_all_files_come_at_once(study: Path) -> None:
    folder = study.parent
    (folder / "variants.tsv").write_text("nonsense\n")
    cut(folder / "East/genotypes.bed")
    column(folder / "East/phenotypes.tsv", 5, 2, "maybe")
    (folder / "South/consents.tsv").unlink()
    shift(folder / "West/genotypes.bim")
    said = wrong(study).err
    for words in ("variants.tsv: ", "East/genotypes.bed: ", "phenotypes.tsv:5: ", "consents.tsv: "):
        assert words in said
    assert "4 problems; nothing was run." in said
    told = cli("check", study)
    assert told.code == 2
    assert told.err == said


def test_another_build_is_told_together_with_the_other_files_of_the_site(study: Path) -> None:
    shift(study.parent / "West/genotypes.bim")
    (study.parent / "West/consents.tsv").unlink()
    assert "2 problems; nothing was run." in wrong(study).err


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
@pytest.mark.parametrize(
    "name", ["genotypes.bed", "genotypes.bim", "phenotypes.tsv", "consents.tsv"]
)
def test_a_file_that_may_not_be_read_is_wrong_input(study: Path, name: str) -> None:
    (study.parent / "East" / name).chmod(0)
    assert f"East/{name}: a file that cannot be read" in wrong(study).err


def test_a_bed_that_may_not_be_read_is_wrong_input_for_root_too(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The overloads of `open` cannot be repeated here.
    opened: Any = Path.open

    def closed(self: Path, *args: object, **kwargs: object) -> object:
        if self.match("East/genotypes.bed"):
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", closed)
    assert "East/genotypes.bed: a file that cannot be read" in wrong(study).err


def test_a_study_file_that_is_a_folder_or_missing_is_said(tmp_path: Path) -> None:
    told = cli("run", tmp_path, "--out", tmp_path / "out")
    assert told.code == 2
    assert "a file that cannot be read" in told.err
    assert cli("run", tmp_path / "study.toml", "--out", tmp_path / "out").code == 2
    assert there(tmp_path) == []


def test_results_never_go_into_a_folder_that_holds_something(study: Path) -> None:
    out = study.parent.parent / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "choose another --out or remove it" in wrong(study).err
    assert there(out) == ["mine.txt"]


@pytest.mark.parametrize("out", ["study/study.toml", "study/study.toml/out", "/proc/out", "."])
def test_results_that_cannot_be_put_there_are_wrong_input(
    study: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.parent.parent)
    before = there(Path())
    told = cli("run", study, "--out", out)
    assert told.code == 2, told.err
    assert there(Path()) == before


def test_homes_that_are_no_folder_are_wrong_input(study: Path) -> None:
    told = run(study, "--homes", study)
    assert told.code == 2
    assert "choose another --homes" in told.err
    assert there(study.parent.parent) == ["study"]


def test_a_site_named_twice_is_wrong_input(study: Path) -> None:
    study.write_text(study.read_text() + SITE.format(name="East"))
    assert "the site name `East` again" in wrong(study).err
