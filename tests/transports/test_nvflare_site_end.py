"""A site's end of a link, asked by hand: whatever is asked in whatever order, it answers the next."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.transports.nvflare_ends import SiteEnd
from equipoise.transports.nvflare_parcels import Kind, Parcel, parts
from transports.recording import Site, echo

pytestmark = pytest.mark.timeout(30)

SESSION = bytes(range(16))


def parcel(kind: Kind, exchange: int, number: int, session: bytes = SESSION) -> bytes:
    return Parcel(kind, session, exchange, number).to_bytes()


def kind_of(answer: bytes) -> Kind:
    return Parcel.from_bytes(answer).kind


def test_an_earlier_exchange_or_session_is_never_taken_up_again() -> None:
    site = Site()
    end = SiteEnd(site.handle, poll=0.05)
    other = bytes(16)
    try:
        assert kind_of(end.take(parcel(Kind.LAST, 2, 0))) is Kind.FINAL
        assert kind_of(end.take(parcel(Kind.GET, 2, 0))) is Kind.FINAL
        assert kind_of(end.take(parcel(Kind.LAST, 1, 0))) is Kind.GONE
        assert kind_of(end.take(parcel(Kind.LAST, 1, 0, other))) is Kind.FINAL
        assert kind_of(end.take(parcel(Kind.GET, 1, 0, other))) is Kind.FINAL
        assert kind_of(end.take(parcel(Kind.LAST, 3, 0))) is Kind.GONE
        assert kind_of(end.take(parcel(Kind.END, 3, 0))) is Kind.GONE
        assert not end.ended.is_set()
        assert kind_of(end.take(parcel(Kind.END, 1, 0, other))) is Kind.TAKEN
        assert end.ended.is_set()
    finally:
        end.close()
    assert len(site.came) == 2


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_random_bytes_have_no_answer_and_begin_nothing(given_: list[bytes]) -> None:
    site = Site()
    end = SiteEnd(site.handle, poll=0.01)
    try:
        assert [end.take(data) for data in given_] == [b""] * len(given_)
    finally:
        end.close()
    assert site.came == []


@given(st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2), st.integers(0, 3)), max_size=8))
def test_any_order_of_parcels_leaves_a_site_that_answers_the_next_exchange(
    asked: list[tuple[Kind, int, int]],
) -> None:
    end = SiteEnd(echo, poll=0.001)
    try:
        for kind, exchange, number in asked:
            assert kind_of(end.take(parcel(kind, exchange, number))) in (
                Kind.TAKEN,
                Kind.LATER,
                Kind.GIVEN,
                Kind.FINAL,
                Kind.BROKEN,
                Kind.GONE,
            )
        assert kind_of(end.take(parcel(Kind.LAST, 9, 0))) in (Kind.TAKEN, Kind.FINAL)
        while (answer := kind_of(end.take(parcel(Kind.GET, 9, 0)))) is Kind.LATER:
            pass
        assert answer is Kind.FINAL
    finally:
        end.close()


def test_a_request_of_one_part_is_answered_in_one_question_however_often_it_is_asked() -> None:
    site = Site()
    end = SiteEnd(site.handle, poll=5.0)
    try:
        asked = Parcel(Kind.LAST, SESSION, 1, 0, next(parts([b"x"]))).to_bytes()
        answers = {end.take(asked) for _ in range(3)}
        assert answers == {Parcel(Kind.FINAL, SESSION, 1, 0, next(parts([b"x"]))).to_bytes()}
    finally:
        end.close()
    assert site.came == [[b"x"]]


def test_one_exchange_is_worked_on_at_a_time() -> None:
    """A new one, even of a new session, waits for the one that it ends."""
    inside, most, held = [0], [0], threading.Event()

    def handle(frames: Iterator[bytes]) -> Iterator[bytes]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        held.wait(0.02)
        inside[0] -= 1
        yield b"done"

    end = SiteEnd(handle, poll=1.0)
    try:
        for exchange in range(1, 20):
            end.take(parcel(Kind.LAST, exchange, 0))
        assert kind_of(end.take(parcel(Kind.GET, 19, 0))) is Kind.FINAL
    finally:
        end.close()
    assert most[0] == 1
