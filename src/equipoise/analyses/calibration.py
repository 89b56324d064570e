"""From a score to a probability: logistic regression on the tuned predictor, by sums.

For each model of `training`, log odds = a + b x, x the predictor in standard deviations, by
Newton's method on summed gradients and Hessians over the people whom the model is tuned
on (Platt scaling: Platt 1999; with out-of-fold scores as there). The slope has a weak ridge
penalty of 0.05 b^2: cases and others that the predictor parts completely would drive it
to infinity.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.contributions import columns, contributions, loci_of
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.nets import Nets
from equipoise.analyses.prediction import MOST_STANDARD, predictors
from equipoise.analyses.tuned import Tuned
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers.logistic import newton_step, probability
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, real

Array = NDArray[np.float64]

PENALTY: Final = (0.0, 0.1)
SETTLED = 1e-6
"""Coefficients that move by less are at the optimum: Newton's error is then below 1e-9."""


@dataclass(frozen=True, slots=True)
class CalibrationState:
    """coefficients (folds + 1, 2) a and b; change: by how much the last step moved any."""

    coefficients: Array = grid(2.0**-30)
    change: Array = grid(2.0**-30)
    rounds: int = exact()


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The intercept and slope of everybody's model (row 0) and of that without each fold.

    change  by how much the last round moved any of them; rounds: how many there were
    """

    coefficients: Array = grid(2.0**-30)
    change: Array = grid(2.0**-30)
    rounds: int = exact()

    @property
    def converged(self) -> bool:
        """Whether the last round moved nothing that matters."""
        return bool(self.change < SETTLED)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibrates, and derives what follows for each person.

    rounds      the most that are asked for
    background  those of the covariates that are components of ancestry
    tiles       the tile of each window of the nets
    loci        the most loci whose contributions are told apart
    """

    people: int
    folds: int
    rounds: int
    trait: str
    covariates: tuple[str, ...]
    background: tuple[str, ...]
    tiles: tuple[int, ...]
    loci: int
    frequencies: Frequencies
    nets: Nets
    tuned: Tuned

    def start(self) -> CalibrationState:
        """Return even odds for everybody."""
        return CalibrationState(np.zeros((self.folds + 1, 2)), np.array(1.0), 0)

    def schema(self, state: CalibrationState) -> Schema:
        """Ask for gradients and Hessians; nothing once the coefficients have settled."""
        return Schema() if self._ended(state) else Schema((self._sums(),))

    def summarise(self, cohort: Cohort, state: CalibrationState) -> Iterator[Sums]:
        """Yield the site's sums: entry (g, r) is over people of fold g, by the model of row r.

        The fold that a row is tested on adds nothing to it.
        """
        y = cohort.column(self.trait)
        x = predictors(cohort, self.nets, self.tuned, self.frequencies, self.covariates)
        intercept, slope = state.coefficients[:, :1], state.coefficients[:, 1:]
        p = probability(intercept + slope * x)
        tuned_on = np.arange(self.folds + 1)[:, None] != cohort.fold + 1
        left = np.where(tuned_on, y - p, 0.0)
        weight = np.where(tuned_on, p * (1.0 - p), 0.0)
        gradient = np.stack([left, left * x])
        hessian = np.stack([weight, weight * x, weight * x * x])
        members = [np.flatnonzero(cohort.fold == f) for f in range(self.folds)]
        yield {
            "gradient": np.stack([gradient[..., m].sum(axis=-1).T for m in members]),
            "hessian": np.stack([hessian[..., m].sum(axis=-1).T for m in members]),
        }

    def advance(
        self, state: CalibrationState, totals: Iterable[Sums]
    ) -> Next[CalibrationState] | Done[Calibrated]:
        """Take one step, or end once the last one moved nothing."""
        if self._ended(state):
            return Done(Calibrated(state.coefficients, state.change, state.rounds))
        (total,) = totals
        gradient, packed = total["gradient"].sum(axis=0), total["hessian"].sum(axis=0)
        hessian = packed[:, [[0, 1], [1, 2]]]
        new = newton_step(state.coefficients, gradient, hessian, np.array(PENALTY))
        change = np.abs(new - state.coefficients).max()
        return Next(CalibrationState(new, np.asarray(change), state.rounds + 1))

    def derive(self, cohort: Cohort, result: Calibrated) -> Columns:
        """Return each person's, all by the model that never saw their fold.

        score        log odds against those of an average person: b x
        logit        log odds: a + b x
        probability  of the trait
        predicted    1 where that is 1/2 or more, else 0
        relevance_*  what the score is made of (`contributions`)
        """
        x = predictors(cohort, self.nets, self.tuned, self.frequencies, self.covariates)
        own = x[cohort.fold + 1, np.arange(cohort.n)]
        intercept, slope = result.coefficients[cohort.fold + 1].T
        logit = intercept + slope * own
        parts = contributions(
            cohort,
            self.nets,
            self.tuned,
            slope=result.coefficients[:, 1],
            frequencies=self.frequencies,
            covariates=self.covariates,
            background=self.background,
            locus=loci_of(self.nets, self.tiles, self.loci),
            most=self.loci,
        )
        return {
            "score": slope * own,
            "logit": logit,
            "probability": probability(logit),
            "predicted": (logit >= 0).astype(np.float64),
            **dict(zip(columns(self.loci), parts, strict=True)),
        }

    def _ended(self, state: CalibrationState) -> bool:
        return state.rounds >= self.rounds or bool(state.change < SETTLED)

    def _sums(self) -> Block:
        rows, over, most = self.folds + 1, ("fold",), MOST_STANDARD
        covariates = tuple(Read(name, None) for name in self.covariates)
        reads = (Read(GENOTYPE, None), *covariates)
        case = Read(self.trait, 1, two_valued=True)
        n = self.people
        return {
            "gradient": real((self.folds, rows, 2), most, n, over, (*reads, case)),
            "hessian": real((self.folds, rows, 3), most**2 / 4, n, over, reads),
        }
