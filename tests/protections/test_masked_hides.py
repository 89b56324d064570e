"""What a masked round sends tells nothing but the total, and no keystream is used twice."""

from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from equipoise.protection import Context
from equipoise.protections import forms, keystream, secrets
from equipoise.protections.keystream import Keystreams, derive_key
from equipoise.protections.masked import Masked
from equipoise.protections.masked_site import bound
from equipoise.protections.secrets import Secrets
from protections.recordings import FORM, SIZE, constant, zeros
from protections.rounds import (
    CONTEXT,
    Round,
    Values,
    context,
    names,
    party,
    schema,
    start,
)

RARE = 1e-9
"""A right mask fails a uniformity test once in a thousand million runs."""


def sent(rounds: Round) -> dict[str, NDArray[np.uint64]]:
    """Return each site's masked message."""
    return {
        name: np.frombuffer(b"".join(message.blocks), "<u8")
        for name, message in rounds.answers[1].items()
    }


def uniform(values: NDArray[np.uint64]) -> bool:
    """Return whether bytes, and the numbers' differences, look like chance."""
    tests = (values.view(np.uint8), np.diff(values).view(np.uint8))
    counts = [np.bincount(data, minlength=256) for data in tests]
    return all(float(stats.chisquare(count).pvalue) > RARE for count in counts)


def stream(secret: bytes, rounds: Round, size: int = SIZE) -> NDArray[np.uint64]:
    """Return the mask that a secret makes in this round."""
    ring = {"x": np.zeros(size, np.uint64)}
    Keystreams(secret, bound(rounds.context, b"mask")).apply(ring, +1)
    return ring["x"]


def self_mask(rounds: Round, name: str) -> NDArray[np.uint64]:
    """Return a site's own mask; there is none where no site may be lost."""
    if not rounds.context.may_lose:
        return np.zeros(SIZE, np.uint64)
    return stream(rounds.sites[name].secrets.seed, rounds)


def pair_mask(rounds: Round, name: str, peer: str) -> NDArray[np.uint64]:
    secret = rounds.sites[name].secrets.agreed(rounds.sites[peer].secrets.public)
    made = stream(secret, rounds)
    return made if name < peer else -made


def test_a_masked_message_looks_like_chance(half_way: Round) -> None:
    assert all(uniform(values) for values in sent(half_way).values())


def test_without_its_self_mask_a_message_still_looks_like_chance(half_way: Round) -> None:
    """What the centre has once a site stayed: it lifts self-masks, not those of pairs."""
    for name, values in sent(half_way).items():
        assert uniform(values - self_mask(half_way, name))


def test_without_all_its_pair_masks_a_message_still_looks_like_chance() -> None:
    """What the centre has of a site that it says was lost, once its key has been handed in."""
    rounds = start(Masked(), FORM, constant(), may_lose=True).run(2)
    for name, values in sent(rounds).items():
        peers = [peer for peer in rounds.sites if peer != name]
        lifted = values - np.sum([pair_mask(rounds, name, peer) for peer in peers], axis=0)
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
    """Zeros, twice in the same context, by sites whose runs differ: so does every number."""
    began = start(Masked(), FORM, zeros())
    first, second = (sent(began.again(run).run(2)) for run in (b"1", b"2"))
    for name in names(4):
        assert not np.any(first[name] == second[name])
        assert uniform(first[name] - second[name])


def test_a_site_that_was_restarted_sends_the_very_same() -> None:
    """Other masks over the same sums would tell nothing; other sums under the same masks would."""
    began = start(Masked(), FORM, zeros())
    first, second = (sent(began.again(b"1").run(2)) for _ in range(2))
    for name in names(4):
        assert np.array_equal(first[name], second[name])


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
    "turn": 1,
    "may_lose": True,
}


@pytest.mark.parametrize("name", [f.name for f in fields(Context)])
def test_every_part_of_the_context_changes_every_keystream(name: str) -> None:
    first = context(4)
    value = ("s0", "s1", "s2", "s4") if name == "sites" else OTHER[name]
    second = replace(first, **{name: value})
    assert first.to_bytes() != second.to_bytes()
    streams: list[NDArray[np.uint64]] = []
    for used in (first, second):
        machine = Masked().site(used, party("s0", 4), FORM, [])
        machine.secrets = Secrets(bytes(32), bytes(32), bytes(32))
        ring = {"x": np.zeros(SIZE, np.uint64)}
        machine._own_mask().apply(ring, +1)
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

    for module in (keystream, secrets, forms):
        monkeypatch.setattr(module, "derive_key", record)
    return made


def test_no_keystream_is_used_twice(derived: list[tuple[bytes, bytes]]) -> None:
    """Over fields, blocks, rounds, attempts and pairs, and in another run even in one context.

    Each pair's stream is made by its two sites; each self-mask, which there is where a site may
    be lost, by its site and by the centre. No other stream is ever made, and no stream for two
    messages.
    """
    form = schema({"x": (3,), "y": (2,)}, {"x": (3,), "y": (2,)})
    part: Values = [{"x": np.arange(3), "y": np.arange(2)}] * 2
    later = {"round": 2, "turn": 1}, {"step": "other", "turn": 2}
    lossy: list[dict[str, Any]] = [{}, {"attempt": 1}, *later]
    for changes in [*({**c, "may_lose": True} for c in lossy), {}, later[0]]:
        start(Masked(), form, [part] * 4, **changes).run()
    start(Masked(), form, [part] * 4, may_lose=True).again(b"another run").run()
    used = [use for use in derived if b"|mask|" in use[1]]
    streams = 5 * (6 + 4) + 2 * 6
    assert sorted(used.count(use) for use in set(used)) == [2] * 2 * streams
    # The same secret is behind the streams of the two fields, the same use behind rounds alike.
    assert len({secret for secret, _ in used}) == streams
    assert len({info for _, info in used}) == 6 * 2


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
