"""The surface of the package: what starts lightly, what is public, what is pinned."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import equipoise

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("cryptography", "jinja2", "numpy", "polars", "scipy")


def heavy_after(code: str) -> list[str]:
    """Return the heavy packages that a new interpreter holds after running the code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return sorted(set(HEAVY) & set(done.stderr.split()))


def test_importing_the_cli_imports_nothing_heavy() -> None:
    assert heavy_after("import equipoise.cli") == []


@pytest.mark.parametrize("command", ["", "demo", "run", "check", "verify"])
def test_help_imports_nothing_heavy(command: str) -> None:
    arguments = ["equipoise", *command.split(), "--help"]
    assert (
        heavy_after(
            f"import sys; sys.argv = {arguments}\n"
            "from equipoise.cli import main\n"
            "try:\n    main()\n"
            "except SystemExit as stop:\n    assert not stop.code, stop.code"
        )
        == []
    )


def test_the_probe_sees_a_heavy_import() -> None:
    assert heavy_after("import numpy") == ["numpy"]


def test_the_version_is_the_one_of_the_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert equipoise.__version__ == project["version"]


def test_constraints_pin_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    names = {re.split(r"[\[<>=!~; ]", r)[0].lower().replace("_", "-") for r in wanted}
    names.discard(project["name"])  # `all` names the other extras
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert names <= {line.partition("==")[0] for line in lines if "==" in line}
