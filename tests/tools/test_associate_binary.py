"""`associate --binary`: against plink2 and the slow routines, over sites, and filters."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from equipoise.errors import InputError
from equipoise.solvers.hardy_exact import neg_log_10_p
from equipoise.solvers.score import binary_block, null_logistic
from equipoise.tools.associate import associate
from equipoise.tools.filters import Limits
from tools.test_associate import M, N, Study, run, t


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path, seed=4)
    rng = np.random.default_rng(5)
    logit = -1 + 0.6 * np.nan_to_num(made.dosage[3]) + 0.05 * (made.c[:, 0] - 55)
    made.y = (rng.random(N) < 1 / (1 + np.exp(-logit))).astype(float)
    return made


def binary(study: Study, *parts: np.ndarray, **changes):
    return replace(study.request(*parts), binary=True, **changes)


def test_one_site_is_the_block_routine_where_tails_count(study: Study) -> None:
    table = run(binary(study, np.arange(N)))
    c = (study.c - study.c.mean(axis=0)) / study.c.std(axis=0)
    null = null_logistic(np.column_stack([np.ones(N), c]), study.y)
    slow = binary_block(study.dosage, null)
    np.testing.assert_allclose(table["neg_log_10_p_value"], slow.neg_log_10_p, rtol=1e-6)
    np.testing.assert_allclose(table["beta"], slow.beta, rtol=1e-6)
    assert set(table["method"]) >= {"score"}


def test_one_and_two_as_plink_codes_them_are_the_same(study: Study) -> None:
    first = run(binary(study, np.arange(N))).write_csv()
    study.y += 1
    assert run(binary(study, np.arange(N))).write_csv() == first


def test_sites_add_up_to_the_pooled_score_test(study: Study) -> None:
    study.dosage = np.nan_to_num(study.dosage)
    order = np.random.default_rng(1).permutation(N)
    three = run(binary(study, order[:70], order[70:130], order[130:], protection="clear"))
    two = run(binary(study, order[:100], order[100:]))
    pooled = run(binary(study, np.arange(N)))
    np.testing.assert_allclose(t(three), t(two), rtol=1e-5)
    plain = (pooled["method"] == "score").to_numpy()
    np.testing.assert_allclose(t(three)[plain], t(pooled)[plain], rtol=1e-5)
    near = (pooled["method"] == "saddle_point").to_numpy()
    for name in ("neg_log_10_p_value",):
        ours, theirs = three[name].to_numpy(), pooled[name].to_numpy()
        np.testing.assert_allclose(ours[plain], theirs[plain], rtol=1e-5)
        np.testing.assert_allclose(ours[near], theirs[near], atol=0.01)


def test_under_masks_a_rare_tail_is_withheld_and_said(study: Study) -> None:
    study.y = ((np.nan_to_num(study.dosage[3]) > 0) | (study.y > 0)).astype(float)
    order = np.random.default_rng(2).permutation(N)
    parts = order[:70], order[70:130], order[130:]
    masked = run(binary(study, *parts, protection="masked"))
    clear = run(binary(study, *parts, protection="clear"))
    withheld = masked["status"] == "tail_withheld"
    assert withheld.any()
    assert masked.filter(withheld)["neg_log_10_p_value"].is_null().all()
    np.testing.assert_allclose(t(masked), t(clear), rtol=1e-6)


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_firth_of_every_variant_is_plink2s(study: Study) -> None:
    request = binary(study, np.arange(N), firth=True)
    ours = run(request)
    command = ["plink2", "--bfile", str(study.folder / "s0"), "--1", "--glm", "firth", "omit-ref"]
    command += ["hide-covar", "cols=+beta", "--covar-variance-standardize"]
    command += ["--pheno", str(request.phenotypes[0]), "--pheno-name", "y"]
    command += ["--covar", str(request.phenotypes[0]), "--covar-name", "age", "sex"]
    command += ["--out", str(study.folder / "plink")]
    subprocess.run(command, check=True, capture_output=True)
    path = study.folder / "plink.y.glm.firth"
    theirs = pl.read_csv(path, separator="\t", null_values="NA")
    beta = theirs["BETA"] if "BETA" in theirs.columns else theirs["OR"].log()
    error = theirs["SE"] if "SE" in theirs.columns else theirs["LOG(OR)_SE"]
    assert ((ours["beta"] - beta).abs() / error).max() < 1e-3
    np.testing.assert_allclose(ours["standard_error"], error, rtol=1e-3)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(maf=0.2), "maf"), (Limits(call_rate=0.95), "call_rate"), (Limits(hwe=0.2), "hwe")],
)
def test_filters_leave_out_what_they_say(study: Study, limits: Limits, reason: str) -> None:
    everything = run(study.request(np.arange(N)))
    request = replace(study.request(np.arange(N)), limits=limits)
    (done,) = associate(request, lambda share: None)
    table = pl.read_csv(request.out, separator="\t", null_values="NA")
    counts = np.stack([(study.dosage == d).sum(axis=1) for d in (2, 1, 0)])
    called = counts.sum(axis=0)
    frequency = (2 * counts[0] + counts[1]) / (2 * called)
    keep = {
        "maf": np.minimum(frequency, 1 - frequency) >= 0.2,
        "call_rate": called >= 0.95 * N,
        "hwe": neg_log_10_p(counts[1], counts[0], counts[2])[1] <= -np.log10(0.2),
    }[reason]
    assert 0 < keep.sum() < M
    assert done.summary["filtered"][reason] == M - keep.sum()
    np.testing.assert_allclose(t(table), t(everything)[keep], rtol=1e-9)


def test_other_codings_and_limits_are_refused(study: Study) -> None:
    study.y[0] = 3
    with pytest.raises(InputError, match="other values than 0 and 1"):
        run(binary(study, np.arange(N)))
    with pytest.raises(InputError, match=r"--maf 0\.7; expected 0 to 0\.5"):
        Limits(maf=0.7)
    with pytest.raises(InputError, match="no variant of 40 is within"):
        run(replace(study.request(np.arange(N)), limits=Limits(call_rate=1.0, maf=0.49)))
    with pytest.raises(InputError, match="--firth fits people one by one"):
        run(replace(study.request(np.arange(N)), firth=True))
