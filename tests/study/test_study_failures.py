"""Studies that a site refuses, or that go on without some people: reasons, and nobody is named."""

import shutil
from pathlib import Path

import pytest

from equipoise.ledger.log import read
from study.small import Site, Told, all_files, changed, cli, draw, edit, go, lines, science, write
from study.spoiling import rows, run, there


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


def test_two_sites_are_refused_for_their_masks_before_any_budget(tmp_path: Path) -> None:
    study = write(tmp_path / "study", draw(people=80, sites=("North", "East")))
    edit(study, "[covariates]", "[covariates]\ncomponents = 4")
    for told in (cli("check", study), run(study)):
        assert told.code == 3
        assert "masked sums need at least 3 sites" in told.err
