"""The report of `equipoise pca`: where people lie along the components, and what each explains.

Each person is a point without a name. The page is for whoever holds the genotypes; it says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from equipoise.dossier import svg, words
from equipoise.dossier.curves import Curve
from equipoise.dossier.templating import environment, own, policy

COLOURS: Final = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#262626", "#7a5c00"),
)
"""Of Okabe and Ito 2008, which colour-blind people tell apart, and one more."""

OTHERS: Final = "all others"
PAIRS: Final = 3
GRID: Final = 1000
"""Points at one spot of so many a side are drawn once."""

_STYLE: Final = (
    "".join(f".group{i} {{ stroke: {c}; fill: {c}; }}" for i, c in enumerate(COLOURS))
    + """
.points { fill: none; opacity: .75; }
.inner .points { vector-effect: non-scaling-stroke; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; }
.legend svg { width: .8rem; height: .8rem; vertical-align: -.05rem; margin-right: .35rem; }
.noise { fill: #fff; stroke: var(--blue); stroke-width: 2; }
"""
)


@dataclass(frozen=True, slots=True)
class Group:
    """A name with its place in the colours and how many people it has."""

    name: str
    colour: int
    people: int


def render(
    content: Mapping[str, Any],
    placed: NDArray[np.float64],
    names: Sequence[str],
    labels: Sequence[str],
) -> str:
    """Return the page; it needs no network and no script.

    content  what the command tells
    placed   (samples, k), NaN for a component that was not found
    names    (k,) of the components
    labels   (samples,) what people are coloured by: the site, or the nearest reference
    """
    style = own("page.css", _STYLE)
    groups, colour = _groups(labels)
    told = [i for i in range(len(names)) if np.isfinite(placed[:, i]).all()]
    pairs = list(zip(told[::2], told[1::2], strict=False))[:PAIRS]
    maps = [
        (f"{names[i]} and {names[j]}", people(placed[:, [i, j]], (names[i], names[j]), colour))
        for i, j in pairs
    ]
    page = environment("whole", "percent", "count").get_template("pca_report.html.j2")
    return page.render(
        content=content,
        style=style,
        policy=policy(style),
        maps=maps,
        scree=scree(content["components"]),
        groups=groups,
        total=len(labels),
    )


def people(placed: NDArray[np.float64], names: tuple[str, str], colour: NDArray[np.int64]) -> Curve:
    """Return the people along two components, (samples, 2), in colours, (samples,)."""
    axes = [_axis(placed[:, i], name) for i, name in enumerate(names)]
    x = np.array([axes[0].share(v) for v in placed[:, 0].tolist()])
    y = np.array([1 - axes[1].share(v) for v in placed[:, 1].tolist()])
    cells = np.rint(np.stack([x, y], axis=1) * GRID).astype(np.int64) * svg.SIDE // GRID
    paths: list[tuple[str, str]] = []
    for group in np.unique(colour).tolist():
        spots = np.unique(cells[colour == group], axis=0).tolist()
        paths.append((f"points group{group}", "".join(f"M{a},{b}h0" for a, b in spots)))
    said = (
        f"{len(placed):,} people along {names[0]} and {names[1]}, from"
        f" {_range(placed[:, 0])} and {_range(placed[:, 1])} standard deviations."
    )
    return Curve(svg.plot(axes[0], axes[1], svg.stretched(paths), "square"), said)


def _axis(values: NDArray[np.float64], name: str) -> svg.Axis:
    low, high = float(values.min()), float(values.max())
    room = 0.04 * max(high - low, 1e-9)
    return svg.axis(low - room, high + room, name, 5)


def _range(values: NDArray[np.float64]) -> str:
    return " to ".join(words.minus(f"{v:.1f}") for v in (values.min(), values.max()))


def scree(components: Sequence[Mapping[str, Any]]) -> Curve | None:
    """Return the eigenvalues in order; hollow dots are within noise or not found."""
    if not components or "eigenvalue" not in components[0]:
        return None
    values = [float(one["eigenvalue"]) for one in components]
    n = len(values)
    ticks = tuple((float(v), f"{v:.0f}") for v in svg.ticks(0, n, min(n, 8)) if 1 <= v <= n)
    x = svg.Axis(0.5, n + 0.5, ticks, "Component")
    low, high = np.log10(max(min(values), 1e-3)), np.log10(max(values))
    y = _logarithmic(float(low) - 0.08, float(high) + 0.08)
    dots = [
        svg.circle(
            "dot" if one["found"] and one["above_noise"] else "noise",
            x.x(i + 1),
            y.y(float(np.log10(max(value, 1e-3)))),
            4,
        )
        for i, (one, value) in enumerate(zip(components, values, strict=True))
    ]
    said = f"Eigenvalues of {n} components, from {values[0]:.2f} to {values[-1]:.2f}."
    return Curve(svg.plot(x, y, Markup().join(dots), "wide short"), said)


def _logarithmic(low: float, high: float) -> svg.Axis:
    named = [
        (float(np.log10(m * 10.0**power)), f"{m * 10.0**power:g}")
        for power in range(-3, 7)
        for m in (1, 2, 5)
    ]
    return svg.Axis(
        low, high, tuple(t for t in named if low <= t[0] <= high), "Eigenvalue, logarithmic"
    )


def _groups(labels: Sequence[str]) -> tuple[list[Group], NDArray[np.int64]]:
    """Return the groups, largest first, those beyond the colours together, and who is which."""
    names, back, counts = np.unique(np.array(labels, str), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    most = len(COLOURS) if len(names) <= len(COLOURS) else len(COLOURS) - 1
    colour = np.full(len(names), most)
    colour[order[:most]] = np.arange(min(most, len(names)))
    groups = [Group(str(names[i]), place, int(counts[i])) for place, i in enumerate(order[:most])]
    if len(names) > most:
        groups.append(Group(OTHERS, most, int(counts[order[most:]].sum())))
    return groups, colour[back]
