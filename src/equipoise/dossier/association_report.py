"""The report of one association scan: a page of its own, without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from equipoise.dossier import manhattan, quantiles
from equipoise.dossier.picture import Picture
from equipoise.dossier.reduction import SUGGESTIVE, Reduction
from equipoise.dossier.templating import environment, own, policy
from equipoise.solvers.inflation import lambda_1000, lambda_of_median
from equipoise.solvers.ld_score import LdRegression

TOP: Final = 20
"""Loci in the table."""

STYLE: Final = (
    "svg .locus { font-size: 12px; paint-order: stroke; stroke: #fff; stroke-width: 3px; }"
    " svg text.limit { paint-order: stroke; stroke: #fff; stroke-width: 4px; }"
    " @media screen and (max-width: 46rem) { svg .locus { display: none; }"
    " .facts { grid-template-columns: minmax(0, 1fr); gap: 0; } .facts dd { padding-bottom: .5rem; } }"
)

_FILTERS: Final = ("allele", "count", "decimal", "effect", "place", "series", "whole")


@dataclass(frozen=True, slots=True)
class Summary:
    """What is said of a scan beside its table.

    model      such as "linear regression", "logistic regression, score test"
    people     for each site, how many people there are, by what is counted; the same counts
               in each, None where a site does not show one
    cases, controls  where the trait is yes or no
    ld         the regression on LD scores, or None; `ld_note` says of which people or
               reference the scores are, or why there is none
    notes      sentences that the reader should know
    """

    trait: str
    genome_build: str
    model: str
    equipoise: str
    table: str
    covariates: Sequence[str] = ()
    people: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict[str, Any])
    cases: int | None = None
    controls: int | None = None
    ld: LdRegression | None = None
    ld_note: str = ""
    notes: Sequence[str] = ()


def association_report(scan: Reduction, summary: Summary) -> str:
    """Return one HTML page that needs nothing else: the scan in pictures, figures and loci.

    Every text of `scan` and `summary` is taken for untrusted and escaped.
    """
    style = own("page.css", STYLE)
    sketch, qq = manhattan.picture(scan), quantiles.picture(scan)
    inflation = lambda_of_median(scan.median()) if scan.tested else None
    loci = scan.loci(manhattan.GENOME_WIDE)
    return (
        environment(*_FILTERS)
        .get_template("association_report.html.j2")
        .render(
            scan=scan,
            summary=summary,
            style=style,
            policy=policy(style),
            manhattan=sketch,
            quantiles=qq,
            inflation=inflation,
            inflation_1000=_scaled(inflation, summary),
            line=manhattan.GENOME_WIDE,
            above=scan.above(manhattan.GENOME_WIDE),
            loci=loci[:TOP] or scan.loci(SUGGESTIVE)[:TOP],
            n_loci=len(loci),
            counts=_counts(summary.people),
            totals=_totals(summary.people),
            verdict=_verdict(summary.ld),
        )
    )


def pictures(scan: Reduction) -> dict[str, Picture]:
    """Return the pictures of a scan by name, `manhattan` and `qq`, those that it has."""
    sketch, qq = manhattan.picture(scan), quantiles.picture(scan)
    found = {"manhattan": sketch.picture if sketch else None, "qq": qq}
    return {name: picture for name, picture in found.items() if picture}


def _scaled(inflation: float | None, summary: Summary) -> float | None:
    if inflation is None or not summary.cases or not summary.controls:
        return None
    return lambda_1000(inflation, summary.cases, summary.controls)


def _counts(people: Mapping[str, Mapping[str, int | None]]) -> tuple[str, ...]:
    """Return what is counted, in the order of the first site that counts it."""
    return tuple(dict.fromkeys(name for counts in people.values() for name in counts))


def _totals(people: Mapping[str, Mapping[str, int | None]]) -> dict[str, int | None]:
    """Return sums over sites, None where a site does not show its own."""
    columns = {name: [c.get(name) for c in people.values()] for name in _counts(people)}
    return {
        name: None if None in column else sum(n for n in column if n is not None)
        for name, column in columns.items()
    }


def _verdict(found: LdRegression | None) -> str:
    """Return what the intercept says, in words."""
    if found is None:
        return ""
    low = found.intercept - 1.96 * found.intercept_se
    high = found.intercept + 1.96 * found.intercept_se
    if low > 1:
        return (
            "The interval of the intercept lies above 1: structure or relatives inflate the scan."
        )
    if high < 1:
        return "The interval of the intercept lies below 1: the statistics are smaller than chance would make them."
    if found.intercept_se > 0.1:
        return "The interval of the intercept holds 1, but it is too wide to say much."
    return "The interval of the intercept holds 1: no sign of structure or relatives."
