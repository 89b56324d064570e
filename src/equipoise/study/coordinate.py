"""A study whose sites are elsewhere, from the coordinator's own home to its folder."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from equipoise.errors import InputError, RefusedError, TransportError
from equipoise.federation import serving
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.run import Centre, Progress
from equipoise.genotypes import variants as variant_list
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.study import file, folders
from equipoise.study.compile import compile_plan, public_study
from equipoise.study.inputs import Inputs
from equipoise.study.records import Study
from equipoise.study.writing import Outcome, close, write
from equipoise.transports import nvflare_startup as startup
from equipoise.transports.nvflare import PATIENCE, NvflareTransport
from equipoise.transports.nvflare_tls import Credentials

WAIT: Final = 3600.0
"""Seconds within which all sites must be connected."""

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
) -> Outcome:
    """Run a study whose sites are elsewhere and write its folder, whole or not at all.

    path    the study file in the coordinator's own home, as `study.provision` made it
    listen  `host:port` to listen at, where that is not the address which sites were given

    A run that a site refuses, or that loses a site, leaves its ledger in a folder beside `out`.
    InputError where the home is of another study; TransportError where sites do not come.
    """
    target, study, home = folders.free(out), file.read(path), path.parent
    variants, parties = variant_list.read(study.variants.list), startup.read_parties(home)
    if parties.study != study.id:
        raise InputError(
            f"{home} has the parties of {parties.study!r}; provision {study.id!r} anew"
        )
    if listen:
        startup.check_address(listen)
    place = listen or parties.address
    with folders.beside(target) as work:
        try:
            outcome = _coordinate(
                Inputs(study, variants, {}),
                home,
                work / "out",
                place,
                patience or Patience(),
                shown or Shown(),
            )
            (work / "out").replace(target)
        except (RefusedError, TransportError) as error:
            kept = folders.keep_refusal(work / "out", target)
            error.args = (f"{error}\nThe ledger of the run is in {kept}.",)
            raise
    return replace(outcome, folder=out)


def _coordinate(
    inputs: Inputs, home: Path, out: Path, place: str, patience: Patience, shown: Shown
) -> Outcome:
    study, variants = inputs.study, inputs.variants
    identity, peers = Identity.at(home, CENTRE), Peers(startup.read_parties(home).keys)
    names = sorted(set(peers.keys) - {CENTRE})
    credentials = Credentials(
        home / startup.AUTHORITY, home / startup.CERTIFICATE, home / serving.KEY
    )
    with ExitStack() as stack:
        watch = Watching(shown.sites)
        log = stack.enter_context(_log(study, identity, peers, out))
        transport = NvflareTransport(
            place, credentials, names, watch=watch, patience=patience.silent
        )
        stack.callback(watch.enter, log)
        stack.callback(transport.close)
        transport.wait(patience.connected)
        began = time.perf_counter()
        compiled = partial(compile_plan, study, variants)
        centre = Centre(identity, peers, transport, log, compiled, {}, shown.progress)
        done = centre.run(public_study(study), variants.digest().hex())
        people = {site: dict(counts) for site, counts in done.people.items()}
        loaded = {s: serving.files_heard(s, c.pop(serving.FILES, None)) for s, c in people.items()}
        done.people = people
        results = write(replace(inputs, loaded=loaded), out, done, log, began)
        watch.enter(log)
        close(centre, done, log)
        return Outcome(out, results, log.root.hex())


def _log(study: Study, identity: Identity, peers: Peers, out: Path) -> Log:
    log = Log.create(out / "ledger", f"equipoise/{study.id}/{CENTRE}", identity.signing)
    names = sorted(set(peers.keys) - {CENTRE})
    rows = [{"name": name, "public_key": peers.keys[name].hex()} for name in names]
    log.append(Entry("sites", {"sites": rows}))
    return log
