"""A course goes where plan and totals lead, and a refusal leaves it where it stood."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.cohort import Cohort, Columns
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.federation import registry
from equipoise.federation.course import Course
from equipoise.plan import Ref, Step
from equipoise.protection import Message
from equipoise.record import exact
from equipoise.step import Done, Next
from equipoise.sums import Schema, Sums, head_count
from federation.attacks import agreeable
from federation.building import build
from federation.driver import Driver

PEOPLE = 100


@dataclass(frozen=True)
class Seen:
    counts: tuple[int, ...] | Any = exact()


@dataclass(frozen=True)
class Greedy:
    """Counts everybody, again and again, and once in a form of its own."""

    people: int
    rounds: int = 3
    widens: bool = False
    after: Any = None

    def start(self) -> Seen:
        return Seen(np.zeros(0, np.int64))

    def schema(self, state: Seen) -> Schema:
        size = len(state.counts) + 1 if self.widens else 1
        return Schema(({"n": head_count((size,), self.people)},))

    def summarise(self, cohort: Cohort, state: Seen) -> Iterator[Sums]:
        del state
        yield {"n": np.array([cohort.n], np.float64)}

    def advance(self, state: Seen, totals: Iterable[Sums]) -> Next[Seen] | Done[Seen]:
        (total,) = totals
        counts = np.append(state.counts, total["n"][0]).astype(np.int64)
        return Done(Seen(counts)) if len(counts) == self.rounds else Next(Seen(counts))

    def derive(self, cohort: Cohort, result: Seen) -> Columns:
        del cohort, result
        return {}


@dataclass(frozen=True)
class Steps:
    """What a course reads of a plan."""

    steps: tuple[Step, ...]


def toy(step: Step, results: Mapping[str, Any] | None) -> Any:
    parameters = {
        name: (results[value.step] if results else None) if isinstance(value, Ref) else value
        for name, value in step.parameters.items()
    }
    return Greedy(PEOPLE, **parameters)


def course(*steps: Step) -> Course:
    plan: Any = Steps(steps)
    return Course(plan, toy, {})


def greedy(name: str = "greedy", rounds: int = 1, **parameters: Any) -> Step:
    return Step(name, "greedy", parameters, rounds)


def total() -> tuple[dict[str, Any], ...]:
    return ({"n": np.array([7], np.int64)},)


def test_a_step_that_keeps_to_its_rounds_ends_with_its_result() -> None:
    run = course(greedy(rounds=3))
    places = [run.place]
    run.adopt(run.follows)
    for number in range(1, 4):
        assert (run.asks, run.round) == (True, number)
        run.total(total())
        assert not run.asks
        run.adopt(run.follows)
        places.append(run.place)
    assert run.finished
    assert run.results["greedy"].counts.tolist() == [7, 7, 7]
    assert len(set(places)) == len(places)
    with pytest.raises(ProtocolError):
        _ = run.step


def test_a_round_beyond_the_plan_is_refused_and_never_due() -> None:
    run = course(greedy(rounds=2))
    run.adopt(run.follows)
    run.total(total())
    run.adopt(run.follows)
    run.total(total())
    stood = run.place, run.round, run.state
    with pytest.raises(DisclosureError, match="more than its 2 rounds"):
        run.adopt(run.follows)
    assert (run.place, run.round, run.state) == stood
    assert not run.asks


def test_a_round_of_another_form_is_refused_and_never_due() -> None:
    run = course(greedy(rounds=3, widens=True))
    run.adopt(run.follows)
    run.total(total())
    with pytest.raises(DisclosureError, match="another form"):
        run.adopt(run.follows)
    assert not run.asks
    assert run.round == 1


def test_a_step_that_cannot_begin_leaves_the_course_where_it_stood() -> None:
    first = Step("greedy", "greedy", {"rounds": 1})
    run = course(first, greedy("next", after=Ref("missing")))
    run.adopt(run.follows)
    run.total(total())
    stood = run.place
    with pytest.raises(KeyError):
        run.adopt(run.follows)
    assert (run.place, run.results) == (stood, {})
    assert not run.asks


def test_totals_that_nobody_asked_for_are_refused() -> None:
    run = course(greedy())
    with pytest.raises(ProtocolError, match="none were asked for"):
        run.total(total())
    run.adopt(run.follows)
    with pytest.raises(ProtocolError, match="nothing follows"):
        _ = run.follows
    run.total(total())
    with pytest.raises(ProtocolError, match="none were asked for"):
        run.total(total())


def test_public_results_of_before_the_run_are_not_changed_by_it() -> None:
    publics: dict[str, Any] = {}
    plan: Any = Steps((greedy(rounds=1),))
    run = Course(plan, lambda step, results: Greedy(PEOPLE, 1), publics)
    run.adopt(run.follows)
    run.total(total())
    run.adopt(run.follows)
    assert (set(run.results), publics) == ({"greedy"}, {})


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ANALYSES", {**registry.ANALYSES, "greedy": Greedy})
    monkeypatch.setattr(registry, "RECORDS", {**registry.RECORDS, "Seen": Seen})


def more_rounds_than_planned(root: Path) -> Driver:
    """Reach the state from which an analysis of two rounds goes on, planned for one."""
    driver = Driver(build(root, kind="clear", steward=agreeable)).to_plan()
    assert driver.plan is not None
    step = Step("greedy", "greedy", {"people": driver.plan.people, "rounds": 2}, rounds=1)
    driver.plan = replace(driver.plan, steps=(step,))
    answers = driver.ask("plan", {}, driver.everybody(Message(driver.plan.to_bytes())))
    signatures = {name: answer.body["signature"] for name, answer in answers.items()}
    driver.ask("agreed", {"signatures": signatures})
    driver.course = Course(driver.plan, registry.build, {})
    return driver.until("greedy", "state").until("greedy", "round").until("greedy", "state")


def asked_once_more(driver: Driver) -> list[str]:
    """Publish what asks for one round more, then ask for it; return what the sites answer."""
    names, messages = driver.federation.names, driver.publishing()
    published = [driver.frames(n, "outcome", driver.outcome, messages[n]) for n in names]
    kinds = [driver.send(n, frames).kind for n, frames in zip(names, published, strict=True)]
    follows = driver.running.follows
    driver.running._state, driver.running._follows = follows.state, None
    driver.running.round += 1
    asked = [driver.frames(n, "round", driver.round) for n in names]
    return kinds + [driver.send(n, frames).kind for n, frames in zip(names, asked, strict=True)]


@pytest.mark.usefixtures("registered")
def test_every_site_refuses_more_rounds_than_planned(tmp_path: Path) -> None:
    driver = more_rounds_than_planned(tmp_path)
    assert set(asked_once_more(driver)) == {"refusal"}
    for name in driver.federation.names:
        reasons = [str(e.body["reason"]) for e in driver.federation.entries(name)[-2:]]
        assert "more than its 1 rounds" in reasons[0]


@pytest.mark.usefixtures("registered")
def test_every_site_refuses_more_rounds_than_planned_and_the_check_is_what_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = more_rounds_than_planned(tmp_path)

    def go_on(self: Course, state: Any) -> None:
        self.round += 1
        self._state, self._follows = state, None

    monkeypatch.setattr(Course, "_go_on", go_on)
    assert set(asked_once_more(driver)) == {"adopted", "phase"}
