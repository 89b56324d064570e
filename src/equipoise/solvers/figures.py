"""Figures that a site publishes of itself: made coarse, and withheld where people are few.

Names: a metric such as `auc` for the site, `auc@sex=1` for its people with a 1 in the
column sex; `auc.gap` the difference to everybody else with its 95 % interval,
`auc.gap90` the same with its 90 % interval, by which equivalence is judged, and
`auc.detectable` the least gap that so many people would have shown.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from equipoise.analysis import Figure
from equipoise.solvers.comparison import Gap

GAP, GAP90, DETECTABLE = ".gap", ".gap90", ".detectable"


@dataclass(frozen=True, slots=True)
class Own:
    """The people of a site, or the part of them that `suffix` names, such as "@sex=1".

    Counts of a part are for the gate alone: published, they would give others away by
    subtraction. `reason` says why the people are too few for a figure, "" where not.
    """

    suffix: str
    coarse: float
    n: int
    events: int
    reason: str = ""

    @property
    def controls(self) -> int:
        """Number of people without the trait."""
        return self.n - self.events

    def figure(self, value: float, low: float | None = None, high: float | None = None) -> Figure:
        """Return a figure: its value to the nearest step, its interval outward."""
        shown = self._at(round(value / self.coarse))
        lowest = None if low is None else self._at(floor(low / self.coarse))
        highest = None if high is None else self._at(ceil(high / self.coarse))
        return Figure(shown, lowest, highest, self.n, self.events, None, not self.suffix)

    def withheld(self, reason: str) -> Figure:
        """Return a figure without a value."""
        return Figure(None, None, None, self.n, None, reason, not self.suffix)

    def gaps(self, metric: str, found: Gap) -> dict[str, Figure]:
        """Return the figures of a gap: these people's estimate less everybody else's."""
        wide, narrow = found.wide, found.narrow
        upward = ceil(found.detectable / self.coarse) * self.coarse
        return {
            metric + GAP + self.suffix: self.figure(wide.value, wide.low, wide.high),
            metric + GAP90 + self.suffix: self.figure(narrow.value, narrow.low, narrow.high),
            metric + DETECTABLE + self.suffix: self.figure(upward),
        }

    def no_gaps(self, metric: str, reason: str) -> dict[str, Figure]:
        """Return the figures of a gap that cannot be estimated."""
        names = (metric + kind + self.suffix for kind in (GAP, GAP90, DETECTABLE))
        return dict.fromkeys(names, self.withheld(reason))

    def _at(self, steps: int) -> float:
        return round(steps * self.coarse, 9) + 0.0


def owners(
    cells: dict[str, NDArray[np.bool_]],
    trait: NDArray[np.float64],
    *,
    coarse: float,
    k: int,
    floor: int,
) -> list[Own]:
    """Return a site's people and each level of each group at it, as `solvers.cells` has them.

    The site needs `k` people with and without the trait, a level `floor` of each, and so
    does the other level at the site: widths of intervals nearly tell how many people
    stand behind them, and the site's own count less those would be the other level's.
    """
    counts = [(int(m.sum()), int(trait[m].sum())) for m in cells.values()]
    made: list[Own] = []
    for place, (name, (n, events)) in enumerate(zip(cells, counts, strict=True)):
        reason = too_few(floor if place else k, n - events, events)
        if place and not reason:
            other_n, other_events = counts[place + 1 if place % 2 else place - 1]
            reason = too_few(floor, other_n - other_events, other_events)
            reason = f"{reason} in the other group at the site" if reason else ""
        made.append(Own(f"@{name}" if name else "", coarse, n, events, reason))
    return made


def too_few(least: int, controls: int, cases: int) -> str:
    """Return why people are too few for a figure, "" where they are not.

    >>> too_few(10, 50, 9)
    'fewer than 10 people with or without the trait'
    """
    if min(controls, cases) >= least:
        return ""
    return f"fewer than {least} people with or without the trait"


def too_few_others(least: int, controls: int, cases: int) -> str:
    """Return why those who are compared with are too few, "" where they are not."""
    reason = too_few(least, controls, cases)
    return f"{reason} among everybody else" if reason else ""
