"""Convert: what was written reads back, plink2 reads it alike, and every loss is counted."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from equipoise.cli.converting import convert_and_tell
from equipoise.errors import InputError
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.plink import PlinkFile
from equipoise.tools import convert as module
from equipoise.tools.convert import convert
from genotypes.formats import (
    HARD,
    VCF_HEAD,
    Tiny,
    read_hard,
    run_plink2,
    tiny,
    write_bed,
    write_bgen,
    write_vcf,
)

NAN = np.nan
COHORT = Tiny(
    np.array([[0, 1, 2, NAN, 0.0], [2, 1, 0, 2, 1]]), ("1", "22"), (7, 9), ("A",) * 2, ("G",) * 2
)
SOFT = Tiny(
    np.array([[0, 1.05, 1.5, NAN, 0.25], [2, 1, 0, 2, 1]]),
    ("1", "22"),
    (7, 9),
    ("A",) * 2,
    ("G",) * 2,
)


@pytest.mark.parametrize("form", HARD)
@pytest.mark.parametrize("suffix", [".bed", ".pgen"])
def test_hard_calls_come_through_unchanged(tmp_path: Path, form: str, suffix: str) -> None:
    if suffix == ".pgen":
        pytest.importorskip("pgenlib")
    source = open_genotypes([HARD[form](tmp_path, COHORT)])
    report = convert(source, tmp_path / "out" / f"b.x{suffix}")
    again = open_genotypes([report.files[0]])
    np.testing.assert_array_equal(read_hard(again), COHORT.dosage)
    assert again.variants.frame().equals(COHORT.variants.frame())
    assert again.sample_ids == COHORT.ids
    assert tuple(again.ids.tolist()) == COHORT.names
    assert (report.n_samples, report.n_variants) == (5, 2)
    assert (report.rounded, report.lost, report.greatest_loss) == (0, 0, 0)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        f.name for f in report.files
    )


@settings(max_examples=15)
@given(cohort=tiny(dosages=True))
def test_dosages_survive_pgen_and_their_loss_in_bed_is_counted(
    tmp_path_factory: Any, cohort: Tiny
) -> None:
    pytest.importorskip("pgenlib")
    folder: Path = tmp_path_factory.mktemp("c")
    source = open_genotypes([write_vcf(folder, cohort, "DS")])
    pgen = convert(source, folder / "p.pgen")
    before = source.dosages(0, source.n_variants)
    after = open_genotypes([folder / "p.pgen"]).dosages(0, source.n_variants)
    np.testing.assert_allclose(after, before, atol=1.01 / 32768)
    moved = np.abs(after - before)[~np.isnan(before)]
    assert pgen.rounded == np.count_nonzero(moved)
    assert pgen.lost == pgen.calls_remade == 0
    bed = convert(source, folder / "b.bed")
    hard = read_hard(open_genotypes([folder / "b.bed"]))
    np.testing.assert_array_equal(hard, read_hard(source))
    lost = np.isnan(hard) & ~np.isnan(before)
    loss = np.abs(hard - before)[~np.isnan(hard)]
    assert bed.lost == np.count_nonzero(lost)
    assert bed.rounded == np.count_nonzero(loss)
    assert bed.greatest_loss == pytest.approx(loss.max(initial=0))
    assert bed.mean_loss == pytest.approx(loss[loss > 0].mean() if bed.rounded else 0)
    assert ("dosages" in bed.not_kept) == source.has_dosages
    assert "dosages" not in pgen.not_kept


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
@pytest.mark.parametrize("suffix", [".bed", ".pgen"])
def test_plink2_writes_the_same(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pgenlib")
    vcf = write_vcf(tmp_path, SOFT, "DS")
    convert(open_genotypes([vcf]), tmp_path / f"ours{suffix}")
    run_plink2("--vcf", vcf, "dosage=DS", "--make-pgen", "--out", tmp_path / "r")
    run_plink2("--pfile", tmp_path / "r", "--make-bed", "--out", tmp_path / "theirs")
    if suffix == ".pgen":
        run_plink2("--pfile", tmp_path / "ours", "--make-bed", "--out", tmp_path / "ours")
    ours, theirs = (PlinkFile.open(tmp_path / name) for name in ("ours", "theirs"))
    np.testing.assert_array_equal(ours.packed(0, 9), theirs.packed(0, 9))
    assert ours.variants.frame().equals(theirs.variants.frame())


def test_small_blocks_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_genotypes([write_bed(tmp_path, COHORT)])
    whole = convert(source, tmp_path / "a" / "x.bed")
    monkeypatch.setattr(module, "_CELLS", 1)
    told: list[float] = []
    parts = convert(source, tmp_path / "b" / "x.bed", told.append)
    assert told == [0.5, 1]
    for one, other in zip(whole.files, parts.files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_what_the_reader_left_out_is_in_the_report(tmp_path: Path) -> None:
    rows = "1\t5\tx\tA\tG,T\t.\t.\t.\tGT\t0/1\n1\t6\ty\tA\tG\t.\t.\t.\tGT\t0/1\n"
    (tmp_path / "a.vcf").write_text(f"{VCF_HEAD}\tP1\n{rows}")
    report = convert(open_genotypes([tmp_path / "a.vcf"]), tmp_path / "b.bed")
    assert report.left_out == {"more than two alleles": 1}
    assert "phase" in report.not_kept


def test_another_ending_and_files_that_are_there_are_refused(tmp_path: Path) -> None:
    source = open_genotypes([write_bed(tmp_path, COHORT)])
    before = (tmp_path / "a.bed").read_bytes()
    with pytest.raises(InputError, match=r"expected \.bed or \.pgen"):
        convert(source, tmp_path / "b.vcf")
    with pytest.raises(InputError, match="exists; expected a new name"):
        convert(source, tmp_path / "a.bed")
    assert (tmp_path / "a.bed").read_bytes() == before


@pytest.mark.parametrize("suffix", [".bed", ".pgen"])
def test_nothing_is_left_where_it_breaks_off(tmp_path: Path, suffix: str) -> None:
    if suffix == ".pgen":
        pytest.importorskip("pgenlib")
    path = write_bgen(tmp_path, SOFT)
    data = bytearray(path.read_bytes())
    data[-3] ^= 8
    path.write_bytes(data)
    with pytest.raises(InputError, match="byte"):
        convert(open_genotypes([path]), tmp_path / "out" / f"x{suffix}")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_allele_of_plink_1_is_a_dot_in_pgen(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    path = write_bed(tmp_path, COHORT)
    bim = path.with_suffix(".bim")
    bim.write_text(bim.read_text().replace("\tG\tA", "\t0\tA"))
    report = convert(open_genotypes([path]), tmp_path / "x.pgen")
    assert open_genotypes([report.files[0]]).variants.effect_allele.tolist() == [".", "."]


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_vcf(tmp_path, SOFT, "DS")
    convert_and_tell([path], tmp_path / "x.bed", as_json=False)
    said = capsys.readouterr().out
    assert "Wrote 2 variants of 5 people" in said
    assert "rounded: 1 dosages, by 0.05 on average and 0.05 at most" in said
    assert "not called: 2 dosages" in said
    convert_and_tell([path], tmp_path / "y.bed", as_json=True)
    assert '"dosages_not_called": 2' in capsys.readouterr().out
