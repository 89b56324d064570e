"""Calls and effect alleles of every variant over all people: what imputation goes by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.record import exact
from equipoise.step import Done
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, head_count


@dataclass(frozen=True, slots=True)
class FrequencyState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Frequencies:
    """Counts over all sites.

    Every variant is used, or withheld for a low call rate, or else for being rare.

    called        (variants,) people with a call
    alleles       (variants,) effect alleles among them
    floor         the least minor allele count at which a variant is used at all
    least_called  the fewest people with a call at which it is
    """

    called: NDArray[np.int64] = exact()
    alleles: NDArray[np.int64] = exact()
    floor: int = exact()
    least_called: int = exact()

    @property
    def used(self) -> NDArray[np.bool_]:
        """(variants,) whether calls and minor alleles are as many as it takes."""
        return (self._minor >= self.floor) & ~self.low_call_rate

    @property
    def low_call_rate(self) -> NDArray[np.bool_]:
        """(variants,) whether too few people have a call, however common the alleles."""
        return self.called < self.least_called

    @property
    def rare(self) -> NDArray[np.bool_]:
        """(variants,) whether the minor allele count alone is too low; 0 included."""
        return (self._minor < self.floor) & ~self.low_call_rate

    @property
    def monomorphic(self) -> NDArray[np.bool_]:
        """(variants,) which of the rare ones have no minor allele at all."""
        return self.rare & (self._minor == 0)

    @property
    def _minor(self) -> NDArray[np.int64]:
        return np.minimum(self.alleles, 2 * self.called - self.alleles)

    @property
    def frequency(self) -> NDArray[np.float64]:
        """(variants,) effect-allele frequency, NaN where nobody has a call."""
        called = np.where(self.called > 0, self.called, 1)
        return np.where(self.called > 0, self.alleles / (2.0 * called), np.nan)

    def mean_at(self, variants: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the mean dosage 2p of the given variants; NaN where nobody has a call."""
        called = self.called[variants]
        mean = self.alleles[variants] / np.where(called > 0, called, 1)
        return np.where(called > 0, mean, np.nan)

    def means(self, start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the mean dosage 2p of variants start to stop, 0 if not used, and which are."""
        called, alleles = self.called[start:stop], self.alleles[start:stop]
        used = Frequencies(called, alleles, self.floor, self.least_called).used
        return np.where(used, alleles / np.maximum(called, 1), 0.0), used

    def impute(self, dosage: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
        """Return dosages, (variants, samples), missing ones as the global 2p.

        Variants that are not used become 0 everywhere. No site imputes with a frequency
        of its own: its sums would differ from those of the pooled people.
        """
        mean, used = self.means(start, stop)
        filled = np.where(np.isnan(dosage), mean[:, None], dosage)
        return filled * used[:, None]


@dataclass(frozen=True, slots=True)
class Frequency:
    """Counts effect alleles; variants that are not used are withheld from all that follows."""

    people: int
    n_variants: int
    floor: int
    least_called: int
    block_size: int = 4096

    def start(self) -> FrequencyState:
        """Return the empty state."""
        return FrequencyState()

    def schema(self, state: FrequencyState) -> Schema:
        """Ask for two counts a variant."""
        del state
        return Schema(tuple(self._block(b - a) for a, b in self._bounds))

    def summarise(self, cohort: Cohort, state: FrequencyState) -> Iterator[Sums]:
        """Count the site's calls and effect alleles."""
        del state

        def count(start: int, stop: int) -> Sums:
            if cohort.with_dosages:
                # To whole alleles: of n people this moves 2p by less than 1 / n.
                dosage = cohort.dosage(start, stop)
                called = np.count_nonzero(~np.isnan(dosage), axis=1).astype(np.float64)
                return {"called": called, "alleles": np.rint(np.nansum(dosage, axis=1))}
            twice, once, none, _ = cohort.counts(start, stop).T.astype(np.float64)
            return {"called": twice + once + none, "alleles": 2 * twice + once}

        return cohort.map_blocks(count, self._bounds)

    def advance(self, state: FrequencyState, totals: Iterable[Sums]) -> Done[Frequencies]:
        """Return the counts over all sites."""
        del state
        blocks = list(totals)
        called = np.concatenate([block["called"] for block in blocks]).astype(np.int64)
        alleles = np.concatenate([block["alleles"] for block in blocks]).astype(np.int64)
        return Done(Frequencies(called, alleles, self.floor, self.least_called))

    def derive(self, cohort: Cohort, result: Frequencies) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(self.n_variants, self.block_size)

    def _block(self, size: int) -> Block:
        alleles = (Read(GENOTYPE, 1),)
        return {
            "called": head_count((size,), self.people, reads=(Read(GENOTYPE, None),)),
            "alleles": head_count((size,), self.people, reads=alleles, per_person=2),
        }
