"""Products of genotypes with what a score leaves of the trait: one more column of G'G.

Each group's people have the score of their own group's weights, made at their site. Sums are
over training people, by stratum.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.cell_moments import CellMoments, in_part
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.moment_totals import FINE, MomentsState
from equipoise.analyses.risk_moments import MOST_STANDARD, ColumnSums
from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.record import grid
from equipoise.step import Done
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, real

Array = NDArray[np.float64]

_VARIANTS = 512
_MOST = 2 * MOST_STANDARD
_LEFT = "what the score leaves"


@dataclass(frozen=True, slots=True)
class ResidualTotals:
    """The sums of e, the trait less the score, in standard deviations of the trait.

    covariates  (s, c) C'e, the ones first    genotypes  (s, v) G'e
    """

    covariates: Array = grid(FINE)
    genotypes: Array = grid(FINE)


@dataclass(frozen=True, slots=True)
class ResidualSums:
    """The sums.

    score     the column with each person's score, in standard deviations of the trait
    columns   sums of the columns of training people, which have the trait's unit
    part      the column that parts people, of whom those with the number `training` are summed
              over, as one set
    bounds    the most that each covariate may be in absolute value
    """

    people: int
    strata: int
    n_variants: int
    part: str
    training: int
    trait: str
    score: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    frequencies: Frequencies
    columns: ColumnSums
    stratum: str = ""

    def start(self) -> MomentsState:
        """Return the empty state."""
        return MomentsState()

    def schema(self, state: MomentsState) -> Schema:
        """Ask for the sums with covariates, then for those with genotypes, block by block."""
        del state
        return Schema((self._head(), *(self._block(bounds) for bounds in self._bounds)))

    def summarise(self, cohort: Cohort, state: MomentsState) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        left = self.columns.standard(cohort.column(self.trait)) - cohort.column(self.score)
        with_left = cohort.with_columns({_LEFT: np.clip(left, -_MOST, _MOST)})
        people = in_part(with_left, self.part, self.training)
        head = self._moments(people).head()
        # y is the last column, so that what covariates have in common with it is C'y.
        yield {"covariates": head["cy"][0]}
        number = cohort.column(self.stratum) if self.stratum else np.zeros(cohort.n)
        who = (number == np.arange(self.strata)[:, None]) & (people.fold == 0)
        held = cohort.held((who * people.column(_LEFT)).T, np.full(self.strata, _MOST))

        def block(start: int, stop: int) -> Sums:
            mean, used = self.frequencies.means(start, stop)
            called = cohort.products(start, stop, held)
            found = called + mean[:, None] * cohort.not_called(start, stop, held)
            return {f"genotypes{s}": used * found[:, s] for s in range(self.strata)}

        yield from cohort.map_blocks(block, self._bounds)

    def advance(self, state: MomentsState, totals: Iterable[Sums]) -> Done[ResidualTotals]:
        """Return the totals."""
        del state
        head, *blocks = totals
        genotypes = np.concatenate(
            [np.stack([block[f"genotypes{s}"] for s in range(self.strata)]) for block in blocks],
            axis=1,
        )
        return Done(ResidualTotals(head["covariates"], genotypes))

    def derive(self, cohort: Cohort, result: ResidualTotals) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _moments(self, people: Cohort) -> CellMoments:
        return CellMoments.of(
            people,
            (*self.covariates, _LEFT),
            np.array([*self.bounds, _MOST]),
            1,
            stratum=self.stratum,
            strata=self.strata,
            weights=(),
            step=1.0,
        )

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(self.n_variants, _VARIANTS)

    @property
    def _reads(self) -> tuple[Read, ...]:
        who = (Read(name, None) for name in (self.stratum, self.part) if name)
        # Cut, so no polynomial of the trait or of the score.
        return (Read(self.trait, None), Read(self.score, None), *who)

    def _head(self) -> Block:
        over = (self.stratum,) if self.stratum else ()
        most = max((1.0, *self.bounds))
        reads = (*(Read(name) for name in self.covariates), *self._reads)
        shape = (self.strata, len(self.covariates) + 1)
        return {"covariates": real(shape, most * _MOST, self.people, over, reads)}

    def _block(self, bounds: tuple[int, int]) -> Block:
        reads = (Read(GENOTYPE, 1), *self._reads)
        field = real((bounds[1] - bounds[0],), 2 * _MOST, self.people, (), reads)
        told = replace(field, directions=1, block=bounds)
        return {f"genotypes{s}": told for s in range(self.strata)}
