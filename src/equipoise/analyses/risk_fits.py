"""The fits of a risk model for several ancestries: steps that ask nothing of the sites.

Each follows from linkage that every party holds and from public sums of scores, as
`solvers.risk_stages` says; each is worked out at the centre and at every site.

    RiskParts    who trains, who tunes and who tests
    RiskSingles  strata alone, the pool of all, clumped scores
    RiskJoint    joint fits, at what each group's tuning people liked
    RiskStack    each group's stack; its people's scores stay at their sites
    RiskRefined  linkage with what other blocks leave of the trait, for another time through
    RiskMethods  the scores that are compared in people whom nothing has seen
"""

from collections.abc import Generator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.candidate_scores import candidate_scores
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.residual_sums import ResidualTotals
from equipoise.analyses.risk_moments import MOST_STANDARD, ColumnSums, Linkage
from equipoise.analyses.risk_records import Begun, Candidates, GroupWeights, RefinedTrait
from equipoise.analyses.score_sums import ScoreTotals
from equipoise.cohort import Cohort, Columns
from equipoise.errors import InputError
from equipoise.native import threads
from equipoise.record import rounded
from equipoise.solvers.block_correlations import NothingVariesError, Residuals, refined
from equipoise.solvers.risk_baselines import METHODS, baselines
from equipoise.solvers.risk_stages import First, Liked, Second, chosen, first, liked, second, total
from equipoise.solvers.risk_stages import singles as single_scores
from equipoise.solvers.sparse_weights import SparseWeights, beside, sparse
from equipoise.solvers.stack import StackMoments
from equipoise.step import Done
from equipoise.sums import Schema, Sums

Array = NDArray[np.float64]


class Fit:
    """What steps have in common that ask nothing and derive nothing."""

    __slots__ = ()

    def start(self) -> Begun:
        """Return the only state."""
        return Begun()

    def schema(self, state: Begun) -> Schema:
        """Ask nothing."""
        del state
        return Schema()

    def summarise(self, cohort: Cohort, state: Begun) -> Iterable[Sums]:
        """Yield nothing."""
        del cohort, state
        return iter(())

    def derive(self, cohort: Cohort, result: Any, /) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}


@dataclass(frozen=True, slots=True)
class RiskParts(Fit):
    """Who does what, by fold: the first folds tune, the next test, all others train.

    The derived column is a person's fold where they tune, `tuning` where they test and one more
    where they train; -1 for people of a site that never trains.
    """

    tuning: int
    test: int
    name: str

    def advance(self, state: Begun, totals: Iterable[Sums]) -> Done[Begun]:
        """Return nothing: all is known before."""
        del totals
        return Done(state)

    def derive(self, cohort: Cohort, result: Begun, /) -> Columns:
        """Return what each person is for."""
        del result
        tests, trains = self.tuning, self.tuning + self.test
        part = np.where(cohort.fold < tests, cohort.fold, np.minimum(cohort.fold, tests))
        return {self.name: np.where(cohort.fold >= trains, tests + 1, part).astype(np.float64)}


@dataclass(frozen=True, slots=True)
class JointFit:
    """What a stack is made from, as it is held.

    choice   what tuning people liked    fits  the candidates of the stack
    singles  the best single-ancestry score of each stratum
    """

    choice: Liked
    fits: Second
    singles: SparseWeights


@dataclass(frozen=True, slots=True)
class RiskSingles(Fit):
    """Candidates that need one stratum, or the pool of all.

    before  what was made the time before: paths then stay near what tuning people liked
    """

    linkage: Linkage
    frequencies: Frequencies
    before: JointFit | None = None

    def advance(self, state: Begun, totals: Iterable[Sums]) -> Done[Candidates]:
        """Return the candidates; hold where each is."""
        del state, totals
        for name, held in self.linkage.named().items():
            if not np.abs(held.trait).max(initial=0.0) > 0:
                raise InputError(f"no variant varies with the trait in stratum {name}")
        with _fitting() as executor:
            before = self.before.choice if self.before else None
            made = first(self.linkage.named(), executor, before)
        found = Candidates.of(made.weights, self.frequencies)
        # What follows goes by what is published, to its last digit.
        return Done(found, replace(made, weights=rounded(found).weights))


@dataclass(frozen=True, slots=True)
class RiskJoint(Fit):
    """Joint fits beside the best single and pooled ones.

    fits   candidates of strata alone    totals  sums of their scores over tuning people
    prior  what was made the time before, whose single scores the stack may have as well
    """

    linkage: Linkage
    fits: First
    totals: ScoreTotals
    frequencies: Frequencies
    prior: JointFit | None = None

    def advance(self, state: Begun, totals: Iterable[Sums]) -> Done[Candidates]:
        """Return the candidates of the stack; hold where each is."""
        del state, totals
        strata = self.linkage.named()
        prior = self.prior.singles if self.prior else None
        with _fitting() as executor:
            choice = liked(self.fits, total(_folds(self.totals, list(strata))))
            made = second(strata, self.fits, choice, executor, prior)
        found = Candidates.of(made.weights, self.frequencies)
        kept = replace(made, weights=rounded(found).weights)
        return Done(found, JointFit(choice, kept, single_scores(self.fits, choice)))


@dataclass(frozen=True, slots=True)
class RiskStack(Fit):
    """Each group's stack, or its own best candidate.

    name  of the derived column with each person's score, in standard deviations of the trait
    """

    candidates: Candidates
    joint: JointFit
    totals: ScoreTotals
    frequencies: Frequencies
    name: str
    stratum: str = ""

    def advance(self, state: Begun, totals: Iterable[Sums]) -> Done[GroupWeights]:
        """Return the weights of each group."""
        del state, totals
        folds = _folds(self.totals, list(self.joint.fits.own))
        with _fitting():
            stacks = list(chosen(self.joint.fits, folds).values())
        return Done(GroupWeights.of(self.candidates, stacks))

    def derive(self, cohort: Cohort, result: GroupWeights, /) -> Columns:
        """Return each person's score by the weights of their own group; 0 for who has none."""
        groups = range(len(result.weights))
        weights = sparse([result.weights.T], [str(s) for s in groups])
        everybody = np.arange(cohort.n)
        made = candidate_scores(cohort, weights, self.frequencies, everybody)
        number = cohort.column(self.stratum) if self.stratum else np.zeros(cohort.n)
        score = np.zeros(cohort.n)
        for s in groups:
            score[number == s] = made[number == s, s]
        return {self.name: np.clip(score, -MOST_STANDARD, MOST_STANDARD)}


@dataclass(frozen=True, slots=True)
class RiskRefined(Fit):
    """Correlations with what other blocks leave of the trait (`block_correlations.refined`)."""

    linkage: Linkage
    columns: ColumnSums
    weights: GroupWeights
    residuals: ResidualTotals

    def advance(self, state: Begun, totals: Iterable[Sums]) -> Done[RefinedTrait]:
        """Return the correlations; hold them with the linkage."""
        del state, totals
        unit = self.columns.deviation
        found = [
            refined(held, sums, Residuals(unit * of_columns, unit * of_genotypes), unit * weights)
            for held, sums, of_columns, of_genotypes, weights in zip(
                self.linkage.strata,
                self.linkage.sums,
                self.residuals.covariates,
                self.residuals.genotypes,
                self.weights.weights,
                strict=True,
            )
        ]
        published = RefinedTrait(np.stack([one.trait for one in found]))
        return Done(published, replace(self.linkage, strata=tuple(found)))


@dataclass(frozen=True, slots=True)
class RiskMethods(Fit):
    """The scores to compare, of every method for every group: method m of group s at m * groups + s.

    fits, joint   candidates of the first time through, and what its tuning people liked
    totals        sums of the scores of that stack's candidates
    once, ended   what the groups chose then and in the end
    """

    fits: First
    joint: JointFit
    totals: ScoreTotals
    once: GroupWeights
    ended: GroupWeights
    frequencies: Frequencies
    people: ColumnSums

    def advance(self, state: Begun, totals: Iterable[Sums]) -> Done[Candidates]:
        """Return the scores as candidates."""
        del state, totals
        names = list(self.joint.fits.own)
        folds = _folds(self.totals, names)
        reference = names[int(np.argmax(self.people.people))]
        with _fitting():
            single = baselines(self.fits, self.joint.choice, self.joint.fits, folds, reference)
        groups = [f"{METHODS[m]}: {name}" for m in ("once", "stacked") for name in names]
        both = np.concatenate([self.once.weights, self.ended.weights])
        made = beside([single, sparse([both.T], groups)])
        return Done(Candidates.of(made, self.frequencies))


def _folds(totals: ScoreTotals, names: list[str]) -> dict[str, list[StackMoments]]:
    """Return the sums of each stratum by fold."""
    return {name: totals.of(s) for s, name in enumerate(names)}


@contextmanager
def _fitting() -> Generator[Executor]:
    """Yield threads to fit on; InputError where there is nothing to fit."""
    with ThreadPoolExecutor(threads()) as executor:
        try:
            yield executor
        except NothingVariesError as error:
            raise InputError(f"no risk model can be fitted: {error}") from error
