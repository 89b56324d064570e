"""A run of one analysis as it is in earnest: real machines, real keys, and nothing but bytes.

Every site follows the run by itself, as the gate does: it recomputes each state and goes
on from the published one only if it agrees. There is no transport, desk or ledger here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from equipoise.analysis import Analysis
from equipoise.cohort import Cohort
from equipoise.federation import agreement, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.identity import Identity, Peers
from equipoise.federation.wire import Envelope
from equipoise.plan import Plan, Step
from equipoise.protection import Accepted, Context, Message, Party, SiteMachine
from equipoise.protections import kinds
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema, encode

Around = Callable[[], AbstractContextManager[Any]]
Outcome = Next[Any] | Done[Any]


@dataclass(frozen=True)
class Asked:
    """One round that asked something of the sites."""

    state: Any
    schema: Schema
    total: tuple[Integers, ...]


@dataclass(frozen=True)
class Finished:
    """The end of a run: its public result, its asking rounds, and all that was published."""

    result: Any
    asked: tuple[Asked, ...]
    published: tuple[Outcome, ...]
    held: object = None


@cache
def identity(name: str) -> Identity:
    return Identity.create(name)


@dataclass
class Member:
    """One site: its cohort, its own view of the run, and the machine of the present round."""

    name: str
    cohort: Cohort
    course: Course
    party: Party
    records: Mapping[str, type]
    around: Around
    machine: SiteMachine | None = None

    def answer(self, context: Context, schema: Schema, request: Message) -> Message:
        with self.around():
            if self.machine is None:
                kind = kinds.protection(self.course.plan.protection)
                self.machine = kind.site(context, self.party, schema, self._values(schema))
            outcome = self.machine.step(request)
            if isinstance(outcome, Next):
                return _held(outcome.state)
            return self._accept(outcome.result)

    def adopt(self, blocks: Sequence[bytes]) -> None:
        with self.around():
            self.course.adopt(wire.unpack_outcome(blocks, self.records))

    def _values(self, schema: Schema) -> Iterator[Integers]:
        cohort = self.cohort.restrict(schema.columns)
        sums = self.course.analysis.summarise(cohort, self.course.state)
        for block, part in zip(schema.blocks, sums, strict=True):
            yield encode(block, part, cohort.n)

    def _accept(self, accepted: Accepted) -> Message:
        self.machine = None
        self.course.total(accepted.total)
        return _held(accepted.answer)


def _held(message: Message) -> Message:
    return Message(message.head, list(message.blocks))


@dataclass
class Federation:
    """The centre's side: it carries bytes between machines and publishes."""

    course: Course
    members: Mapping[str, Member]
    peers: Peers
    tamper: Callable[[Outcome], Outcome] = lambda outcome: outcome
    asked: list[Asked] = field(default_factory=list[Asked])
    published: list[Outcome] = field(default_factory=list[Outcome])

    def go(self) -> Finished:
        while not self.course.finished:
            self._ask() if self.course.asks else self._publish()
        return Finished(
            self.course.results[self.course.plan.steps[-1].name],
            tuple(self.asked),
            tuple(self.published),
            self.course.held.get("step.held"),
        )

    def _ask(self) -> None:
        course = self.course
        context, schema = agreement.context(course), course.schema
        centre = kinds.protection(course.plan.protection).centre(context, schema)
        answers: Mapping[str, Message] = {}
        while isinstance(outcome := centre.step(answers), Next):
            answers = {
                name: self._carried(
                    name, member.answer(context, schema, self._carried("centre", request))
                )
                for name, member in self.members.items()
                for request in [outcome.state[name]]
            }
        self.asked.append(Asked(course.state, schema, outcome.result))
        course.total(outcome.result)

    def _publish(self) -> None:
        outcome = self.tamper(self.course.follows)
        blocks = wire.pack_outcome(outcome)
        for member in self.members.values():
            member.adopt(blocks)
        self.course.adopt(outcome)
        self.published.append(outcome)

    def _carried(self, sender: str, message: Message) -> Message:
        """Return a message as it arrives: packed into signed frames, and read from them."""
        envelope = Envelope("phase", sender, {}, message.head, message.blocks)
        frames = list(wire.frames(envelope, identity(sender).sign))
        assert all(type(frame) is bytes for frame in frames)
        read = wire.read(iter(frames), self.peers.verify)
        return Message(read.head, read.blocks)


def plan_of(sizes: Mapping[str, int], protection: str, rounds: int = 1) -> Plan:
    """Return a plan with the one step `step`, for sites of these sizes."""
    return Plan(
        version=1,
        package="0",
        sources="",
        study={"id": "laws"},
        variants="",
        n_variants=0,
        members=tuple(agreement.member(identity(name), n) for name, n in sizes.items()),
        protection=protection,
        seed=0,
        folds=3,
        k=5,
        roster_k=10,
        steps=(Step("step", "laws", {}, rounds),),
    )


def federation(
    analysis: Analysis[Any, Any],
    cohorts: Sequence[Cohort],
    protection: str,
    *,
    rounds: int = 1,
    records: Mapping[str, type] = registry.RECORDS,
    around: Mapping[str, Around] | None = None,
    own: Mapping[str, Analysis[Any, Any]] | None = None,
) -> Federation:
    """Return sites `s0`, `s1`, ... and a centre, ready to go.

    around  the conditions (a context manager) under which a site computes
    own     the analysis as a site has it, where it is not the centre's
    """
    names = [f"s{i}" for i in range(len(cohorts))]
    sizes = {name: cohort.n for name, cohort in zip(names, cohorts, strict=True)}
    plan = plan_of(sizes, protection, rounds)
    kinds.protection(protection).check(len(cohorts))
    peers = Peers({name: identity(name).signing_key for name in [*names, "centre"]})

    def course(of: Analysis[Any, Any]) -> Course:
        return Course(plan, lambda step, results: of, {})

    members = {
        name: Member(
            name,
            cohort,
            course((own or {}).get(name, analysis)),
            _party(name, names, peers),
            records,
            (around or {}).get(name, nullcontext),
        )
        for name, cohort in zip(names, cohorts, strict=True)
    }
    return Federation(course(analysis), members, peers)


def run(
    analysis: Analysis[Any, Any], cohorts: Sequence[Cohort], protection: str, **options: Any
) -> Finished:
    """Return how a run of one analysis over these sites ends."""
    return federation(analysis, cohorts, protection, **options).go()


def _party(name: str, names: Sequence[str], peers: Peers) -> Party:
    keys = {other: identity(other).channel_key for other in names}
    me = identity(name)
    return Party(name, me.sign, peers.verify, lambda other: me.shared_with(keys[other]))


def sums_of(
    analysis: Analysis[Any, Any], cohort: Cohort, state: Any
) -> list[dict[str, np.ndarray[Any, np.dtype[np.float64]]]]:
    """Return what `summarise` yields, with the columns that the schema declares and no others."""
    restricted = cohort.restrict(analysis.schema(state).columns)
    return [dict(block) for block in analysis.summarise(restricted, state)]
