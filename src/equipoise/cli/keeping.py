"""`equipoise keeper init` and `keeper serve`: parse, call one function, print."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from equipoise.cli.options import AsJson

Home = Annotated[Path, typer.Argument(help="The key keeper's own folder, with its keys.")]

keeper = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The key keeper of a study with encrypted sums: its keys and its process.",
)


@keeper.command("init", epilog="Example: equipoise keeper init keeper-home")
def init(home: Home, as_json: AsJson = False) -> None:
    """Make a key keeper's keys, and a card with their public half to hand over."""
    from equipoise.study.keep import make_home

    card = make_home(home)
    text = f"Made the key keeper's keys in {home}; they stay there.\nHand over to the coordinator: {card}"
    print(json.dumps({"card": str(card), "home": str(home)}) if as_json else text)


@keeper.command(
    "serve", epilog="Example: equipoise keeper serve keeper-home --study handed/keeper/study.toml"
)
def serve(
    home: Home,
    study: Annotated[Path, typer.Option("--study", help="The study file in the start-up folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="A new folder in HOME/runs.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Leave a run that has not ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decrypt the totals of one run of a study, until it ends or somebody stops the process.

    A run that was stopped before is taken up where it stood.
    """
    from equipoise.cli.federating import on_signals, quiet
    from equipoise.federation.serving import Place
    from equipoise.study.keep import keep
    from equipoise.transports.nvflare_startup import Parties

    def ready(parties: Parties, place: Place) -> None:
        taken_up = f"Taking up the run whose ledger is in {place.out}\n" if place.begun else ""
        print(
            f"{taken_up}Fingerprint of the parties: {parties.fingerprint}\nThe key keeper is ready; it"
            f" connects to {parties.address}. To stop it: Ctrl-C, or kill -TERM.",
            file=sys.stderr,
            flush=True,
        )

    quiet()
    part = keep(home, study, out, anew=anew, ready=ready, stop=on_signals())
    waits = "Stopped before the study ended; the same command takes it up again."
    text = f"{'The study has ended.' if part.ended else waits}\nTo read: {part.out}"
    print(json.dumps({"ended": part.ended, "out": str(part.out)}) if as_json else text)
