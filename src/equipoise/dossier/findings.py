"""The audit: gaps between groups as dots with intervals, and what they come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from equipoise.dossier import svg
from equipoise.dossier.curves import signed
from equipoise.dossier.words import count, group, metric
from equipoise.fairness.verdict import (
    EQUIVALENCE_SHOWN,
    GAP_SHOWN,
    INCONCLUSIVE,
    NOT_ESTIMABLE,
)

VERDICTS: Final = (GAP_SHOWN, INCONCLUSIVE, NOT_ESTIMABLE, EQUIVALENCE_SHOWN)
"""As they are listed: what calls for attention comes first."""

FARTHEST: Final = 6.0
"""Gaps are drawn up to so many margins; what lies beyond is cut, with an arrow."""


@dataclass(frozen=True, slots=True)
class Row:
    """One finding as a line of a drawing."""

    group: str
    verdict: str
    svg: Markup = field(repr=False)


@dataclass(frozen=True, slots=True)
class Forest:
    """All findings by one metric, with the scale below them."""

    metric: str
    margin: float | None
    rows: tuple[Row, ...]
    scale: Markup = field(repr=False)
    said: str


def ordered(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the findings by verdict, else in their order."""
    places = {verdict: i for i, verdict in enumerate(VERDICTS)}
    return sorted(found, key=lambda finding: places.get(finding["verdict"], len(places)))


def tally(found: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many findings have each verdict."""
    return {v: sum(finding["verdict"] == v for finding in found) for v in VERDICTS}


def forests(audit: Mapping[str, Any]) -> tuple[Forest, ...]:
    """Return a drawing for each metric, in the order of the findings."""
    found: Sequence[Mapping[str, Any]] = audit["findings"] or ()
    names = dict.fromkeys(finding["metric"] for finding in found)
    margins: Mapping[str, float] = audit.get("margins") or {}
    return tuple(
        _forest(name, margins.get(name), [f for f in found if f["metric"] == name])
        for name in names
    )


def _forest(name: str, margin: float | None, found: Sequence[Mapping[str, Any]]) -> Forest:
    reach = _reach(margin, found)
    x = svg.axis(-reach, reach, about=4)
    rows = tuple(Row(group(f["group"]), f["verdict"], _row(x, margin, f)) for f in found)
    scale = svg.bar(
        Markup().join(
            svg.text("tick", x.x(v), "50", signed(v) if v else "0", "middle") for v, _ in x.ticks
        ),
        "row scale",
    )
    counts = [f"{n} {verdict}" for verdict, n in tally(found).items() if n]
    largest = max((f for f in found if f["gap"] is not None), key=_size, default=None)
    told = ""
    if largest is not None:
        told = f" The largest gap is {signed(largest['gap'])}, of {group(largest['group'])}."
    compared = count(len(found), "group")
    said = f"Gaps in {metric(name)} of {compared} to everybody else: {', '.join(counts)}.{told}"
    return Forest(name, margin, rows, scale, said)


def _size(finding: Mapping[str, Any]) -> float:
    return abs(finding["gap"])


def _reach(margin: float | None, found: Sequence[Mapping[str, Any]]) -> float:
    """Return how far the scale goes to either side."""
    numbers = [abs(f[k]) for f in found for k in ("gap", "low", "high") if f[k] is not None]
    widest = max(numbers, default=0.0) * 1.08
    if not margin:
        return widest or 1.0
    return min(max(widest, 1.6 * margin), FARTHEST * margin)


def _row(x: svg.Axis, margin: float | None, finding: Mapping[str, Any]) -> Markup:
    parts = [_band(x, margin)] if margin else []
    gap, low, high = (finding[name] for name in ("gap", "low", "high"))
    if gap is None:
        said = svg.text("none", "50", "50", NOT_ESTIMABLE, "middle")
        return svg.bar(Markup().join([*parts, svg.mark(tip(finding), said)]), "row")
    parts.append(svg.line("rail", x.x(0), "0", x.x(0), "100"))
    drawn: list[Markup] = []
    if low is not None and high is not None:
        drawn.append(svg.line("interval", x.x(low), "50", x.x(high), "50"))
        drawn += _arrows(x, low, high)
    drawn.append(_dot(x.x(gap), finding["verdict"]))
    return svg.bar(Markup().join([*parts, svg.mark(tip(finding), *drawn)]), "row")


def _band(x: svg.Axis, margin: float) -> Markup:
    left, right = float(x.x(-margin)), float(x.x(margin))
    return svg.rectangle("margin", (f"{left:.2f}", f"{right - left:.2f}"), ("0", "100"))


def _arrows(x: svg.Axis, low: float, high: float) -> list[Markup]:
    """Return what tells that an interval goes on beyond the scale."""
    found: list[Markup] = []
    if low < x.low:
        found.append(svg.text("arrow", "0", "50", "◂", "middle"))
    if high > x.high:
        found.append(svg.text("arrow", "100", "50", "▸", "middle"))
    return found


def _dot(across: str, verdict: str) -> Markup:
    """Return a dot of a shape of its own for each verdict."""
    if verdict == GAP_SHOWN:
        form = Markup('<svg class="diamond" x="{}%" y="50%"><path d="M0-7L7,0L0,7L-7,0z"/></svg>')
        return form.format(across)
    return svg.circle("dot" if verdict == EQUIVALENCE_SHOWN else "dot open", across, "50")


def tip(finding: Mapping[str, Any]) -> str:
    """Return a finding in one line."""
    head = f"{group(finding['group'])}, {metric(finding['metric'])}: "
    if finding["gap"] is None:
        return head + "; ".join(
            [NOT_ESTIMABLE, *([finding["reason"]] if finding["reason"] else [])]
        )
    ends = ""
    if finding["low"] is not None and finding["high"] is not None:
        ends = f" (95 % interval {signed(finding['low'])} to {signed(finding['high'])})"
    return f"{head}gap {signed(finding['gap'])}{ends}, {finding['verdict']}"
