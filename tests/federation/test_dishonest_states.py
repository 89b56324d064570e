"""A centre that publishes what does not follow from the totals is refused by every site."""

import json
import struct
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.analyses.census import People as Census
from equipoise.analyses.frequency import FrequencyState
from equipoise.federation import wire
from equipoise.federation.course import Course
from equipoise.plan import canonical
from equipoise.protection import Message
from equipoise.record import step_of
from equipoise.step import Done, Next
from federation.attacks import Attack, Patch, answered, at, each, nothing, refused
from federation.building import Federation, Frames
from federation.driver import Driver


def adopts_anything(self: Course, published: Any) -> None:
    """Follow the centre wherever it goes."""
    if isinstance(published, Done):
        results = {**self.results, self.step.name: published.result}
        self._begin_next_step(results, self.held)
    else:
        self._state, self._follows, self.round = published.state, None, self.round + 1
    self._published += 1


def believing(federation: Federation, patch: Patch) -> None:
    patch.setattr(Course, "adopt", adopts_anything)


def publishes(change: Callable[[Any], Any]) -> Callable[[Driver, str], Frames]:
    def message(driver: Driver, to: str) -> Frames:
        return driver.frames(to, "outcome", driver.outcome, driver.publishing(change)[to])

    return message


def publishes_instead(outcome: Next[Any] | Done[Any]) -> Callable[[Driver, str], Frames]:
    def message(driver: Driver, to: str) -> Frames:
        return driver.frames(
            to, "outcome", driver.outcome, Message(b"", wire.pack_outcome(outcome))
        )

    return message


def moved(name: str, steps: float) -> Callable[[Any], Any]:
    """Return what moves the first entry of one field by so many steps of its grid, or units."""

    def change(record: Any) -> Any:
        grid = next(step_of(f) for f in fields(record) if f.name == name)
        array = np.array(getattr(record, name))
        array.flat[0] += steps * (grid or 1)
        return replace(record, **{name: array})

    return change


def another_selection(record: Any) -> Any:
    return replace(record, variants=record.variants - 1)


def with_an_extra_field(driver: Driver, to: str) -> Frames:
    mark, packed = wire.pack_outcome(driver.running.follows)
    (length,) = struct.unpack(">I", packed[:4])
    head = json.loads(packed[4 : 4 + length])
    head["fields"].append(["more", 7])
    data = canonical(head)
    blocks = [mark, struct.pack(">I", len(data)) + data + packed[4 + length :]]
    return driver.frames(to, "outcome", driver.outcome, Message(b"", blocks))


def lenient_records(federation: Federation, patch: Patch) -> None:
    """Let records be read that hold more than their fields."""
    strict = wire.unpack_record

    def lenient(data: bytes, types: Any) -> Any:
        (length,) = struct.unpack(">I", data[:4])
        head = json.loads(data[4 : 4 + length])
        head["fields"] = [f for f in head["fields"] if f[0] != "more"]
        fixed = canonical(head)
        return strict(struct.pack(">I", len(fixed)) + fixed + data[4 + length :], types)

    patch.setattr(wire, "unpack_record", lenient)


def no_comparison(federation: Federation, patch: Patch) -> None:
    patch.setattr("equipoise.federation.course.agree", nothing)


PEOPLE = Census(np.zeros(3, np.int64), np.zeros(3, np.int64))

STATES = [
    Attack(
        "a float moved by three steps of its grid",
        at("association", "result"),
        publishes(moved("score", 3)),
        r"Association\.score does not follow",
        no_comparison,
    ),
    Attack(
        "a float off its grid",
        at("association", "result"),
        publishes(moved("variance", 0.5)),
        r"Association\.variance does not follow",
        no_comparison,
    ),
    Attack(
        "a float that is not a number",
        at("association", "result"),
        publishes(moved("residual", np.nan)),
        r"Association\.residual does not follow",
        no_comparison,
    ),
    Attack(
        "an integer changed by one",
        at("census", "result"),
        publishes(moved("cases", 1)),
        r"People\.cases does not follow",
        no_comparison,
    ),
    Attack(
        "another selection",
        at("model", "result"),
        publishes(another_selection),
        r"Nets\.variants does not follow",
        no_comparison,
    ),
    Attack(
        "another weight",
        at("model", "result"),
        publishes(moved("weights", 3)),
        r"Nets\.weights does not follow",
        no_comparison,
    ),
    Attack(
        "another best variant",
        at("model", "result"),
        publishes(moved("best", 1)),
        r"Nets\.best does not follow",
        no_comparison,
    ),
    Attack(
        "a record with a field more",
        at("census", "result"),
        with_an_extra_field,
        "a public record cannot be read",
        lenient_records,
    ),
    Attack(
        "a record of another type",
        at("census", "result"),
        publishes_instead(Done(FrequencyState())),
        "published a FrequencyState where a People follows",
        no_comparison,
    ),
    Attack(
        "another first state",
        at("census", "state"),
        publishes_instead(Next(FrequencyState())),
        "published a FrequencyState where a CensusState follows",
        no_comparison,
    ),
    Attack(
        "a further round where the step ends",
        at("census", "result"),
        publishes_instead(Next(FrequencyState())),
        "goes on where the step ends",
        believing,
    ),
    Attack(
        "an end where the step goes on",
        at("census", "state"),
        publishes_instead(Done(PEOPLE)),
        "ends where it goes on",
        believing,
    ),
    Attack(
        "a result before the totals",
        at("census", "round"),
        publishes_instead(Done(PEOPLE)),
        "nothing follows before the totals",
        believing,
    ),
]


@each(STATES)
def test_every_site_refuses(attack: Attack, tmp_path: Path) -> None:
    refused(attack, tmp_path)


@each(STATES)
def test_every_site_refuses_and_the_check_is_what_refuses(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(attack, tmp_path, monkeypatch)
