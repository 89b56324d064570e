"""A study whose sites are elsewhere, from the coordinator's own home to its folder."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final

from equipoise.errors import (
    EquipoiseError,
    FaultError,
    InputError,
    IntegrityError,
    ProtocolError,
    RefusedError,
    RestartedError,
    TransportError,
)
from equipoise.federation import agreement
from equipoise.federation.announcing import FILES, files_heard
from equipoise.federation.homes import TLS_KEY
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.remembering import Remembering
from equipoise.federation.run import Centre, Progress
from equipoise.genotypes import variants as variant_list
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.study import file, folders
from equipoise.study.compile import compile_plan, public_study
from equipoise.study.inputs import Inputs
from equipoise.study.unfinished import Unfinished, lost
from equipoise.study.writing import Outcome, close, write
from equipoise.transports import nvflare_startup as startup
from equipoise.transports.nvflare import PATIENCE, NvflareTransport
from equipoise.transports.nvflare_tls import Credentials

WAIT: Final = 3600.0
"""Seconds within which all sites must be connected."""

MOST_RESTARTS: Final = 20
"""Of sites, in one run."""

MOST_REFUSALS: Final = 100
"""Kinds of refused connections that are kept for the ledger: anybody may knock."""


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long a coordinator waits.

    silent     seconds for which a site may be silent in mid-run
    connected  seconds within which all sites must be connected
    """

    silent: float = PATIENCE
    connected: float = WAIT


def _nobody(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Shown:
    """Who is told how a run stands.

    sites     the sites' states, in words, by any thread
    progress  the steps and rounds
    """

    sites: Callable[[str], None] = _nobody
    progress: Progress | None = None


class Watching:
    """Tells how sites are, and keeps refused connections for the ledger."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Take what is told each change in words."""
        self._tell, self._states = tell, dict[str, str]()
        self._refused, self._entered = Counter[str](), 0

    def site(self, name: str, state: str) -> None:
        """Take a site's state."""
        self._states[name] = state
        self._tell("  ".join(f"{site}: {now}" for site, now in sorted(self._states.items())))

    def refused(self, reason: str) -> None:
        """Keep why a connection was not made, for the ledger."""
        if reason in self._refused or len(self._refused) < MOST_REFUSALS:
            self._refused[reason] += 1

    def enter(self, log: Log) -> None:
        """Enter the kinds of refusals that are not in the log yet."""
        for reason, times in list(self._refused.items())[self._entered :]:
            said = f"{reason} ({times} times so far)"
            log.append(Entry("refusal", {"reason": said, "message_sha256": "0" * 64}))
            self._entered += 1


def coordinate(
    path: Path,
    out: Path,
    *,
    patience: Patience | None = None,
    listen: str | None = None,
    shown: Shown | None = None,
    anew: bool = False,
) -> Outcome:
    """Run a study whose sites are elsewhere and write its folder, whole or not at all.

    path    the study file in the coordinator's own home, as `study.provision` made it
    listen  `host:port` to listen at, where that is not the address which sites were given
    anew    leave a run that was begun for `out` and has not ended; else it is taken up

    A run that is stopped, or whose sites cannot be reached, is kept beside `out` and goes on
    when this is called again: the sites wait for it. One that a site refuses leaves its ledger
    in a folder beside `out`. InputError where the home or a run that was begun is of another
    study; IntegrityError where what was kept of it is not what came.
    """
    target, study, home = folders.free(out), file.read(path), path.parent
    variants, parties = variant_list.read(study.variants.list), startup.read_parties(home)
    if parties.study != study.id:
        raise InputError(
            f"{home} has the parties of {parties.study!r}; provision {study.id!r} anew"
        )
    if listen:
        startup.check_address(listen)
    run = Unfinished.beside(target, study, anew=anew)
    inputs, place = Inputs(study, variants, {}), listen or parties.address
    try:
        outcome = _coordinate(inputs, home, run, place, patience or Patience(), shown or Shown())
        run.out.replace(target)
    except OSError as error:
        broken = FaultError(f"{error.strerror or error}{folders.full(target.parent)}")
        _keep(run, target, broken)
        raise broken from error
    except EquipoiseError as error:
        _keep(run, target, error)
        raise
    run.forget()
    return replace(outcome, folder=out)


def _coordinate(
    inputs: Inputs, home: Path, run: Unfinished, place: str, patience: Patience, shown: Shown
) -> Outcome:
    identity, peers = Identity.at(home, CENTRE), Peers(startup.read_parties(home).keys)
    with ExitStack() as stack:
        watch = Watching(shown.sites)
        # Before anything is listened to: another process may have the run in hand.
        run.ledger(inputs.study, identity, peers).close()
        transport = _listen(home, place, sorted(set(peers.keys) - {CENTRE}), watch, patience)
        stack.push(partial(_let_go, transport))
        ready = partial(transport.wait, patience.connected)
        for _ in range(MOST_RESTARTS):
            try:
                return _go(inputs, run, identity, peers, transport, watch, ready, shown)
            except RestartedError as error:
                shown.sites(f"{error}: taking the run up again")
        raise TransportError(f"sites were restarted {MOST_RESTARTS} times in one run; see why")


def _go(
    inputs: Inputs,
    run: Unfinished,
    identity: Identity,
    peers: Peers,
    transport: NvflareTransport,
    watch: Watching,
    ready: Callable[[], None],
    shown: Shown,
) -> Outcome:
    """Go from where the run stands to its end."""
    study, variants = inputs.study, inputs.variants
    with run.ledger(study, identity, peers) as log, ExitStack() as stack:
        stack.callback(watch.enter, log)
        answers = Remembering(transport, run.answers, lost(log), ready)
        stack.callback(answers.stop)
        keeper = agreement.keeper(public_study(study), peers.keys)
        began, compiled = time.perf_counter(), partial(compile_plan, study, variants, keeper=keeper)
        centre = Centre(identity, peers, answers, log, compiled, {}, shown.progress, run.id)
        try:
            done = centre.run(public_study(study), variants.digest().hex())
        except ProtocolError as error:
            if answers.retelling:
                raise IntegrityError(
                    f"what was kept of the run in {run.folder} is not what came ({error}); it"
                    " cannot be taken up, only begun again with --anew"
                ) from error
            raise
        people = {site: dict(counts) for site, counts in done.people.items()}
        loaded = {s: files_heard(s, c.pop(FILES, None)) for s, c in people.items()}
        done.people = people
        results = write(replace(inputs, loaded=loaded), run.out, done, log, began)
        watch.enter(log)
        close(centre, done, log)
        return Outcome(run.out, results, log.root.hex())


def _listen(
    home: Path, place: str, names: Sequence[str], watch: Watching, patience: Patience
) -> NvflareTransport:
    own = (startup.AUTHORITY, startup.CERTIFICATE, TLS_KEY)
    credentials = Credentials(*(home / name for name in own))
    return NvflareTransport(place, credentials, names, watch=watch, patience=patience.silent)


def _let_go(
    transport: NvflareTransport,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    """Tell the sites that this was all, unless the run can go on: then they wait for it."""
    del kind, trace
    if error is None or isinstance(error, RefusedError):
        transport.close()
    else:
        transport.leave()


def _keep(run: Unfinished, target: Path, error: EquipoiseError) -> None:
    """Keep what there is of a run that broke off, and say how it goes on."""
    if isinstance(error, IntegrityError) or not run.out.exists():
        return
    if isinstance(error, RefusedError) or not any(run.answers.glob("*")):
        kept = folders.keep_refusal(run.out, target)
        run.forget()
        said = f"The ledger of the run is in {kept}."
    else:
        said = (
            f"The run is kept in {run.folder} and its sites wait: the same command goes on from"
            " there, and with --anew begins again."
        )
    error.args = (f"{error}\n{said}",)
