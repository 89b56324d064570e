"""A file is written whole, or it is as if nobody had written."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from equipoise.artefacts.files import write_whole


def breaking() -> Iterator[str]:
    yield "one\n"
    raise ValueError("the second line")


def test_lines_come_back_as_they_were_given(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.tsv"
    write_whole(path, iter(["a\tb\n", "é\r\n", "", "no end"]))
    assert path.read_bytes() == "a\tb\né\r\nno end".encode()


def test_no_other_file_is_left(tmp_path: Path) -> None:
    write_whole(tmp_path / "table.tsv", ["a\n"])
    assert [path.name for path in tmp_path.iterdir()] == ["table.tsv"]


def test_where_it_breaks_off_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the second line"):
        write_whole(tmp_path / "table.tsv", breaking())
    assert list(tmp_path.iterdir()) == []


def test_where_it_breaks_off_the_old_file_stays(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("before")
    with pytest.raises(ValueError, match="the second line"):
        write_whole(tmp_path / "table.tsv", breaking())
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.tsv", "before")]


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("before, and longer")
    write_whole(tmp_path / "table.tsv", ["after\n"])
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.tsv", "after\n")]
