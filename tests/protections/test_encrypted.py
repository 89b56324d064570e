"""Encrypted sums: exact to the unit, and nothing but the total of all sites is ever decrypted."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import DisclosureError, InputError, ProtocolError, TransportError
from equipoise.federation.identity import Peers
from equipoise.protection import Message, Party
from equipoise.protections import encrypted_keeper, encrypted_site
from equipoise.protections import encrypted_scheme as scheme
from equipoise.protections.encrypted import Encrypted
from equipoise.protections.encrypted_keeper import KEEPER, KeyKeeper, bound
from equipoise.protections.secrets import hexed, pack, unpack
from equipoise.protections.spool import Spool
from equipoise.step import Done, Next
from equipoise.sums import Schema
from protections.rounds import WIDEST, Round, Values, added, context, identity, names, same, schema

SHAPES = schema({"x": (3,), "y": (2, 2)}, {"z": (5,)})
RAW = 16 * scheme.DEGREE


@pytest.fixture(autouse=True)
def installed() -> None:
    pytest.importorskip("tenseal", reason="the extra 'encrypted' is not installed")
    pytest.importorskip("zstandard", reason="the extra 'encrypted' is not installed")


def party(name: str, n_sites: int) -> Party:
    keys = {one: identity(one).signing_key for one in (*names(n_sites), KEEPER)}

    def channel(site: str) -> bytes:
        return identity(name).shared_with(identity(site).channel_key)

    return Party(name, identity(name).sign, Peers(keys).verify, channel)


class Seat:
    """The keeper's machine, which ends with an answer, among machines that end with a total."""

    def __init__(self, machine: KeyKeeper) -> None:
        self.machine = machine

    def step(self, request: Message) -> Next[Message]:
        outcome = self.machine.step(request)
        return Next(outcome.result if isinstance(outcome, Done) else outcome.state)


class Kept(Round):
    """A round with a keeper, who keeps its own list of the run's rounds."""

    def __post_init__(self) -> None:
        n = len(self.context.sites)
        kind: Any = self.protection
        self.aheads.setdefault(KEEPER, {})
        self.centre = kind.centre(self.context, self.schema)
        self.sites[KEEPER] = Seat(
            kind.keeper(self.context, party(KEEPER, n), self.schema, self.aheads[KEEPER])
        )
        for name in self.context.sites:
            own = party(name, n), self.schema, iter(self.values[name])
            self.sites[name] = kind.site(self.context, *own)


def start(form: Schema, parts: Sequence[Values], **changes: Any) -> Kept:
    values = dict(zip(names(len(parts)), parts, strict=True))
    return Kept(Encrypted(), form, values, context(len(parts), **changes))


def drawn(form: Schema, n_sites: int, seed: int = 1) -> list[Values]:
    draw = np.random.default_rng(seed)
    most = WIDEST // n_sites
    return [
        [
            {name: draw.integers(-most, most, field.shape) for name, field in block.items()}
            for block in form.blocks
        ]
        for _ in range(n_sites)
    ]


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


# The scheme.


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=3), min_size=3))
def test_digits_of_words_add_up_to_the_words(words: list[list[int]]) -> None:
    sums = np.sum([scheme.digits(np.array(w, np.uint64)) for w in words], axis=0, dtype=np.uint64)
    expected = [sum(column) % 2**64 for column in zip(*words, strict=True)]
    assert scheme.words_of(sums, 3, len(words)).tolist() == expected


def test_the_worst_error_of_most_sites_decrypts_rightly_by_the_bound() -> None:
    """The bound of the docstring, from the library's own primes: |error| < q / (2 t)."""
    seal = scheme.library("tenseal.sealapi")
    q, special = (p.value() for p in seal.CoeffModulus.Create(scheme.DEGREE, list(scheme.PRIMES)))
    assert q == scheme.Q
    assert sum(scheme.PRIMES) <= seal.CoeffModulus.MaxBitCount(
        scheme.DEGREE, seal.SEC_LEVEL_TYPE.TC128
    )
    fresh = 21 * (2 * scheme.DEGREE + 1) / special + (1 + scheme.DEGREE) / 2 + 0.5
    for n_sites in range(3, scheme.MOST_SITES + 1):
        t = seal.PlainModulus.Batching(scheme.DEGREE, scheme.modulus_bits(n_sites)).value()
        assert n_sites * (2**32 - 1) < t
        assert t / 2 > 2**32  # what is encoded counts as signed
        assert fresh * n_sites < q / (2 * t)


def test_sums_of_most_sites_at_their_greatest_are_exact() -> None:
    n = scheme.MOST_SITES
    secret = scheme.SecretKey(n)
    words = np.full(2048, 2**64 - 1, np.uint64)
    part = scheme.coefficients(scheme.PublicKey(secret.public(), n).encrypt(words), 2048)
    total = np.zeros_like(part)
    for _ in range(n):  # one ciphertext over and over: its error adds up in the worst way
        scheme.add(total, part)
    assert np.array_equal(secret.decrypt(total.tobytes(), 2048), words * np.uint64(n))


def test_too_much_noise_decrypts_wrongly_without_an_error_and_is_refused_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Doubled 24 times, the error is beyond q / (2 t): TenSEAL says nothing, the keeper does."""
    secret = scheme.SecretKey(4)
    words = np.zeros(2048, np.uint64)
    total = scheme.coefficients(scheme.PublicKey(secret.public(), 4).encrypt(words), 2048).copy()
    for _ in range(24):
        scheme.add(total, total.copy())
    with pytest.raises(ProtocolError, match="too much noise"):
        secret.decrypt(total.tobytes(), 2048)
    found: list[Any] = []
    monkeypatch.setattr(scheme, "words_of", lambda sums, *_: found.append(sums))
    unchecked: Any = secret
    unchecked._decryptor = type("Blind", (), {"invariant_noise_budget": lambda *_: 1})()
    unchecked.decrypt(total.tobytes(), 2048)
    assert found[0].any()  # not the zeros that were encrypted


def test_a_modulus_too_large_decrypts_wrongly_without_an_error_in_tenseal() -> None:
    """What the choice of parameters avoids: 50 bits of plain modulus over a prime of 54."""
    tenseal, seal = scheme.library(), scheme.library("tenseal.sealapi")
    t = seal.PlainModulus.Batching(scheme.DEGREE, 50).value()
    kind = tenseal.SCHEME_TYPE.BFV
    own = tenseal.context(kind, scheme.DEGREE, plain_modulus=t, coeff_mod_bit_sizes=[54, 54])
    vector = tenseal.bfv_vector(own, [1] * scheme.DEGREE)
    assert vector.decrypt() != [1] * scheme.DEGREE


@pytest.mark.parametrize(
    "change",
    [
        lambda sums, n: sums.__setitem__(0, n * (2**32 - 1) + 1),
        lambda sums, n: sums.__setitem__(-1, 1),
    ],
    ids=["a digit too large", "an empty slot filled"],
)
def test_what_no_digits_add_up_to_is_refused(change: Any) -> None:
    sums = scheme.digits(np.arange(5, dtype=np.uint64)).reshape(-1)
    scheme.words_of(sums, 5, 3)
    change(sums, 3)
    with pytest.raises(ProtocolError, match="no sum of digits"):
        scheme.words_of(sums, 5, 3)


@given(st.lists(st.integers(0, scheme.Q - 1), min_size=2, max_size=2), st.booleans())
def test_coefficients_add_up_modulo_q(pair: list[int], last: bool) -> None:
    total, part = (np.array([scheme.Q - 1 if last else v], np.uint64) for v in pair)
    expected = (int(total[0]) + int(part[0])) % scheme.Q
    scheme.add(total, part)
    assert int(total[0]) == expected


def test_random_coefficients_are_refused_or_decrypt_to_nothing_but_never_crash() -> None:
    secret, draw = scheme.SecretKey(4), np.random.default_rng(3)
    for _ in range(20):
        with pytest.raises(ProtocolError):
            secret.decrypt(draw.integers(0, scheme.Q, RAW // 8, dtype=np.uint64).tobytes(), 2048)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(8), bytes(RAW - 8), bytes(RAW + 8), scheme.Q.to_bytes(8, "little") * (RAW // 8)],
)
def test_a_block_that_is_no_ciphertext_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        scheme.coefficients(data, 7)


def test_a_key_of_other_parameters_is_refused() -> None:
    tenseal, seal = scheme.library(), scheme.library("tenseal.sealapi")
    good = scheme.SecretKey(4)
    scheme.PublicKey(good.public(), 4)
    with pytest.raises(ProtocolError, match="other parameters"):
        scheme.PublicKey(good.public(), 5)  # too small a modulus for five
    t = seal.PlainModulus.Batching(scheme.DEGREE, 35).value()
    for bits in ([60, 48], [54, 54]):
        other = tenseal.context(
            tenseal.SCHEME_TYPE.BFV, scheme.DEGREE, plain_modulus=t, coeff_mod_bit_sizes=bits
        )
        public = other.serialize(save_public_key=True, save_secret_key=False)
        with pytest.raises(ProtocolError, match="other parameters"):
            scheme.PublicKey(public, 4)
    private: Any = good
    with_secret = private._context.serialize(save_public_key=True, save_secret_key=True)
    with pytest.raises(ProtocolError):
        scheme.PublicKey(with_secret, 4)
    with pytest.raises(ProtocolError, match="too large"):
        scheme.PublicKey(bytes(2**21), 4)


# What the keeper refuses.


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


# What sites refuse.


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


@given(st.binary(max_size=200))
def test_random_bytes_are_no_request(data: bytes) -> None:
    rounds = start(SHAPES, drawn(SHAPES, 3))
    for name in ("s0", "s1"):
        with pytest.raises(ProtocolError):
            rounds.ask(name, Message(data, [data]))


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
