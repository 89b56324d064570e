"""One small study, and one run of it, for all tests of this folder."""

from pathlib import Path

import pytest

from study.small import Told, cli, draw, write


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study file of a small study; it is not to be changed."""
    return write(tmp_path_factory.mktemp("small"), draw())


@pytest.fixture(scope="session")
def ran(small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """Return the folder of a run told as JSON, and what was told; it is not to be changed."""
    out = tmp_path_factory.mktemp("ran") / "out"
    return out, cli("run", small, "--out", out, "--json")
