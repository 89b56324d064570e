"""`equipoise site init`, `site serve` and `coordinate`: one study over several machines."""

import json
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from threading import Event

from equipoise.cli.progress import bars
from equipoise.cli.running import Bar, tell
from equipoise.federation.homes import SITE_FILE, make_home
from equipoise.federation.identity import CENTRE
from equipoise.federation.serving import Place
from equipoise.study.coordinate import Patience, Shown, coordinate
from equipoise.study.provision import provision
from equipoise.study.serve import serve
from equipoise.transports.nvflare_startup import Parties


def init_and_tell(home: Path, name: str, as_json: bool) -> None:
    """Make a site's home and say what to hand over."""
    card = make_home(home, name)
    text = (
        f"Made the keys of {name} in {home}; they stay there.\n"
        f"Hand over to the coordinator: {card}\n"
        f"Say where the data are, in: {home / SITE_FILE}"
    )
    print(json.dumps({"card": str(card), "home": str(home)}) if as_json else text)


def provision_and_tell(
    study: Path, target: Path, cards: Sequence[Path], address: str, as_json: bool, days: int
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


def serve_and_tell(
    home: Path,
    study: Path,
    data: Path | None,
    out: Path | None,
    as_json: bool,
    *,
    signed: bool = True,
    anew: bool = False,
) -> None:
    """Take part in one run of a study, until it ends or somebody stops the process."""
    quiet()
    stop = on_signals()
    part = serve(home, study, data, out, signed=signed, anew=anew, ready=_ready, stop=stop)
    waits = "Stopped before the study ended; the same command takes it up again."
    text = f"{'The study has ended.' if part.ended else waits}\nTo read: {part.out}"
    print(json.dumps({"ended": part.ended, "out": str(part.out)}) if as_json else text)


def coordinate_and_tell(
    study: Path, out: Path, as_json: bool, *, patience: Patience, listen: str | None, anew: bool
) -> None:
    """Run a study whose sites are elsewhere, and print what came out."""
    quiet()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shown = bars()
    with shown if sys.stderr.isatty() else nullcontext():
        bar = Bar(shown)
        line = shown.add_task("sites", total=None)
        told = Shown(lambda text: shown.update(line, description=text), bar)
        outcome = coordinate(study, out, patience=patience, listen=listen, shown=told, anew=anew)
    tell(outcome, as_json)


def _ready(name: str, parties: Parties, place: Place) -> None:
    taken_up = f"Taking up the run whose ledger is in {place.out}\n" if place.begun else ""
    print(
        f"{taken_up}Fingerprint of the parties: {parties.fingerprint}\n"
        f"{name} is ready; it connects to {parties.address}. To stop it: Ctrl-C, or kill -TERM.",
        file=sys.stderr,
        flush=True,
    )


def on_signals() -> Event:
    """Return what is set when somebody asks this process to stop."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stop.set())  # noqa: ARG005
    return stop


def quiet() -> None:
    """Let NVFLARE say nothing by itself: what matters is raised, shown or in the ledger."""
    logging.getLogger("nvflare").setLevel(logging.CRITICAL)
