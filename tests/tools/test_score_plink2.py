"""Scores of real people are those of plink2, weight by weight."""

import gzip
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.artefacts import pgs_catalog
from equipoise.genotypes import plink
from equipoise.genotypes.matching import USED
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.variants import Variants
from equipoise.packed.decode import decode, encode
from equipoise.tools import score_files
from equipoise.tools.score import score
from tools.scoring import COMPLEMENT, ROOT, Held, table, weights


def kg2504() -> PlinkFile:
    named = os.environ.get("EQUIPOISE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "kg2504" / "kg2504_24k.bed").is_file():
        pytest.skip(f"no kg2504 at {folder}: set EQUIPOISE_DATA to the folder that has it")
    return PlinkFile.open(folder / "kg2504" / "kg2504_24k")


@dataclass(frozen=True)
class Made:
    """Real genotypes with calls taken out, a scoring file for them, and what plink2 is told.

    reasons  what the making of each weight says of it
    named    (id, allele, weight) of those that are to be used with ambiguous ones kept
    """

    prefix: Path
    scoring: Path
    reasons: list[str]
    named: list[tuple[str, str, str]]


def made(folder: Path) -> Made:
    """Make weights of every kind for every eighth variant, the last of them on X."""
    file, draw = kg2504(), np.random.default_rng(4)
    places = np.arange(0, file.n_variants, 8)
    dosage = np.concatenate([decode(file.packed(p, p + 1), file.n_samples) for p in places])
    dosage[draw.random(dosage.shape) < 0.02] = np.nan
    v = file.variants
    chromosome = v.chromosome[places].copy()
    chromosome[-300:] = "X"
    own = Variants(chromosome, v.position[places], v.effect_allele[places], v.other_allele[places])
    prefix = folder / "kg"
    plink.write(prefix, encode(dosage), own, file.sample_ids, file.sex)
    bim = [line.split("\t") for line in prefix.with_suffix(".bim").read_text().splitlines()]
    for number, line in enumerate(bim):
        line[1] = f"v{number}"
    prefix.with_suffix(".bim").write_text("".join("\t".join(line) + "\n" for line in bim))
    rows, reasons, named = [], [], []
    for number, (chrom, _, _, at, a1, a2) in enumerate(bim):
        effect, other = (a1, a2) if draw.random() < 0.5 else (a2, a1)
        position, size = int(at), f"{draw.normal():.6f}"
        reason = "matched" if effect == a1 else "swapped"
        used, kind = (f"v{number}", effect, size), number % 6
        palindrome = a1.translate(COMPLEMENT) == a2
        if kind == 1 and not palindrome:
            effect, other = effect.translate(COMPLEMENT), other.translate(COMPLEMENT)
            reason = "other_strand"
        elif kind == 2:
            position, reason = 240_000_000 + number, "absent"
        elif kind == 3 and not palindrome:
            other = "GATTACA"
            reason = "allele_mismatch"
        elif palindrome:
            reason = "ambiguous_kept"
        if reason in USED:
            named.append(used)
        rows.append((f"v{number}", f"chr{chrom}", position, effect, other, size))
        reasons.append(reason)
    path = folder / "PGS9_hmPOS_GRCh37.txt.gz"
    weights(folder / "plain.txt", rows, "PGS9")
    path.write_bytes(gzip.compress((folder / "plain.txt").read_bytes()))
    return Made(prefix, path, reasons, named)


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
