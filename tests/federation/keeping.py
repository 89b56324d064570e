"""The small study of `building` with encrypted sums: a key keeper besides, honest or not."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from equipoise.federation import agreement, wire
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE, Identity
from equipoise.federation.journal import Journal
from equipoise.federation.keeper import Keeper
from equipoise.federation.round_key import RoundKey
from equipoise.federation.run import Centre, Run
from equipoise.federation.wire import Envelope
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.ledger.retraced import Retraced
from equipoise.plan import KEEPER, Member, Plan
from equipoise.study.records import Protection
from equipoise.transport import Transport
from equipoise.transports.local import LocalTransport
from federation.building import Federation, build, plan_of

NAME = "University of North"

Change = Callable[[Envelope], Iterable[Envelope]]
"""What a centre that meddles sends the keeper instead of a message: others, in turn."""


Handle = Callable[[Iterator[bytes]], Iterator[bytes]]


def unverified(name: str, signature: bytes, content: bytes) -> None:
    """Take any signature."""


@dataclass
class Kept:
    """A federation and its keeper."""

    federation: Federation
    identity: Identity
    lasting: bool = False
    keeper: Keeper = field(init=False)
    desk: Desk = field(init=False)

    def start(self) -> None:
        """Give the keeper its desk: a new one, or the one that it had before it was stopped."""
        own, key = self.federation, self.identity.signing
        output, origin = own.root / KEEPER / "ledger", "equipoise/made-up/keeper"
        again = output.exists()
        log = (Retraced.open if again else Retraced.create)(output, origin, key)
        journal = Journal(own.root / "journals" / KEEPER, lasting=self.lasting)
        desk = Desk(
            identity=self.identity,
            peers=own.peers,
            study=own.public,
            variants=own.variants,
            publics={},
            approve=self.approve,
            journal=journal,
            ledger=log.retrace(("release", "refusal")) if again else log,
        )
        kept = RoundKey(own.root / "journals" / "key") if self.lasting else None
        self.keeper, self.desk = Keeper(desk, kept), desk
        try:
            self.keeper.resume()
        except BaseException:
            log.close()
            raise

    def restart(self) -> None:
        """Stop the keeper and start it again, with its files and nothing else."""
        listening = self.desk.journal._listening
        if listening is not None:
            listening.close()  # with the process, what it still held went too
        self.desk.ledger.close()
        self.start()

    def approve(self, plan: Plan) -> None:
        assert self.compiled(plan.members).digest() == plan.digest()

    def compiled(self, members: tuple[Member, ...]) -> Plan:
        federation = self.federation
        keeper = agreement.keeper(federation.public, federation.peers.keys)
        return replace(plan_of(federation.study, members), keeper=keeper)

    def handle(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        """Answer in the keeper's name, whichever process that is now."""
        return self.keeper.handle(stream)

    def run(self, change: Change | None = None, handle: Handle | None = None) -> Run:
        """Run the study to its end; what the keeper is sent goes through `change`.

        `handle` answers in the keeper's place, if given.
        """
        federation = self.federation
        identity = federation.identities[CENTRE]
        log = Log.create(federation.root / "ledger", "equipoise/made-up/centre", identity.signing)
        handles = {name: site.handle for name, site in federation.sites.items()}
        local = LocalTransport({**handles, KEEPER: handle or self.handle})
        transport: Transport = Meddling(local, identity, change) if change else local
        try:
            centre = Centre(identity, federation.peers, transport, log, self.compiled, {})
            done = centre.run(federation.public, federation.variants)
            centre.close(done)
            return done
        finally:
            transport.close()
            log.close()
            self.desk.ledger.close()
            federation.close()

    def entries(self, kind: str) -> list[Entry]:
        return [entry for entry in self.desk.ledger.entries() if entry.kind == kind]


def build_kept(root: Path, *, lasting: bool = False) -> Kept:
    """Return a federation of four sites whose study has encrypted sums.

    A keeper that is `lasting` can be restarted.
    """
    federation = build(root, kind="encrypted")
    federation.study = replace(federation.study, protection=Protection("encrypted", keeper=NAME))
    identity = Identity.create(KEEPER)
    federation.identities[KEEPER] = identity
    keys: Any = federation.peers.keys
    keys[KEEPER] = identity.signing_key
    kept = Kept(federation, identity, lasting)
    for desk in federation.desks.values():
        desk.study, desk.approve = federation.public, kept.approve
    kept.start()
    return kept


@dataclass
class Meddling:
    """A transport that gives the keeper other messages than the centre meant, signed by it."""

    inner: Transport
    identity: Identity
    change: Change
    answers: list[str] = field(default_factory=list[str])

    @property
    def sites(self) -> tuple[str, ...]:
        return self.inner.sites

    def exchange(self, requests: Mapping[str, Iterable[bytes]]) -> Mapping[str, Iterator[bytes]]:
        if set(requests) != {KEEPER}:
            return self.inner.exchange(requests)
        meant = wire.read(iter(list(requests[KEEPER])), unverified)
        meant = replace(meant, blocks=list(meant.blocks))
        came: list[bytes] = []
        for sent in self.change(meant):
            frames = list(wire.frames(sent, self.identity.sign))
            came = list(self.inner.exchange({KEEPER: frames})[KEEPER])
        return {KEEPER: iter(came)}

    def close(self) -> None:
        self.inner.close()
