"""What a step holds beside its result reaches later steps, and never a message."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from equipoise.cohort import Cohort, Columns
from equipoise.federation import wire
from equipoise.federation.course import Course
from equipoise.plan import Ref, Step
from equipoise.record import exact
from equipoise.step import Done
from equipoise.sums import Schema, Sums, head_count
from laws import harness


@dataclass(frozen=True, slots=True)
class Number:
    value: int = exact()


@dataclass(frozen=True)
class Counting:
    """Publishes how many people there are, and holds twice as many; or publishes what is held."""

    before: Any = None

    def start(self) -> Number:
        return Number(0)

    def schema(self, state: Number) -> Schema:
        return Schema(({"n": head_count((1,), 100)},))

    def summarise(self, cohort: Cohort, state: Number) -> Iterator[Sums]:
        yield {"n": np.array([float(cohort.n)])}

    def advance(self, state: Number, totals: Iterable[Sums]) -> Done[Number]:
        (total,) = totals
        n = int(total["n"][0])
        return Done(Number(n if self.before is None else self.before["twice"]), {"twice": 2 * n})

    def derive(self, cohort: Cohort, result: Number) -> Columns:
        return {}


def build(step: Step, results: Mapping[str, Any] | None) -> Counting:
    ref = step.parameters.get("before")
    return Counting(results[ref.step] if isinstance(ref, Ref) and results is not None else None)


def course() -> Course:
    steps = (Step("one", "counting", {}), Step("two", "counting", {"before": Ref("one.held")}))
    return Course(replace(harness.plan_of({"a": 7}, "clear"), steps=steps), build, {})


def test_what_is_held_reaches_the_next_step_and_no_message() -> None:
    run = course()
    run.adopt(run.follows)  # the first state
    run.total([{"n": np.array([7], np.int64)}])
    outcome = run.follows
    sent = wire.unpack_outcome(wire.pack_outcome(outcome), {"Number": Number})
    assert isinstance(sent, Done)
    assert sent.held is None
    # What came over the wire holds nothing: what the party made of the totals does.
    run.adopt(sent)
    assert run.held == {"one.held": {"twice": 14}}
    assert run.results == {"one": Number(7)}
    run.adopt(run.follows)
    run.total([{"n": np.array([7], np.int64)}])
    run.adopt(run.follows)
    assert run.finished
    assert run.results["two"] == Number(14)
    assert set(run.known) == {"one", "one.held", "two", "two.held"}
