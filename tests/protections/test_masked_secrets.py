"""A masked round's keys and shares are for one site of one round, and its secrets end with it."""

import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.protection import Message, joint_digest
from equipoise.protections.graph import threshold
from equipoise.protections.masked import Masked
from equipoise.protections.masked_site import bound, turn_of
from equipoise.protections.secrets import Secrets, opened
from equipoise.protections.shares import combine, split
from equipoise.sums import to_bytes
from protections.recordings import FORM, constant, zeros
from protections.rounds import Round, context, identity, names, party, start

# --- shares and lists of keys


def sealed_by(rounds: Round) -> dict[str, Mapping[str, str]]:
    """Return what each site sealed for whom."""
    return {n: json.loads(a.head)["prepared"]["sealed"] for n, a in rounds.answers[0].items()}


def lossy(**changes: Any) -> Round:
    """Return a round that may lose a site, so that secrets are shared."""
    return start(Masked(), FORM, zeros(), may_lose=True, **changes)


def test_a_share_is_for_one_site_of_one_round_alone() -> None:
    """Given to another, sent back, taken from another round or altered, it cannot be opened."""
    rounds = lossy().run(1)
    sealed = sealed_by(rounds)
    elsewhere, later = sealed_by(lossy(attempt=1).run(1)), sealed_by(lossy(turn=1).run(1))
    turn, own = turn_of(rounds.context), party("s0", 4)
    for n in sealed:
        found = opened(bytes.fromhex(sealed[n]["s0"]), n, turn, own)
        assert [len(part) for part in found] == [32, 32, 32]
    wrong = {
        "to another": ("s1", sealed["s1"]["s2"]),
        "sent back": ("s1", sealed["s0"]["s1"]),
        "as if by another": ("s2", sealed["s1"]["s0"]),
        "of another attempt": ("s1", elsewhere["s1"]["s0"]),
        "of another turn": ("s1", later["s1"]["s0"]),
        "altered": ("s1", sealed["s1"]["s0"][:-2] + "00"),
        "cut": ("s1", sealed["s1"]["s0"][:20]),
        "nothing": ("s1", ""),
    }
    for sender, share in wrong.values():
        with pytest.raises(ProtocolError, match=f"that {sender} sent cannot be opened"):
            opened(bytes.fromhex(share), sender, turn, own)


def asked(rounds: Round) -> dict[str, Any]:
    """Return what the centre would ask the first site next."""
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    return json.loads(outcome.state["s0"].head)


def told(content: Mapping[str, Any]) -> Message:
    return Message(json.dumps(content).encode())


def test_a_swapped_share_is_refused_before_anything_is_sent() -> None:
    rounds = start(Masked(), FORM, zeros()).run(1)
    said = asked(rounds)
    said["sealed"]["s1"], said["sealed"]["s2"] = said["sealed"]["s2"], said["sealed"]["s1"]
    with pytest.raises(ProtocolError, match="cannot be opened"):
        rounds.ask("s0", told(said))


def forged_keys(rounds: Round, change: Any) -> Message:
    said = asked(rounds)
    change(said["keys"])
    said["sealed"] = {site: said["sealed"].get(site, "") for site in said["keys"]}
    return told(said)


def own_key(signer: str) -> str:
    """Return a key that the centre made, signed as `signer` would."""
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    return (public + identity(signer).sign(turn_of(context(4)).bound(b"key", public))).hex()


FORGED: Mapping[str, Any] = {
    "a key of the centre's": lambda keys: keys.update(s1=own_key("centre")),
    "a key of the centre's, signed by another site": lambda keys: keys.update(s1=own_key("s2")),
    "a key with another's signature": lambda keys: keys.update(
        s1=keys["s1"][:64] + keys["s2"][64:]
    ),
    "another site's key": lambda keys: keys.update(s1=keys["s2"]),
    "two keys swapped": lambda keys: keys.update(s1=keys["s2"], s2=keys["s1"]),
    "a key without a signature": lambda keys: keys.update(s1=keys["s1"][:64]),
    "no key": lambda keys: keys.update(s1=""),
    "a key less": lambda keys: keys.pop("s1"),
    "a key more": lambda keys: keys.update(s9=keys["s1"]),
    "a key that is none": lambda keys: keys.update(s1=7),
    "another key for the site itself": lambda keys: keys.update(s0=own_key("s0")),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_list_of_keys_is_refused(name: str) -> None:
    rounds = start(Masked(), FORM, zeros()).run(1)
    with pytest.raises((ProtocolError, DisclosureError)):
        rounds.ask("s0", forged_keys(rounds, FORGED[name]))


def test_a_key_of_an_earlier_attempt_is_refused() -> None:
    earlier = start(Masked(), FORM, zeros()).run(1)
    old = json.loads(earlier.answers[0]["s1"].head)["prepared"]["key"]
    rounds = start(Masked(), FORM, zeros(), attempt=1).run(1)
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", forged_keys(rounds, lambda keys: keys.update(s1=old)))


@pytest.mark.parametrize(
    "head",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"keys":[]}',
        b'{"keys":{"s0":[]}}',
        b'{"keys":7}',
        b"\xff",
        b'{"keys":{"s0":"zz","s1":"","s2":"","s3":""}}',
        b'{"keys":{"s0":"00","s1":"","s2":"","s3":"00"}}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("phase", [1, 2, 3, 4])
def test_a_head_of_another_form_is_refused(head: bytes, phase: int) -> None:
    rounds = start(Masked(), FORM, zeros()).run(phase)
    key = {1: b"keys", 2: b"survivors", 3: b"signed", 4: b"forms"}[phase]
    with pytest.raises(ProtocolError):
        rounds.ask("s0", Message(head.replace(b"keys", key)))


@pytest.mark.parametrize("survivors", [["s0", "s1", "s2"], [], ["s0", "s1", "s2", "s3", "s9"]])
def test_nobody_is_unmasked_without_every_site_where_none_may_be_lost(survivors: Any) -> None:
    for name in ("s0", "s1"):
        rounds = start(Masked(), FORM, zeros()).run(2)
        with pytest.raises((ProtocolError, DisclosureError)):
            rounds.ask(name, told({"survivors": dict.fromkeys(survivors, "")}))


# --- secrets


@pytest.mark.parametrize("n_sites", [3, 4, 5, 6, 16])
def test_fewer_shares_than_the_threshold_tell_nothing(n_sites: int) -> None:
    t, secret = threshold(n_sites), bytes(range(32))
    parts = list(enumerate(split(secret, t, n_sites)))
    for some in list(combinations(parts, t))[:20]:
        assert combine(some) == secret
    for some in list(combinations(parts, t - 1))[:20]:
        assert combine(some) != secret


@pytest.mark.parametrize("n_sites", range(3, 40))
def test_the_threshold_is_that_of_the_design(n_sites: int) -> None:
    """t >= max(3, c + 2) and 2 t > n + c, with c = 1, and never more than all."""
    t = threshold(n_sites)
    assert t >= 3
    assert 2 * t > n_sites + 1
    assert t <= n_sites
    assert t == 3 or 2 * (t - 1) <= n_sites + 1


def test_no_secret_outlives_its_round() -> None:
    """Shares go when they have been handed in; key and seed once forms have been taken."""
    rounds = lossy().run(3)
    for site in rounds.sites.values():
        assert (site.seed_shares, site.key_shares) == ({}, {})
        assert all(len(part) == 32 for part in (site.secrets.key, site.secrets.seed))
    rounds.run(1)
    for site in rounds.sites.values():
        assert site.secrets == Secrets(b"", b"", b"")
        assert len(site.sent) == 0


def test_every_attempt_has_secrets_of_its_own() -> None:
    sites = [start(Masked(), FORM, zeros()).run(1).sites[name] for name in names(3) for _ in "12"]
    made = [part for s in sites for part in (s.secrets.key, s.secrets.seed, s.secrets.nonce)]
    assert len(set(made)) == 3 * 6


def test_no_key_share_is_ever_handed_out() -> None:
    """With both a site's seed and its key, the centre could read its message."""
    rounds = lossy().run(2)
    kept = {name: set(site.key_shares.values()) for name, site in rounds.sites.items()}
    assert all(len(shares) == 4 for shares in kept.values())
    rounds.run()
    said = b"".join(m.head for phase in rounds.answers for m in phase.values())
    for shares in kept.values():
        assert not any(share.hex().encode() in said for share in shares)


def test_no_secret_is_shared_where_no_site_may_be_lost() -> None:
    """Nobody can be asked for shares that nobody has, nor be asked again for a message."""
    rounds = start(Masked(), FORM, constant()).run(1)
    turn = turn_of(rounds.context)
    for sender, sealed in sealed_by(rounds).items():
        for name, share in sealed.items():
            found = opened(bytes.fromhex(share), sender, turn, party(name, 4))
            assert [len(part) for part in found] == [32, 0, 0]
    assert not any(site.settled for site in rounds.sites.values())
    rounds.run(1)
    assert all(site.settled for site in rounds.sites.values())
    rounds.run(1)
    for answer in rounds.answers[-1].values():
        head = json.loads(answer.head)
        assert (head["seeds"], head["keys"]) == ({}, {})


def test_a_round_that_may_lose_a_site_is_settled_once_shares_were_handed_in() -> None:
    rounds = lossy().run(2)
    assert not any(site.settled for site in rounds.sites.values())
    rounds.run(1)
    assert all(site.settled for site in rounds.sites.values())


def test_a_site_signs_the_total_that_it_accepts() -> None:
    done = start(Masked(), FORM, constant()).run()
    signed = {json.loads(message.head)["accept"] for message in done.answers[-1].values()}
    assert len(signed) == 4
    digest = joint_digest(to_bytes(FORM.blocks[0], part) for part in done.total)
    for name, message in done.answers[-1].items():
        signature = bytes.fromhex(json.loads(message.head)["accept"])
        party(name, 4).verify(name, signature, bound(done.context, b"total", digest))
