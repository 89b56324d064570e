"""A stream on a tape is played as it came, and how it ended is never guessed."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import RestartedError, TransportError
from equipoise.federation.tape import End, ending, play, record

FRAMES = st.lists(st.binary(max_size=40) | st.just(b"\xff" * 16), max_size=6)


@given(FRAMES)
def test_a_tape_plays_what_was_recorded(frames: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tape"
        assert ending(path) is End.CUT
        assert list(record(path, iter(frames))) == frames
        assert ending(path) is End.WHOLE
        assert list(play(path)) == frames


@given(FRAMES, st.data())
def test_a_tape_that_was_cut_anywhere_is_cut_and_gives_whole_frames_alone(
    frames: list[bytes], data: st.DataObject
) -> None:
    """Frames of ones look like an ending at every place but where one stands."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tape"
        list(record(path, iter(frames)))
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        assert ending(path) is End.CUT
        played: list[bytes] = []
        with pytest.raises(TransportError):
            played.extend(_into(played, play(path)))
        assert played == frames[: len(played)]


def _into(taken: list[bytes], frames: Iterator[bytes]) -> Iterator[bytes]:
    for frame in frames:
        taken.append(frame)
        yield from ()


def _breaking(error: Exception) -> Iterator[bytes]:
    yield b"one"
    raise error


def test_a_stream_that_breaks_is_played_up_to_there_and_one_to_be_asked_again_is_cut(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.tape"
    kinds = {TransportError: End.BROKEN, RestartedError: End.CUT, OSError: End.CUT}
    for kind, expected in kinds.items():
        with pytest.raises(kind):
            list(record(path, _breaking(kind("gone"))))
        assert ending(path) is expected
        played: list[bytes] = []
        with pytest.raises(TransportError, match="broke off"):
            played.extend(_into(played, play(path)))
        assert played == [b"one"]


def test_what_is_closed_writes_no_more_when_another_is_recorded_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    first = record(path, iter([b"old", b"old"]))
    next(first)
    first.close()
    assert list(record(path, iter([b"new"]))) == [b"new"]
    del first
    assert list(play(path)) == [b"new"]
