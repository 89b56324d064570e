"""Which elastic net to use, and whether covariates add to it, from out-of-fold sums.

Each model of `training` is tuned on people whom its nets have not seen: for the row that
leaves out fold f, a person of fold g is scored by the nets fitted without f and g. From
sums of z, z^2 and z y over those people: the pair of penalties with the largest positive
correlation with the trait is chosen; it is used if that correlation is beyond chance
(t of at least 2), with its least squares weight. The covariates' own prediction joins it
if its partial correlation is, with the weights of both together.

A model that finds nothing uses nothing: that is an answer as well.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.nets import Nets
from equipoise.analyses.prediction import MOST, covariate_scores, net_scores
from equipoise.analyses.tuned import Tuned
from equipoise.cohort import Cohort, Columns
from equipoise.record import grid
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, head_count, real

Array = NDArray[np.float64]

LEAST_T = 2.0
"""A part is used from this t statistic on: about 2 in 100 useless ones pass."""


@dataclass(frozen=True, slots=True)
class TuningState:
    """Sums over the people whom each row is tuned on; empty at first.

    people  (folds + 1, 2) how many, and how many with the trait
    first   (folds + 1, penalties + 1) sums of each score, the covariates' last
    square  (folds + 1, penalties + 1) of its square
    trait   (folds + 1, penalties + 1) of it over people with the trait
    cross   (folds + 1, penalties + 1) of its product with the covariates' score
    """

    people: Array = grid(1.0)
    first: Array = grid(2.0**-20)
    square: Array = grid(2.0**-20)
    trait: Array = grid(2.0**-20)
    cross: Array = grid(2.0**-20)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Tunes the nets. `penalties` is the number of pairs."""

    people: int
    folds: int
    trait: str
    penalties: int
    covariates: tuple[str, ...]
    frequencies: Frequencies
    nets: Nets

    def start(self) -> TuningState:
        """Return the state before the round: no sums."""
        none = np.zeros((0, self.penalties + 1))
        return TuningState(np.zeros((0, 2)), none, none, none, none)

    def schema(self, state: TuningState) -> Schema:
        """Ask for sums of the scores by fold; nothing once they are known."""
        return Schema() if len(state.people) else Schema((self._sums(),))

    def summarise(self, cohort: Cohort, state: TuningState) -> Iterator[Sums]:
        """Yield the site's sums: entry (g, r) is over people of fold g, by the models of row r."""
        del state
        y = cohort.column(self.trait)
        others = covariate_scores(cohort, self.nets, self.covariates)
        nets = net_scores(cohort, self.nets, self.frequencies)
        z = np.concatenate([nets, others[:, None]], axis=1)
        parts = [np.flatnonzero(cohort.fold == f) for f in range(self.folds)]
        yield {
            "people": np.array([[len(m), y[m].sum()] for m in parts]),
            "first": np.stack([z[..., m].sum(axis=-1) for m in parts]),
            "square": np.stack([(z[..., m] ** 2).sum(axis=-1) for m in parts]),
            "trait": np.stack([z[..., m] @ y[m] for m in parts]),
            "cross": np.stack([(z[..., m] * others[:, None, m]).sum(axis=-1) for m in parts]),
        }

    def advance(
        self, state: TuningState, totals: Iterable[Sums]
    ) -> Next[TuningState] | Done[Tuned]:
        """Publish the sums; then, from what was published, the choice."""
        if len(state.people):
            return Done(self._tuned(state))
        (total,) = totals
        # Row f + 1 is tuned on everybody but fold f, which is kept for its test.
        seen = np.not_equal.outer(np.arange(self.folds) + 1, np.arange(self.folds + 1))
        people = np.einsum("gr,gp->rp", seen, total["people"])
        tuned_on = {
            name: np.einsum("gr,grq->rq", seen, total[name])
            for name in ("first", "square", "trait", "cross")
        }
        return Next(TuningState(people, **tuned_on))

    def derive(self, cohort: Cohort, result: Tuned) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _tuned(self, state: TuningState) -> Tuned:
        found = [self._row(state, row) for row in range(self.folds + 1)]
        choices, weights, r2, scale = zip(*found, strict=True)
        return Tuned(np.array(choices, np.int64), np.array(weights), np.array(r2), np.array(scale))

    def _row(self, state: TuningState, row: int) -> tuple[int, tuple[float, float], float, float]:
        """Return the choice, the two weights, r2 and the standard deviation of one row."""
        n, cases = state.people[row]
        first = state.first[row]
        variance = state.square[row] - first * first / n
        covariance = state.trait[row] - first * cases / n
        cross = state.cross[row] - first * first[-1] / n
        spread = cases - cases * cases / n
        q, r2 = _best(variance[:-1], covariance[:-1], spread)
        if q < 0 or not _beyond(r2, n, 1):
            q, r2 = -1, 0.0
        genetic = (variance[q], covariance[q], cross[q]) if q >= 0 else (0.0, 0.0, 0.0)
        weights = _both(genetic, (variance[-1], covariance[-1]), spread, n)
        (a, b), (v, w, c) = weights, (genetic[0], variance[-1], genetic[2])
        total = a * a * v + b * b * w + 2 * a * b * c
        return q, weights, r2, float(np.sqrt(max(total, 0.0) / n))

    def _sums(self) -> Block:
        rows, columns, over = self.folds + 1, self.penalties + 1, ("fold",)
        shape, n = (self.folds, rows, columns), self.people
        # A score is cut, so it is no polynomial of what it is made of.
        covariates = tuple(Read(name, None) for name in self.covariates)
        reads, case = (Read(GENOTYPE, None), *covariates), Read(self.trait, 1, two_valued=True)
        return {
            "people": head_count((self.folds, 2), n, over, (case,)),
            "first": real(shape, MOST, n, over, reads),
            "square": real(shape, MOST**2, n, over, reads),
            "trait": real(shape, MOST, n, over, (*reads, case)),
            "cross": real(shape, MOST**2, n, over, reads),
        }


def _best(variance: Array, covariance: Array, spread: float) -> tuple[int, float]:
    """Return the place and squared correlation of the best positive predictor, -1 for none."""
    best, most = -1, 0.0
    for q, (v, c) in enumerate(zip(variance.tolist(), covariance.tolist(), strict=True)):
        r2 = c * c / (v * spread) if v > _LEAST and c > 0 else 0.0
        if r2 > most:
            best, most = q, r2
    return best, min(most, 1.0)


_LEAST = 2.0**-16
"""A sum of squares below this is rounding."""


def _beyond(r2: float, n: float, terms: int) -> bool:
    """Return whether a (partial) correlation has a t statistic of at least `LEAST_T`."""
    dof = n - terms - 1
    return bool(r2 * dof >= LEAST_T * LEAST_T * (1.0 - r2))


def _both(
    genetic: tuple[float, float, float], others: tuple[float, float], spread: float, n: float
) -> tuple[float, float]:
    """Return least squares weights of net and covariates, 0 for a part that adds nothing.

    genetic  its sum of squares, sum of products with the trait and with the covariates' score
    others   the covariates' sum of squares and sum of products with the trait
    """
    v, c, x = genetic
    w, d = others
    alone = c / v if v > _LEAST else 0.0
    if v > _LEAST:
        # The covariates' part that the net does not tell, and what it tells of the rest.
        left, told, rest = w - x * x / v, d - x * c / v, spread - c * c / v
    else:
        left, told, rest = w, d, spread
    adds = left > _LEAST and told > 0 and rest > 0
    if not adds or not _beyond(min(told * told / (left * rest), 1.0), n, 2):
        return alone, 0.0
    second = told / left
    return (alone - second * x / v if v > _LEAST else 0.0), second
