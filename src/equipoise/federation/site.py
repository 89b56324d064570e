"""The gate: the only place that holds people's rows and a wire at the same time.

Read from top to bottom, this is the guarantee that a site gives its people. The site
follows the run by itself (`course`): it knows which step, round and state come next,
because it computes them from the plan that it signed and from published totals. For
each request the order is fixed by this code:

    check plan and state -> roster -> summarise -> check schema and budgets -> encode
    -> protect -> journal, ledger -> sign -> send

What is not expected is refused, and the refusal goes to the site's own ledger.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from equipoise.errors import EquipoiseError, FaultError, ProtocolError
from equipoise.federation import agreement, budget, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE
from equipoise.federation.people import People
from equipoise.federation.wire import Envelope
from equipoise.plan import Plan
from equipoise.protection import Context, Message, SiteMachine
from equipoise.step import Done
from equipoise.sums import Integers, Schema, encode, from_bytes, to_bytes

logger = logging.getLogger(__name__)


class Site:
    """One site: its people on one side, its desk on the other, and this gate between."""

    def __init__(self, people: People, desk: Desk, output: Path) -> None:
        """`output` is the site's own folder, for files that stay with it."""
        self._people, self._desk, self._output = people, desk, output
        self._plan: Plan | None = None
        self._course: Course | None = None
        self._machine: SiteMachine | None = None
        self._phase = self._attempt = 0
        self._asked: list[str] = []
        self._broken = False
        self._accepted: tuple[Schema, Sequence[Integers]] | None = None

    def handle(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        """Answer one message. A refusal is an answer too, and an entry in the ledger."""
        request_id = ""
        try:
            request = wire.read(self._desk.journal.listen(stream), self._desk.peers.verify)
            request_id = request.id
            if request.sender != CENTRE or request.body.get("to") != self._desk.name:
                raise ProtocolError("the message is not from the centre to this site")
            answer = self._desk.repeated(request.id)
            if answer is not None:
                wire.whole(request.blocks)
            else:
                self._begin_again(request)
                stand = self._course, self._phase, self._attempt
                place = agreement.place(request.kind, *stand)
                self._desk.open(place)
                answer = self._desk.send(request, place, self._answer(request))
                self._written()
        except EquipoiseError as error:
            answer = self._desk.refuse(error, request_id)
        except Exception:  # whatever broke: the centre is told nothing but that it did
            logger.exception("%s failed", self._desk.name)
            answer = self._desk.refuse(FaultError("the site failed; see its log"), request_id)
        yield from answer

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

    def _written(self) -> None:
        """Go on: an answer has been written down, so that it is this site's only one."""
        self._broken = False
        if self._accepted is not None:
            schema, total = self._accepted
            self._desk.journal.settle(map(to_bytes, schema.blocks, total))
            self._accepted = None

    def _answer(self, request: Envelope) -> Envelope:
        kinds: Mapping[str, Callable[[Envelope], Envelope]] = {
            "hello": self._announce,
            "plan": self._sign_plan,
            "agreed": self._begin,
            "round": self._take_part,
            "outcome": self._follow,
            "close": self._close,
        }
        if request.kind not in kinds:
            raise ProtocolError(f"no message of the kind {request.kind!r} is answered here")
        if self._broken:
            raise ProtocolError("this site refused in the midst of the run: it has ended here")
        if request.kind not in ("round", "outcome"):
            wire.end(request.blocks)
        return kinds[request.kind](request)

    def _announce(self, request: Envelope) -> Envelope:
        """Fix the roster; announce the site's keys and how many people take part."""
        agreement.check_study(request.body, self._desk.study, self._desk.variants)
        digest = self._people.fix(str(self._desk.study["id"]))
        self._desk.note("roster", salted_sha256=digest, admitted=self._people.roster.n)
        own = self._desk.member(self._people.roster.n)
        return self._desk.envelope("hello", {"member": asdict(own), "people": self._people.counts})

    def _sign_plan(self, request: Envelope) -> Envelope:
        """Sign the plan, once it is the approved one and lets out no more than is allowed."""
        plan = Plan.from_bytes(request.head)
        if self._plan is not None:
            raise ProtocolError("a plan has been signed for this run")
        self._desk.check_plan(plan, self._people.roster.n)
        self._people.check_plan(plan, self._desk.member(self._people.roster.n))
        budget.check(plan, budget.disclosure(plan, registry.build))
        self._plan = plan
        self._desk.note("plan", sha256=plan.digest().hex())
        signature = self._desk.identity.sign(agreement.content(plan))
        return self._desk.envelope("signed", {"signature": signature.hex()})

    def _begin(self, request: Envelope) -> Envelope:
        """Begin to follow the plan, once every site has signed it."""
        if self._plan is None or self._course is not None:
            raise ProtocolError("no plan waits for the other sites' signatures")
        agreement.check_signatures(self._plan, request.body, self._desk.peers.verify)
        self._course = Course(self._plan, registry.build, self._desk.publics)
        return self._desk.envelope("ready", {})

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

        At an external site the roster is nobody's: its sums are zeros.
        """
        schema, plan = course.schema, course.plan
        cohort = self._people.contributing.restrict(schema.columns)
        sums = course.analysis.summarise(cohort, course.state)

        def values() -> Iterator[Integers]:
            for block, part in zip(schema.blocks, sums, strict=True):
                yield encode(block, part, cohort.n)

        if account := agreement.account(plan):
            account.check_next(self._asked, context.step)
        self._asked.append(context.step)
        protection = agreement.protection(plan)
        return protection.site(context, self._desk.party(plan), schema, values())

    def _follow(self, request: Envelope) -> Envelope:
        """Adopt what the centre published, if it is what the site computed itself."""
        course = self._running
        agreement.check_due(request.body, agreement.published(course))
        step, number = course.step, course.round
        published = wire.unpack_outcome(request.blocks, registry.RECORDS)
        course.adopt(published)
        self._broken = True  # until the answer is written down
        record = published.result if isinstance(published, Done) else published.state
        digest = hashlib.sha256(wire.pack_record(record)).hexdigest()
        self._desk.note("state", step=step.name, round=number, sha256=digest)
        if not isinstance(published, Done):
            return self._desk.envelope("adopted", {})
        analysis = registry.build(step, course.results)
        if digest := self._people.derive(step, analysis, record):
            self._desk.note("derived", step=step.name, salted_sha256=digest)
        figures = self._people.figures(step, analysis, record)
        return self._desk.envelope("adopted", {"figures": figures})

    def _close(self, request: Envelope) -> Envelope:
        """End the run: write what stays here and seal the ledger."""
        course = self._running
        agreement.check_due(request.body, agreement.closing(course.plan, course.place))
        if not course.finished:
            raise ProtocolError("the plan has not ended")
        written = self._people.write(self._output, course.results)
        return self._desk.envelope("closed", self._desk.close(self._output, written))

    @property
    def _running(self) -> Course:
        if self._course is None:
            raise ProtocolError("the run has not begun")
        return self._course
