"""A centre made by hand, that can be told to lie.

It speaks the wire with the centre's real key, is honest when asked to go on, and sends
whatever a test makes up.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from equipoise.federation import agreement, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.identity import CENTRE, Identity
from equipoise.federation.wire import Envelope
from equipoise.plan import Member, Plan
from equipoise.protection import CentreMachine, Message
from equipoise.protections import kinds
from equipoise.step import Done, Next
from federation.building import Federation, Frames


@dataclass(frozen=True)
class Answer:
    """What came back, read and verified."""

    kind: str
    body: Mapping[str, Any]
    head: bytes
    blocks: list[bytes]
    frames: Frames


Requests = Mapping[str, Message]


@dataclass
class Driver:
    """A centre made by hand."""

    federation: Federation
    plan: Plan | None = None
    signatures: dict[str, str] = field(default_factory=dict[str, str])
    course: Course | None = None
    phase: int = 0
    machine: CentreMachine | None = None
    waiting: Requests | None = None
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])

    def frames(
        self,
        to: str,
        kind: str,
        body: Mapping[str, Any],
        message: Message | None = None,
        *,
        sender: str = CENTRE,
        signer: Identity | None = None,
    ) -> Frames:
        """Return a message in the centre's name, or in another's."""
        message = message or Message()
        envelope = Envelope(kind, sender, {"to": to, **body}, message.head, message.blocks)
        identity = signer or self.federation.identities[CENTRE]
        return list(wire.frames(envelope, identity.sign))

    def send(self, to: str, frames: Iterable[bytes]) -> Answer:
        """Give a message to a site and read its answer to the end."""
        came = list(self.federation.sites[to].handle(iter(frames)))
        read = wire.read(iter(came), self.federation.peers.verify)
        assert read.sender == to
        return Answer(read.kind, read.body, read.head, list(read.blocks), came)

    def ask(
        self, kind: str, body: Mapping[str, Any], messages: Requests | None = None
    ) -> dict[str, Answer]:
        """Ask all sites, and fail where one refuses."""
        answers: dict[str, Answer] = {}
        for name in self.federation.names:
            message = (messages or {}).get(name)
            answers[name] = self.send(name, self.frames(name, kind, body, message))
            assert answers[name].kind != "refusal", answers[name].body
        return answers

    @property
    def hello(self) -> dict[str, Any]:
        return {"study": self.federation.public, "variants": self.federation.variants}

    def to_plan(self) -> "Driver":
        """Go to where a plan is to be signed."""
        answers = self.ask("hello", self.hello)
        members = tuple(Member(**answers[name].body["member"]) for name in sorted(answers))
        self.plan = self.federation.compiled(members)
        return self

    def to_agreed(self) -> "Driver":
        """Go to where the sites are to hear of one another's signatures."""
        self.to_plan()
        assert self.plan is not None
        plan = dict.fromkeys(self.federation.names, Message(self.plan.to_bytes()))
        answers = self.ask("plan", {}, plan)
        self.signatures = {name: answers[name].body["signature"] for name in answers}
        return self

    def to_start(self) -> "Driver":
        """Go to the first message of the first step."""
        self.to_agreed()
        self.ask("agreed", {"signatures": self.signatures})
        assert self.plan is not None
        self.course = Course(self.plan, registry.build, {})
        return self

    def until(self, step: str, due: str, phase: int = 0) -> "Driver":
        """Go to a phase of the round of a step, or to where its state or result is due."""
        if self.course is None:
            self.to_start()
        while not self._at(step, due, phase):
            assert not self.running.finished
            self.go()
        return self

    def to_end(self) -> "Driver":
        """Go to where the run is to be closed."""
        if self.course is None:
            self.to_start()
        while not self.running.finished:
            self.go()
        return self

    @property
    def running(self) -> Course:
        assert self.course is not None
        return self.course

    def go(self) -> None:
        """Send the next message as an honest centre would."""
        course = self.running
        if not course.asks:
            self.ask("outcome", self.outcome, self.publishing())
            course.adopt(course.follows)
            return
        self.ask_only(self.next_phase())
        self.take()

    def ask_only(self, messages: Requests) -> None:
        """Send the phase that is due, and keep the answers."""
        self.answers = self.ask("round", self.round, messages)

    def take(self) -> None:
        """Go on from the answers, as far as the next request or the end of the round."""
        self.waiting, self.phase = None, self.phase + 1
        assert self.machine is not None
        outcome = self.machine.step(
            {name: Message(answer.head, answer.blocks) for name, answer in self.answers.items()}
        )
        if isinstance(outcome, Done):
            self.machine, self.phase = None, 0
            self.running.total(outcome.result)
        else:
            self.waiting = _kept(outcome.state)

    def signing(self, to: str) -> Frames:
        """Return the message that puts the plan before a site."""
        assert self.plan is not None
        return self.frames(to, "plan", {}, Message(self.plan.to_bytes()))

    @property
    def outcome(self) -> dict[str, Any]:
        return agreement.published(self.running)

    @property
    def round(self) -> dict[str, Any]:
        return agreement.asked(agreement.context(self.running), self.phase)

    @property
    def closing(self) -> dict[str, Any]:
        return agreement.closing(self.running.plan, self.running.place)

    def publishing(self, change: Callable[[Any], Any] = lambda record: record) -> Requests:
        """Return what follows, to every site, once `change` has had its way with the record."""
        follows = self.running.follows
        changed = (
            Done(change(follows.result))
            if isinstance(follows, Done)
            else Next(change(follows.state))
        )
        return self.everybody(Message(b"", wire.pack_outcome(changed)))

    def everybody(self, message: Message) -> Requests:
        return dict.fromkeys(self.federation.names, message)

    def next_phase(self) -> Requests:
        """Return the messages of the phase that is due; the same when asked again."""
        if self.machine is None:
            context = agreement.context(self.running)
            kind = kinds.protection(self.running.plan.protection)
            self.machine = kind.centre(context, self.running.schema)
            outcome = self.machine.step({})
            assert isinstance(outcome, Next)
            self.waiting = _kept(outcome.state)
        assert self.waiting is not None
        return self.waiting

    def _at(self, step: str, due: str, phase: int) -> bool:
        course = self.running
        here = not course.finished and course.step.name == step
        if due == "round":
            return here and course.asks and self.phase == phase
        ends = here and not course.asks and isinstance(course.follows, Done)
        return ends if due == "result" else here and not course.asks


def _kept(messages: Requests) -> dict[str, Message]:
    return {name: replace(m, blocks=list(m.blocks)) for name, m in messages.items()}
