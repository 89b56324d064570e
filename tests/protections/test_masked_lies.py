"""A centre that lies about who survived or about the total, with a site on its side or without."""

import json
import struct
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.protection import Message
from equipoise.protections import graph, masked_site, secrets
from equipoise.protections.forms import INNER, PIECE, Forms, number_of_forms
from equipoise.protections.keystream import Keystreams, derive_key
from equipoise.protections.masked import Masked
from equipoise.protections.masked_site import bound, pair_sign
from equipoise.protections.secrets import Secrets
from equipoise.protections.shares import combine
from equipoise.protections.spool import Spool
from equipoise.step import Done, Next
from equipoise.sums import Field, Schema
from protections.rounds import WIDEST, Round, Values, added, names, same, schema, start

FORM = schema({"x": (64,)})
SITES = names(4)
LIAR = "s3"
"""The site that tells the centre all it knows."""


def parts() -> list[Values]:
    draw = np.random.default_rng(1)
    return [[{"x": draw.integers(-999, 999, 64)}] for _ in SITES]


def round_of(values: list[Values], form: Schema = FORM) -> Round:
    return start(Masked(), form, values, may_lose=True)


# --- who survived


def lists_for(site: str) -> list[tuple[str, ...]]:
    """Return every list of survivors that a site might be told: those with it in them."""
    return [s for n in range(1, 5) for s in combinations(SITES, n) if site in s]


def handed(told: dict[str, tuple[str, ...]]) -> tuple[Round, dict[str, Any], dict[str, Any]]:
    """Give each honest site a list of its own; return all shares of seeds and of keys there are."""
    rounds = round_of(parts()).run(2)
    liar = rounds.sites[LIAR]
    around = graph.holders(SITES, b"")
    place = around[LIAR].index(LIAR)
    seeds = {site: {place: share} for site, share in liar.seed_shares.items()}
    keys = {site: {place: share} for site, share in liar.key_shares.items()}
    for site, survivors in told.items():
        head = json.dumps({"survivors": dict.fromkeys(survivors, "")}).encode()
        try:
            said = json.loads(rounds.ask(site, Message(head)).head)
        except EquipoiseError:
            continue
        for kind, found in (("seeds", seeds), ("keys", keys)):
            for of, share in said[kind].items():
                found[of][around[site].index(site)] = bytes.fromhex(share)
    return rounds, seeds, keys


def read(rounds: Round, seeds: dict[str, Any], keys: dict[str, Any], t: int) -> set[str]:
    """Return whose sums the centre can read off their real messages, with what it has."""

    def had(shares: dict[str, Any]) -> dict[str, bytes]:
        return {s: combine(sorted(of.items())[:t]) for s, of in shares.items() if len(of) >= t}

    seed_of, key_of = had(seeds), had(keys)
    key_of[LIAR] = rounds.sites[LIAR].secrets.key
    info, found = bound(rounds.context, b"mask"), set[str]()
    for number, site in enumerate(SITES):
        if site == LIAR or site not in seed_of:
            continue
        ring = {"x": np.frombuffer(b"".join(rounds.answers[1][site].blocks), "<u8").copy()}
        Keystreams(seed_of[site], info).apply(ring, -1)
        for other in SITES:
            owner = site if site in key_of else other
            if other == site or owner not in key_of:
                continue
            peer = other if owner == site else site
            secret = Secrets(key_of[owner]).agreed(rounds.sites[peer].secrets.public)
            Keystreams(secret, info).apply(ring, -pair_sign(site, other))
        if np.array_equal(ring["x"].view(np.int64), rounds.values[SITES[number]][0]["x"]):
            found.add(site)
    return found


def every_lie() -> list[dict[str, tuple[str, ...]]]:
    honest = [site for site in SITES if site != LIAR]
    return [
        dict(zip(honest, lists, strict=True))
        for lists in product(*(lists_for(site) for site in honest))
    ]


def test_no_lists_of_survivors_make_a_sites_sum_readable() -> None:
    """Every list to every honest site, 512 in all, with all that one colluding site knows."""
    for told in every_lie():
        rounds, seeds, keys = handed(told)
        assert read(rounds, seeds, keys, 3) == set(), told
        for site in rounds.sites:
            assert min(len(seeds[site]), len(keys[site])) < 3 or site == LIAR


def test_with_a_lower_threshold_they_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above can fail: two shares would be enough for a centre that lies."""
    monkeypatch.setattr(graph, "threshold", lambda n: 2)
    monkeypatch.setattr(secrets, "threshold", lambda n: 2)
    monkeypatch.setattr(masked_site, "joined", lambda sites, turn, left: len(set(left)) >= 2)
    told = {"s0": ("s0", "s3"), "s1": ("s0", "s1", "s3"), "s2": ("s0", "s2", "s3")}
    assert "s0" in read(*handed(told), 2)


def test_a_site_hands_in_shares_once() -> None:
    rounds = round_of(parts()).run(3)
    for said in ("signed", "has ended"):
        with pytest.raises(ProtocolError, match=said):
            rounds.ask("s0", rounds.requests[2]["s0"])


def test_sites_that_were_told_different_lists_go_no_further() -> None:
    """Each signs the list that it was told; no other site's signature is over another one."""
    rounds = round_of(parts()).run(2)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    assert isinstance(outcome, Next)
    lists = {site: SITES if site != "s1" else ("s0", "s1", "s2") for site in SITES}
    heads = {
        site: json.dumps({"survivors": dict.fromkeys(told, "")}).encode()
        for site, told in lists.items()
    }
    answers = {site: rounds.ask(site, Message(head)) for site, head in heads.items()}
    outcome = rounds.centre.step(answers)
    for site in SITES:
        with pytest.raises(ProtocolError, match=r"signature|not those of the listed sites"):
            rounds.ask(site, outcome.state[site])


# --- the total


def forged(rounds: Round, change: NDArray[np.int64]) -> dict[str, str]:
    """Publish the total with a change, and return what each site says of it."""
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    assert not isinstance(outcome, Done)
    centre: Any = rounds.centre
    right = np.frombuffer(b"".join(centre.sums), "<i8")
    centre.sums = Spool()
    centre.sums.add((right + change).astype("<i8").tobytes())
    requests = {site: Message(message.head, centre.sums) for site, message in outcome.state.items()}
    said: dict[str, str] = {}
    answers: dict[str, Message] = {}
    for site in rounds.sites:
        try:
            answers[site] = rounds.ask(site, requests[site])
        except ProtocolError as error:
            said[site] = str(error)
    if len(answers) < len(rounds.sites):
        return said
    outcome = rounds.centre.step(answers)
    for site, message in outcome.state.items():
        try:
            rounds.ask(site, message)
            said[site] = "accepted"
        except ProtocolError as error:
            said[site] = str(error)
    return said


def changes(size: int, j: int) -> list[NDArray[np.int64]]:
    one, two = np.zeros(size, np.int64), np.zeros(size, np.int64)
    one[size // 3] = two[0] = two[-1] = 2**j
    return [one, two, np.full(size, 2**j)]


@pytest.mark.parametrize("j", range(41))
def test_a_total_that_is_wrong_by_a_power_of_two_is_refused_by_every_site(j: int) -> None:
    """In one value, in two or in all of them, of either sign; the right one is accepted."""
    for change in changes(64, j):
        for sign in (1, -1):
            said = forged(round_of(parts()).run(3), sign * change)
            assert len(said) == 4
            assert all("forged" in word or "limit" in word for word in said.values())
    assert set(forged(round_of(parts()).run(3), np.zeros(64, np.int64)).values()) == {"accepted"}


def test_a_million_values_and_one_of_them_wrong() -> None:
    size, form = 1_000_000, schema({"x": (1_000_000,)})
    values: list[Values] = [[{"x": np.arange(size) * (i + 1)}] for i in range(3)]
    for j in (0, 39):
        for change in changes(size, j):
            said = forged(round_of(values, form).run(3), change)
            assert all("forged" in word for word in said.values()), j


def test_a_total_for_each_site_by_itself_is_refused() -> None:
    """Sites that got different totals were asked for different forms."""
    rounds = round_of(parts()).run(3)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    answers: dict[str, Message] = {}
    for i, (site, message) in enumerate(outcome.state.items()):
        data = np.frombuffer(b"".join(message.blocks), "<i8") + (i == 0)
        answers[site] = rounds.ask(site, Message(message.head, [data.astype("<i8").tobytes()]))
    outcome = rounds.centre.step(answers)
    for site, message in outcome.state.items():
        with pytest.raises(ProtocolError, match="signature"):
            rounds.ask(site, message)


def test_a_message_that_was_exchanged_is_not_vouched_for() -> None:
    """The centre adds another message than the one that a site sent."""
    rounds = round_of(parts()).run(2)
    other = np.frombuffer(b"".join(rounds.answers[-1]["s1"].blocks), "<u8") + np.uint64(1)
    head = rounds.answers[-1]["s1"].head
    rounds.answers[-1]["s1"] = Message(head, [other.astype("<u8").tobytes()])
    with pytest.raises(ProtocolError, match="forged"):
        rounds.run()


def test_forms_of_another_site_or_round_are_refused() -> None:
    rounds = round_of(parts()).run(4)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    forms = json.loads(outcome.state["s0"].head)["forms"]
    forms["s1"], forms["s2"] = forms["s2"], forms["s1"]
    with pytest.raises(ProtocolError, match="signature"):
        rounds.ask("s0", Message(json.dumps({"forms": forms}).encode()))


def test_forms_do_not_tell_what_a_site_sent() -> None:
    """The same sums, twice: forms are of what masks still hide."""
    first, second = (round_of(parts()).run(4).answers[3] for _ in range(2))
    for site in SITES:
        assert (
            json.loads(first[site].head)["forms"][:48]
            != json.loads(second[site].head)["forms"][:48]
        )


# --- forms


def slow_forms(secret: bytes, info: bytes, values: list[int], count: int) -> list[int]:
    """Return the forms by whole numbers of Python, each r drawn by a cipher of its own."""
    both = derive_key(secret, info, 48)
    pieces = -(-len(values) // PIECE)
    drawn = PIECE + INNER - 1 + pieces * count * INNER
    stream = Cipher(algorithms.AES(both[:32]), modes.CTR(both[32:])).encryptor()
    r = list(struct.unpack(f"<{drawn}Q", stream.update(bytes(8 * drawn))))
    more = iter(r[PIECE + INNER - 1 :])
    sums = [0] * count
    for place in range(0, len(values), PIECE):
        part = values[place : place + PIECE]
        inner = [sum(r[k + f] * v for k, v in enumerate(part)) for f in range(INNER)]
        for f in range(count):
            sums[f] += sum(next(more) * form for form in inner)
    return [s % 2**64 for s in sums]


@pytest.mark.parametrize("size", [0, 1, 12, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_forms_are_those_of_whole_numbers(size: int, count: int) -> None:
    values = np.random.default_rng(1).integers(0, 2**64, size, np.uint64)
    forms = Forms(b"secret", b"info", count)
    forms.add(values)
    assert forms.sums[0].tolist() == slow_forms(b"secret", b"info", values.tolist(), count)


@given(cuts=st.lists(st.integers(0, 3 * PIECE + 7), max_size=6))
@example(cuts=[PIECE])
@example(cuts=[PIECE - 1, PIECE + 1, 2 * PIECE, 2 * PIECE])
def test_forms_do_not_depend_on_how_values_are_cut(cuts: list[int]) -> None:
    values = np.random.default_rng(1).integers(0, 2**64, 3 * PIECE + 7, np.uint64)
    whole, parted = Forms(b"s", b"i", 3), Forms(b"s", b"i", 3)
    whole.add(values)
    for part in np.split(values, sorted(cuts)):
        parted.add(part)
        assert parted.sums.any() or not len(part)  # to ask for them changes nothing
    assert np.array_equal(whole.sums, parted.sums)


def test_forms_of_two_sequences_are_those_of_each() -> None:
    one, other = np.random.default_rng(2).integers(0, 2**64, (2, 2 * PIECE + 9), np.uint64)
    both = Forms(b"s", b"i", 3, 2)
    both.add(one, other)
    for sums, values in zip(both.sums, (one, other), strict=True):
        alone = Forms(b"s", b"i", 3)
        alone.add(values)
        assert np.array_equal(sums, alone.sums[0])


def test_forms_add_up() -> None:
    draw = np.random.default_rng(2)
    one, other = draw.integers(0, 2**64, (2, 1000), np.uint64)
    sums = []
    for values in (one, other, one + other):
        forms = Forms(b"s", b"i", 3)
        forms.add(values)
        sums.append(forms.sums)
    assert np.array_equal(sums[0] + sums[1], sums[2])


@pytest.mark.parametrize("places", [[5], [5, 6], [5, PIECE + 5], range(10)])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("v", [62, 63])
def test_a_wrong_total_passes_as_often_as_it_may(places: list[int], count: int, v: int) -> None:
    """An error of 2**v passes as often as random maps let it; in two pieces, alike, as in one."""
    error = np.zeros(PIECE + 10, np.uint64)
    error[list(places)] = 2**v
    passed = 0
    for trial in range(1000):
        forms = Forms(trial.to_bytes(4, "big"), b"i", count)
        forms.add(error)
        passed += not forms.sums.any()
    # The first forms are all divisible by 2**j with this probability; then the second are 0 with
    # one that depends on the greatest such j.
    divisible = {j: 0.5 ** (INNER * (j - v)) for j in range(v, 65)} | {65: 0.0}
    law = sum((divisible[j] - divisible[j + 1]) * 0.5 ** (count * (64 - j)) for j in range(v, 64))
    law += divisible[64]
    assert stats.binomtest(passed, 1000, law).pvalue > 1e-6


@pytest.mark.parametrize("bits", range(41))
def test_there_are_as_many_forms_as_it_takes(bits: int) -> None:
    """The largest error within the limits is 2**(bits + 1); none fewer would do."""
    form = Schema(({"x": Field((2,), 1.0, 2.0**bits)},))
    left = 63 - bits

    def passes(count: int) -> float:
        return sum(2.0 ** (-INNER * i - count * (left - i)) for i in range(left + 1))

    assert passes(number_of_forms(form)) < 2.0**-64 <= passes(number_of_forms(form) - 1)


def test_the_widest_limits_need_three_forms() -> None:
    assert number_of_forms(schema({"x": (1,)})) == 3
    assert WIDEST == 2**40


def test_the_total_is_right_where_nobody_lies() -> None:
    done = round_of(parts()).run()
    assert same(done.total, added(parts()))
