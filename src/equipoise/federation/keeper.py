"""The key keeper's gate: it has keys and no rows, and decrypts the totals that are due.

Like a site (`site`) it follows the run by itself, from the plan that it signed and from the
totals that it decrypted: it knows which round comes next and what follows from it. For each
round it makes one key and decrypts once:

    check plan and state -> contributions of all sites, each signed for this round and key
    -> decrypt -> check schema -> journal, ledger -> sign -> send

What is not expected is refused, and the refusal goes to the keeper's own ledger, in which each
decryption is entered as well: whose contributions went in, and which total came out.
"""

from collections.abc import Iterable
from typing import Any

from equipoise.errors import ProtocolError
from equipoise.federation import agreement, budget, registry, wire
from equipoise.federation.agreement import Place
from equipoise.federation.course import Course
from equipoise.federation.desk import Desk
from equipoise.federation.follower import Follower
from equipoise.federation.identity import CENTRE
from equipoise.federation.wire import Envelope
from equipoise.plan import KEEPER, Plan, Step
from equipoise.protection import Ahead, Context, Message, Party, joint_digest
from equipoise.protections.encrypted import Encrypted
from equipoise.protections.encrypted_keeper import DIGEST, LEAST, KeyKeeper
from equipoise.protections.secrets import unpack
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done


class Keeper(Follower):
    """The key keeper of one run: a desk, a key for each round, and this gate before them."""

    def __init__(self, desk: Desk) -> None:
        """`desk` bears the name `KEEPER`."""
        super().__init__(desk)
        self._machine: KeyKeeper | None = None
        self._ahead: Ahead = {}
        self._phase = 0

    @property
    def _who(self) -> str:
        return "the key keeper"

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
        self._desk.note(
            "decryption",
            step=context.step,
            round=context.round,
            attempt=context.attempt,
            least=LEAST,
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
