"""Only the records and plans that were really written are read; all else is refused."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from equipoise.errors import ProtocolError
from equipoise.federation import registry, wire
from equipoise.plan import Member, Plan, Ref, Step, canonical
from equipoise.record import exact, grid
from equipoise.step import Done, Next


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
