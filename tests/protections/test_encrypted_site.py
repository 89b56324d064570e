"""What sites refuse: any key, total or form but those that keeper and sites signed for the round."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import ProtocolError
from equipoise.protection import Message
from equipoise.protections import encrypted_keeper, encrypted_site
from equipoise.protections import encrypted_scheme as scheme
from equipoise.protections.encrypted_keeper import KEEPER, bound
from equipoise.protections.secrets import hexed, pack, unpack
from equipoise.protections.spool import Spool
from protections.encrypted_rounds import INSTALLED, SHAPES, Kept, drawn, start
from protections.rounds import Values, added, identity

pytestmark = INSTALLED


def checking(n_sites: int = 3) -> Kept:
    """A round in which the sites have been sent the total and have not answered."""
    rounds = start(SHAPES, drawn(SHAPES, n_sites)).run(3)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    rounds.requests.append(outcome.state)
    return rounds


def test_a_key_that_the_keeper_did_not_sign_for_this_round_is_refused() -> None:
    form, parts = SHAPES, drawn(SHAPES, 3)
    other = start(form, parts, round=2).run(1).answers[-1][KEEPER]
    rounds = start(form, parts).run(1)
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", Message(other.head, list(other.blocks)))
    own = scheme.SecretKey(3).public()
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s1", Message(rounds.answers[-1][KEEPER].head, [own]))
    content = bound(rounds.context, b"key", encrypted_keeper.digest_of([own]))
    forged = Message(pack({"signature": identity("s2").sign(content).hex()}), [own])
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s2", forged)


@pytest.mark.parametrize("key", ["pads", "challenge", "signature", "contributions"])
def test_a_total_whose_head_was_altered_is_refused(key: str) -> None:
    rounds = checking()
    message = rounds.requests[-1]["s0"]
    head: Any = json.loads(message.head)
    if key == "contributions":
        head[key]["s1"] = head[key]["s0"]
    else:
        head[key] = ("0" if head[key][0] != "0" else "1") + head[key][1:]
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", Message(pack(head), list(message.blocks)))


def test_a_total_of_the_centres_own_making_is_refused() -> None:
    rounds = checking()
    message = rounds.requests[-1]["s0"]
    blocks = [bytearray(block) for block in message.blocks]
    blocks[0][0] ^= 1
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", Message(message.head, [bytes(block) for block in blocks]))


def test_another_message_announced_for_a_site_is_refused_by_it() -> None:
    """A site in league with the centre would sign two contributions."""
    rounds = start(SHAPES, drawn(SHAPES, 3)).run(2)
    machine = rounds.sites["s0"]
    said = machine.said
    machine.said = bytes(32)
    rounds.run(1)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    with pytest.raises(ProtocolError, match="another message"):
        rounds.ask("s0", outcome.state["s0"])
    assert said != bytes(32)


def forged(rounds: Kept, amount: int, both: bool) -> Kept:
    """Let the centre add `amount` to one encrypted value, and perhaps something to the pads."""
    key = scheme.PublicKey(next(iter(rounds.answers[0][KEEPER].blocks)), 3)
    lengths = encrypted_keeper.sizes(SHAPES)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    message = outcome.state[KEEPER]
    blocks = list(message.blocks)
    for i in (0, 2) if both else (0,):
        words = np.zeros(lengths[i], np.uint64)
        words[0] = amount % 2**64
        total = scheme.coefficients(blocks[i], lengths[i]).copy()
        scheme.add(total, scheme.coefficients(key.encrypt(words), lengths[i]))
        blocks[i] = total.tobytes()
    rounds.requests.append({KEEPER: message})
    rounds.answers.append({KEEPER: rounds.ask(KEEPER, Message(message.head, blocks))})
    return rounds


@pytest.mark.parametrize("both", [False, True], ids=["the total", "the total and the pads"])
@pytest.mark.parametrize("power", [0, 38])
@pytest.mark.parametrize("check", [True, False], ids=["", "and the check is what refuses"])
def test_a_centre_that_adds_to_the_ciphertext_is_found_out(
    power: int, both: bool, check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not check:
        monkeypatch.setattr(encrypted_site, "check_forms", lambda *_: None)
    parts: list[Values] = [
        [{name: np.ones_like(v) for name, v in block.items()} for block in part]
        for part in drawn(SHAPES, 3)
    ]
    rounds = forged(start(SHAPES, parts).run(2), 2**power, both)
    if check:
        with pytest.raises(ProtocolError, match="forged"):
            rounds.run()
        assert not rounds.accepted
    else:
        assert rounds.run().total[0]["x"][0] == 3 + 2**power


@pytest.mark.parametrize("binding", [True, False], ids=["", "and the binding is what refuses"])
def test_a_keeper_that_makes_the_pads_fit_its_own_total_is_found_out(
    binding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows the forms of what it added to the total, and takes them off the pads' sum."""
    real = encrypted_site.Forms
    if not binding:
        monkeypatch.setattr(
            encrypted_site, "Forms", lambda drawn, info, *more: real(drawn, b"", *more)
        )
    rounds = start(SHAPES, drawn(SHAPES, 3)).run(3)
    answer = rounds.answers[-1][KEEPER]
    head: Any = json.loads(answer.head)
    blocks = [np.frombuffer(block, "<i8").copy() for block in answer.blocks]
    challenge, contributed = bytes.fromhex(head["challenge"]), rounds.centre.contributions
    said = encrypted_keeper.told(contributed)

    def content(pads: bytes) -> bytes:
        return encrypted_keeper.digest_of(b.tobytes() for b in blocks) + said + pads + challenge

    blocks[0][0] += 1
    pads = np.frombuffer(bytes.fromhex(head["pads"]), "<u8")
    info = bound(rounds.context, b"forms", content(pads.tobytes())) if binding else b""
    forms = real(challenge, info, len(pads))
    forms.add(np.eye(1, 12, dtype=np.uint64)[0])  # what was added to the total
    fitting = (pads - forms.sums[0]).tobytes()
    signature = identity(KEEPER).sign(bound(rounds.context, b"total", content(fitting)))
    forged = {**head, "pads": fitting.hex(), "signature": signature.hex()}
    rounds.answers[-1][KEEPER] = Message(pack(forged), [b.tobytes() for b in blocks])
    if binding:
        with pytest.raises(ProtocolError, match="forged"):
            rounds.run()
    else:
        assert rounds.run().total[0]["x"][0] == added(drawn(SHAPES, 3))[0]["x"][0] + 1


def test_a_form_that_its_site_did_not_sign_is_refused() -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3)).run(4)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    forms = unpack(outcome.state["s0"].head, "forms")
    forms["s1"] = bytes(8) + forms["s1"][8:]
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", Message(pack({"forms": hexed(forms)})))


def test_forms_of_the_same_words_and_the_same_challenge_are_hidden_by_other_pads() -> None:
    """So they tell nothing of a ciphertext, even to who knows the masks."""
    one, two = (start(SHAPES, drawn(SHAPES, 3)).run(4).sites["s0"] for _ in range(2))
    assert one.pads != two.pads
    asked_for = bytes(32), bytes(len(one.pads))
    one.last = two.last = bytes(32)
    one.total = two.total = one.words = two.words = Spool()
    assert one._forms(*asked_for) == one.pads  # of no words, nothing but the pads
    assert one._forms(*asked_for) != two._forms(*asked_for)


def test_a_site_that_was_asked_for_its_sums_begins_no_other_attempt() -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3)).run(1)
    assert not rounds.sites["s0"].settled
    rounds.ask(
        "s0", Message(rounds.answers[0][KEEPER].head, list(rounds.answers[0][KEEPER].blocks))
    )
    assert rounds.sites["s0"].settled


@given(st.binary(max_size=200))
def test_random_bytes_are_no_request(data: bytes) -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3))
    for name in ("s0", "s1"):
        with pytest.raises(ProtocolError):
            rounds.ask(name, Message(data, [data]))
