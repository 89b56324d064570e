"""The report of `equipoise train`: how well each method serves each group, and what was fitted."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from equipoise.dossier import svg
from equipoise.dossier.losses import losses
from equipoise.dossier.templating import environment, own, policy

_STYLE = """
td.bars { min-width: 9rem; }
tr.ended th, tr.ended td { font-weight: 600; }
.axes.low { height: 13rem; }
"""


def render(content: Mapping[str, Any]) -> str:
    """Return the page; it needs no network and no script.

    content  what `training.json` says
    """
    style = own("page.css", _STYLE)
    most = _most(content)
    page = environment("whole", "percent", "count", "decimal", "minus").get_template(
        "training_report.html.j2"
    )
    methods = list(content["accuracy"])
    groups = [
        {
            **group,
            "methods": [
                {
                    "name": method,
                    "figure": content["accuracy"][method][group["name"]],
                    "bar": share_bar(content["accuracy"][method][group["name"]], most),
                    "ended": method == methods[-1],
                }
                for method in methods
            ],
        }
        for group in content["groups"]
    ]
    curve = losses(content["network"]) if content["network"] else None
    return page.render(
        content=content, groups=groups, most=most, curve=curve, style=style, policy=policy(style)
    )


def share_bar(figure: Mapping[str, Any], most: float) -> Markup:
    """Return a share of variance and its interval, from 0 to `most`."""
    if figure["value"] is None:
        return Markup()
    x = svg.Axis(0, most)
    parts = [
        svg.line("rail", "0", "50", "100", "50"),
        svg.line("interval", x.x(figure["low"]), "50", x.x(figure["high"]), "50"),
        svg.circle("dot", x.x(figure["value"]), "50", 4.5),
    ]
    return svg.bar(Markup().join(parts))


def _most(content: Mapping[str, Any]) -> float:
    """Return where all bars end: a round number that no interval goes beyond."""
    ends = [
        one["high"]
        for by_group in content["accuracy"].values()
        for one in by_group.values()
        if one["high"] is not None
    ]
    return min(1.0, max([0.05, *(-(-end // 0.05) * 0.05 for end in ends)]))
