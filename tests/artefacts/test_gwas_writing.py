"""GWAS-SSF in blocks: the order and codes of the standard, a file whole or not at all."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.artefacts import gwas_writing
from equipoise.artefacts.gwas_reading import read_table
from equipoise.artefacts.gwas_writing import order, write_table


def block(n: int = 3, start: int = 1, **more: Any) -> dict[str, Any]:
    real = np.linspace(0.1, 0.4, n)
    return {
        "chromosome": np.array(["7"] * n),
        "base_pair_location": np.arange(start, start + n),
        "effect_allele": np.array(["A"] * n),
        "other_allele": np.array(["C"] * n),
        "beta": -real,
        "standard_error": real,
        "effect_allele_frequency": real,
        "neg_log_10_p_value": real * 1000,
        "n": np.full(n, 358),
        "status": np.array(["ok"] * n),
        **more,
    }


def test_columns_stand_in_the_order_of_the_standard(tmp_path: Path) -> None:
    path = tmp_path / "scan.tsv"
    more = {
        "info": np.ones(3),
        "rsid": np.array(["rs1", ".", "rs3"]),
        "method": np.array(["a"] * 3),
    }
    shuffled = dict(reversed(block(**more).items()))
    write_table(path, [shuffled])
    first, second, third, _ = path.read_text().splitlines()
    assert first.split("\t") == [
        *("chromosome", "base_pair_location", "effect_allele", "other_allele", "beta"),
        *("standard_error", "effect_allele_frequency", "neg_log_10_p_value"),
        *("rsid", "info", "n", "method", "status"),
    ]
    assert second == "7\t1\tA\tC\t-0.1\t0.1\t0.1\t100.0\trs1\t1.0\t358\ta\tok"
    assert third.split("\t")[8] == "NA"


@pytest.mark.parametrize(
    ("name", "code"),
    [("X", "23"), ("chrY", "24"), ("MT", "25"), ("26", "25"), ("XY", "23"), ("25", "23")],
)
def test_chromosomes_have_the_numbers_of_the_standard(tmp_path: Path, name: str, code: str) -> None:
    path = tmp_path / "scan.tsv"
    written = write_table(path, [block(1, chromosome=np.array([name]))])
    assert path.read_text().splitlines()[1].split("\t")[0] == code
    assert written.unplaced == 0


def test_an_unknown_chromosome_keeps_its_name_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "scan.tsv"
    written = write_table(path, [block(2, chromosome=np.array(["GL000192.1", "1"]))])
    assert written.unplaced == 1
    assert not written.is_sorted
    assert path.read_text().splitlines()[1].startswith("GL000192.1\t")


@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "10", "X"]), st.integers(1, 4)), max_size=12),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_any_cut_into_blocks_gives_one_file_and_knows_whether_it_is_sorted(
    tmp_path_factory: pytest.TempPathFactory,
    places: list[tuple[str, int]],
    cut: int,
    rows: int,
) -> None:
    folder = tmp_path_factory.mktemp("ssf")
    n = len(places)
    whole = block(
        n,
        chromosome=np.array([c for c, _ in places], np.dtypes.StringDType()),
        base_pair_location=np.array([p for _, p in places], np.int64),
    )
    parts = [{k: v[i : i + cut] for k, v in whole.items()} for i in range(0, max(n, 1), cut)]
    one = write_table(folder / "one.tsv", [whole])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gwas_writing, "ROWS", rows)
        several = write_table(folder / "several.tsv", iter(parts))
    assert one == several
    assert (folder / "one.tsv").read_bytes() == (folder / "several.tsv").read_bytes()
    ranks = [(23 if c == "X" else int(c), p) for c, p in places]
    assert one.is_sorted == (ranks == sorted(ranks))
    assert one.rows == n


def test_the_digest_is_of_the_file_zipped_or_not_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("scan.tsv", "scan.tsv.gz"):
        path = tmp_path / name
        first, second = write_table(path, [block()]), write_table(path, [block()])
        assert first == second
        data = path.read_bytes()
        assert first.md5 == hashlib.md5(data).hexdigest()
    assert (
        gzip.decompress((tmp_path / "scan.tsv.gz").read_bytes())
        == (tmp_path / "scan.tsv").read_bytes()
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "scan.tsv.gz"
    nan = np.array([0.25, np.nan, -1e-300])
    write_table(path, [block(beta=nan), block(start=9, beta=nan)])
    table = read_table(path)
    assert table["beta"].to_list() == [0.25, None, pytest.approx(-1e-300, rel=1e-14)] * 2
    assert table["chromosome"].to_list() == ["7"] * 6
    assert table["n"].to_list() == [358.0] * 6
    assert table.columns[-1] == "status"


def broken() -> Iterator[dict[str, Any]]:
    yield block()
    raise RuntimeError("the scan broke off")


@pytest.mark.parametrize("name", ["scan.tsv", "scan.tsv.gz"])
def test_a_scan_that_breaks_off_leaves_the_old_file_and_no_other(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("before")
    with pytest.raises(RuntimeError):
        write_table(path, broken())
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"beta": np.array([0.0, np.inf, 0.0])}, "infinite value in the column beta"),
        ({"status": np.array(["a\tb", "", ""])}, "tab or a line end in the column status"),
        ({"beta": np.zeros(2)}, "different lengths"),
        ({"p_value": np.ones(3)}, "2 of the columns"),
    ],
)
def test_a_block_that_cannot_be_written_is_a_fault(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        write_table(tmp_path / "scan.tsv", [block(**more)])
    assert not list(tmp_path.iterdir())


def test_blocks_of_other_columns_or_none_are_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "scan.tsv"
    with pytest.raises(ValueError, match="other columns than the first"):
        write_table(path, [block(), block(info=np.ones(3))])
    with pytest.raises(ValueError, match="no block"):
        write_table(path, [])
    with pytest.raises(ValueError, match="no column other_allele"):
        order(["chromosome", "base_pair_location", "effect_allele", "beta", "p_value",
               "standard_error", "effect_allele_frequency"])  # fmt: skip
