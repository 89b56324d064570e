"""Only the messages that a party really made are read; all else is refused."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import ProtocolError
from equipoise.federation import wire
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.wire import Envelope
from equipoise.plan import canonical
from federation.building import build
from federation.driver import Driver

ME = Identity.create(CENTRE)
PEERS = Peers({CENTRE: ME.signing_key, "other": Identity.create("other").signing_key})
ENVELOPE = Envelope("kind", CENTRE, {"to": "a", "n": 1}, b"head", [b"first", b"", b"third"])
GOOD = list(wire.frames(ENVELOPE, ME.sign))


def taken(frames: list[bytes]) -> tuple[Envelope, list[bytes]]:
    read = wire.read(iter(frames), PEERS.verify)
    return read, list(read.blocks)


def refused(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        taken(frames)


def signed(header: bytes, blocks: list[bytes]) -> list[bytes]:
    return [wire.first_frame(header, ME.sign(header)), *blocks]


@given(
    st.text(),
    st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.booleans())),
    st.binary(),
    st.lists(st.binary(), max_size=4),
)
def test_a_message_arrives_as_it_was_sent(
    kind: str, body: dict[str, Any], head: bytes, blocks: list[bytes]
) -> None:
    read, came = taken(list(wire.frames(Envelope(kind, CENTRE, body, head, blocks), ME.sign)))
    assert (read.kind, read.sender, read.body, read.head, came) == (
        kind,
        CENTRE,
        body,
        head,
        blocks,
    )


def test_every_flipped_byte_is_noticed() -> None:
    for number, frame in enumerate(GOOD):
        for place in range(len(frame)):
            for mask in (1, 0x80):
                changed = bytearray(frame)
                changed[place] ^= mask
                refused([*GOOD[:number], bytes(changed), *GOOD[number + 1 :]])


def test_every_truncation_is_noticed() -> None:
    for number, frame in enumerate(GOOD):
        refused(GOOD[:number])
        for place in range(len(frame)):
            refused([*GOOD[:number], frame[:place], *GOOD[number + 1 :]])
            refused([*GOOD[:number], frame[:place]])


@pytest.mark.parametrize(
    "frames",
    [
        [*GOOD, b""],
        [*GOOD, GOOD[-1]],
        [GOOD[0], GOOD[2], GOOD[1], GOOD[3]],
        [GOOD[0], GOOD[1], GOOD[3]],
        [GOOD[0], b"firs", b"t", GOOD[3]],
        [GOOD[0], *GOOD],
        [GOOD[0] + b"\0", *GOOD[1:]],
    ],
    ids=["longer", "repeated", "reordered", "lost", "cut otherwise", "doubled", "trailing"],
)
def test_frames_lost_added_or_reordered_are_noticed(frames: list[bytes]) -> None:
    refused(frames)


def test_another_version_is_refused_by_name() -> None:
    changed = bytearray(GOOD[0])
    changed[5] ^= 2
    with pytest.raises(ProtocolError, match="version 3; expected 1"):
        taken([bytes(changed), *GOOD[1:]])


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_frames_are_refused(frames: list[bytes]) -> None:
    refused(frames)


CONTENT = json.loads(wire.header(ENVELOPE, *wire.digest_of(ENVELOPE.blocks)))


@pytest.mark.parametrize(
    "header",
    [
        json.dumps(CONTENT).encode(),
        json.dumps(CONTENT, sort_keys=True, separators=(",", ":")).encode() + b" ",
        canonical(CONTENT).replace(b'"kind":"kind"', b'"kind":"kind","kind":"kind"'),
        canonical({**CONTENT, "more": 1}),
        canonical({k: v for k, v in CONTENT.items() if k != "head"}),
        *(canonical({**CONTENT, name: [1]}) for name in CONTENT),
        *(canonical({**CONTENT, name: None}) for name in CONTENT),
        canonical({**CONTENT, "blocks": 3.0}),
        canonical({**CONTENT, "head": "zz"}),
        canonical([CONTENT]),
        canonical(7),
        canonical(list(CONTENT)),
        b"null",
        b"",
        b"{}",
        b"NaN",
        b"\xff\xfe",
        canonical(CONTENT).decode().encode("utf-16"),
        b"[" * 100_000,
        b'{"body":' * 100_000,
        b"9" * 10_000,
    ],
)
def test_a_header_in_another_form_is_refused_although_signed(header: bytes) -> None:
    refused(signed(header, [b"first", b"", b"third"]))


def test_a_length_beyond_the_frame_is_refused() -> None:
    header = canonical(CONTENT)
    for length in (len(header) + 1, len(header) + 64, 2**32 - 1, 0):
        first = struct.pack(">4sHI", b"EQPS", 1, length) + header + ME.sign(header)
        refused([first, b"first", b"", b"third"])


def test_a_header_beyond_its_limit_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEADER_LIMIT", 1000)
    monkeypatch.setattr(json, "loads", lambda data: pytest.fail("it was read"))
    refused([GOOD[0] + bytes(1000), *GOOD[1:]])


def test_a_block_beyond_its_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BLOCK_LIMIT", 4)
    refused(GOOD)


def test_blocks_are_read_as_they_come() -> None:
    """A stream of a thousand blocks is never held: at most one is ahead."""
    number, sent, kept = 1000, [0], []
    block = bytes(1000)
    header = wire.header(Envelope("kind", CENTRE, {}), *wire.digest_of([block] * number))

    def stream() -> Iterator[bytes]:
        yield signed(header, [])[0]
        for i in range(number):
            sent[0] = i + 1
            yield block

    for i, _ in enumerate(wire.read(stream(), PEERS.verify).blocks):
        kept.append(sent[0] - i)
    assert max(kept) == 1


def test_a_sender_that_is_no_party_and_one_that_signs_as_another_are_refused() -> None:
    for sender in ("nobody", "other", ""):
        refused(list(wire.frames(Envelope("kind", sender, {}), ME.sign)))


def test_an_outcome_of_endless_blocks_does_not_fill_the_memory() -> None:
    read = [0]

    def endless() -> Iterator[bytes]:
        while True:
            read[0] += 1
            yield b"next"

    with pytest.raises(ProtocolError):
        wire.unpack_outcome(endless(), {})
    assert read[0] <= 3


# --- a site


def crooked_bodies(driver: Driver) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every kind of message with every value of its body replaced by another type."""
    odd = (None, [], [1], {}, {"a": []}, 10**400, -1, 1.5, True, "", "\ud800")
    round_, outcome = driver.round, driver.outcome
    for kind, body in (("hello", driver.hello), ("round", round_), ("outcome", outcome)):
        yield kind, {}
        for name in body:
            for value in odd:
                if canonical(body[name]) != canonical(value):
                    yield kind, {**body, name: value}
    for value in odd:
        yield "agreed", {"signatures": value}
        yield "agreed", {"signatures": {"s0": value}}


def test_a_site_refuses_every_crooked_body_and_goes_on(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear", n_sites=1)).until("census", "round")
    for kind, body in crooked_bodies(driver):
        size = len(driver.federation.entries("s0"))
        assert driver.send("s0", driver.frames("s0", kind, body)).kind == "refusal", (kind, body)
        assert driver.federation.kinds("s0")[size:] == ["refusal"]
    driver.to_end()


def test_a_site_refuses_what_is_no_message_and_goes_on(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear", n_sites=1)).until("census", "round")
    good = driver.frames("s0", "round", driver.round)
    places = [*range(0, len(good[0]), 7), len(good[0]) - 1]
    flips = [[good[0][:i] + bytes([good[0][i] ^ 1]) + good[0][i + 1 :]] for i in places]
    cuts = [[good[0][:i]] for i in places]
    for frames in [[], [b""], [bytes(100)], *flips, *cuts]:
        assert driver.send("s0", frames).kind == "refusal"
    driver.to_end()
