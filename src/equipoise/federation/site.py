"""The gate: the only place that holds people's rows and a wire at the same time.

Read from top to bottom, this is the guarantee that a site gives its people. The site
follows the run by itself (`course`): it knows which step, round and state come next,
because it computes them from the plan that it signed and from published totals. For
each request the order is fixed by this code:

    check plan and state -> roster -> draw -> summarise -> check schema and budgets -> encode
    -> protect -> journal, ledger -> sign -> send

How a message is read, answered once and refused is in `follower`; what is sent, here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from equipoise.errors import ProtocolError
from equipoise.federation import agreement, budget, registry, sampling, wire
from equipoise.federation.agreement import Place
from equipoise.federation.course import Course
from equipoise.federation.desk import Desk
from equipoise.federation.follower import Follower
from equipoise.federation.people import People
from equipoise.federation.wire import Envelope
from equipoise.plan import Plan, Step
from equipoise.protection import Context, Message, SiteMachine
from equipoise.step import Done
from equipoise.sums import Integers, Schema, encode, from_bytes, to_bytes


class Site(Follower):
    """One site: its people on one side, its desk on the other, and this gate between."""

    def __init__(self, people: People, desk: Desk, output: Path) -> None:
        """`output` is the site's own folder, for files that stay with it."""
        super().__init__(desk)
        self._people, self._output = people, output
        self._machine: SiteMachine | None = None
        self._phase = self._attempt = 0
        self._asked: list[str] = []
        self._accepted: tuple[Schema, Sequence[Integers]] | None = None

    def _place(self, request: Envelope) -> Place:
        self._begin_again(request)
        return agreement.place(request.kind, self._course, self._phase, self._attempt)

    def _announce(self) -> Envelope:
        """Fix the roster; announce the site's keys and how many people take part."""
        digest = self._people.fix(str(self._desk.study["id"]))
        self._desk.note("roster", salted_sha256=digest, admitted=self._people.roster.n)
        own = self._desk.member(self._people.roster.n)
        return self._desk.envelope("hello", {"member": asdict(own), "people": self._people.counts})

    def _check(self, plan: Plan) -> None:
        """Raise unless this is the plan that the steward approved, within every budget."""
        self._desk.check_plan(plan, self._people.roster.n)
        self._people.check_plan(plan, self._desk.member(self._people.roster.n))
        budget.check(plan, budget.disclosure(plan, registry.build))

    def _begin_again(self, request: Envelope) -> None:
        """Begin the next attempt at a round, where the last one cannot have told any total."""
        if self._machine is None or self._machine.settled:
            return
        if agreement.asks_again(request, self._course, self._attempt):
            self._machine, self._phase, self._attempt = None, 0, self._attempt + 1

    def _take_part(self, request: Envelope) -> Envelope:
        """Answer one phase of the round that is due: here sums leave, under protection."""
        course = self._running
        context = agreement.context(course, self._attempt)
        agreement.check_due(request.body, agreement.asked(context, self._phase))
        if not course.asks:
            raise ProtocolError("no round is due here before what follows is published")
        self._broken = True  # until the answer is written down
        machine = self._machine or self._protected(course, context)
        self._machine, self._phase = machine, self._phase + 1
        outcome = machine.step(Message(request.head, request.blocks, request.sha256))
        wire.end(request.blocks)
        if not isinstance(outcome, Done):
            return self._desk.envelope("phase", {}, outcome.state)
        self._machine, self._phase, self._attempt = None, 0, 0
        self._accepted = course.schema, outcome.result.total
        course.total(outcome.result.total)
        return self._desk.envelope("accepted", {}, outcome.result.answer)

    def _protected(self, course: Course, context: Context) -> SiteMachine:
        """Return what lets out protected sums over the roster, and nothing else.

        At an external site the roster is nobody's: its sums are zeros. Where the round is over
        people drawn by chance, they are drawn here.
        """
        schema, plan = course.schema, course.plan
        party, cohort = self._desk.party(plan), self._people.contributing.restrict(schema.columns)
        cohort = sampling.drawn(cohort, schema.sampling, party.secret, context)
        sums = course.analysis.summarise(cohort, course.state)

        def values() -> Iterator[Integers]:
            for block, part in zip(schema.blocks, sums, strict=True):
                yield encode(block, part, cohort.n)

        if account := agreement.account(plan):
            account.check_next(self._asked, context.step)
        self._asked.append(context.step)
        protection = agreement.protection(plan)
        return protection.site(context, party, schema, values())

    def _take(self, step: Step, result: object) -> dict[str, Any]:
        """Derive what a step's result gives for each person, and say the site's own figures."""
        analysis = registry.build(step, self._running.known)
        if digest := self._people.derive(step, analysis, result):
            self._desk.note("derived", step=step.name, salted_sha256=digest)
        return {"figures": self._people.figures(step, analysis, result)}

    def _close(self, course: Course) -> dict[str, Any]:
        """Write what stays here and seal the ledger."""
        written = self._people.write(self._output, course.results)
        return self._desk.close(self._output, written)

    def _written(self) -> None:
        """Go on: an answer has been written down, so that it is this site's only one."""
        super()._written()
        if self._accepted is not None:
            schema, total = self._accepted
            self._desk.journal.settle(map(to_bytes, schema.blocks, total))
            self._accepted = None

    def resume(self) -> None:
        """Come to where this site stood before it was stopped, by its journal; send nothing.

        What it computes again must be what it computed then: IntegrityError where it is not.
        """
        for told in self._desk.journal.retold():
            if told.total:
                course = self._running
                pairs = zip(course.schema.blocks, told.frames, strict=True)
                self._asked += [course.step.name] * sum(line.begins for line in told.lines)
                course.total([from_bytes(block, data) for block, data in pairs])
                continue
            request = wire.read(told.frames, self._desk.peers.verify)
            self._begin_again(request)
            self._desk.check_same(told.lines[0], self._answer(request))
            self._written()
        self._desk.enter_releases()
