"""X'X times a few columns over all sites, in one round: what the search for components asks for.

X are genotypes standardised by the frequencies over all sites, as in `tools.pca`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.packed import standardised
from equipoise.record import grid
from equipoise.step import Done
from equipoise.sums import GENOTYPE, Block, Field, Read, Schema, Sums, quantum_for
from equipoise.tools.pruning import Nothing

BLOCK: Final = 1024
"""Variants of one task."""


@dataclass(frozen=True, slots=True)
class Product:
    """X'X V / m."""

    product: NDArray[np.float64] = grid(2.0**-44)


@dataclass(frozen=True, slots=True)
class Products:
    """Asks for X'X times a few columns, in one round.

    What is asked for has each variant in units of the dosage: the limit, and with it the step
    of the encoding, does not go by the rarest variant then.

    mean     (variants,) mean dosage over all sites, between 0 and 2
    columns  (variants, columns) each of length 1
    total    the sum of the eigenvalues of XX'/m
    """

    people: int
    mean: NDArray[np.float64] = field(repr=False)
    columns: NDArray[np.float64] = field(repr=False)
    total: float

    def start(self) -> Nothing:
        """Return the empty state."""
        return Nothing()

    def schema(self, state: Nothing) -> Schema:
        """Ask for a block of rows at a time."""
        del state
        m, width = self.columns.shape
        minor = np.minimum(self.mean, 2 - self.mean) / 2
        slack = 1 + 2.0**-10  # single precision, and columns not quite of length 1
        # A person adds (g - 2p) x'v, and |x'v| <= |x|; over people, by Cauchy and Schwarz,
        # no more than |g - 2p| |Xv|, and the square of |Xv| is no more than the trace of X'X.
        per_person = 2 * sqrt(float(np.sum(2 * (1 - minor) / minor))) * slack
        limit = max(sqrt(self.people) * sqrt(m * self.total) * slack, 1.0)
        quantum, twice = quantum_for(limit), (Read(GENOTYPE, 2),)

        def asked(start: int, stop: int) -> Block:
            shape, span = (stop - start, width), (start, stop)
            return {
                "product": Field(shape, per_person, limit, quantum, (), twice, False, width, span)
            }

        return Schema(tuple(asked(*block) for block in self._bounds))

    def summarise(self, cohort: Cohort, state: Nothing) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        own = np.ascontiguousarray(scores(cohort, self.mean, self.columns), np.float32)

        def work(start: int, stop: int) -> Sums:
            product = _loadings(cohort, self.mean, own, start, stop)
            return {"product": product * self._deviation[start:stop, None]}

        yield from cohort.map_blocks(work, self._bounds)

    def advance(self, state: Nothing, totals: Iterable[Sums]) -> Done[Product]:
        """Return the products over m."""
        del state
        whole = np.concatenate([total["product"] for total in totals])
        return Done(Product(whole / (len(self.mean) * self._deviation[:, None])))

    def derive(self, cohort: Cohort, result: Product) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(len(self.mean), BLOCK)

    @property
    def _deviation(self) -> NDArray[np.float64]:
        return np.sqrt(self.mean * (1 - self.mean / 2))


def scores(
    cohort: Cohort, mean: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return X times the columns, (samples, columns): rows that stay at their site."""
    single = columns.astype(np.float32)

    def work(start: int, stop: int) -> NDArray[np.float64]:
        if cohort.with_dosages:
            x = standardised.standardise(cohort.dosage(start, stop), mean[start:stop])
            return (single[start:stop].T @ x).astype(np.float64)
        source, values = cohort.genotypes, standardised.values_of(mean[start:stop])
        block = source.packed(start, stop)
        found = standardised.scores(block, source.n_samples, values, single[start:stop])
        return found[:, cohort.rows]

    total = np.zeros((columns.shape[1], cohort.n))
    for part in cohort.map_blocks(work, blocks_of(len(mean), BLOCK)):
        total += part
    return total.T


def _loadings(
    cohort: Cohort, mean: NDArray[np.float64], own: NDArray[np.float32], start: int, stop: int
) -> NDArray[np.float64]:
    if cohort.with_dosages:
        x = standardised.standardise(cohort.dosage(start, stop), mean[start:stop])
        return (x @ own).astype(np.float64)
    source, values = cohort.genotypes, standardised.values_of(mean[start:stop])
    everybody = own
    if cohort.n != source.n_samples:
        everybody = np.zeros((source.n_samples, own.shape[1]), np.float32)
        everybody[cohort.rows] = own
    return standardised.loadings(source.packed(start, stop), source.n_samples, values, everybody)
