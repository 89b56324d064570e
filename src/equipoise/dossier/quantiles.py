"""The QQ plot: the evidence that was found beside that which chance alone would give."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier import svg

RANKS: Final = 300
"""About so many points are drawn, evenly along the axis."""

BAND: Final = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A drawing, the number of variants in it, and the median of -log10 p found and expected."""

    svg: Markup = field(repr=False)
    tested: int
    median: float


def plot(table: Statistics) -> Quantiles | None:
    """Return the plot of a scan, None where fewer than two variants have a p-value."""
    p = table.neg_log_10_p_value
    falling = np.sort(p[np.isfinite(p)])[::-1]
    n = len(falling)
    if n < 2:
        return None
    rank = ranks(n)
    expected = -np.log10((rank - 0.5) / n)
    found = falling[rank - 1]
    reach = float(expected[0]) * 1.04
    x = svg.axis(0, reach, "Expected by chance alone, −log₁₀ p", 4)
    y = svg.axis(0, max(reach, float(found[0]) * 1.04), "Found, −log₁₀ p")
    low, high = band(rank, n)
    area = _steps(x, y, np.append(expected, expected[::-1]), np.append(low, high[::-1]))
    diagonal = svg.line("level", x.x(0), y.y(0), x.x(reach), y.y(reach))
    points = _steps(x, y, expected, found, dots=True)
    marks = svg.stretched([("points band0", points)])
    under = svg.stretched([("area", f"{area}z")]) + diagonal
    return Quantiles(svg.plot(x, y, marks, "square", under), n, float(np.median(falling)))


def ranks(n: int) -> NDArray[np.int64]:
    """Return which ranks to draw: the first ones all, the others ever further apart.

    >>> ranks(5).tolist()
    [1, 2, 3, 4, 5]
    """
    return np.unique(np.round(np.geomspace(1, n, RANKS)).astype(np.int64))


def band(rank: NDArray[np.int64], n: int) -> tuple[Floats, Floats]:
    """Return the interval of -log10 p at each rank of n independent tests without any effect.

    The k-th smallest of n uniform numbers is Beta(k, n + 1 - k).
    """
    beta: Any = import_module("scipy.special").betaincinv  # scipy has no types
    ends = [beta(rank, n + 1.0 - rank, q) for q in (0.5 + BAND / 2, 0.5 - BAND / 2)]
    low, high = (-np.log10(np.maximum(np.asarray(end, np.float64), 1e-300)) for end in ends)
    return low, high


def _steps(x: svg.Axis, y: svg.Axis, a: Floats, b: Floats, dots: bool = False) -> str:
    across = np.round(np.clip((a - x.low) / (x.high - x.low), 0, 1) * svg.SIDE, 1).tolist()
    down = np.round((1 - np.clip((b - y.low) / (y.high - y.low), 0, 1)) * svg.SIDE, 1).tolist()
    pairs = [f"{u:g},{v:g}" for u, v in zip(across, down, strict=True)]
    return "".join(f"M{pair}h0" for pair in pairs) if dots else "M" + "L".join(pairs)
