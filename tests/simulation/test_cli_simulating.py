import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from equipoise.cli import simulating
from equipoise.errors import InputError

ARGUMENTS = ["--people", "X=40,Y=20", "--variants", "50", "--seed", "1", "--model", "random", "--chromosomes", "2"]  # fmt: skip

app = typer.Typer()
app.command()(simulating.simulate)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_writes_a_folder_and_says_what_is_in_it(tmp_path: Path) -> None:
    said = run(
        *ARGUMENTS, "--out", str(tmp_path / "out"), "--trait", "a=quantitative,h2=.3,causal=5"
    )
    assert "Simulated 60 people and 50 variants" in said
    assert (tmp_path / "out" / "sites" / "site-4" / "genotypes.bed").is_file()


def test_json_holds_the_truth(tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = json.loads(run(*ARGUMENTS, "--out", str(out), "--json", "--trait", "a=null"))
    assert said.pop("out") == str(out)
    assert said == json.loads((out / "truth.json").read_text())


@pytest.mark.parametrize(
    "wrong",
    [
        ["--people", "EUR"],
        ["--people", "EUR=many"],
        ["--people", ""],
        ["--people", "EUR=5,EUR=6"],
        ["--amr", "AFR=half"],
        ["--trait", "a"],
        ["--trait", "a=ordinal"],
        ["--trait", "a=binary,power=2"],
        ["--trait", "a=binary,h2=high"],
        ["--trait", "a=binary,causal=1.5"],
        ["--threads", "0"],
        ["--model", "neural"],
    ],
    ids=" ".join,
)
def test_a_malformed_argument_is_refused_by_its_option(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=wrong[0]):
        run(*ARGUMENTS, *wrong, "--out", str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_importing_the_command_imports_nothing_heavy() -> None:
    code = "import equipoise.cli.simulating, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"numpy", "polars", "scipy", "msprime", "numba"} & set(done.stdout.split())
