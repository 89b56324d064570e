"""What all tests share: reproducible examples, and the vectors that nobody here wrote."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Return the folder of outside vectors; they are read in place, never copied here."""
    named = os.environ.get("EQUIPOISE_VECTORS")
    folder = Path(named) if named else ROOT.parent / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip(f"no outside vectors at {folder}: set EQUIPOISE_VECTORS to their folder")
    return folder
