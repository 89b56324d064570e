"""The walked exact test: whole numbers, the windowed one, and plink2."""

import shutil
import subprocess
from fractions import Fraction
from math import comb, log10
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import equipoise.demo
from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.counts import genotype_counts
from equipoise.solvers.hardy import neg_log_10_mid_p
from equipoise.solvers.hardy_exact import neg_log_10_p

FIN = Path(equipoise.demo.__file__).parent / "gstt1" / "sites" / "FIN" / "genotypes.bed"


def slowly(het: int, hom: int, other: int) -> tuple[float, float]:
    n, a = het + hom + other, 2 * min(hom, other) + het
    ways = {h: comb(n, h) * comb(n - h, (a - h) // 2) * 2**h for h in range(a % 2, a + 1, 2)}
    less = sum(w for w in ways.values() if w < ways[het])
    tied = sum(w for w in ways.values() if w == ways[het])
    total = sum(ways.values())

    def log(p: Fraction) -> float:
        return log10(p.denominator) - log10(p.numerator)

    return log(Fraction(less + tied, total)), log(Fraction(2 * less + tied, 2 * total))


@given(st.integers(0, 150), st.integers(0, 150), st.integers(0, 150))
def test_both_equal_the_slow_twin(het: int, hom: int, other: int) -> None:
    found = neg_log_10_p(*(np.array([c]) for c in (het, hom, other)))
    # Products of a few hundred ratios, each right to 1e-16.
    assert [float(f[0]) for f in found] == pytest.approx(
        slowly(het, hom, other), rel=1e-10, abs=1e-12
    )


def test_equal_to_the_windowed_one_from_common_to_far_out() -> None:
    draw = np.random.default_rng(1)
    sizes = 10 ** draw.uniform(0, 4.5, (3, 3000))
    het, hom, other = sizes.astype(np.int64)
    expected = neg_log_10_mid_p(het, hom, other)
    assert expected.max() > 5000
    # Logarithms of up to ten thousand ratios are added up there, multiplied here.
    np.testing.assert_allclose(neg_log_10_p(het, hom, other)[1], expected, rtol=1e-9, atol=1e-9)


def test_shapes_and_negative_counts() -> None:
    none = np.zeros((0, 3), np.int64)
    assert neg_log_10_p(none, none, none)[0].shape == (0, 3)
    with pytest.raises(ValueError, match="below 0"):
        neg_log_10_p(*np.array([[1], [-1], [0]]))


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
@pytest.mark.parametrize(("flag", "column", "which"), [("", "P", 0), ("midp", "MIDP", 1)])
def test_equal_to_plink2(tmp_path: Path, flag: str, column: str, which: int) -> None:
    command = ["plink2", "--bfile", str(FIN.with_suffix("")), "--hardy", *flag.split()]
    subprocess.run([*command, "--out", "a"], cwd=tmp_path, check=True, capture_output=True)
    theirs = pl.read_csv(tmp_path / "a.hardy", separator="\t")
    file = PlinkFile.open(FIN)
    hom, het, other, _ = genotype_counts(file.packed(0, file.n_variants), file.n_samples).T
    np.testing.assert_array_equal(theirs["HET_A1_CT"].to_numpy(), het)
    found = 10.0 ** -neg_log_10_p(het, hom, other)[which]
    # plink2 prints six digits.
    np.testing.assert_allclose(found, theirs[column].to_numpy(), rtol=6e-6)
