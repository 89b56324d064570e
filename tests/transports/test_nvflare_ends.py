"""The two ends of a link keep the transport's promise over one that loses, doubles and delays.

The laws are those of the local transport; here they hold over a link made of two function
calls that a seeded chance makes fail: before the site hears, or after it has answered.
"""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import RestartedError, TransportError
from equipoise.transports import nvflare_ends
from equipoise.transports.nvflare_ends import CentreEnd, Handle, SiteEnd
from equipoise.transports.nvflare_parcels import AHEAD, PART
from transports.recording import CutOff, Site, broken, echo

pytestmark = pytest.mark.timeout(30)

SESSION = bytes(range(16))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the time that a real link may need."""
    monkeypatch.setattr(nvflare_ends, "sleep", lambda seconds: None)


class Joined:
    """A site's end, the centre's end, and a link that fails `faults` times out of ten."""

    def __init__(self, handle: Handle, faults: int = 0, patience: float = 10.0) -> None:
        self.site = SiteEnd(handle, poll=0.05)
        self.said: list[str] = []
        self._chance, self._faults, self._exchange = random.Random(7), faults, 0
        self._late: list[bytes] = []
        self.centre = CentreEnd("a", self.link, patience, self.said.append)

    def link(self, data: bytes, patience: float) -> bytes | None:
        if self._late and self._fails():
            self.site.take(self._chance.choice(self._late))  # what came late comes again
        if self._fails():
            self._late.append(data)
            return None
        answer = self.site.take(data)
        if self._fails():
            return self._chance.choice([None, b"", answer[:20], self.site.take(data)])
        return answer

    def ask(self, frames: Iterable[bytes]) -> Iterator[bytes]:
        self.centre.give_up()
        self._exchange += 1
        return self.centre.begin(SESSION, self._exchange, frames)

    def _fails(self) -> bool:
        return self._chance.random() * 10 < self._faults


@pytest.fixture
def joined() -> Iterator[Callable[..., Joined]]:
    made: list[Joined] = []

    def join(handle: Handle, faults: int = 0, patience: float = 10.0) -> Joined:
        made.append(Joined(handle, faults, patience))
        return made[-1]

    yield join
    for one in made:
        one.centre.give_up()
        one.site.close()
    for thread in threading.enumerate():
        if thread.name == "site-work":  # one that was given up a moment ago
            thread.join(10)
            assert not thread.is_alive()


Join = Callable[..., Joined]


@pytest.mark.parametrize("faults", [0, 2, 5])
@given(st.lists(st.lists(st.binary(max_size=40), max_size=8), min_size=1, max_size=4))
def test_each_request_is_delivered_once_and_whole(faults: int, requests: list[list[bytes]]) -> None:
    site = Site()
    both = Joined(site.handle, faults)
    try:
        assert [list(both.ask(iter(frames))) for frames in requests] == requests
    finally:
        both.site.close()
    assert site.came == requests


@pytest.mark.parametrize("faults", [0, 3])
def test_large_frames_come_as_they_went_in_many_parcels(faults: int, joined: Join) -> None:
    sent = [bytes([i]) * (PART // 2 + i) for i in range(9)] + [b"", bytes(3 * PART)]
    assert list(joined(lambda frames: frames, faults).ask(sent)) == sent


@pytest.mark.parametrize("after", [0, 1, AHEAD + 3])
@pytest.mark.parametrize("error", [OSError(), TransportError("x"), ValueError("y")])
def test_a_site_that_fails_in_mid_stream_cuts_its_answer_off_and_serves_on(
    error: Exception, after: int, joined: Join
) -> None:
    def handle(frames: Iterator[bytes]) -> Iterator[bytes]:
        if next(frames) == b"well":
            yield b"well"
            return
        yield from [bytes(PART)] * after
        raise error

    both = joined(handle)
    with pytest.raises(TransportError, match="broke off"):
        list(both.ask([b"ill"]))
    assert list(both.ask([b"well"])) == [b"well"]


def test_a_request_that_fails_in_mid_stream_is_cut_off_for_the_site(joined: Join) -> None:
    site = CutOff()
    assert list(joined(site.handle).ask(broken())) == [b"refused"]
    assert len(site.seen) == 1


def test_answers_that_nobody_reads_are_given_up(joined: Join) -> None:
    def endless(frames: Iterator[bytes]) -> Iterator[bytes]:
        if next(frames) == b"end":
            yield b"end"
            return
        while True:
            yield bytes(PART)

    both = joined(endless)
    left = both.ask([b"go"])
    assert len(list(islice(left, 10))) == 10
    assert list(both.ask([b"end"])) == [b"end"]
    with pytest.raises(TransportError):
        list(left)


def test_requests_that_a_site_does_not_read_are_given_up(joined: Join) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(PART)

    def heedless(frames: Iterator[bytes]) -> Iterator[bytes]:
        del frames
        yield b"no"

    both = joined(heedless)
    for _ in range(3):
        assert list(both.ask(endless())) == [b"no"]


def test_a_stream_of_any_length_stays_in_bounded_memory(joined: Join) -> None:
    number, made, ahead = 60, [0], [0]

    def source() -> Iterator[bytes]:
        for i in range(number):
            made[0] = i + 1
            yield i.to_bytes(4, "big") + bytes(PART)

    def back(frames: Iterator[bytes]) -> Iterator[bytes]:
        yield from frames

    for read, frame in enumerate(joined(back).ask(source()), start=1):
        assert frame[:4] == (read - 1).to_bytes(4, "big")
        ahead[0] = max(ahead[0], made[0] - read)
    assert made[0] == number
    assert ahead[0] <= 3 * AHEAD + 8  # three buffers, and a frame or two in each pair of hands


def test_a_site_that_is_silent_for_too_long_is_named_with_what_to_see_to() -> None:
    heard: list[str] = []
    centre = CentreEnd("North", lambda data, patience: None, 0.05, heard.append)
    with pytest.raises(TransportError, match=r"site North gave no answer for 0\.05 seconds"):
        list(centre.begin(SESSION, 1, [b"x"]))
    assert "silent" in heard


def test_a_site_that_works_for_long_is_not_taken_for_silent(joined: Join) -> None:
    wait = threading.Event()

    def slow(frames: Iterator[bytes]) -> Iterator[bytes]:
        list(frames)
        wait.wait(1.0)
        yield b"done"

    both = joined(slow, patience=0.2)
    assert list(both.ask([b"x"])) == [b"done"]
    assert both.said[0] == "asked"
    assert both.said[-2:] == ["answering", "answered"]
    assert "at work" in both.said
    assert "silent" not in both.said


def test_a_site_that_was_restarted_is_told_from_one_that_is_silent(joined: Join) -> None:
    both = joined(echo)

    def frames() -> Iterator[bytes]:
        yield bytes(2 * PART)
        old, both.site = both.site, SiteEnd(echo, poll=0.05)
        old.close()
        yield bytes(2 * PART)

    with pytest.raises(RestartedError, match="restarted"):
        list(both.ask(frames()))


def test_a_slow_link_is_given_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that takes longer than a lost one is waited for does come in the end."""
    monkeypatch.setattr(nvflare_ends, "REPLY", 0.05)
    given_: list[float] = []

    class Slow(Joined):
        def link(self, data: bytes, patience: float) -> bytes | None:
            given_.append(patience)
            threading.Event().wait(min(patience, 0.15))
            return self.site.take(data) if patience > 0.15 else None

    both = Slow(echo)
    try:
        assert list(both.ask([b"x"])) == [b"echo x"]
    finally:
        both.site.close()
    assert given_ == [0.05, 0.1, 0.2]
