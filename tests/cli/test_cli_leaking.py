"""`equipoise leakage` on the folder of a real run of the small study."""

import json
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from equipoise.cli.leaking import leakage
from equipoise.errors import InputError
from equipoise.ledger.audit import verify
from study.small import MARK, Told


def run(*words: object) -> Result:
    app = typer.Typer()
    app.command()(leakage)
    told = CliRunner().invoke(app, list(map(str, words)))
    assert MARK not in told.output, "a person is named"
    return told


def test_a_finished_run_is_attacked_by_theory(ran: tuple[Path, Told], tmp_path: Path) -> None:
    folder, _ = ran
    page = tmp_path / "leakage.html"
    told = run(folder, "--report", page)
    assert told.exit_code == 0
    assert "everybody (152 people), seen by whoever reads the folder" in told.output
    assert "Not measured: no genotypes were given." in told.output
    assert f"To read: {page}" in told.output
    assert page.read_text().startswith("<!doctype html>")
    assert MARK not in page.read_text()
    verify(folder, None)


def test_json_says_the_same_each_time(ran: tuple[Path, Told]) -> None:
    folder, _ = ran
    one, again = run(folder, "--json"), run(folder, "--json")
    assert one.output == again.output
    assert json.loads(one.output)["report"] is None


def test_people_of_the_run_are_told_from_those_who_were_refused(
    ran: tuple[Path, Told], small: Path
) -> None:
    """The files of two sites hold people who took part in both: they are no others."""
    sites = [small.parent / site / "genotypes.bed" for site in ("South", "West")]
    words = [word for site in sites for word in ("--genotypes", site)]
    told = run(ran[0], *words)
    assert isinstance(told.exception, InputError)
    assert "40 of 40 in the file after it did" in str(told.exception)


def test_a_page_in_the_folder_is_refused_before_anything_is_written(
    ran: tuple[Path, Told],
) -> None:
    folder, _ = ran
    told = run(folder, "--report", folder / "leakage.html")
    assert isinstance(told.exception, InputError)
    assert "`verify` refuses" in str(told.exception)
    assert not (folder / "leakage.html").exists()
