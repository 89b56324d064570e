"""Linkage of the people that risk models are fitted in, held by every party and never published.

The sums are those of `moments`; here no more of them is published than what concerns columns
alone. The correlations of genotypes, which are nearly all of it, follow from the totals at the
centre and at every site alike, block by block, and later steps refer to them as they are held.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.moment_totals import FINE, MomentsState
from equipoise.analyses.moments import Moments
from equipoise.errors import InputError
from equipoise.record import exact, grid
from equipoise.solvers.block_correlations import (
    BlockCorrelations,
    Correlating,
    NothingVariesError,
    Projection,
    correlations,
)
from equipoise.solvers.block_moments import BlockMoments
from equipoise.solvers.reference_linkage import ReferenceMatch, borrowed
from equipoise.step import Done
from equipoise.sums import Sums

MOST_STANDARD: Final = 64.0
"""What a trait, and a final score, are cut to in standard deviations of the trait."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ColumnSums:
    """Sums of columns by stratum, and how many columns of G'G were told.

    people  (s,)    cc  (s, k, k) the ones first    cy  (s, k)    yy  (s,)
    told    (s,) columns of G'G about each stratum    allowed  (s,) that may be
    """

    people: Array = grid(FINE)
    cc: Array = grid(FINE)
    cy: Array = grid(FINE)
    yy: Array = grid(FINE)
    told: NDArray[np.int64] = exact()
    allowed: NDArray[np.int64] = exact()

    @property
    def mean(self) -> float:
        """The trait's mean."""
        return float(self.cy[:, 0].sum() / self.people.sum())

    @property
    def deviation(self) -> float:
        """The trait's standard deviation about the mean of each stratum: the unit of weights."""
        square = self.yy - self.cy[:, 0] ** 2 / np.maximum(self.people, 1)
        return float(np.sqrt(square.sum() / self.people.sum()))

    def standard(self, trait: Array) -> Array:
        """Return traits about their mean in standard deviations, cut to `MOST_STANDARD`."""
        made = (trait - self.mean) / self.deviation
        return np.asarray(np.clip(made, -MOST_STANDARD, MOST_STANDARD), np.float64)


@dataclass(frozen=True, slots=True)
class Linkage:
    """What models are fitted from, stratum by stratum.

    strata   correlations of genotypes and with the trait
    sums     what they came from, less the products of genotypes
    matches  of strata whose linkage is borrowed, how well the reference fits
    """

    strata: tuple[BlockCorrelations, ...]
    sums: tuple[BlockMoments, ...]
    matches: Mapping[int, ReferenceMatch]

    def named(self) -> dict[str, BlockCorrelations]:
        """Return the strata by number, as text."""
        return {str(s): held for s, held in enumerate(self.strata)}


@dataclass(frozen=True, slots=True)
class RiskMoments(Moments):
    """The sums over training people; `folds` is 1.

    references  moments of the people from whom a stratum borrows linkage, by its number
    """

    references: Mapping[int, BlockMoments] | None = None

    def advance(  # pyright: ignore[reportIncompatibleMethodOverride] - another result, on purpose
        self, state: MomentsState, totals: Iterable[Sums]
    ) -> Done[ColumnSums]:
        """Return the sums of columns; hold the correlations."""
        del state
        iterator = iter(totals)
        head = dict(next(iterator))
        try:
            linkage = self._linkage(head, iterator)
        except NothingVariesError as error:
            raise InputError(f"no risk model can be fitted: {error}") from error
        told = self.columns
        result = ColumnSums(
            **{name: values[0] for name, values in head.items()},
            told=np.array([t.used for t in told], np.int64),
            allowed=np.array([t.allowed for t in told], np.int64),
        )
        return Done(result, linkage)

    def _linkage(self, head: Sums, blocks: Iterable[Sums]) -> Linkage:
        making: dict[int, Correlating] = {}
        kept: list[list[BlockMoments]] = [[] for _ in range(self.strata)]
        for by_stratum in self.by_block(chain([head], blocks)):
            for s, (moments,) in enumerate(by_stratum):
                if s in self.borrowed:
                    kept[s].append(moments)
                    continue
                if s not in making:
                    making[s] = Correlating(Projection.of(moments), np.float32)
                covariates, trait = moments.genotype_covariates, moments.genotype_trait
                making[s].add(moments.genotypes[0], covariates, trait)
                kept[s].append(replace(moments, genotypes=()))
        sums = [joined(parts, np.array(self.starts, np.int64)) for parts in kept]
        matches: dict[int, ReferenceMatch] = {}
        strata: list[BlockCorrelations] = []
        for s in range(self.strata):
            if s in making:
                strata.append(making[s].end())
                continue
            if s not in (self.references or {}):
                raise InputError(f"no reference for the linkage of stratum {s}; give one")
            whole, matches[s] = borrowed(sums[s], (self.references or {})[s])
            strata.append(correlations(whole, np.float32))
            sums[s] = replace(sums[s], genotypes=())
        return Linkage(tuple(strata), tuple(sums), matches)


def joined(parts: list[BlockMoments], starts: NDArray[np.int64]) -> BlockMoments:
    """Return the moments of blocks that follow one another as one."""
    return replace(
        parts[0],
        genotype_covariates=np.concatenate([p.genotype_covariates for p in parts]),
        genotype_trait=np.concatenate([p.genotype_trait for p in parts]),
        genotypes=tuple(gram for p in parts for gram in p.genotypes),
        starts=starts,
    )
