"""`equipoise check`: all that is wrong with a study, or what it would let out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from equipoise.cli.noising import noise_in_words
from equipoise.federation.budget import Disclosure
from equipoise.study.check import Checked, Held, check
from equipoise.tools.reviewing import KEEPER_SEES, PROTECTIONS


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
        "protection": checked.study.protection.public(),
        "privacy": checked.privacy,
        "spent": dict(checked.spent),
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
        lines += [f"    {note}" for note in _strands(held)]
    if checked.study.audit is not None:
        groups = " and ".join(("site", *checked.study.audit.groups))
        lines += ["", f"The model will be audited by {groups}, and by both together."]
    lines += _external(checked)
    lines += _protection(checked)
    lines += ["", "What leaves the sites, as totals over all of them:"]
    for release in found.releases:
        lines.append(
            f"  {release.step}: {release.values} values{_by(release.over, found)}, in at most"
            f" {release.rounds} round{'s' if release.rounds > 1 else ''}"
        )
    lines += ["", "What each site publishes of itself:"]
    lines += ["  how many people take part, and reasons why not, none from 1 to 4"]
    lines += [f"  its own figures after {name}" for name in found.figures]
    lines += ["", "Sets of people whose totals can be derived:"]
    for cells in found.cells:
        lines.append(
            f"  everybody{_by(cells.over, found)}: {_number(cells.number)},"
            f" the smallest of {_people(cells.smallest)}"
        )
    lines += _warning(found)
    lines += ["", "Columns of G'G, the budget of one for 5 people of the smallest such set:"]
    lines += _columns(found)
    lines += [
        "",
        "Rosters: a site's roster equals each earlier one of its own or differs by 10"
        " people or more.",
    ]
    lines += [f"  {site}: {said}" for site, said in checked.rosters.items()]
    if checked.privacy:
        lines += ["", *noise_in_words(checked.privacy)]
    if checked.privacy and checked.spent:
        lines += ["", "Of the study's privacy budget, at each site:"]
        lines += [f"  {site}: {said}" for site, said in checked.spent.items()]
    return "\n".join(lines)


def _strands(held: Held) -> list[str]:
    """Return what else is to be said of a site's genotypes, nothing where all is plain."""
    said = {
        f"{held.other_strand} with alleles named on the other strand": held.other_strand,
        f"{held.palindromic_by_frequency} A/T or C/G told by their"
        " frequency": held.palindromic_by_frequency,
        f"{held.palindromic_dropped} A/T or C/G absent because nothing tells their"
        " strand": held.palindromic_dropped,
        "too few common variants to look for people sampled twice": not held.duplicates_sought,
    }
    return [sentence for sentence, holds in said.items() if holds]


def _shown(count: object) -> str:
    return "a number not shown" if count is None else str(count)


def _refused(refused: Any) -> str:
    parts = [f"{_few(n)} ({why})" for why, n in refused.items()]
    return ", ".join(parts) or "nobody"


def _few(count: int | None) -> str:
    return "fewer than 5" if count is None else str(count)


def _external(checked: Checked) -> list[str]:
    """Say which sites only test; nothing where there is none."""
    names = [site.name for site in checked.study.sites if site.external]
    if not names:
        return []
    said = "only tests: its people are in no total, and it publishes how well the model does there"
    return ["", "External sites:", *(f"  {name} {said}" for name in names)]


def _protection(checked: Checked) -> list[str]:
    """Say how sums are protected on their way, and by whom they are decrypted if by anybody."""
    told = checked.study.protection
    lines = ["", f"Protection of sums on their way, {told.kind}:", f"  {PROTECTIONS[told.kind]}"]
    if told.keeper:
        lines.append(f"  {told.keeper} keeps the keys, and sees {KEEPER_SEES}.")
    return lines


def _warning(found: Disclosure) -> list[str]:
    """Warn where each site's own totals can be derived; nothing where they cannot."""
    if not found.sites_derivable:
        return []
    return [
        "",
        "WARNING: each site is held out in turn. So each site's own totals can be derived by",
        "  subtracting, by anybody who sees the totals: masks do not hide them. Whoever signs",
        f'  this plan agrees to that. The reason given: "{found.reason}".',
    ]


def _columns(found: Disclosure) -> list[str]:
    """Say, for each family of sets, how much of the budget the worst window uses."""
    lines: list[str] = []
    for over in dict.fromkeys(columns.over for columns in found.columns):
        of = [columns for columns in found.columns if columns.over == over]
        worst = max(of, key=lambda columns: columns.used - columns.allowed)
        sets = ("each site" if found.sites_derivable else "each fold") if over else "everybody"
        lines.append(
            f"  about {sets}: {len(of)} windows of variants, at most {worst.used} columns"
            f" of {worst.allowed} allowed in each"
        )
    return lines or ["  none"]


def _by(over: tuple[str, ...], found: Disclosure) -> str:
    """Say what sums are split by; folds are the sites where these can be derived."""
    names = ["site" if found.sites_derivable and name == "fold" else name for name in over]
    return " by " + " and ".join(names) if names else ""


def _number(number: int | None) -> str:
    return "as many as the data have" if number is None else f"{number} set{'s' * (number > 1)}"


def _people(number: int | None) -> str:
    return "a size known after the run" if number is None else f"about {number} people"
