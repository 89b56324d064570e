"""How a network's loss fell: its mean loss by round, beside that of the linear model."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from equipoise.dossier import svg
from equipoise.dossier.curves import Curve
from equipoise.dossier.words import decimal

ROOM: Final = 0.06
"""Of the range of losses: what is left free above and below."""

PLACES: Final = 4


def losses(network: Mapping[str, Any]) -> Curve | None:
    """Return the drawing, None for fewer than two rounds of the network.

    network  what `training.json` says of it: drawn are those it was trained on, and those it
             was stopped by, whose least loss chose the round
    """
    by_round = network["by_round"]
    train, stop = by_round["network"]["train"], by_round["network"]["stop"]
    if len(stop) < 2:
        return None
    level, best = by_round["linear"]["stop"][-1], network["best_round"] or 1
    low, high = min(*train, *stop, level), max(*train, *stop, level)
    room = ROOM * (high - low) or ROOM
    x = svg.axis(1, len(stop), "Round of the network")
    y = svg.axis(low - room, high + room, "Mean loss, the lower the better")
    lines = svg.stretched([("spread", _steps(x, y, train)), ("curve", _steps(x, y, stop))])
    dot = svg.circle("dot", x.x(best), y.y(stop[best - 1]))
    under = svg.line("level", "0", y.y(level), "100", y.y(level))
    said = (
        f"Mean loss by round. In people whom the network was stopped by it went from"
        f" {decimal(stop[0], PLACES)} to {decimal(stop[best - 1], PLACES)} in round {best}, which was"
        f" kept, of {len(stop)}; the linear model’s is {decimal(level, PLACES)} there. In people whom"
        f" it was trained on it went from {decimal(train[0], PLACES)} to {decimal(train[-1], PLACES)}."
    )
    return Curve(svg.plot(x, y, Markup().join([lines, dot]), "wide low", under), said)


def _steps(x: svg.Axis, y: svg.Axis, values: Sequence[float]) -> str:
    places = [
        f"{x.share(i) * svg.SIDE:.4g},{(1 - y.share(value)) * svg.SIDE:.4g}"
        for i, value in enumerate(values, 1)
    ]
    return "M" + "L".join(places)
