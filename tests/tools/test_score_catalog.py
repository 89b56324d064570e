"""Scores by a file as the PGS Catalog harmonises it: every row's reason, and plink2's sums.

The making of the file is `scripts/scored_rows.py`'s and the comparison `scripts/show_score.py`'s,
on fewer variants.
"""

import importlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.scoring import ROOT, kg2504


@pytest.fixture(scope="module")
def shown() -> Iterator[Any]:
    """Yield the script as a module, which finds the module beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        yield importlib.import_module("show_score")


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
