"""A plot that can stand in a page or in a file of its own, and the scale of its evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole
from equipoise.dossier import svg

LINEAR: Final = 50.0
"""A scale that ends no higher is linear all the way."""

KNEE: Final = 20.0
"""Where a longer one becomes logarithmic."""

BELOW: Final = 0.6
"""Share of a longer scale below `KNEE`."""

SIZES: Final[Mapping[str, tuple[int, int]]] = {"wide": (1200, 520), "square": (620, 620)}
"""Width and height of a file, in pixels, by the shape of its plot."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 44, 66

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale of -log10 p from 0 to `top`, on which 7 can be told from 8 beside a hit of 400.

    Up to `LINEAR` it is linear. A longer one is linear to `KNEE`, over the lower part
    `BELOW` of its height, and logarithmic above.
    """

    top: float

    @classmethod
    def over(cls, strongest: float) -> "Scale":
        """Return the scale that has room above the strongest."""
        return cls(strongest * (1.04 if strongest * 1.04 <= LINEAR else 1.4))

    @property
    def broken(self) -> bool:
        """Whether a part of it is logarithmic."""
        return self.top > LINEAR

    def at(self, p: Floats) -> Floats:
        """Return the height of each -log10 p, in the unit of the linear part.

        >>> Scale(400.0).at(np.array([0.0, 20.0, 400.0])).round(6).tolist()
        [0.0, 20.0, 33.333333]
        """
        if not self.broken:
            return p
        room = KNEE * (1 / BELOW - 1) / log(self.top / KNEE)
        return np.where(p <= KNEE, p, KNEE + room * np.log(np.maximum(p, KNEE) / KNEE))

    def axis(self, title: str) -> svg.Axis:
        """Return the axis, in heights, with ticks of -log10 p."""
        if not self.broken:
            return svg.axis(0, self.top, title)
        steps = [5.0 * i for i in range(5)]
        steps += [m * 10.0**k for k in range(1, 7) for m in (1, 2, 5)]
        steps = [v for i, v in enumerate(steps) if i < 5 or KNEE < v <= self.top]
        heights = self.at(np.array(steps)).tolist()
        ticks = tuple((h, f"{v:,.0f}") for h, v in zip(heights, steps, strict=True))
        high = float(self.at(np.array([self.top]))[0])
        return svg.Axis(0, high, ticks, f"{title}; logarithmic above {KNEE:.0f}")


@dataclass(frozen=True, slots=True)
class Picture:
    """Axes and the marks on them; `under` is drawn first. `said` describes it in words."""

    title: str
    said: str
    x: svg.Axis
    y: svg.Axis
    marks: Markup = field(repr=False)
    under: Markup = field(default_factory=Markup, repr=False)
    shape: str = "wide"

    def page(self) -> Markup:
        """Return it for a page, which has the style."""
        return svg.plot(self.x, self.y, self.marks, self.shape, self.under)

    def file(self) -> str:
        """Return it as the content of an SVG file that needs nothing else."""
        width, height = SIZES[self.shape]
        x, y = (svg.Axis(a.low, a.high, a.ticks) for a in (self.x, self.y))
        plot = svg.plot(x, y, self.marks, self.shape, self.under)
        return _FILE.format(
            width=width,
            height=height,
            left=_LEFT,
            top=_TOP,
            inner_width=width - _LEFT - _RIGHT,
            inner_height=height - _TOP - _BOTTOM,
            middle=(width + _LEFT - _RIGHT) / 2,
            low=height - 14,
            title=self.title,
            said=self.said,
            x=self.x.title,
            y=self.y.title,
            style=STYLE,
            plot=plot,
        )


def write_svg(path: Path, picture: Picture) -> None:
    """Write a picture as an SVG file, whole or not at all."""
    write_whole(path, [picture.file()])


STYLE: Final = Markup(
    "text{font:13px system-ui,'Segoe UI',Roboto,'Helvetica Neue','Liberation Sans',Arial,sans-serif;"
    "fill:#1c1c1c}.axes,.inner{overflow:visible}line,path{fill:none;stroke-width:1}"
    ".grid{stroke:#e6e6e6}.base{stroke:#545454}.level{stroke:#767676;stroke-dasharray:5 4}"
    "text.tick,text.title{fill:#545454}text.name{font-size:15px;font-weight:600}"
    "line.limit{stroke:#a33c00;stroke-width:1.5;stroke-dasharray:6 3}text.limit{fill:#a33c00;"
    "paint-order:stroke;stroke:#fff;stroke-width:4px}"
    ".inner path{vector-effect:non-scaling-stroke}.points{stroke-width:4.2;stroke-linecap:round}"
    ".band0{stroke:#0072b2}.band1{stroke:#262626}.area{fill:#e4e4e4;stroke:none}"
    "text.locus{font-size:12px;paint-order:stroke;stroke:#fff;stroke-width:3px}"
)
"""As in the page's style sheet."""

_FILE: Final = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
    ' height="{height}" role="img">\n<title>{title}</title>\n<desc>{said}</desc>\n'
    '<style>{style}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
    '<text class="name" x="{left}" y="20">{title}</text>\n'
    '<text class="title" x="{left}" y="36">{y}</text>\n'
    '<svg x="{left}" y="{top}" width="{inner_width}" height="{inner_height}" overflow="visible">\n'
    "{plot}\n</svg>\n"
    '<text class="title" x="{middle}" y="{low}" text-anchor="middle">{x}</text>\n</svg>\n'
)
