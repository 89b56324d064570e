"""How a predicted probability must be stretched and shifted to be right, by group.

Logistic recalibration of the trait on the logit of what was predicted, by rounds of
Newton's method on sums, for everybody and for each level of each group column at once
(`solvers.calibration`; Cox 1958, doi:10.1093/biomet/45.3-4.562). No penalty: where few
cases separate, nothing is claimed. Rounds begin at (0, 0): from (0, 1), the coefficients
of a perfect score, steps run away exactly where a score is far too sure of itself.

In the first round the predicted probabilities are summed too, over bins that are merged
so that each holds enough people (`solvers.bins`): what a calibration table needs.

Each site also publishes, coarse, its own slope and its gap to everybody else's. Theirs is
one step of Newton's from the slope of all, without the site's own sums (Pregibon 1981,
doi:10.1214/aos/1176345513, equation 17, for one site rather than one person).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.performance import PerformanceResult
from equipoise.analysis import Figure
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers import bins, cells
from equipoise.solvers.calibration import (
    MOST_SLOPE,
    SETTLED,
    Fit,
    detectable_slope_gap,
    fitted,
    newton,
    no_fit,
    recalibrate,
    terms,
)
from equipoise.solvers.comparison import Gap, gap
from equipoise.solvers.figures import Own, owners, too_few, too_few_others
from equipoise.solvers.intervals import LEVEL
from equipoise.solvers.logistic import probability
from equipoise.step import Done, Next
from equipoise.sums import Block, Read, Schema, Sums, real

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

SLOPE = "calibration_slope"
GRID = 2.0**-20


@dataclass(frozen=True, slots=True)
class RecalibrationState:
    """Where Newton's method stands, by cell (see `solvers.cells`).

    round         how often sums were asked
    coefficients  (cells, 2) intercept and slope
    change        (cells,) the larger part of the last step
    predicted     (tables,) sums of p by merged bin, of everybody
    """

    round: int = exact()
    coefficients: Floats = grid(GRID)
    change: Floats = grid(GRID)
    predicted: Floats = grid(GRID)


@dataclass(frozen=True, slots=True)
class RecalibrationResult:
    """Intercepts and slopes by cell, zeros where a cell is not open.

    open          (cells,) 1 where there are enough people of both kinds
    coefficients  (cells, 2) intercept and slope
    change        (cells,) the larger part of the last step
    information   (cells, 3) sums of w, w logit and w logit^2 before that step
    predicted     (tables,) sums of p by merged bin, of everybody: a group's own table would
                  need bins so wide that they tell nothing
    place         (bins,) the merged bin of each bin of the histogram
    rounds        how often sums were asked
    """

    open: Counts = exact()
    coefficients: Floats = grid(GRID)
    change: Floats = grid(GRID)
    information: Floats = grid(GRID)
    predicted: Floats = grid(GRID)
    place: Counts = exact()
    rounds: int = exact()

    def fit(self, cell: int) -> Fit:
        """Return the fit of a cell."""
        if not self.open[cell]:
            return no_fit("too few people with or without the trait")
        return fitted(self.coefficients[cell], self.information[cell], float(self.change[cell]))


@dataclass(frozen=True, slots=True)
class Recalibration:
    """Recalibration of the column `score`, a logit, with `Performance`'s parameters and more.

    tables  the most merged bins of a calibration table
    rank    as in `Performance`: tables go by its bins
    rounds  the most rounds; 8 settle wherever the slope is between -1 and 2
    """

    people: int
    k: int
    floor: int
    trait: str
    score: str
    performance: PerformanceResult
    groups: tuple[str, ...] = ()
    span: float = 8.0
    tables: int = 10
    rounds: int = 8
    rank: str = ""

    coarse: ClassVar[float] = 0.01

    def start(self) -> RecalibrationState:
        """Return coefficients of 0, which have not settled."""
        n = 1 + 2 * len(self.groups)
        return RecalibrationState(0, np.zeros((n, 2)), np.ones(n), np.zeros(self.tables))

    def schema(self, state: RecalibrationState) -> Schema:
        """Ask for gradient and information of each cell, and for sums of p by merged bin."""
        del state
        block = {**self._newton("", None), **self._table()}
        for group in self.groups:
            block |= self._newton(f"@{group}", group)
        return Schema((block,))

    def summarise(self, cohort: Cohort, state: RecalibrationState) -> Iterator[Sums]:
        """Yield the site's sums; zeros for cells that are not open, and of p after round 0."""
        logit, trait = self._logit(cohort), cohort.column(self.trait)
        ranked = cohort.column(self.rank or self.score)
        opened, answer = self.performance.open, dict[str, Floats]()
        for name, place, members in self._cells(cohort):
            each = [
                terms(logit[m], trait[m], state.coefficients[place + level])
                for level, m in enumerate(members)
            ]
            gradient = np.stack([g.sum(axis=0) for g, _ in each]) * opened[place]
            information = np.stack([w.sum(axis=0) for _, w in each]) * opened[place]
            answer[f"gradient{name}"] = gradient if name else gradient[0]
            answer[f"information{name}"] = information if name else information[0]
            if not name:
                asked = opened[place] * (state.round == 0)
                answer["predicted"] = self._predicted(ranked, logit) * asked
        yield answer

    def advance(
        self, state: RecalibrationState, totals: Iterable[Sums]
    ) -> Next[RecalibrationState] | Done[RecalibrationResult]:
        """Take a step; end where the step before was small, or no round is left."""
        (total,) = totals
        gradient, information = (
            self._stacked(total, "gradient"),
            self._stacked(total, "information"),
        )
        opened = self.performance.open
        # What decides is the last step as it was published, never the one taken now.
        settled = bool(np.all((state.change <= SETTLED) | (opened == 0)))
        step = newton(gradient, information) * opened[:, None]
        coefficients = state.coefficients + step
        change, rounds = np.abs(step).max(axis=1), state.round + 1
        predicted = state.predicted
        if state.round == 0:
            predicted = total["predicted"]
        if not settled and rounds < self.rounds:
            return Next(RecalibrationState(rounds, coefficients, change, predicted))
        fit = opened, coefficients, change, information
        return Done(RecalibrationResult(*fit, predicted, self._place, rounds))

    def derive(self, cohort: Cohort, result: RecalibrationResult) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def figures(self, cohort: Cohort, result: RecalibrationResult) -> Mapping[str, Figure]:
        """Return the site's own slope and its gap, and those of each level of each group."""
        logit, trait = self._logit(cohort), cohort.column(self.trait)
        counted = cohort.n > 0 and not bool((cohort.fold < 0).all())
        parts, limits = cells.members(self.groups, cohort), {"k": self.k, "floor": self.floor}
        found: dict[str, Figure] = {}
        owned = owners(parts, trait, coarse=self.coarse, **limits)
        for own, m in zip(owned, parts.values(), strict=True):
            fit = no_fit(own.reason) if own.reason else fitted(*recalibrate(logit[m], trait[m]))
            rest = self._rest(own, result, logit[m], trait[m], counted)
            found[SLOPE + own.suffix] = _figure(own, fit)
            reason = fit.reason or too_few(self.floor, own.controls, own.events) or rest.reason
            if reason:
                found |= own.no_gaps(SLOPE, reason)
            else:
                found |= own.gaps(SLOPE, self._gap(own, fit, rest, result, counted))
        return found

    def _rest(
        self, own: Own, result: RecalibrationResult, logit: Floats, trait: Floats, counted: bool
    ) -> Fit:
        """Return the fit of everybody else, near enough; `counted` as in `_gap`."""
        controls, cases = (int(c) for c in self.performance.counts[0])
        if counted:
            controls, cases = controls - own.controls, cases - own.events
        every = result.fit(0)
        if reason := too_few_others(self.floor, controls, cases) or every.reason:
            return no_fit(reason)
        if not counted:
            return every
        coefficients = result.coefficients[0]
        each, weights = terms(logit, trait, coefficients)
        information = result.information[0] - weights.sum(axis=0)
        step = newton(-np.asarray(each.sum(axis=0), np.float64), information)
        # The step is the people's influence, and no sign of a fit that has not settled.
        return fitted(coefficients + step, information, 0.0)

    def _gap(
        self, own: Own, fit: Fit, rest: Fit, result: RecalibrationResult, counted: bool
    ) -> Gap:
        """Return the gap; `counted` says that these people are among everybody."""
        n = int(self.performance.counts[0].sum())
        least = detectable_slope_gap(result.information[0] / n, own.n, n - own.n * counted)
        return gap(fit.slope_at, rest.slope_at, detectable=least)

    def _newton(self, name: str, group: str | None) -> Block:
        """Declare gradient and information, of everybody or by level of a group."""
        by = () if group is None else (Read(group, None, two_valued=True),)
        over, cell = ((), ()) if group is None else ((group,), (2,))
        score, most = Read(self.score, None), max(1.0, self.span)
        reads = (Read(self.trait, 1, two_valued=True), score, *by)
        return {
            f"gradient{name}": real((*cell, 2), most, self.people, over, reads),
            f"information{name}": real((*cell, 3), most**2 / 4, self.people, over, (score, *by)),
        }

    def _table(self) -> Block:
        """Declare the sums of p by merged bin, of everybody."""
        reads = tuple(Read(n, None) for n in dict.fromkeys((self.score, self.rank or self.score)))
        return {"predicted": real((self.tables,), 1.0, self.people, (), reads)}

    def _cells(self, cohort: Cohort) -> Iterator[tuple[str, int, list[NDArray[np.bool_]]]]:
        """Yield the name of each family of cells, the place of its first, and who is in each."""
        parts = list(cells.members(self.groups, cohort).values())
        yield "", 0, parts[:1]
        for place, group in zip(range(1, len(parts), 2), self.groups, strict=True):
            yield f"@{group}", place, parts[place : place + 2]

    def _stacked(self, total: Sums, field: str) -> Floats:
        """Return one row a cell of what was asked family by family."""
        return np.concatenate([np.atleast_2d(total[field + name]) for name in self._names])

    def _predicted(self, ranked: Floats, logit: Floats) -> Floats:
        place = self._place
        wide = place[bins.place(ranked, self.performance.edges)]
        return np.bincount(wide, probability(logit), minlength=self.tables).astype(np.float64)

    def _logit(self, cohort: Cohort) -> Floats:
        return np.clip(cohort.column(self.score), -self.span, self.span)

    @property
    def _names(self) -> tuple[str, ...]:
        return ("", *(f"@{group}" for group in self.groups))

    @property
    def _place(self) -> Counts:
        """The merged bin of each bin: a function of published whole numbers."""
        return bins.merged(self.performance.histogram[:1], self.k, self.tables)


def _figure(own: Own, fit: Fit) -> Figure:
    if fit.reason:
        return own.withheld(fit.reason)
    slope = fit.slope_at(LEVEL)
    return own.figure(slope.value, max(slope.low, -MOST_SLOPE), min(slope.high, MOST_SLOPE))
