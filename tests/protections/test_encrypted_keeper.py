"""What the key keeper refuses: whatever is not the sum of what all sites signed for this round."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.protection import Message
from equipoise.protections import encrypted_keeper, encrypted_site
from equipoise.protections import encrypted_scheme as scheme
from equipoise.protections.encrypted_keeper import KEEPER, bound
from equipoise.protections.secrets import hexed, pack, unpack
from protections.encrypted_rounds import INSTALLED, RAW, SHAPES, Kept, drawn, start
from protections.rounds import Values, added, identity, schema

pytestmark = INSTALLED


def asked(n_sites: int = 4, parts: list[Values] | None = None, **changes: Any) -> Kept:
    """A round in which the keeper has been asked for the total and has not answered."""
    rounds = start(SHAPES, parts or drawn(SHAPES, n_sites), **changes).run(2)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    rounds.requests.append(outcome.state)
    return rounds


def contributions(rounds: Kept) -> dict[str, bytes]:
    return unpack(rounds.requests[-1][KEEPER].head, "contributions")


def changed(rounds: Kept, signed: dict[str, bytes]) -> Message:
    blocks = list(rounds.requests[-1][KEEPER].blocks)
    return Message(pack({"contributions": hexed(signed)}), blocks)


def test_the_keeper_answers_what_was_not_changed() -> None:
    rounds = asked()
    rounds.ask(KEEPER, changed(rounds, contributions(rounds)))


def test_fewer_than_three_contributions_are_refused() -> None:
    rounds = asked()
    two = dict(list(contributions(rounds).items())[:2])
    with pytest.raises(DisclosureError, match="at least 3"):
        rounds.ask(KEEPER, changed(rounds, two))


def test_fewer_contributions_than_sites_are_refused() -> None:
    rounds = asked()
    three = dict(list(contributions(rounds).items())[:3])
    with pytest.raises(ProtocolError, match="not those of the listed sites"):
        rounds.ask(KEEPER, changed(rounds, three))


@pytest.mark.parametrize("where", [0, 31, 32, 95])
def test_a_contribution_that_its_site_did_not_sign_is_refused(where: int) -> None:
    rounds = asked()
    signed = contributions(rounds)
    altered = bytearray(signed["s2"])
    altered[where] ^= 1
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask(KEEPER, changed(rounds, {**signed, "s2": bytes(altered)}))


def test_one_site_cannot_sign_for_another() -> None:
    rounds = asked()
    signed = contributions(rounds)
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask(KEEPER, changed(rounds, {**signed, "s2": signed["s1"]}))


def test_contributions_to_another_round_or_under_another_key_are_refused() -> None:
    rounds = asked()
    signed = contributions(rounds)
    for other in (asked(round=2), asked(attempt=1), asked(step="another"), asked()):
        with pytest.raises(ProtocolError, match="signature"):
            other.ask(KEEPER, changed(other, {**contributions(other), "s1": signed["s1"]}))


def test_more_or_fewer_blocks_than_the_round_has_are_refused() -> None:
    for change in (lambda b: [*b, b[0]], lambda b: b[:-1], lambda b: []):
        rounds = asked()
        message = rounds.requests[-1][KEEPER]
        with pytest.raises(ProtocolError):
            rounds.ask(KEEPER, Message(message.head, change(list(message.blocks))))


def test_a_round_is_decrypted_once() -> None:
    rounds = asked()
    again = asked()
    again.sites[KEEPER].machine.ahead = rounds.sites[KEEPER].machine.ahead
    rounds.ask(KEEPER)
    with pytest.raises(ProtocolError, match="ended"):
        rounds.ask(KEEPER)
    with pytest.raises(ProtocolError, match="before"):
        again.ask(KEEPER)  # the same round with a new key


def test_a_refused_request_cannot_be_tried_again() -> None:
    rounds = asked()
    with pytest.raises(ProtocolError):
        rounds.ask(KEEPER, Message(b"{}", []))
    with pytest.raises(ProtocolError, match="ended"):
        rounds.ask(KEEPER)


@pytest.mark.parametrize(
    ("of", "masks"),
    [
        pytest.param("0", True, id="one"),
        pytest.param("01", True, id="two"),
        pytest.param("012", True, id="all but one"),
        pytest.param("00123", True, id="one twice"),
        pytest.param("0", False, id="one, and the masks are what refuses"),
        pytest.param("012", False, id="all but one, and the masks are what refuses"),
    ],
)
def test_the_sum_of_other_sites_than_all_is_refused(
    of: str, masks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The centre gives the keeper all signatures, and ciphertexts of its choice."""
    if not masks:
        monkeypatch.setattr(encrypted_site, "masks_of", lambda *_: [])
    rounds = asked(parts=small(4))
    lengths = encrypted_keeper.sizes(SHAPES)
    blocks: list[bytes] = []
    for i, n_values in enumerate(lengths):
        total = np.zeros((scheme.n_ciphertexts(n_values), RAW // 8), np.uint64)
        for site in of:
            data = list(rounds.answers[1][f"s{site}"].blocks)[i]
            scheme.add(total, scheme.coefficients(data, n_values))
        blocks.append(total.tobytes())
    request = Message(rounds.requests[-1][KEEPER].head, blocks)
    if masks:
        with pytest.raises(ProtocolError, match=r"limit|no sum of digits"):
            rounds.ask(KEEPER, request)
    else:
        read = np.frombuffer(list(rounds.ask(KEEPER, request).blocks)[1], "<i8")
        expected = sum(small(4)[int(site)][1]["z"] for site in of)
        assert np.array_equal(read, expected)


def small(n_sites: int) -> list[Values]:
    parts = drawn(SHAPES, n_sites)
    return [[{name: abs(v) % 1000 for name, v in b.items()} for b in part] for part in parts]


@pytest.mark.parametrize("masks", [True, False], ids=["", "and the masks are what refuses"])
def test_a_site_that_takes_others_away_for_the_centre_gains_nothing(
    masks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """s3 signs, as its own, minus what s1 and s2 sent, which it cannot read."""
    if not masks:
        monkeypatch.setattr(encrypted_site, "masks_of", lambda *_: [])
    rounds = start(SHAPES, drawn(SHAPES, 4)).run(2)
    answers = rounds.answers[-1]
    blocks: list[bytes] = []
    for i, n_values in enumerate(encrypted_keeper.sizes(SHAPES)):
        parts = [scheme.coefficients(list(answers[s].blocks)[i], n_values) for s in ("s1", "s2")]
        total = parts[0].copy()
        scheme.add(total, parts[1])
        blocks.append(np.where(total == 0, total, np.uint64(scheme.Q) - total).tobytes())
    key = rounds.sites["s3"].key
    digest = encrypted_keeper.digest_of(blocks)
    signature = identity("s3").sign(bound(rounds.context, b"contribution", key + digest))
    answers["s3"] = Message(b"", [*blocks, signature])
    outcome: Any = rounds.centre.step(answers)
    if masks:
        with pytest.raises(ProtocolError):
            rounds.ask(KEEPER, outcome.state[KEEPER])
    else:
        told = list(rounds.ask(KEEPER, outcome.state[KEEPER]).blocks)
        assert np.array_equal(np.frombuffer(told[1], "<i8"), drawn(SHAPES, 4)[0][1]["z"])


def test_the_keeper_reads_chance_in_the_message_of_one_site() -> None:
    """Every bit of what it could decrypt is 0 or 1 equally often, though all values are 0."""
    form = schema({"x": (2048,)})
    parts: list[Values] = [[{"x": np.zeros(2048, np.int64)}] for _ in range(3)]
    rounds = start(form, parts)
    secret: list[Any] = []
    rounds.run(1)
    secret.append(rounds.sites[KEEPER].machine.secret)
    rounds.run(1)
    data = next(iter(rounds.answers[-1]["s0"].blocks))
    words = secret[0].decrypt(data, 2048)
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert np.all(np.abs(bits - 0.5) < 6 * 0.5 / 2048**0.5)  # six standard errors


def test_no_secret_key_outlives_the_decryption() -> None:
    rounds = asked()
    assert rounds.sites[KEEPER].machine.secret is not None
    rounds.ask(KEEPER)
    assert rounds.sites[KEEPER].machine.secret is None


def test_what_leaves_the_keeper_with_its_key_is_public() -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3)).run(1)
    (public,) = rounds.answers[-1][KEEPER].blocks
    assert not scheme.library().context_from(public).has_secret_key()


def test_the_same_sums_are_never_encrypted_alike() -> None:
    one, two = (start(SHAPES, drawn(SHAPES, 3)).run(2).answers[-1]["s0"] for _ in range(2))
    for a, b in zip(one.blocks, two.blocks, strict=True):
        assert a != b


def test_an_altered_request_is_refused_or_gives_the_same_total() -> None:
    """A bit of a ciphertext may be mere noise; what is more than that is no sum of digits."""
    draw, rounds = np.random.default_rng(5), asked(3)
    message, machine = rounds.requests[-1][KEEPER], rounds.sites[KEEPER].machine
    secret, refused = machine.secret, 0
    parts = [message.head, *message.blocks]
    expected = [
        p.tobytes()
        for p in (np.concatenate(list(map(np.ravel, b.values()))) for b in added(drawn(SHAPES, 3)))
    ]
    for _ in range(200):
        which = int(draw.integers(len(parts)))
        altered = bytearray(parts[which])
        altered[int(draw.integers(len(altered)))] ^= int(draw.integers(1, 256))
        head, *blocks = [*parts[:which], bytes(altered), *parts[which + 1 :]]
        again = replace(machine, due="total", secret=secret, ahead={})
        try:
            outcome: Any = again.step(Message(head, blocks))
        except (ProtocolError, DisclosureError):
            refused += 1
        else:
            assert which
            assert list(outcome.result.blocks) == expected
    assert refused > 100
