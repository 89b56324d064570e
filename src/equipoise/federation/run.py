"""The loop at the centre: it asks, adds up, publishes, and holds nothing but totals."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from equipoise import errors
from equipoise.errors import FaultError, ProtocolError, TransportError
from equipoise.federation import agreement, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.identity import Identity, Peers
from equipoise.federation.wire import Envelope
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.plan import Member, Plan
from equipoise.protection import Message
from equipoise.protections import kinds
from equipoise.step import Done
from equipoise.sums import Integers
from equipoise.transport import Transport


class Progress(Protocol):
    """Is told how far a run has come."""

    def begin(self, steps: tuple[str, ...]) -> None:
        """The plan is signed; these are its steps."""
        ...

    def at(self, step: str, round: int) -> None:  # noqa: A002
        """The run stands at this round of this step."""
        ...


@dataclass(slots=True)
class Run:
    """What a run gives: public results, announcements and figures by site."""

    plan: Plan
    people: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Mapping[str, Any]]]
    timings: Mapping[str, float]
    place: str


@dataclass(slots=True)
class Centre:
    """The centre of a run. Of a site it has a name and a key, and bytes."""

    identity: Identity
    peers: Peers
    transport: Transport
    ledger: Log
    compile: Callable[[tuple[Member, ...]], Plan]
    publics: Mapping[str, Any]
    progress: Progress | None = None
    figures: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    timings: dict[str, float] = field(default_factory=dict[str, float])

    def run(self, study: Mapping[str, Any], variants: str) -> Run:
        """Run a study from the first message to the last.

        Raises what a site raised where it refused, with the site's name and its reason.
        """
        announced = self._ask("hello", {"study": dict(study), "variants": variants})
        people = {site: envelope.body["people"] for site, envelope in announced.items()}
        plan = self.compile(tuple(self._member(announced[s]) for s in sorted(announced)))
        self._sign(plan)
        course = Course(plan, registry.build, self.publics)
        if self.progress:
            self.progress.begin(tuple(step.name for step in plan.steps))
        while not course.finished:
            began, step = perf_counter(), course.step.name
            self._round(course) if course.asks else self._publish(course)
            self.timings[step] = self.timings.get(step, 0.0) + perf_counter() - began
        return Run(plan, people, course.results, self.figures, self.timings, course.place)

    def close(self, run: Run) -> dict[str, Mapping[str, Any]]:
        """Tell every site that the run has ended; return their ledgers' checkpoints."""
        body = agreement.closing(run.plan, run.place)
        return {site: answer.body for site, answer in self._ask("close", body).items()}

    def _member(self, announced: Envelope) -> Member:
        try:
            member = Member(**announced.body["member"])
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"{announced.sender} announced itself in another form") from error
        if member.name != announced.sender:
            raise ProtocolError(f"{announced.sender} announced itself under another name")
        return member

    def _sign(self, plan: Plan) -> None:
        """Have every site sign the plan, and give each the signatures of all."""
        signed = self._ask("plan", {}, {s: Message(plan.to_bytes()) for s in plan.sites})
        signatures = {site: envelope.body["signature"] for site, envelope in signed.items()}
        agreement.check_signatures(plan, {"signatures": signatures}, self.peers.verify)
        digest = plan.digest().hex()
        self.ledger.append(Entry("plan", {"sha256": digest}))
        for site, signature in sorted(signatures.items()):
            body = {"site": site, "plan": digest, "signature": signature}
            self.ledger.append(Entry("agreement", body))
        self._ask("agreed", {"signatures": signatures})

    def _round(self, course: Course) -> None:
        """Take one round through the phases of its protection, up to the accepted total."""
        context, schema = agreement.context(course), course.schema
        if self.progress:
            self.progress.at(course.step.name, course.round)
        machine = kinds.protection(course.plan.protection).centre(context, schema)
        answers: Mapping[str, Message] = {}
        phase = 0
        while not isinstance(outcome := machine.step(answers), Done):
            answered = self._ask("round", agreement.asked(context, phase), outcome.state)
            answers = {s: Message(e.head, e.blocks) for s, e in answered.items()}
            phase += 1
        self._enter(course, outcome.result)
        course.total(outcome.result)

    def _enter(self, course: Course, total: tuple[Integers, ...]) -> None:
        """Enter the release of a total."""
        blocks = [b"".join(v.astype("<i8").tobytes() for v in part.values()) for part in total]
        sha256 = wire.digest_of(blocks)[1]
        place = {"step": course.step.name, "round": course.round, "attempt": 0, "phase": "total"}
        size = sum(map(len, blocks))
        self.ledger.append(Entry("release", {**place, "sha256": sha256, "bytes": size}))

    def _publish(self, course: Course) -> None:
        """Publish what follows from the totals; every site checks it, then goes on from it."""
        blocks = wire.pack_outcome(course.follows)
        step, number = course.step.name, course.round
        sha256 = hashlib.sha256(blocks[1]).hexdigest()
        self.ledger.append(Entry("state", {"step": step, "round": number, "sha256": sha256}))
        message = Message(b"", blocks)
        body = agreement.published(course)
        adopted = self._ask("outcome", body, dict.fromkeys(course.plan.sites, message))
        course.adopt(course.follows)
        figures = {s: e.body["figures"] for s, e in adopted.items() if e.body.get("figures")}
        if figures:
            self.figures[step] = figures

    def _ask(
        self,
        kind: str,
        body: Mapping[str, Any],
        messages: Mapping[str, Message] | None = None,
    ) -> dict[str, Envelope]:
        """Send one message to every site and return the answers, refusals as errors."""
        requests: dict[str, Iterator[bytes]] = {}
        for site in self.transport.sites:
            message = (messages or {}).get(site, Message())
            envelope = Envelope(
                kind, self.identity.name, {**body, "to": site}, message.head, message.blocks
            )
            requests[site] = wire.frames(envelope, self.identity.sign)
        streams = self.transport.exchange(requests)
        answers = {site: wire.read(streams[site], self.peers.verify) for site in sorted(streams)}
        for site, answer in answers.items():
            if answer.sender != site:
                raise ProtocolError(f"the answer of {site} is signed by another")
        for site, answer in answers.items():
            if answer.kind == "refusal":
                raise _refusal(site, answer.body)
        if set(answers) != set(self.transport.sites):
            raise TransportError("not every site answered")
        return answers


def _refusal(site: str, body: Mapping[str, Any]) -> errors.EquipoiseError:
    """Return the error that a site's refusal stands for."""
    kind = getattr(errors, str(body.get("error")), FaultError)
    if not (isinstance(kind, type) and issubclass(kind, errors.EquipoiseError)):
        kind = FaultError
    return kind(f"site {site} refuses: {body.get('reason')}")
