"""A key keeper in a run: it decrypts the totals that are due, once, and nothing else."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.federation import agreement
from equipoise.federation.wire import Envelope
from equipoise.ledger.reading import read
from equipoise.plan import KEEPER, Plan
from equipoise.protections.encrypted_scheme import DEGREE, SecretKey
from equipoise.tools.reviewing import review
from federation.building import build
from federation.keeping import NAME, Kept, build_kept, unverified
from protections.encrypted_rounds import INSTALLED

pytestmark = INSTALLED


def asks_total(envelope: Envelope) -> bool:
    return envelope.kind == "round" and envelope.body["phase"] == 1


def only_of(envelope: Envelope, sites: int) -> Envelope:
    """Return a message for a total with the contributions of the first few sites alone."""
    head = json.loads(envelope.head)
    few = dict(sorted(head["contributions"].items())[:sites])
    return replace(envelope, head=json.dumps({**head, "contributions": few}).encode())


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kept, Any]:
    """Return a federation after an honest run, with what came out."""
    kept = build_kept(tmp_path_factory.mktemp("kept"))
    return kept, kept.run()


def test_results_are_those_of_masked_sums_to_the_last_bit(
    honest: tuple[Kept, Any], tmp_path: Path
) -> None:
    masked = build(tmp_path)
    done, log, _ = masked.run()
    log.close()
    masked.close()
    for step in ("census", "frequency", "association", "model"):
        one, other = honest[1].results[step], done.results[step]
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_the_plan_names_the_keeper_and_its_key_and_every_party_signs_it(
    honest: tuple[Kept, Any],
) -> None:
    kept, done = honest
    key = kept.federation.identities[KEEPER].signing_key.hex()
    assert done.plan.keeper == {"name": NAME, "signing_key": key}
    assert done.plan.parties == (KEEPER, "s0", "s1", "s2", "s3")
    assert Plan.from_bytes(done.plan.to_bytes()) == done.plan
    signatures = dict.fromkeys(done.plan.sites, "00" * 64)
    with pytest.raises(ProtocolError, match="lacks a site's signature"):
        agreement.check_signatures(done.plan, {"signatures": signatures}, unverified)


def test_each_decryption_is_in_the_ledger_with_who_signed_and_the_total(
    honest: tuple[Kept, Any],
) -> None:
    kept, _ = honest
    made = kept.entries("decryption")
    released = [
        entry.body
        for entry in _centre(kept)
        if entry.kind == "release" and entry.body["phase"] == "total"
    ]
    place = ("step", "round", "attempt", "sha256")
    assert [[e.body[k] for k in place] for e in made] == [[b[k] for k in place] for b in released]
    for entry in made:
        rows: Any = entry.body["contributions"]
        assert [row["site"] for row in rows] == ["s0", "s1", "s2", "s3"]
        assert entry.body["least"] == 3


def _centre(kept: Kept) -> Any:

    return read(kept.federation.root / "ledger").entries


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"keeper": None}, "who keeps the keys"),
        ({"keeper": {"name": NAME, "signing_key": "00" * 32}}, "who keeps the keys"),
        ({"keeper": {"name": "N.", "signing_key": ""}}, "who keeps the keys"),
        ({"lost_site": "go_on"}, "where a site is lost"),
    ],
)
def test_a_plan_with_another_keeper_is_refused(
    honest: tuple[Kept, Any], change: dict[str, Any], said: str
) -> None:
    kept, done = honest
    keys = {n: k for n, k in kept.federation.peers.keys.items() if n != "centre"}
    agreement.check_plan(done.plan, None, keys, kept.federation.public)
    if change.get("keeper") and not change["keeper"]["signing_key"]:
        change = {"keeper": {**done.plan.keeper, "name": change["keeper"]["name"]}}
    with pytest.raises(ProtocolError, match=said):
        agreement.check_plan(replace(done.plan, **change), None, keys, kept.federation.public)


def test_other_protections_have_no_keeper(honest: tuple[Kept, Any]) -> None:
    with pytest.raises(ProtocolError, match="and no others, have a key keeper"):
        agreement.check_protection(replace(honest[1].plan, protection="masked"))


def test_a_review_names_the_keeper_and_what_it_sees(honest: tuple[Kept, Any]) -> None:
    told = review(honest[1].plan)["protection"]
    assert told["keeper"] == NAME
    assert "never what one site adds" in told["keeper_sees"]


@pytest.mark.parametrize("sites", [0, 1, 2])
def test_fewer_contributions_than_hide_one_another_are_not_decrypted(
    tmp_path: Path, sites: int
) -> None:
    kept = build_kept(tmp_path)

    def change(meant: Envelope) -> Iterable[Envelope]:
        return [only_of(meant, sites)] if asks_total(meant) else [meant]

    with pytest.raises(DisclosureError, match=f"a total of {sites} contributions"):
        kept.run(change)
    assert not kept.entries("decryption")
    assert len(kept.entries("refusal")) == 1


def test_the_contributions_are_those_of_all_sites(tmp_path: Path) -> None:
    kept = build_kept(tmp_path)

    def change(meant: Envelope) -> Iterable[Envelope]:
        return [only_of(meant, 3)] if asks_total(meant) else [meant]

    with pytest.raises(ProtocolError, match="not those of the listed sites"):
        kept.run(change)
    assert not kept.entries("decryption")


def test_a_total_is_decrypted_once(tmp_path: Path) -> None:
    """The same again in another message: with nothing but an order of contributions changed."""
    kept = build_kept(tmp_path)

    def change(meant: Envelope) -> Iterable[Envelope]:
        if not asks_total(meant):
            return [meant]
        head = json.loads(meant.head)
        turned = dict(reversed(head["contributions"].items()))
        other = json.dumps({**head, "contributions": turned}).encode()
        return [meant, replace(meant, head=other)]

    with pytest.raises(ProtocolError):
        kept.run(change)
    assert len(kept.entries("decryption")) == 1


def test_the_same_message_again_gets_the_same_bytes(tmp_path: Path) -> None:
    kept = build_kept(tmp_path)
    done = kept.run(lambda meant: [meant, meant] if asks_total(meant) else [meant])
    assert len(kept.entries("decryption")) == sum(
        entry.kind == "release" and entry.body["phase"] == "total" for entry in _centre(kept)
    )
    assert done.results["association"] is not None


@pytest.mark.parametrize(
    "change",
    [{"round": 2}, {"step": "association"}, {"attempt": 1}, {"context": "00" * 32}, {"phase": 1}],
)
def test_another_round_than_the_one_that_is_due_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    kept = build_kept(tmp_path)

    def other(meant: Envelope) -> Iterable[Envelope]:
        if meant.kind != "round":
            return [meant]
        return [replace(meant, body={**meant.body, **change})]

    with pytest.raises(ProtocolError, match="not due here"):
        kept.run(other)
    assert not kept.entries("decryption")


def test_what_is_no_sum_of_this_round_is_not_decrypted(tmp_path: Path) -> None:
    """The sum with its coefficients in other places, which no party ever encrypted."""
    kept = build_kept(tmp_path)

    def change(meant: Envelope) -> Iterable[Envelope]:
        if not asks_total(meant):
            return [meant]
        first, *rest = meant.blocks
        turned = np.roll(np.frombuffer(first, "<u8").reshape(-1, DEGREE), 1, axis=1)
        return [replace(meant, blocks=[turned.tobytes(), *rest])]

    with pytest.raises((ProtocolError, DisclosureError)):
        kept.run(change)
    assert not kept.entries("decryption")


@pytest.mark.parametrize("call", [1, 3])
def test_a_keeper_that_gives_another_total_is_refused_by_the_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    kept, calls = build_kept(tmp_path), [0]
    sound = SecretKey.decrypt

    def false(self: SecretKey, data: bytes, n_values: int) -> NDArray[np.uint64]:
        words = sound(self, data, n_values)
        calls[0] += 1
        if calls[0] == call:  # the first and third are sums, not pads
            words[0] += np.uint64(1)
        return words

    monkeypatch.setattr(SecretKey, "decrypt", false)
    with pytest.raises(ProtocolError, match="site s0 refuses: the total is not the sum"):
        kept.run()
    assert all("refusal" in kept.federation.kinds(site) for site in kept.federation.names)
