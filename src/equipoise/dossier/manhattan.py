"""The Manhattan plot: the evidence at each variant along the genome, as a drawing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from io import StringIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.gwas_ssf import Statistics

GENOME_WIDE: Final = 7.30
"""-log10 of 5e-8, the customary threshold for a million independent tests."""

INTERESTING: Final = 3.0
"""-log10 p above which every point is drawn, up to `MOST_INTERESTING` of them."""

MOST_INTERESTING: Final = 4000
CELLS: Final = (220, 16)
"""Columns along the genome and rows up to `INTERESTING`; one point is drawn in each."""

WIDTH: Final = 520
HEIGHT: Final = 330

# Wong 2011, doi:10.1038/nmeth.1618: blue and near-black differ for every kind of colour
# vision and in grey print.
COLOURS: Final = ("#0072b2", "#262626")
LINE: Final = "#a33c00"

_LONGEST_NAME: Final = 16
_NARROWEST: Final = 0.05


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing, and what it shows: how many variants were tested, drawn, above the line."""

    svg: str = field(repr=False)
    tested: int
    drawn: int
    above: int


@dataclass(frozen=True, slots=True)
class Genome:
    """Where each variant lies along the axis.

    x           (variants,) in millions of base pairs; chromosomes follow one another
    chromosome  (variants,) the place in `names`, which is in the order of the table
    centres     (chromosomes,) the middle of each on the axis
    """

    x: NDArray[np.float64] = field(repr=False)
    chromosome: NDArray[np.int64] = field(repr=False)
    names: tuple[str, ...]
    centres: tuple[float, ...]


def plot(table: Statistics) -> Plot | None:
    """Return the plot of a scan, None where no variant has a p-value."""
    p = table.neg_log_10_p_value
    tested = np.flatnonzero(np.isfinite(p))
    if not len(tested):
        return None
    genome = lay_out(table)
    drawn = tested[thin(genome.x[tested], p[tested])]
    svg = _svg(_chart(genome, drawn, p[drawn]))
    return Plot(svg, len(tested), len(drawn), int(np.count_nonzero(p[tested] > GENOME_WIDE)))


def thin(x: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which points to draw, in rising order: few enough for a page, none that matters left out.

    The strongest `MOST_INTERESTING` points above `INTERESTING` are all drawn. Of the
    others, the first in each cell of a grid, position by -log10 p: the strongest would
    stand in rows.

    >>> thin(np.array([0.0, 0.0, 0.0, 9.0]), np.array([0.11, 0.12, 8.0, 0.12])).tolist()
    [0, 2, 3]
    """
    falling = np.argsort(-p, kind="stable")
    strong = min(int(np.count_nonzero(p > INTERESTING)), MOST_INTERESTING)
    rest = np.sort(falling[strong:])
    columns, rows = CELLS
    span = max(float(np.ptp(x)), 1e-9)
    column = np.minimum((x[rest] - x.min()) / span * columns, columns - 1).astype(np.int64)
    row = np.minimum(p[rest] / INTERESTING * rows, rows).astype(np.int64)
    _, first = np.unique(column * (rows + 1) + row, return_index=True)
    return np.sort(np.concatenate([falling[:strong], rest[first]]))


def lay_out(table: Statistics) -> Genome:
    """Return the axis: the position itself for one chromosome, else one beside the other."""
    position = table.base_pair_location / 1e6
    spelt = np.array(table.chromosome.tolist(), np.str_)
    names, first, code = np.unique(spelt, return_index=True, return_inverse=True)
    order = np.argsort(first)
    chromosome = np.argsort(order)[code]
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.minimum.at(low, chromosome, position)
    np.maximum.at(high, chromosome, position)
    shift = np.zeros(len(names))
    if len(names) > 1:
        gap = float(np.sum(high - low)) / 100
        ends = np.cumsum(high - low + gap)
        shift = np.concatenate([[0.0], ends[:-1]]) - low
    centres = (low + high) / 2 + shift
    shown = tuple(str(name)[:_LONGEST_NAME] for name in names[order])
    return Genome(position + shift[chromosome], chromosome, shown, tuple(centres.tolist()))


def _chart(genome: Genome, drawn: NDArray[np.int64], p: NDArray[np.float64]) -> Mapping[str, Any]:
    """Return the chart as Vega-Lite."""
    alt = _altair()
    one = len(genome.names) == 1
    words = f"chromosome {genome.names[0]}, in million base pairs" if one else "the genome"
    axis = {"tickCount": 6} if one else {"labels": False, "ticks": False, "titlePadding": 30}
    span = alt.Scale(zero=False, nice=False, padding=5)
    x = alt.X("x:Q", title=f"Position on {words}", scale=span, axis={"grid": False, **axis})
    top = max(GENOME_WIDE * 1.2, float(p.max()) * 1.04)
    title = "Strength of evidence, −log₁₀ p"
    y = alt.Y(
        "p:Q", title=title, scale=alt.Scale(domain=[0, top], nice=False), axis={"tickCount": 6}
    )
    bands = alt.Scale(domain=["0", "1"], range=list(COLOURS))
    colour = alt.Color("band:N", scale=bands, legend=None)
    points = alt.Chart(_points(genome, drawn, p)).mark_circle(size=14, opacity=1)
    layers = [points.encode(x=x, y=y, color=colour), *_line(alt)]
    if not one:
        layers.append(_labels(alt, genome))
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, padding=4)
    return chart.configure(**_LOOK).to_dict(validate=False)


_LOOK: Final[Mapping[str, Any]] = {
    "aria": False,
    "font": "system-ui, sans-serif",
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 16,
        "titleFontSize": 17,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "labelColor": "#262626",
        "titleColor": "#262626",
        "gridColor": "#e4e4e4",
    },
}


def _points(genome: Genome, drawn: NDArray[np.int64], p: NDArray[np.float64]) -> Mapping[str, Any]:
    text = StringIO("x,p,band\n")
    text.seek(0, 2)
    band = genome.chromosome[drawn] % 2
    np.savetxt(text, np.column_stack([genome.x[drawn], p, band]), "%.4f,%.3f,%d")
    return {"values": text.getvalue(), "format": {"type": "csv", "parse": _PARSE}}


_PARSE: Final = {"x": "number", "p": "number", "band": "string"}


def _line(alt: Any) -> list[Any]:
    """Return the threshold for the whole genome, and what it is called."""
    height = alt.datum(GENOME_WIDE)
    base = alt.Chart({"values": [{}]})
    said = f"genome-wide line, {GENOME_WIDE:.2f}"
    label = base.mark_text(text=said, align="right", dy=-8, fontSize=16, color=LINE)
    rule = base.mark_rule(color=LINE, strokeDash=[6, 3], strokeWidth=1.5)
    return [rule.encode(y=height), label.encode(x=alt.value(WIDTH), y=height)]


def _labels(alt: Any, genome: Genome) -> Any:
    """Return the names of the chromosomes below the axis, those that have room."""
    width = float(np.ptp(genome.x)) * _NARROWEST
    rows: list[dict[str, Any]] = []
    for name, centre in zip(genome.names, genome.centres, strict=True):
        if not rows or centre - rows[-1]["x"] >= width:
            rows.append({"x": centre, "name": name})
    marks = alt.Chart({"values": rows}).mark_text(fontSize=14, baseline="top")
    return marks.encode(x="x:Q", y=alt.value(HEIGHT + 4), text="name:N")


def _altair() -> Any:
    """Return altair. Untyped: its chart classes are generated, and pyright gives up on them."""
    return import_module("altair")


def _svg(chart: Mapping[str, Any]) -> str:
    """Return the drawing of a chart, its size left to the page that holds it."""
    convert: Any = import_module("vl_convert")
    svg = str(convert.vegalite_to_svg(dict(chart)))
    head, rest = svg.split(">", 1)
    box = head[head.index("viewBox=") :]
    return f'<svg aria-hidden="true" focusable="false" {box}>{rest}'
