"""The Manhattan plot: the evidence at each variant along the genome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier import svg
from equipoise.dossier.picture import Picture, Scale
from equipoise.dossier.reduction import Locus, Reduction
from equipoise.dossier.words import allele, clean

GENOME_WIDE: Final = 7.30
"""-log10 of 5e-8, the customary threshold for a million independent tests."""

INTERESTING: Final = 3.0
"""-log10 p above which every point is drawn, up to `MOST_INTERESTING` of them."""

MOST_INTERESTING: Final = 4000
CELLS: Final = (220, 16)
"""Columns along the genome and rows up to `INTERESTING`; one point is drawn in each."""

MOST_DRAWN: Final = 16_000
"""As `MOST_INTERESTING`, where no script needs the points: about 15 bytes each."""

LABELS: Final = 12
"""Loci that are named at most."""

_DOWN: Final = 400
_ROOM: Final = (0.15, 0.055)
"""Width and height that a name takes, as shares of the drawing."""

_LONGEST_NAME: Final = 16
_NARROWEST: Final = 0.055

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing, and what it shows: how many variants were tested, drawn, above the line.

    data    what the page's script needs to draw a part of it: see `_data`
    weaker  -log10 p of which it can be said that every variant above it is drawn
    """

    svg: Markup = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    tested: int
    drawn: int
    above: int
    weaker: float


@dataclass(frozen=True, slots=True)
class Genome:
    """Where each variant lies along the axis.

    x           (variants,) in millions of base pairs; chromosomes follow one another
    chromosome  (variants,) the place in `names`, which is in the order of the table
    centres     (chromosomes,) the middle of each on the axis
    shift       (chromosomes,) what was added to its positions
    """

    x: Floats = field(repr=False)
    chromosome: NDArray[np.int64] = field(repr=False)
    names: tuple[str, ...]
    centres: tuple[float, ...]
    shift: tuple[float, ...]

    def shown(self, chromosome: str) -> int:
        """Return the place of a chromosome."""
        return self.names.index(str(clean(chromosome))[:_LONGEST_NAME])


@dataclass(frozen=True, slots=True)
class Sketch:
    """A picture, how many points are in it, and from which strength on none is left out."""

    picture: Picture
    drawn: int
    weaker: float


def plot(table: Statistics) -> Plot | None:
    """Return the plot of a scan, None where no variant has a p-value."""
    p = table.neg_log_10_p_value
    tested = np.flatnonzero(np.isfinite(p))
    if not len(tested):
        return None
    genome = lay_out(table)
    drawn = tested[thin(genome.x[tested], p[tested])]
    x, y = _axes(genome, drawn, p[drawn])
    line, said = _limit(y)
    points = _points(genome, drawn, p[drawn], (x, y))
    cut = _weaker(p[tested], MOST_INTERESTING)
    return Plot(
        svg=svg.plot(x, y, line + points + said, "wide"),
        data=_data(table, genome, drawn, (x, y), cut),
        tested=len(tested),
        drawn=len(drawn),
        above=int(np.count_nonzero(p[tested] > GENOME_WIDE)),
        weaker=cut,
    )


def thin(x: Floats, p: Floats, most: int = MOST_INTERESTING) -> NDArray[np.int64]:
    """Return which points to draw, in rising order: few enough for a page, none that matters left out.

    The strongest `most` points above `INTERESTING` are all drawn. Of the others, the first in each cell of a grid, position by -log10 p: the strongest would
    stand in rows.

    >>> thin(np.array([0.0, 0.0, 0.0, 9.0]), np.array([0.11, 0.12, 8.0, 0.12])).tolist()
    [0, 2, 3]
    """
    strong = np.flatnonzero(p > INTERESTING)
    strong = strong[np.argsort(-p[strong], kind="stable")[:most]]
    others = np.ones(len(p), np.bool_)
    others[strong] = False
    rest = np.flatnonzero(others)
    columns, rows = CELLS
    span = max(float(np.ptp(x)), 1e-9)
    column = np.minimum((x[rest] - x.min()) / span * columns, columns - 1).astype(np.int64)
    row = np.minimum(p[rest] / INTERESTING * rows, rows).astype(np.int64)
    cell = column * (rows + 1) + row
    first = np.full(columns * (rows + 1), len(p), np.int64)
    np.minimum.at(first, cell, rest)
    return np.sort(np.concatenate([strong, first[first < len(p)]]))


def lay_out(table: Statistics) -> Genome:
    """Return the axis: the position itself for one chromosome, else one beside the other."""
    return _lay_out(table.chromosome, table.base_pair_location)


def _lay_out(texts: NDArray[Any], base_pairs: NDArray[np.int64]) -> Genome:
    position = base_pairs / 1e6
    names, chromosome = _chromosomes(texts)
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.minimum.at(low, chromosome, position)
    np.maximum.at(high, chromosome, position)
    shift = np.zeros(len(names))
    if len(names) > 1:
        gap = float(np.sum(high - low)) / 100
        ends = np.cumsum(high - low + gap)
        shift = np.concatenate([[0.0], ends[:-1]]) - low
    centres = (low + high) / 2 + shift
    shown = tuple(str(clean(name))[:_LONGEST_NAME] for name in names)
    x = position + shift[chromosome]
    return Genome(x, chromosome, shown, tuple(centres.tolist()), tuple(shift.tolist()))


def _weaker(p: Floats, most: int) -> float:
    """Return -log10 p of which it can be said that every variant above it is drawn."""
    strong = int(np.count_nonzero(p > INTERESTING))
    return INTERESTING if strong <= most else float(np.partition(p, -most)[-most])


def picture(scan: Reduction, labels: int = LABELS) -> Sketch | None:
    """Return the plot of a scan of any size, None where no variant has a p-value.

    As `plot`, but on a `Scale` that a hit of 1e-400 does not squeeze, with the strongest
    loci named, and with up to `MOST_DRAWN` strong points: of those that would cover the same
    spot, a thousandth of the width by one of 400 of the height, the strongest is drawn.
    """
    points = scan.points()
    if not len(points.p):
        return None
    genome = _lay_out(points.chromosome, points.position)
    scale = Scale.over(max(GENOME_WIDE * 1.15, float(points.p.max())))
    spots = _spots(genome.x, scale, points.p)
    # In no order, so that the first point of a cell may lie anywhere in it, not at its left.
    spots = np.random.default_rng(0).permutation(spots)
    drawn = np.sort(spots[thin(genome.x[spots], points.p[spots], MOST_DRAWN)])
    p = points.p[drawn]
    along, _ = _axes(genome, drawn, p)
    axes = along, scale.axis("Strength of evidence, −log₁₀ p")
    loci = scan.loci(GENOME_WIDE)
    line, said = _limit(axes[1])
    marks = _points(genome, drawn, scale.at(p), axes) + line + said
    marks += Markup().join(_names(genome, scale, axes, loci[:labels]))
    above = scan.above(GENOME_WIDE)
    words = f"Manhattan plot of {scan.tested:,} variants; {above:,} lie above the genome-wide line."
    if loci:
        best = loci[0]
        words += f" The strongest, −log₁₀ p {best.neg_log_10_p_value:.1f}, is at chromosome"
        words += f" {clean(best.chromosome)}, position {best.base_pair_location:,}."
    return Sketch(
        Picture("Manhattan plot", words, *axes, marks),
        len(drawn),
        _weaker(points.p[spots], MOST_DRAWN),
    )


def _spots(x: Floats, scale: Scale, p: Floats) -> NDArray[np.int64]:
    """Return the strongest point of each spot of the drawing, in rising order."""
    across = ((x - x.min()) / max(float(np.ptp(x)), 1e-9) * svg.SIDE).astype(np.int64)
    down = (scale.at(p) / scale.axis("").high * _DOWN).astype(np.int64)
    strongest = np.argsort(-p, kind="stable")
    _, first = np.unique((across * (_DOWN + 1) + down)[strongest], return_index=True)
    return np.sort(strongest[first])


def _names(
    genome: Genome, scale: Scale, axes: tuple[svg.Axis, svg.Axis], loci: Sequence[Locus]
) -> Iterator[Markup]:
    """Yield a name beside each locus, the strongest first, where there is room for it."""
    x, y = axes
    taken: list[tuple[float, float]] = []
    for locus in loci:
        place = genome.shown(locus.chromosome)
        across = x.share(locus.base_pair_location / 1e6 + genome.shift[place])
        down = y.share(float(scale.at(np.array([locus.neg_log_10_p_value]))[0]))
        left = across - _ROOM[0] if across > 1 - _ROOM[0] else across
        if all(abs(left - a) > _ROOM[0] or abs(down - b) > _ROOM[1] for a, b in taken):
            taken.append((left, down))
            said = locus.name or f"{locus.chromosome}:{locus.base_pair_location:,}"
            hang = "2" if left < across else "0"
            at = f"{100 * across:.2f}", f"{100 - 100 * down:.2f}"
            yield svg.text("locus", *at, said[:24], hang)


def _chromosomes(texts: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names in the order of the table, and the place of each row's.

    Names stand in runs, so that only the first of each run is looked up.
    """
    starts = np.flatnonzero(np.concatenate([[True], texts[1:] != texts[:-1]]))
    starts = starts[: len(texts)]
    places: dict[str, int] = {}
    codes = [places.setdefault(str(texts[i]), len(places)) for i in starts]
    lengths = np.diff(np.append(starts, len(texts)))
    return list(places), np.repeat(np.array(codes, np.int64), lengths)


def _axes(genome: Genome, drawn: NDArray[np.int64], p: Floats) -> tuple[svg.Axis, svg.Axis]:
    x = genome.x[drawn]
    margin = max(float(np.ptp(x)), 1e-3) * 0.01
    low, high = float(x.min()) - margin, float(x.max()) + margin
    top = max(GENOME_WIDE * 1.2, float(p.max()) * 1.04)
    one = len(genome.names) == 1
    if one:
        words = f"Position on chromosome {genome.names[0]}, in million base pairs"
        along = svg.axis(low, high, words)
    else:
        along = svg.Axis(low, high, _labels(genome, high - low), "Chromosome")
    return along, svg.axis(0, top, "Strength of evidence, −log₁₀ p")


def _labels(genome: Genome, width: float) -> tuple[tuple[float, str], ...]:
    """Return the names of the chromosomes, those that have room."""
    rows: list[tuple[float, str]] = []
    for name, centre in zip(genome.names, genome.centres, strict=True):
        if not rows or centre - rows[-1][0] >= width * _NARROWEST:
            rows.append((centre, name))
    return tuple(rows)


def _points(
    genome: Genome, drawn: NDArray[np.int64], p: Floats, axes: tuple[svg.Axis, svg.Axis]
) -> Markup:
    """Return the points of every other chromosome as one path each."""
    x, y = axes
    across = (genome.x[drawn] - x.low) / (x.high - x.low) * svg.SIDE
    down = (1 - p / y.high) * svg.SIDE
    band = genome.chromosome[drawn] % 2
    paths = [(f"points band{b}", _dots(across[band == b], down[band == b])) for b in (0, 1)]
    return svg.stretched(paths)


def _limit(y: svg.Axis) -> tuple[Markup, Markup]:
    """Return the genome-wide line, and what is written at it."""
    said = f"genome-wide line, {GENOME_WIDE:.2f}"
    level = y.y(GENOME_WIDE)
    line = svg.line("limit", "0", level, "100", level)
    return line, svg.text("limit", "100", level, said, "end-above")


def _dots(x: Floats, y: Floats) -> str:
    """Return steps that draw a dot at each place: lines without length, with round ends.

    >>> _dots(np.array([1.04]), np.array([2.0]))
    'M1,2h0'
    """
    pairs = zip(np.round(x, 1).tolist(), np.round(y, 1).tolist(), strict=True)
    return "".join(f"M{a:g},{b:g}h0" for a, b in pairs)


def _data(
    table: Statistics,
    genome: Genome,
    drawn: NDArray[np.int64],
    axes: tuple[svg.Axis, svg.Axis],
    weaker: float,
) -> dict[str, Any]:
    """Return the points for the page's script, a list a column, and the axes."""
    x, y = axes
    return {
        "names": list(genome.names),
        "shift": [round(value, 6) for value in genome.shift],
        "x": [x.low, x.high],
        "ticks": [list(tick) for tick in x.ticks],
        "title": x.title,
        "top": y.high,
        "weaker": round(weaker, 2),
        "chromosome": genome.chromosome[drawn].tolist(),
        "position": table.base_pair_location[drawn].tolist(),
        "p": np.round(table.neg_log_10_p_value[drawn], 2).tolist(),
        "effect": [_allele(text) for text in table.effect_allele[drawn]],
        "other": [_allele(text) for text in table.other_allele[drawn]],
        "beta": _numbers(table.beta[drawn]),
        "frequency": _numbers(table.effect_allele_frequency[drawn]),
    }


def _allele(text: Any) -> str:
    return allele(str(clean(str(text))))


def _numbers(values: Floats) -> list[float | None]:
    return [None if isnan(v) else float(f"{v:.3g}") for v in values.tolist()]
