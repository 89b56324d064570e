"""A centre that asks for what is not due is refused by every site."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.federation import agreement, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.journal import Journal
from equipoise.federation.site import Site
from equipoise.protection import Message
from equipoise.protections import clear, masked_site
from federation.attacks import Attack, Patch, answered, at, each, nothing, refused, without
from federation.building import Federation, Frames
from federation.driver import Driver


def asks(
    change: Callable[[dict[str, Any], Driver], dict[str, Any]], message: Message | None = None
) -> Callable[[Driver, str], Frames]:
    """Return a request for a round whose body `change` has had its way with."""

    def frames(driver: Driver, to: str) -> Frames:
        return driver.frames(to, "round", change(driver.round, driver), message)

    return frames


def body(**changes: Any) -> Callable[[dict[str, Any], Driver], dict[str, Any]]:
    return lambda said, driver: {**said, **changes}


def in_context(**changes: Any) -> Callable[[dict[str, Any], Driver], dict[str, Any]]:
    """Return a change that asks, consistently, in the context of another round."""

    def change(said: dict[str, Any], driver: Driver) -> dict[str, Any]:
        other = replace(agreement.context(driver.running), **changes)
        return agreement.asked(other, said["phase"])

    return change


def another_attempt_with_its_message(driver: Driver, to: str) -> Frames:
    return asks(in_context(attempt=1), driver.next_phase()[to])(driver, to)


def another_attempt_from_its_beginning(driver: Driver, to: str) -> Frames:
    other = replace(agreement.context(driver.running), attempt=1)
    return driver.frames(to, "round", agreement.asked(other, 0))


def never_settled(federation: Federation, patch: Patch) -> None:
    patch.setattr(masked_site.MaskedSite, "settled", property(lambda self: False))


def the_phase_after(driver: Driver, to: str) -> Frames:
    return driver.frames(to, "round", {**driver.round, "phase": driver.phase + 1})


def the_phase_before(driver: Driver, to: str) -> Frames:
    said = {**driver.round, "phase": driver.phase - 1}
    return driver.frames(to, "round", said, driver.next_phase()[to])


def a_total_beyond_its_limit(driver: Driver, to: str) -> Frames:
    message = driver.next_phase()[to]
    (block,) = message.blocks
    values = np.frombuffer(block, "<i8").copy()
    values[0] = driver.running.plan.people + 1
    return driver.frames(to, "round", driver.round, Message(message.head, [values.tobytes()]))


def ready_for_anything(federation: Federation, patch: Patch) -> None:
    """Take a round for due whenever it is asked for."""
    patch.setattr(Journal, "open", nothing)
    patch.setattr(agreement, "check_due", nothing)
    patch.setattr(Course, "asks", property(lambda self: True))


def always_asking(federation: Federation, patch: Patch) -> None:
    patch.setattr(Course, "asks", property(lambda self: True))


def begins_by_itself(federation: Federation, patch: Patch) -> None:
    def running(self: Site) -> Course:
        if self._course is None:
            assert self._plan is not None
            self._course = Course(self._plan, registry.build, {})
            self._course.adopt(self._course.follows)
        return self._course

    patch.setattr(Site, "_running", property(running))
    patch.setattr(agreement, "check_due", nothing)


def a_round_at_once(driver: Driver, to: str) -> Frames:
    assert driver.plan is not None
    course = Course(driver.plan, registry.build, {})
    course.adopt(course.follows)
    return driver.frames(to, "round", agreement.asked(agreement.context(course), 0))


def ended(federation: Federation, patch: Patch) -> None:
    patch.setattr(Course, "finished", property(lambda self: True))


no_due = without((agreement, "check_due"))

ROUNDS = [
    Attack(
        "the round again after it ended",
        at("census", "result"),
        asks(body(), Message(b"again")),
        "census 1 0 round 0 was answered before, to another request",
        ready_for_anything,
    ),
    Attack(
        "a round before its state is published",
        at("frequency", "state"),
        asks(body()),
        "no round is due here before what follows is published",
        always_asking,
    ),
    Attack(
        "a further round of a step that has ended",
        at("census", "result"),
        asks(in_context(round=2)),
        "census 1 0 round 0 was answered before, to another request",
        ready_for_anything,
    ),
    Attack(
        "another attempt at the round",
        at("census", "round"),
        asks(in_context(attempt=1)),
        "not due here: wrong attempt",
        no_due,
    ),
    Attack(
        "another attempt at the round, half way",
        at("census", "round", 2),
        another_attempt_with_its_message,
        "not due here: wrong attempt",
        no_due,
        kind="masked",
    ),
    Attack(
        "another attempt from its beginning, once masked messages that none may miss have come",
        at("census", "round", 2),
        another_attempt_from_its_beginning,
        "not due here: wrong attempt",
        never_settled,
        kind="masked",
    ),
    Attack(
        "the right attempt in the context of another",
        at("census", "round"),
        asks(lambda said, d: {**said, "context": in_context(attempt=1)(said, d)["context"]}),
        "not due here: wrong context",
        no_due,
    ),
    Attack(
        "another attempt in the right context",
        at("census", "round"),
        asks(body(attempt=1)),
        "not due here: wrong attempt",
        no_due,
    ),
    Attack(
        "a round whose number no ledger can hold",
        at("census", "round"),
        asks(body(round=-1)),
        "not due here: wrong round",
        no_due,
    ),
    Attack(
        "another analysis in the context",
        at("census", "round"),
        asks(in_context(analysis=bytes(32))),
        "not due here: wrong context",
        no_due,
    ),
    Attack(
        "other members in the context",
        at("census", "round"),
        asks(in_context(members=bytes(32))),
        "not due here: wrong context",
        no_due,
    ),
    Attack(
        "a round of another plan",
        at("census", "round"),
        asks(in_context(plan=bytes(32))),
        "not due here: wrong plan, context",
        no_due,
    ),
    Attack(
        "a step of the plan before its turn",
        at("census", "round"),
        asks(in_context(step="association")),
        "not due here: wrong step, context",
        no_due,
    ),
    Attack(
        "a request that says more than is due",
        at("census", "round"),
        asks(body(people="all")),
        "not due here: wrong fields",
        no_due,
    ),
    Attack(
        "a phase that is false instead of 0",
        at("census", "round"),
        asks(body(phase=False)),
        "not due here: wrong phase",
        no_due,
    ),
    Attack(
        "a list where a number is due",
        at("census", "round"),
        asks(body(round=[1])),
        "not due here: wrong round",
        no_due,
    ),
    Attack(
        "a block that nobody asked for",
        at("census", "round"),
        asks(body(), Message(b"", [b"x"])),
        "a block that nobody asked for",
        without((wire, "end")),
        kind="masked",
    ),
    Attack(
        "a phase before its turn",
        at("census", "round"),
        the_phase_after,
        "not due here: wrong phase",
        no_due,
        kind="masked",
    ),
    Attack(
        "a phase again, by another message",
        at("census", "round", 1),
        the_phase_before,
        "not due here: wrong phase",
        no_due,
        kind="masked",
    ),
    Attack(
        "a total beyond its limit",
        at("census", "round", 1),
        a_total_beyond_its_limit,
        "the total is beyond its declared limit",
        without((clear, "check_total")),
    ),
    Attack(
        "a total beyond its limit, under masks",
        at("census", "round", 3),
        a_total_beyond_its_limit,
        "the total is beyond its declared limit",
        without((masked_site, "check_block")),
        kind="masked",
    ),
    Attack(
        "a round before the plan is agreed",
        Driver.to_agreed,
        a_round_at_once,
        "the run has not begun",
        begins_by_itself,
    ),
    Attack(
        "the end before the plan has ended",
        at("frequency", "state"),
        lambda d, to: d.frames(to, "close", d.closing),
        "the plan has not ended",
        ended,
    ),
]


@each(ROUNDS)
def test_every_site_refuses(attack: Attack, tmp_path: Path) -> None:
    refused(attack, tmp_path)


@each(ROUNDS)
def test_every_site_refuses_and_the_check_is_what_refuses(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(attack, tmp_path, monkeypatch)
