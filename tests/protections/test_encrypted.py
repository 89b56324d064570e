"""Encrypted sums: exact to the unit, and nothing but the total of all sites is ever decrypted."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import DisclosureError, InputError, ProtocolError, TransportError
from equipoise.protection import Message
from equipoise.protections.encrypted import Encrypted
from equipoise.protections.encrypted_keeper import KEEPER
from protections.encrypted_rounds import INSTALLED, RAW, SHAPES, drawn, start
from protections.rounds import WIDEST, Values, added, names, same, schema

pytestmark = INSTALLED

# Totals.


@settings(max_examples=12, deadline=None)
@given(st.integers(3, 6), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.integers(0, 99))
def test_totals_are_exact_and_all_sites_accept_them(
    n_sites: int, lengths: list[int], seed: int
) -> None:
    form = schema(*({"x": (length,), "y": ()} for length in lengths))
    parts = drawn(form, n_sites, seed)
    done = start(form, parts).run()
    assert same(done.total, added(parts))
    assert all(same(done.accepted[name], added(parts)) for name in names(n_sites))


@pytest.mark.parametrize("total", [WIDEST, -WIDEST, 0])
def test_totals_at_the_limit_are_exact_though_parts_lie_anywhere_in_the_ring(total: int) -> None:
    parts: list[Values] = [[{"x": np.array([v])}] for v in (2**63 - 1, -(2**63) + 1, total)]
    assert same(start(schema({"x": (1,)}), parts).run().total, [{"x": np.array([total])}])


def test_a_block_of_several_ciphertexts_in_another_order_of_memory_is_exact() -> None:
    form = schema({"x": (3, 1500)}, {"x": (2048,)}, {"x": (1,)})
    parts = drawn(form, 3)
    parts[1][0]["x"] = np.asfortranarray(parts[1][0]["x"])
    done = start(form, parts).run()
    assert same(done.total, added(parts))
    blocks = done.answers[1]["s0"].blocks
    assert [len(b) for b in blocks] == [3 * RAW, RAW, RAW, RAW, 64]


@pytest.mark.parametrize("beyond", [WIDEST + 1, -WIDEST - 1, 2**63 - 1])
def test_a_total_beyond_its_limit_is_not_decrypted_for_anybody(beyond: int) -> None:
    parts: list[Values] = [[{"x": np.array([v])}] for v in (beyond, 0, 0)]
    rounds = start(schema({"x": (1,)}), parts)
    with pytest.raises(ProtocolError, match="beyond its declared limit"):
        rounds.run()
    assert len(rounds.answers) == 2  # the key and the input


# Whoever is lost, and bytes that nobody sent.


@pytest.mark.parametrize(
    ("who", "phase"), [(KEEPER, 0), ("s1", 1), (KEEPER, 2), ("s1", 3), ("s1", 4)]
)
def test_a_party_that_is_lost_ends_the_round(who: str, phase: int) -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3))
    rounds.lost = lambda name, at: name == who and at == phase
    with pytest.raises(TransportError):
        rounds.run()


def test_strangers_are_refused() -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3)).run(2)
    rounds.answers[-1]["s9"] = rounds.answers[-1]["s0"]
    with pytest.raises(ProtocolError, match="take no part"):
        rounds.run()


@pytest.mark.parametrize(
    "change",
    [
        lambda blocks: blocks[:-1],
        lambda blocks: [*blocks, b"more"],
        lambda blocks: [blocks[0][:-8], *blocks[1:]],
        lambda blocks: [b"\xff" * len(blocks[0]), *blocks[1:]],
        lambda blocks: [],
    ],
    ids=["no signature", "more", "shorter", "beyond q", "none"],
)
def test_an_encrypted_message_of_another_form_is_refused_by_the_centre(change: Any) -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3)).run(2)
    message = rounds.answers[-1]["s1"]
    rounds.answers[-1]["s1"] = Message(message.head, change(list(message.blocks)))
    with pytest.raises(ProtocolError):
        rounds.run()


# Whom it is for.


def test_two_sites_or_more_than_are_exact_are_refused() -> None:
    for n_sites in (0, 1, 2):
        with pytest.raises(DisclosureError, match="at least 3 sites"):
            Encrypted().check(n_sites)
    with pytest.raises(InputError, match="128 sites"):
        Encrypted().check(129)
    for n_sites in (3, 128):
        Encrypted().check(n_sites)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(InputError, match=r"equipoise\[encrypted\]"):
        Encrypted().check(4)
