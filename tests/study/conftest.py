"""One small study, and one run of it, for all tests of this folder."""

import shutil
from pathlib import Path

import pytest

from study.small import draw, go, write


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study file of the small study; it is not to be changed."""
    return write(tmp_path_factory.mktemp("small"), draw())


@pytest.fixture(scope="session")
def done(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one run of it; it is not to be changed."""
    out = tmp_path_factory.mktemp("done") / "out"
    go(small, out)
    return out


@pytest.fixture
def study(small: Path, tmp_path: Path) -> Path:
    """Return the study file of a copy, to be spoilt."""
    return Path(shutil.copytree(small.parent, tmp_path / "study")) / "study.toml"
