"""The report of `equipoise qc`: one page with what was found at each site, and its plots.

It is made from the content of `summary.json` alone, so no person's ID or value can be in it.
"""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from equipoise.dossier import svg, words
from equipoise.dossier.curves import Curve
from equipoise.dossier.quantiles import band
from equipoise.dossier.templating import environment, own, policy

HIDDEN: Final = "<5"
DEGREES: Final = ((0.0442, ""), (0.0884, "2nd"), (0.177, "1st"), (0.354, "same"))
"""Least kinship of each degree, and what is written there; on a phone the 3rd has no room."""

_HIDDEN_HEIGHT: Final = 4.0
"""A hidden count is drawn as high as most of them can be."""

_POWERS: Final = ("1", "10", "100", "1000", *(f"10{digit}" for digit in "⁴⁵⁶⁷⁸⁹"), "10¹⁰", "10¹¹")

_STYLE: Final = """
.axes .hidden { fill: #f6f6f6; stroke: #8a8a8a; stroke-dasharray: 3 3; }
.column { fill: var(--blue); }
.pair figure { margin-top: 1rem; }
"""


def render(content: Mapping[str, Any], *, several: bool) -> str:
    """Return the page of `content`, as in `summary.json`; it needs no network and no script.

    several  whether numbers of people from 1 to 4 are hidden, which they then are in `content`
    """
    style = own("page.css", _STYLE)
    templates = environment("percent", "count", whole=_whole)
    page = templates.get_template("quality_report.html.j2")
    sites = {name: _drawn(site) for name, site in content["sites"].items()}
    return page.render(
        content=content, several=several, style=style, policy=policy(style), drawn=sites
    )


def _whole(number: int | None) -> str:
    return words.whole(number, HIDDEN)


def _drawn(site: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plots of a site."""
    strata = site["hardy_weinberg"]["strata"]
    return {
        "maf": frequencies(site["variants"]["maf"]),
        "call_rate": call_rates(site["variants"]["call_rate"]),
        "hardy": {name: quantiles(found["quantiles"]) for name, found in strata.items()},
        "map": people(site["people_found"]["map"]),
        "kinship": kinships(site["kinship"].get("histogram")),
    }


def frequencies(found: Mapping[str, Any]) -> Curve:
    """Return the variants by minor allele frequency."""
    x = svg.axis(found["low"], found["high"], "Minor allele frequency")
    said = f"Variants by minor allele frequency: {_fullest(found, 'variants')}."
    return Curve(_columns(found, x, "Variants", log=False), said)


def call_rates(found: Mapping[str, Any]) -> Curve:
    """Return the variants by call rate, on a logarithmic scale."""
    x = svg.axis(found["low"], found["high"], "Call rate", 2)
    said = f"Variants by call rate: {_fullest(found, 'variants')}."
    return Curve(_columns(found, x, "Variants, logarithmic", log=True), said)


def kinships(found: Mapping[str, Any] | None) -> Curve | None:
    """Return the pairs of people by kinship, on a logarithmic scale; None where there are none."""
    if not found or not any(n is None or n for n in found["counts"]):
        return None
    x = svg.axis(found["low"], found["high"], "Kinship; the outermost columns hold all beyond")
    lines = [
        svg.line("limit", x.x(least), "0", x.x(least), "100")
        + svg.text("limit", x.x(least), "0", name, "corner")
        for least, name in DEGREES
    ]
    said = f"Pairs of people by kinship: {_fullest(found, 'pairs')}."
    return Curve(_columns(found, x, "Pairs, logarithmic", log=True, over=lines), said)


def _columns(
    found: Mapping[str, Any], x: svg.Axis, title: str, *, log: bool, over: Sequence[Markup] = ()
) -> Markup:
    """Return a histogram; a hidden count is a dashed column as high as it can be."""
    counts: Sequence[int | None] = found["counts"]
    most = max([_HIDDEN_HEIGHT if n is None else n for n in counts], default=1.0)
    y = _logarithmic(most, title) if log else svg.axis(0, max(most, 1) * 1.04, title, 4)
    drawn: list[Markup] = []
    for i, n in enumerate(counts):
        height = _HIDDEN_HEIGHT if n is None else float(n)
        if not height:
            continue
        top = float(y.y(log10(height) if log else height))
        left = float(x.x(found["low"] + i * found["width"]))
        across = (f"{left + 0.1:.2f}", f"{100 / len(counts) - 0.2:.2f}")
        kind = "hidden" if n is None else "column"
        drawn.append(svg.rectangle(kind, across, (f"{top:.2f}", f"{100 - top:.2f}")))
    return svg.plot(x, y, Markup().join([*drawn, *over]), "wide short")


def _logarithmic(most: float, title: str) -> svg.Axis:
    """Return a scale from a half to above `most`, so that a single one is seen."""
    high = log10(max(most, 10.0)) + 0.08
    steps = range(int(high) + 1)
    every = 1 if len(steps) < 6 else 2
    named = tuple((float(power), _POWERS[power]) for power in steps if power % every == 0)
    return svg.Axis(log10(0.5), high, named, title)


def _fullest(found: Mapping[str, Any], what: str) -> str:
    counts = [n or 0 for n in found["counts"]]
    if not any(counts):
        return f"no {what}" if 0 in found["counts"] else "numbers hidden"
    place = int(np.argmax(counts))
    ends = (found["low"] + (place + i) * found["width"] for i in (0, 1))
    low, high = (words.minus(f"{end:.3g}") for end in ends)
    return f"{sum(counts):,} {what}, most of them, {counts[place]:,}, from {low} to {high}"


def quantiles(found: Mapping[str, Any]) -> Curve | None:
    """Return the mid-p values beside those that equilibrium alone would give."""
    rank, n = np.array(found["rank"], np.int64), int(found["tests"])
    if n < 2:
        return None
    seen = np.array(found["neg_log_10_mid_p"], np.float64)
    expected = -np.log10((rank - 0.5) / n)
    reach = float(expected[0]) * 1.04
    x = svg.axis(0, reach, "Expected in equilibrium, −log₁₀ mid-p", 4)
    y = svg.axis(0, max(reach, float(seen[0]) * 1.04), "Found, −log₁₀ mid-p")
    low, high = band(rank, n)
    ends = [_pairs(x, y, expected, low), _pairs(x, y, expected[::-1], high[::-1])]
    under = svg.stretched([("area", "M" + "L".join(ends[0] + ends[1]) + "z")])
    under += svg.line("level", x.x(0), y.y(0), x.x(reach), y.y(reach))
    points = "".join(f"M{pair}h0" for pair in _pairs(x, y, expected, seen))
    said = (
        f"Hardy-Weinberg tests of {n:,} variants: the largest −log₁₀ mid-p is {seen[0]:.1f},"
        f" {expected[0]:.1f} expected."
    )
    drawn = svg.plot(x, y, svg.stretched([("points band0", points)]), "square", under)
    return Curve(drawn, said)


def _pairs(x: svg.Axis, y: svg.Axis, a: Any, b: Any) -> list[str]:
    both = zip(a.tolist(), b.tolist(), strict=True)
    return [f"{x.share(u) * svg.SIDE:.1f},{(1 - y.share(v)) * svg.SIDE:.1f}" for u, v in both]


def people(found: Mapping[str, Any] | None) -> Curve | None:
    """Return how many people lie where in call rate and inbreeding; None where nobody does."""
    if found is None:
        return None
    across, up = found["call_rate"], found["inbreeding"]
    x = svg.axis(across[0], across[-1], "Call rate", 2)
    y = svg.axis(up[0], up[-1], "Inbreeding F: few heterozygous above, many below")
    cells = [
        (i, j, n)
        for i, row in enumerate(found["counts"])
        for j, n in enumerate(row)
        if n is None or n
    ]
    most = max((n or 0 for _, _, n in cells), default=0)
    drawn: list[Markup] = []
    for i, j, n in cells:
        left, right = float(x.x(across[i])), float(x.x(across[i + 1]))
        top, bottom = float(y.y(up[j + 1])), float(y.y(up[j]))
        # By the logarithm: a single person far out must be seen beside a thousand.
        shade = 1 + min(int(5 * log10(n or 1) / max(log10(most + 1), 1e-9)), 4)
        kind = "hidden" if n is None else f"shade{shade}"
        sides = (f"{left:.2f}", f"{right - left:.2f}"), (f"{top:.2f}", f"{bottom - top:.2f}")
        drawn.append(svg.rectangle(kind, *sides))
    hidden = sum(n is None for _, _, n in cells)
    said = (
        f"People by call rate and inbreeding: {len(cells)} squares with people, the fullest"
        f" {most:,}, {hidden} hidden."
    )
    return Curve(svg.plot(x, y, Markup().join(drawn), "square"), said)
