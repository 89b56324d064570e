"""A key keeper's part in a study that runs over several machines, and its own home."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event

from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError
from equipoise.federation import serving
from equipoise.federation.homes import make_card
from equipoise.federation.identity import Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.keeper import Keeper
from equipoise.genotypes import variants as variant_list
from equipoise.ledger.log import Log
from equipoise.ledger.reading import read as read_ledger
from equipoise.plan import KEEPER
from equipoise.study import file, folders
from equipoise.study.desks import desk_of
from equipoise.study.records import Study
from equipoise.study.serve import Part
from equipoise.transports import nvflare_startup as startup
from equipoise.transports.nvflare_startup import Parties


def make_home(home: Path) -> Path:
    """Make a keeper's home with new keys and return the card to hand over.

    InputError where the home has keys already.
    """
    path = home / f"{KEEPER}.json"
    write_whole(path, [make_card(home, KEEPER).to_json()])
    return path


def keep(
    home: Path,
    path: Path,
    out: Path | None = None,
    *,
    ready: Callable[[Parties], None] | None = None,
    stop: Event | None = None,
    patience: float | None = None,
) -> Part:
    """Keep the keys of one run of a study, until it ends or `stop` is set.

    home      the keeper's own folder, as `make_home` made it
    path      the study file in the start-up folder that the coordinator handed over
    out       the folder for the keeper's ledger; a new one in `home`
    ready     is told the parties, before anything is sent
    patience  seconds to wait for the first contact; None to wait for as long as it takes

    InputError where the study has no key keeper, or keys and start-up folder do not belong
    together; TransportError where the centre's certificate does not hold.
    """
    study, parties = file.read(path), startup.read_parties(path.parent)
    variants, identity = variant_list.read(study.variants.list), _identity(home)
    _check(study, parties, identity)
    target = folders.free(out or folders.numbered(home / "runs", study.id))
    journal = home / f".journal-{secrets.token_hex(4)}"
    if ready:
        ready(parties)
    origin = f"equipoise/{study.id}/{KEEPER}"
    try:
        with Log.create(target / "ledger", origin, identity.signing) as ledger:
            own = identity, Peers(parties.keys), Journal(journal), ledger
            serving.connect(
                Keeper(desk_of(study, variants, *own)).handle,
                KEEPER,
                home=home,
                startup=path.parent,
                ledger=ledger,
                stop=stop,
                patience=patience,
            )
    finally:
        shutil.rmtree(journal, ignore_errors=True)
    return Part(read_ledger(target / "ledger").entries[-1].kind == "closed", target)


def _identity(home: Path) -> Identity:
    if not (home / f"{KEEPER}.json").is_file():
        raise InputError(
            f"{home} is no home of a key keeper; make one: equipoise keeper init {home}"
        )
    return Identity.at(home, KEEPER)


def _check(study: Study, parties: Parties, identity: Identity) -> None:
    if not study.protection.keeper:
        raise InputError(
            f"the study {study.id} has no key keeper: its protection is {study.protection.kind}"
        )
    serving.check_parties(parties, identity, study.id)
