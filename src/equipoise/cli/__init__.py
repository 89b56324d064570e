"""The command line: parse, call one function, print. Heavy imports wait for their command."""

import atexit
import gc
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import equipoise
from equipoise.cli import encrypted_scoring, sites, standalone
from equipoise.cli.options import AsJson
from equipoise.errors import EquipoiseError, FaultError, InputError, Problem

EXIT_CODES = "Exit codes: 0 done, 2 wrong input, 3 refused (consent, disclosure), 4 fault."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Genomic risk models across hospitals that never pool their genomes.",
    epilog=EXIT_CODES,
)

Out = Annotated[Path, typer.Option("--out", help="The folder to write; it must be new.")]
Homes = Annotated[
    Path | None,
    typer.Option(
        "--homes",
        help="Keep each site's key and register of rosters here over runs; else they are"
        " made for this run and erased.",
    ),
]


class _Discreet(logging.Formatter):
    """Says what broke and where, and not what it broke on: that may be a person's."""

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return kind and place of an exception, without its message."""
        return _place(ei[1])


def main() -> None:
    """Run the command line and exit with its code."""
    # Imports make objects by the hundred thousand that live to the end: to look through them for
    # garbage again and again, and once more at the end, takes a tenth of a short command's time.
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)
    shown = logging.StreamHandler()
    shown.setFormatter(_Discreet("%(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[shown])
    # Not app(), which would end the process by itself where it is interrupted.
    command = typer.main.get_command(_needed(sys.argv[1:]))
    try:
        with command.make_context("equipoise", sys.argv[1:]) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except EquipoiseError as error:
        problems = error.problems if isinstance(error, InputError) else ()
        _fail(type(error).__name__, str(error), error.exit_code, problems)
    except KeyboardInterrupt:
        _fail("Interrupted", "Interrupted; nothing was written.", 130)
    except BrokenPipeError:
        # Who read the output has enough of it; at exit nothing more may be flushed there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        named = f" ({error.filename})" if error.filename else ""
        said = f"The system refused: {error.strerror or type(error).__name__}{named}"
        _fail("OSError", f"{said}; nothing was written.", FaultError.exit_code)
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            if "--json" not in sys.argv:
                error.show()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
                sys.exit(InputError.exit_code)
            said = str(error.format_message())  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
            _fail("UsageError", said, InputError.exit_code)
        said = f"A fault of equipoise itself: {_place(error)}; nothing was written; report it."
        _fail(type(error).__name__, said, FaultError.exit_code)


def _needed(words: Sequence[str]) -> typer.Typer:
    """Return the app with the one command that is called; with all, where none of them is.

    To read the options of all from their signatures takes longer than to parse them.
    """
    called = [c for c in app.registered_commands if words and _name(c) == words[0]]
    if not called:
        return app
    needed = copy(app)
    needed.registered_commands = called
    return needed


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__)


def _place(error: BaseException) -> str:
    """Return the kind of an exception and the line where it was raised."""
    system = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in last)
    return f"{type(error).__name__}{system}{where}"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"equipoise {equipoise.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Genomic risk models across hospitals that never pool their genomes."""


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


@app.command(epilog="Example: equipoise explain results --participant HG00171")
def explain(
    folder: Annotated[Path, typer.Argument(help="A folder that a run wrote, or a site's own.")],
    participant: Annotated[
        str, typer.Option("--participant", help="Whose score, by the ID of the genotype file.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say what one person's score is made of."""
    from equipoise.cli.explaining import explain_and_tell

    explain_and_tell(folder, participant, as_json)


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
    except ValueError:
        expected = b""
    if expected is not None and len(expected) != 32:
        raise InputError("--root is no 64 hexadecimal digits; give them as `verify` prints them")
    found = audit(folder, expected)
    content = {
        "root": found.root.hex(),
        "entries": found.entries,
        "files": found.files,
        "sites": list(found.sites),
        "keeper": found.keeper,
    }
    kept = ", and the key keeper" if found.keeper else ""
    against = "It is the root you gave." if root else "Compare it with the one written down."
    _say(
        as_json,
        content,
        f"Every file is the one that the ledgers speak of: {found.files} files,"
        f" {found.entries} entries, {len(found.sites)} sites{kept}.\n"
        f"Final root: {found.root.hex()}\n{against}",
    )


standalone.add_to(app)
sites.add_to(app)
app.add_typer(encrypted_scoring.owner, name="owner")


def _say(as_json: bool, content: dict[str, Any], text: str) -> None:
    print(json.dumps(content, indent=1) if as_json else text)


def _fail(kind: str, message: str, code: int, problems: Sequence[Problem] = ()) -> NoReturn:
    if "--json" in sys.argv:
        listed = [asdict(problem) for problem in problems]
        print(json.dumps({"error": kind, "message": message, "problems": listed}, indent=1))
    print(message, file=sys.stderr)
    if problems:
        count = len(problems)
        print(f"{count} problem{'s' if count > 1 else ''}; nothing was run.", file=sys.stderr)
    sys.exit(code)
