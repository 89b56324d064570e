"""Sums that risk models are fitted from: by stratum of ancestry, by fold and by LD block.

One round after the counts (`frequency`). For each stratum and fold: n, y'y, C'C, C'y, G'C, G'y
and, block by block, G'G, C the covariates with a column of ones first; a missing call is the
global mean 2p, so that sums over sites are those of the pooled people. Strata are a column with
each person's number, or soft weights from 0 to 1, rounded to a declared step: then every sum is
weighted.

G'G of a block tells as many columns as the block has variants, about the people of one stratum
and fold. Where these are too few, nothing is asked but its diagonal, and the correlations come
from a reference (`solvers.reference_linkage`); a plan that asks for more is refused before it
runs. Strata by number share no person, so that what each may tell is within what the fold may;
of weights, the plan's own budget adds up what all of them tell about the fold.

The largest part of the answer is never held whole by who reads it `by_block`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log2

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.cell_moments import (
    CellMoments,
    blocks_from,
    in_part,
    triangle_diagonal,
)
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.moment_totals import MomentsState, MomentTotals, StratumColumns
from equipoise.analyses.strata import Strata
from equipoise.cohort import Cohort, Columns
from equipoise.errors import DisclosureError, InputError
from equipoise.solvers.block_moments import BlockMoments
from equipoise.step import Done
from equipoise.sums import (
    GENOTYPE,
    PEOPLE_PER_COLUMN,
    Block,
    Field,
    Read,
    Schema,
    Sums,
    head_count,
    real,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """The sums.

    starts      where LD blocks begin among the variants, and where the last ends: public
    bounds      the most that each covariate, then the trait, may be in absolute value
    counted     for each stratum, the people of the smallest set of it that sums by fold let be
                derived; of weights, as many as count for one each (`smallest_by_stratum` and
                `effective_people` in `moment_totals`)
    stratum     the column with each person's stratum, from 0; "" for one of everybody
    weights     instead, the columns with each person's weight in every stratum
    step        of weights, 2^-10 at least
    borrowed    strata whose linkage comes from a reference
    background  those of the covariates that are components of ancestry, C = Xv: then G'C is a
                column of G'G
    least       the fewest people that `counted` may have, linkage borrowed or not
    found       the strata as they were found, where a step did: no site answers if one has
                fewer people than were counted on
    part        a column that parts people, of whom those with the number `training` are summed
                over, as one set; "" sums over everybody, by fold
    """

    people: int
    folds: int
    starts: tuple[int, ...]
    trait: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    counted: tuple[int, ...]
    frequencies: Frequencies
    stratum: str = ""
    weights: tuple[str, ...] = ()
    step: float = 2.0**-5
    borrowed: tuple[int, ...] = ()
    background: tuple[str, ...] = ()
    least: int = 10
    found: Strata | None = None
    part: str = ""
    training: int = 0

    def start(self) -> MomentsState:
        """Return the empty state."""
        return MomentsState()

    def schema(self, state: MomentsState) -> Schema:
        """Ask for the sums of the columns first, then for those of each LD block.

        DisclosureError where a stratum has too few people to be summed over, or a block more
        variants than its stratum has people for.
        """
        del state
        self._refuse()
        return Schema((self._head(), *(self._block(bounds) for bounds in self._bounds)))

    def summarise(self, cohort: Cohort, state: MomentsState) -> Iterator[Sums]:
        """Yield the site's sums; DisclosureError where a stratum is smaller than counted on."""
        del state
        self._refuse_smaller()
        sums = CellMoments.of(
            in_part(cohort, self.part, self.training),
            (*self.covariates, self.trait),
            np.array(self.bounds),
            self.folds,
            stratum=self.stratum,
            strata=self.strata,
            weights=self.weights,
            step=self.step,
        )
        yield sums.head()
        own = self._own

        def block(start: int, stop: int) -> Sums:
            mean, used = self.frequencies.means(start, stop)
            found = sums.block(start, stop, mean, used, linkage=bool(own))
            answer: dict[str, Array] = {}
            for s in range(self.strata):
                answer[f"gc{s}"] = found.products[:, s, :, :-1]
                answer[f"gy{s}"] = found.products[:, s, :, -1]
                if s in own:
                    answer[f"gg{s}"] = found.triangle[:, s]
                else:
                    answer[f"squares{s}"] = found.squares[:, s]
            return answer

        yield from cohort.map_blocks(block, self._bounds)

    def advance(self, state: MomentsState, totals: Iterable[Sums]) -> Done[MomentTotals]:
        """Return the totals."""
        del state
        iterator = iter(totals)
        head = next(iterator)
        parts = [self._joined(sums) for sums in iterator]
        along = {"gc": 2, "gy": 2, "squares": 2, "gg": 2}
        blocks = {n: np.concatenate([p[n] for p in parts], axis=a) for n, a in along.items()}
        return Done(
            MomentTotals(
                **head,
                **blocks,
                starts=np.array(self.starts, np.int64),
                borrowed=np.array(self.borrowed, np.int64),
                told=np.array([told.used for told in self.columns], np.int64),
                allowed=np.array([told.allowed for told in self.columns], np.int64),
            )
        )

    def derive(self, cohort: Cohort, result: MomentTotals) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def by_block(self, totals: Iterable[Sums]) -> Iterator[tuple[tuple[BlockMoments, ...], ...]]:
        """Yield the sums of one LD block after the other, by stratum and then by fold.

        What a model that is fitted block by block goes by, so that memory holds one block.
        """
        iterator = iter(totals)
        head = next(iterator)
        for (start, stop), sums in zip(self._bounds, iterator, strict=True):
            held = {**head, **self._joined(sums)}
            own = np.array([0, stop - start], np.int64)
            by_fold = [{n: a[f] for n, a in held.items()} for f in range(self.folds)]
            yield tuple(
                tuple(blocks_from(part, s, self._place(s), own) for part in by_fold)
                for s in range(self.strata)
            )

    @property
    def strata(self) -> int:
        """Number of strata."""
        return len(self.weights) or len(self.counted)

    @property
    def columns(self) -> tuple[StratumColumns, ...]:
        """The columns of G'G that are told about each stratum, and how many may be."""
        widest = max(stop - start for start, stop in self._bounds)
        used = [
            len(self.background) + (0 if s in self.borrowed else widest) for s in range(self.strata)
        ]
        allowed = [n // PEOPLE_PER_COLUMN for n in self.counted]
        return tuple(map(StratumColumns, range(self.strata), used, allowed))

    def _refuse(self) -> None:
        if self.part and self.folds != 1:
            raise InputError("a part to sum over as one, and sums by fold; expected one of the two")
        if self.weights and (self.stratum or len(self.counted) != len(self.weights)):
            raise InputError(
                "strata by weights and by number, or weights of another number of strata than"
                " `counted`; expected one column of weights for each stratum, or one of numbers"
            )
        if not 2.0**-10 <= self.step <= 1 or log2(self.step) % 1:
            raise InputError(f"weights in steps of {self.step}; expected a power of two from 2^-10")
        for told in self.columns:
            if self.counted[told.stratum] < self.least:
                raise DisclosureError(
                    f"about {self.counted[told.stratum]} people are in the smallest fold of stratum"
                    f" {told.stratum}; at least {self.least} are needed: join strata, or use fewer"
                    " folds"
                )
            if told.used > told.allowed:
                raise DisclosureError(
                    f"the LD blocks would release {told.used} columns of G'G of stratum"
                    f" {told.stratum}, and {told.allowed} are allowed, one for"
                    f" {PEOPLE_PER_COLUMN} of about {self.counted[told.stratum]} people of its"
                    " smallest fold: give reference LD for that stratum, or take smaller blocks"
                    " or fewer folds"
                )

    def _refuse_smaller(self) -> None:
        people: list[int] = [] if self.found is None else self.found.people.tolist()
        for s, n in enumerate(people[: self.strata]):
            counted = self.counted[s]
            if 0 < n < counted * self.folds:
                raise DisclosureError(
                    f"stratum {s} has {n} people, {n // self.folds} in a fold, and the plan counted"
                    f" on {counted}: nothing was sent; plan with fewer, or with reference LD"
                )

    def _place(self, stratum: int) -> int | None:
        return self._own.index(stratum) if stratum in self._own else None

    def _joined(self, sums: Sums) -> dict[str, Array]:
        """Return the sums of a block with an axis over strata after that over folds."""
        triangles = [sums[f"gg{s}"] for s in self._own]
        size = sums["gy0"].shape[1]
        squares = [
            sums[f"gg{s}"][:, triangle_diagonal(size)] if s in self._own else sums[f"squares{s}"]
            for s in range(self.strata)
        ]
        none = np.zeros((self.folds, 0, 0))
        return {
            "gc": np.stack([sums[f"gc{s}"] for s in range(self.strata)], axis=1),
            "gy": np.stack([sums[f"gy{s}"] for s in range(self.strata)], axis=1),
            "squares": np.stack(squares, axis=1),
            "gg": np.stack(triangles, axis=1) if triangles else none,
        }

    @property
    def _own(self) -> list[int]:
        return [s for s in range(self.strata) if s not in self.borrowed]

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return tuple(pairwise(self.starts))

    @property
    def _by_fold(self) -> tuple[str, ...]:
        return () if self.part else ("fold",)

    @property
    def _most(self) -> tuple[float, float]:
        """The most that a covariate (or the column of ones) and the trait may be."""
        return max((1.0, *self.bounds[:-1])), self.bounds[-1]

    def _reads(self, degree: int) -> tuple[tuple[Read, ...], Read]:
        names = (*self.covariates, self.trait)
        reads = [
            Read(n, degree, two_valued=b <= 1) for n, b in zip(names, self.bounds, strict=True)
        ]
        return tuple(reads[:-1]), reads[-1]

    def _who(self, stratum: int | None = None) -> tuple[Read, ...]:
        """Return what says who is in a stratum, or in which."""
        names = (self.stratum,)
        if self.weights:
            names = self.weights if stratum is None else (self.weights[stratum],)
        return tuple(Read(name, None) for name in (*names, self.part) if name)

    def _head(self) -> Block:
        k, n, (c, y), who = len(self.covariates) + 1, self.people, self._most, self._who()
        # Weights sum over everybody with any; numbers of strata part the people.
        by_number = () if self.weights or not self.stratum else (self.stratum,)
        over = () if self.part else ("fold", *by_number)
        shape = (self.folds, self.strata)
        (covariates, trait), (twice, square) = self._reads(1), self._reads(2)
        limit = float(max(n, 1))
        people = (
            Field(shape, 1.0, limit, self.step, over, who)
            if self.weights
            else head_count(shape, n, over, who)
        )
        return {
            "people": people,
            "cc": real((*shape, k, k), c**2, n, over, (*twice, *who)),
            "cy": real((*shape, k), c * y, n, over, (*covariates, trait, *who)),
            "yy": real(shape, y**2, n, over, (square, *who)),
        }

    def _block(self, block: tuple[int, int]) -> Block:
        b, k, n, (c, y) = block[1] - block[0], len(self.covariates) + 1, self.people, self._most
        (covariates, trait), g, over = self._reads(1), Read(GENOTYPE, 1), self._by_fold
        fields: dict[str, Field] = {}
        for s in range(self.strata):
            who = self._who(s)
            fields[f"gc{s}"] = replace(
                real((self.folds, b, k), 2 * c, n, over, (*covariates, g, *who)),
                directions=len(self.background),
                block=block if self.background else None,
            )
            fields[f"gy{s}"] = real((self.folds, b), 2 * y, n, over, (trait, g, *who))
            square = (Read(GENOTYPE, 2), *who)
            if s in self.borrowed:
                fields[f"squares{s}"] = real((self.folds, b), 4.0, n, over, square)
            else:
                triangle = real((self.folds, b * (b + 1) // 2), 4.0, n, over, square)
                fields[f"gg{s}"] = replace(triangle, directions=b, block=block)
        return fields
