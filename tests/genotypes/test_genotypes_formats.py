"""The same cohort read equal through every format; dosages right against plink2."""

import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from equipoise.genotypes.bgen import BgenFile
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.source import GenotypeFile, called
from genotypes.formats import (
    HARD,
    Tiny,
    read_hard,
    run_plink2,
    tiny,
    write_bcf,
    write_bgen,
    write_pgen,
    write_vcf,
    write_vcf_gz,
    write_zarr,
)

KG = Path(__file__).resolve().parents[3] / "shared" / "data" / "kg2504" / "kg2504_24k"
PLINK2 = pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
STEP = 1 / 32768
"""Half of plink2's step of a dosage."""


def same_but_calls(file: GenotypeFile, cohort: Tiny) -> None:
    assert file.sample_ids == cohort.ids
    assert file.n_samples == len(cohort.ids)
    assert file.variants.frame().equals(cohort.variants.frame())
    assert tuple(file.ids.tolist()) == cohort.names
    assert file.sex.shape == (file.n_samples,)
    assert not file.left_out


@pytest.mark.parametrize("form", HARD)
@settings(max_examples=12)
@given(cohort=tiny())
def test_hard_calls_are_equal_through_every_format(form: str, cohort: Tiny) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = open_genotypes([HARD[form](Path(folder), cohort)])
        same_but_calls(file, cohort)
        np.testing.assert_array_equal(read_hard(file), cohort.dosage)
        np.testing.assert_array_equal(file.dosages(0, file.n_variants), cohort.dosage)
        for start in range(file.n_variants):
            block = file.packed(start, start + 1)
            np.testing.assert_array_equal(block, file.packed(0, file.n_variants)[start : start + 1])
            assert block.dtype == np.uint8
            last = block[0, -1] >> np.uint8(2 * ((file.n_samples - 1) % 4 + 1) % 8)
            assert file.n_samples % 4 == 0 or last == 0
        assert file.packed(0, 0).shape == (0, -(-file.n_samples // 4))
        assert file.dosages(0, 0).shape == (0, file.n_samples)


@pytest.mark.parametrize("form", HARD)
def test_a_pickle_is_the_file_opened_again(form: str, tmp_path: Path) -> None:
    cohort = Tiny(np.array([[0.0, 1, np.nan]]), ("22",), (5,), ("A",), ("G",))
    file = open_genotypes([HARD[form](tmp_path, cohort)])
    again: GenotypeFile = pickle.loads(pickle.dumps(file))
    same_but_calls(again, cohort)
    np.testing.assert_array_equal(read_hard(again), cohort.dosage)


@pytest.mark.parametrize("form", ["pgen", "vcf", "vcf.gz", "bcf", "bgen", "zarr"])
@pytest.mark.parametrize("field", ["DS", "GP"])
@settings(max_examples=10)
@given(cohort=tiny(dosages=True))
def test_dosages_are_equal_through_every_format(form: str, field: str, cohort: Tiny) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = {
            "pgen": lambda: write_pgen(folder, cohort, dosages=True),
            "vcf": lambda: write_vcf(folder, cohort, field),
            "vcf.gz": lambda: write_vcf_gz(folder, cohort, field),
            "bcf": lambda: write_bcf(folder, cohort, field),
            "bgen": lambda: write_bgen(folder, cohort),
            "zarr": lambda: write_zarr(folder, cohort, field),
        }[form]()
        file = open_genotypes([path])
        same_but_calls(file, cohort)
        found = file.dosages(0, file.n_variants)
        # PGEN keeps 16384ths; the others keep at least 8 bits, which these dosages have.
        np.testing.assert_allclose(found, cohort.dosage, atol=1.01 * STEP)
        codes = np.array((2, np.nan, 1, 0))[called(cohort.dosage.astype(np.float32))]
        np.testing.assert_array_equal(read_hard(file), codes)


@PLINK2
@pytest.mark.parametrize("export", ["vcf", "bgz", "bgen-1.2", "bgen-1.3", "bgen-last", "pgen"])
def test_imputed_data_of_plink2_are_read_as_plink2_reads_them(export: str, tmp_path: Path) -> None:
    run_plink2(
        *("--dummy", 37, 60, 0.05, "dosage-freq=0.6", "--make-pgen", "--seed", 3),
        *("--out", tmp_path / "d"),
    )
    words = {
        "vcf": ("vcf", "vcf-dosage=DS-force"),
        "bgz": ("vcf", "bgz", "vcf-dosage=GP"),
        "bgen-1.2": ("bgen-1.2", "bits=16", "ref-first"),
        "bgen-1.3": ("bgen-1.3", "bits=12", "ref-first"),
        "bgen-last": ("bgen-1.2", "bits=5"),
    }
    path, reference = tmp_path / "d.pgen", "first"
    if export in words:
        run_plink2("--pfile", tmp_path / "d", "--export", *words[export], "--out", tmp_path / "x")
        suffix = {"vcf": ".vcf", "bgz": ".vcf.gz"}.get(export, ".bgen")
        path, reference = tmp_path / f"x{suffix}", "last" if export == "bgen-last" else "first"
    file = open_genotypes([path], reference)
    raw = expected_by_plink2(path, reference, tmp_path)
    # plink2 writes six digits of a dosage; GP in a VCF has as many of each probability.
    np.testing.assert_allclose(file.dosages(0, 60).T, raw, atol=2 * STEP)
    assert file.has_dosages


def expected_by_plink2(path: Path, reference: str, folder: Path) -> np.ndarray:
    """Return dosages of ALT, (people, variants), as plink2 reads the same file."""
    if path.suffix == ".bgen":
        run_plink2(
            *("--bgen", path, f"ref-{reference}", "--sample", path.with_suffix(".sample")),
            *("--make-pgen", "--out", folder / "r"),
        )
    elif path.suffix != ".pgen":
        field = "GP-force" if path.suffix == ".gz" else "DS"
        run_plink2("--vcf", path, f"dosage={field}", "--make-pgen", "--out", folder / "r")
    prefix = path.with_suffix("") if path.suffix == ".pgen" else folder / "r"
    run_plink2("--pfile", prefix, "--export", "A", "--export-allele", alts(prefix), "--out", prefix)
    lines = Path(f"{prefix}.raw").read_text().splitlines()[1:]
    return np.array(
        [[float("nan" if c == "NA" else c) for c in line.split("\t")[6:]] for line in lines]
    )


def alts(prefix: Path) -> Path:
    """Return a file that names the allele to count of each variant."""
    lines = [line.split("\t") for line in Path(f"{prefix}.pvar").read_text().splitlines()]
    path = Path(f"{prefix}.alts")
    path.write_text("".join(f"{c[2]}\t{c[4]}\n" for c in lines if not c[0].startswith("#")))
    return path


@PLINK2
@pytest.mark.skipif(not KG.with_suffix(".bed").is_file(), reason="the open data set is not there")
def test_real_genotypes_are_equal_through_every_format(tmp_path: Path) -> None:
    out = tmp_path / "k"
    some = ("--bfile", KG, "--chr", "21-22", "--thin-indiv-count", 301, "--seed", 1)
    run_plink2(*some, "--make-bed", "--out", out)
    run_plink2("--bfile", out, "--make-pgen", "--out", out)
    run_plink2("--bfile", out, "--export", "vcf", "bgz", "--out", out)
    run_plink2("--bfile", out, "--export", "vcf", "--out", out)
    run_plink2("--bfile", out, "--export", "bgen-1.3", "ref-first", "bits=8", "--out", out)
    bed = open_genotypes([out])
    cohort = Tiny(
        read_hard(bed),
        *(tuple(column.tolist()) for column in (bed.variants.chromosome, bed.variants.position)),
        ref=tuple(bed.variants.other_allele.tolist()),
        alt=tuple(bed.variants.effect_allele.tolist()),
    )
    (tmp_path / "z").mkdir()
    paths = [out.with_suffix(s) for s in (".pgen", ".vcf", ".vcf.gz", ".bgen")]
    for path in [*paths, write_zarr(tmp_path / "z", cohort)]:
        file = open_genotypes([path])
        np.testing.assert_array_equal(file.packed(0, 10**6), bed.packed(0, 10**6))
        assert file.variants.frame().equals(bed.variants.frame())
    assert isinstance(open_genotypes([out.with_suffix(".bgen")]), BgenFile)
