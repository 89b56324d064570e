"""The consent table: read whole, or refused with each problem at its line and nobody named."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.consent import store
from equipoise.consent.decide import decide
from equipoise.consent.terms import Purpose, Term
from equipoise.errors import InputError, Problem

HEADER = "IID\tcode\tvalue\tdate\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "consents.tsv"
    path.write_bytes(text.encode())
    return path


def problems(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        store.read(path)
    return caught.value.problems


def test_a_table_gives_each_person_their_terms_and_the_notes(tmp_path: Path) -> None:
    text = (
        "# illustrative consents\n#  drawn from a hash\n"
        + HEADER
        + "P1\tHMB\t.\t2020-01-02\nP2\tDS\tMONDO:1\t2020-01-03\nP1\tEQP:WITHDRAWN\t\t2021-01-01\n"
    )
    table = store.read(write(tmp_path, text))
    assert table.notes == ("illustrative consents", "drawn from a hash")
    assert table.of("P1") == (
        Term("HMB", "", date(2020, 1, 2)),
        Term("EQP:WITHDRAWN", "", date(2021, 1, 1)),
    )
    assert table.of("P2") == (Term("DS", "MONDO:1", date(2020, 1, 3)),)
    assert table.of("nobody") == ()
    assert list(table.terms) == ["P1", "P2"]


def test_an_unknown_code_is_read_and_refused_later(tmp_path: Path) -> None:
    table = store.read(write(tmp_path, HEADER + "P1\tXYZ\t.\t2020-01-01\n"))
    assert decide(table.of("P1"), Purpose("HMB"), date(2026, 1, 1)).reason == "unknown code"


def test_line_ends_a_byte_order_mark_and_no_last_line_end_are_all_fine(tmp_path: Path) -> None:
    plain = HEADER + "P1\tHMB\t\t2020-01-01\n"
    expected = store.read(write(tmp_path, plain))
    for text in ("\ufeff" + plain, plain.replace("\n", "\r\n"), plain.rstrip("\n"), plain + "\n"):
        assert store.read(write(tmp_path, text)) == expected


def test_all_problems_come_at_once_each_at_its_line(tmp_path: Path) -> None:
    rows = [
        "P1\tHMB\t.\t2020-01-01",
        "P2\tHMB\t2020-01-01",
        "P3\tHMB\t.\t01.02.2020",
        "\tHMB\t.\t2020-01-01",
        "P5\t\t.\t",
        "",
        "P7 \tHMB\t.\t2020-01-01",
        "P8\tHMB\t.\t2020-01-01\tmore",
        "P9\tHMB\t.\t2020-02-30",
    ]
    found = problems(write(tmp_path, "#note\n" + HEADER + "\n".join(rows)))
    assert [problem.line for problem in found] == [4, 5, 6, 7, 7, 8, 9, 10, 11]
    assert all(problem.remedy for problem in found)


def test_bytes_that_are_no_text_are_found_at_their_line(tmp_path: Path) -> None:
    path = tmp_path / "consents.tsv"
    path.write_bytes(
        HEADER.encode() + b"P1\tHMB\t.\t2020-01-01\nP\xff\tHMB\t.\t2020-01-01\nP3\tHMB\t.\t?\n"
    )
    assert [(p.line, "UTF-8" in p.remedy) for p in problems(path)] == [(3, True), (4, False)]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "an empty file"),
        ("\n", None, "an empty file"),
        (HEADER, None, "no row"),
        ("# only a note\n", None, "no row"),
        ("P1\tHMB\t.\t2020-01-01\n", 1, "a header of another form"),
        ("# note\nIID\tcode\tdate\nP1\tHMB\t2020-01-01\n", 2, "a header of another form"),
        ("IID code value date\nP1 HMB . 2020-01-01\n", 1, "parted by tabs"),
    ],
)
def test_what_is_no_consent_table_is_one_clear_problem(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert problem.line == line
    assert words in str(problem)
    assert "P1" not in problem.found + problem.remedy


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    assert "no such file" in str(problems(tmp_path / "none.tsv")[0])
    assert "cannot be read" in str(problems(tmp_path)[0])


def test_a_file_full_of_problems_gives_the_first_thousand(tmp_path: Path) -> None:
    found = problems(write(tmp_path, HEADER + "P\tHMB\t.\tx\n" * 1500))
    assert len(found) == 1001
    assert "500 more" in found[-1].found


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=6)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(CELL, max_size=5), min_size=1, max_size=5))
def test_no_message_holds_an_identifier_and_each_says_what_to_do(
    tmp_path: Path, rows: list[list[str]]
) -> None:
    lines = ["\t".join([f"SECRET{i}", *cells]) for i, cells in enumerate(rows)]
    found: tuple[Problem, ...] = ()
    said = ""
    try:
        said = repr(store.read(write(tmp_path, HEADER + "\n".join(lines) + "\n")))
    except InputError as error:
        found, said = error.problems, str(error)
    assert "SECRET" not in said
    assert all(problem.line is not None and problem.remedy for problem in found)
