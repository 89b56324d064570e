"""A key keeper's part in a study that runs over several machines, and its own home."""

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
from equipoise.federation.round_key import RoundKey
from equipoise.federation.serving import Place
from equipoise.genotypes import variants as variant_list
from equipoise.ledger.retraced import Retraced
from equipoise.plan import KEEPER
from equipoise.study import file
from equipoise.study.desks import desk_of
from equipoise.study.records import Study
from equipoise.study.serve import Part, place_for
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
    anew: bool = False,
    ready: Callable[[Parties, Place], None] | None = None,
    stop: Event | None = None,
    patience: float | None = None,
) -> Part:
    """Keep the keys of one run of a study, until it ends or `stop` is set.

    A run that this keeper had begun and that has not ended is taken up where it stood.

    home      the keeper's own folder, as `make_home` made it
    path      the study file in the start-up folder that the coordinator handed over
    out       the folder for the ledger of a new run; by default a new one in `home`
    anew      leave a run that has not ended, and wait for another
    ready     is told the parties, before anything is sent
    patience  seconds to wait for the first contact; None to wait for as long as it takes

    InputError where the study has no key keeper, or keys and start-up folder do not belong
    together; IntegrityError where what was kept of a run is not what led to where it stood;
    TransportError where the centre's certificate does not hold.
    """
    study, parties = file.read(path), startup.read_parties(path.parent)
    variants = variant_list.read(study.variants.list)
    _check(study, parties, _identity(home))
    place = place_for(home, study.id, out, anew=anew)
    if ready:
        ready(parties, place)

    def made(identity: Identity, parties: Parties, ledger: Retraced) -> Keeper:
        journal = Journal(place.run / "journal", lasting=True)
        desk = desk_of(study, variants, identity, Peers(parties.keys), journal, ledger)
        return Keeper(desk, RoundKey(place.run / "key"))

    ended = serving.take_part(
        made,
        study.id,
        name=KEEPER,
        home=home,
        startup=path.parent,
        place=place,
        stop=stop,
        patience=patience,
    )
    return Part(ended, place.out)


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
