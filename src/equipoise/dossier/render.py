"""The dossier of a run: one page to be read to the end, from the question to the ledger."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.consent.terms import find
from equipoise.dossier import (
    ancestry,
    brief,
    curves,
    findings,
    leaks,
    limits,
    manhattan,
    quantiles,
    words,
)
from equipoise.dossier.templating import environment, own, policy

TOP: Final = 10
"""Associations in the table."""

MOST_VARIANTS: Final = 30
"""Variants of the model in the table, those of the largest weights."""

_FILTERS: Final = (
    *("allele", "columns", "count", "decimal", "effect", "group", "interval", "metric", "over"),
    *("percent", "place", "reasons", "region", "series", "sets", "some", "span", "whole"),
)
"""Functions of `words` that the templates use."""


def render(study: Mapping[str, Any], results: Mapping[str, Any], table: Statistics) -> str:
    """Return one HTML page that needs nothing else: no network, and a script that it can do without.

    study    what the study file says to everybody, as `Study.public` gives it
    results  the content of `results.json`, schema 2; without a model where there is noise
    table    the scan, for the plots

    Every text in them is taken for untrusted and escaped. KeyError where a key that
    docs/results.md promises is missing.
    """
    style, script = own("page.css"), own("page.js")
    notes = _notes(results["participants"])
    illustrative = any(is_illustrative(note) for note in notes)
    page = _templates().get_template("page.html.j2")
    return page.render(
        study=study,
        results=results,
        style=style,
        script=script,
        policy=policy(style, script),
        illustrative=illustrative,
        notes=notes,
        answers=brief.answers(results),
        purpose=_purpose(results["study"]["purpose"]),
        totals=_totals(results["participants"].values()),
        association=_association(results, table),
        ancestry_map=ancestry.plot(results["ancestry"]) if results["ancestry"] else None,
        model=_model(results["model"]) if results["model"] else None,
        evaluation=_evaluation(results["evaluation"]) if results["model"] else None,
        audit=_audit(results["audit"]),
        explanation=_explanation(results["explanation"]) if results["model"] else None,
        disclosure=_disclosure(study, results["disclosure"]),
        limits=limits.limits(study, results, illustrative),
    )


def is_illustrative(text: str) -> bool:
    """Say whether a note tells that something is made up.

    >>> is_illustrative("ILLUSTRATIVE: drawn by a script.")
    True
    """
    return "illustrative" in text.casefold()


@cache
def _templates() -> Any:
    made = environment(*_FILTERS, signed=curves.signed)
    made.tests["illustrative"] = is_illustrative
    made.globals |= {
        "auc_bar": curves.auc_bar,
        "share_bar": curves.share_bar,
        "weight_bar": curves.weight_bar,
        "line": manhattan.GENOME_WIDE,
        "hidden": ancestry.HIDDEN,
    }
    return made


def _purpose(purpose: str) -> str:
    """Return a purpose in words, with its code."""
    code = find(purpose.partition(" ")[0])
    return purpose if code is None else f"{code.label} ({purpose})"


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


def _association(results: Mapping[str, Any], table: Statistics) -> dict[str, Any]:
    return {
        "manhattan": manhattan.plot(table),
        "quantiles": quantiles.plot(table),
        "top": results["association"]["top"][:TOP],
    }


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variants of the largest weights, and how many there are besides."""
    variants: Sequence[Mapping[str, Any]] = model["variants"]
    largest = sorted(variants, key=lambda row: -abs(row["weight"]))[:MOST_VARIANTS]
    return {
        "variants": largest,
        "others": len(variants) - len(largest),
        "most": max((abs(row["weight"]) for row in variants), default=0.0),
    }


def _evaluation(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    overall = evaluation["overall"]
    bins = curves.bins(overall.get("calibration"))
    return {
        "roc": curves.roc(overall.get("roc")),
        "bins": bins,
        "calibration": curves.calibration(bins),
        "single": words.within(evaluation, "best_single_variant", "overall").get("auc"),
        "single_by_site": words.within(evaluation, "best_single_variant", "by", "site"),
    }


def _audit(audit: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if audit is None:
        return None
    found: Sequence[Mapping[str, Any]] = audit["findings"] or ()
    return {
        "forests": findings.forests(audit),
        "rows": findings.ordered(found),
        "tally": findings.tally(found),
        "comparisons": audit.get("comparisons") or len(found),
    }


def _explanation(explanation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts, those that count most first, and the largest contribution."""
    parts: Sequence[Mapping[str, Any]] = explanation["parts"]
    sizes = [[p[k] for k in ("predicted_with", "predicted_without")] for p in parts]
    known = [[abs(v) for v in pair if v is not None] for pair in sizes]
    order = sorted(range(len(parts)), key=lambda i: -max(known[i], default=-1.0))
    most = max((v for pair in known for v in pair), default=0.0)
    return {"parts": [parts[i] for i in order], "most": most}


def _disclosure(study: Mapping[str, Any], disclosure: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "protection": leaks.protection(study["protection"]["kind"]),
        "noise": leaks.noise(disclosure),
        "smallest": leaks.smallest(disclosure),
        "worst": leaks.worst(disclosure),
    }
