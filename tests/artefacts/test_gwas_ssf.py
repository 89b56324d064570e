"""GWAS-SSF: the columns of the standard, numbers that come back, a file whole or not at all."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.artefacts import gwas_ssf
from equipoise.artefacts.gwas_ssf import COLUMNS, Statistics
from equipoise.errors import InputError

REAL = st.floats(-1e6, 1e6, allow_subnormal=False) | st.just(np.nan)


def table(*real: NDArray[np.float64]) -> Statistics:
    n = len(real[0])
    return Statistics(
        np.array(["22", "X"] * n)[:n].astype(np.dtypes.StringDType()),
        np.arange(1, n + 1),
        np.array(["A"] * n),
        np.array(["C"] * n),
        *real,
        n=np.full(n, 358),
        status=np.array(["ok"] * n),
    )


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(*[hnp.arrays(float, n, elements=REAL)] * 4)))
def test_nine_digits_come_back(
    tmp_path_factory: pytest.TempPathFactory, real: tuple[NDArray[np.float64], ...]
) -> None:
    path = tmp_path_factory.mktemp("ssf") / "association.tsv"
    written = table(*real)
    gwas_ssf.write(path, written)
    read = gwas_ssf.read(path)
    for column in fields(Statistics):
        was, now = getattr(written, column.name), getattr(read, column.name)
        if was.dtype.kind == "f":
            # Half a unit in the ninth significant digit.
            np.testing.assert_allclose(now, was, rtol=5.01e-9, atol=0)
        else:
            assert now.tolist() == was.tolist()


def test_the_file_is_as_the_standard_orders(tmp_path: Path) -> None:
    path = tmp_path / "association.tsv"
    nan = np.array([np.nan])
    zero = np.array([-0.0])
    gwas_ssf.write(path, table(nan, nan, np.array([1 / 3]), zero))
    assert path.read_bytes() == (
        b"chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\tstandard_error\t"
        b"effect_allele_frequency\tneg_log_10_p_value\tn\tstatus\n"
        b"22\t1\tA\tC\tNA\tNA\t0.333333333\t0.0\t358\tok\n"
    )
    assert tuple(field.name for field in fields(Statistics)) == COLUMNS


def test_a_significance_beyond_float_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "association.tsv"
    one = np.array([1.0])
    gwas_ssf.write(path, table(one, one, one, np.array([4321.0625])))
    assert gwas_ssf.read(path).neg_log_10_p_value.tolist() == [4321.0625]


def test_an_infinite_value_is_a_fault_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "association.tsv"
    path.write_text("before")
    one = np.array([1.0])
    with pytest.raises(ValueError, match="infinite"):
        gwas_ssf.write(path, table(one, one, one, np.array([np.inf])))
    assert path.read_text() == "before"


def test_no_other_file_is_left(tmp_path: Path) -> None:
    one = np.array([1.0])
    gwas_ssf.write(tmp_path / "association.tsv", table(one, one, one, one))
    assert [path.name for path in tmp_path.iterdir()] == ["association.tsv"]


def test_columns_of_different_lengths_are_a_fault(tmp_path: Path) -> None:
    one = np.array([1.0])
    with pytest.raises(ValueError, match="different lengths"):
        gwas_ssf.write(tmp_path / "x", replace(table(one, one, one, one), beta=np.zeros(2)))


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "association.tsv"
    with pytest.raises(InputError, match="GWAS-SSF"):
        gwas_ssf.read(path)
    path.write_text("a\tb\n1\tx\n")
    with pytest.raises(InputError, match="GWAS-SSF"):
        gwas_ssf.read(path)
