"""A party's desk: keys, journal and ledger. It sends what it is given, and knows no rows."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError, IntegrityError, ProtocolError
from equipoise.federation import agreement, wire
from equipoise.federation.agreement import Place
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.journal import Journal, Line
from equipoise.federation.wire import Envelope
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.plan import KEEPER, Member, Plan
from equipoise.protection import Message, Party

logger = logging.getLogger(__name__)


LONGEST_REASON = 2000
"""Characters of a refusal's reason, since words of the refused message may be in it."""


@dataclass(slots=True)
class Desk:
    """What a site or the key keeper needs to speak.

    peers     signing keys of all parties, known before the run
    study     the public part of the study, as this party was given it
    variants  the SHA-256 of the public list, as this party has it
    publics   results that exist before the run, as this party has them
    approve   the steward: raises ProtocolError for a plan that was not approved
    """

    identity: Identity
    peers: Peers
    study: Mapping[str, Any]
    variants: str
    publics: Mapping[str, Any]
    approve: Callable[[Plan], None]
    journal: Journal
    ledger: Log
    # Releases in the ledger, once they were counted: who asks again and again must not have it
    # read from the disk each time.
    _entered: int | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """The party's name."""
        return self.identity.name

    @property
    def _keeps(self) -> bool:
        """Whether this is the key keeper's desk."""
        return self.name == KEEPER

    @property
    def who(self) -> str:
        """What the party calls itself in a refusal."""
        return "the key keeper" if self._keeps else "this site"

    def check_plan(self, plan: Plan, people: int) -> None:
        """Raise ProtocolError unless this is the plan that the steward approved."""
        sites = {n: key for n, key in self.peers.keys.items() if n != CENTRE}
        agreement.check_plan(plan, self.member(people), sites, self.study)
        agreement.check_study(
            {"study": dict(plan.study), "variants": plan.variants}, self.study, self.variants
        )
        self.approve(plan)

    def member(self, people: int) -> Member:
        """Return the site's own line in the plan."""
        external = agreement.external(self.study, self.name)
        return agreement.member(self.identity, people, external=external)

    def party(self, plan: Plan) -> Party:
        """Return what a protection may do in the site's name."""

        def channel(site: str) -> bytes:
            for member in plan.members:
                if member.name == site:
                    return self.identity.shared_with(bytes.fromhex(member.channel_key))
            raise ProtocolError(f"{site!r} is no member of this plan")

        identity = self.identity
        return Party(self.name, identity.sign, self.peers.verify, channel, identity.secret)

    def envelope(
        self, kind: str, body: Mapping[str, Any], message: Message | None = None
    ) -> Envelope:
        """Return an answer in the site's name."""
        message = message or Message()
        return Envelope(kind, self.name, body, message.head, message.blocks)

    def note(self, kind: str, **body: object) -> None:
        """Enter an event in the site's own ledger."""
        self.ledger.append(Entry(kind, body))  # pyright: ignore[reportArgumentType]
        if kind == "release" and self._entered is not None:
            self._entered += 1

    def open(self, place: Place) -> None:
        """Raise ProtocolError where what is asked for at this place has had its answer."""
        try:
            self.journal.open(place.name)
        except ProtocolError as error:
            if place.step != "hello":
                raise
            command = "keeper serve" if self._keeps else "site serve"
            raise ProtocolError(
                f"{error}: {self.who} takes part in a run that has not ended; to leave"
                f" that one, stop `equipoise {command}` and start it with --anew"
            ) from error

    def send(self, request: Envelope, place: Place, answer: Envelope) -> Iterator[bytes]:
        """Write the answer down, enter it in journal and ledger, sign it; then it may go.

        Nothing goes that is not in both: a site that stops between the two enters it in its
        ledger before it goes all the same.
        """
        number, sha256, size = self.journal.spool(answer.blocks)
        header = wire.header(answer, number, sha256)
        first = wire.first_frame(header, self.identity.sign(header))
        digest = hashlib.sha256(header).hexdigest()
        release = {**asdict(place), "sha256": digest, "bytes": size + len(first)}
        told = None if answer.kind == "closed" else release  # it carries the ledger's checkpoint
        own = hashlib.sha256(first).hexdigest()
        line = Line(place.name, request.id, own, sha256, told, request.kind == "round")
        self.journal.enter(line, first)
        if told:
            self.note("release", **told)
        return self.journal.answer()

    def check_same(self, line: Line, answer: Envelope) -> None:
        """Raise IntegrityError unless an answer is what went before the party was stopped.

        Its blocks are: what is in heads, as a sealed share, may be another and never goes.
        """
        _, sha256 = wire.digest_of(answer.blocks)
        if sha256 != line.blocks:
            raise IntegrityError(
                f"{line.place}: {self.who} now computes something else than what it sent before it"
                " was stopped: its files, this package or the machine has changed, or its"
                " protection draws anew; it cannot take up this run, only begin another (--anew)"
            )

    def repeated(self, request: str) -> Iterator[bytes] | None:
        """Return the very answer that a request had, None where it is new."""
        answer = self.journal.repeated(request)
        if answer is not None:
            self.enter_releases()
        return answer

    def enter_releases(self) -> None:
        """Enter a release that is in the journal alone: what came in between stopped the site."""
        if self._entered is None:
            self._entered = sum(entry.kind == "release" for entry in self.ledger.entries())
        told = [line.release for line in self.journal.lines if line.release]
        for release in told[self._entered :]:
            self.note("release", **release)

    def refuse(self, error: EquipoiseError, request: str) -> Iterator[bytes]:
        """Enter a refusal in the site's own ledger, and say it."""
        words = str(error)[:LONGEST_REASON].encode("utf-8", "backslashreplace").decode()
        reason = f"{type(error).__name__}: {words}"
        logger.warning("%s refused: %s", self.name, reason)
        self.note("refusal", reason=reason, message_sha256=request or "0" * 64)
        said = {"error": type(error).__name__, "reason": words}
        yield from wire.frames(self.envelope("refusal", said), self.identity.sign)

    def close(self, directory: Path, written: list[Path]) -> dict[str, Any]:
        """Enter the site's own files, seal its ledger, and return the checkpoint."""
        for path in written:
            content = path.read_bytes()
            where = path.relative_to(directory).as_posix()
            sha256 = hashlib.sha256(content).hexdigest()
            self.note("artefact", path=where, sha256=sha256, bytes=len(content))
        self.note("closed", reason="the plan has ended")
        note = self.ledger.seal()
        return {"note": note, "size": self.ledger.size, "root": self.ledger.root.hex()}
