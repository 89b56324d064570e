"""How good a predicted probability is: over all sites by sums, at each site by figures.

The score is the logit of the probability. People and cases are counted first. Where
they are enough, everybody is counted by even bins of the rank, and from these come the
edges of bins that hold about as many people each. By those, everybody and each group are
counted, and the sums behind O/E and the Brier score are asked (Brier 1950, Monthly
Weather Review 78:1). An AUC is no sum: over all sites it is replaced by that of the bins,
with its bound. `span` cuts the logit in all sums but not in the AUC, whose end bins are
open.

Groups are two-valued columns: everybody is asked, and of each column those with a 1.
A column of which one level is too small is not asked beyond its counts.

Each site also publishes, from its rows and coarse, its own AUC, O/E and Brier score, and
its gaps to everybody else, for all its people and for each level of each group. Everybody
else is the total less its own sums; a site that never trained is not in the total.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, sqrt
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from equipoise.analysis import Figure
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers import bins, cells
from equipoise.solvers.auc import auc_estimate, auc_from_histogram, auc_from_rows, auc_interval
from equipoise.solvers.comparison import Part, auc_gap, log_ratio, ratio_gap
from equipoise.solvers.figures import Own, owners, too_few, too_few_others
from equipoise.solvers.intervals import wald
from equipoise.solvers.logistic import probability
from equipoise.step import Done, Next
from equipoise.sums import Block, Read, Schema, Sums, head_count, real

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

METRICS = ("auc", "o_e")
SEPARATOR = "\t"
"""No column of a table has it in its name."""


@dataclass(frozen=True, slots=True)
class PerformanceState:
    """What is asked next, by `stage`: 0 counts, 1 even bins, 2 bins filled alike and sums.

    counts  (1 + groups, 2) controls and cases: of everybody, and with a 1 in each column
    edges   (bins - 1,) inner edges of the bins of the rank
    """

    stage: int = exact()
    counts: Counts = exact()
    edges: Floats = grid(2.0**-20)


@dataclass(frozen=True, slots=True)
class PerformanceResult:
    """Counts and sums by cell (see `solvers.cells`), zeros where a cell is not open.

    groups     the group columns, joined by a tab
    open       (cells,) 1 where there are enough people of both kinds
    counts     (cells, 2) controls and cases, exact also where a cell is not open: what is
               shown of them to others is `fairness.metrics`' to decide
    edges      (bins - 1,) inner edges of the bins of the rank
    histogram  (cells, 2, bins) controls and cases by bin
    sums       (cells, 3) of p, of p (1 - p), and of (y - p)^2
    auc, low, high, bound  (cells,) of the histogram; the interval includes the bound
    """

    groups: str = exact()
    open: Counts = exact()
    counts: Counts = exact()
    edges: Floats = grid(2.0**-20)
    histogram: Counts = exact()
    sums: Floats = grid(2.0**-20)
    auc: Floats = grid(2.0**-30)
    low: Floats = grid(2.0**-30)
    high: Floats = grid(2.0**-30)
    bound: Floats = grid(2.0**-30)

    @property
    def columns(self) -> tuple[str, ...]:
        """The group columns."""
        return tuple(self.groups.split(SEPARATOR)) if self.groups else ()

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of the cells."""
        return cells.names(self.columns)


@dataclass(frozen=True, slots=True)
class Scored:
    """Some people: what ranks them, the logit of their probability, whether they are cases."""

    rank: Floats
    logit: Floats
    trait: Floats

    def among(self, member: NDArray[np.bool_]) -> "Scored":
        """Return those of them who are members."""
        return Scored(self.rank[member], self.logit[member], self.trait[member])


@dataclass(frozen=True, slots=True)
class Performance:
    """Performance of a score for a yes/no trait, in three rounds.

    bins    of the histogram; at most a twentieth of the people: everybody's is asked twice
    k       the least cases and controls of everybody, or of a site, for a figure
    floor   the least of each for a group, or for a gap, on either side of it
    score   the column with the logit of the probability
    groups  two-valued columns
    span    even bins run over ranks, and logits are cut, from -span to span
    rank    the column that the AUC ranks people by; the score where it is "". Models that
            differ from fold to fold in their intercept rank better without it
    calibrated  whether the score is a logit; else nothing but the AUC is looked at
    """

    people: int
    bins: int
    k: int
    floor: int
    trait: str
    score: str
    groups: tuple[str, ...] = ()
    span: float = 8.0
    rank: str = ""
    calibrated: bool = True

    coarse: ClassVar[float] = 0.01

    def start(self) -> PerformanceState:
        """Return the state in which nobody has been counted."""
        counts = np.zeros((1 + len(self.groups), 2), np.int64)
        return PerformanceState(0, counts, bins.even_edges(self.span, self.bins))

    def schema(self, state: PerformanceState) -> Schema:
        """Ask for histograms of controls and cases, and for sums; nothing where all is too few."""
        if state.stage and not self._open(state)[0]:
            return Schema()
        block = dict(self._fields("", ()))
        for group in self.groups:
            block |= self._fields(f"@{group}", (Read(group, None, two_valued=True),))
        return Schema((block,))

    def summarise(self, cohort: Cohort, state: PerformanceState) -> Iterator[Sums]:
        """Yield the site's counts, all in the first bin; then histograms, then sums too."""
        everybody, trait = self._scored(cohort), cohort.column(self.trait)
        asked = self._open(state)
        answer: dict[str, Floats] = {}
        for place, member in enumerate(self._members(cohort)):
            suffix = f"@{self.groups[place - 1]}" if place else ""
            histogram, sums = np.zeros((2, self.bins)), np.zeros(3)
            if state.stage == 0:
                histogram[:, 0] = [np.sum(member & (trait == y)) for y in (0, 1)]
            elif asked[2 * place] and (state.stage == 2 or not place):
                part = self._part(everybody.among(member), state.edges)
                histogram = part.histogram.astype(np.float64)
                sums = part.sums * (state.stage == 2)
            answer |= {f"histogram{suffix}": histogram, f"sums{suffix}": sums}
        yield answer

    def advance(
        self, state: PerformanceState, totals: Iterable[Sums]
    ) -> Next[PerformanceState] | Done[PerformanceResult]:
        """Return the counts, then the edges, then the result."""
        given = list(totals)
        suffixes = ["", *(f"@{group}" for group in self.groups)]
        if not given:
            blank = np.zeros((len(suffixes), 2, self.bins), np.int64)
            return Done(self._result(state, blank, np.zeros((len(suffixes), 3))))
        histogram = np.stack([given[0][f"histogram{s}"] for s in suffixes]).astype(np.int64)
        if state.stage == 0:
            return Next(PerformanceState(1, histogram.sum(axis=2), state.edges))
        if state.stage == 1:
            edges = bins.filled_edges(histogram[0].sum(axis=0), self.span)
            return Next(PerformanceState(2, state.counts, edges))
        sums = np.stack([given[0][f"sums{s}"] for s in suffixes])
        return Done(self._result(state, histogram, sums))

    def derive(self, cohort: Cohort, result: PerformanceResult) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def figures(self, cohort: Cohort, result: PerformanceResult) -> Mapping[str, Figure]:
        """Return the site's own figures, and those of each level of each group at it."""
        parts = cells.members(self.groups, cohort)
        trait, limits = cohort.column(self.trait), {"k": self.k, "floor": self.floor}
        counted = cohort.n > 0 and not bool((cohort.fold < 0).all())
        found: dict[str, Figure] = {}
        owned = owners(parts, trait, coarse=self.coarse, **limits)
        for own, part in zip(owned, parts.values(), strict=True):
            scored = self._scored(cohort).among(part)
            found |= self._own(own, scored)
            if self.calibrated:
                found |= self._gaps(own, scored, result, counted)
        return found

    def _own(self, own: Own, scored: Scored) -> dict[str, Figure]:
        """Return AUC, O/E and Brier score from rows; the AUC alone of what is no logit."""
        if own.reason:
            every = (*METRICS, "brier") if self.calibrated else ("auc",)
            return dict.fromkeys((name + own.suffix for name in every), own.withheld(own.reason))
        exact_auc = auc_from_rows(scored.rank, scored.trait == 1)
        auc = auc_estimate(exact_auc, own.events, own.controls)
        first = {"auc" + own.suffix: own.figure(auc.value, auc.low, auc.high)}
        return {**first, **self._calibration(own, scored)} if self.calibrated else first

    def _calibration(self, own: Own, scored: Scored) -> dict[str, Figure]:
        """Return O/E and Brier score from rows."""
        ratio = log_ratio(self._part(scored, np.zeros(0)))
        loss = self._loss(scored)
        brier = wald(float(loss.mean()), float(loss.std(ddof=1)) / sqrt(own.n))
        return {
            "o_e" + own.suffix: own.figure(exp(ratio.value), exp(ratio.low), exp(ratio.high)),
            "brier" + own.suffix: own.figure(
                brier.value, max(brier.low, 0.0), min(brier.high, 1.0)
            ),
        }

    def _gaps(
        self,
        own: Own,
        scored: Scored,
        result: PerformanceResult,
        counted: bool,
    ) -> dict[str, Figure]:
        """Return the gaps to everybody else; `counted` says that these people are in the total."""
        mine = self._part(scored, result.edges)
        total = Part(result.histogram[0], result.sums[0])
        rest = total.less(mine) if counted and result.open[0] else total
        reason = own.reason or too_few(self.floor, mine.controls, mine.cases)
        reason = reason or too_few_others(self.floor, rest.controls, rest.cases)
        if reason:
            withheld = (own.no_gaps(metric, reason) for metric in METRICS)
            return {name: figure for gaps in withheld for name, figure in gaps.items()}
        exact_auc = auc_from_rows(scored.rank, scored.trait == 1)
        auc = auc_gap(mine, rest, float(result.auc[0]), exact_auc)
        ratio = ratio_gap(mine, rest, total.cases / total.n)
        return {**own.gaps("auc", auc), **own.gaps("o_e", ratio)}

    def _fields(self, suffix: str, group: tuple[Read, ...]) -> Block:
        """Declare the histogram and the sums of everybody, or of those with a 1 in a column."""
        reads = (Read(self.trait, None), Read(self.rank or self.score, None), *group)
        linear = (Read(self.trait, 1, two_valued=True), Read(self.score, None), *group)
        size, over = (2, self.bins), (self.trait, "score bin")
        return {
            f"histogram{suffix}": head_count(size, self.people, over, reads),
            f"sums{suffix}": real((3,), 1.0, self.people, (), linear),
        }

    def _members(self, cohort: Cohort) -> Iterator[NDArray[np.bool_]]:
        """Return everybody, and who has a 1 in each group column."""
        parts = list(cells.members(self.groups, cohort).values())
        return iter([parts[0], *parts[2::2]])

    def _scored(self, cohort: Cohort) -> Scored:
        ranked, score = cohort.column(self.rank or self.score), cohort.column(self.score)
        return Scored(ranked, score, cohort.column(self.trait))

    def _part(self, scored: Scored, edges: Floats) -> Part:
        place, size = bins.place(scored.rank, edges), len(edges) + 1
        kinds = [np.bincount(place[scored.trait == y], minlength=size) for y in (0, 1)]
        p = self._probability(scored.logit)
        sums = np.array([p.sum(), (p * (1 - p)).sum(), self._loss(scored).sum()], np.float64)
        return Part(np.stack(kinds).astype(np.int64), sums * self.calibrated)

    def _loss(self, scored: Scored) -> Floats:
        """Return y (1 - 2 p) + p^2: for a y of 0 or 1 that is (y - p)^2, and linear in it."""
        p = self._probability(scored.logit)
        return scored.trait * (1 - 2 * p) + p * p

    def _probability(self, logit: Floats) -> Floats:
        return probability(np.clip(logit, -self.span, self.span))

    def _open(self, state: PerformanceState) -> Counts:
        return cells.open_cells(cells.from_yes(state.counts), self.k, self.floor)

    def _result(
        self, state: PerformanceState, histogram: Counts, sums: Floats
    ) -> PerformanceResult:
        counts, opened = cells.from_yes(state.counts), self._open(state)
        shown = opened.astype(np.float64)
        by_cell = cells.from_yes(histogram) * opened[:, None, None]
        aucs = [_auc(part) if o else np.zeros(4) for part, o in zip(by_cell, opened, strict=True)]
        auc, low, high, bound = np.stack(aucs, axis=1)
        groups = SEPARATOR.join(self.groups)
        summed = cells.from_yes(sums) * shown[:, None]
        cut = state.edges
        return PerformanceResult(
            groups, opened, counts, cut, by_cell, summed, auc, low, high, bound
        )


def _auc(histogram: Counts) -> Floats:
    """Return AUC, low, high and bound of a histogram of controls and cases."""
    n, m = int(histogram[1].sum()), int(histogram[0].sum())
    auc, bound = auc_from_histogram(histogram[1], histogram[0])
    low = auc_interval(max(auc - bound, 0.0), n, m)[0]
    high = auc_interval(min(auc + bound, 1.0), n, m)[1]
    return np.array([auc, low, high, bound])
