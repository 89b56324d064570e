"""Bad input and refusals: each says what, where and what to do, names nobody, leaves nothing.

In one file, long as it is: the list of what may be wrong with a study's files.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.ledger.log import read
from study.small import (
    SITE,
    Site,
    Told,
    all_files,
    changed,
    cli,
    draw,
    edit,
    go,
    lines,
    science,
    write,
)

Change = Callable[[Path], object]


@pytest.fixture
def study(small: Path, tmp_path: Path) -> Path:
    """Return the study file of a copy, to be spoilt."""
    return Path(shutil.copytree(small.parent, tmp_path / "study")) / "study.toml"


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(study: Path, *more: object) -> Told:
    return cli("run", study, "--out", study.parent.parent / "out", *more)


def wrong(study: Path) -> Told:
    """Run a study that is wrong input: nothing is left."""
    before = there(study.parent.parent)
    told = run(study)
    assert (told.code, told.out) == (2, ""), told.err
    assert there(study.parent.parent) == before
    return told


def refusals(out: Path) -> dict[str, list[str]]:
    """Return the reasons in each site's own ledger."""
    return {
        site.name: [
            str(e.body["reason"]) for e in read(site / "ledger").entries if e.kind == "refusal"
        ]
        for site in sorted((out / "sites").iterdir())
    }


def refused(study: Path, number: int = 1) -> tuple[Told, dict[str, list[str]]]:
    """Run a study that a site refuses: its ledgers are kept beside where it would have been."""
    told = run(study)
    assert (told.code, told.out) == (3, ""), told.err
    kept = study.parent.parent / f"out.refused-{number}"
    assert str(kept) in told.err
    assert not (study.parent.parent / "out").exists()
    assert not [name for name in there(study.parent.parent) if name.startswith(".")]
    assert {path.name for path in all_files(kept)} == {"checkpoint", "entries.jsonl"}
    assert any("opened" in path.read_text() for path in all_files(kept / "ledger"))
    return told, refusals(kept)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def begin(path: Path, magic: bytes) -> None:
    path.write_bytes(magic + path.read_bytes()[3:])


def rows(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))


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
    opened = Path.open

    def closed(self: Path, *args: object, **kwargs: object) -> object:
        if self.match("East/genotypes.bed"):
            raise PermissionError(13, "Permission denied", str(self))
        # Passed on as it came: the overloads of `open` cannot be repeated here.
        return opened(self, *args, **kwargs)  # type: ignore[call-overload]

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


def test_an_unknown_consent_code_refuses_the_person_and_the_run_goes_on(tmp_path: Path) -> None:
    people = draw()
    odd = (("XYZ:0000001", ".", "2024-03-01"),)
    people["West"] = [changed(p, terms=odd if i < 7 else p.terms) for i, p in enumerate(people["West"])]  # fmt: skip
    go(write(tmp_path / "study", people), tmp_path / "out")
    found = science(tmp_path / "out")["participants"]["West"]
    assert found["admitted"] == 33
    assert found["refused"] == {"unknown code": 7}


def test_phenotypes_of_unknown_people_are_counted_and_the_run_goes_on(study: Path) -> None:
    path = study.parent / "East/phenotypes.tsv"
    more = [f"nobody{i}\tF\tyes" for i in range(6)]
    rows(path, lambda text: [*text, *more])
    rows(study.parent / "West/phenotypes.tsv", lambda text: [*text, more[0]])
    told = cli("check", study, "--json")
    assert told.json["files"]["East"]["without_genotypes"] == 6
    assert told.json["files"]["West"]["without_genotypes"] is None
    assert "phenotypes of nobody in its genotypes: fewer than 5" in cli("check", study).out
    assert run(study).code == 0


def test_people_without_a_phenotype_take_no_part(tmp_path: Path) -> None:
    people = draw()
    people["South"] = [changed(p, ill="NA" if i < 8 else p.ill) for i, p in enumerate(people["South"])]  # fmt: skip
    go(write(tmp_path / "study", people), tmp_path / "out")
    found = science(tmp_path / "out")["participants"]["South"]
    assert (found["admitted"], found["refused"]) == (32, {"phenotype missing": 8})


def test_too_few_admitted_at_a_site_is_refused_by_that_site(tmp_path: Path) -> None:
    people = draw()
    people["South"] = people["South"][:9]
    study = write(tmp_path / "study", people)
    told, reasons = refused(study)
    assert "site South refuses: fewer than 10 people are admitted" in told.err
    assert [site for site, found in reasons.items() if found] == ["South"]
    assert cli("check", study).code == 3
    refused(study, 2)


def test_nobody_admitted_is_refused(tmp_path: Path) -> None:
    people = {name: [changed(p, terms=()) for p in site] for name, site in draw().items()}
    for site in people.values():
        site[0] = changed(site[0], terms=(("NPOA", ".", "2024-01-01"),))
    told, reasons = refused(write(tmp_path / "study", people))
    assert "fewer than 10 people" in told.err
    assert all(reasons.values())


@pytest.mark.parametrize("number", [1, 2])
def test_masks_between_two_sites_or_one_are_refused(tmp_path: Path, number: int) -> None:
    people = draw(people=80, sites=("North", "East")[:number])
    study = write(tmp_path / "study", people)
    told, reasons = refused(study)
    assert "sites" in told.err
    assert any(reasons.values())
    assert cli("check", study).code == 3


def test_one_site_in_the_clear_works(tmp_path: Path) -> None:
    study = write(tmp_path / "study", draw(people=120, sites=("North",)))
    edit(study, '"masked"', '"clear"')
    assert cli("check", study).code == 0
    assert run(study).code == 0
    assert science(tmp_path / "out")["participants"]["North"]["admitted"] == 114


def test_more_folds_than_the_people_allow_are_refused(study: Path) -> None:
    edit(study, "folds = 4", "folds = 20")
    told, reasons = refused(study)
    assert "use fewer folds or more people" in told.err
    assert all(reasons.values())
    assert cli("check", study).code == 3


def test_too_few_cases_in_a_fold_are_refused_before_any_genotype_is_asked_for(
    tmp_path: Path,
) -> None:
    def few(site: Site) -> Site:
        return [changed(p, ill="yes" if 10 <= i < 14 else "no") for i, p in enumerate(site)]

    told, reasons = refused(write(tmp_path / "s", {n: few(s) for n, s in draw().items()}))
    assert "use fewer folds" in told.err
    assert all(reasons.values())
    asked = [
        entry.body.get("step")
        for path in (tmp_path / "out.refused-1" / "sites").iterdir()
        for entry in read(path / "ledger").entries
        if entry.kind == "release"
    ]
    assert "frequency" not in asked


def test_a_purpose_that_no_consent_covers_is_refused(study: Path) -> None:
    edit(study, 'purpose = "HMB"', 'purpose = "insurance"')
    told = run(study)
    assert told.code == 3
    assert "study.toml:4: underwriting, insurance and employment are never a purpose" in told.err
    assert there(study.parent.parent) == ["study"]


def withdrawn(study: Path, number: int) -> None:
    """Have so many people of the last site withdraw."""
    people = draw()["West"]
    gone = (("EQP:WITHDRAWN", ".", "2026-01-01"),)
    terms = ((p.iid, *t) for i, p in enumerate(people) for t in p.terms + gone * (i < number))
    lines(study.parent / "West/consents.tsv", ["IID", "code", "value", "date"], terms)


def test_with_homes_a_roster_that_changes_by_a_few_people_is_refused(study: Path) -> None:
    base, homes = study.parent.parent, study.parent.parent / "homes"
    assert run(study, "--homes", homes).code == 0
    shutil.rmtree(base / "out")
    assert run(study, "--homes", homes).code == 0, "an unchanged roster may run again"
    shutil.rmtree(base / "out")
    assert "equal to one of them" in cli("check", study, "--homes", homes).out
    withdrawn(study, 3)
    told = run(study, "--homes", homes)
    assert told.code == 3
    assert "site West refuses: this roster differs from an earlier one of this site by fewer" in told.err  # fmt: skip
    assert "wait until more people have come or gone" in told.err
    assert [s for s, found in refusals(base / "out.refused-1").items() if found] == ["West"]
    assert cli("check", study, "--homes", homes).code == 3
    withdrawn(study, 10)
    assert "the nearest 10 or more people apart" in cli("check", study, "--homes", homes).out
    assert run(study, "--homes", homes).code == 0
    withdrawn(study, 9)
    assert cli("check", study, "--homes", homes).code == 3, "one from the last, nine from the first"


def test_check_leaves_no_trace(study: Path, tmp_path: Path) -> None:
    homes = tmp_path / "homes"
    (homes / "East").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert cli("check", study, "--homes", homes).code == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_homes_hold_keys_that_only_their_owner_reads(study: Path) -> None:
    homes = study.parent.parent / "homes"
    assert run(study, "--homes", homes).code == 0
    assert there(homes) == sorted(["centre", "East", "North", "South", "West"])
    assert all(path.stat().st_mode & 0o077 == 0 for path in (homes, *homes.rglob("*.key")))


def test_a_site_named_twice_is_wrong_input(study: Path) -> None:
    study.write_text(study.read_text() + SITE.format(name="East"))
    assert "the site name `East` again" in wrong(study).err


def test_two_sites_are_refused_for_their_masks_before_any_budget(tmp_path: Path) -> None:
    study = write(tmp_path / "study", draw(people=80, sites=("North", "East")))
    edit(study, "[covariates]", "[covariates]\ncomponents = 4")
    for told in (cli("check", study), run(study)):
        assert told.code == 3
        assert "masked sums need at least 3 sites" in told.err
