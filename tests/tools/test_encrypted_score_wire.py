"""Messages of encrypted scores: requests, replies, descriptions and lists, and what is refused."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import ProtocolError
from equipoise.protections.score_scheme import Answer
from equipoise.tools.encrypted_scoring import scorer as scorer_module
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.listing import read_description, read_listing
from tools.encrypted_scores import DAY, owner, reader, request

pytest.importorskip("tenseal")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b[:40], "expected 76 and more"),
        (lambda b: b"EQSX" + b[4:], "not of version 1"),
        (lambda b: b[:4] + b"\x02" + b[5:], "not of version 1"),
        (lambda b: b[:8] + bytes(4) + b[12:], "0 people"),
        (lambda b: b[:8] + b"\xff" * 4 + b[12:], "4294967295 people"),
        (lambda b: b[:12] + b"\x01" * 32 + b[44:], "another list"),
        (lambda b: b + b"\0", "bytes for 2 people"),
        (lambda b: b[:-4], "bytes for 2 people"),
        (lambda b: b[:76] + b"\0\0\0\1" + b[80:], "a ciphertext of 16777216 bytes"),
        (lambda b: b[:-4] + b"\xff" * 4, "not below its prime"),
        (lambda b: b[:80] + (1073233921).to_bytes(4, "little") + b[84:], "not below its prime"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_before_anything_is_computed(
    change: Callable[[bytes], bytes], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = owner(tmp_path)
    digest = bytes.fromhex(made.description["list_sha256"])
    _, data = request()
    data = change(data[:12] + digest + data[44:])
    monkeypatch.setattr(scorer_module, "answer", lambda *_: pytest.fail("something was computed"))
    with pytest.raises(ProtocolError, match=said):
        made.score("clinic", len(data), reader(data))
    assert made.limits.left("clinic", DAY) == 10_000  # and nothing was charged


def test_a_request_cut_short_is_not_charged(tmp_path: Path) -> None:
    made = owner(tmp_path)
    _, data = request()
    data = data[:12] + bytes.fromhex(made.description["list_sha256"]) + data[44:]
    with pytest.raises(ConnectionError):
        made.score("clinic", len(data), reader(data[:-1]))
    assert made.limits.left("clinic", DAY) == 10_000


@given(st.binary(max_size=200))
def test_bytes_at_random_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.read_head(reader(data), len(data), 9, bytes(32))


@given(st.integers(1, 300), st.sampled_from([1, 77, 4096, 9000, 110_000]))
def test_lengths_follow_from_people_and_weights(people: int, n: int) -> None:
    sizes = wire.groups(people, n)
    assert sum(sizes) == people
    assert all(sizes)
    elements = 1 + len(sizes) * -(-n // 8192)
    assert wire.asked_bytes(people, n) == 76 + elements * (4 + 4 * 5 * 8192)


def test_a_reply_that_does_not_fit_is_refused() -> None:
    answers = [Answer(np.ones((2, 5), np.uint32), np.zeros((5, 8192), np.uint32))]
    data = b"".join(wire.write_answers(answers))
    assert len(data) == wire.answered_bytes(2, 9)
    assert wire.read_answers(reader(data), 2, 9)[0].sums.tolist() == [[1] * 5] * 2
    for wrong in (b"EQSQ" + data[4:], data[:12] + b"\1" + data[13:], data[:-4] + b"\xff" * 4):
        with pytest.raises(ProtocolError):
            wire.read_answers(reader(wrong), 2, 9)
    with pytest.raises(ProtocolError):
        wire.read_answers(reader(data), 3, 9)
    with pytest.raises(ProtocolError, match="not below its prime"):
        wire.read_answers(reader(data[:16] + b"\xff" * 4 + data[20:]), 2, 9)


def test_a_description_or_list_that_is_none_is_refused(tmp_path: Path) -> None:
    made = owner(tmp_path)
    told = json.loads(made.describe("clinic"))
    said = read_description(json.dumps(told).encode())
    wrong = [
        b"", b"[]", b"{}", b"\xff",
        *(json.dumps({**told, **change}).encode() for change in (
            {"version": 2}, {"weights": -1}, {"weights": True}, {"weights": 1 << 40}, {"left": "9"},
            {"name": "a\nb"}, {"name": ""}, {"list_sha256": "00"}, {"list_sha256": 3},
            {"ring": {**told["ring"], "flood_bits": 3}}, {"list_bytes": 1 << 40},
        )),
    ]  # fmt: skip
    for data in wrong:
        with pytest.raises(ProtocolError):
            read_description(data)
    bomb = gzip.compress(bytes(50_000_000))
    for zipped in (b"", made.zipped[:-9], gzip.compress(b"other"), bomb):
        with pytest.raises(ProtocolError, match="is not the one"):
            read_listing(zipped, said)
    with pytest.raises(ProtocolError, match="is not the one"):
        read_listing(made.zipped, replace(said, weights=3))


def test_the_public_list_has_no_weight(tmp_path: Path) -> None:
    made = owner(tmp_path, rows=[("", 1, 10, "A", "G", 0.123456), ("", 1, 20, "C", "T", -7.654321)])
    public = gzip.decompress(made.zipped) + made.describe("clinic")
    assert b"123456" not in public
    assert b"654321" not in public
    other = owner(tmp_path, rows=[("", 1, 10, "A", "G", 9), ("", 1, 20, "C", "T", 8)])
    assert other.zipped == made.zipped
    assert other.describe("clinic") == made.describe("clinic")
