"""`equipoise site init`, `site serve` and `coordinate`: one study over several machines."""

import json
import logging
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Final, cast

from equipoise.cli.progress import bars
from equipoise.cli.running import Bar, tell
from equipoise.errors import InputError, ProtocolError, RefusedError, TransportError
from equipoise.federation import serving
from equipoise.federation.approval import Approvals
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.load import load
from equipoise.federation.run import Centre
from equipoise.federation.serving import Serving
from equipoise.genotypes import variants as variant_list
from equipoise.genotypes.variants import Variants
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.plan import Plan
from equipoise.study import file, folders
from equipoise.study import run as in_process
from equipoise.study.compile import ROSTER_K, K, compile_plan, public_study
from equipoise.study.records import Study
from equipoise.transports import nvflare_certificates as certificates
from equipoise.transports import nvflare_startup as startup
from equipoise.transports.nvflare import PATIENCE, NvflareTransport
from equipoise.transports.nvflare_startup import Card, Parties
from equipoise.transports.nvflare_tls import Credentials

WAIT: Final = 3600.0
"""Seconds within which all sites must be connected."""

MOST_REFUSALS: Final = 100
"""Kinds of refused connections that are kept for the ledger: anybody may knock."""

AUTHORITY_KEY: Final = "authority.key"


def init_and_tell(home: Path, name: str, as_json: bool) -> None:
    """Make a site's home and say what to hand over."""
    card = serving.make_home(home, name)
    text = (
        f"Made the keys of {name} in {home}; they stay there.\n"
        f"Hand over to the coordinator: {card}\n"
        f"Say where the data are, in: {home / serving.DATA}"
    )
    print(json.dumps({"card": str(card), "home": str(home)}) if as_json else text)


def provision_and_tell(
    study: Path,
    target: Path,
    cards: Sequence[Path],
    address: str,
    as_json: bool,
    days: int = certificates.DAYS,
) -> None:
    """Write a start-up folder for each site and the coordinator's own, and say whose is whose."""
    parties = provision(study, target, cards, address, days)
    rows = [f"  {target / name}" for name in sorted(parties.keys) if name != CENTRE]
    text = "\n".join(
        [
            "Start-up folders, one to be handed to each site; they hold no secret:",
            *rows,
            f"The coordinator's own home, which holds keys and stays: {target / CENTRE}",
            f"Fingerprint of the parties, to be compared by telephone: {parties.fingerprint}",
            f"These certificates hold for {days} days.",
        ]
    )
    content = {"folder": str(target), "fingerprint": parties.fingerprint, "days": days}
    print(json.dumps(content) if as_json else text)


def provision(
    path: Path, target: Path, cards: Sequence[Path], address: str, days: int = certificates.DAYS
) -> Parties:
    """Write start-up folders for the sites whose cards these are, whole or not at all.

    InputError where cards and sites of the study do not match, or a card is not whole.
    """
    study = file.read(path)
    startup.check_address(address)
    held = [startup.read_card(card) for card in cards]
    _check_names(study, held)
    final = folders.free(target)
    work = final.with_name(f".{final.name}.{secrets.token_hex(4)}")
    folders.new(work)
    try:
        parties = _provision(study, work, held, address, days)
        work.replace(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return parties


def _provision(study: Study, work: Path, cards: list[Card], address: str, days: int) -> Parties:
    home, now = work / CENTRE, datetime.now(UTC)
    everybody = [*cards, serving.card(home, CENTRE)]
    key = certificates.make_key(home / AUTHORITY_KEY)
    authority = certificates.authority(key, study.id, now, days)
    keys = {card.name: card.signing_key for card in everybody}
    parties = Parties(study.id, address, keys)
    for card in everybody:
        signed = certificates.sign(authority, key, card.request, card.name, now=now, days=days)
        folder, pem = work / card.name, certificates.to_pem
        startup.write_startup(folder, parties, pem(signed), pem(authority), public_file(study))
        shutil.copyfile(study.variants.list, folder / study.variants.list.name)
        if file.read(folder / startup.STUDY).public() != study.public():
            raise InputError(f"the study {study.id} cannot be handed over as a file; report it")
    return parties


def _check_names(study: Study, cards: list[Card]) -> None:
    wanted, given = sorted(s.name for s in study.sites), sorted(c.name for c in cards)
    if wanted != given:
        raise InputError(
            f"the study has the sites {', '.join(wanted)}, the cards are of"
            f" {', '.join(given) or 'nobody'}; give the card of each site once"
        )


def public_file(study: Study) -> str:
    """Return the study file that everybody is handed: no path of any site is in it."""
    listed = study.variants.list.name
    return startup.study_file(cast("Mapping[str, Any]", study.public()), study.as_of, listed)


def serve_and_tell(
    home: Path,
    study: Path,
    data: Path | None,
    out: Path | None,
    as_json: bool,
    *,
    signed: bool = True,
) -> None:
    """Take part in one run of a study, until it ends or somebody stops the process.

    signed  take part in the plan alone that the site's steward has signed; else in whatever
            plan follows from the study file
    """
    _quiet()
    read, files = file.read(study), serving.read_data(data or home / serving.DATA)
    variants = variant_list.read(read.variants.list)
    parties, name = startup.read_parties(study.parent), _own_name(home)
    target = folders.free(out or _next(home / "runs", read.id))
    loaded = load(
        files,
        variants,
        trait=read.trait.name,
        covariates=read.covariates.columns,
        groups=read.audit.groups if read.audit else (),
        purpose=read.purpose,
        as_of=read.as_of,
    )
    print(
        f"Fingerprint of the parties: {parties.fingerprint}\n"
        f"{name} is ready; it connects to {parties.address}. To stop it: Ctrl-C, or kill -TERM.",
        file=sys.stderr,
        flush=True,
    )
    ended = serving.serve(
        _serving(read, variants, Approvals(home, Identity.at(home, name)) if signed else None),
        loaded,
        name=name,
        home=home,
        startup=study.parent,
        out=target,
        stop=_on_signals(),
    )
    said = "The study has ended." if ended else "Stopped before the study ended."
    text = f"{said}\nTo read: {target}"
    print(json.dumps({"ended": ended, "out": str(target)}) if as_json else text)


def _serving(study: Study, variants: Variants, approvals: Approvals | None = None) -> Serving:
    def approve(plan: Plan) -> None:
        if compile_plan(study, variants, plan.members).digest() != plan.digest():
            raise ProtocolError("the plan is not the one that follows from the study file")
        if approvals is not None:
            approvals.check(plan)

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


def _next(folder: Path, study: str) -> Path:
    numbers = (number for number in range(1, 1_000_000))
    return next(p for n in numbers if not (p := folder / f"{study}-{n}").exists())


def _on_signals() -> Event:
    """Return what is set when somebody asks this process to stop."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stop.set())  # noqa: ARG005
    return stop


class Watching:
    """Shows how sites are, on stderr where that is a terminal, and keeps refusals."""

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


def coordinate_and_tell(
    study: Path,
    out: Path,
    as_json: bool,
    *,
    patience: float = PATIENCE,
    wait: float = WAIT,
    listen: str | None = None,
) -> None:
    """Run a study whose sites are elsewhere, and print what came out."""
    _quiet()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcome = coordinate(study, out, patience=patience, wait=wait, listen=listen)
    tell(outcome, as_json)


def coordinate(
    path: Path,
    out: Path,
    *,
    patience: float = PATIENCE,
    wait: float = WAIT,
    listen: str | None = None,
) -> in_process.Outcome:
    """Run a study whose sites are elsewhere and write its folder, whole or not at all.

    path      the study file in the coordinator's own home, as `provision` made it
    patience  seconds for which a site may be silent in mid-run
    wait      seconds within which all sites must be connected
    listen    `host:port` to listen at, where that is not the address which sites were given

    A run that a site refuses, or that loses a site, leaves its ledger in a folder beside `out`.
    """
    target, study, home = folders.free(out), file.read(path), path.parent
    variants, parties = variant_list.read(study.variants.list), startup.read_parties(home)
    if parties.study != study.id:
        raise InputError(
            f"{home} has the parties of {parties.study!r}; provision {study.id!r} anew"
        )
    work = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    folders.new(work)
    try:
        place = listen or parties.address
        if listen:
            startup.check_address(listen)
        outcome = _coordinate(study, variants, home, work / "out", place, patience, wait)
        (work / "out").replace(target)
    except (RefusedError, TransportError) as error:
        kept = folders.keep_refusal(work / "out", target)
        error.args = (f"{error}\nThe ledger of the run is in {kept}.",)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return replace(outcome, folder=out)


def _coordinate(
    study: Study,
    variants: Variants,
    home: Path,
    out: Path,
    place: str,
    patience: float,
    wait: float,
) -> in_process.Outcome:
    identity = Identity.at(home, CENTRE)
    peers = Peers(startup.read_parties(home).keys)
    names = sorted(set(peers.keys) - {CENTRE})
    shown, own = bars(), (startup.AUTHORITY, startup.CERTIFICATE, serving.KEY)
    credentials = Credentials(*(home / name for name in own))
    with ExitStack() as stack:
        stack.enter_context(shown if sys.stderr.isatty() else nullcontext())
        bar = Bar(shown)
        line = shown.add_task("sites", total=None)
        watch = Watching(lambda text: shown.update(line, description=text))
        origin = f"equipoise/{study.id}/{CENTRE}"
        log = stack.enter_context(Log.create(out / "ledger", origin, identity.signing))
        rows = [{"name": name, "public_key": peers.keys[name].hex()} for name in names]
        log.append(Entry("sites", {"sites": rows}))
        transport = NvflareTransport(place, credentials, names, watch=watch, patience=patience)
        stack.callback(watch.enter, log)
        stack.callback(transport.close)
        transport.wait(wait)
        began = time.perf_counter()
        compiled = partial(compile_plan, study, variants)
        centre = Centre(identity, peers, transport, log, compiled, {}, bar)
        done = centre.run(public_study(study), variants.digest().hex())
        people = {site: dict(counts) for site, counts in done.people.items()}
        loaded = {s: serving.files_heard(s, c.pop(serving.FILES, None)) for s, c in people.items()}
        done.people = people
        inputs = in_process.Inputs(study, variants, loaded)
        results = in_process.write(inputs, out, done, log, began)
        watch.enter(log)
        in_process.close(centre, done, log)
        return in_process.Outcome(out, results, log.root.hex())


def _quiet() -> None:
    """Let NVFLARE say nothing by itself: what matters is raised, shown or in the ledger."""
    logging.getLogger("nvflare").setLevel(logging.CRITICAL)
