"""The QQ plot: the evidence that was found beside that which chance alone would give."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier import svg
from equipoise.dossier.picture import Picture, Scale
from equipoise.dossier.reduction import Reduction

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
    found = falling[rank - 1]
    high = max(_reach(n), float(found[0]) * 1.04)
    drawn = _picture(rank, n, found, svg.axis(0, high, "Found, −log₁₀ p"))
    return Quantiles(drawn.page(), n, float(np.median(falling)))


def picture(scan: Reduction) -> Picture | None:
    """Return the plot of a scan of any size, None where fewer than two variants have a p-value.

    As `plot`, but on a `Scale` that a hit of 1e-400 does not squeeze.
    """
    n = scan.tested
    if n < 2:
        return None
    rank = ranks(n)
    found = scan.quantiles(rank)
    scale = Scale.over(max(_reach(n), float(found[0])))
    return _picture(rank, n, found, scale.axis("Found, −log₁₀ p"), scale)


def _reach(n: int) -> float:
    """Return where the axis of what is expected ends."""
    return -float(np.log10(0.5 / n)) * 1.04


def _picture(
    rank: NDArray[np.int64], n: int, found: Floats, y: svg.Axis, scale: Scale | None = None
) -> Picture:
    at = scale.at if scale else np.asarray
    expected = -np.log10((rank - 0.5) / n)
    reach = _reach(n)
    x = svg.axis(0, reach, "Expected by chance alone, −log₁₀ p", 4)
    low, high = (at(end) for end in band(rank, n))
    area = _steps(x, y, np.append(expected, expected[::-1]), np.append(low, high[::-1]))
    diagonal = svg.line("level", x.x(0), y.y(0), x.x(reach), y.y(reach))
    points = _steps(x, y, expected, at(found), dots=True)
    said = (
        f"QQ plot of {n:,} variants. The strongest has −log₁₀ p {found[0]:.1f},"
        f" where {expected[0]:.1f} is expected."
    )
    marks = svg.stretched([("points band0", points)])
    under = svg.stretched([("area", f"{area}z")]) + diagonal
    return Picture("QQ plot", said, x, y, marks, under, "square")


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
