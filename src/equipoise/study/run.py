"""A study from its file to its folder: sites in this process, each with its own keys."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter

from equipoise.errors import FaultError, RefusedError
from equipoise.federation import agreement
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.keeper import Keeper
from equipoise.federation.people import People
from equipoise.federation.roster import Register
from equipoise.federation.run import Centre, Progress
from equipoise.federation.site import Site
from equipoise.federation.spent import Spent
from equipoise.ledger.log import Log
from equipoise.plan import KEEPER
from equipoise.study import folders
from equipoise.study.compile import ROSTER_K, K, compile_plan, public_study
from equipoise.study.desks import desk_of
from equipoise.study.inputs import Inputs, read_inputs
from equipoise.study.writing import Outcome, close, enter_parties, write
from equipoise.transports.local import Handle, LocalTransport


def run(
    path: Path, out: Path, homes: Path | None = None, progress: Progress | None = None
) -> Outcome:
    """Run the study of a study file and write its folder, whole or not at all.

    `homes` holds a private folder for each site (its signing key and its register of
    rosters) that is meant to outlive the run; without it they are made for this run
    and erased. A run that a site refuses leaves its ledgers in a folder beside `out`.
    """
    began = perf_counter()
    target = folders.free(out)
    inputs = read_inputs(path)
    with folders.beside(target) as work:
        unfinished = work / "out"
        try:
            unfinished.mkdir()
            outcome = _run(inputs, work, folders.homes(homes, work), progress, began)
            unfinished.replace(target)
        except RefusedError as error:
            kept = folders.keep_refusal(unfinished, target)
            error.args = (f"{error}\nThe ledgers of the refused run are in {kept}.",)
            raise
        except FaultError as error:
            error.args = (f"{error}{folders.full(target.parent)}",)
            raise
    return Outcome(out, outcome.results, outcome.root)


def _run(
    inputs: Inputs, work: Path, homes: Path, progress: Progress | None, began: float
) -> Outcome:
    out, study = work / "out", inputs.study
    keepers = (KEEPER,) if study.protection.keeper else ()
    names = sorted((*inputs.loaded, *keepers))
    identities = {name: Identity.at(homes / name, name) for name in [*names, CENTRE]}
    peers = Peers({name: identity.signing_key for name, identity in identities.items()})
    keeper = agreement.keeper(public_study(study), peers.keys)
    broken: list[Exception] = []
    with ExitStack() as stack:
        logs = {n: stack.enter_context(_log(out, study.id, i)) for n, i in identities.items()}
        log = logs[CENTRE]
        enter_parties(log, peers.keys, keeper)
        handles: dict[str, Handle] = {}
        for name in names:
            journal = Journal(work / "journals" / name)
            spent = None if name == KEEPER else Spent(homes / name)
            if spent:
                stack.callback(_settle, spent, logs[name])
            own = identities[name], peers, journal, logs[name], spent
            desk = desk_of(study, inputs.variants, *own)
            party = Keeper(desk) if name == KEEPER else _site(inputs, desk, homes, out)
            handles[name] = _kept(party.handle, broken)
        transport = LocalTransport(handles)
        stack.callback(transport.close)
        compiled = partial(compile_plan, study, inputs.variants, keeper=keeper)
        centre = Centre(identities[CENTRE], peers, transport, log, compiled, {}, progress)
        try:
            done = centre.run(public_study(study), inputs.variants.digest().hex())
            outcome = write(inputs, out, done, log, began)
            close(centre, done, log)
        except Exception:  # where a site broke, that is the cause, and this what came of it
            if broken:
                raise broken[0] from None
            raise
        return Outcome(out, outcome, log.root.hex())


def _settle(spent: Spent, ledger: Log) -> None:
    spent.settle(ledger.entries())


def _site(inputs: Inputs, desk: Desk, homes: Path, out: Path) -> Site:
    people = _people(inputs, desk.name, homes / desk.name)
    return Site(people, desk, out / "sites" / desk.name)


def _people(inputs: Inputs, name: str, home: Path) -> People:
    study = inputs.study
    return People(
        inputs.loaded[name].dataset,
        Register(home, ROSTER_K),
        study.seed,
        study.validation.folds,
        K,
        ROSTER_K,
        variants=inputs.variants,
    )


def _kept(handle: Handle, broken: list[Exception]) -> Handle:
    """Return a handle that ends its answer where the site breaks, and keeps what broke it.

    It is called in the site's thread, from which nothing can be raised to the centre.
    """

    def answer(stream: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from handle(stream)
        except Exception as error:  # raised again by `_run`
            broken.append(error)

    return answer


def _log(out: Path, study: str, identity: Identity) -> Log:
    own = {CENTRE: out, KEEPER: out / KEEPER}.get(identity.name, out / "sites" / identity.name)
    return Log.create(own / "ledger", f"equipoise/{study}/{identity.name}", identity.signing)
