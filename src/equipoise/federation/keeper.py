"""The key keeper's gate: it has keys and no rows, and decrypts the totals that are due.

Like a site (`site`) it follows the run by itself, from the plan that it signed and from the
totals that it decrypted: it knows which round comes next and what follows from it. For each
round it makes one key and decrypts once:

    check plan and state -> contributions of all sites, each signed for this round and key
    -> decrypt -> check schema -> journal, ledger -> sign -> send

What is not expected is refused, and the refusal goes to the keeper's own ledger, in which each
decryption is entered as well: whose contributions went in, and which total came out.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from equipoise.errors import EquipoiseError, FaultError, ProtocolError
from equipoise.federation import agreement, budget, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE
from equipoise.federation.wire import Envelope
from equipoise.plan import KEEPER, Plan
from equipoise.protection import Ahead, Context, Message, Party
from equipoise.protections.encrypted import Encrypted
from equipoise.protections.encrypted_keeper import DIGEST, LEAST, KeyKeeper
from equipoise.protections.secrets import unpack
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done

logger = logging.getLogger(__name__)


class Keeper:
    """The key keeper of one run: a desk, a key for each round, and this gate before them."""

    def __init__(self, desk: Desk) -> None:
        """`desk` bears the name `KEEPER`."""
        self._desk = desk
        self._plan: Plan | None = None
        self._course: Course | None = None
        self._machine: KeyKeeper | None = None
        self._ahead: Ahead = {}
        self._phase = 0
        self._broken = False

    def handle(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        """Answer one message. A refusal is an answer too, and an entry in the ledger."""
        request_id = ""
        try:
            request = wire.read(stream, self._desk.peers.verify)
            request_id = request.id
            if request.sender != CENTRE or request.body.get("to") != KEEPER:
                raise ProtocolError("the message is not from the centre to the key keeper")
            answer = self._desk.repeated(request.id)
            if answer is not None:
                wire.whole(request.blocks)
            else:
                place = agreement.place(request.kind, self._course, self._phase)
                self._desk.open(place)
                answer = self._desk.send(request, place, self._answer(request))
                self._broken = False
        except EquipoiseError as error:
            answer = self._desk.refuse(error, request_id)
        except Exception:  # whatever broke: the centre is told nothing but that it did
            logger.exception("the key keeper failed")
            error = FaultError("the key keeper failed; see its log")
            answer = self._desk.refuse(error, request_id)
        yield from answer

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
            raise ProtocolError("the key keeper refused in the midst of the run: it has ended here")
        if request.kind not in ("round", "outcome"):
            wire.end(request.blocks)
        return kinds[request.kind](request)

    def _announce(self, request: Envelope) -> Envelope:
        """Say that the study is the one that is known here."""
        agreement.check_study(request.body, self._desk.study, self._desk.variants)
        return self._desk.envelope("hello", {})

    def _sign_plan(self, request: Envelope) -> Envelope:
        """Sign the plan, if it is what follows from the study and lets out no more than allowed."""
        plan, desk = Plan.from_bytes(request.head), self._desk
        if self._plan is not None:
            raise ProtocolError("a plan has been signed for this run")
        parties = {name: key for name, key in desk.peers.keys.items() if name != CENTRE}
        agreement.check_plan(plan, None, parties, desk.study)
        said = {"study": dict(plan.study), "variants": plan.variants}
        agreement.check_study(said, desk.study, desk.variants)
        desk.approve(plan)
        budget.check(plan, budget.disclosure(plan, registry.build))
        self._plan = plan
        desk.note("plan", sha256=plan.digest().hex())
        return desk.envelope(
            "signed", {"signature": desk.identity.sign(agreement.content(plan)).hex()}
        )

    def _begin(self, request: Envelope) -> Envelope:
        """Begin to follow the plan, once every party has signed it."""
        if self._plan is None or self._course is not None:
            raise ProtocolError("no plan waits for the other parties' signatures")
        agreement.check_signatures(self._plan, request.body, self._desk.peers.verify)
        self._course = Course(self._plan, registry.build, self._desk.publics)
        return self._desk.envelope("ready", {})

    def _take_part(self, request: Envelope) -> Envelope:
        """Answer one phase of the round that is due: a public key, then the total."""
        course = self._running
        context = agreement.context(course)
        agreement.check_due(request.body, agreement.asked(context, self._phase))
        if not course.asks:
            raise ProtocolError("no round is due here before what follows is published")
        self._broken = True  # until the answer is written down
        machine = self._machine or self._made(course, context)
        self._machine, self._phase = machine, self._phase + 1
        outcome = machine.step(Message(request.head, request.blocks))
        wire.end(request.blocks)
        if not isinstance(outcome, Done):
            return self._desk.envelope("phase", {}, outcome.state)
        self._machine, self._phase = None, 0
        total = Spool()
        for block in outcome.result.blocks:
            total.add(block)
        self._enter(context, request.head, total)
        course.total(Kept(course.schema, total))
        answer = Message(outcome.result.head, total)
        return self._desk.envelope("decrypted", {}, answer)

    def _made(self, course: Course, context: Context) -> KeyKeeper:
        def channel(site: str) -> bytes:
            raise ProtocolError(f"the key keeper shares no secret with {site}")

        desk = self._desk
        party = Party(KEEPER, desk.identity.sign, desk.peers.verify, channel)
        return Encrypted().keeper(context, party, course.schema, self._ahead)

    def _enter(self, context: Context, head: bytes, total: Iterable[bytes]) -> None:
        """Enter a decryption: who signed what went in, how many at least, and the total."""
        signed = unpack(head, "contributions", context.sites)
        rows: list[dict[str, Any]] = [
            {"site": site, "sha256": said[:DIGEST].hex(), "signature": said[DIGEST:].hex()}
            for site, said in sorted(signed.items())
        ]
        joint = hashlib.sha256()
        for block in total:
            joint.update(hashlib.sha256(block).digest())
        self._desk.note(
            "decryption",
            step=context.step,
            round=context.round,
            attempt=context.attempt,
            least=LEAST,
            contributions=rows,
            sha256=joint.hexdigest(),
        )

    def _follow(self, request: Envelope) -> Envelope:
        """Adopt what the centre published, if it is what follows from the totals decrypted."""
        course = self._running
        agreement.check_due(request.body, agreement.published(course))
        step, number = course.step, course.round
        published = wire.unpack_outcome(request.blocks, registry.RECORDS)
        course.adopt(published)
        self._broken = True  # until the answer is written down
        record = published.result if isinstance(published, Done) else published.state
        digest = hashlib.sha256(wire.pack_record(record)).hexdigest()
        self._desk.note("state", step=step.name, round=number, sha256=digest)
        return self._desk.envelope("adopted", {})

    def _close(self, request: Envelope) -> Envelope:
        """End the run: seal the ledger."""
        course, desk = self._running, self._desk
        agreement.check_due(request.body, agreement.closing(course.plan, course.place))
        if not course.finished:
            raise ProtocolError("the plan has not ended")
        desk.note("closed", reason="the plan has ended")
        note = desk.ledger.seal()
        root = desk.ledger.root.hex()
        return desk.envelope("closed", {"note": note, "size": desk.ledger.size, "root": root})

    @property
    def _running(self) -> Course:
        if self._course is None:
            raise ProtocolError("the run has not begun")
        return self._course
