"""A site's part in a study that runs over several machines, from its own files to its ledger."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from equipoise.errors import InputError
from equipoise.federation import serving
from equipoise.federation.approval import Approvals
from equipoise.federation.homes import SITE_FILE, read_data
from equipoise.federation.identity import Identity
from equipoise.federation.serving import Place, Serving
from equipoise.federation.spent import Spent
from equipoise.genotypes import variants as variant_list
from equipoise.genotypes.variants import Variants
from equipoise.ledger.reading import read as read_ledger
from equipoise.plan import Plan
from equipoise.study import file, folders
from equipoise.study.compile import ROSTER_K, K, check_follows, public_study
from equipoise.study.inputs import load_site
from equipoise.study.records import Study
from equipoise.transports import nvflare_startup as startup
from equipoise.transports.nvflare_startup import Parties


@dataclass(frozen=True, slots=True)
class Part:
    """What a site took part in: whether the study came to its end, and where its ledger is."""

    ended: bool
    out: Path


def serve(
    home: Path,
    path: Path,
    data: Path | None = None,
    out: Path | None = None,
    *,
    signed: bool = True,
    anew: bool = False,
    ready: Callable[[str, Parties, Place], None] | None = None,
    stop: Event | None = None,
    patience: float | None = None,
) -> Part:
    """Take part in one run of a study, until it ends or `stop` is set.

    A run that this site had begun and that has not ended is taken up where it stood.

    home      the site's own folder, as `federation.homes.make_home` made it
    path      the study file in the start-up folder that the coordinator handed over
    data      the file that says where the site's data are; the one in `home`
    out       the folder for the ledger of a new run; by default a new one in `home`
    signed    take part in the plan alone that the site's steward has signed; else in whatever
              plan follows from the study file
    anew      leave a run that has not ended, and wait for another
    ready     is told the site's name and the parties, once its files are read
    patience  seconds to wait for the first contact; None to wait for as long as it takes

    InputError with every problem of the files, or where keys and start-up folder do not belong
    together; TransportError where the centre's certificate does not hold.
    """
    study, files = file.read(path), read_data(data or home / SITE_FILE)
    variants = variant_list.read(study.variants.list)
    parties, name = startup.read_parties(path.parent), _own_name(home)
    place = place_for(home, study.id, out, anew=anew)
    loaded = load_site(study, files, variants)
    if ready:
        ready(name, parties, place)
    spent = Spent(home)
    approvals = Approvals(home, Identity.at(home, name)) if signed else None
    ended = serving.serve(
        said_to(study, variants, spent, approvals),
        loaded,
        name=name,
        home=home,
        startup=path.parent,
        place=place,
        stop=stop,
        patience=patience,
    )
    if not place.begun:  # else the run may be taken up, with all that it may still ask
        spent.settle(read_ledger(place.out / "ledger").entries)
    return Part(ended, place.out)


def place_for(home: Path, study: str, out: Path | None, *, anew: bool) -> Place:
    """Return where a party keeps its run of a study: one that has not ended, else a new one.

    As `serving.place_of`; a new one is in `out`, else in a new folder of the home. InputError
    unless a folder can be put there.
    """
    target = out or folders.numbered(home / "runs", study)
    place = serving.place_of(home, study, target, anew=anew)
    if not place.begun:
        folders.free(place.out)
    return place


def said_to(
    study: Study, variants: Variants, spent: Spent, approvals: Approvals | None = None
) -> Serving:
    """Return what a study says to a site's process, whose steward is `approvals` if any."""

    def approve(plan: Plan) -> None:
        check_follows(study, variants, plan)
        if approvals is not None:
            approvals.check(plan)
        spent.reserve(plan)

    return Serving(
        study.id,
        public_study(study),
        variants,
        study.seed,
        study.validation.folds,
        K,
        ROSTER_K,
        approve,
    )


def _own_name(home: Path) -> str:
    """Return the name of the site whose home this is: its card has it."""
    cards = [startup.read_card(path) for path in sorted(home.glob("*.json"))]
    if len(cards) != 1:
        raise InputError(f"{home} is no home of a site; make one: equipoise site init {home}")
    return cards[0].name
