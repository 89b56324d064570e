"""The command line: parse, call one function, print. Heavy imports wait for their command."""

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from equipoise.errors import EquipoiseError, InputError

EXIT_CODES = "Exit codes: 0 done, 2 wrong input, 3 refused (consent, disclosure), 4 fault."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Genomic risk models across hospitals that never pool their genomes.",
    epilog=EXIT_CODES,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[Path, typer.Option("--out", help="The folder to write; it must be new.")]
Homes = Annotated[
    Path | None,
    typer.Option(
        "--homes",
        help="Keep each site's key and register of rosters here over runs; else they are"
        " made for this run and erased.",
    ),
]


def main() -> None:
    """Run the command line and exit with its code."""
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
    try:
        app(standalone_mode=False)
    except EquipoiseError as error:
        _fail(error)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        named = f" ({error.filename})" if error.filename else ""
        print(f"The system refused: {error.strerror}{named}; nothing was written.", file=sys.stderr)
        sys.exit(4)
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "show"):
            raise
        error.show()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        sys.exit(2)


@app.command(epilog="Example: equipoise run study.toml --out results")
def run(
    study: Annotated[Path, typer.Argument(help="The study file.")],
    out: Out,
    homes: Homes = None,
    as_json: AsJson = False,
) -> None:
    """Run a study and write its folder of results."""
    from equipoise.cli.running import run_and_tell

    run_and_tell(study, out, homes, as_json)


@app.command(epilog="Example: equipoise demo --out demo-out")
def demo(
    copy: Annotated[
        Path | None,
        typer.Option("--copy", help="Write the demo's folder here, to edit and run; run nothing."),
    ] = None,
    out: Out = Path("demo-out"),
    as_json: AsJson = False,
) -> None:
    """Run the bundled study: four real cohorts, one deletion to find."""
    from equipoise import demo as bundled

    if copy is not None:
        bundled.copy(copy)
        study = str(copy / "study.toml")
        _say(
            as_json, {"study": study}, f"Wrote {study}. Run it: equipoise run {study} --out results"
        )
        return
    from equipoise.cli.running import run_and_tell

    run_and_tell(bundled.folder() / "study.toml", out, None, as_json)


@app.command(epilog="Example: equipoise check study.toml")
def check(
    study: Annotated[Path, typer.Argument(help="The study file.")],
    homes: Homes = None,
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with a study, or what it would let out."""
    from equipoise.cli.checking import check_and_tell

    check_and_tell(study, homes, as_json)


@app.command(epilog="Example: equipoise verify results --root 5f0c...")
def verify(
    folder: Annotated[Path, typer.Argument(help="A folder that a run wrote.")],
    root: Annotated[
        str | None, typer.Option("--root", help="The final root as you wrote it down, in hex.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every ledger, checkpoint and file of a run, byte for byte."""
    from equipoise.ledger.audit import verify as audit

    try:
        expected = None if root is None else bytes.fromhex(root)
    except ValueError as error:
        raise InputError("--root is 64 hexadecimal digits, as `verify` prints them") from error
    found = audit(folder, expected)
    content = {
        "root": found.root.hex(),
        "entries": found.entries,
        "files": found.files,
        "sites": list(found.sites),
    }
    against = "It is the root you gave." if root else "Compare it with the one written down."
    _say(
        as_json,
        content,
        f"Every file is the one that the ledgers speak of: {found.files} files,"
        f" {found.entries} entries, {len(found.sites)} sites.\n"
        f"Final root: {found.root.hex()}\n{against}",
    )


def _say(as_json: bool, content: dict[str, Any], text: str) -> None:
    print(json.dumps(content, indent=1) if as_json else text)


def _fail(error: EquipoiseError) -> NoReturn:
    problems = error.problems if isinstance(error, InputError) else ()
    if "--json" in sys.argv:
        listed = [asdict(problem) for problem in problems]
        content = {"error": type(error).__name__, "message": str(error), "problems": listed}
        print(json.dumps(content, indent=1))
    print(str(error), file=sys.stderr)
    if problems:
        count = len(problems)
        print(f"{count} problem{'s' if count > 1 else ''}; nothing was run.", file=sys.stderr)
    sys.exit(error.exit_code)
