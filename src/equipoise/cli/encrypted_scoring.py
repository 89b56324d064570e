"""`equipoise score` and `equipoise owner ...`: parse, call one function.

What they compute with is imported by each command when it runs.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equipoise.cli.options import AsJson, Genotypes
from equipoise.errors import InputError

if TYPE_CHECKING:
    from equipoise.tools.encrypted_scoring.asking import Choices
    from equipoise.tools.encrypted_scoring.server import Certificates


Certificate = Annotated[
    Path | None, typer.Option("--certificate", help="With --encrypted: the clinic's own, PEM.")
]
Key = Annotated[Path | None, typer.Option("--key", help="Of that certificate.")]
Authority = Annotated[
    Path | None, typer.Option("--authority", help="Who signed the owner's certificate, PEM.")
]

owner = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The owner of a model, who scores genotypes that clinics send encrypted.",
)


def score(
    genotypes: Genotypes,
    out: Annotated[Path, typer.Option("--out", help="The table to write.")],
    weights: Annotated[
        list[Path] | None, typer.Option("--weights", help="A scoring file; may be repeated.")
    ] = None,
    keep_ambiguous: Annotated[
        bool, typer.Option("--keep-ambiguous", help="Take A/T and C/G as they are spelled.")
    ] = False,
    no_mean_imputation: Annotated[
        bool, typer.Option("--no-mean-imputation", help="A missing call adds nothing.")
    ] = False,
    least_matched: Annotated[
        float, typer.Option("--least-matched", help="The least share of weights to be found.")
    ] = 0.75,
    build: Annotated[
        str | None, typer.Option("--build", help="Of the genotypes: GRCh37 or GRCh38.")
    ] = None,
    encrypted: Annotated[
        str | None,
        typer.Option(
            "--encrypted",
            help="Instead of --weights: https://HOST:PORT of a model's owner, who gets the"
            " genotypes encrypted.",
        ),
    ] = None,
    certificate: Certificate = None,
    key: Key = None,
    authority: Authority = None,
    as_json: AsJson = False,
) -> None:
    """Score everybody by scoring files of the PGS Catalog, with a reason for each weight."""
    _one_of_both(encrypted, weights, (certificate, key, authority))
    if encrypted is not None:
        from equipoise.tools.encrypted_scoring.asking import Choices

        shown = _certificates(certificate, key, authority)
        choices = Choices(keep_ambiguous, not no_mean_imputation, least_matched, build)
        _score_encrypted(genotypes, encrypted, shown, out, choices, as_json)
        return
    from equipoise.cli.scoring import score_and_tell

    score_and_tell(
        genotypes,
        weights or (),
        out,
        keep_ambiguous=keep_ambiguous,
        mean_imputation=not no_mean_imputation,
        least_matched=least_matched,
        build=build,
        as_json=as_json,
    )


def _one_of_both(
    encrypted: str | None, weights: list[Path] | None, shown: tuple[Path | None, ...]
) -> None:
    """Raise InputError unless one way of scoring is asked for, with what goes with it alone."""
    if (encrypted is None) == (not weights):
        raise InputError(
            "score needs either --weights, a scoring file, or --encrypted, the address of a"
            " model's owner; give one of them"
        )
    if encrypted is None and any(shown):
        raise InputError(
            "--certificate, --key and --authority go with --encrypted; leave them out, or give"
            " --encrypted, the address of a model's owner"
        )


def _certificates(
    certificate: Path | None, key: Path | None, authority: Path | None
) -> "Certificates":
    from equipoise.tools.encrypted_scoring.server import Certificates

    if certificate is None or key is None or authority is None:
        raise InputError(
            "--encrypted also needs --certificate and --key, by which the owner knows who asks,"
            " and --authority, which signed the owner's certificate"
        )
    return Certificates(certificate, key, authority)


def _score_encrypted(
    genotypes: list[str],
    address: str,
    certificates: "Certificates",
    out: Path,
    choices: "Choices",
    as_json: bool,
) -> None:
    """Score everybody through an owner, write the table and the report, and say what was done."""
    from equipoise.cli.progress import bar
    from equipoise.cli.scoring import content_of, tell
    from equipoise.tools import score_files
    from equipoise.tools.encrypted_scoring.asking import score_encrypted
    from equipoise.tools.encrypted_scoring.client import Client
    from equipoise.tools.sites import open_sites

    opened = open_sites(genotypes)
    with Client(address, certificates) as client, bar("scoring") as shown:
        found = score_encrypted(
            opened.sites,
            opened.variants,
            client,
            choices,
            lambda done, people: shown(done / max(people, 1)),
        )
    report = score_files.write(out, opened.sites, found.scores)
    content = content_of(opened, found.scores, out, report)
    content["encrypted"] = {
        "owner": address,
        "requests": found.requests,
        "weights_with_expected_dosage_from_owner": found.told_expected,
    }
    tell(content, as_json)


@owner.command(
    "serve",
    epilog="Example: equipoise owner serve PGS000001.txt.gz --listen 0.0.0.0:8443"
    " --certificate trial/owner.pem --key trial/owner.key --clients trial/authority.pem"
    " --counts counts.sqlite",
)
def serve(
    model: Annotated[Path, typer.Argument(help="A scoring file of the PGS Catalog's format.")],
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT of this machine.")],
    certificate: Annotated[Path, typer.Option("--certificate", help="The server's, PEM.")],
    key: Annotated[Path, typer.Option("--key", help="Of that certificate.")],
    clients: Annotated[
        Path, typer.Option("--clients", help="Who signs the clients' certificates, PEM.")
    ],
    counts: Annotated[
        Path, typer.Option("--counts", help="Keeps who had how many scores; made if not there.")
    ],
    per_day: Annotated[
        int, typer.Option("--per-day", min=1, help="Scores a client gets on one day (UTC).")
    ] = 100,
    in_all: Annotated[
        int | None,
        typer.Option("--in-all", min=1, help="Scores a client ever gets; a tenth of the weights."),
    ] = None,
    build: Annotated[
        str | None, typer.Option("--build", help="Positions to take: GRCh37 or GRCh38.")
    ] = None,
) -> None:
    """Score what clinics send encrypted, until somebody stops the process."""
    import logging
    from threading import Thread

    from equipoise.cli.federating import on_signals
    from equipoise.tools.encrypted_scoring.scorer import open_scorer
    from equipoise.tools.encrypted_scoring.server import Certificates, Server

    logging.getLogger("equipoise.tools.encrypted_scoring").setLevel(logging.INFO)
    address = _address(listen)
    scorer = open_scorer(model, counts, per_day=per_day, in_all=in_all, build=build)
    with Server(address, scorer, Certificates(certificate, key, clients)) as server:
        stop = on_signals()
        told = scorer.description
        print(
            f"{told['name']}: {told['weights']} weights. A client gets {scorer.limits.per_day}"
            f" scores a day and {scorer.limits.in_all} in all.\nReady at {address[0]}, port"
            f" {server.server_port}. To stop: Ctrl-C, or kill -TERM.",
            file=sys.stderr,
            flush=True,
        )
        Thread(target=server.serve_forever, daemon=True).start()
        stop.wait()
        server.shutdown()


@owner.command(
    "certificates",
    epilog="Example: equipoise owner certificates trial --host 127.0.0.1 --client clinic",
)
def certificates(
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must be new.")],
    host: Annotated[str, typer.Option("--host", help="The server's name or address.")],
    client: Annotated[list[str], typer.Option("--client", help="A name; may be repeated.")],
    days: Annotated[
        int, typer.Option("--days", min=1, max=825, help="For how long they hold.")
    ] = 90,
    as_json: AsJson = False,
) -> None:
    """Make certificates for a trial: an authority, the owner's, and one for each client."""
    from datetime import UTC, datetime

    from equipoise.tools.encrypted_scoring.certificates import make

    make(folder, host, client, datetime.now(UTC), days)
    content = {"folder": str(folder), "host": host, "clients": client, "days": days}
    text = (
        f"Wrote {folder}: authority.pem, and a .pem and a .key for owner and"
        f" {', '.join(client)}.\nHand each client its own two files and authority.pem, and erase"
        " them here."
    )
    print(json.dumps(content, indent=1) if as_json else text)


def _address(listen: str) -> tuple[str, int]:
    host, parted, port = listen.rpartition(":")
    if not parted or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(f"--listen {listen!r}: expected HOST:PORT, such as 127.0.0.1:8443")
    return host.strip("[]"), int(port)
