"""The loop at the centre: it asks, adds up, publishes, and holds nothing but totals."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, Protocol

from equipoise import errors
from equipoise.errors import (
    FaultError,
    LostError,
    ProtocolError,
    RefusedError,
    RestartedError,
    TransportError,
)
from equipoise.federation import agreement, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.identity import Identity, Peers
from equipoise.federation.wire import Envelope
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.plan import KEEPER, Member, Plan
from equipoise.protection import Ahead, Message, joint_digest
from equipoise.step import Done
from equipoise.sums import Integers, to_bytes
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
    """What a run gives: public results, announcements and figures by site.

    lost  the sites that were lost on the way, and at which step
    """

    plan: Plan
    people: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Mapping[str, Any]]]
    timings: Mapping[str, float]
    place: str
    lost: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Centre:
    """The centre of a run. Of a site it has a name and a key, and bytes.

    Whatever it does follows from what it is given here and from the sites' answers.

    run_id  tells this run from another of the same study
    """

    identity: Identity
    peers: Peers
    transport: Transport
    ledger: Log
    compile: Callable[[tuple[Member, ...]], Plan]
    publics: Mapping[str, Any]
    progress: Progress | None = None
    run_id: str = ""
    figures: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    timings: dict[str, float] = field(default_factory=dict[str, float])
    lost: dict[str, str] = field(default_factory=dict[str, str])
    _ahead: Ahead = field(default_factory=dict[bytes, Any])
    _course: Course | None = None

    def run(self, study: Mapping[str, Any], variants: str) -> Run:
        """Run a study from the first message to the last.

        Raises what a site raised where it refused, with the site's name and its reason.
        """
        hello = {"study": dict(study), "variants": variants, "run": self.run_id}
        announced = self._ask("hello", hello)
        announced.pop(KEEPER, None)  # it has no people
        people = {site: envelope.body["people"] for site, envelope in announced.items()}
        plan = self.compile(tuple(self._member(announced[s]) for s in sorted(announced)))
        self._sign(plan)
        course = self._course = Course(plan, registry.build, self.publics)
        if self.progress:
            self.progress.begin(tuple(step.name for step in plan.steps))
        while not course.finished:
            began, step = perf_counter(), course.step.name
            self._round(course) if course.asks else self._publish(course)
            self.timings[step] = self.timings.get(step, 0.0) + perf_counter() - began
        return Run(
            plan, people, course.results, self.figures, self.timings, course.place, self.lost
        )

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
        """Have every party sign the plan, and give each the signatures of all."""
        signed = self._ask("plan", {}, {s: Message(plan.to_bytes()) for s in plan.parties})
        signatures = {site: envelope.body["signature"] for site, envelope in signed.items()}
        agreement.check_signatures(plan, {"signatures": signatures}, self.peers.verify)
        digest = plan.digest().hex()
        self.ledger.append(Entry("plan", {"sha256": digest}))
        for site, signature in sorted(signatures.items()):
            body = {"site": site, "plan": digest, "signature": signature}
            self.ledger.append(Entry("agreement", body))
        self._ask("agreed", {"signatures": signatures})

    def _round(self, course: Course) -> None:
        """Take one round to the accepted total, again where a site is lost in mid-message."""
        if self.progress:
            self.progress.at(course.step.name, course.round)
        for attempt in range(agreement.MOST_ATTEMPTS):
            try:
                total = self._attempted(course, attempt)
            except LostError as error:
                self._lose(course, [error.site])
                continue
            self._enter(course, attempt, total)
            course.total(total)
            return
        raise TransportError("a site was lost at every attempt at this round; see its network")

    def _attempted(self, course: Course, attempt: int) -> Sequence[Integers]:
        """Take one attempt through the phases of its protection.

        Each party counts the phases that it is asked for: all sites the same, a keeper its own.
        """
        context, schema = agreement.context(course, attempt), course.schema
        machine = agreement.protection(course.plan).centre(context, schema, self._ahead)
        answers: Mapping[str, Message] = {}
        phases = Counter[bool]()
        while not isinstance(outcome := machine.step(answers), Done):
            keeper = KEEPER in outcome.state
            body = agreement.asked(context, phases[keeper])
            answered = self._ask("round", body, outcome.state)
            answers = {s: Message(e.head, e.blocks) for s, e in answered.items()}
            phases[keeper] += 1
        return outcome.result

    def _enter(self, course: Course, attempt: int, total: Sequence[Integers]) -> None:
        """Enter the release of a total."""
        blocks = course.schema.blocks
        sha256 = joint_digest(map(to_bytes, blocks, total)).hex()
        size = sum(8 * field.size for block in blocks for field in block.values())
        place = {"step": course.step.name, "round": course.round, "attempt": attempt}
        content = {"phase": "total", "sha256": sha256, "bytes": size}
        self.ledger.append(Entry("release", {**place, **content}))

    def _receive(
        self,
        kind: str,
        body: Mapping[str, Any],
        answers: Mapping[str, Envelope],
        refusals: Sequence[errors.EquipoiseError],
    ) -> None:
        """Enter what came from each site, by the digest that the site entered for it.

        Raises a site's refusal; at once where the site broke, since then this exchange is made
        again when the run is taken up.
        """
        for refusal in refusals:
            if not isinstance(refusal, RefusedError):
                raise refusal
        phase, attempt = body.get("phase", 0), body.get("attempt", 0)
        place = asdict(agreement.place(kind, self._course, phase, attempt))
        for site, answer in answers.items():
            if answer.kind not in ("refusal", "closed"):  # a site enters neither as a release
                self.ledger.append(Entry("received", {"site": site, **place, "sha256": answer.id}))
        for refusal in refusals:
            raise refusal

    def _lose(self, course: Course, sites: Iterable[str]) -> None:
        """Go on without some sites, to the end of the run."""
        step = "end" if course.finished else course.step.name
        for site in sites:
            self.lost[site] = step
            self.ledger.append(Entry("lost", {"site": site, "step": step, "round": course.round}))

    def _publish(self, course: Course) -> None:
        """Publish what follows from the totals; every site checks it, then goes on from it."""
        blocks = wire.pack_outcome(course.follows)
        step, number = course.step.name, course.round
        sha256 = hashlib.sha256(blocks[1]).hexdigest()
        self.ledger.append(Entry("state", {"step": step, "round": number, "sha256": sha256}))
        message = Message(b"", blocks)
        body = agreement.published(course)
        adopted = self._ask("outcome", body, dict.fromkeys(course.plan.parties, message))
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
        """Send one message to every site that is left, and return the answers.

        `messages`, where given, are for the sites that are asked. Refusals are raised, and so
        is that a site gave no answer, unless all have agreed to go on without it.
        """
        requests: dict[str, Iterator[bytes]] = {}
        asked = [site for site in messages or self.transport.sites if site not in self.lost]
        for site in asked:
            message = (messages or {}).get(site, Message())
            envelope = Envelope(
                kind, self.identity.name, {**body, "to": site}, message.head, message.blocks
            )
            requests[site] = wire.frames(envelope, self.identity.sign)
        streams = self.transport.exchange(requests)
        answers: dict[str, Envelope] = {}
        gone: dict[str, TransportError] = {}
        for site in sorted(asked):
            try:
                answers[site] = wire.read(streams[site], self.peers.verify)
            except RestartedError:
                raise  # it is not lost
            except TransportError as error:
                gone[site] = error
        for site, answer in answers.items():
            if answer.sender != site:
                raise ProtocolError(f"the answer of {site} is signed by another")
        refusals = [_refusal(s, a.body) for s, a in answers.items() if a.kind == "refusal"]
        going_on = self._course is not None and self._course.plan.lost_site == "go_on"
        if gone and not going_on and not refusals:
            error = gone[min(gone)]
            raise TransportError(f"no answer from {', '.join(gone)}: {error}") from error
        self._receive(kind, body, answers, refusals)
        if gone and self._course is not None:
            self._lose(self._course, gone)
        return answers


def _refusal(site: str, body: Mapping[str, Any]) -> errors.EquipoiseError:
    """Return the error that a site's refusal stands for."""
    kind = getattr(errors, str(body.get("error")), FaultError)
    if not (isinstance(kind, type) and issubclass(kind, errors.EquipoiseError)):
        kind = FaultError
    return kind(f"site {site} refuses: {body.get('reason')}")
