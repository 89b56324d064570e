"""Sums over people's candidate scores, by stratum: what scores are tuned, stacked and judged by.

With X = (C, Z), the covariates with a column of ones first and the scores of public weights,
X'X, X'y and y'y over the people of some parts: of each by itself, or of one. Where
scores are only compared one by one, the diagonal of Z'Z is enough, and no more is asked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.candidate_scores import MOST, candidate_scores
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.moment_totals import FINE, MomentsState
from equipoise.analyses.risk_moments import MOST_STANDARD, ColumnSums
from equipoise.analyses.risk_records import Candidates
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers.stack import StackMoments
from equipoise.step import Done
from equipoise.sums import (
    GENOTYPE,
    Block,
    Field,
    Read,
    Schema,
    Sums,
    head_count,
    quantum_for,
    real,
)

Array = NDArray[np.float64]


_MEAN: Final = 256.0
"""The most that the mean square of a score, or its mean product with the trait, may be: scores
have a variance of 1 were variants independent, and up to some hundreds where they are not."""

LEAST_VARIANCE: Final = 2.0**-10
"""Of a score in one group's people: below it, it says nothing of them but rounding."""


@dataclass(frozen=True, slots=True)
class ScoreTotals:
    """The sums; f a fold, or the one set of all, s a stratum, c covariates, k candidates.

    people  (f, s)    square  (f, s) y'y in squared standard deviations of the trait
    gram    (f, s, c + k, c + k) X'X; of scores the diagonal alone where no more was asked
    trait   (f, s, c + k) X'y
    covariates  c, the ones included
    """

    people: Array = grid(FINE)
    square: Array = grid(FINE)
    gram: Array = grid(FINE)
    trait: Array = grid(FINE)
    covariates: int = exact()

    def of(self, stratum: int) -> list[StackMoments]:
        """Return one stratum's sums, by fold."""
        return [
            StackMoments(
                float(self.people[f, stratum]),
                float(self.square[f, stratum]),
                self.gram[f, stratum],
                self.trait[f, stratum],
                self.covariates,
            )
            for f in range(len(self.people))
        ]


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """The sums.

    candidates  how many there may be: the form of the sums is known before they are; None fewer
    weights     the candidates
    columns     sums of the columns of training people, which have the trait's unit
    part        the column that parts people
    tuning      how many parts, the first ones, are summed over one by one; 0 for the people of
                the part `test`, as one set
    full        Z'Z, and not its diagonal alone
    bounds      the most that each covariate may be in absolute value
    """

    people: int
    strata: int
    candidates: int
    part: str
    tuning: int
    trait: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    frequencies: Frequencies
    weights: Candidates
    columns: ColumnSums
    stratum: str = ""
    test: int = 0
    full: bool = True

    def start(self) -> MomentsState:
        """Return the empty state."""
        return MomentsState()

    def schema(self, state: MomentsState) -> Schema:
        """Ask for the sums, in one block."""
        del state
        return Schema((self._sums(),))

    def summarise(self, cohort: Cohort, state: MomentsState) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        part, folds = cohort.column(self.part), self._folds
        if not self.tuning:
            part = np.where(part == self.test, 0, -1)
        shape = (folds, self.strata)
        c, k = len(self.covariates) + 1, self.candidates
        made = np.zeros((*shape, c + k, c + k))
        trait, square, people = np.zeros((*shape, c + k)), np.zeros(shape), np.zeros(shape)
        number = cohort.column(self.stratum) if self.stratum else np.zeros(cohort.n)
        scored = np.flatnonzero((part >= 0) & (part < folds))
        z = self._scores(cohort, scored)
        y = self.columns.standard(cohort.column(self.trait))
        own = np.column_stack([np.ones(cohort.n), *map(cohort.column, self.covariates)])
        for f, s in product(range(folds), range(self.strata)):
            here = np.flatnonzero((part[scored] == f) & (number[scored] == s))
            x = np.concatenate([own[scored[here]], z[here]], axis=1)
            trait_here = y[scored[here]]
            made[f, s], trait[f, s] = x.T @ x, x.T @ trait_here
            square[f, s], people[f, s] = trait_here @ trait_here, len(here)
        scores = made[..., c:, c:]
        yield {
            "people": people,
            "yy": square,
            "cc": made[..., :c, :c],
            "cy": trait[..., :c],
            "zc": made[..., c:, :c],
            "zy": trait[..., c:],
            "zz": scores if self.full else np.diagonal(scores, axis1=-2, axis2=-1).copy(),
        }

    def advance(self, state: MomentsState, totals: Iterable[Sums]) -> Done[ScoreTotals]:
        """Return the totals."""
        del state
        (t,) = totals
        c, k = len(self.covariates) + 1, self.candidates
        t = self._without_constant(t)
        gram = np.zeros((*t["people"].shape, c + k, c + k))
        gram[..., :c, :c], gram[..., c:, :c] = t["cc"], t["zc"]
        gram[..., :c, c:] = np.swapaxes(t["zc"], -1, -2)
        if self.full:
            gram[..., c:, c:] = t["zz"]
        else:
            place = np.arange(c, c + k)
            gram[..., place, place] = t["zz"]
        trait = np.concatenate([t["cy"], t["zy"]], axis=-1)
        return Done(ScoreTotals(t["people"], t["yy"], gram, trait, c))

    def derive(self, cohort: Cohort, result: ScoreTotals) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _without_constant(self, t: Sums) -> Sums:
        """Return the sums with nothing of scores that hardly vary in a stratum."""
        squares = np.diagonal(t["zz"], axis1=-2, axis2=-1) if self.full else t["zz"]
        n = np.maximum(t["people"].sum(axis=0), 1)[:, None]
        variance = squares.sum(axis=0) / n - (t["zc"][..., 0].sum(axis=0) / n) ** 2
        varies = (variance >= LEAST_VARIANCE).astype(np.float64)
        both = varies[:, :, None] * varies[:, None, :] if self.full else varies
        return {
            **t,
            "zc": t["zc"] * varies[..., None],
            "zy": t["zy"] * varies,
            "zz": t["zz"] * both,
        }

    @property
    def _folds(self) -> int:
        return self.tuning or 1

    def _scores(self, cohort: Cohort, people: NDArray[np.int64]) -> Array:
        """Return the scores with zeros for candidates that there are not."""
        weights = self.weights.weights
        held = np.zeros((len(people), self.candidates))
        found = candidate_scores(cohort, weights, self.frequencies, people)
        held[:, : found.shape[1]] = found
        return held

    def _sums(self) -> Block:
        n, c, k = self.people, len(self.covariates) + 1, self.candidates
        shape = (self._folds, self.strata)
        over = tuple(name for name in (self.part if self.tuning else "", self.stratum) if name)
        once, twice = (tuple(Read(name, degree) for name in self.covariates) for degree in (1, 2))
        # Cut, so no polynomials of what they are made of.
        score, trait = Read(GENOTYPE, None), Read(self.trait, None)
        who = tuple(Read(name, None) for name in (self.stratum, self.part) if name)
        x, y = max((1.0, *self.bounds)), MOST_STANDARD
        size, most = (k, k) if self.full else (k,), _MEAN * n
        return {
            "people": head_count(shape, n, over, who),
            "yy": _finer(real(shape, y * y, n, over, (trait, *who)), _MEAN * n),
            "cc": real((*shape, c, c), x * x, n, over, (*twice, *who)),
            "cy": real((*shape, c), x * y, n, over, (*once, trait, *who)),
            "zc": _finer(real((*shape, k, c), MOST * x, n, over, (score, *once, *who)), most * x),
            "zy": _finer(real((*shape, k), MOST * y, n, over, (score, trait, *who)), most),
            "zz": _finer(real((*shape, *size), MOST * MOST, n, over, (score, *who)), most),
        }


def _finer(field: Field, limit: float) -> Field:
    """Return the field with a limit, and so a quantum, that means over people stay within."""
    least = min(field.limit, max(limit, 1.0))
    return replace(field, limit=least, quantum=quantum_for(least))
