"""The findings of an audit: each group against those it is compared with, and the verdict.

Groups over all sites come from public sums: one level of a column against the other.
Sites, and groups at a site, come from the figures that the sites published, made coarse
there: against everybody else. Nothing else is known here, so that whoever holds the
results can recompute each verdict. The 90 % interval by which equivalence is judged is a
figure of its own, and exact up to being made coarse outward: shrinking one of 95 % would
not be right where intervals are lopsided.

Of n comparisons some show a gap by chance: `adjusted_p` is p adjusted for all that could
be made in one audit. Verdicts are not: they say what the intervals say. Groups overlap (a
site, and the women of that site), and scores are of models that share people; both are
ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from equipoise.analyses.performance import PerformanceResult
from equipoise.analyses.recalibration import SLOPE, RecalibrationResult
from equipoise.fairness import labels
from equipoise.fairness.metrics import TOO_FEW, measures, part
from equipoise.fairness.verdict import NOT_ESTIMABLE, adjusted, p_value, verdict
from equipoise.solvers.calibration import detectable_slope_gap
from equipoise.solvers.comparison import Gap, auc_gap, gap, ratio_gap
from equipoise.solvers.figures import DETECTABLE, GAP, GAP90
from equipoise.solvers.intervals import Estimate

METRICS = ("auc", "o_e", SLOPE)

Figures: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Figures of one site by name, each with value, low, high and reason."""

Finding: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Compared:
    """One comparison. `mirror` says that it is another one's, seen from the other side."""

    group: str
    metric: str
    reference: str
    value: float | None
    gap: Gap | None
    reason: str | None
    mirror: bool = False


def by_site(figures: Mapping[str, Mapping[str, Figures]]) -> dict[str, dict[str, Any]]:
    """Return the figures of each site, from those by step and site."""
    merged: dict[str, dict[str, Any]] = {}
    for step in figures.values():
        for site, own in step.items():
            merged.setdefault(site, {}).update(own)
    return dict(sorted(merged.items()))


def findings(
    found: PerformanceResult,
    refit: RecalibrationResult,
    figures: Mapping[str, Figures],
    margins: Mapping[str, float],
) -> list[Finding]:
    """Return all findings: groups over all sites, then sites, then groups at each site.

    `figures` are by site; `margins` name the metrics to compare, of `METRICS`. O/E is
    compared on the log scale: its gap, interval and margin are of ln(O / E). Where a
    verdict is "not estimable", every number is None, and there is a reason.
    """
    names = labels.cells(found.columns)
    wanted = [metric for metric in METRICS if metric in margins]
    compared = [_over_all(found, refit, cell, m) for cell in range(1, len(names)) for m in wanted]
    for part_of_site in (False, True):
        compared += [
            _at_site(own, site, cell, label, metric)
            for site, own in figures.items()
            for cell, label in names.items()
            if bool(cell) == part_of_site
            for metric in wanted
        ]
    return _with_p(compared, [_finding(c, margins[c.metric]) for c in compared])


def comparisons(made: Sequence[Finding]) -> int:
    """Return how many different comparisons could be made."""
    counted = [f for f in made if f["verdict"] != NOT_ESTIMABLE]
    pairs = {(frozenset((f["group"], f["reference"])), f["metric"]) for f in counted}
    return len(pairs)


def largest(made: Sequence[Finding], metric: str) -> Finding | None:
    """Return the finding with the largest gap; what is not estimable is never one."""
    known = [f for f in made if f["metric"] == metric and f["verdict"] != NOT_ESTIMABLE]
    return max(known, key=lambda f: abs(f["gap"]), default=None)


def _over_all(
    found: PerformanceResult, refit: RecalibrationResult, cell: int, metric: str
) -> _Compared:
    """Compare one level of a column with the other, over all sites."""
    shown = list(labels.cells(found.columns).values())
    other = cell + 1 if cell % 2 else cell - 1
    value, reason = None, TOO_FEW if not found.open[cell] else None
    between = None
    if reason is None:
        value = measures(found, refit, cell)[metric]["value"]
        between, reason = _between(found, refit, (cell, other), metric)
    return _Compared(shown[cell], metric, shown[other], value, between, reason, cell % 2 == 1)


def _between(
    found: PerformanceResult, refit: RecalibrationResult, pair: tuple[int, int], metric: str
) -> tuple[Gap | None, str | None]:
    one, other = (part(found, cell) for cell in pair)
    everybody = part(found, 0)
    if metric == "auc":
        return auc_gap(one, other, float(found.auc[0])), None
    if metric == "o_e":
        return ratio_gap(one, other, everybody.cases / everybody.n), None
    fits = [refit.fit(cell) for cell in (*pair, 0)]
    if reason := next((fit.reason for fit in fits if fit.reason), None):
        return None, reason
    least = detectable_slope_gap(refit.information[0] / everybody.n, one.n, other.n)
    return gap(fits[0].slope_at, fits[1].slope_at, detectable=least), None


def _at_site(own: Figures, site: str, cell: str, label: str, metric: str) -> _Compared:
    """Compare a site, or a group at it, with everybody else, by what the site published."""
    suffix = f"@{cell}" if cell else ""
    names = [metric + kind + suffix for kind in ("", GAP, GAP90, DETECTABLE)]
    published = [own.get(name, {"value": None}) for name in names]
    missing = [figure for figure in published if figure["value"] is None]
    who = labels.at_site(site, label), metric, labels.EVERYBODY_ELSE
    if missing:
        reasons = (figure.get("reason") for figure in missing)
        reason = next((r for r in reasons if r), "the site published no such figure")
        return _Compared(*who, None, None, reason)
    value, wide, narrow, least = published
    found = Gap(_estimate(wide), _estimate(narrow), least["value"])
    return _Compared(*who, value["value"], found, None)


def _estimate(figure: Mapping[str, Any]) -> Estimate:
    return Estimate(figure["value"], figure["low"], figure["high"])


def _finding(compared: _Compared, margin: float) -> Finding:
    who = {"group": compared.group, "metric": compared.metric, "reference": compared.reference}
    if compared.gap is None or compared.value is None:
        blank = dict.fromkeys(("value", "gap", "low", "high"))
        ends = {"minimum_detectable_gap": None, "reason": compared.reason}
        return {**who, **blank, "verdict": NOT_ESTIMABLE, **ends}
    wide = compared.gap.wide
    return {
        **who,
        "value": compared.value,
        "gap": wide.value,
        "low": wide.low,
        "high": wide.high,
        "verdict": verdict(wide, compared.gap.narrow, margin),
        "minimum_detectable_gap": compared.gap.detectable,
        "reason": None,
    }


def _with_p(compared: Sequence[_Compared], made: Sequence[Finding]) -> list[Finding]:
    """Add p adjusted for all comparisons; a comparison and its mirror image are one."""
    p = {
        (c.group, c.metric): p_value(c.gap.wide)
        for c in compared
        if c.gap is not None and c.value is not None and not c.mirror
    }
    new = dict(zip(p, adjusted(list(p.values())), strict=True))
    for c in compared:
        if c.mirror and (c.reference, c.metric) in new:
            new[c.group, c.metric] = new[c.reference, c.metric]
    return [{**f, "adjusted_p": new.get((f["group"], f["metric"]))} for f in made]
