"""What a site's files may do to a study: harmonised and told, or refused with what to do.

What is not read at all is in test_study_wrong_input.py. Here the files are well formed, and
their content is other than the study's.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.genotypes import quality
from equipoise.ledger.audit import verify
from study.small import (
    CAUSAL,
    SITES,
    Site,
    Told,
    all_files,
    changed,
    cli,
    draw,
    edit,
    findings,
    matched,
    science,
    write,
)

PAIR = str.maketrans("ACGT", "TGCA")
ALIKE = range(2, 80, 7)
"""Places in the list that are made A/T or C/G, which read the same on both strands."""


@pytest.fixture
def study(small: Path, tmp_path: Path) -> Path:
    """Return the study file of a copy, to be spoilt."""
    return Path(shutil.copytree(small.parent, tmp_path / "study")) / "study.toml"


def run(study: Path, *more: object) -> Told:
    return cli("run", study, "--out", study.parent.parent / "out", *more)


def found(study: Path) -> dict[str, Any]:
    told = cli("check", study, "--json")
    assert told.code == 0, told.err
    return told.json


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wrong(study: Path) -> str:
    """Check and run a study that is wrong input: nothing is left; return what is said."""
    before = there(study.parent.parent)
    checked, told = cli("check", study), run(study)
    assert (checked.code, checked.out) == (2, "")
    assert (told.code, told.out) == (2, "")
    assert told.err == checked.err
    assert there(study.parent.parent) == before
    return told.err


def cells(path: Path, change: Callable[[int, list[str]], list[str]], first: int = 0) -> None:
    """Change the cells of each line from the one numbered `first`, which is 0 after it."""
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    lines[first:] = [change(i, line) for i, line in enumerate(lines[first:])]
    path.write_text("".join("\t".join(line) + "\n" for line in lines))


def bim(study: Path, site: str, change: Callable[[int, list[str]], list[str]]) -> None:
    cells(study.parent / site / "genotypes.bim", change)


def letters(change: Callable[[int, str, str], tuple[str, str]]) -> Callable[..., list[str]]:
    """Return a change of the two alleles of each line, the last two or the two from the third."""
    return lambda i, line: [*line[:-2], *change(i, *line[-2:])]


def other_strand(i: int, a1: str, a2: str) -> tuple[str, str]:
    return a1.translate(PAIR), a2.translate(PAIR)


def alike(i: int, a1: str, a2: str) -> tuple[str, str]:
    return (a1, a1.translate(PAIR)) if i in ALIKE else (a1, a2)


@pytest.fixture
def ambiguous(study: Path) -> Path:
    """Return a study of which every seventh variant is A/T at all sites."""
    cells(study.parent / "variants.tsv", letters(alike), first=1)
    for site in SITES:
        bim(study, site, letters(alike))
    return study


# --- alleles and strands


def test_swapped_alleles_at_a_site_are_reported(tmp_path: Path) -> None:
    study = write(tmp_path / "study", draw(), swapped={"East": set(range(20, 60))})
    held = found(study)["files"]
    assert (held["East"]["variants"], held["East"]["swapped"]) == (80, 40)
    assert held["West"]["swapped"] == 0
    assert "East: 80 variants, 40 with alleles swapped, 0 absent" in cli("check", study).out


def test_the_other_strand_at_a_site_changes_no_result_and_is_reported(ambiguous: Path) -> None:
    assert run(ambiguous).code == 0
    out = ambiguous.parent.parent / "out"
    before = findings(out)
    shutil.rmtree(out)
    bim(ambiguous, "East", letters(other_strand))
    bim(ambiguous, "South", letters(lambda i, a1, a2: other_strand(i, a2, a1)))
    for path in (ambiguous.parent / "South").glob("*.bed"):
        flip(path)
    held = found(ambiguous)["files"]
    assert [held[site]["other_strand"] for site in ("East", "North", "South")] == [80, 0, 80]
    assert all(held[site]["variants"] == 80 for site in SITES)
    assert "    80 with alleles named on the other strand\n" in cli("check", ambiguous).out
    assert run(ambiguous).code == 0
    assert findings(out) == before
    assert matched(out, "South")["other_strand"] == 80


def flip(bed: Path) -> None:
    """Count the other allele in every genotype: codes 00 and 11 change places."""
    data = np.frombuffer(bed.read_bytes(), np.uint8)
    block = data[3:]
    same = ~(block >> 1 ^ block) & 0x55
    bed.write_bytes(data[:3].tobytes() + (block ^ (same | same << 1)).astype(np.uint8).tobytes())


def test_on_mixed_strands_a_site_lacks_what_reads_the_same_on_both(ambiguous: Path) -> None:
    bim(ambiguous, "East", lambda i, line: letters(other_strand)(i, line) if i % 2 else line)
    held = found(ambiguous)["files"]["East"]
    n = len(ALIKE)
    assert held["palindromic_dropped"] == held["absent"] == n
    assert held["variants"] == 80 - n
    said = f"    {n} A/T or C/G absent because nothing tells their strand\n"
    assert said in cli("check", ambiguous).out


def test_frequencies_in_the_list_save_what_reads_the_same_on_both(ambiguous: Path) -> None:
    people = draw()
    dosage = np.stack([p.dosage for site in people.values() for p in site])
    known = np.nanmean(dosage, axis=0) / 2
    path = ambiguous.parent / "variants.tsv"
    cells(path, lambda i, line: [*line, "effect_allele_frequency" if i == 0 else str(known[i - 1])])
    bim(ambiguous, "East", lambda i, line: letters(other_strand)(i, line) if i % 2 else line)
    held = found(ambiguous)["files"]["East"]
    saved, lost = held["palindromic_by_frequency"], held["palindromic_dropped"]
    assert saved + lost == len(ALIKE)
    assert saved >= sum(min(known[i], 1 - known[i]) < 0.3 for i in ALIKE) > 0
    assert f"    {saved} A/T or C/G told by their frequency\n" in cli("check", ambiguous).out


def test_a_frequency_that_is_none_is_named_by_its_line(study: Path) -> None:
    path = study.parent / "variants.tsv"
    cells(path, lambda i, line: [*line, "effect_allele_frequency" if i == 0 else "0.3"])
    edit(path, "\t0.3\n", "\t30%\n")
    said = wrong(study)
    assert "variants.tsv:2: a frequency that is no number from 0 to 1" in said
    assert "write NA" in said


def test_a_few_variants_that_a_site_lacks_are_counted_and_the_rest_is_read(study: Path) -> None:
    bim(study, "West", lambda i, line: [*line[:3], str(int(line[3]) + 7), *line[4:]] if i < 16 else line)  # fmt: skip
    assert found(study)["files"]["West"]["absent"] == 16
    bim(study, "West", lambda i, line: [*line[:3], str(int(line[3]) + 7), *line[4:]] if i == 16 else line)  # fmt: skip
    said = wrong(study)
    assert "West/genotypes.bed: 63 of 80 variants" in said
    assert "lift the genotypes over, or take the right files" in said


@pytest.mark.parametrize("alleles", ["AC", "DI", "12", "00"])
def test_alleles_of_another_coding_match_nothing_and_are_refused(study: Path, alleles: str) -> None:
    bim(study, "West", letters(lambda *_: (alleles[0], alleles[1])))
    assert "West/genotypes.bed: 0 of 80 variants" in wrong(study)


def test_a_chromosome_prefix_does_not_matter(study: Path, done: Path) -> None:
    bim(study, "West", lambda _, line: ["chr" + line[0], *line[1:]])
    assert run(study).code == 0
    assert science(study.parent.parent / "out") == science(done)


# --- people


def test_people_with_few_calls_take_no_part_and_the_run_goes_on(tmp_path: Path) -> None:
    people = draw()

    def hardly(dosage: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.where(np.arange(80) < 30, np.nan, dosage)

    people["South"] = [
        changed(p, dosage=hardly(p.dosage) if i < 6 else p.dosage)
        for i, p in enumerate(people["South"])
    ]
    study = write(tmp_path / "study", people)
    assert found(study)["participants"]["South"]["refused"] == {"low call rate": 6}
    assert run(study).code == 0
    counts = science(tmp_path / "out")["participants"]["South"]
    assert (counts["admitted"], counts["refused"]) == (34, {"low call rate": 6})


def test_people_sampled_twice_take_part_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = draw()
    twice = [replace(p, iid=f"again{i}{p.iid}") for i, p in enumerate(people["South"][:7])]
    study = write(tmp_path / "study", {**people, "South": [*people["South"], *twice]})
    plain = found(study)
    assert plain["participants"]["South"]["admitted"] == 47
    assert not plain["files"]["South"]["duplicates_sought"]
    said = "    too few common variants to look for people sampled twice\n"
    assert said in cli("check", study).out
    # The small study has 80 variants, too few in earnest.
    monkeypatch.setattr(quality, "FEW", 60)
    monkeypatch.setattr(quality, "LEAST_CALLED", 0.8)
    counted = found(study)
    assert counted["participants"]["South"]["admitted"] == 40
    assert counted["participants"]["South"]["refused"] == {"duplicate of another person": 7}
    assert counted["files"]["South"]["duplicates_sought"]


def test_a_fam_that_lost_a_line_is_refused(tmp_path: Path) -> None:
    study = write(tmp_path / "study", draw())
    path = study.parent / "West/genotypes.fam"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    said = wrong(study)
    assert "West/genotypes.bed: calls of more people than the 39 of the .fam" in said
    assert "from one run of plink" in said


def test_phenotypes_that_match_nobody_leave_nobody_and_the_site_refuses(study: Path) -> None:
    path = study.parent / "West/phenotypes.tsv"
    cells(path, lambda i, line: line if i == 0 else [f"0_{line[0]}", *line[1:]])
    told = cli("check", study)
    assert (told.code, told.out) == (3, "")
    assert "site West refuses: fewer than 10 people are admitted" in told.err
    assert run(study).code == 3


def test_a_covariate_under_the_name_of_a_derived_column_is_refused(study: Path) -> None:
    edit(study, '"sex"', '"PC1"')
    said = wrong(study)
    assert "West/phenotypes.tsv: the column `PC1`, whose name is kept" in said
    assert "rename it in the study file" in said


def test_line_ends_of_another_system_do_not_matter(study: Path, done: Path) -> None:
    for name in ("genotypes.bim", "genotypes.fam", "phenotypes.tsv", "consents.tsv"):
        path = study.parent / "East" / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert run(study).code == 0
    assert science(study.parent.parent / "out") == science(done)


# --- where the results go


def test_a_run_never_writes_over_another(study: Path) -> None:
    out = study.parent.parent / "out"
    assert run(study).code == 0
    before = {path: path.read_bytes() for path in all_files(out)}
    told = run(study)
    assert (told.code, told.out) == (2, "")
    assert "never into an old one: choose another --out or remove it" in told.err
    assert {path: path.read_bytes() for path in all_files(out)} == before
    verify(out)


@pytest.mark.parametrize("name", ["results.json", "dossier.html"])
def test_a_disk_that_is_full_at_the_last_file_leaves_nothing(
    study: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        if self.name == name:
            write_text(self, "half of")
            raise OSError(ENOSPC, os.strerror(ENOSPC), str(self))
        return write_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    told = run(study)
    assert (told.code, told.out) == (4, "")
    assert "No space left on device" in told.err
    assert there(study.parent.parent) == ["study"]
    monkeypatch.undo()
    assert run(study).code == 0


def test_all_that_is_wrong_at_several_sites_comes_at_once(study: Path) -> None:
    bim(study, "East", letters(lambda *_: ("1", "2")))
    edit(study.parent / "West/phenotypes.tsv", "\till", "\tsick")
    path = study.parent / "South/genotypes.fam"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    said = wrong(study)
    assert "3 problems; nothing was run." in said
    for where in ("East/genotypes.bed: ", "South/genotypes.bed: ", "West/phenotypes.tsv:1: "):
        assert where in said


def test_the_causal_variant_is_still_found_where_every_site_is_otherwise(tmp_path: Path) -> None:
    everything: dict[str, Site] = draw()
    study = write(
        tmp_path / "study",
        everything,
        order={"North": list(reversed(range(80)))},
        swapped={"East": {CAUSAL, 3, 4}},
    )
    bim(study, "South", letters(other_strand))
    assert run(study).code == 0
    top = science(tmp_path / "out")["association"]["top"][0]
    assert top["base_pair_location"] == 1_300_000 + 400 * (CAUSAL - 20)
