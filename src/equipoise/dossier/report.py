"""The page of a run: what was asked, who took part, what came out, what left the sites."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.consent.terms import find
from equipoise.dossier import manhattan

TOP: Final = 5
"""Associations in the table."""

FEWER: Final = "fewer than 5"
NOT_SHOWN: Final = "not shown"

# The policy lets the page ask nothing of any network, whatever its texts hold.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"

_PROTECTIONS: Final[Mapping[str, str]] = {
    "clear": "Nothing hid a site’s own sums: the centre, which adds them up, saw them.",
    "masked": (
        "Each site hid its sums under random numbers that cancel in the total, so the centre,"
        " which adds them up, saw the total over all sites and no site’s own sums."
    ),
}


def render(study: Mapping[str, Any], results: Mapping[str, Any], table: Statistics) -> str:
    """Return one HTML page that needs nothing else: no script, no network.

    study    what the study file says to everybody, as `Study.public` gives it
    results  the content of `results.json`
    table    the scan, for the plot

    Every text in them is taken for untrusted and escaped. KeyError where a key that
    docs/results.md promises is missing.
    """
    notes = _notes(results["participants"])
    return _template().render(
        study=study,
        results=results,
        policy=POLICY,
        purpose=_purpose(results["study"]["purpose"]),
        protection=_protection(study["protection"]["kind"]),
        people=results["participants"],
        totals=_totals(results["participants"].values()),
        notes=notes,
        illustrative=any(is_illustrative(note) for note in notes),
        plot=manhattan.plot(table),
        line=manhattan.GENOME_WIDE,
        top=results["association"]["top"][:TOP],
        columns=_worst(results["disclosure"]["columns"]),
    )


def is_illustrative(text: str) -> bool:
    """Say whether a note tells that something is made up.

    >>> is_illustrative("ILLUSTRATIVE: drawn by a script.")
    True
    """
    return "illustrative" in text.casefold()


def _template() -> Any:
    # Any: jinja2 types its tables of filters and tests by the entries of its own.
    environment: Any = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "whole": _whole,
        "decimal": _decimal,
        "effect": _effect,
        "site": _site,
        "refused": _refused,
        "over": _over,
        "cells": _cells,
        "series": _series,
        "span": _span,
    }
    environment.tests["illustrative"] = is_illustrative
    text = resources.files("equipoise.dossier").joinpath("report.html.j2").read_text("utf-8")
    return environment.from_string(text)


def _purpose(purpose: str) -> str:
    """Return a purpose in words, with its code."""
    code = find(purpose.partition(" ")[0])
    return purpose if code is None else f"{code.label} ({purpose})"


def _protection(kind: str) -> str:
    return _PROTECTIONS.get(kind, f"The sums left under the protection named {kind}.")


def _notes(participants: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return each note once, with the sites that carry it; those that say illustrative first."""
    notes: dict[str, tuple[str, ...]] = {}
    for site, counts in participants.items():
        for note in dict.fromkeys(counts["notes"]):
            notes[note] = (*notes.get(note, ()), site)
    return dict(sorted(notes.items(), key=lambda item: not is_illustrative(item[0])))


def _totals(counts: Any) -> dict[str, int | None]:
    """Return sums over sites, None where a site does not show its own."""
    columns = {name: [site[name] for site in counts] for name in ("recruited", "admitted")}
    return {name: None if None in column else sum(column) for name, column in columns.items()}


def _worst(columns: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the window that comes nearest to its budget, None where there is none."""
    return max(columns, key=lambda window: window["used"] - window["allowed"], default=None)


def _whole(number: int | None, instead: str = FEWER) -> str:
    return instead if number is None else f"{number:,}"


def _decimal(number: float | None, places: int) -> str:
    return NOT_SHOWN if number is None else _minus(f"{number:.{places}f}")


def _effect(number: float | None) -> str:
    """Return three significant digits with their sign."""
    return NOT_SHOWN if number is None else _minus(f"{number:+#.3g}".rstrip("."))


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _site(variant: Mapping[str, Any]) -> str:
    """Return where a variant lies: chromosome and position."""
    return f"{variant['chromosome']}:{variant['base_pair_location']:,}"


def _refused(reasons: Mapping[str, int | None]) -> str:
    return "; ".join(f"{why}: {_whole(n)}" for why, n in reasons.items()) or "nobody"


def _over(names: Sequence[str]) -> str:
    """Return the sets of people that something is summed over."""
    return f"by {' and '.join(names)}" if names else "everybody"


def _cells(cells: Mapping[str, Any]) -> str:
    """Return how many sets can be derived and how small the smallest is."""
    number, smallest = cells["number"], cells["smallest"]
    if smallest is None:
        return "one set for each value in the data, of sizes that were not known before the run"
    if number == 1:
        return f"one set of about {smallest:,} people"
    return f"{_whole(number, 'some')} sets, the smallest of about {smallest:,} people"


def _span(numbers: Sequence[int]) -> str:
    """Return how many variants some scores use.

    >>> _span([5, 5]), _span([1]), _span([4, 6])
    ('5 variants each time', '1 variant each time', '4 to 6 variants')
    """
    low, high = min(numbers, default=0), max(numbers, default=0)
    if low == high:
        return f"{low} variant{'s'[: low != 1]} each time"
    return f"{low} to {high} variants"


def _series(words: Sequence[Any]) -> str:
    """Return words as a list in a sentence.

    >>> _series(["a", "b", "c"])
    'a, b and c'
    """
    texts = [str(word) for word in words]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
