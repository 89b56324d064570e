"""`equipoise site ...` and `coordinate`: parse, call one function.

What they compute with is imported by each command when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from equipoise.cli import keeping
from equipoise.cli.options import AsJson
from equipoise.errors import InputError

Anew = Annotated[bool, typer.Option("--anew", help="Leave a run that has not ended.")]
Home = Annotated[Path, typer.Argument(help="The site's own folder, with its keys.")]
Study = Annotated[Path, typer.Option("--study", help="The study file in the start-up folder.")]

site = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A site of a study over several machines: its keys, its steward, its process.",
)


@site.command("init", epilog="Example: equipoise site init north-home --name North")
def init(
    home: Home,
    name: Annotated[str, typer.Option("--name", help="The site's name, as studies will say it.")],
    as_json: AsJson = False,
) -> None:
    """Make a site's keys, and a card with their public half to hand over."""
    from equipoise.cli.federating import init_and_tell

    init_and_tell(home, name, as_json)


@site.command(
    "serve", epilog="Example: equipoise site serve north-home --study handed/North/study.toml"
)
def serve(
    home: Home,
    study: Study,
    data: Annotated[
        Path | None, typer.Option("--data", help="Where the data are said; HOME/site.toml.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A new folder in HOME/runs.")] = None,
    approve: Annotated[
        str,
        typer.Option(
            "--approve",
            help="plan: only what `site approve` signed; study: whatever follows from the study.",
        ),
    ] = "plan",
    anew: Anew = False,
    as_json: AsJson = False,
) -> None:
    """Take part in one run of a study, until it ends or somebody stops the process.

    A run that was stopped before is taken up where it stood.
    """
    from equipoise.cli.federating import serve_and_tell

    if approve not in ("plan", "study"):
        raise InputError(f"--approve {approve!r}; expected plan or study")
    serve_and_tell(home, study, data, out, as_json, signed=approve == "plan", anew=anew)


@site.command(
    "review", epilog="Example: equipoise site review north-home --study handed/North/study.toml"
)
def review(home: Home, study: Study, as_json: AsJson = False) -> None:
    """Show the plan that came last for a study: what it computes, what leaves, at what cost."""
    from equipoise.cli.agreeing import review_and_tell

    review_and_tell(study, home, as_json)


@site.command(
    "approve",
    epilog="Example: equipoise site approve north-home --study handed/North/study.toml --plan 5f0c",
)
def approve(
    home: Home,
    study: Study,
    plan: Annotated[
        str | None, typer.Option("--plan", help="The plan's digest, as `site review` shows it.")
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the approval back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign the plan that came last, with this version of the package and its analyses."""
    from equipoise.cli.agreeing import approve_and_tell

    approve_and_tell(study, home, plan, revoke, as_json)


@site.command(
    "outbox", epilog="Example: equipoise site outbox results/sites/North --centre results"
)
def outbox(
    folder: Annotated[Path, typer.Argument(help="The site's folder of a run, with its ledger.")],
    centre: Annotated[
        Path | None, typer.Option("--centre", help="The coordinator's folder of the same run.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List every byte that ever left the site in a run, and whether the coordinator has it."""
    from equipoise.cli.agreeing import outbox_and_tell

    outbox_and_tell(folder, centre, as_json)


def coordinate(
    study: Annotated[
        Path,
        typer.Argument(help="The study file; to run it, the one in the coordinator's own home."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder to write; it must be new.")
    ] = None,
    provision: Annotated[
        Path | None, typer.Option("--provision", help="Write start-up folders here; run nothing.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="host:port that sites connect to.")
    ] = None,
    card: Annotated[
        list[Path] | None, typer.Option("--card", help="A site's card; once for each site.")
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=825, help="For how long certificates hold.")
    ] = 90,
    listen: Annotated[
        str | None, typer.Option("--listen", help="host:port to listen at, if not --address.")
    ] = None,
    patience: Annotated[
        float, typer.Option("--patience", min=1, help="Seconds for which a site may be silent.")
    ] = 600.0,
    wait: Annotated[
        float, typer.Option("--wait", min=1, help="Seconds to wait for all sites at the start.")
    ] = 3600.0,
    anew: Anew = False,
    as_json: AsJson = False,
) -> None:
    """Run a study whose sites are other processes, or prepare one by --provision.

    A run that was stopped before is taken up where it stood.
    """
    from equipoise.cli.federating import Patience, coordinate_and_tell, provision_and_tell

    if provision is not None:
        if address is None or not card:
            raise InputError("--provision needs --address and the card of each site, by --card")
        provision_and_tell(study, provision, card, address, as_json, days)
        return
    if out is None:
        raise InputError("give --out, the folder to write, or --provision to prepare a study")
    coordinate_and_tell(
        study, out, as_json, patience=Patience(patience, wait), listen=listen, anew=anew
    )


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(site, name="site")
    app.add_typer(keeping.keeper, name="keeper")
    app.command(epilog="Example: equipoise coordinate handed/centre/study.toml --out results")(
        coordinate
    )
