"""Files of others in GWAS-SSF: what they may be, and what is wrong with those that are not."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.artefacts import gwas_reading
from equipoise.artefacts.gwas_reading import read_table, statistics
from equipoise.errors import InputError

HEADER = (
    "chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\tstandard_error"
    "\teffect_allele_frequency\tp_value"
)
GOOD = "1\t869388\tA\tG\t-0.0166\t0.00806\t0.997\t0.1"


def write(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "scan.tsv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def test_a_file_of_the_catalog_is_read(tmp_path: Path) -> None:
    """The example of the standard, shortened."""
    more = "\tvariant_id\trsid\tref_allele"
    path = write(
        tmp_path,
        GOOD + "\t1_869388_A_G\t#NA\tEA",
        "23\t24173186\tA\tC\t0.0039\t0.0876\t0.627\t2.3E-08\t23_24173186_C_A\trs5949233\tOA",
        header=HEADER + more,
    )
    table = read_table(path)
    assert table["chromosome"].to_list() == ["1", "X"]
    np.testing.assert_allclose(table["neg_log_10_p_value"], [1.0, 7.638272], rtol=1e-6)
    assert table["rsid"].to_list() == [None, "rs5949233"]
    assert table.columns[4:9] == [
        *("beta", "standard_error", "effect_allele_frequency", "neg_log_10_p_value", "variant_id")
    ]
    held = statistics(table)
    assert held.n.tolist() == [0, 0]
    assert held.status.tolist() == ["ok", "ok"]


def test_zip_byte_order_mark_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, GOOD)
    plain = read_table(path)
    text = path.read_bytes()
    head, tail = text[:40], text[40:]
    path.write_bytes(gzip.compress(head) + gzip.compress(tail))
    assert read_table(path).equals(plain)
    path.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert read_table(path).equals(plain)


def test_an_odds_ratio_is_read_as_its_logarithm(tmp_path: Path) -> None:
    header = HEADER.replace("beta", "odds_ratio")
    table = read_table(write(tmp_path, GOOD.replace("-0.0166", "2.0"), header=header))
    assert table["beta"].to_list() == pytest.approx([np.log(2)])
    assert "odds_ratio" not in table


def test_z_scores_are_no_effect(tmp_path: Path) -> None:
    line = "1\t5\tA\tG\t2.5\t#NA\t0.3\t0.0124"
    table = read_table(write(tmp_path, line, header=HEADER.replace("beta", "z-score")))
    assert table["beta"].to_list() == [None]
    assert table["z-score"].to_list() == [2.5]


def test_a_p_value_of_zero_is_taken_from_the_effect(tmp_path: Path) -> None:
    line = "1\t5\tA\tG\t4.0\t0.1\t0.3\t0"
    (found,) = read_table(write(tmp_path, line))["neg_log_10_p_value"]
    assert found == pytest.approx(349.136, abs=1e-3)  # 2 Phi(-40), Abramowitz and Stegun 26.2
    with pytest.raises(InputError, match=r":2: a p-value of 0; expected one, or beta"):
        read_table(write(tmp_path, line.replace("4.0", "NA")))


def test_no_variant_is_a_table_without_rows(tmp_path: Path) -> None:
    table = read_table(write(tmp_path))
    assert len(table) == 0
    assert len(statistics(table).beta) == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (GOOD.replace("\tA", ""), ":3: 7 cells; expected 8"),
        (GOOD + "\tx", ":3: 9 cells; expected 8"),
        (GOOD.replace("869388", "8e5"), ":3: no number in base_pair_location"),
        (GOOD.replace("869388", "0"), ":3: a base_pair_location out of range"),
        (GOOD.replace("869388", "NA"), ":3: no base_pair_location"),
        (GOOD.replace("-0.0166", "high"), ":3: no number in beta"),
        (GOOD.replace("-0.0166", "inf"), ":3: an infinite or undefined beta"),
        (GOOD.replace("0.00806", "-1"), ":3: a standard_error out of range"),
        (GOOD.replace("0.997", "1.2"), ":3: a effect_allele_frequency out of range"),
        (GOOD.replace("\t0.1", "\t1.1"), ":3: a p_value out of range"),
        ("", ":3: 1 cells"),
    ],
)
def test_what_is_wrong_is_named_by_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match="scan.tsv" + said.replace("(", r"\(")):
        read_table(write(tmp_path, GOOD, line, GOOD))


def test_no_message_quotes_a_cell(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, GOOD.replace("-0.0166", "HG00096")))
    assert "HG00096" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace("p_value", "p"), "without p_value or neg_log_10_p_value"),
        (HEADER.replace("beta", "b"), "without beta or odds_ratio"),
        (HEADER + "\tbeta", "two columns of one name"),
        (HEADER.replace("\t", ","), "without chromosome"),
    ],
)
def test_another_header_is_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(write(tmp_path, GOOD, header=header))


def test_no_file_an_empty_one_and_a_cut_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.tsv"
    with pytest.raises(InputError, match="no such file"):
        read_table(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="empty file"):
        read_table(path)
    path.write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(InputError, match="cut short"):
        read_table(path)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "scan.tsv"
    good = "\n".join((HEADER, GOOD, GOOD)).encode()
    path.write_bytes(good[:at] + junk + good[at:])
    try:
        table = read_table(path)
    except InputError:
        return
    assert set(table["neg_log_10_p_value"].is_infinite().drop_nulls()) <= {False}


def test_lines_are_counted_over_chunks(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gwas_reading, "_CHUNK", 60)
        with pytest.raises(InputError, match=r":7: 1 cells"):
            read_table(write(tmp_path, *[GOOD] * 5, "x", GOOD))
        assert len(read_table(write(tmp_path, *[GOOD] * 5))) == 5
