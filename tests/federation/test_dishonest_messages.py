"""Messages forged, replayed, misdirected or out of turn are refused by every site."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from equipoise.federation import agreement, wire
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.wire import Envelope
from equipoise.plan import Plan
from equipoise.protection import Message
from federation.attacks import Attack, Patch, agreeable, answered, at, each, refused, without
from federation.building import Federation, Frames, build
from federation.driver import Driver


def hello(**changes: Any) -> Callable[[Driver, str], Frames]:
    return lambda driver, to: driver.frames(to, "hello", {**driver.hello, **changes})


def another_study(driver: Driver, to: str) -> Frames:
    return hello(study={**driver.federation.public, "question": "Who are they?"})(driver, to)


def signatures(change: Callable[[Driver], dict[str, str]]) -> Callable[[Driver, str], Frames]:
    return lambda driver, to: driver.frames(to, "agreed", {"signatures": change(driver)})


def without_one(driver: Driver) -> dict[str, str]:
    return {name: s for name, s in driver.signatures.items() if name != "s2"}


def of_another_plan(driver: Driver) -> dict[str, str]:
    """Return what the sites would have signed, had the plan been another."""
    assert driver.plan is not None
    content = agreement.content(replace(driver.plan, seed=8))
    identities = driver.federation.identities
    return {name: identities[name].sign(content).hex() for name in driver.signatures}


def by_the_centre(driver: Driver) -> dict[str, str]:
    assert driver.plan is not None
    own = driver.federation.identities[CENTRE].sign(agreement.content(driver.plan)).hex()
    return {**driver.signatures, "s2": own}


def next_honest(driver: Driver, to: str, **who: Any) -> Frames:
    message = driver.publishing()[to]
    return driver.frames(to, "outcome", driver.outcome, message, **who)


def misdirected(driver: Driver, to: str) -> Frames:
    return next_honest(driver, "s1" if to != "s1" else "s2")


def by_a_stranger(driver: Driver, to: str) -> Frames:
    return next_honest(driver, to, signer=Identity.create(CENTRE))


def by_a_site(driver: Driver, to: str) -> Frames:
    return next_honest(driver, to, sender="s1", signer=driver.federation.identities["s1"])


def by_nobody_known(driver: Driver, to: str) -> Frames:
    return next_honest(driver, to, sender="s9", signer=Identity.create("s9"))


def of_no_kind(driver: Driver, to: str) -> Frames:
    return driver.frames(to, "rows", {})


def signed_plan_again(driver: Driver, to: str) -> Frames:
    assert driver.plan is not None
    return driver.frames(to, "plan", {"again": True}, Message(driver.plan.to_bytes()))


def agreed_again(driver: Driver, to: str) -> Frames:
    return driver.frames(to, "agreed", {"signatures": driver.signatures, "again": True})


def agreed_with_a_block(driver: Driver, to: str) -> Frames:
    return driver.frames(to, "agreed", {"signatures": driver.signatures}, Message(b"", [b"x"]))


def for_anybody(federation: Federation, patch: Patch) -> None:
    """Read every message as one from the centre to whoever reads it."""
    strict = wire.read
    for name in federation.names:
        handle = federation.sites[name].handle

        def lenient(frames: Any, name: str = name, handle: Any = handle) -> Any:
            def read(stream: Any, verify: Any) -> Envelope:
                came = strict(stream, verify)
                return replace(came, sender=CENTRE, body={**came.body, "to": name})

            patch.setattr(wire, "read", read)
            answer = list(handle(frames))
            patch.setattr(wire, "read", strict)
            return iter(answer)

        patch.setattr(federation.sites[name], "handle", lenient)


def forgetting(federation: Federation, patch: Patch) -> None:
    without((Journal, "open"))(federation, patch)
    for site in federation.sites.values():
        patch.setattr(site, "_plan", None)
        patch.setattr(site, "_course", None)


def with_a_signed_plan(federation: Federation, patch: Patch) -> None:
    """Begin anew with the plan that was signed."""
    without((Journal, "open"))(federation, patch)
    for site in federation.sites.values():
        patch.setattr(site, "_course", None)


def any_kind(federation: Federation, patch: Patch) -> None:
    patch.setattr(
        "equipoise.federation.site.Site._answer",
        lambda self, request: Envelope("anything", self._desk.name, {}),
    )


no_study = without((agreement, "check_study"))
no_signatures = without((agreement, "check_signatures"))

MESSAGES = [
    Attack("the hello of another study", lambda d: None, another_study, "study is not", no_study),
    Attack(
        "the hello of another list of variants",
        lambda d: None,
        hello(variants="0" * 64),
        "list of variants is not",
        no_study,
    ),
    Attack(
        "hello twice",
        Driver.to_plan,
        hello(again=True),
        "hello 0 0 hello was answered before",
        without((Journal, "open")),
    ),
    Attack(
        "hello in the midst of the run",
        at("frequency", "round"),
        hello(again=True),
        "hello 0 0 hello was answered before",
        without((Journal, "open")),
    ),
    Attack(
        "the plan twice",
        Driver.to_agreed,
        signed_plan_again,
        "plan 0 0 plan was answered before",
        forgetting,
    ),
    Attack(
        "the agreement twice",
        Driver.to_start,
        agreed_again,
        "agreed 0 0 agreed was answered before",
        with_a_signed_plan,
    ),
    Attack(
        "a missing signature",
        Driver.to_agreed,
        signatures(without_one),
        "lacks a site's signature",
        no_signatures,
    ),
    Attack(
        "signatures of another plan",
        Driver.to_agreed,
        signatures(of_another_plan),
        "a signature is not that of 's0'",
        no_signatures,
    ),
    Attack(
        "the centre's signature for a site's",
        Driver.to_agreed,
        signatures(by_the_centre),
        "a signature is not that of 's2'",
        no_signatures,
    ),
    Attack(
        "a block that nobody asked for",
        Driver.to_agreed,
        agreed_with_a_block,
        "a block that nobody asked for",
        without((wire, "end")),
    ),
    Attack(
        "a message to another site",
        at("census", "state"),
        misdirected,
        "not from the centre to this site",
        for_anybody,
    ),
    Attack(
        "a message by another key",
        at("census", "state"),
        by_a_stranger,
        "a signature is not that of 'centre'",
        without((Peers, "verify")),
    ),
    Attack(
        "a message signed by a site",
        at("census", "state"),
        by_a_site,
        "not from the centre to this site",
        for_anybody,
    ),
    Attack(
        "a message of an unknown kind", at("census", "state"), of_no_kind, "of the kind", any_kind
    ),
]


@each(MESSAGES)
def test_every_site_refuses(attack: Attack, tmp_path: Path) -> None:
    refused(attack, tmp_path)


@each(MESSAGES)
def test_every_site_refuses_and_the_check_is_what_refuses(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(attack, tmp_path, monkeypatch)


def test_who_is_no_party_is_refused(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear")).until("census", "state")
    for name in driver.federation.names:
        assert driver.send(name, by_nobody_known(driver, name)).kind == "refusal"
        assert "no party" in str(driver.federation.entries(name)[-1].body["reason"])


def test_the_same_bytes_have_the_same_answer_while_it_is_the_last(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path)).until("frequency", "round", 2)
    for name, message in driver.next_phase().items():
        frames = driver.frames(name, "round", driver.round, message)
        first = driver.send(name, frames)
        size = len(driver.federation.entries(name))
        assert [driver.send(name, frames).frames for _ in range(3)] == [first.frames] * 3
        assert len(driver.federation.entries(name)) == size


def replaying(driver: Driver, to: str) -> Frames:
    return hello()(driver, to)


def never_repeating(federation: Federation, patch: Patch) -> None:
    without((Journal, "repeated"), (Journal, "open"))(federation, patch)


REPLAY = Attack(
    "an earlier message",
    at("census", "state"),
    replaying,
    "answered before; its answer is not given twice",
    never_repeating,
)


def test_an_earlier_message_is_not_answered_again(tmp_path: Path) -> None:
    refused(REPLAY, tmp_path)


def test_an_earlier_message_is_not_answered_again_and_the_journal_is_what_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(REPLAY, tmp_path, monkeypatch)


def test_a_centre_that_shows_different_plans_to_different_sites_gets_no_run(tmp_path: Path) -> None:
    """To read the shares sent to s1, the centre gives s0 a channel key of its own for s1."""
    driver = Driver(build(tmp_path, steward=agreeable)).to_plan()
    assert driver.plan is not None
    own = Identity.create("s1").channel_key.hex()
    forged = tuple(
        replace(m, channel_key=own) if m.name == "s1" else m for m in driver.plan.members
    )
    shown: dict[str, Plan] = dict.fromkeys(driver.federation.names, driver.plan)
    shown["s0"] = replace(driver.plan, members=forged)
    signed = {
        name: driver.send(name, driver.frames(name, "plan", {}, Message(plan.to_bytes())))
        for name, plan in shown.items()
    }
    gathered = {name: answer.body["signature"] for name, answer in signed.items()}
    for name in driver.federation.names:
        answer = driver.send(name, driver.frames(name, "agreed", {"signatures": gathered}))
        assert answer.kind == "refusal"
        assert driver.federation.kinds(name)[-1] == "refusal"


def test_a_refused_round_is_over_for_the_site(tmp_path: Path) -> None:
    """After a forged total was refused, the true one is not taken either."""
    driver = Driver(build(tmp_path, kind="clear")).until("census", "round", 1)
    for name, message in driver.next_phase().items():
        forged = Message(b"", [b"\xff" * 7 + b"\x7f" + block[8:] for block in message.blocks])
        assert (
            driver.send(name, driver.frames(name, "round", driver.round, forged)).kind == "refusal"
        )
        for phase in (driver.phase, driver.phase + 1):
            again = driver.frames(name, "round", {**driver.round, "phase": phase}, message)
            assert driver.send(name, again).kind == "refusal"
            assert "refused in the midst" in str(driver.federation.entries(name)[-1].body["reason"])


def test_a_refused_state_may_still_be_put_right(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear")).until("census", "result")
    wrong = Message(b"", [b"next", b""])
    for name in driver.federation.names:
        assert (
            driver.send(name, driver.frames(name, "outcome", driver.outcome, wrong)).kind
            == "refusal"
        )
    driver.to_end()
    assert set(driver.running.results) >= {"census", "performance"}


def test_no_answer_leaves_that_the_ledger_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that fails once: the answer is not sent, and asked for again is entered first."""
    driver = Driver(build(tmp_path, kind="clear")).until("census", "round")
    note, failed = Desk.note, []

    def failing(self: Desk, kind: str, **body: object) -> None:
        if kind == "release" and self.name not in failed:
            failed.append(self.name)
            raise OSError("no space left on device")
        note(self, kind, **body)

    monkeypatch.setattr(Desk, "note", failing)
    for name in driver.federation.names:
        frames = driver.frames(name, "round", driver.round)
        answer = driver.send(name, frames)
        assert (answer.kind, answer.blocks) == ("refusal", [])
        assert driver.federation.kinds(name)[-1] == "refusal"
        again = driver.send(name, frames)
        entered = list(driver.federation.desks[name].ledger.entries())[-1]
        assert (again.kind, entered.kind) == ("phase", "release")
        assert entered.body["bytes"] == sum(map(len, again.frames))


def test_blocks_of_an_answer_that_broke_off_never_leave(tmp_path: Path) -> None:
    """The site fails in mid-stream; asking again for the answer before gives no part of it."""
    federation = build(tmp_path, kind="clear")
    driver = Driver(federation).until("association", "state")
    name = "s0"
    before = next_honest(driver, name)
    driver.go()
    columns = federation.people[name].dataset.columns
    federation.people[name].dataset = replace(
        federation.people[name].dataset, columns={**columns, "sex": columns["sex"] * 1e6}
    )
    asked = driver.frames(name, "round", driver.round)
    assert driver.send(name, asked).kind == "refusal"
    again = driver.send(name, before)
    assert (again.kind, again.blocks) == ("refusal", [])


def test_what_a_refusal_says_never_breaks_the_ledger(tmp_path: Path) -> None:
    """Words of the centre in a reason: no Unicode text, or endless."""
    driver = Driver(build(tmp_path, kind="clear")).to_plan()
    assert driver.plan is not None
    for version in ("\ud800", "x" * 100_000):
        plan = replace(driver.plan, version=version)
        for name in driver.federation.names:
            frames = driver.frames(name, "plan", {}, Message(plan.to_bytes()))
            assert driver.send(name, frames).kind == "refusal"
            (entry,) = driver.federation.entries(name)[-1:]
            assert "the plan has version" in str(entry.body["reason"])
            assert len(str(entry.body["reason"])) < 3000
