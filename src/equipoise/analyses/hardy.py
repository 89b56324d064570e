"""Hardy-Weinberg equilibrium of every variant, in controls and within strata of ancestry.

Failing it hints at a faulty assay, unless something real puts it off: in people with a trait
the trait's own causes do (a deletion looks like a loss of heterozygotes), and over several
ancestries their different frequencies do. So it is tested in those without the trait, never
over two strata, and what counts is the smallest of a variant's p values.

Counts are those of actual calls: nothing is imputed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.packed.counts import genotype_counts
from equipoise.record import exact, grid
from equipoise.solvers.hardy import neg_log_10_mid_p
from equipoise.step import Done
from equipoise.sums import GENOTYPE, Block, Field, Read, Schema, Sums, head_count

LEAST_P = 6.0
"""A variant fails beyond this -log10 p: p below 1e-6, as biobanks have it."""


@dataclass(frozen=True, slots=True)
class HardyState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class HardyWeinberg:
    """The test of each variant, over the strata with at least `least` controls.

    neg_log_10_p  (variants,) of the exact mid-p value, the largest over those strata; NaN
                  where the variant is withheld or no stratum is large enough
    controls      (strata,) people without the trait
    """

    neg_log_10_p: NDArray[np.float64] = grid(2.0**-10)
    controls: NDArray[np.int64] = exact()
    least: int = exact()

    @property
    def strata(self) -> int:
        """Number of strata with enough controls to be tested."""
        return int(np.count_nonzero(self.controls >= self.least))

    @property
    def tested(self) -> NDArray[np.bool_]:
        """(variants,) whether there is a p value."""
        return ~np.isnan(self.neg_log_10_p)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(variants,) whether p is below 1e-6 in some stratum; never where not tested."""
        return self.neg_log_10_p > LEAST_P


@dataclass(frozen=True, slots=True)
class Hardy:
    """The test.

    strata   the most strata that there may be; 1 where `stratum` is ""
    stratum  the derived column with each person's stratum, from 0; "" for one of everybody
    least    the fewest controls of a stratum that is tested
    """

    people: int
    n_variants: int
    strata: int
    trait: str
    stratum: str
    frequencies: Frequencies
    least: int = 20
    block_size: int = 4096

    def start(self) -> HardyState:
        """Return the empty state."""
        return HardyState()

    def schema(self, state: HardyState) -> Schema:
        """Ask for controls first, then for their genotypes by variant; all by stratum."""
        del state
        controls = {"controls": self._count((self.strata,))}
        return Schema((controls, *(self._block(b - a) for a, b in self._bounds)))

    def summarise(self, cohort: Cohort, state: HardyState) -> Iterator[Sums]:
        """Count the site's genotypes in controls; a variant that is not used has none."""
        del state
        members = self._members(cohort)
        yield {"controls": np.array([m.sum() for m in members], np.float64)}
        n_samples, used = cohort.genotypes.n_samples, self.frequencies.used

        def count(start: int, stop: int) -> Sums:
            block = cohort.genotypes.packed(start, stop)
            found = np.stack([genotype_counts(block, n_samples, m) for m in members])
            found = np.where(used[start:stop, None], found, 0).astype(np.float64)
            return {"hom": found[:, :, 0], "het": found[:, :, 1], "other": found[:, :, 2]}

        yield from cohort.map_blocks(count, self._bounds)

    def advance(self, state: HardyState, totals: Iterable[Sums]) -> Done[HardyWeinberg]:
        """Test each variant in each stratum that is large enough; keep the smallest p."""
        del state
        head, *blocks = totals
        controls = head["controls"].astype(np.int64)
        large = controls >= self.least
        found = np.full(self.n_variants, np.nan)
        if large.any():
            het, hom, other = (
                np.concatenate([b[name][large] for b in blocks], axis=1).astype(np.int64)
                for name in ("het", "hom", "other")
            )
            most = neg_log_10_mid_p(het, hom, other).max(axis=0)
            found = np.where(self.frequencies.used, most, np.nan)
        return Done(HardyWeinberg(found, controls, self.least))

    def derive(self, cohort: Cohort, result: HardyWeinberg) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _members(self, cohort: Cohort) -> list[NDArray[np.bool_]]:
        """Return for each stratum a mask over the genotype file: the controls in it."""
        control = cohort.column(self.trait) == 0
        stratum = cohort.column(self.stratum) if self.stratum else np.zeros(cohort.n)
        masks = np.zeros((self.strata, cohort.genotypes.n_samples), np.bool_)
        for s, mask in enumerate(masks):
            mask[cohort.rows[control & (stratum == s)]] = True
        return list(masks)

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(self.n_variants, self.block_size)

    def _block(self, size: int) -> Block:
        count = self._count((self.strata, size), Read(GENOTYPE, None))
        return {"hom": count, "het": count, "other": count}

    def _count(self, shape: tuple[int, ...], *reads: Read) -> Field:
        # Of those without the trait: its complement is yes/no too.
        reads = (Read(self.trait, None, two_valued=True), *reads)
        if self.stratum:
            reads = (Read(self.stratum, None), *reads)
        return head_count(shape, self.people, (self.stratum,) if self.stratum else (), reads)
