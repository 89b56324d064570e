"""Threshold sums: the protocol with a stand-in for OpenFHE, and OpenFHE where it imports."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, InputError, ProtocolError, TransportError
from equipoise.protection import Message
from equipoise.protections import multiparty_openfhe, multiparty_site
from equipoise.protections import multiparty_scheme as scheme
from equipoise.protections.encrypted_keeper import bound, digest_of, told
from equipoise.protections.multiparty import Threshold
from equipoise.protections.multiparty_blocks import framed, unframed
from equipoise.protections.multiparty_openfhe import OpenShares
from equipoise.protections.multiparty_scheme import MODULUS
from equipoise.protections.secrets import hexed, pack, unpack
from protections.encrypted_rounds import SHAPES, drawn
from protections.rounds import WIDEST, Round, Values, added, identity, names, same, schema, start

SLOTS = 16


class Standing:
    """Shares that hide nothing and need all parties: sums modulo t, less a pad a party.

    The public key lists the parties' pads; a ciphertext has their sum added, and each party's
    decryption takes its own away.
    """

    def __init__(self, n_sites: int) -> None:
        self.own, self.whole = b"", b""

    def join(self, previous: bytes) -> bytes:
        self.own = os.urandom(4)
        return previous + self.own

    def read(self, public: bytes) -> None:
        self.whole = public

    def slots(self) -> int:
        return SLOTS

    def encrypt(self, row: NDArray[np.uint64]) -> bytes:
        assert row.shape == (SLOTS,)
        pads = sum(int(v) % MODULUS for v in np.frombuffer(self.whole, ">u4"))
        return self._write([(int(v) + pads) % MODULUS for v in row], 1)

    def add(self, parts: Sequence[bytes]) -> bytes:
        rows = [self._read(part) for part in parts]
        columns = zip(*(row for row, _ in rows), strict=True)
        return self._write([sum(c) % MODULUS for c in columns], sum(n for _, n in rows))

    def partial(self, data: bytes, *, lead: bool) -> bytes:
        row, n = self._read(data)
        pad = n * (int.from_bytes(self.own, "big") % MODULUS)
        return self._write([((v if lead else 0) - pad) % MODULUS for v in row], n)

    def fuse(self, partials: Sequence[bytes]) -> NDArray[np.uint64]:
        columns = zip(*(self._read(part)[0] for part in partials), strict=True)
        return np.array([sum(c) % MODULUS for c in columns], np.uint64)

    @staticmethod
    def _write(row: list[int], n: int) -> bytes:
        return json.dumps([row, n]).encode()

    @staticmethod
    def _read(data: bytes) -> tuple[list[int], int]:
        row, n = json.loads(data)
        return row, n


STANDING = Threshold(Standing)


def at(phases: int, n_sites: int = 3) -> Round:
    """A round after so many phases, with the next requests given out and not answered."""
    rounds = start(STANDING, SHAPES, drawn(SHAPES, n_sites)).run(phases)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    rounds.requests.append(outcome.state)
    return rounds


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 6), st.lists(st.integers(0, 7), min_size=1, max_size=3), st.integers(0, 99))
def test_totals_are_exact_and_all_sites_accept_them(
    n_sites: int, lengths: list[int], seed: int
) -> None:
    form = schema(*({"x": (length,), "y": ()} for length in lengths))
    parts = drawn(form, n_sites, seed)
    done = start(STANDING, form, parts).run()
    assert same(done.total, added(parts))
    assert all(same(done.accepted[name], added(parts)) for name in names(n_sites))


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), min_size=7, max_size=7), min_size=3))
def test_digits_of_words_add_up_to_the_words(words: list[list[int]]) -> None:
    rows = [scheme.digits(np.array(w, np.uint64), SLOTS) for w in words]
    assert max(int(row.max()) for row in rows) < 2**22
    sums = np.sum(rows, axis=0, dtype=np.uint64)
    expected = [sum(column) % 2**64 for column in zip(*words, strict=True)]
    assert scheme.words_of(sums, 7, len(words)).tolist() == expected


def test_digits_of_most_sites_do_not_wrap_in_the_modulus() -> None:
    assert scheme.MOST_SITES * (2**22 - 1) < MODULUS / 2
    assert (MODULUS - 1) % 2**17 == 0
    assert MODULUS.bit_length() == 31
    assert all(MODULUS % i for i in range(2, 46341))  # the square root


@pytest.mark.parametrize("where", [0, -1])
def test_what_no_digits_add_up_to_is_refused(where: int) -> None:
    sums = scheme.digits(np.arange(5, dtype=np.uint64), SLOTS).reshape(-1)
    scheme.words_of(sums, 5, 3)
    sums[where] = 3 * 2**22
    with pytest.raises(ProtocolError, match="no sum of digits"):
        scheme.words_of(sums, 5, 3)


def test_a_total_beyond_its_limit_is_not_accepted() -> None:
    parts: list[Values] = [[{"x": np.array([v])}] for v in (WIDEST, 1, 0)]
    with pytest.raises(ProtocolError, match="beyond its declared limit"):
        start(STANDING, schema({"x": (1,)}), parts).run()


# The key.


def test_a_part_of_the_key_that_was_not_signed_is_refused_by_the_next_site() -> None:
    rounds = at(1)
    message = rounds.requests[-1]["s1"]
    with pytest.raises(ProtocolError, match="last site signed"):
        rounds.ask("s1", Message(message.head, [b"mine"]))
    rounds = at(1)
    with pytest.raises(ProtocolError, match="listed sites"):
        rounds.ask("s1", Message(pack({"keys": {}}), [b""]))


def test_a_key_without_one_sites_part_is_refused_by_that_site() -> None:
    """s2, in league with the centre, signs a key of its own on top of what it was given."""
    rounds = at(3)
    message = rounds.requests[-1]["s0"]
    keys = unpack(message.head, "keys")
    own = b"mine"
    before = keys["s0"][:32]
    context = rounds.context
    content = bound(context, b"share", before + digest_of([own]))
    keys["s1"] = digest_of([own]) + identity("s1").sign(content)
    content = bound(context, b"share", digest_of([own]) + digest_of([own]))
    keys["s2"] = digest_of([own]) + identity("s2").sign(content)
    with pytest.raises(ProtocolError, match="another part"):
        rounds.ask("s1", Message(pack({"keys": hexed(keys)}), [own]))
    rounds = at(3)
    with pytest.raises(ProtocolError, match="last site signed"):
        rounds.ask("s0", Message(rounds.requests[-1]["s0"].head, [own]))


# What a site decrypts.


@pytest.mark.parametrize("left", [("s0",), ("s0", "s1"), ("s0", "s1", "s2")])
def test_fewer_contributions_than_sites_are_refused(left: tuple[str, ...]) -> None:
    rounds = at(5, 4)
    message = rounds.requests[-1]["s0"]
    signed = unpack(message.head, "contributions")
    some = pack({"contributions": hexed({site: signed[site] for site in left})})
    with pytest.raises((DisclosureError, ProtocolError), match=r"at least 3|listed sites"):
        rounds.ask("s0", Message(some, list(message.blocks)))


def test_blocks_that_were_not_signed_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for change in (
        lambda b: [b[1], b[0], *b[2:]],
        lambda b: [b[0], b[0], *b[2:]],
        lambda b: b[:-1],
        lambda b: [*b, b[0]],
        lambda b: [b[0] + b" ", *b[1:]],
    ):
        rounds = at(4)
        message = rounds.requests[-1]["s0"]
        machine = rounds.sites["s0"]
        with monkeypatch.context() as patch:
            patch.setattr(machine.shares, "add", lambda _: pytest.fail("it was read"))
            with pytest.raises(ProtocolError, match="not those that they signed"):
                rounds.ask("s0", Message(message.head, change(list(message.blocks))))


def test_contributions_to_another_round_are_refused() -> None:
    rounds, other = at(4), start(STANDING, SHAPES, drawn(SHAPES, 3), round=2).run(4)
    outcome: Any = other.centre.step(other.answers[-1])
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", outcome.state["s0"])


@pytest.mark.parametrize("masks", [True, False], ids=["", "and the masks are what refuses"])
def test_a_site_that_takes_others_away_for_the_centre_gains_nothing(
    masks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """s2 signs, as its own, minus what s1 sent: without masks the total is what s0 sent."""
    if not masks:
        monkeypatch.setattr(multiparty_site, "masks_of", lambda *_: [])
    parts = [[{k: abs(v) for k, v in b.items()} for b in p] for p in drawn(SHAPES, 3)]
    rounds = start(STANDING, SHAPES, parts).run(4)
    answers = rounds.answers[-1]
    blocks = [
        framed(
            json.dumps([[-v % MODULUS for v in json.loads(row)[0]], -1]).encode()
            for row in unframed(block, -(-3 * n // SLOTS))
        )
        for block, n in zip(list(answers["s1"].blocks)[:-1], (7, 5), strict=True)
    ]
    key, digest = rounds.sites["s2"].key, digest_of(blocks)
    signed = bound(rounds.context, b"contribution", key + digest)
    answers["s2"] = Message(b"", [*blocks, identity("s2").sign(signed)])
    rounds.sites["s2"].said = digest
    if masks:
        with pytest.raises(ProtocolError):
            rounds.run()
    else:
        assert same(rounds.run().total, parts[0])


# What a site accepts.


def test_parts_of_the_decryption_that_were_not_signed_are_refused() -> None:
    for change in (lambda b: [b[1], b[0], *b[2:]], lambda b: b[:-1]):
        rounds = at(5)
        message = rounds.requests[-1]["s0"]
        with pytest.raises(ProtocolError, match="not those that they signed"):
            rounds.ask("s0", Message(message.head, change(list(message.blocks))))
    rounds = at(5)
    message = rounds.requests[-1]["s0"]
    signed = unpack(message.head, "parts")
    signed["s1"] = signed["s0"]
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", Message(pack({"parts": hexed(signed)}), list(message.blocks)))


def test_parts_of_another_sum_are_refused() -> None:
    """Each part is signed together with the list of what went into the sum."""
    rounds = at(5)
    machine = rounds.sites["s0"]
    machine.last = told({"s0": b"another"})
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0")


@pytest.mark.parametrize("phase", range(6))
def test_a_site_that_is_lost_ends_the_round(phase: int) -> None:
    rounds = start(STANDING, SHAPES, drawn(SHAPES, 3))
    who = f"s{phase}" if phase < 3 else "s1"
    rounds.lost = lambda name, now: (name, now) == (who, phase)
    with pytest.raises(TransportError, match=who):
        rounds.run()


def test_a_site_that_was_asked_to_decrypt_begins_no_other_attempt() -> None:
    rounds = at(4)
    assert not rounds.sites["s0"].settled
    rounds.ask("s0")
    assert not rounds.sites["s1"].settled
    assert rounds.sites["s0"].due == "accept"
    assert rounds.sites["s0"].settled


def test_a_machine_that_refused_has_ended() -> None:
    rounds = at(4)
    with pytest.raises(ProtocolError):
        rounds.ask("s0", Message(b"{}", []))
    with pytest.raises(ProtocolError, match="ended"):
        rounds.ask("s0")


@given(st.binary(max_size=100), st.integers(0, 5))
def test_random_bytes_are_no_block(data: bytes, n_rows: int) -> None:
    try:
        rows = unframed(data, n_rows)
    except ProtocolError:
        return
    assert framed(rows) == data
    assert len(rows) == n_rows


# Whom it is for.


def test_too_few_or_too_many_sites_are_refused() -> None:
    for n_sites in (0, 1, 2):
        with pytest.raises(DisclosureError, match="at least 3 sites"):
            STANDING.check(n_sites)
    with pytest.raises(InputError, match="128 sites"):
        STANDING.check(129)
    STANDING.check(3)
    STANDING.check(128)


def test_a_library_that_decrypts_wrongly_is_refused() -> None:
    class Wrong(Standing):
        def fuse(self, partials: Sequence[bytes]) -> NDArray[np.uint64]:
            return super().fuse(partials) ^ np.uint64(1)

    with pytest.raises(InputError, match="wrongly"):
        Threshold(Wrong).check(3)


def imports() -> bool:
    try:
        multiparty_openfhe.library()
    except InputError:
        return False
    return True


def test_a_wheel_for_another_python_is_said_not_to_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the wheel for 3.10 does, which calls itself fit for any Python."""
    (tmp_path / "openfhe").mkdir()
    (tmp_path / "openfhe" / "__init__.py").write_text("from openfhe.openfhe import *\n")
    monkeypatch.delitem(sys.modules, "openfhe", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="cannot be loaded on this machine"):
        multiparty_openfhe.library()


@pytest.mark.skipif(imports(), reason="OpenFHE imports here")
def test_where_openfhe_does_not_import_the_error_says_where_it_would() -> None:
    with pytest.raises(InputError, match=r"OpenFHE.*Python 3\.12 with glibc 2\.38.*masked"):
        Threshold().check(3)


@pytest.mark.skipif(
    not imports(), reason="OpenFHE imports on Python 3.12 with glibc 2.38 alone, not here"
)
def test_totals_by_openfhe_are_exact() -> None:
    Threshold(OpenShares).check(4)
    parts = drawn(SHAPES, 4)
    done = start(Threshold(OpenShares), SHAPES, parts).run()
    assert same(done.total, added(parts))
