"""Scores by a file as the PGS Catalog harmonises it: every row's reason, and plink2's sums.

The making of the file and the comparison are `scripts/show_score.py`'s, on fewer variants.
"""

import importlib.util
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.scoring import ROOT, kg2504


@pytest.fixture(scope="module")
def shown() -> Any:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("show_score", ROOT / "scripts" / "show_score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["show_score"] = module  # its records look their own types up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stage(shown: Any, tmp_path: Path) -> Any:
    program = shutil.which("plink2")
    if program is None:
        pytest.skip("no plink2 on this machine")
    return shown.Stage(tmp_path, kg2504(), program, 40)


def test_rows_of_every_kind_have_their_reason_and_scores_are_those_of_plink2(
    stage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage.show(), capsys.readouterr().out


def test_what_is_planted_is_found(
    shown: Any, stage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stage.folder / "PGS1_hmPOS_GRCh37.txt.gz"
    shown.write_scoring(path, stage.rows, "GRCh37", "GRCh38")
    used = next(i for i, row in enumerate(stage.rows) if row.due(False) == "matched")
    stage.rows[used] = replace(stage.rows[used], reason="swapped")
    assert not stage.same("a wrong reason", path)
    report = stage.folder / "scores.match.tsv"
    text, weight = report.read_text(), stage.rows[used].cells["effect_weight"]
    assert stage.agree("as it is", imputed=True)
    report.write_text(text.replace(f"\t{float(weight)}\tyes", "\t9.5\tyes", 1))
    assert report.read_text() != text
    assert not stage.agree("a wrong weight", imputed=True)
    assert "FAILS" in capsys.readouterr().out
