"""Explanations: they come back person by person, add up as written, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.artefacts import explanations
from equipoise.errors import InputError

PARTS = ("22:1-9", "X:5-5", "background", "covariates")
IDS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)


@st.composite
def kept(draw: st.DrawFn) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Return IDs, contributions (parts, people) and baselines (people,)."""
    ids = draw(IDS.filter(lambda ids: all(encodable(person) for person in ids)))
    value = st.floats(-64, 64)
    parts = draw(hnp.arrays(float, (len(PARTS), len(ids)), elements=value))
    return ids, parts, draw(hnp.arrays(float, len(ids), elements=value))


def encodable(text: str) -> bool:
    return not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)


@given(kept())
def test_each_person_comes_back_with_twelve_decimals(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[list[str], NDArray[np.float64], NDArray[np.float64]],
) -> None:
    ids, parts, baseline = drawn
    path = tmp_path_factory.mktemp("explanations") / explanations.NAME
    columns = {"score": parts.sum(axis=0), "baseline": baseline}
    explanations.write(path, ids, columns, PARTS, parts)
    for place, person in enumerate(ids):
        found = explanations.find(path, person)
        assert found is not None
        assert list(found) == ["IID", "score", "baseline", "contributions"]
        assert found["IID"] == person
        assert [part["locus"] for part in found["contributions"]] == list(PARTS)
        values = [part["value"] for part in found["contributions"]]
        # Half a unit in the twelfth decimal, and the rounding of a float below 64.
        np.testing.assert_allclose(values, parts[:, place], rtol=0, atol=6e-13)
        assert abs(found["baseline"] - baseline[place]) <= 6e-13
        assert abs(sum(values) - found["score"]) <= (len(PARTS) + 1) * 6e-13
        assert "-0.0" not in {str(value) for value in values}
    assert explanations.find(path, "".join(ids) + "?") is None


def test_a_line_is_the_one_that_the_documents_show(tmp_path: Path) -> None:
    path = tmp_path / explanations.NAME
    columns = {"score": np.array([0.5]), "baseline": np.array([-2.0])}
    explanations.write(path, ["a"], columns, ["22:1-9", "covariates"], np.array([[0.75], [-0.25]]))
    assert path.read_text() == (
        '{"IID": "a", "score": 0.5, "baseline": -2.0, "contributions":'
        ' [{"locus": "22:1-9", "value": 0.75}, {"locus": "covariates", "value": -0.25}]}\n'
    )


def test_a_person_is_found_by_the_whole_id_alone(tmp_path: Path) -> None:
    path = tmp_path / explanations.NAME
    ids = ["HG1", "HG10", "hg1", '"IID": "HG2"']
    explanations.write(path, ids, {}, ["background"], np.arange(4.0)[None])
    found = [explanations.find(path, person) for person in ids]
    assert [f["contributions"][0]["value"] for f in found if f] == [0.0, 1.0, 2.0, 3.0]
    assert [explanations.find(path, person) for person in ("HG", "HG2", "1", "")] == [None] * 4


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_a_fault_and_leaves_the_old_file(wrong: float, tmp_path: Path) -> None:
    path = tmp_path / explanations.NAME
    path.write_text("before")
    values = np.array([[1.0, wrong]])
    with pytest.raises(ValueError, match="JSON"):
        explanations.write(path, ["a", "b"], {}, ["background"], values)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(path.name, "before")]


def test_contributions_of_other_parts_are_a_fault_and_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / explanations.NAME
    with pytest.raises(ValueError, match="argument"):
        explanations.write(path, ["a"], {}, PARTS, np.zeros((3, 1)))
    with pytest.raises(IndexError):
        explanations.write(path, ["a", "b"], {}, PARTS, np.zeros((4, 1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"{", b"[]\n", b'{"ID": "a"}\n', b"3\n", b"null\n", b"\xff\n"])
def test_another_file_is_refused_without_a_word_of_what_was_sought(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / explanations.NAME
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"explanations\.jsonl cannot be read") as caught:
        explanations.find(path, "somebody")
    assert "somebody" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        explanations.find(tmp_path / explanations.NAME, "a")
