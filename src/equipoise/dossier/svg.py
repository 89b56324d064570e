"""Small drawings: axes, dots and intervals as SVG that fits any width.

Nothing has a view box: places are percentages of the drawing, so that texts and dots keep their
size on a phone and on paper. Only a path, which knows no percentages, lies in an inner drawing
of `SIDE` by `SIDE` that is stretched, with strokes that are not. Sizes, colours and margins are
the style sheet's. Every text is escaped by `Markup.format`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Final

from markupsafe import Markup

from equipoise.dossier.words import clean, minus

SIDE: Final = 1000


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high` with its ticks: values and what is written at them."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    title: str = ""

    def share(self, value: float) -> float:
        """Return how far along a value lies, from 0 to 1; at the end where it lies beyond."""
        width = self.high - self.low
        return min(max((value - self.low) / width, 0.0), 1.0) if width > 0 else 0.5

    def x(self, value: float) -> str:
        """Return the place from the left, in percent."""
        return f"{100 * self.share(value):.2f}"

    def y(self, value: float) -> str:
        """Return the place from the top, in percent, of a scale that rises upward."""
        return f"{100 - 100 * self.share(value):.2f}"


def axis(low: float, high: float, title: str = "", about: int = 5) -> Axis:
    """Return a scale with ticks at round numbers."""
    values = ticks(low, high, about)
    step = values[1] - values[0] if len(values) > 1 else 1.0
    places = max(0, -floor(log10(step) + 1e-9)) if step > 0 else 0
    places += any(abs(round(v, places) - v) > step / 1000 for v in values)
    named = tuple((v, minus(f"{v + 0.0:,.{places}f}")) for v in values)
    return Axis(low, high, named, title)


def ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Return about so many round numbers from `low` to `high`.

    >>> ticks(0.0, 1.0), ticks(-3.0, 4.1, 4)
    ((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (-2.0, 0.0, 2.0, 4.0))
    """
    width = high - low
    if not (isfinite(width) and width > 0):
        return (low,)
    raw = width / about
    power = 10.0 ** floor(log10(raw))
    step = power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = -floor(-low / step + 1e-9)
    found = [i * step for i in range(first, first + 4 * about)]
    return tuple(round(v, 12) for v in found if v <= high + step * 1e-9)


def plot(
    x: Axis, y: Axis, marks: Markup, shape: str = "wide", under: Markup | None = None
) -> Markup:
    """Return axes with marks on them; `shape` is a class of the style sheet."""
    drawn = [_Y_TITLE.format(y.title)] if y.title else []
    drawn.append(_OPEN.format(shape))
    drawn += [_ACROSS.format(y.y(v), text) for v, text in y.ticks]
    drawn.append(under or Markup())
    drawn += [_UP.format(x.x(v), text) for v, text in x.ticks]
    drawn += [_BASE, marks, Markup("</svg>")]
    drawn += [_X_TITLE.format(x.title)] if x.title else []
    return Markup("\n").join(drawn)


_OPEN: Final = Markup('<svg class="axes {}" aria-hidden="true" focusable="false">')
_Y_TITLE: Final = Markup('<div class="title">{}</div>')
_X_TITLE: Final = Markup('<div class="title below">{}</div>')
_BASE: Final = Markup('<line class="base" x2="100%" y1="100%" y2="100%"/>')
_ACROSS: Final = Markup(
    '<line class="grid" x2="100%" y1="{0}%" y2="{0}%"/>'
    '<text class="tick" x="0" dx="-8" y="{0}%" dy=".32em" text-anchor="end">{1}</text>'
)
_UP: Final = Markup(
    '<text class="tick up" x="{0}%" y="100%" dy="1.5em" text-anchor="middle">{1}</text>'
)


def line(kind: str, x1: str, y1: str, x2: str, y2: str) -> Markup:
    """Return a straight line; places in percent."""
    form = Markup('<line class="{}" x1="{}%" y1="{}%" x2="{}%" y2="{}%"/>')
    return form.format(kind, x1, y1, x2, y2)


def circle(kind: str, x: str, y: str, radius: float = 5) -> Markup:
    """Return a dot of a size that does not stretch."""
    return Markup('<circle class="{}" cx="{}%" cy="{}%" r="{:g}"/>').format(kind, x, y, radius)


def text(kind: str, x: str, y: str, said: str, more: str = "") -> Markup:
    """Return a text; `more` is where it hangs, one of the keys of `_HANG`."""
    form = Markup('<text class="{}" x="{}%" y="{}%"{}>{}</text>')
    return form.format(kind, x, y, _HANG[more], clean(said))


_HANG: Final = {
    "": Markup(),
    "middle": Markup(' text-anchor="middle" dy=".34em"'),
    "end-above": Markup(' text-anchor="end" dy="-.5em"'),
    "corner": Markup(' dx="6" dy="1.25em"'),
    "0": Markup(' dx="9" dy="-.45em"'),
    "1": Markup(' dx="9" dy="1.15em"'),
    "2": Markup(' dx="-9" dy="-.45em" text-anchor="end"'),
    "3": Markup(' dx="-9" dy="1.15em" text-anchor="end"'),
}


def rectangle(kind: str, x: Sequence[str], y: Sequence[str]) -> Markup:
    """Return a rectangle from the left and the top, with its width and height, in percent."""
    form = Markup('<rect class="{}" x="{}%" y="{}%" width="{}%" height="{}%"/>')
    return form.format(kind, x[0], y[0], x[1], y[1])


def mark(tip: str, *parts: Markup) -> Markup:
    """Return a group that the page's script lets be pointed at, with what it says then."""
    form = Markup('<g class="mark" data-tip="{}">{}</g>')
    return form.format(clean(tip), Markup().join(parts))


def stretched(paths: Iterable[tuple[str, str]]) -> Markup:
    """Return paths, each a class and its steps in units of `SIDE`."""
    form = Markup('<path class="{}" d="{}"/>')
    inner = Markup().join(form.format(kind, steps) for kind, steps in paths)
    return _INNER.format(SIDE, inner)


_INNER: Final = Markup(
    '<svg class="inner" width="100%" height="100%" viewBox="0 0 {0} {0}"'
    ' preserveAspectRatio="none">{1}</svg>'
)


def bar(marks: Markup, kind: str = "") -> Markup:
    """Return a small drawing that stands in a line of a table."""
    form = Markup('<svg class="bar {}" aria-hidden="true" focusable="false">{}</svg>')
    return form.format(kind, marks)
