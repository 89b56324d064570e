"""The key keeper's gate: it has keys and no rows, and decrypts the totals that are due.

Like a site (`site`) it follows the run by itself, from the plan that it signed and from the
totals that it decrypted: it knows which round comes next and what follows from it. For each
round it makes one key and decrypts once:

    check plan and state -> contributions of all sites, each signed for this round and key
    -> decrypt -> check schema -> journal, ledger -> sign -> send

What is not expected is refused, and the refusal goes to the keeper's own ledger, in which each
decryption is entered as well: whose contributions went in, and which total came out.

A keeper that was stopped comes to where it stood as a site does, from the messages of the round
under way and the totals of those before it, and compares each entry with its ledger.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from equipoise.errors import IntegrityError, ProtocolError
from equipoise.federation import agreement, budget, registry, wire
from equipoise.federation.agreement import Place
from equipoise.federation.course import Course
from equipoise.federation.desk import Desk
from equipoise.federation.follower import Follower
from equipoise.federation.identity import CENTRE
from equipoise.federation.journal import Retold
from equipoise.federation.round_key import RoundKey
from equipoise.federation.wire import Envelope
from equipoise.ledger.retraced import Retraced
from equipoise.plan import KEEPER, Plan, Step
from equipoise.protection import Ahead, Context, Message, Party, joint_digest
from equipoise.protections.encrypted import Encrypted
from equipoise.protections.encrypted_keeper import DIGEST, LEAST, KeyKeeper
from equipoise.protections.encrypted_scheme import SecretKey
from equipoise.protections.secrets import unpack
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done


class Keeper(Follower):
    """The key keeper of one run: a desk, a key for each round, and this gate before them."""

    def __init__(self, desk: Desk, kept: RoundKey | None = None) -> None:
        """`desk` bears the name `KEEPER`; without `kept`, keys lie in memory alone."""
        super().__init__(desk)
        self._kept, self._retelling = kept, False
        self._total: Spool | None = None
        self._machine: KeyKeeper | None = None
        self._ahead: Ahead = {}
        self._phase = 0

    def _place(self, request: Envelope) -> Place:
        return agreement.place(request.kind, self._course, self._phase)

    def _announce(self) -> Envelope:
        return self._desk.envelope("hello", {})

    def _check(self, plan: Plan) -> None:
        """Raise unless the plan follows from the study and lets out no more than is allowed."""
        desk = self._desk
        parties = {name: key for name, key in desk.peers.keys.items() if name != CENTRE}
        agreement.check_plan(plan, None, parties, desk.study)
        said = {"study": dict(plan.study), "variants": plan.variants}
        agreement.check_study(said, desk.study, desk.variants)
        desk.approve(plan)
        budget.check(plan, budget.disclosure(plan, registry.build))

    def _take_part(self, request: Envelope) -> Envelope:
        """Answer one phase of the round that is due: a public key, then the total."""
        course = self._running
        context = agreement.context(course)
        agreement.check_due(request.body, agreement.asked(context, self._phase))
        if not course.asks:
            raise ProtocolError("no round is due here before what follows is published")
        message = _whole(request, len(course.schema.blocks) + 1 if self._machine else 0)
        self._broken = True  # until the answer is written down
        machine = self._machine or self._made(course, context)
        if self._kept and self._machine:
            self._kept.ask(request.id)
        self._machine, self._phase = machine, self._phase + 1
        outcome = machine.step(message)
        if not isinstance(outcome, Done):
            if self._kept and machine.secret and not self._retelling:
                self._kept.keep(context.digest(), machine.secret.secret())
            return self._desk.envelope("phase", {}, outcome.state)
        self._machine, self._phase = None, 0
        total = Spool()
        for block in outcome.result.blocks:
            total.add(block)
        rows = _rows(unpack(request.head, "contributions", context.sites))
        self._enter(context, machine.key.hex(), rows, total)
        self._total = total
        course.total(Kept(course.schema, total))
        answer = Message(outcome.result.head, total)
        return self._desk.envelope("decrypted", {}, answer)

    def _made(self, course: Course, context: Context) -> KeyKeeper:
        def channel(site: str) -> bytes:
            raise ProtocolError(f"the key keeper shares no secret with {site}")

        desk = self._desk
        party = Party(KEEPER, desk.identity.sign, desk.peers.verify, channel)
        machine = Encrypted().keeper(context, party, course.schema, self._ahead)
        if self._kept and self._retelling:
            machine.secret = SecretKey(len(context.sites), self._kept.found(context.digest()))
        return machine

    def _enter(self, context: Context, key: str, rows: object, total: Iterable[bytes]) -> None:
        """Enter a decryption: who signed what went in, how many at least, and the total.

        With the digests of round and key that each signature is over besides its message's.
        """
        self._desk.note(
            "decryption",
            step=context.step,
            round=context.round,
            attempt=context.attempt,
            least=LEAST,
            context=context.digest().hex(),
            key=key,
            contributions=rows,
            sha256=joint_digest(total).hex(),
        )

    def _take(self, step: Step, result: object) -> dict[str, Any]:
        del step, result
        return {}

    def _close(self, course: Course) -> dict[str, Any]:
        """Seal the ledger."""
        del course
        ledger = self._desk.ledger
        self._desk.note("closed", reason="the plan has ended")
        return {"note": ledger.seal(), "size": ledger.size, "root": ledger.root.hex()}

    def _written(self) -> None:
        """Go on: an answer has been written down. After a total, the round's key goes."""
        super()._written()
        if self._total is not None:
            self._desk.journal.settle(self._total)
            self._total = None
            self._forget()

    def _forget(self) -> None:
        if self._kept:
            self._kept.forget()

    def resume(self) -> None:
        """Come to where the keeper stood before it was stopped, by its journal; send nothing.

        IntegrityError where what it kept is not what led to where it stood.
        """
        self._retelling = True
        for told in self._desk.journal.retold():
            if told.total:
                self._pass(told)
                continue
            request = wire.read(told.frames, self._desk.peers.verify)
            self._desk.check_same(told.lines[0], self._answer(request))
            self._written()
        self._retelling = False
        if self._machine is None:
            self._forget()
        self._desk.enter_releases()

    def _pass(self, told: Retold) -> None:
        """Take the total of a round that has ended, if it is the one that was decrypted."""
        course, total = self._running, Spool()
        for block in told.frames:
            total.add(block)
        ledger = self._desk.ledger
        due = ledger.due if isinstance(ledger, Retraced) else None
        if due is None or due.kind != "decryption":
            raise IntegrityError(
                f"the ledger has no decryption for the total of {told.lines[-1].place}: one of"
                " ledger and journal was altered; the run cannot be taken up, only begun anew"
                " (--anew)"
            )
        # Who signed is not kept beside the total: the ledger, which is signed, has it.
        said = due.body
        self._enter(agreement.context(course), str(said["key"]), said["contributions"], total)
        course.total(Kept(course.schema, total))


def _whole(request: Envelope, most: int) -> Message:
    """Return what is asked, of so many blocks, once it has come as the centre signed it.

    Nothing is decrypted of a message that breaks off: it comes again, and is then the same.
    """
    blocks = Spool()
    for block in request.blocks:
        if len(blocks) == most:
            raise ProtocolError("the keeper was sent more blocks than the round has")
        blocks.add(block)
    wire.end(request.blocks)
    return Message(request.head, blocks)


def _rows(signed: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return the signed contributions as the ledger has them."""
    return [
        {"site": site, "sha256": said[:DIGEST].hex(), "signature": said[DIGEST:].hex()}
        for site, said in sorted(signed.items())
    ]
