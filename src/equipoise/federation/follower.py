"""What a site and a key keeper have in common: how a message is answered, and what is followed.

A follower knows by itself where the run stands (`course`), from the plan that it signed and from
published totals. It answers what is due there, once; anything else is refused, and the refusal
goes to its own ledger.
"""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final

from equipoise.errors import EquipoiseError, FaultError, ProtocolError
from equipoise.federation import agreement, registry, wire
from equipoise.federation.agreement import Place
from equipoise.federation.course import Course
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE
from equipoise.federation.wire import Envelope
from equipoise.plan import Plan, Step
from equipoise.step import Done, Next

logger = logging.getLogger(__name__)

_KINDS: Final = ("hello", "plan", "agreed", "round", "outcome", "close")


class Follower(ABC):
    """A party that follows a run from its desk.

    plan    as it signed it
    course  once all have signed
    broken  whether it failed in mid-answer: then it has ended here
    """

    def __init__(self, desk: Desk) -> None:
        """Follow a run that has not begun."""
        self._desk = desk
        self._plan: Plan | None = None
        self._course: Course | None = None
        self._broken = False

    def handle(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        """Answer one message. A refusal is an answer too, and an entry in the ledger."""
        request_id, desk = "", self._desk
        try:
            request = wire.read(desk.journal.listen(stream), desk.peers.verify)
            request_id = request.id
            if request.sender != CENTRE or request.body.get("to") != desk.name:
                raise ProtocolError(f"the message is not from the centre to {self._desk.who}")
            answer = desk.repeated(request.id)
            if answer is not None:
                wire.whole(request.blocks)
            else:
                place = self._place(request)
                desk.open(place)
                answer = desk.send(request, place, self._answer(request))
                self._written()
        except EquipoiseError as error:
            answer = desk.refuse(error, request_id)
        except Exception:  # whatever broke: the centre is told nothing but that it did
            logger.exception("%s failed", desk.name)
            answer = desk.refuse(FaultError(f"{self._desk.who} failed; see its log"), request_id)
        yield from answer

    def _answer(self, request: Envelope) -> Envelope:
        """Return the answer to a request, as far as the run is at that."""
        if request.kind not in _KINDS:
            raise ProtocolError(f"no message of the kind {request.kind!r} is answered here")
        if self._broken:
            raise ProtocolError(
                f"{self._desk.who} refused in the midst of the run: it has ended here"
            )
        if request.kind not in ("round", "outcome"):
            wire.end(request.blocks)
        if request.kind == "hello":
            agreement.check_study(request.body, self._desk.study, self._desk.variants)
            return self._announce()
        if request.kind == "plan":
            return self._sign(Plan.from_bytes(request.head))
        if request.kind == "agreed":
            return self._begin(request)
        if request.kind == "round":
            return self._take_part(request)
        return self._follow(request) if request.kind == "outcome" else self._end(request)

    def _sign(self, plan: Plan) -> Envelope:
        """Sign the plan, once it is the approved one and lets out no more than is allowed."""
        if self._plan is not None:
            raise ProtocolError("a plan has been signed for this run")
        self._check(plan)
        self._plan = plan
        self._desk.note("plan", sha256=plan.digest().hex())
        signature = self._desk.identity.sign(agreement.content(plan))
        return self._desk.envelope("signed", {"signature": signature.hex()})

    def _begin(self, request: Envelope) -> Envelope:
        """Begin to follow the plan, once every party has signed it."""
        if self._plan is None or self._course is not None:
            raise ProtocolError("no plan waits for the other parties' signatures")
        agreement.check_signatures(self._plan, request.body, self._desk.peers.verify)
        self._course = Course(self._plan, registry.build, self._desk.publics)
        return self._desk.envelope("ready", {})

    def _follow(self, request: Envelope) -> Envelope:
        """Adopt what the centre published, if it is what follows here as well."""
        course = self._running
        agreement.check_due(request.body, agreement.published(course))
        step, number = course.step, course.round
        published: Next[Any] | Done[Any] = wire.unpack_outcome(request.blocks, registry.RECORDS)
        course.adopt(published)
        self._broken = True  # until the answer is written down
        record = published.result if isinstance(published, Done) else published.state
        digest = hashlib.sha256(wire.pack_record(record)).hexdigest()
        self._desk.note("state", step=step.name, round=number, sha256=digest)
        said = self._take(step, record) if isinstance(published, Done) else {}
        return self._desk.envelope("adopted", said)

    def _end(self, request: Envelope) -> Envelope:
        """End the run, once the plan has."""
        course = self._running
        agreement.check_due(request.body, agreement.closing(course.plan, course.place))
        if not course.finished:
            raise ProtocolError("the plan has not ended")
        return self._desk.envelope("closed", self._close(course))

    def _written(self) -> None:
        """Go on: an answer has been written down, so that it is the only one."""
        self._broken = False

    @property
    def _running(self) -> Course:
        if self._course is None:
            raise ProtocolError("the run has not begun")
        return self._course

    @abstractmethod
    def _place(self, request: Envelope) -> Place:
        """Return where it stands, whatever a request says."""

    @abstractmethod
    def _announce(self) -> Envelope:
        """Return what it says of itself."""

    @abstractmethod
    def _check(self, plan: Plan) -> None:
        """Raise unless this is a plan that it may sign."""

    @abstractmethod
    def _take_part(self, request: Envelope) -> Envelope:
        """Answer one phase of the round that is due."""

    @abstractmethod
    def _take(self, step: Step, result: object) -> dict[str, Any]:
        """Take the result of a step; return what it says to that."""

    @abstractmethod
    def _close(self, course: Course) -> dict[str, Any]:
        """Seal its ledger and return the checkpoint."""
