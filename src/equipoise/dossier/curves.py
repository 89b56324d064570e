"""How good a model is, as curves: ROC and calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from equipoise.dossier import svg
from equipoise.dossier.words import count, decimal, percent
from equipoise.solvers.intervals import wilson


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawing and its description."""

    svg: Markup = field(repr=False)
    said: str


@dataclass(frozen=True, slots=True)
class Bin:
    """People with like predictions: their number, and the shares predicted and observed.

    `events`, `observed`, `low` and `high` are None where the count is withheld.
    """

    n: int | None
    events: int | None
    predicted: float | None
    observed: float | None
    low: float | None
    high: float | None


def roc(points: Sequence[Sequence[float]] | None) -> Curve | None:
    """Return the ROC curve, None where there are no points."""
    if not points:
        return None
    path = sorted((float(a), float(b)) for a, b in points)
    if path[0] != (0.0, 0.0):
        path.insert(0, (0.0, 0.0))
    if path[-1] != (1.0, 1.0):
        path.append((1.0, 1.0))
    x = svg.Axis(0, 1, _SHARES, "People without the trait who are flagged")
    y = svg.Axis(0, 1, _SHARES, "People with the trait who are flagged")
    steps = "M" + "L".join(f"{a * svg.SIDE:.4g},{(1 - b) * svg.SIDE:.4g}" for a, b in path)
    drawn = [svg.stretched([("curve", steps)])]
    for a, b in path[1:-1]:
        tip = f"{percent(b)} of people with the trait flagged, {percent(a)} of people without it"
        drawn.append(svg.mark(tip, svg.circle("dot small", x.x(a), y.y(b), 3)))
    under = svg.line("level", "0", "100", "100", "0")
    reached = [(at, max((b for a, b in path if a <= at), default=0.0)) for at in (0.05, 0.2)]
    told = " and ".join(
        f"{percent(b)} of people with the trait are flagged where at most {percent(a)} of people"
        " without it are"
        for a, b in reached
    )
    return Curve(svg.plot(x, y, Markup().join(drawn), "square", under), f"ROC curve: {told}.")


_SHARES: Final = tuple((i / 5, f"{20 * i}\N{NO-BREAK SPACE}%") for i in range(6))


def bins(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Bin, ...]:
    """Return each bin of the calibration with Wilson's interval of its observed share."""
    return tuple(_bin(row) for row in rows or ())


def _bin(row: Mapping[str, Any]) -> Bin:
    n, events, observed = row["n"], row["events"], row["observed"]
    low, high = None, None
    if observed is not None and n:
        interval = wilson(observed, n)
        low, high = interval.low, interval.high
    return Bin(n, events, row["predicted"], observed, low, high)


def calibration(found: Sequence[Bin]) -> Curve | None:
    """Return the calibration plot, None where no bin can be shown."""
    shown = [b for b in found if b.observed is not None and b.predicted is not None]
    if not shown:
        return None
    x = svg.Axis(0, 1, _SHARES, "Predicted share with the trait")
    y = svg.Axis(0, 1, _SHARES, "Observed share with the trait")
    marks = [_point(x, y, b) for b in shown]
    under = svg.line("level", "0", "100", "100", "0")
    told = "; ".join(
        f"predicted {percent(b.predicted)}, observed {percent(b.observed)}" for b in shown
    )
    said = (
        f"Calibration of {count(len(shown), 'group')} of people by predicted probability: {told}."
    )
    return Curve(svg.plot(x, y, Markup().join(marks), "square", under), said)


def _point(x: svg.Axis, y: svg.Axis, b: Bin) -> Markup:
    predicted, observed = b.predicted or 0.0, b.observed or 0.0
    across = x.x(predicted)
    parts: list[Markup] = []
    ends = ""
    if b.low is not None and b.high is not None:
        parts.append(svg.line("interval", across, y.y(b.low), across, y.y(b.high)))
        ends = f" (95 % interval {percent(b.low)} to {percent(b.high)})"
    parts.append(svg.circle("dot", across, y.y(observed)))
    people = count(b.n, "person", "people")
    tip = f"{people}: predicted {percent(predicted)}, observed {percent(observed)}{ends}"
    return svg.mark(tip, *parts)


def auc_bar(figure: Mapping[str, Any]) -> Markup:
    """Return an AUC and its interval from 0 to 1, with a tick at a toss of a coin."""
    x = svg.Axis(0, 1)
    parts = [svg.line("rail", "0", "50", "100", "50"), svg.line("rail", "50", "15", "50", "85")]
    if figure["low"] is not None and figure["high"] is not None:
        parts.append(svg.line("interval", x.x(figure["low"]), "50", x.x(figure["high"]), "50"))
    parts.append(svg.circle("dot", x.x(figure["value"]), "50", 4.5))
    return svg.bar(Markup().join(parts))


def share_bar(value: float | None, most: float, kind: str) -> Markup:
    """Return a bar from 0 to `most`; nothing where there is no number."""
    if value is None or most <= 0:
        return Markup()
    width = svg.Axis(0, most).x(abs(value))
    return svg.bar(svg.rectangle(kind, ("0", width), ("20", "60")), "short")


def weight_bar(value: float, most: float) -> Markup:
    """Return a bar to the left or the right of the middle."""
    x = svg.Axis(-most or -1.0, most or 1.0)
    left, right = sorted((50.0, float(x.x(value))))
    middle = svg.line("rail", "50", "0", "50", "100")
    kind = "fill with" if value >= 0 else "fill without"
    drawn = svg.rectangle(kind, (f"{left:.2f}", f"{right - left:.2f}"), ("20", "60"))
    return svg.bar(drawn + middle, "short")


def signed(value: float | None) -> str:
    """Return a difference with its sign, two places."""
    text = decimal(value)
    return text if value is None or text.startswith("−") or not float(text) else f"+{text}"
