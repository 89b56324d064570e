"""A site in a process of its own: what it keeps, what it tells, and what it runs.

A site's home holds what is its own: keys, the register of rosters, and a file that says
where its data are, which nobody else ever sees. Its start-up folder is what the
coordinator handed over (`transports.nvflare_startup`).
"""

import shutil
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final, cast

from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError, Problem, ProtocolError, TransportError
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.load import Files, Loaded
from equipoise.federation.people import People
from equipoise.federation.roster import Register
from equipoise.federation.site import Site
from equipoise.genotypes.align import AlignmentReport
from equipoise.genotypes.variants import Variants
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.ledger.reading import read as read_ledger
from equipoise.ledger.retraced import Retraced
from equipoise.plan import Plan
from equipoise.transports import nvflare
from equipoise.transports.nvflare_certificates import make_key, request
from equipoise.transports.nvflare_ends import Handle
from equipoise.transports.nvflare_startup import (
    AUTHORITY,
    CERTIFICATE,
    NAME,
    Card,
    Parties,
    not_read,
    read_parties,
)
from equipoise.transports.nvflare_tls import Credentials

KEY: Final = "tls.key"
DATA: Final = "site.toml"
_OUT: Final = "out"

_TEMPLATE: Final = """\
# Where this site keeps what it brings to studies. This file stays here; paths are seen from it.
# genotypes = "genotypes.bed"
# phenotypes = "phenotypes.tsv"
# consents = "consents.tsv"
"""


def make_home(home: Path, name: str) -> Path:
    """Make a site's home with new keys and return the card to hand over.

    InputError where the name is none that a site may bear, or the home has keys already.
    """
    if not NAME.fullmatch(name) or name.casefold() == CENTRE:
        raise InputError(
            f"{name!r} is no name of a site; expected up to 64 of A-Z a-z 0-9 . _ -, the first"
            f" a letter or digit, other than {CENTRE}"
        )
    path = home / f"{name}.json"
    write_whole(path, [card(home, name).to_json()])
    if not (home / DATA).exists():
        write_whole(home / DATA, [_TEMPLATE])
    return path


def card(home: Path, name: str) -> Card:
    """Make a party's keys in its home and return their public half."""
    if (home / KEY).exists():
        raise InputError(f"{home} has keys already; they are not written over: take a new folder")
    identity = Identity.at(home, name)
    return Card(name, identity.signing_key, request(make_key(home / KEY), name))


def read_data(path: Path) -> Files:
    r"""Return where a site keeps its data, from its own file; paths are seen from it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "site.toml"
    >>> _ = path.write_text('genotypes = "g.bed"\nphenotypes = "p.tsv"\nconsents = "c.tsv"')
    >>> read_data(path).genotypes.name
    'g.bed'
    """
    wanted = ("genotypes", "phenotypes", "consents")
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise not_read(path, f"a file in TOML with {', '.join(wanted)}") from None
    if set(content) != set(wanted) or not all(isinstance(v, str) and v for v in content.values()):
        found = f"the keys {', '.join(sorted(content)) or 'none'}"
        expected = f"exactly {', '.join(wanted)}, each with a path"
        raise InputError(Problem(str(path), None, found, expected, "say where the data are"))
    return Files(*(path.parent / content[name] for name in wanted))


@dataclass(slots=True)
class Announcing(People):
    """People who announce with their counts what their files held, which results tell.

    In one process the results take that from what was loaded; from another process it has
    to be said. Counts of people under k are not.
    """

    loaded: Loaded | None = None

    @property
    def counts(self) -> dict[str, object]:
        """What the site announces of its people and its files."""
        counts = People.counts.fget(self)  # pyright: ignore[reportOptionalCall]
        return {**counts, FILES: files_said(self.loaded, self.k)} if self.loaded else counts


FILES: Final = "files"
"""Under which name a site announces what its files held."""


def files_said(loaded: Loaded, k: int) -> dict[str, Any]:
    """Return what a site says of its files; counts of people from 1 to k - 1 are None."""
    unknown = loaded.unknown_phenotypes
    return {
        "alignment": asdict(loaded.alignment),
        "without_genotypes": None if 0 < unknown < k else unknown,
        "duplicates_sought": loaded.duplicates_sought,
        "notes": list(loaded.notes),
    }


def files_heard(site: str, said: object) -> Loaded:
    """Return what a site said of its files, as if loaded here, but for the data themselves.

    ProtocolError where it was said in another form.
    """
    try:
        told = cast("Mapping[str, Any]", said)
        alignment = AlignmentReport(**told["alignment"])
        unknown, sought = told["without_genotypes"], told["duplicates_sought"]
        notes = cast("list[Any]", told["notes"])
        counts: list[Any] = [*asdict(alignment).values(), 1 if unknown is None else unknown]
        well = all(type(n) is int and n >= 0 for n in counts) and type(sought) is bool
        well = well and type(notes) is list and all(type(n) is str for n in notes)
    except (KeyError, TypeError) as error:
        raise ProtocolError(f"{site} announced its files in another form") from error
    if not well:
        raise ProtocolError(f"{site} announced its files in another form")
    # There is no dataset here: only what is told of it is ever read.
    return Loaded(cast("Any", None), alignment, counts[-1], tuple(notes), sought)


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
    """Where a site keeps one run: what it may need again, and what it keeps for good.

    run  a folder of the home for as long as the run lasts: its secrets, and its journal
    out  the folder of the site's ledger and of what stays with its own people
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


def place_of(home: Path, study: str, out: Path) -> Place:
    """Return the place of the run of a study that was begun and has not ended, else a new one."""
    run = home / "unfinished" / study
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
    """Take part in one run, from where it stands; return whether it came to its end.

    home      the site's own folder, where its keys and its register of rosters are kept
    startup   what the coordinator handed over
    stop      set by whoever wants the process to end before; the run can then be taken up
    patience  seconds to wait for the first contact; None to wait for as long as it takes

    InputError where keys and start-up folder do not belong together; IntegrityError where what
    was kept of a run is not what led to where it stood; TransportError where the centre's
    certificate does not hold. That too is in the site's ledger.
    """
    parties = read_parties(startup)
    check_parties(parties, Identity.at(home, name), serving.id)
    begun = place.begun
    if not begun:
        place.begin()
    identity = Identity.at(home, name, place.run)
    with _ledger(f"equipoise/{serving.id}/{name}", identity, place.out, begun=begun) as ledger:
        site = _site(serving, loaded, identity, parties, home, place, ledger)
        site.resume()
        dismissed = connect(
            site.handle,
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
    return log.retrace(("release", "refusal", "artefact", "closed"))


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
            credentials=Credentials(startup / AUTHORITY, startup / CERTIFICATE, home / KEY),
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
