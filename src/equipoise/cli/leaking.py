"""`equipoise leakage`: the releases of a finished run, attacked as somebody outside would."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from equipoise.cli.options import AsJson
from equipoise.errors import InputError


def leakage(
    folder: Annotated[Path, typer.Argument(help="A folder that a run wrote.")],
    genotypes: Annotated[
        list[str] | None,
        typer.Option(
            "--genotypes",
            help="Twice for each ancestry: people who took part, then others who did not.",
        ),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option("--cases", help="The IIDs of those who took part and have the trait."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="A page to write, such as leakage.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Attack what a run released: who took part, who trained the model, what can be solved."""
    from equipoise.artefacts.files import write_whole
    from equipoise.cli.progress import bar
    from equipoise.dossier import leaks
    from equipoise.tools.leakage import leak

    _refuse_inside(folder, report)
    with bar("leakage") as at:
        content = leak(folder, genotypes or (), cases, at)
    if report is not None:
        write_whole(report, [leaks.page(content)])
    said = {**content, "report": None if report is None else str(report)}
    print(json.dumps(said, indent=1, allow_nan=False) if as_json else _text(said))


def _refuse_inside(folder: Path, page: Path | None) -> None:
    """Raise InputError for a page in the folder: `verify` refuses a file that no ledger lists."""
    if page is not None and folder.resolve() in page.resolve().parents:
        raise InputError(
            f"{page} lies in the folder of the run, where `verify` refuses files that its ledger"
            " does not list; expected a path outside; name another --report"
        )


def _text(content: Mapping[str, Any]) -> str:
    from equipoise.dossier import leaks

    lines = ["Who took part:"]
    for row in content["sets"]:
        lines.append(f"- {row['set']} ({row['people']:,} people), seen by {row['seen_by']}")
        if row["theory"] is None:
            lines.append("  No theory: the number of independent variants is not known.")
        else:
            lines.append("  " + leaks.membership({**row, **row["theory"]}))
        lines.append("  " + leaks.attacked(row))
    effective = content["effective_variants"]
    if effective is not None:
        least = "at least " if content["effective_variants_from"] == "results" else ""
        lines.append(f"Independent variants: {least}{effective:,.0f} of {content['variants']:,}.")
    lines += ["", "Who trained the model:", leaks.model(content["model"])]
    lines += ["", "Equations and unknowns:", leaks.solvable(content["reconstruction"])]
    if content["report"] is not None:
        lines += ["", f"To read: {content['report']}"]
    return "\n".join(lines)
