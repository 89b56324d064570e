"""Scores of real people are those of plink2, weight by weight."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.artefacts import pgs_catalog
from equipoise.genotypes.plink import PlinkFile
from equipoise.tools import score_files
from equipoise.tools.score import score
from tools.scoring import Held, Made, made, table


def plink2(case: Made, *more: str) -> NDArray[np.float64]:
    """Return ALLELE_CT, DENOM, NAMED_ALLELE_DOSAGE_SUM, SCORE1_AVG and SCORE1_SUM by plink2."""
    program = shutil.which("plink2")
    if program is None:
        pytest.skip("no plink2 on this machine")
    listed_ = case.prefix.with_suffix(".weights")
    listed_.write_text("".join("\t".join(row) + "\n" for row in case.named))
    out = case.prefix.with_suffix(".out")
    columns = "cols=nallele,denom,dosagesum,scoreavgs,scoresums"
    command = [program, "--bfile", case.prefix, "--score", listed_, "1", "2", "3", *more, columns]
    done = subprocess.run(
        [*map(str, command), "--threads", "1", "--out", str(out)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return np.loadtxt(f"{out}.sscore", usecols=(1, 2, 3, 4, 5))


@pytest.mark.parametrize("imputed", [True, False])
def test_scores_are_those_of_plink2_on_real_people(tmp_path: Path, imputed: bool) -> None:
    case = made(tmp_path)
    expected = plink2(case, *([] if imputed else ["no-mean-imputation"]))
    file = PlinkFile.open(case.prefix)
    held = Held("kg", file, file.sample_ids, file.sex)
    scoring = pgs_catalog.read(case.scoring)
    found = score(
        [held],
        file.variants,
        [scoring],
        keep_ambiguous=True,
        mean_imputation=imputed,
        least_matched=0.5,
    )
    assert found.scores[0].match.reasons == case.reasons
    score_files.write(tmp_path / "scores.tsv", [held], found)
    names = ("ALLELE_CT", "DENOM", "NAMED_ALLELE_DOSAGE_SUM", "SCORE_AVG", "SCORE_SUM")
    ours = np.array(
        [[float(row[name]) for name in names] for row in table(tmp_path / "scores.tsv")]
    )
    np.testing.assert_array_equal(ours[:, :3], expected[:, :3])
    # plink2 prints six digits: all of them, half a unit of the sixth to either side.
    step = 10.0 ** (np.floor(np.log10(np.abs(expected[:, 3:]))) - 5)
    assert np.max(np.abs(ours[:, 3:] - expected[:, 3:]) / step) < 0.5001
