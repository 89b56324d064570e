"""From a score to an absolute risk in each group: recalibration of score and covariates by sums.

People, and of a yes/no trait cases, are counted by group first. Groups with enough are fitted
whole, those with fewer keep the slopes of everybody and have an intercept of their own, those
with fewer still are not estimable (`solvers.absolute_risk`), and nothing but their counts is
asked: "everybody" are the people of the other groups, so that no difference of sums is theirs.
For a yes/no trait rounds of Newton's method follow, for a quantitative one a single round.

To be run on people whom neither the weights nor the stack have seen. Each site also publishes,
coarse, how its own people lie about the risk of their group: the intercept and the slope of
their trait on it, 0 and 1 where it is right.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.calibrated_risks import AbsoluteRisks, AbsoluteRiskState
from equipoise.analyses.numbered_groups import bounded, counted, numbered
from equipoise.analysis import Figure
from equipoise.cohort import Cohort, Columns
from equipoise.solvers import absolute_risk as solver
from equipoise.solvers.absolute_risk import FULL, NOT_ESTIMABLE, OFFSET
from equipoise.solvers.calibration import SETTLED, fitted, recalibrate
from equipoise.solvers.figures import Own, too_few
from equipoise.solvers.intervals import LEVEL, wald
from equipoise.step import Done, Next
from equipoise.sums import Block, Read, Schema, Sums, head_count, real

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

INTERCEPT = "risk_intercept"
SLOPE = "risk_slope"


@dataclass(frozen=True, slots=True)
class AbsoluteRisk:
    """Recalibration of the column `score`, in standard deviations, beside covariates.

    binary      whether the trait is yes/no
    covariates  columns beside the score
    bounds      of score, covariates and trait; the first are cut there, and a trait beyond it is
                refused
    group       the column with each person's group, from 0
    groups      how many there are
    k           the least people (with the trait, and without it) for an intercept
    refit       the same for slopes
    rounds      the most; 12 settle wherever coefficients are below 16
    """

    people: int
    trait: str
    score: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    group: str
    groups: int
    binary: bool = True
    k: int = 10
    refit: int = 100
    rounds: int = 12

    coarse: ClassVar[float] = 0.01

    def start(self) -> AbsoluteRiskState:
        """Return coefficients of 0, which have not settled, and no counts."""
        n = 1 + self.groups
        counts = np.zeros((self.groups, 2), np.int64)
        return AbsoluteRiskState(0, counts, np.zeros((n, self._terms)), np.ones(n))

    def schema(self, state: AbsoluteRiskState) -> Schema:
        """Ask for counts, and for gradient and information of everybody and of each group."""
        del state
        who = Read(self.group, None)
        case = (Read(self.trait, 1, two_valued=True),) if self.binary else ()
        reads = (self.score, *self.covariates)
        x, c = tuple(Read(name, None) for name in reads), self._terms
        y = Read(self.trait, 1 if self.binary else None, two_valued=self.binary)
        most = max(1.0, *self.bounds[:-1])
        left = 1.0 if self.binary else self.bounds[-1]
        information = most**2 / (4 if self.binary else 1)
        n, over, half = self.people, (self.group,), c * (c + 1) // 2
        # A mean at given coefficients reads the score, even where it is that of nobody else.
        block: Block = {
            "counts": head_count((self.groups, 2), n, over, (who, *case)),
            "gradient": real((c,), left * most, n, (), (y, *x, who)),
            "information": real((half,), information, n, (), (*x, who)),
            "square": real((1,), left**2, n, (), (y, *x, who)),
            "gradient@group": real((self.groups, c), left * most, n, over, (y, *x, who)),
            "information@group": real((self.groups, half), information, n, over, (*x, who)),
            "square@group": real((self.groups, 1), left**2, n, over, (y, *x, who)),
        }
        return Schema((block,))

    def summarise(self, cohort: Cohort, state: AbsoluteRiskState) -> Iterator[Sums]:
        """Yield the counts in round 0, then the sums of groups that are estimable."""
        x, y, group = (
            self._design(cohort),
            self._trait(cohort),
            numbered(cohort, self.group, self.groups),
        )
        g, half = self.groups, self._terms * (self._terms + 1) // 2
        counts = np.zeros((g, 2))
        gradient, information = np.zeros((1 + g, self._terms)), np.zeros((1 + g, half))
        square = np.zeros((1 + g, 1))
        if state.round == 0:
            counts = counted(group, y if self.binary else None, g)
        else:
            asked = self._modes(state) > NOT_ESTIMABLE
            members = [(group >= 0) & asked[group], *(asked[i] & (group == i) for i in range(g))]
            for place, who in enumerate(members):
                at = state.coefficients[place]
                gradient[place], full = solver.terms(x[who], y[who], at, binary=self.binary)
                information[place] = full[np.triu_indices(self._terms)]
                square[place] = 0.0 if self.binary else y[who] @ y[who]
        sums = {"gradient": gradient, "information": information, "square": square}
        whole = {name: value[0] for name, value in sums.items()}
        yield {"counts": counts, **whole, **{f"{n}@group": v[1:] for n, v in sums.items()}}

    def advance(
        self, state: AbsoluteRiskState, totals: Iterable[Sums]
    ) -> Next[AbsoluteRiskState] | Done[AbsoluteRisks]:
        """Take a step; end where the step before was small, or no round is left."""
        (total,) = totals
        if state.round == 0:
            counts = total["counts"].astype(np.int64)
            return Next(AbsoluteRiskState(1, counts, state.coefficients, state.change))
        gradient, square = (
            np.concatenate([total[n][None], total[f"{n}@group"]]) for n in ("gradient", "square")
        )
        information = self._square_matrices(total)
        modes = self._modes(state)
        step = self._steps(state.coefficients, modes, gradient, information)
        coefficients, change = state.coefficients + step, np.abs(step).max(axis=1)
        # What decides is the last step as it was published, never the one taken now.
        settled = bool(np.all(state.change <= SETTLED))
        if self.binary and not settled and state.round + 1 < self.rounds:
            return Next(AbsoluteRiskState(state.round + 1, state.counts, coefficients, change))
        variance = np.ones(len(modes) + 1)
        if not self.binary:
            change = np.zeros_like(change)
            variance = self._variances(state.counts, coefficients, gradient, information, square)
        return Done(
            AbsoluteRisks(
                int(self.binary), state.counts, modes, coefficients, information, variance, change
            )
        )

    def derive(self, cohort: Cohort, result: AbsoluteRisks) -> Columns:
        """Nothing is derived for a person: a model predicts (`models.polygenic`)."""
        del cohort, result
        return {}

    def figures(self, cohort: Cohort, result: AbsoluteRisks) -> Mapping[str, Figure]:
        """Return the site's own intercept and slope on the linear predictor of its groups."""
        used, linear, y = self._predicted(cohort, result)
        cases = int(y.sum()) if self.binary else 0
        own = Own("", self.coarse, int(used.sum()), cases)
        few = too_few(self.k, own.controls, own.events) if self.binary else ""
        if not self.binary and own.n < self.k:
            few = f"fewer than {self.k} people"
        if few:
            return dict.fromkeys((INTERCEPT, SLOPE), own.withheld(few))
        if not self.binary:
            return _straight(own, linear, y)
        fit = fitted(*recalibrate(linear, y))
        if fit.reason:
            return dict.fromkeys((INTERCEPT, SLOPE), own.withheld(fit.reason))
        a, b = fit.intercept_at(LEVEL), fit.slope_at(LEVEL)
        return {
            INTERCEPT: own.figure(a.value, a.low, a.high),
            SLOPE: own.figure(b.value, b.low, b.high),
        }

    def _predicted(
        self, cohort: Cohort, result: AbsoluteRisks
    ) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Return who is of an estimable group, their linear predictors and traits."""
        group, x = numbered(cohort, self.group, self.groups), self._design(cohort)
        every = [result.of_group(g) for g in range(self.groups)]
        has = np.array([not c.reason for c in every])
        used = (group >= 0) & has[group]
        coefficients = np.stack([c.coefficients for c in every])[group[used]]
        return used, np.sum(x[used] * coefficients, axis=1), self._trait(cohort)[used]

    def _steps(self, at: Floats, modes: Counts, gradient: Floats, information: Floats) -> Floats:
        """Return the step of every row; groups without slopes of their own go with everybody."""
        step = np.zeros_like(at)
        for place, mode in enumerate([FULL if modes.any() else NOT_ESTIMABLE, *modes.tolist()]):
            if mode == FULL and self.binary:
                found = solver.newton(gradient[place], information[place])
                step[place] = solver.cut(found, binary=True)
            elif mode == FULL:
                step[place] = solver.least_squares(gradient[place], information[place])
            elif mode == OFFSET:
                # Their slopes are everybody's, as published and as they will be.
                moved = step[0] + np.array([0.0, *(at[0, 1:] - at[place, 1:])])
                own = solver.offset_step(gradient[place], information[place], moved)
                own = float(np.clip(own, -4.0, 4.0)) if self.binary else own
                step[place] = moved + np.array([own, *np.zeros(self._terms - 1)])
        return step

    def _variances(
        self,
        counts: Counts,
        b: Floats,
        gradient: Floats,
        information: Floats,
        square: Floats,
    ) -> Floats:
        """Return y'y - 2 b'X'y + b'X'Xb over n less the terms; sums are those at 0."""
        used = self._modes_of(counts) > NOT_ESTIMABLE
        people = np.array([counts[used, 0].sum(), *counts[:, 0]], np.float64)
        left = square[:, 0] - 2 * np.sum(b * gradient, axis=1)
        left = left + np.einsum("gi,gij,gj->g", b, information, b)
        return np.maximum(left, 0.0) / np.maximum(people - self._terms, 1.0)

    def _square_matrices(self, total: Sums) -> Floats:
        upper = np.concatenate([total["information"][None], total["information@group"]])
        found = np.zeros((len(upper), self._terms, self._terms))
        rows, columns = np.triu_indices(self._terms)
        found[:, rows, columns] = upper
        found[:, columns, rows] = upper
        return found

    def _design(self, cohort: Cohort) -> Floats:
        names = (self.score, *self.covariates)
        cut = zip(names, self.bounds[:-1], strict=True)
        columns = [np.clip(cohort.column(name), -most, most) for name, most in cut]
        return np.column_stack([np.ones(cohort.n), *columns])

    def _trait(self, cohort: Cohort) -> Floats:
        most = np.inf if self.binary else self.bounds[-1]
        return bounded(cohort, self.trait, most)

    def _modes(self, state: AbsoluteRiskState) -> Counts:
        return self._modes_of(state.counts)

    def _modes_of(self, counts: Counts) -> Counts:
        """Return what is estimable; nothing is where all together are too few for slopes."""
        found = solver.modes(counts, self.k, self.refit, binary=self.binary)
        together = counts[found > NOT_ESTIMABLE].sum(axis=0, keepdims=True)
        whole = solver.modes(together, self.k, self.refit, binary=self.binary)[0] == FULL
        return found * whole

    @property
    def _terms(self) -> int:
        return 2 + len(self.covariates)


def _straight(own: Own, linear: Floats, y: Floats) -> dict[str, Figure]:
    """Return intercept and slope of least squares of a trait on what was expected of it."""
    x = np.column_stack([np.ones(len(y)), linear])
    fit = solver.of_rows(x, y, binary=False, k=1, refit=1)
    errors = np.sqrt(np.diagonal(fit.covariance))
    found: dict[str, Figure] = {}
    for name, value, error in zip((INTERCEPT, SLOPE), fit.coefficients, errors, strict=True):
        at = wald(float(value), float(error))
        found[name] = own.figure(at.value, at.low, at.high)
    return found
