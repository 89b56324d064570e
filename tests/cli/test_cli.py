"""The command line: what it prints where, in which form, and with which exit code."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import equipoise
from equipoise import demo
from equipoise.cli import running
from study.small import Told, cli, draw, edit, write

COMMANDS = ("run", "demo", "check", "explain", "verify")
COLOURED = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "120"}


def test_run_tells_its_results_as_json_and_nothing_else(ran: tuple[Path, Told]) -> None:
    out, told = ran
    assert (told.code, told.err) == (0, "")
    assert told.json["results"] == json.loads((out / "results.json").read_text())
    assert told.json["out"] == str(out)
    assert (
        cli("verify", out, "--root", told.json["root"], "--json").json["root"] == told.json["root"]
    )


def test_run_tells_people_what_matters(small: Path, tmp_path: Path) -> None:
    told = cli("run", small, "--out", tmp_path / "out")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("Is the trait told by the genome?\n")
    assert "152 people admitted at 4 sites." in told.out
    assert "Strongest association: 21:1304000 (A), -log10 p = 31.5" in told.out
    assert (
        "\nAUC of the model [95 % interval], judged by people it never saw (best single" in told.out
    )
    figure = r"0\.\d\d \[0\.\d\d, [01]\.\d\d, \d+ cases\]  \([01]\.\d\d\)"
    for name in ("all sites", "East", "North", "South", "West"):
        assert re.search(rf"^  {name} +{figure}$", told.out, re.MULTILINE)
    for name in ("dossier.html", "results.json", "association.tsv", "model.txt"):
        assert f" {tmp_path / 'out' / name}" in told.out
    (command,) = re.findall(r"^To verify: equipoise (.*)$", told.out, re.MULTILINE)
    assert cli(*command.split()).code == 0


def test_verify_tells_as_json_and_as_text(ran: tuple[Path, Told]) -> None:
    out, _ = ran
    told = cli("verify", out, "--json").json
    assert set(told) == {"root", "entries", "files", "sites", "keeper"}
    assert f"Final root: {told['root']}\n" in cli("verify", out).out


def test_check_tells_what_would_leave_and_what_could_be_derived(small: Path) -> None:
    told = cli("check", small)
    assert (told.code, told.err) == (0, "")
    for words in (
        "small: nothing wrong with its files.",
        "  North: 34 admitted of 40; refused 6 (withdrawn)",
        "  East: 38 admitted of a number not shown; refused fewer than 5 (other)",
        "  North: 80 variants, 0 with alleles swapped, 0 absent",
        "  association: ",
        " values by fold, in at most 1 round",
        "Sets of people whose totals can be derived:",
        "  everybody by fold: 4 sets, the smallest of about 28 people",
        "  about everybody: 4 windows of variants, at most 5 columns of 22 allowed in each",
        "  about each fold: 4 windows of variants, at most 5 columns of 5 allowed in each",
        "differs by 10 people or more.",
        "  West: no earlier roster",
    ):
        assert words in told.out


def test_check_tells_the_same_as_json(small: Path) -> None:
    told = cli("check", small, "--json").json
    more = {"protection", "privacy", "spent"}
    assert set(told) == {"study", "participants", "files", "disclosure", "rosters", *more}
    assert told["protection"] == {"kind": "masked", "lost_site": "end"}
    assert told["participants"]["North"]["refused"] == {"withdrawn": 6}
    assert {release["step"] for release in told["disclosure"]["releases"]} > {"association"}
    assert all(c["used"] <= c["allowed"] for c in told["disclosure"]["columns"])
    assert set(told["rosters"].values()) == {"no earlier roster"}


def test_what_check_foretells_is_what_the_run_discloses(
    small: Path, ran: tuple[Path, Told]
) -> None:
    results = ran[1].json["results"]
    foretold = cli("check", small, "--json").json
    found, expected = results["disclosure"], foretold["disclosure"]
    same = set(expected) - {"columns"}
    assert {name: found[name] for name in same} == {name: expected[name] for name in same}
    assert set(found) == {*expected, "membership", "privacy"}
    assert found["privacy"] is None is foretold["privacy"]
    for over in ([], ["fold"]):  # of each family, the fullest block and how many there are
        (row,) = [c for c in found["columns"] if c["over"] == over]
        blocks = [c for c in expected["columns"] if c["over"] == over]
        assert row["blocks"] == len(blocks) == 4
        assert row["used"] - row["allowed"] == max(c["used"] - c["allowed"] for c in blocks)
        assert {name: row[name] for name in blocks[0]} in blocks
    assert len(found["columns"]) == 2
    for site, counts in foretold["participants"].items():
        assert counts.items() <= results["participants"][site].items()


def test_problems_are_told_as_json_with_file_line_and_remedy(small: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(small.parent, tmp_path / "study")) / "study.toml"
    edit(study.parent / "East" / "phenotypes.tsv", "\tyes", "\tperhaps")
    (study.parent / "West" / "consents.tsv").unlink()
    for told in (
        cli("check", study, "--json"),
        cli("run", study, "--out", tmp_path / "o", "--json"),
    ):
        assert told.code == 2
        assert told.json["error"] == "InputError"
        one, other = told.json["problems"]
        assert set(one) == {"file", "line", "found", "expected", "remedy"}
        assert one["file"].endswith("East/phenotypes.tsv")
        assert one["line"] > 1
        assert other["file"].endswith("West/consents.tsv")
        assert other["line"] is None
        assert told.err.endswith("2 problems; nothing was run.\n")


def test_a_refusal_is_told_as_json(tmp_path: Path) -> None:
    study = write(tmp_path / "study", draw(people=9))
    told = cli("run", study, "--out", tmp_path / "out", "--json")
    assert told.code == 3
    assert told.json["error"] == "DisclosureError"
    assert told.json["problems"] == []
    assert "refuses" in told.json["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "a.toml"),
        ("walk",),
        ("check", "--nope"),
        ("verify",),
        ("run", "a", "b"),
        ("explain",),
        ("explain", "out"),
    ],
)
def test_wrong_usage_exits_2_and_says_how(words: tuple[str, ...]) -> None:
    told = cli(*words)
    assert (told.code, told.out) == (2, "")
    assert "Usage: equipoise" in told.err
    assert "Error: " in told.err
    told = cli(*words, "--json")
    assert told.code == 2
    assert told.json["error"] == "UsageError"
    assert told.json["message"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_is_accepted(command: str) -> None:
    told = cli(command, "--help")
    assert (told.code, told.err) == (0, "")
    assert f"Example: equipoise {command}" in told.out
    assert "--json" in told.out


def test_help_lists_the_commands_and_exit_codes() -> None:
    told = cli("--help")
    assert told.code == 0
    assert all(f"  {command} " in told.out for command in COMMANDS)
    assert "Exit codes: 0 done, 2 wrong input, 3 refused" in told.out


def test_the_version_is_that_of_the_package() -> None:
    told = cli("--version")
    assert (told.code, told.out.split()) == (0, ["equipoise", equipoise.__version__])


def test_the_module_is_the_command() -> None:
    installed = Path(sys.executable).with_name("equipoise")
    for command in ([sys.executable, "-m", "equipoise"], [str(installed)]):
        told = subprocess.run([*command, "nope"], check=False, capture_output=True, text=True)
        assert told.returncode == 2
        assert told.stderr.startswith("Usage: equipoise")


def test_a_fault_names_its_place_and_never_what_it_broke_on(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: Any) -> None:
        raise ValueError("North001-qqz is 1.5")

    monkeypatch.setattr(running, "run", broken)
    told = cli("run", small, "--out", tmp_path / "out")
    assert (told.code, told.out) == (4, "")
    assert re.search(r"ValueError at test_cli\.py:\d+", told.err)
    told = cli("run", small, "--out", tmp_path / "out", "--json")
    assert told.json["error"] == "ValueError"


def test_a_fault_at_a_site_names_its_place_and_never_what_it_broke_on(
    small: Path, tmp_path: Path
) -> None:
    code = (
        "from equipoise.analyses.linear import LinearScan\n"
        "def broken(self, cohort, state): raise ValueError('North001-qqz is 1.5')\n"
        "LinearScan.summarise = broken\n"
        "from equipoise.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "run", str(small), "--out", "out"]
    told = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (4, "")
    assert "qqz" not in told.stderr
    assert "ValueError at <string>:2" in told.stderr
    assert "refuses: this site failed; see its log" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_is_told_as_json_too(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*words: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", interrupted)
    told = cli("run", small, "--out", tmp_path / "out", "--json")
    assert told.code == 130
    assert told.json["error"] == "Interrupted"


def test_a_reader_who_stops_reading_is_no_fault(small: Path) -> None:
    command = [sys.executable, "-m", "equipoise", "check", str(small)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_progress_is_for_terminals_only_even_where_colour_is_forced(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in COLOURED.items():
        monkeypatch.setenv(name, value)
    assert cli("run", small, "--out", tmp_path / "a").err == ""
    command = [sys.executable, "-m", "equipoise", "run", str(small), "--json"]
    ours, theirs = pty.openpty()
    shown = subprocess.Popen(
        [*command, "--out", str(tmp_path / "b")], stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    said = b""
    try:
        # Read as it comes: whoever writes to a terminal that nobody reads waits for ever.
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:
        pass  # Linux says the end of a terminal so
    os.close(ours)
    printed, _ = shown.communicate(timeout=60)
    assert shown.returncode == 0
    assert json.loads(printed)["results"]["study"]["id"] == "small"
    assert b"round 1" in said
    assert b"left" in said


def test_a_copy_of_the_demo_is_told_and_checks(tmp_path: Path) -> None:
    told = cli("demo", "--copy", tmp_path / "copy", "--json")
    assert told.json == {"study": str(tmp_path / "copy" / "study.toml")}
    again = cli("demo", "--copy", tmp_path / "copy", "--json")
    assert (again.code, again.json["problems"][0]["expected"]) == (2, "a new or empty folder")
    assert cli("check", told.json["study"]).code == 0
    assert (tmp_path / "copy" / "README.md").read_bytes() == (
        demo.folder() / "README.md"
    ).read_bytes()


def test_the_results_say_which_version_made_them(ran: tuple[Path, Told]) -> None:
    assert ran[1].json["results"]["equipoise"] == equipoise.__version__
