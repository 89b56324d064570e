"""What a masked round sends tells nothing but the total, and its secrets end with it.

In one file, long as it is: all of it looks at recordings of the same rounds.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray
from scipy import stats

from equipoise.errors import ProtocolError
from equipoise.protection import Context, Message
from equipoise.protections import keystream, masked
from equipoise.protections.keystream import Keystreams, derive_key
from equipoise.protections.masked import Masked, threshold
from equipoise.protections.shares import combine, split
from protections.rounds import (
    CONTEXT,
    Round,
    Values,
    context,
    identity,
    names,
    party,
    schema,
    start,
)

SIZE = 4096
FORM = schema({"x": (SIZE,)})
RARE = 1e-9
"""A right mask fails a uniformity test once in a thousand million runs."""


def zeros(n_sites: int = 4) -> list[Values]:
    return [[{"x": np.zeros(SIZE, np.int64)}] for _ in range(n_sites)]


def constant(n_sites: int = 4) -> list[Values]:
    return [[{"x": np.full(SIZE, i + 1)}] for i in range(n_sites)]


def sent(rounds: Round) -> dict[str, NDArray[np.uint64]]:
    """Return each site's masked message."""
    return {
        name: np.frombuffer(b"".join(message.blocks), "<u8")
        for name, message in rounds.answers[2].items()
    }


def uniform(values: NDArray[np.uint64]) -> bool:
    """Return whether bytes, and the numbers' differences, look like chance."""
    tests = (values.view(np.uint8), np.diff(values).view(np.uint8))
    counts = [np.bincount(data, minlength=256) for data in tests]
    return all(float(stats.chisquare(count).pvalue) > RARE for count in counts)


def stream(secret: bytes, rounds: Round, size: int = SIZE) -> NDArray[np.uint64]:
    """Return the mask that a secret makes in this round."""
    ring = {"x": np.zeros(size, np.uint64)}
    info = b"equipoise-masked-1|mask|" + rounds.context.digest()
    Keystreams(secret, info).apply(ring, +1)
    return ring["x"]


@pytest.fixture
def half_way() -> Round:
    """A round up to the masked messages, with all secrets still there."""
    return start(Masked(), FORM, constant()).run(3)


def self_mask(rounds: Round, name: str) -> NDArray[np.uint64]:
    return stream(rounds.sites[name].seed, rounds)


def pair_mask(rounds: Round, name: str, peer: str) -> NDArray[np.uint64]:
    own = X25519PrivateKey.from_private_bytes(rounds.sites[name].key)
    other = X25519PrivateKey.from_private_bytes(rounds.sites[peer].key).public_key()
    made = stream(own.exchange(other), rounds)
    return made if name < peer else -made


def test_a_masked_message_looks_like_chance(half_way: Round) -> None:
    assert all(uniform(values) for values in sent(half_way).values())


def test_without_its_self_mask_a_message_still_looks_like_chance(half_way: Round) -> None:
    """What the centre has once a site stayed: it lifts self-masks, not those of pairs."""
    for name, values in sent(half_way).items():
        assert uniform(values - self_mask(half_way, name))


def test_without_all_its_pair_masks_a_message_still_looks_like_chance(half_way: Round) -> None:
    for name, values in sent(half_way).items():
        peers = [peer for peer in half_way.sites if peer != name]
        lifted = values - np.sum([pair_mask(half_way, name, peer) for peer in peers], axis=0)
        assert uniform(lifted)


def test_one_pair_mask_that_is_left_is_enough(half_way: Round) -> None:
    """All other sites but one tell all that they know."""
    for name, values in sent(half_way).items():
        for kept in half_way.sites:
            told = [peer for peer in half_way.sites if peer not in (name, kept)]
            known = [pair_mask(half_way, name, peer) for peer in told]
            if kept != name:
                assert uniform(values - self_mask(half_way, name) - np.sum(known, axis=0))


def test_without_all_masks_a_message_is_the_sites_sum(half_way: Round) -> None:
    """So the masks taken away above are the ones there are."""
    for number, (name, values) in enumerate(sent(half_way).items(), start=1):
        peers = [peer for peer in half_way.sites if peer != name]
        known = [self_mask(half_way, name), *(pair_mask(half_way, name, peer) for peer in peers)]
        assert np.all(values - np.sum(known, axis=0) == number)


def test_no_proper_subset_of_sites_gives_its_sum(half_way: Round) -> None:
    messages = {name: v - self_mask(half_way, name) for name, v in sent(half_way).items()}
    values = dict(zip(messages, range(1, 5), strict=True))
    for size in (1, 2, 3):
        for some in combinations(messages, size):
            together = np.sum([messages[name] for name in some], axis=0)
            assert uniform(together)
            assert not np.any(together == sum(values[name] for name in some))
    assert np.all(np.sum(list(messages.values()), axis=0) == sum(values.values()))


def test_the_same_sums_are_never_sent_alike() -> None:
    """Zeros, twice in the same context: every number of every site differs."""
    first, second = (sent(start(Masked(), FORM, zeros()).run(3)) for _ in range(2))
    for name in names(4):
        assert not np.any(first[name] == second[name])
        assert uniform(first[name] - second[name])


def test_two_sites_with_the_same_sums_send_nothing_alike(half_way: Round) -> None:
    messages = sent(half_way)
    for one, other in combinations(messages, 2):
        assert not np.any(messages[one] == messages[other])


# --- keys


OTHER: Mapping[str, Any] = {
    "study": "other",
    "plan": b"\1" * 32,
    "step": "other",
    "round": 2,
    "attempt": 1,
    "analysis": b"\1" * 32,
    "members": b"\1" * 32,
}


@pytest.mark.parametrize("name", [f.name for f in fields(Context)])
def test_every_part_of_the_context_changes_every_keystream(name: str) -> None:
    first = context(4)
    value = ("s0", "s1", "s2", "s4") if name == "sites" else OTHER[name]
    second = replace(first, **{name: value})
    assert first.to_bytes() != second.to_bytes()
    streams: list[NDArray[np.uint64]] = []
    for used in (first, second):
        machine = masked.MaskedSite(used, party("s0", 4), FORM, [], key=bytes(32), seed=bytes(32))
        ring = {"x": np.zeros(SIZE, np.uint64)}
        Keystreams(machine.seed, machine._bound(b"mask", b"")).apply(ring, +1)
        streams.append(ring["x"])
    assert not np.any(streams[0] == streams[1])


def test_parts_of_a_context_never_run_together() -> None:
    one = replace(CONTEXT, study="ab", step="c", sites=("d", "e"))
    for other in (
        replace(one, study="a", step="bc"),
        replace(one, sites=("de",)),
        replace(one, sites=("d", "e", "")),
        replace(one, round=11, attempt=0),
        replace(one, round=1, attempt=10),
    ):
        assert one.to_bytes() != other.to_bytes()


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """Every key that is derived: its secret, and the use that it is bound to."""
    made: list[tuple[bytes, bytes]] = []

    def record(secret: bytes, info: bytes, length: int = 32) -> bytes:
        made.append((secret, info))
        return derive_key(secret, info, length)

    monkeypatch.setattr(keystream, "derive_key", record)
    monkeypatch.setattr(masked, "derive_key", record)
    return made


def test_no_keystream_is_used_twice(derived: list[tuple[bytes, bytes]]) -> None:
    """Over fields, blocks, rounds, attempts and pairs, and even where context is the same.

    Each pair's stream is made by its two sites, each self-mask by its site and, lifted, by
    the centre: twice each, and never more.
    """
    form = schema({"x": (3,), "y": (2,)}, {"x": (3,), "y": (2,)})
    part: Values = [{"x": np.arange(3), "y": np.arange(2)}] * 2
    for changes in ({}, {}, {"attempt": 1}, {"round": 2}, {"step": "other"}):
        start(Masked(), form, [part] * 4, **changes).run()
    used = [use for use in derived if b"|mask|" in use[1]]
    assert len(used) == 5 * 2 * (4 + 4 + 4 * 3)
    assert {used.count(use) for use in used} == {2}
    # The same secret is behind the streams of the two fields, the same use behind rounds alike.
    assert len({secret for secret, _ in used}) == 5 * (4 + 6)
    assert len({info for _, info in used}) == 4 * 2


def test_a_keystream_runs_on_over_blocks() -> None:
    whole, parts = {"x": np.zeros(10, np.uint64)}, np.zeros(10, np.uint64)
    Keystreams(b"s", b"i").apply(whole, +1)
    running = Keystreams(b"s", b"i")
    for start_, stop in ((0, 3), (3, 4), (4, 10)):
        running.apply({"x": parts[start_:stop]}, +1)
    assert np.array_equal(whole["x"], parts)
    Keystreams(b"s", b"i").apply(whole, -1)
    assert not np.any(whole["x"])


@pytest.mark.parametrize("layout", ["F", "strided"])
def test_an_array_that_would_stay_unmasked_is_refused(layout: str) -> None:
    values = np.zeros((4, 6), np.uint64)
    crooked = np.asfortranarray(values) if layout == "F" else values[:, ::2]
    with pytest.raises(ValueError, match="contiguous"):
        Keystreams(b"s", b"i").apply({"x": crooked}, +1)


# --- shares and lists of keys


def test_a_share_is_for_one_site_of_one_round_alone() -> None:
    """Given to another, sent back, taken from another round or altered, it cannot be opened."""
    rounds = start(Masked(), FORM, zeros()).run(2)
    sealed = {n: json.loads(a.head)["shares"] for n, a in rounds.answers[1].items()}
    other = start(Masked(), FORM, zeros(), attempt=1).run(2)
    elsewhere = {n: json.loads(a.head)["shares"] for n, a in other.answers[1].items()}
    right = {n: bytes.fromhex(sealed[n]["s0"]) for n in sealed}
    site = rounds.sites["s0"]
    for n, share in right.items():
        assert len(site._open(n, share)) == 64
    wrong = {
        "to another": ("s1", sealed["s1"]["s2"]),
        "sent back": ("s1", sealed["s0"]["s1"]),
        "as if by another": ("s2", sealed["s1"]["s0"]),
        "of another attempt": ("s1", elsewhere["s1"]["s0"]),
        "altered": ("s1", sealed["s1"]["s0"][:-2] + "00"),
        "cut": ("s1", sealed["s1"]["s0"][:20]),
        "nothing": ("s1", ""),
    }
    for sender, share in wrong.values():
        with pytest.raises(ProtocolError, match=f"that {sender} sent cannot be opened"):
            site._open(sender, bytes.fromhex(share))


def test_a_swapped_share_is_refused_before_anything_is_sent() -> None:
    rounds = start(Masked(), FORM, zeros()).run(2)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    messages = {name: json.loads(m.head)["shares"] for name, m in outcome.state.items()}
    messages["s0"]["s1"], messages["s0"]["s2"] = messages["s0"]["s2"], messages["s0"]["s1"]
    with pytest.raises(ProtocolError, match="cannot be opened"):
        rounds.ask("s0", Message(json.dumps({"shares": messages["s0"]}).encode()))


def forged_keys(rounds: Round, change: Any) -> Message:
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    keys = json.loads(outcome.state["s0"].head)["keys"]
    change(keys)
    return Message(json.dumps({"keys": keys}).encode())


def own_key(signer: str) -> str:
    """Return a key that the centre made, signed as `signer` would."""
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    bound = b"equipoise-masked-1|key|" + context(4).digest() + public
    return (public + identity(signer).sign(bound)).hex()


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
    with pytest.raises(ProtocolError):
        rounds.ask("s0", forged_keys(rounds, FORGED[name]))


def test_a_key_of_an_earlier_attempt_is_refused() -> None:
    earlier = start(Masked(), FORM, zeros()).run(1)
    old = json.loads(earlier.answers[0]["s1"].head)["key"]
    rounds = start(Masked(), FORM, zeros(), attempt=1).run(1)
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", forged_keys(rounds, lambda keys: keys.update(s1=old)))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"keys":[]}',
        b'{"keys":{"s0":[]}}',
        b'{"keys":7}',
        b"\xff",
        b'{"keys":{"s0":"zz","s1":"","s2":"","s3":""}}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("phase", [1, 2, 3])
def test_a_head_of_another_form_is_refused(head: bytes, phase: int) -> None:
    rounds = start(Masked(), FORM, zeros()).run(phase)
    key = {1: b"keys", 2: b"shares", 3: b"survivors"}[phase]
    with pytest.raises(ProtocolError):
        rounds.ask("s0", Message(head.replace(b"keys", key)))


def test_nobody_is_unmasked_without_every_site() -> None:
    rounds = start(Masked(), FORM, zeros()).run(3)
    for survivors in (["s0", "s1", "s2"], [], ["s0", "s1", "s2", "s3", "s9"]):
        head = json.dumps({"survivors": dict.fromkeys(survivors, "")}).encode()
        for name in ("s0", "s1"):
            with pytest.raises(ProtocolError, match="not those of the listed sites"):
                replace(rounds.sites[name], phase=3).step(Message(head))


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


def test_no_secret_is_left_after_unmasking() -> None:
    rounds = start(Masked(), FORM, zeros()).run(3)
    secrets = {rounds.sites["s0"].seed, rounds.sites["s0"].key}
    assert all(len(secret) == 32 for secret in secrets)
    rounds.run(1)
    for site in rounds.sites.values():
        left = {f.name: getattr(site, f.name) for f in fields(site)}
        assert (left["key"], left["seed"]) == (b"", b"")
        assert (left["seed_shares"], left["key_shares"]) == ({}, {})
        assert not any(secret in repr(left).encode() for secret in secrets)


def test_every_attempt_has_secrets_of_its_own() -> None:
    made = [start(Masked(), FORM, zeros()).run(1).sites[name] for name in names(3) for _ in "12"]
    assert len({site.seed for site in made}) == len({site.key for site in made}) == len(made)
    assert not {site.seed for site in made} & {site.key for site in made}


def test_no_key_share_is_ever_handed_out(half_way: Round) -> None:
    """With both a site's seed and its key, the centre could read its message."""
    kept = {name: set(site.key_shares.values()) for name, site in half_way.sites.items()}
    half_way.run()
    said = b"".join(m.head for phase in half_way.answers for m in phase.values())
    for shares in kept.values():
        assert not any(share.hex().encode() in said for share in shares)


def test_a_site_signs_the_total_that_it_accepts() -> None:
    done = start(Masked(), FORM, constant()).run()
    signed = {json.loads(message.head)["accept"] for message in done.answers[-1].values()}
    assert len(signed) == 4
    bound = b"equipoise-masked-1|total|" + done.context.digest()
    digest = masked._total_digest(FORM, done.total)
    for name, message in done.answers[-1].items():
        signature = bytes.fromhex(json.loads(message.head)["accept"])
        party(name, 4).verify(name, signature, bound + digest)
