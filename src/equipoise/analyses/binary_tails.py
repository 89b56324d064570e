"""Saddle-point p values of the variants that a binary scan flags, over all sites.

The cumulant generating function of a score is a sum over people, so that K(t), K'(t) and
K''(t) of each flagged variant add up over sites; a few rounds of Newton's method between
bounds find t for both tails (`solvers/saddlepoint.py` has the formulae and their source).
The number of variants is literal, `most_flagged`, so that all rounds have one form; the
largest |z| go first, and whoever is left out keeps the normal p value and is named.

What it discloses: for each flagged variant six numbers a round that depend on its carriers'
fitted values. As many numbers as carriers would tell those values, hence the covariates.
So `least_minor` must be at least five alleles for each number, 30 times `rounds`, where sites
are not to learn of one another's carriers. The exact Poisson-binomial p value of rare variants
is for one site alone for the same reason: over sites it would be the product of the
characteristic functions (Hong 2013, doi:10.1016/j.csda.2012.10.006), which at as many points
as there are alleles gives every carrier's fitted value away.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.binary_scan import FITTED, BinaryScores
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.imputation import dosages
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers.saddlepoint import log_tail_at
from equipoise.solvers.score import FAR
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, real

Array = NDArray[np.float64]

SIDES: Final = np.array([1.0, -1.0])

WIDEST: Final = 8.0
"""An adjusted dosage is cut to this: 2, and room for what covariates say."""

STEEPEST: Final = 64.0
"""t times an adjusted dosage is cut to this."""

LEAST: Final = 2.0**-50

FURTHEST: Final = 1024.0
"""The most that t may be, in units of 1 / sqrt(V)."""

NEAR: Final = 2.0**-10
"""K'(t) this near to s, in standard deviations: p is then right to 1e-3, by the square of it
in the exponent and in proportion to t next to it."""


@dataclass(frozen=True, slots=True)
class TailState:
    """Where the search stands, for each flagged variant and both tails, (flagged, 2).

    t, low, high  present, least and greatest |t| sqrt(V)
    value         (flagged, 2, 3) K, K' / sqrt(V) towards the tail and K'' / V at t
    rounds        how many have asked; summed: 1 where `value` is of the present t
    """

    t: Array = grid(2.0**-30)
    low: Array = grid(2.0**-30)
    high: Array = grid(2.0**-30)
    value: Array = grid(2.0**-30)
    rounds: int = exact()
    summed: int = exact()


@dataclass(frozen=True, slots=True)
class Tails:
    """The better p values.

    chosen        (flagged,) places of the variants in the list, -1 where fewer were flagged
    neg_log_10_p  (flagged,) two-sided; NaN where `settled` is 0
    settled       (flagged,) 1 where both saddle-points were found
    left_out      variants beyond `FAR` that were not chosen: too many, or too rare
    """

    chosen: NDArray[np.int64] = exact()
    neg_log_10_p: Array = grid(2.0**-20)
    settled: NDArray[np.int64] = exact()
    left_out: int = exact()


@dataclass(frozen=True, slots=True)
class BinaryTails:
    """Takes the p values of flagged variants again.

    rounds        the most that are asked for; 8 suffice for all but the furthest tails
    most_flagged  the most variants
    least_minor   the least minor allele count of a variant that is taken again
    """

    people: int
    rounds: int
    most_flagged: int
    least_minor: int
    covariates: tuple[str, ...]
    frequencies: Frequencies
    scores: BinaryScores

    def start(self) -> TailState:
        """Return t as the normal law has it; |z| is not known before the scan, so all at FAR."""
        shape = (self.most_flagged, 2)
        t, high = np.full(shape, FAR), np.full(shape, FURTHEST)
        return TailState(t, np.zeros(shape), high, np.zeros((*shape, 3)), 0, 0)

    def schema(self, state: TailState) -> Schema:
        """Ask for K, K' and K'' at the present t; nothing where they have just come."""
        return Schema() if state.summed else Schema((self._sums(),))

    def summarise(self, cohort: Cohort, state: TailState) -> Iterator[Sums]:
        """Yield the site's sums."""
        sums = {name: np.zeros((self.most_flagged, 2)) for name in ("k", "slope", "curve")}
        chosen = self._chosen()[0]
        # What the null model fits is never 0 or 1; a logarithm needs that for certain.
        mu = np.clip(cohort.column(FITTED), LEAST, 1.0 - LEAST)
        terms = np.stack([np.ones(cohort.n), *map(cohort.column, self.covariates)])
        unit = np.sqrt(self.scores.variance[chosen])
        for place, variant in enumerate(chosen):
            g = dosages(cohort, chosen[place : place + 1], self.frequencies)[0]
            g = np.clip(g - self.scores.projected[variant] @ terms, -WIDEST, WIDEST)
            for side in range(2):
                t = SIDES[side] * state.t[place, side] / unit[place]
                found = _cumulants(t, g, mu)
                for name, terms_of in zip(sums, found, strict=True):
                    sums[name][place, side] = terms_of.sum()
        yield sums

    def advance(self, state: TailState, totals: Iterable[Sums]) -> Next[TailState] | Done[Tails]:
        """Publish what came; then, from what was published, go on or end."""
        chosen, left_out = self._chosen()
        unit = np.ones(self.most_flagged)
        unit[: len(chosen)] = np.sqrt(self.scores.variance[chosen])
        if not state.summed:
            (total,) = totals
            slope = SIDES * total["slope"] / unit[:, None]
            value = np.stack([total["k"], slope, total["curve"] / unit[:, None] ** 2], axis=-1)
            return Next(replace(state, value=value, rounds=state.rounds + 1, summed=1))
        z = np.zeros(self.most_flagged)
        z[: len(chosen)] = np.abs(self.scores.score[chosen]) / unit[: len(chosen)]
        off = state.value[..., 1] - z[:, None]
        there = np.abs(off) <= NEAR
        # No tail: even the furthest t does not reach so far.
        beyond = (off < 0) & (state.t >= FURTHEST)
        ended = (there | beyond)[: len(chosen)].all()
        if ended or state.rounds >= self.rounds:
            return Done(self._done(state, z, there, beyond, chosen, left_out))
        return Next(_further(state, off, there))

    def derive(self, cohort: Cohort, result: Tails) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _chosen(self) -> tuple[NDArray[np.int64], int]:
        """Return the flagged variants, and how many beyond `FAR` are not among them."""
        scores, counts = self.scores, self.frequencies
        minor = np.minimum(counts.alleles, 2 * counts.called - counts.alleles)
        safe = np.where(scores.estimable, scores.variance, 1.0)
        squared = np.where(scores.estimable, scores.score**2 / safe, 0.0)
        far = np.flatnonzero(squared > FAR**2)
        enough = far[minor[far] >= self.least_minor]
        order = np.argsort(-squared[enough], kind="stable")[: self.most_flagged]
        return enough[order], len(far) - len(order)

    def _done(
        self,
        state: TailState,
        z: Array,
        there: NDArray[np.bool_],
        beyond: NDArray[np.bool_],
        chosen: NDArray[np.int64],
        left_out: int,
    ) -> Tails:
        n = len(chosen)
        found = there & (np.arange(self.most_flagged) < n)[:, None]
        log_tail = np.full(found.shape, -np.inf)
        beside = np.broadcast_to(z[:, None], found.shape)[found]
        k, _, curve = np.moveaxis(state.value[found], -1, 0)
        log_tail[found] = log_tail_at(state.t[found], beside, k, curve)
        log_p = np.minimum(np.logaddexp(log_tail[:, 0], log_tail[:, 1]), 0.0)
        settled = (found | beyond).all(axis=1) & np.isfinite(log_p)
        padded = np.full(self.most_flagged, -1, np.int64)
        padded[:n] = chosen
        p = np.where(settled, 0.0 - log_p / np.log(10.0), np.nan)
        return Tails(padded, p, settled.astype(np.int64), left_out)

    def _sums(self) -> Block:
        shape, n = (self.most_flagged, 2), self.people
        names = (GENOTYPE, FITTED, *self.covariates)
        reads = tuple(Read(name, None) for name in names)
        return {
            "k": real(shape, STEEPEST, n, reads=reads),
            "slope": real(shape, WIDEST, n, reads=reads),
            "curve": real(shape, WIDEST**2 / 4, n, reads=reads),
        }


def _cumulants(t: float, g: Array, mu: Array) -> tuple[Array, Array, Array]:
    """Return each person's term of K(t), K'(t) and K''(t), of the centred score."""
    x = np.clip(t * g, -STEEPEST, STEEPEST)
    k = np.logaddexp(np.log1p(-mu), np.log(mu) + x) - x * mu
    odds = mu * np.exp(np.minimum(x, 0.0))
    case = odds / (odds + (1.0 - mu) * np.exp(-np.maximum(x, 0.0)))
    return np.maximum(k, 0.0), g * (case - mu), g * g * case * (1.0 - case)


def _further(state: TailState, off: Array, there: NDArray[np.bool_]) -> TailState:
    """Return the next t: Newton's, kept between the bounds; tails that are there stay."""
    low = np.where(off < 0, state.t, state.low)
    high = np.where(off < 0, state.high, state.t)
    curve = state.value[..., 2]
    step = np.where(curve > 0, -off / np.where(curve > 0, curve, 1.0), FURTHEST)
    newton = np.minimum(state.t + step, 4.0 * state.t)
    open_ = high >= FURTHEST
    middle = np.where(open_, 4.0 * state.t, (low + high) / 2)
    inside = (newton > low) & (newton < high)
    t = np.clip(np.where(inside, newton, middle), 0.0, FURTHEST)
    return TailState(
        np.where(there, state.t, t),
        np.where(there, state.low, low),
        np.where(there, state.high, high),
        state.value,
        state.rounds,
        0,
    )
