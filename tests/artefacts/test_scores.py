"""A site's table of scores: nine digits of each, one row a person, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.artefacts import scores

IDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9),
    min_size=1,
    max_size=6,
    unique=True,
)
SCORE = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(IDS, st.data())
def test_nine_digits_come_back_with_each_person_in_their_place(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], data: st.DataObject
) -> None:
    def draw(element: st.SearchStrategy[float]) -> list[float]:
        return data.draw(st.lists(element, min_size=len(ids), max_size=len(ids)))

    score, probability = draw(SCORE), draw(st.floats(0, 1, allow_subnormal=False))
    fold = data.draw(st.lists(st.integers(-1, 19), min_size=len(ids), max_size=len(ids)))
    path = tmp_path_factory.mktemp("scores") / "scores.tsv"
    scores.write(path, ids, np.array(score), np.array(probability), np.array(fold))
    header, *rows = path.read_text("utf-8").split("\n")[:-1]
    assert header == "IID\tscore\tprobability\tfold"
    cells = [row.split("\t") for row in rows]
    assert [row[0] for row in cells] == ids
    assert [int(row[3]) for row in cells] == fold
    # Half a unit in the ninth significant digit.
    np.testing.assert_allclose([float(row[1]) for row in cells], score, rtol=5.01e-9, atol=0)
    np.testing.assert_allclose([float(row[2]) for row in cells], probability, rtol=5.01e-9, atol=0)


def test_the_file_is_the_one_that_the_documents_show(tmp_path: Path) -> None:
    path = tmp_path / "scores.tsv"
    scores.write(
        path, ["a", "b"], np.array([-1 / 3, 2.0]), np.array([0.1, 0.75]), np.array([4, -1])
    )
    assert path.read_bytes() == (
        b"IID\tscore\tprobability\tfold\na\t-0.333333333\t0.1\t4\nb\t2\t0.75\t-1\n"
    )


@pytest.mark.parametrize("short", range(4))
def test_columns_of_different_lengths_are_a_fault_and_leave_the_old_file(
    short: int, tmp_path: Path
) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text("before")
    sizes = [1 if place == short else 2 for place in range(4)]
    with pytest.raises(ValueError, match="argument"):
        scores.write(
            path, ["a", "b"][: sizes[0]], np.zeros(sizes[1]), np.zeros(sizes[2]), np.zeros(sizes[3])
        )
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("scores.tsv", "before")]
