"""The local transport delivers once, in order, and never leaves anybody waiting."""

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import TransportError
from equipoise.transports.local import FRAMES_AHEAD, Handle, LocalTransport
from transports.recording import CutOff, Site, broken, echo

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def opened() -> Iterator[Callable[..., LocalTransport]]:
    made: list[LocalTransport] = []

    def open_(**handles: Handle) -> LocalTransport:
        made.append(LocalTransport(handles))
        return made[-1]

    yield open_
    for transport in made:
        transport.close()
    alive = [t.name for t in threading.enumerate() if t.name.startswith("site-")]
    assert alive == []


Open = Callable[..., LocalTransport]


def test_sites_are_named_in_order(opened: Open) -> None:
    assert opened(b=echo, a=echo, c=echo).sites == ("a", "b", "c")


@given(st.lists(st.lists(st.binary(max_size=40), max_size=8), min_size=1, max_size=4))
def test_each_request_is_delivered_once_and_whole(requests: list[list[bytes]]) -> None:
    site, other = Site(), Site()
    transport = LocalTransport({"a": site.handle, "b": other.handle})
    try:
        for frames in requests:
            answers = transport.exchange({"a": iter(frames), "b": frames[::-1]})
            assert {name: list(answer) for name, answer in answers.items()} == {
                "a": frames,
                "b": frames[::-1],
            }
    finally:
        transport.close()
    assert site.came == requests
    assert other.came == [frames[::-1] for frames in requests]


def test_only_the_sites_named_are_asked(opened: Open) -> None:
    site, other = Site(), Site()
    transport = opened(a=site.handle, b=other.handle)
    assert list(transport.exchange({"a": [b"x"]})) == ["a"]
    list(transport.exchange({"b": [b"y"]})["b"])
    assert other.came == [[b"y"]]


def test_an_unknown_site_is_refused_and_nobody_is_asked(opened: Open) -> None:
    site = Site()
    transport = opened(a=site.handle)
    with pytest.raises(TransportError, match="no sites"):
        transport.exchange({"a": [b"x"], "z": [b"x"]})
    assert list(transport.exchange({"a": [b"y"]})["a"]) == [b"y"]
    assert site.came == [[b"y"]]


def failing(error: Exception, after: int) -> Handle:
    def handle(frames: Iterator[bytes]) -> Iterator[bytes]:
        first = next(frames)
        if first == b"well":
            yield b"well"
            return
        yield from [b"part"] * after
        raise error

    return handle


@pytest.mark.parametrize("after", [0, 1, FRAMES_AHEAD, FRAMES_AHEAD + 3])
@pytest.mark.parametrize("error", [OSError(), TransportError("x"), ValueError("y")])
def test_a_site_that_fails_in_mid_stream_cuts_its_answer_off_and_serves_on(
    error: Exception, after: int, opened: Open
) -> None:
    transport = opened(a=failing(error, after), b=echo)
    answers = transport.exchange({"a": [b"ill"], "b": [b"x"]})
    got: list[bytes] = []
    with pytest.raises(TransportError, match="broke off"):
        got.extend(answers["a"])
    assert list(answers["b"]) == [b"echo x"]
    assert list(transport.exchange({"a": [b"well"]})["a"]) == [b"well"]


def test_a_request_that_fails_in_mid_stream_is_cut_off_for_the_site(opened: Open) -> None:
    site = CutOff()
    assert list(opened(a=site.handle).exchange({"a": broken()})["a"]) == [b"refused"]
    assert len(site.seen) == 1


def test_answers_that_nobody_reads_are_given_up(opened: Open) -> None:
    def endless(frames: Iterator[bytes]) -> Iterator[bytes]:
        if next(frames) == b"end":
            yield b"end"
            return
        while True:
            yield bytes(1000)

    transport = opened(a=endless)
    left = transport.exchange({"a": [b"go"]})["a"]
    assert len(list(islice(left, 10))) == 10
    assert list(transport.exchange({"a": [b"end"]})["a"]) == [b"end"]
    with pytest.raises(TransportError):
        list(left)


def test_requests_that_a_site_does_not_read_are_given_up(opened: Open) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1000)

    def heedless(frames: Iterator[bytes]) -> Iterator[bytes]:
        del frames
        yield b"no"

    transport = opened(a=heedless)
    for _ in range(3):
        assert list(transport.exchange({"a": endless()})["a"]) == [b"no"]


def test_a_stream_of_any_length_stays_in_bounded_memory(opened: Open) -> None:
    """Both ways: never more frames are made than are read, and the few that may wait."""
    number, made, ahead = 300, [0], [0]

    def source() -> Iterable[bytes]:
        for i in range(number):
            made[0] = i + 1
            yield i.to_bytes(4, "big")

    for read, frame in enumerate(opened(a=echo).exchange({"a": source()})["a"], start=1):
        assert frame == b"echo " + (read - 1).to_bytes(4, "big")
        ahead[0] = max(ahead[0], made[0] - read)
    assert made[0] == number
    assert ahead[0] <= 2 * FRAMES_AHEAD + 4  # two queues, and one frame in each pair of hands


def test_frames_are_never_altered(opened: Open) -> None:
    frame = bytes(range(256)) * 4096
    assert list(opened(a=lambda frames: frames).exchange({"a": [frame, b"", frame]})["a"]) == [
        frame,
        b"",
        frame,
    ]


def test_sites_work_side_by_side(opened: Open) -> None:
    meeting = threading.Barrier(3, timeout=10)

    def handle(frames: Iterator[bytes]) -> Iterator[bytes]:
        list(frames)
        meeting.wait()
        yield b"met"

    answers = opened(a=handle, b=handle, c=handle).exchange({name: [b"x"] for name in "abc"})
    assert [list(answer) for answer in answers.values()] == [[b"met"]] * 3


def test_closing_lets_everybody_go_even_in_mid_stream(opened: Open) -> None:
    def endless(frames: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            yield b"x"

    transport = opened(a=endless)
    left = transport.exchange({"a": [b"go"]})["a"]
    next(left)
    transport.close()
    with pytest.raises(TransportError):
        list(left)
