"""What left the sites, what follows from it, and what it tells about who took part."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from equipoise.analyses.census import People
from equipoise.analyses.components import ComponentLoadings
from equipoise.federation.budget import Build, Columns
from equipoise.federation.budget import disclosure as derivable
from equipoise.federation.run import Run
from equipoise.solvers.membership import membership_auc, membership_power
from equipoise.study.sections import noised
from equipoise.study.sections.numbers import digits

ALARMS: Final = {"power_5": 0.05, "power_01": 0.001}
"""Rates of false positives at which the power of the membership test is given."""


def disclosure(run: Run, build: Build) -> dict[str, Any]:
    """Return the section `disclosure`."""
    found = derivable(run.plan, build)
    said = {**asdict(found), "columns": _columns(found.columns)}
    return {**said, "membership": _membership(run), "privacy": noised.privacy(run)}


def _columns(columns: Sequence[Columns]) -> list[dict[str, Any]]:
    """Return for each family of sets its fullest block, and how many blocks there are."""
    rows: list[dict[str, Any]] = []
    for over in sorted({column.over for column in columns}):
        own = [column for column in columns if column.over == over]
        fullest = max(own, key=lambda column: column.used - column.allowed)
        rows.append({**asdict(fullest), "blocks": len(own)})
    return rows


def _membership(run: Run) -> dict[str, Any]:
    """Return how well published sums tell who is in the smallest sets that they speak of.

    Sums by fold with a yes/no trait are allele counts of the fold's cases and others.
    """
    counts: People = run.results["census"]
    others = counts.people - counts.cases
    sets = {
        "people with the trait in the smallest fold": int(counts.cases.min()),
        "people without the trait in the smallest fold": int(others.min()),
        "the smallest fold": counts.smallest,
        "everybody": int(counts.people.sum()),
    }
    loadings: ComponentLoadings | None = run.results.get("components")
    if loadings is None:
        note = "not computed: the number of independent variants comes with components of ancestry"
        return {"sets": [], "effective_variants": None, "note": note}
    variants = loadings.effective_variants
    found = [
        {
            "set": name,
            "people": people,
            **{key: digits(membership_power(people, variants, a)) for key, a in ALARMS.items()},
            "auc": digits(membership_auc(people, variants)),
        }
        for name, people in sets.items()
    ]
    note = "at least: the independent variants are counted among those that pruning keeps"
    return {"sets": found, "effective_variants": digits(variants), "note": note}
