"""The phenotype table: numbers as meant, never as guessed, and each problem at its line."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.errors import InputError, Problem
from equipoise.phenotypes import table
from equipoise.phenotypes.columns import Kind

NAN = float("nan")


def write(folder: Path, text: str) -> Path:
    path = folder / "phenotypes.tsv"
    path.write_bytes(text.encode())
    return path


def column(folder: Path, kind: Kind, cells: list[str], name: str = "x", **levels: tuple[str, ...]):
    rows = "".join(f"P{i}\t{cell}\n" for i, cell in enumerate(cells))
    path = write(folder, f"IID\t{name}\n{rows}")
    return table.read(path, {name: kind}, levels).columns[name]


def problems(
    path: Path, columns: Mapping[str, Kind], **levels: tuple[str, ...]
) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        table.read(path, columns, levels)
    return caught.value.problems


def faults(folder: Path, kind: Kind, cells: list[str], name: str = "x", **levels: tuple[str, ...]):
    rows = "".join(f"P{i}\t{cell}\n" for i, cell in enumerate(cells))
    return problems(write(folder, f"IID\t{name}\n{rows}"), {name: kind}, **levels)


def test_a_table_gives_people_columns_and_notes_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "#made up\nage\tIID\tother\tcase\n50\tP2\t?\tyes\n61.5\tP1\t\tno\n"
    found = table.read(write(tmp_path, text), {"case": "binary", "age": "quantitative"})
    assert found.iids == ("P2", "P1")
    assert found.notes == ("made up",)
    assert list(found.columns) == ["case", "age"]
    np.testing.assert_array_equal(found.columns["case"], [1, 0])
    np.testing.assert_array_equal(found.columns["age"], [50, 61.5])
    assert found.columns["age"].dtype == np.float64
    assert "P1" not in repr(found)


@pytest.mark.parametrize("kind", ["binary", "quantitative", "categorical"])
def test_missing_is_nan_in_every_kind(tmp_path: Path, kind: Kind) -> None:
    values = column(tmp_path, kind, ["", "NA", ".", "nan", "NaN", "na", "1", "0"])
    np.testing.assert_array_equal(values, [NAN] * 6 + [1, 0])
    np.testing.assert_array_equal(column(tmp_path, kind, ["NA", ""]), [NAN, NAN])


def test_binary_is_yes_or_no_in_any_case_or_one_or_nought(tmp_path: Path) -> None:
    values = column(tmp_path, "binary", ["yes", "No", "YES", "1", "0"])
    np.testing.assert_array_equal(values, [1, 0, 1, 1, 0])


def test_plink_coding_of_a_trait_is_never_misread(tmp_path: Path) -> None:
    found = faults(tmp_path, "binary", ["1", "2", "1", "2", "-9"])
    assert [problem.line for problem in found] == [3, 5, 6]
    assert "PLINK" in found[0].found
    assert "write no for 1, yes for 2" in found[0].remedy
    (controls,) = faults(tmp_path, "binary", ["NA", "1", "1", "1"])
    assert controls.line == 3
    assert "PLINK" in controls.found


@pytest.mark.parametrize("cell", ["true", "case", "yes ", "1.0", "3", "-9"])
def test_other_words_for_yes_are_problems(tmp_path: Path, cell: str) -> None:
    (found,) = faults(tmp_path, "binary", ["yes", cell])
    assert found.line == 3
    assert cell not in found.found + found.expected.replace("yes, no, 1, 0", "")


@pytest.mark.parametrize("cell", ["inf", "1e400", "1,5", "1_0", " 1", "0x1", "-inf", "١", "abc"])
@pytest.mark.parametrize("kind", ["quantitative", "categorical"])
def test_what_is_no_finite_number_is_a_problem(tmp_path: Path, cell: str, kind: Kind) -> None:
    (found,) = faults(tmp_path, kind, ["1", "2", cell, "-3e2"])
    assert found.line == 4
    assert "no finite number" in found.found


def test_plinks_missing_is_a_problem_and_a_measured_minus_nine_is_not(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "quantitative", ["-9", "-9.0"])
    assert found.line == 2
    np.testing.assert_array_equal(column(tmp_path, "quantitative", ["-9.0"]), [-9])


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_numbers_are_read_to_the_last_bit(tmp_path: Path, values: list[float]) -> None:
    np.testing.assert_array_equal(column(tmp_path, "quantitative", list(map(repr, values))), values)


def test_sex_has_its_levels_built_in_whoever_is_at_the_site(tmp_path: Path) -> None:
    both = column(tmp_path, "categorical", ["female", "male", "F", "m", "2", "1", "Male"], "sex")
    np.testing.assert_array_equal(both, [0, 1, 0, 1, 0, 1, 1])
    np.testing.assert_array_equal(column(tmp_path, "categorical", ["male"] * 3, "Sex"), [1] * 3)
    np.testing.assert_array_equal(column(tmp_path, "categorical", ["1", "1"], "sex"), [1, 1])


def test_a_nought_for_sex_is_a_problem(tmp_path: Path) -> None:
    found = faults(tmp_path, "categorical", ["0", "1", "woman"], "sex")
    assert [problem.line for problem in found] == [2, 4]
    assert "UK Biobank" in found[0].found


@given(cells=st.lists(st.sampled_from(["low", "high"]), min_size=1, max_size=6))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_levels_of_the_caller_code_the_same_at_every_site(tmp_path: Path, cells: list[str]) -> None:
    values = column(tmp_path, "categorical", cells, x=("low", "high"))
    np.testing.assert_array_equal(values, [float(cell == "high") for cell in cells])


def test_levels_that_look_like_numbers_are_levels(tmp_path: Path) -> None:
    np.testing.assert_array_equal(column(tmp_path, "categorical", ["1", "2"], x=("1", "2")), [0, 1])


def test_text_without_levels_or_outside_them_is_a_problem(tmp_path: Path) -> None:
    (unnamed,) = faults(tmp_path, "categorical", ["1", "blue"])
    assert (unnamed.line, "levels" in unnamed.remedy) == (3, True)
    (other,) = faults(tmp_path, "categorical", ["low", "mid", "NA"], x=("low", "high"))
    assert (other.line, "`low` or `high`" in other.expected) == (3, True)


@pytest.mark.parametrize("levels", [("a",), ("a", "a"), ("a", "b", "c")])
def test_other_than_two_levels_is_not_supported_yet(
    tmp_path: Path, levels: tuple[str, ...]
) -> None:
    (found,) = faults(tmp_path, "categorical", ["a", "b"], x=levels)
    assert "not yet supported" in found.remedy


def test_all_problems_come_at_once_each_at_its_line(tmp_path: Path) -> None:
    text = (
        "#note\nIID\tcase\tage\nP1\tyes\t1\nP2\t2\told\n\nP3\tno\nP1\tno\t1\n\tno\t1\n"
        "P4\tno\t1\t1\n P5\tmaybe\t-9\n"
    )
    found = problems(write(tmp_path, text), {"case": "binary", "age": "quantitative"})
    assert [problem.line for problem in found] == [4, 4, 5, 6, 7, 8, 9, 10, 10, 10]
    assert "line 3" in next(problem.found for problem in found if problem.line == 7)
    assert all(problem.remedy for problem in found)


def test_one_long_and_one_short_row_do_not_cancel(tmp_path: Path) -> None:
    found = problems(write(tmp_path, "IID\ta\tb\nP1\t1\nP2\t1\t1\t1\n"), {"a": "quantitative"})
    assert [problem.line for problem in found] == [2, 3]


def test_bytes_that_are_no_text_are_found_at_their_line(tmp_path: Path) -> None:
    path = tmp_path / "phenotypes.tsv"
    path.write_bytes("IID\tnäme\ta\nP1\tü\t1\n".encode() + b"P\xff\tx\t1\nP3\t\xef\xbf\xbd\t1\n")
    (found,) = problems(path, {"a": "quantitative"})
    assert (found.line, found.remedy) == (3, "save the file as UTF-8")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "an empty file"),
        ("\r\n\n", None, "an empty file"),
        ("IID\tage\n", None, "no row"),
        ("P1\t50\nP2\t60\n", 1, "a column IID"),
        ("#note\n", 2, "a column IID"),
        ("IID\tagee\nP1\t50\n", 1, "did you mean `agee`?"),
        ("#\nIID\tage\tage\nP1\t50\t50\n", 2, "2 columns `age`"),
        ("IID\tage\nP1\n", 2, "a row of 1 columns"),
    ],
)
def test_what_is_no_phenotype_table_is_one_clear_problem(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    (problem,) = problems(write(tmp_path, text), {"age": "quantitative"})
    assert problem.line == line
    assert words in str(problem)
    assert "P1" not in problem.found + problem.remedy


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    assert "no such file" in str(problems(tmp_path / "none.tsv", {})[0])
    assert "cannot be read" in str(problems(tmp_path, {})[0])


def test_line_ends_quotes_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    plain = 'IID\ta\tx\n"P1\t1\t"\nP2\t2\t\u2028\n'
    for text in (plain, "\ufeff" + plain, plain.replace("\n", "\r\n"), plain.rstrip("\n")):
        found = table.read(write(tmp_path, text), {"a": "quantitative"})
        assert found.iids == ('"P1', "P2")
        np.testing.assert_array_equal(found.columns["a"], [1, 2])


def test_a_table_of_people_alone_is_read(tmp_path: Path) -> None:
    assert table.read(write(tmp_path, "IID\nP1\nP2\n"), {}).iids == ("P1", "P2")
    assert [problem.line for problem in problems(write(tmp_path, "IID\nP1\n\nP2\n"), {})] == [3]


def test_a_file_full_of_problems_gives_the_first_thousand(tmp_path: Path) -> None:
    found = faults(tmp_path, "binary", ["x"] * 1500)
    assert len(found) == 1001
    assert "500 more" in found[-1].found


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=6)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(CELL, min_size=1, max_size=3), min_size=1, max_size=5))
def test_no_message_holds_an_identifier_or_value_and_each_says_what_to_do(
    tmp_path: Path, rows: list[list[str]]
) -> None:
    lines = [
        "\t".join([f"SECRET{i % 2}", *(f"VALUE{c}" for c in row)]) for i, row in enumerate(rows)
    ]
    path = write(tmp_path, "IID\ta\tsex\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        table.read(path, {"a": "binary", "sex": "categorical"})
    assert "SECRET" not in str(caught.value)
    assert "VALUE" not in str(caught.value)
    assert all(problem.line is not None and problem.remedy for problem in caught.value.problems)
