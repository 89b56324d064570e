"""Only the messages and records that a party really made are read; all else is refused.

In one file, long as it is: messages, records, plans and the site that reads them share one
list of ways to be crooked.
"""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from equipoise.errors import ProtocolError
from equipoise.federation import registry, wire
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.wire import Envelope
from equipoise.plan import Member, Plan, Ref, Step, canonical
from equipoise.record import exact, grid
from equipoise.step import Done, Next
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


# --- records


@dataclass(frozen=True)
class Mixed:
    real: Any = grid(0.5)
    whole: Any = exact()
    number: int = exact()
    text: str = exact()


KINDS = {"Mixed": Mixed, **registry.RECORDS}
SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(arrays(np.float64, SHAPES), arrays(np.int64, SHAPES), st.integers(), st.text(max_size=20))
def test_a_record_comes_back_to_the_bit(
    real: np.ndarray[Any, Any], whole: np.ndarray[Any, Any], number: int, text: str
) -> None:
    """NaN, infinities, negative zero, scalars and empty arrays included."""
    data = wire.pack_record(Mixed(real, whole, number, text))
    back = wire.unpack_record(data, KINDS)
    assert wire.pack_record(back) == data
    assert (back.real.shape, back.real.tobytes()) == (real.shape, real.tobytes())
    assert (back.whole.shape, back.whole.tobytes()) == (whole.shape, whole.tobytes())
    assert (back.number, back.text) == (number, text)
    assert (back.real.dtype, back.whole.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize("order", ["F", "strided", "big-endian"])
def test_the_layout_in_memory_does_not_show(order: str) -> None:
    values = np.arange(24, dtype=np.float64).reshape(4, 6)
    other = {
        "F": np.asfortranarray(values),
        "strided": np.repeat(values, 2, axis=1)[:, ::2],
        "big-endian": values.astype(">f8"),
    }[order]
    packed = [wire.pack_record(Mixed(v, np.arange(3), 0, "")) for v in (values, other)]
    assert packed[0] == packed[1]


RECORD = wire.pack_record(Mixed(np.array([1.5, np.nan]), np.arange(2), 7, "x"))


def rebuilt(change: Callable[[dict[str, Any]], Any], tail: bytes | None = None) -> bytes:
    """Return the record with another head, in canonical form."""
    (length,) = struct.unpack(">I", RECORD[:4])
    head = json.loads(RECORD[4 : 4 + length])
    head = change(head) or head
    data = canonical(head)
    return struct.pack(">I", len(data)) + data + (RECORD[4 + length :] if tail is None else tail)


def field(place: int, *described: Any) -> Callable[[dict[str, Any]], Any]:
    def change(head: dict[str, Any]) -> None:
        head["fields"][place] = list(described)

    return change


CROOKED = {
    "nothing": b"",
    "no head": b"\0\0\0",
    "a length beyond the end": b"\xff\xff\xff\xff" + RECORD[4:],
    "a byte more": RECORD + b"\0",
    "a byte less": RECORD[:-1],
    "deep nesting": struct.pack(">I", 100_000) + b"[" * 100_000,
    "an unknown record": rebuilt(lambda head: {**head, "record": "os.system"}),
    "a list for its name": rebuilt(lambda head: {**head, "record": ["Mixed"]}),
    "no fields": rebuilt(lambda head: {**head, "fields": []}),
    "fields that are none": rebuilt(lambda head: {**head, "fields": 7}),
    "a key more": rebuilt(lambda head: {**head, "more": 1}),
    "a list for a head": rebuilt(lambda head: [head]),
    "a field twice": rebuilt(lambda head: head["fields"].append(["number", 7])),
    "a field more": rebuilt(lambda head: head["fields"].append(["extra", 7])),
    "a field without a name": rebuilt(field(2, ["number"], 7)),
    "another order": rebuilt(lambda head: head["fields"].reverse()),
    "a negative size": rebuilt(field(0, "real", "<f8", [-2])),
    "two negative sizes": rebuilt(field(0, "real", "<f8", [-1, -2])),
    "a huge size": rebuilt(field(0, "real", "<f8", [2**62])),
    "a huge product": rebuilt(field(0, "real", "<f8", [2**31, 2**31, 2**31])),
    "nothing of a huge size": rebuilt(field(0, "real", "<f8", [0, 2**80])),
    "a size that is none": rebuilt(field(0, "real", "<f8", ["2"])),
    "a size that is true": rebuilt(field(0, "real", "<f8", [True, 2])),
    "a real size": rebuilt(field(0, "real", "<f8", [2.0])),
    "no shape": rebuilt(field(0, "real", "<f8", 2)),
    "objects": rebuilt(field(0, "real", "|O", [2])),
    "smaller numbers": rebuilt(field(0, "real", "<f4", [2])),
    "numbers the other way round": rebuilt(field(0, "real", ">f8", [2])),
    "a real number as text of JSON": rebuilt(field(2, "number", 7.5)),
    "nothing for a number": rebuilt(field(2, "number", None)),
    "a list for a number": rebuilt(field(2, "number", [7])),
    "an object for a number": rebuilt(field(2, "number", {"a": 1})),
    "a field of four parts": rebuilt(field(0, "real", "<f8", [2], 1)),
    "an array short of its bytes": rebuilt(field(0, "real", "<f8", [3])),
}


@pytest.mark.parametrize("name", CROOKED)
def test_a_crooked_record_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError):
        wire.unpack_record(CROOKED[name], KINDS)


def test_a_flipped_byte_gives_another_record_or_none() -> None:
    for place in range(len(RECORD)):
        changed = bytearray(RECORD)
        changed[place] ^= 4
        try:
            back = wire.unpack_record(bytes(changed), KINDS)
        except ProtocolError:
            continue
        assert wire.pack_record(back) == bytes(changed) != RECORD


@given(st.binary(max_size=100))
def test_random_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.unpack_record(data, KINDS)


@pytest.mark.parametrize(
    "blocks", [[], [b"next"], [b"more", RECORD], [b"next", RECORD, b""], [RECORD, b"next"]]
)
def test_an_outcome_is_one_record_and_its_mark(blocks: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        wire.unpack_outcome(blocks, KINDS)


@pytest.mark.parametrize("kind", [Next, Done])
def test_an_outcome_comes_back_as_what_it_was(kind: Any) -> None:
    blocks = wire.pack_outcome(kind(Mixed(np.zeros(0), np.zeros((2, 0), int), 1, "a")))
    back = wire.unpack_outcome(blocks, KINDS)
    assert isinstance(back, kind)
    assert wire.pack_outcome(back) == blocks


# --- plans

VALUES = (
    st.text(max_size=5)
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.lists(st.text(max_size=3), max_size=3).map(tuple)
    | st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple)
    | st.builds(Ref, st.text(max_size=3))
)
STEPS = st.builds(
    Step,
    st.text(max_size=5),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=5), VALUES, max_size=4),
    st.integers(0, 9),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
    st.booleans(),
)


def plan(steps: tuple[Step, ...]) -> Plan:
    members = (Member("a", "00", "11", 12), Member("b", "22", "33", 40))
    study = {"id": "x", "people": [{"name": "ü"}]}
    return Plan(1, "0", "s", study, "v", 3, members, "clear", 7, 2, 5, 10, steps)


@given(st.lists(STEPS, max_size=3).map(tuple))
def test_a_plan_comes_back_as_it_was(steps: tuple[Step, ...]) -> None:
    made = plan(steps)
    back = Plan.from_bytes(made.to_bytes())
    assert back == made
    assert back.digest() == made.digest()


def test_a_flipped_byte_gives_another_plan_or_none() -> None:
    made = plan((Step("one", "census", {"people": 3, "of": Ref("x")}),))
    data = made.to_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        try:
            assert Plan.from_bytes(bytes(changed)).digest() != made.digest()
        except ProtocolError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        plan(()).to_bytes() + b" ",
        plan(()).to_bytes().replace(b'"k":5', b'"k":5,"k":5'),
        plan(()).to_bytes().replace(b'"k":5', b'"k": 5'),
        plan(()).to_bytes().replace(b'"version":1', b'"version":2'),
        plan(()).to_bytes().replace(b'"k":5', b'"k":5,"kk":5'),
        plan(()).to_bytes().replace(b'"seed":7,', b""),
    ],
)
def test_a_plan_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Plan.from_bytes(data)


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
