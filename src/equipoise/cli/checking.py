"""`equipoise check`: all that is wrong with a study, or what it would let out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from equipoise.study.check import Checked, check
from equipoise.study.results import NO_AUDIT


def check_and_tell(study: Path, homes: Path | None, as_json: bool) -> None:
    """Check a study and print what it would let out."""
    checked = check(study, homes)
    print(json.dumps(_content(checked), indent=1) if as_json else _text(checked))


def _content(checked: Checked) -> dict[str, Any]:
    return {
        "study": checked.study.id,
        "participants": dict(checked.people),
        "files": {site: asdict(held) for site, held in checked.files.items()},
        "disclosure": asdict(checked.disclosure),
        "rosters": dict(checked.rosters),
    }


def _text(checked: Checked) -> str:
    found = checked.disclosure
    lines = [f"{checked.study.id}: nothing wrong with its files.", "", "Who takes part:"]
    for site, counts in checked.people.items():
        lines.append(
            f"  {site}: {counts['admitted']} admitted of {_shown(counts['recruited'])};"
            f" refused {_refused(counts['refused'])}"
        )
    lines += sorted({f"  {note}" for note in checked.notes})
    lines += ["", "What their files hold of the public list of variants:"]
    for site, held in checked.files.items():
        lines.append(
            f"  {site}: {held.variants} variants, {held.swapped} with alleles swapped,"
            f" {held.absent} absent; phenotypes of nobody in its genotypes:"
            f" {_few(held.without_genotypes)}"
        )
    if checked.study.audit is not None:
        lines += ["", f"The study file asks for an audit; {NO_AUDIT}."]
    lines += ["", "What leaves the sites, as totals over all of them:"]
    for release in found.releases:
        over = f" by {' and '.join(release.over)}" if release.over else ""
        lines.append(
            f"  {release.step}: {release.values} values{over}, in at most"
            f" {release.rounds} round{'s' if release.rounds > 1 else ''}"
        )
    lines += ["", "What each site publishes of itself:"]
    lines += ["  how many people take part, and reasons why not, none from 1 to 4"]
    lines += [f"  its own figures after {name}" for name in found.figures]
    lines += ["", "Sets of people whose totals can be derived:"]
    for cells in found.cells:
        lines.append(
            f"  {_cells(cells.over)}: {_number(cells.number)},"
            f" the smallest of {_people(cells.smallest)}"
        )
    lines += ["", "Columns of G'G, the budget of one for 5 people of the smallest such set:"]
    if found.columns:
        worst = max(found.columns, key=lambda columns: columns.used - columns.allowed)
        lines.append(
            f"  {len(found.columns)} windows of variants, at most {worst.used} columns"
            f" of {worst.allowed} allowed in each"
        )
    else:
        lines.append("  none")
    lines += [
        "",
        "Rosters: a site's roster equals each earlier one of its own or differs by 10"
        " people or more.",
    ]
    lines += [f"  {site}: {said}" for site, said in checked.rosters.items()]
    return "\n".join(lines)


def _shown(count: object) -> str:
    return "a number not shown" if count is None else str(count)


def _refused(refused: Any) -> str:
    parts = [f"{_few(n)} ({why})" for why, n in refused.items()]
    return ", ".join(parts) or "nobody"


def _few(count: int | None) -> str:
    return "fewer than 5" if count is None else str(count)


def _cells(over: tuple[str, ...]) -> str:
    return "everybody by " + " and ".join(over) if over else "everybody"


def _number(number: int | None) -> str:
    return "as many as the data have" if number is None else f"{number} set{'s' * (number > 1)}"


def _people(number: int | None) -> str:
    return "a size known after the run" if number is None else f"about {number} people"
