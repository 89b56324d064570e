"""Streams are cut and put together again; a buffer gives each part once, and keeps few."""

import threading
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import TransportError
from equipoise.transports.nvflare_parcels import (
    AHEAD,
    FRAME_LIMIT,
    LARGEST,
    PART,
    Buffer,
    Kind,
    Parcel,
    Part,
    frames_of,
    marked,
    parts,
)

pytestmark = pytest.mark.timeout(20)

frames = st.lists(st.binary(max_size=60), max_size=12)


def joined(stream: Iterable[Part]) -> bytes:
    return b"".join(piece for part in stream for piece in part)


@given(frames, st.integers(1, 50))
def test_frames_come_out_of_parts_as_they_went_in(given_: list[bytes], size: int) -> None:
    assert list(frames_of(parts(given_, size))) == given_


@given(frames, st.integers(1, 50))
def test_every_part_but_the_last_is_full(given_: list[bytes], size: int) -> None:
    cut = [sum(map(len, part)) for part in parts(given_, size)]
    assert all(length == size for length in cut[:-1])
    assert sum(cut) == sum(8 + len(frame) for frame in given_)
    assert 0 not in cut


@given(frames.filter(bool), st.integers(1, 50), st.data())
def test_a_stream_that_is_cut_short_is_noticed_or_ends_between_frames(
    given_: list[bytes], size: int, data: st.DataObject
) -> None:
    whole = joined(parts(given_, size))
    end = data.draw(st.integers(0, len(whole) - 1))
    got: list[bytes] = []
    try:
        got.extend(frames_of([(whole[:end],)]))
    except TransportError:
        return
    assert got == given_[: len(got)]
    assert end == sum(8 + len(frame) for frame in got)


@given(st.lists(st.lists(st.binary(max_size=30), max_size=3).map(tuple), max_size=6))
def test_random_parts_give_frames_or_a_transport_error(given_: list[Part]) -> None:
    try:
        got = list(frames_of(given_))
    except TransportError:
        return
    assert joined(parts(got)) == joined(given_)


def test_a_frame_announced_too_large_takes_no_memory() -> None:
    with pytest.raises(TransportError, match="larger than any"):
        list(frames_of([((FRAME_LIMIT + 1).to_bytes(8, "big"),)]))


@given(
    st.sampled_from(Kind),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=50),
)
def test_a_parcel_says_what_it_was_made_of(
    kind: Kind, session: bytes, exchange: int, number: int, body: bytes
) -> None:
    parcel = Parcel(kind, session, exchange, number, (body[:9], body[9:]))
    again = Parcel.from_bytes(parcel.to_bytes())
    assert again == parcel._replace(body=(body,))


@given(st.binary(max_size=80))
def test_random_bytes_are_no_parcel(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"size|version|not a valid Kind"):
        Parcel.from_bytes(b"EQPP\2" + data)


def test_a_parcel_of_a_full_part_has_a_size_that_is_let_in_and_no_larger_one_has() -> None:
    parcel = Parcel(Kind.PART, bytes(16), 1, 0, (bytes(PART),))
    assert Parcel.from_bytes(parcel.to_bytes()) == parcel
    with pytest.raises(ValueError, match="size"):
        Parcel.from_bytes(parcel.to_bytes() + bytes(LARGEST - PART))


@given(frames)
def test_the_last_part_is_marked_and_only_that(given_: list[bytes]) -> None:
    kinds = [kind for kind, _ in marked(((part,) for part in given_), Kind.FINAL, Kind.BROKEN)]
    assert kinds == [Kind.PART] * (len(given_) - 1) + [Kind.FINAL]


@given(frames)
def test_a_stream_that_fails_gives_what_there_was_and_the_cut(given_: list[bytes]) -> None:
    def failing() -> Iterator[Part]:
        yield from ((part,) for part in given_)
        raise OSError

    got = list(marked(failing(), Kind.LAST, Kind.CUT))
    assert got == [*[(Kind.PART, (part,)) for part in given_], (Kind.CUT, ())]


def test_a_part_that_comes_twice_counts_once_and_one_out_of_turn_not_at_all() -> None:
    buffer = Buffer()
    assert buffer.put(0, Kind.PART, (b"a",), 0) is True
    assert buffer.put(0, Kind.PART, (b"other",), 0) is True
    assert buffer.put(2, Kind.PART, (b"c",), 0) is None
    assert buffer.put(1, Kind.LAST, (b"b",), 0) is True
    assert buffer.put(2, Kind.PART, (b"after the end",), 0) is None
    assert list(buffer.stream()) == [(b"a",), (b"b",)]


def test_a_part_is_kept_until_the_next_is_asked_for_and_then_dropped() -> None:
    buffer = Buffer()
    buffer.put(0, Kind.PART, (b"a",), 0)
    buffer.put(1, Kind.FINAL, (b"b",), 0)
    assert buffer.get(0, 0) == buffer.get(0, 0) == (Kind.PART, (b"a",))
    assert buffer.get(1, 0) == (Kind.FINAL, (b"b",))
    with pytest.raises(TransportError):
        buffer.get(0, 0)


def test_only_so_many_parts_wait() -> None:
    buffer = Buffer()
    taken = [buffer.put(number, Kind.PART, (b"x",), 0) for number in range(AHEAD + 1)]
    assert taken == [True] * AHEAD + [False]
    assert buffer.get(1, 0) is not None
    assert buffer.put(AHEAD, Kind.PART, (b"x",), 0) is True


def test_whoever_waits_is_let_go_and_told_why() -> None:
    buffer = Buffer()
    said: list[str] = []

    def read() -> None:
        try:
            list(buffer.stream())
        except TransportError as error:
            said.append(str(error))

    waiting = threading.Thread(target=read)
    waiting.start()
    buffer.break_off(TransportError("gone fishing"))
    waiting.join(5)
    assert said == ["gone fishing"]
    assert buffer.put(0, Kind.PART, (b"x",), None) is None
