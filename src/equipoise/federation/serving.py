"""A site or a key keeper in a process of its own: what it keeps, what it tells, what it runs.

A home holds what is its party's own: keys, and at a site the register of rosters and a file that
says where its data are, which nobody else ever sees. The start-up folder is what the
coordinator handed over (`transports.nvflare_startup`).
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final, Protocol

from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError, TransportError
from equipoise.federation.announcing import Announcing
from equipoise.federation.desk import Desk
from equipoise.federation.homes import TLS_KEY
from equipoise.federation.identity import Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.load import Loaded
from equipoise.federation.roster import Register
from equipoise.federation.site import Site
from equipoise.genotypes.variants import Variants
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.ledger.reading import read as read_ledger
from equipoise.ledger.retraced import Retraced
from equipoise.plan import Plan
from equipoise.transports import nvflare
from equipoise.transports.nvflare_ends import Handle
from equipoise.transports.nvflare_startup import (
    AUTHORITY,
    CERTIFICATE,
    Parties,
    read_parties,
)
from equipoise.transports.nvflare_tls import Credentials

_OUT: Final = "out"


@dataclass(frozen=True, slots=True)
class Serving:
    """What the study, as this site was given it, says to the site's process.

    public   the study's public part
    approve  the steward: raises ProtocolError for a plan that was not approved
    """

    id: str
    public: Mapping[str, Any]
    variants: Variants
    seed: int
    folds: int
    k: int
    least: int
    approve: Callable[[Plan], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a party keeps one run: what it may need again, and what it keeps for good.

    run  a folder of the home for as long as the run lasts: its secrets, and its journal
    out  the folder of the party's ledger and, at a site, of what stays with its own people
    """

    run: Path
    out: Path

    @property
    def begun(self) -> bool:
        """Whether the run was begun before, and can be taken up."""
        return (self.run / _OUT).exists()

    def begin(self) -> None:
        """Make the folder of the run."""
        self.run.mkdir(parents=True, mode=0o700)
        write_whole(self.run / _OUT, [str(self.out.resolve())])

    def end(self) -> None:
        """Let go of what the run alone needed."""
        shutil.rmtree(self.run, ignore_errors=True)
        with suppress(OSError):  # another study's run is there
            self.run.parent.rmdir()


class Participant(Protocol):
    """Who takes part: it comes to where it stood, and then answers."""

    @property
    def handle(self) -> Handle:
        """What answers a message."""
        ...

    def resume(self) -> None:
        """Come to where it stood before it was stopped; IntegrityError where it cannot."""
        ...


Made = Callable[[Identity, Parties, Retraced], Participant]
"""Makes a participant from its keys, the keys of all, and its ledger."""


def place_of(home: Path, study: str, out: Path, *, anew: bool = False) -> Place:
    """Return the place of the run of a study that was begun and has not ended, else a new one.

    out   where a new one keeps its ledger
    anew  let go of a run that has not ended
    """
    run = home / "unfinished" / study
    if anew:
        Place(run, out).end()
    try:
        return Place(run, Path((run / _OUT).read_text("utf-8")))
    except FileNotFoundError:
        shutil.rmtree(run, ignore_errors=True)  # nothing was ever sent from a run without a place
        return Place(run, out)


def serve(
    serving: Serving,
    loaded: Loaded,
    *,
    name: str,
    home: Path,
    startup: Path,
    place: Place,
    stop: Event | None = None,
    patience: float | None = None,
) -> bool:
    """Take part in one run as a site, from where it stands; return whether it came to its end.

    As `take_part`; the register of rosters is in `home` too.
    """

    def made(identity: Identity, parties: Parties, ledger: Retraced) -> Site:
        return _site(serving, loaded, identity, parties, home, place, ledger)

    return take_part(
        made,
        serving.id,
        name=name,
        home=home,
        startup=startup,
        place=place,
        stop=stop,
        patience=patience,
    )


def take_part(
    made: Made,
    study: str,
    *,
    name: str,
    home: Path,
    startup: Path,
    place: Place,
    stop: Event | None = None,
    patience: float | None = None,
) -> bool:
    """Take part in one run, from where it stands; return whether it came to its end.

    home      the party's own folder, where its keys are kept
    startup   what the coordinator handed over
    stop      set by whoever wants the process to end before; the run can then be taken up
    patience  seconds to wait for the first contact; None to wait for as long as it takes

    InputError where keys and start-up folder do not belong together; IntegrityError where what
    was kept of a run is not what led to where it stood; TransportError where the centre's
    certificate does not hold. That too is in the party's ledger.
    """
    parties = read_parties(startup)
    check_parties(parties, Identity.at(home, name), study)
    begun = place.begun
    if not begun:
        place.begin()
    identity = Identity.at(home, name, place.run)
    origin = f"equipoise/{study}/{name}"
    with _ledger(origin, identity, place.out, begun=begun) as ledger:
        party = made(identity, parties, ledger)
        party.resume()
        dismissed = connect(
            party.handle,
            name,
            home=home,
            startup=startup,
            ledger=ledger,
            stop=stop,
            patience=patience,
        )
    ended = read_ledger(place.out / "ledger").entries[-1].kind == "closed"
    if ended or dismissed:
        place.end()
    return ended


def _ledger(origin: str, identity: Identity, out: Path, *, begun: bool) -> Retraced:
    """Return a new ledger, or the one of a run that is taken up."""
    if not (begun and (out / "ledger").exists()):
        return Retraced.create(out / "ledger", origin, identity.signing)
    log = Retraced.open(out / "ledger", origin, identity.signing)
    return log.retrace(("release", "refusal"))


def connect(
    handle: Handle,
    name: str,
    *,
    home: Path,
    startup: Path,
    ledger: Log,
    stop: Event | None,
    patience: float | None,
) -> bool:
    """Answer the centre with a party's own keys; return whether it said that this was all.

    TransportError where a certificate does not hold. That is in the party's ledger too.
    """
    try:
        return nvflare.serve(
            handle,
            site=name,
            address=read_parties(startup).address,
            credentials=Credentials(startup / AUTHORITY, startup / CERTIFICATE, home / TLS_KEY),
            stop=stop,
            patience=patience,
        )
    except TransportError as error:
        ledger.append(Entry("refusal", {"reason": str(error), "message_sha256": "0" * 64}))
        raise


def check_parties(parties: Parties, identity: Identity, study: str) -> None:
    """Raise InputError unless the parties are those of this study, this one among them."""
    if parties.study != study:
        raise InputError(
            f"the start-up folder is for the study {parties.study!r}, the study file for {study!r};"
            " take the two that belong together"
        )
    if parties.keys.get(identity.name) != identity.signing_key:
        raise InputError(
            f"the start-up folder has another key for {identity.name} than this home;"
            " take the home whose card was handed over"
        )


def _site(
    serving: Serving,
    loaded: Loaded,
    identity: Identity,
    parties: Parties,
    home: Path,
    place: Place,
    ledger: Log,
) -> Site:
    desk = Desk(
        identity=identity,
        peers=Peers(parties.keys),
        study=serving.public,
        variants=serving.variants.digest().hex(),
        publics={},
        approve=serving.approve,
        journal=Journal(place.run / "journal", lasting=True),
        ledger=ledger,
    )
    people = Announcing(
        loaded.dataset,
        Register(home, serving.least),
        serving.seed,
        serving.folds,
        serving.k,
        serving.least,
        variants=serving.variants,
        loaded=loaded,
    )
    return Site(people, desk, place.out)
