"""A score adjusted for ancestry along the components, and what that changes in each group.

Sums of the first round give the mean of the score as a linear function of the components; each
later one takes a step of Fisher's scoring of its log variance (`solvers.score_adjustment`). One
more round shows, by group, what came of it: how many are called high-risk before and after, and
the sums behind the squared correlation of score and trait, before and after. Adjusting evens out
who is called high-risk; it does not restore accuracy.

That last round is asked once, since counts above a threshold that moves from round to round would
tell of those whom it passes; and of a group only where at least k are expected above it, and of a
yes/no trait k have it and k do not. A group's own count is published whatever it is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.numbered_groups import bounded, counted, numbered
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers.distributions import normal_cdf
from equipoise.solvers.score_adjustment import (
    EDGE,
    MOST_RATIO,
    Adjustment,
    design,
    first_log_variance,
    mean_coefficients,
    percentile,
    ratios,
    scoring_step,
)
from equipoise.step import Done, Next
from equipoise.sums import Block, Read, Schema, Sums, head_count, real

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

ADJUSTED = "adjusted_score"
PERCENTILE = "percentile"
SETTLED = 2.0**-10
GRID = 2.0**-20

MEAN, VARIANCE, SHOWN = 0, 1, 2
"""What a round asks for."""


@dataclass(frozen=True, slots=True)
class ScoreAdjustmentState:
    """Where the fit stands.

    asks          what this round asks for: the mean, a step of the variance, or what came of it
    round         how often sums were asked
    counts        (groups, 2) people, and of a yes/no trait those with it
    products      (terms, terms) A'A, A ones and the components
    mean          (terms,)
    log_variance  (terms,)
    spread        (2,) the score's mean and standard deviation over everybody
    change        the largest part of the last step
    """

    asks: int = exact()
    round: int = exact()
    counts: Counts = exact()
    products: Floats = grid(GRID)
    mean: Floats = grid(GRID)
    log_variance: Floats = grid(GRID)
    spread: Floats = grid(GRID)
    change: Floats = grid(GRID)


@dataclass(frozen=True, slots=True)
class AdjustedScore:
    """The adjustment, and what it changes; rows of `shown` fields are groups.

    components    the components' names, joined by a tab
    settled       1 where the last step was small
    counts        (groups, 2) as in the state
    open          (groups,) 1 where there are enough people to be shown
    high          (groups, 2) called high-risk before and after
    r2            (groups, 2) squared correlation with the trait before and after
    spread        (2,) the score's mean and standard deviation over everybody
    """

    components: str = exact()
    settled: int = exact()
    counts: Counts = exact()
    open: Counts = exact()
    high: Counts = exact()
    mean: Floats = grid(GRID)
    log_variance: Floats = grid(GRID)
    spread: Floats = grid(GRID)
    r2: Floats = grid(GRID)

    @property
    def adjustment(self) -> Adjustment:
        """The adjustment of a person's score."""
        names = tuple(self.components.split("\t"))
        return Adjustment(names, self.mean, self.log_variance)


@dataclass(frozen=True, slots=True)
class ScoreAdjustment:
    """Adjusts the column `score` along `components`, which have standard deviation 1.

    binary  whether the trait is yes/no
    bounds  the most that score and trait may be; a score is cut there, a trait beyond is refused
    group   the column with each person's group, from 0: for what is shown, not for the fit
    high    in standard deviations: above it a person is called high-risk
    rounds  the most; 8 settle where variances differ by less than a factor of 20
    """

    people: int
    trait: str
    score: str
    components: tuple[str, ...]
    bounds: tuple[float, ...]
    group: str
    groups: int
    binary: bool = True
    k: int = 10
    high: float = 1.6448536269514722
    rounds: int = 12

    def start(self) -> ScoreAdjustmentState:
        """Return zeros, and that the mean is asked for."""
        c = 1 + len(self.components)
        counts = np.zeros((self.groups, 2), np.int64)
        zeros = np.zeros((c, c)), np.zeros(c), np.zeros(c), np.zeros(2)
        return ScoreAdjustmentState(MEAN, 0, counts, *zeros, np.array(1.0))

    def schema(self, state: ScoreAdjustmentState) -> Schema:
        """Ask for the sums of the mean, of a step of the variance, and of what came of it."""
        del state
        c, n, g, over = 1 + len(self.components), self.people, self.groups, (self.group,)
        at = tuple(Read(name, None) for name in self.components)
        score, who = Read(self.score, None), Read(self.group, None)
        case = (Read(self.trait, 1, two_valued=True),) if self.binary else ()
        y = Read(self.trait, None, two_valued=self.binary)
        edge = max(EDGE, 1.0)
        bound, most = self.bounds[0], max(1.0, self.bounds[1])
        reach = sqrt(MOST_RATIO)
        block: Block = {
            "counts": head_count((g, 2), n, over, (who, *case)),
            "products": real((c, c), edge**2, n, (), at),
            "along": real((c,), edge * bound, n, (), (score, *at)),
            "square": real((1,), bound**2, n, (), (score,)),
            "ratio": real((c,), edge * MOST_RATIO, n, (), (score, *at)),
            "high": head_count((g, 2), n, over, (score, *at, who)),
            "trait": real((g, 2), most**2, n, over, (y, who)),
            "scores": real((g, 2, 3), max(reach**2, reach * most), n, over, (score, *at, y, who)),
        }
        return Schema((block,))

    def summarise(self, cohort: Cohort, state: ScoreAdjustmentState) -> Iterator[Sums]:
        """Yield the site's sums; what the round has no use for is zero."""
        c, g = 1 + len(self.components), self.groups
        score, a, group = (
            self._score(cohort),
            self._design(cohort),
            numbered(cohort, self.group, self.groups),
        )
        y = bounded(cohort, self.trait, self.bounds[1])
        counts, high, trait = np.zeros((g, 2)), np.zeros((g, 2)), np.zeros((g, 2))
        products, along, square = np.zeros((c, c)), np.zeros(c), np.zeros(1)
        ratio, scores = np.zeros(c), np.zeros((g, 2, 3))
        if state.asks == MEAN:
            counts = counted(group, y if self.binary else None, g)
            products, along = a.T @ a, a.T @ score
            square = np.array([score @ score])
        elif state.asks == VARIANCE:
            ratio = a.T @ (ratios(a, score, state.mean, state.log_variance) - 1)
        else:
            for i in np.flatnonzero(self._open(state.counts)):
                who = group == i
                high[i], trait[i], scores[i] = self._shown(score[who], a[who], y[who], state)
        yield {
            "counts": counts,
            "products": products,
            "along": along,
            "square": square,
            "ratio": ratio,
            "high": high,
            "trait": trait,
            "scores": scores,
        }

    def advance(
        self, state: ScoreAdjustmentState, totals: Iterable[Sums]
    ) -> Next[ScoreAdjustmentState] | Done[AdjustedScore]:
        """Go from the mean over steps of the variance to what came of it."""
        (total,) = totals
        if state.asks == MEAN:
            return Next(self._first(total))
        if state.asks == VARIANCE:
            step = scoring_step(state.products, total["ratio"])
            change = np.asarray(np.abs(step).max())
            # What decides is the last step as it was published, never the one taken now.
            ends = bool(state.change <= SETTLED) or state.round + 2 >= self.rounds
            return Next(
                ScoreAdjustmentState(
                    SHOWN if ends else VARIANCE,
                    state.round + 1,
                    state.counts,
                    state.products,
                    state.mean,
                    state.log_variance + step,
                    state.spread,
                    change,
                )
            )
        return Done(self._result(state, total))

    def derive(self, cohort: Cohort, result: AdjustedScore) -> Columns:
        """Return `adjusted_score`, of mean 0 and variance 1, and its `percentile`."""
        components = self._design(cohort)[:, 1:]
        z = result.adjustment.adjusted(self._score(cohort), components)
        return {ADJUSTED: z, PERCENTILE: percentile(z)}

    def _first(self, total: Sums) -> ScoreAdjustmentState:
        products, along, square = total["products"], total["along"], float(total["square"][0])
        mean = mean_coefficients(products, along)
        n = max(float(products[0, 0]), 1.0)
        centre = along[0] / n
        deviation = sqrt(max(square / n - centre**2, 0.0))
        return ScoreAdjustmentState(
            VARIANCE,
            1,
            total["counts"].astype(np.int64),
            products,
            mean,
            first_log_variance(products, along, square, mean),
            np.array([centre, deviation]),
            np.array(1.0),
        )

    def _shown(
        self, score: Floats, a: Floats, y: Floats, state: ScoreAdjustmentState
    ) -> tuple[Floats, Floats, Floats]:
        """Return how many are called high-risk, and the sums behind R2, before and after."""
        centre, deviation = state.spread
        raw = (score - centre) / max(float(deviation), GRID)
        after = (score - a @ state.mean) * np.exp(-(a @ state.log_variance) / 2)
        reach = sqrt(MOST_RATIO)
        two = [np.clip(z, -reach, reach) for z in (raw, after)]
        high = np.array([np.count_nonzero(z > self.high) for z in two], np.float64)
        sums = np.array([[z.sum(), z @ z, z @ y] for z in two])
        return high, np.array([y.sum(), y @ y]), sums

    def _result(self, state: ScoreAdjustmentState, total: Sums) -> AdjustedScore:
        n = np.maximum(state.counts[:, :1], 1).astype(np.float64)
        trait, scores = total["trait"], total["scores"]
        within = trait[:, 1:] - trait[:, :1] ** 2 / n
        spread = scores[:, :, 1] - scores[:, :, 0] ** 2 / n
        shared = scores[:, :, 2] - scores[:, :, 0] * trait[:, :1] / n
        opened = self._open(state.counts)
        varies = (within > GRID) & (spread > GRID)
        r2 = np.where(varies, shared**2 / np.where(varies, within * spread, 1.0), 0.0)
        return AdjustedScore(
            "\t".join(self.components),
            int(state.change <= SETTLED),
            state.counts,
            opened.astype(np.int64),
            total["high"].astype(np.int64),
            state.mean,
            state.log_variance,
            state.spread,
            np.minimum(r2, 1.0),
        )

    def _open(self, counts: Counts) -> NDArray[np.bool_]:
        """Return which groups have enough people to be shown."""
        least = ceil(self.k / normal_cdf(-self.high))
        opened = counts[:, 0] >= least
        if self.binary:
            cases = counts[:, 1]
            opened &= np.minimum(cases, counts[:, 0] - cases) >= self.k
        return opened

    def _score(self, cohort: Cohort) -> Floats:
        return np.clip(cohort.column(self.score), -self.bounds[0], self.bounds[0])

    def _design(self, cohort: Cohort) -> Floats:
        columns = np.zeros((cohort.n, len(self.components)))
        for axis, name in enumerate(self.components):
            columns[:, axis] = cohort.column(name)
        return design(columns)
