"""The study's list of variants: read whole, or refused with all that is wrong and where."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.genotypes import variants
from equipoise.genotypes.text import Lines
from equipoise.genotypes.variants import HEADER, Variants

KINDS = (pl.String, pl.Int64, pl.String, pl.String)
TOP = "\t".join(HEADER) + "\n"


def written(folder: Path, *rows: str, top: str = TOP) -> Path:
    path = folder / "variants.tsv"
    path.write_text(top + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def problems(path: Path) -> list[tuple[int | None, str]]:
    with pytest.raises(InputError) as caught:
        variants.read(path)
    assert all(p.file == str(path) and p.expected and p.remedy for p in caught.value.problems)
    return [(problem.line, problem.found) for problem in caught.value.problems]


def test_a_list_is_read_in_its_order(tmp_path: Path) -> None:
    path = written(tmp_path, "chr2\t7\tA\tC", "2\t7\tA\tG", "X\t3\tACGT" + "N" * 100 + "\tA")
    read = variants.read(path)
    assert read.chromosome.tolist() == ["2", "2", "X"]
    assert read.position.tolist() == [7, 7, 3]
    assert read.position.dtype == np.int64
    assert read.effect_allele.tolist() == ["A", "A", "ACGT" + "N" * 100]
    assert read.other_allele.tolist() == ["C", "G", "A"]
    assert read.n_variants == 3


def test_the_digest_is_of_the_list_and_not_of_the_file(tmp_path: Path) -> None:
    rows = ("chr1\t7\tA\tC", "chr1\t9\tT\tC")
    plain = variants.read(written(tmp_path, *rows)).digest()
    windows = (TOP + "\n".join(rows)).replace("\n", "\r\n").replace("chr1", "1")
    zipped = tmp_path / "variants.tsv.gz"
    zipped.write_bytes(gzip.compress(windows.encode()))
    assert variants.read(zipped).digest() == plain
    assert len(plain) == 32


@pytest.mark.parametrize(
    "row",
    ["1\t7\tA\tG", "1\t8\tA\tC", "2\t7\tA\tC", "1\t7\tC\tA"],
    ids=["other", "place", "chromosome", "swap"],
)
def test_the_digest_of_another_list_is_another(tmp_path: Path, row: str) -> None:
    one = variants.read(written(tmp_path, "1\t7\tA\tC")).digest()
    assert variants.read(written(tmp_path, row)).digest() != one


def test_the_digest_of_a_known_list_stays() -> None:
    frame = pl.DataFrame([("22", 100, "A", "G")], schema=list(HEADER), orient="row")
    assert Variants.of(frame).digest().hex() == (
        "334726a2219d3c1a5dcde05de35873cc00e1e2a6de498724cff233f06d309365"
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "22", "X"]),
            st.integers(1, 10**9),
            st.text("ACGTN", min_size=1, max_size=30),
        ),
        min_size=1,
        unique_by=lambda row: row[:2],
    )
)
def test_writing_and_reading_give_back_any_list(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]]
) -> None:
    full = [(c, p, a, a + "A") for c, p, a in sorted(rows)]
    listed = Variants.of(pl.DataFrame(full, schema=list(HEADER), orient="row"))
    path = tmp_path_factory.mktemp("list") / "variants.tsv"
    variants.write(path, listed)
    assert variants.read(path).frame().equals(listed.frame())


def test_all_problems_come_at_once_with_their_lines(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "1\t10\tA\tC",
        "1\t12.5\tA\tC",
        "1\t20\tA\ta",
        "1\t30\tA\tA",
        "1\t30\tA",
        "1\t40\tG\tC",
        "1\t40\tC\tG",
        "1\t35\tC\tG",
        "\t50\tC\tG",
        "1\t60\tC\tG",
        "",
        "2\t0\tC\tG",
    )
    assert problems(path) == [
        (3, "a position that is no whole number from 1"),
        (4, "an allele with other letters than A, C, G, T and N"),
        (5, "twice the same allele"),
        (6, "a line of another number of cells"),
        (8, "a variant that an earlier line has"),
        (9, "a position before that of an earlier line"),
        (10, "a chromosome of another form"),
        (11, "a chromosome that began further up"),
        (12, "a line of another number of cells"),
        (13, "a position that is no whole number from 1"),
    ]


@pytest.mark.parametrize("position", ["", "-1", "1e5", "1,000", " 7", "007", "9" * 19])
def test_a_position_is_a_whole_number_from_1(tmp_path: Path, position: str) -> None:
    found = problems(written(tmp_path, f"1\t{position}\tA\tC"))
    assert found == [(2, "a position that is no whole number from 1")]


def test_at_most_20_problems_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    found = problems(written(tmp_path, *["1\tx\tA\tC"] * 30))
    assert [line for line, _ in found] == [*range(2, 22), None]
    assert found[-1][1] == "and 10 more problems"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"\n\n", "an empty file"),
        (TOP.encode(), "no variant"),
        (b"chrom\tpos\n1\t2\n", "a first line of another form"),
        (TOP.encode() + b"1\t7\tA\t\xff\n", ":2: bytes that are no UTF-8"),
        (gzip.compress(TOP.encode() * 50, mtime=0)[:-9], "a gzip file cut short or altered"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "variants.tsv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        variants.read(path)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.tsv: no such file"):
        variants.read(tmp_path / "nowhere.tsv")


def test_a_message_quotes_no_cell(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        variants.read(written(tmp_path, "1\t987654321.5\tACGTACGT\tQ"))
    assert "987654321" not in str(caught.value)
    assert "ACGTACGT" not in str(caught.value)


# --- the column of frequencies

WITH = TOP.replace("\n", "\teffect_allele_frequency\n")


def test_a_list_may_give_frequencies(tmp_path: Path) -> None:
    cells = ["0", "1", "0.25", "1e-05", ".5", "NA"]
    rows = [f"1\t{7 + i}\tA\tT\t{cell}" for i, cell in enumerate(cells)]
    read = variants.read(written(tmp_path, *rows, top=WITH))
    assert read.frequency is not None
    np.testing.assert_array_equal(read.frequency, [0, 1, 0.25, 1e-05, 0.5, np.nan])
    assert read.frame().columns == list(HEADER)


def test_a_list_without_them_has_none(tmp_path: Path) -> None:
    assert variants.read(written(tmp_path, "1\t7\tA\tC")).frequency is None


@pytest.mark.parametrize(
    "cell", ["", "-0.1", "1.01", "nan", "NaN", "inf", "0,5", "50%", " 0.5", "na"]
)
def test_a_frequency_is_a_number_from_0_to_1_or_na(tmp_path: Path, cell: str) -> None:
    found = problems(written(tmp_path, "1\t6\tA\tT\t0.2", f"1\t7\tA\tT\t{cell}", top=WITH))
    assert found == [(3, "a frequency that is no number from 0 to 1")]


def test_frequencies_are_part_of_the_digest_however_they_are_spelled(tmp_path: Path) -> None:
    def digest(cell: str) -> bytes:
        return variants.read(written(tmp_path, f"1\t7\tA\tC\t{cell}", top=WITH)).digest()

    without = variants.read(written(tmp_path, "1\t7\tA\tC")).digest()
    assert digest("0.25") == digest("2.5e-1") == digest("0.250")
    assert len({without, digest("0.25"), digest("0.26"), digest("0"), digest("NA")}) == 5


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=9))
def test_written_frequencies_are_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, known: list[float | None]
) -> None:
    rows = [("1", i + 1, "A", "C", f) for i, f in enumerate(known)]
    schema = {
        **dict.fromkeys(HEADER, pl.String),
        HEADER[1]: pl.Int64,
        variants.FREQUENCY: pl.Float64,
    }
    listed = Variants.of(pl.DataFrame(rows, schema=schema, orient="row"))
    path = tmp_path_factory.mktemp("list") / "variants.tsv"
    variants.write(path, listed)
    read = variants.read(path)
    np.testing.assert_array_equal(read.frequency, listed.frequency)
    assert read.digest() == listed.digest()


def test_no_other_column_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path, "1\t7\tA\tC\t0.1", top=TOP.replace("\n", "\tmaf\n"))
    with pytest.raises(InputError, match="effect_allele_frequency or nothing after it"):
        variants.read(path)


PLACES = st.tuples(
    st.sampled_from(["1", "2"]), st.integers(0, 4), st.sampled_from("AC"), st.sampled_from("GT")
)


@given(st.lists(PLACES, max_size=12), st.booleans())
def test_repeats_are_those_of_all_rows_compared(
    rows: list[tuple[str, int, str, str]], in_order: bool
) -> None:
    rows = sorted(rows) if in_order else rows
    frame = pl.DataFrame(rows, schema=dict(zip(HEADER, KINDS, strict=True)), orient="row")
    seen, again = set[tuple[Any, ...]](), list[int]()
    for place, (chromosome, position, *alleles) in enumerate(rows):
        key = (chromosome, position, *sorted(alleles))
        again += [place] if position > 0 and key in seen else []
        seen.add(key)
    assert variants.repeats(Variants.of(frame)).tolist() == again
    table = Lines("", frame, np.arange(len(rows)), ())
    assert variants.repeated(table, frame).lines.tolist() == again


def test_a_list_made_of_arrays_is_that_of_the_frame() -> None:
    frame = pl.DataFrame(
        [("1", 7, "A", "G"), ("X", 5, "C", "TA")], schema=list(HEADER), orient="row"
    )
    one = Variants.of(frame)
    other = Variants(one.chromosome, one.position, one.effect_allele, one.other_allele)
    assert other.same(one)
    assert other.frame().equals(one.frame())
    assert replace(one, position=one.position + 1).position.tolist() == [8, 6]
    assert not one.same(replace(one, effect_allele=one.other_allele))
    begins, names = one.runs()
    assert (begins.tolist(), names) == ([0, 1], ["1", "X"])
    with pytest.raises(AttributeError):
        getattr(one, "build")  # noqa: B009  (a name that is not there)
