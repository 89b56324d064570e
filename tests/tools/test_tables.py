"""Tables of phenotypes are read part by part; that nobody can tell."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.tools import people
from equipoise.tools.people import read_tables

ROWS = ["IID\ty\tother\tc", *(f"P{i}\t{i / 8}\ttext {i}\t{-i}" for i in range(50))]


def written(folder: Path, rows: list[str]) -> Path:
    path = folder / "table.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("part", [1, 20, 100, 1 << 20])
def test_parts_give_what_the_whole_table_gives(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "PART", part)
    read = read_tables([written(tmp_path, ROWS)], ["y"], ["c"])
    assert list(read.place) == [f"P{i}" for i in range(50)]
    assert list(read.place.values()) == list(range(50))
    np.testing.assert_array_equal(read.cells, [[i / 8, -i] for i in range(50)])


@pytest.mark.parametrize("row", range(1, 51, 7))
@pytest.mark.parametrize("cell", ["NA", "", "inf", "word"])
def test_one_cell_that_is_no_number_is_found_in_any_part(
    row: int, cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "PART", 100)
    rows = list(ROWS)
    rows[row] = f"P{row - 1}\t1\tx\t{cell}"
    path = written(tmp_path, rows)
    if cell in ("inf", "word"):
        with pytest.raises(InputError, match=f"1 cells of 'c' .* the first in line {row + 1}"):
            read_tables([path], ["y"], ["c"])
        return
    read = read_tables([path], ["y"], ["c"])
    assert np.flatnonzero(np.isnan(read.cells[:, 1])).tolist() == [row - 1]
    assert not np.isnan(read.cells[:, 0]).any()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("P3\t1\tx\t2", "1 IDs that come twice"),
        ("P99\t1\tx\t2\t3", "rows of other lengths"),
    ],
)
def test_a_wrong_row_in_a_later_part_is_refused(
    row: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "PART", 100)
    with pytest.raises(InputError, match=says):
        read_tables([written(tmp_path, [*ROWS, row])], ["y"], ["c"])


def test_people_of_a_fam_in_pieces_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plink, "PIECE_OF_PEOPLE", 64)
    path = tmp_path / "some.fam"
    lines = [f"0\tP{i}\t0\t0\t{i % 3}\t-9\n" for i in range(40)]
    path.write_text("".join(lines))
    iids, sex = plink._fam(path)
    assert iids == tuple(f"P{i}" for i in range(40))
    np.testing.assert_array_equal(sex, np.arange(40) % 3)
    path.write_text("".join([*lines, "0\tP7\t0\t0\t5\t-9\n", "0\tP0\t0\t0\n"]))
    with pytest.raises(InputError) as caught:
        plink._fam(path)
    told = str(caught.value)
    assert "41: an IID that an earlier line has" in told
    assert "41: a sex of another form" in told
    assert "42: a line of another number of cells" in told
