"""The journal gives each answer once, and again only to the same request, the same bytes."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import ProtocolError
from equipoise.federation.journal import Journal, Line


def entered(journal: Journal, place: str, request: str, blocks: list[bytes]) -> list[bytes]:
    journal.open(place)
    first = b"first of " + request.encode()
    _, digest, _ = journal.spool(blocks)
    line = Line(place, request, hashlib.sha256(first).hexdigest(), digest)
    journal.enter(line, first)
    return list(journal.answer())


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def test_a_new_request_has_no_answer_yet(journal: Journal) -> None:
    assert journal.repeated("a") is None


def test_the_last_answer_comes_again_to_the_same_request_alone(journal: Journal) -> None:
    blocks = [b"one", b"", b"three"]
    first = entered(journal, "place 1", "a", blocks)
    assert first == [b"first of a", *blocks]
    for _ in range(3):
        again = journal.repeated("a")
        assert again is not None
        assert list(again) == first
    assert journal.repeated("b") is None


def test_an_earlier_answer_never_comes_again(journal: Journal) -> None:
    entered(journal, "place 1", "a", [b"one"])
    entered(journal, "place 2", "b", [b"two"])
    with pytest.raises(ProtocolError, match="not given twice"):
        journal.repeated("a")


def test_a_place_is_taken_by_its_first_answer(journal: Journal) -> None:
    entered(journal, "place 1", "a", [])
    with pytest.raises(ProtocolError, match="place 1 was answered before"):
        journal.open("place 1")
    journal.open("place 2")


def test_what_broke_off_takes_the_last_answer_with_it(journal: Journal) -> None:
    """The file of the last answer is overwritten by then: none of it may go in its name."""
    entered(journal, "place 1", "a", [b"one", b"two"])

    def breaking() -> Iterator[bytes]:
        yield b"new"
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        journal.spool(breaking())
    with pytest.raises(ProtocolError, match="not given twice"):
        journal.repeated("a")
    journal.open("place 2")


def test_what_was_answered_is_on_disk_by_digests_alone(journal: Journal, tmp_path: Path) -> None:
    for number in range(3):
        entered(journal, f"place {number}", f"{number}", [b"secret"])
    text = (tmp_path / "journal" / "journal.jsonl").read_text()
    assert [json.loads(line)["place"] for line in text.splitlines()] == [
        f"place {number}" for number in range(3)
    ]
    assert "secret" not in text
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=50), max_size=5))
def test_any_blocks_come_back_as_they_were(blocks: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        number, _, size = journal.spool(blocks)
        journal.enter(Line("place", "a", ""), b"first")
        assert (number, size) == (len(blocks), sum(map(len, blocks)))
        assert list(journal.answer()) == [b"first", *blocks]
