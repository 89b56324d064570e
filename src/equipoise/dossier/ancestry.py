"""The map of ancestry: how many people lie where along two components, and each site's middle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from equipoise.dossier import svg
from equipoise.dossier.words import count, minus, whole, within

HIDDEN: Final = "1 to 4 people or withheld"
SHADES: Final = 5
AXES: Final = ("PC1", "PC2")


@dataclass(frozen=True, slots=True)
class Map:
    """A drawing, its description, and how many squares show a count, hide one, or are empty."""

    svg: Markup = field(repr=False)
    said: str
    shown: int
    hidden: int
    empty: int


def plot(found: Mapping[str, Any]) -> Map | None:
    """Return the map, None where there are no counts; sites are numbered in their order."""
    grid = found.get("map")
    if not grid or not grid["counts"]:
        return None
    edges = [float(edge) for edge in grid["edges"]]
    x = svg.axis(edges[0], edges[-1], "First component, PC1", 6)
    y = svg.axis(edges[0], edges[-1], "Second component, PC2", 6)
    counts: Sequence[Sequence[int | None]] = grid["counts"]
    flat = [n for row in counts for n in row]
    most = max((n for n in flat if n), default=1)
    squares = [
        _square((x, y), edges, (i, j), n, most)
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
        if n is None or n > 0
    ]
    sites = [
        _site(x, y, name, means, i)
        for i, (name, means) in enumerate(found.get("sites", {}).items())
        if located(means)
    ]
    shown, hidden = sum(bool(n) for n in flat), sum(n is None for n in flat)
    said = (
        f"Map of {count(len(flat), 'square')} along PC1 and PC2: {shown:,} with a count, the largest"
        f" of {whole(most if shown else 0)} people, {hidden:,} hidden, {len(flat) - shown - hidden:,}"
        f" empty; the middles of {count(len(sites), 'site')}."
    )
    drawn = Markup().join([*squares, *sites])
    return Map(
        svg.plot(x, y, drawn, "square large"), said, shown, hidden, len(flat) - shown - hidden
    )


def located(means: Mapping[str, Any]) -> bool:
    """Say whether a site shows its middle on both axes."""
    return all(within(means, name).get("mean") is not None for name in AXES)


def _square(
    axes: tuple[svg.Axis, svg.Axis],
    edges: Sequence[float],
    place: tuple[int, int],
    n: int | None,
    most: int,
) -> Markup:
    (x, y), (i, j) = axes, place
    left, right = float(x.x(edges[i])), float(x.x(edges[i + 1]))
    top, bottom = float(y.y(edges[j + 1])), float(y.y(edges[j]))
    across = (f"{left:.2f}", f"{right - left:.2f}")
    down = (f"{top:.2f}", f"{bottom - top:.2f}")
    where = f"PC1 {_range(edges, i)}, PC2 {_range(edges, j)}"
    if n is None:
        corner = svg.line("stroke", across[0], f"{bottom:.2f}", f"{right:.2f}", down[0])
        return svg.mark(f"{where}: {HIDDEN}", svg.rectangle("hidden", across, down), corner)
    shade = 1 + min(int(SHADES * n / (most + 1)), SHADES - 1)
    number = svg.text("number", across[0], down[0], f"{n:,}", "corner")
    square = svg.rectangle(f"shade{shade}", across, down)
    return svg.mark(f"{where}: {count(n, 'person', 'people')}", square, number)


def _range(edges: Sequence[float], i: int) -> str:
    """Return the span of a row of squares; the outer ones are open."""
    low, high = (minus(f"{edges[k]:.1f}") for k in (i, i + 1))
    if i == 0:
        return f"below {high}"
    return f"above {low}" if i == len(edges) - 2 else f"{low} to {high}"


def _site(x: svg.Axis, y: svg.Axis, name: str, means: Mapping[str, Any], i: int) -> Markup:
    (a, da), (b, db) = ((float(means[n]["mean"]), float(means[n]["sd"] or 0)) for n in AXES)
    across, down = x.x(a), y.y(b)
    cross = [
        (x.x(a - da), down, x.x(a + da), down),
        (across, y.y(b - db), across, y.y(b + db)),
    ]
    parts = [
        *(svg.line(kind, *ends) for kind in ("halo", "spread") for ends in cross),
        svg.circle("middle", across, down, 5),
        svg.text("label", across, down, f"{i + 1}", str(i % 4)),
    ]
    tip = f"{name}: middle at PC1 {minus(f'{a:.1f}')}, PC2 {minus(f'{b:.1f}')}"
    return svg.mark(f"{tip}; spread {da:.1f} and {db:.1f}", *parts)
