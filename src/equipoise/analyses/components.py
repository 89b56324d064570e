"""Principal components of genotypes, of which only products with a few columns cross sites.

With X the standardised genotypes of m pruned variants in n people, x = (g - 2p) /
sqrt(2p(1 - p)) and 0 where not called, each round asks for X'X V for a few columns V.
Block Lanczos makes loadings of them (`solvers.krylov`); each site keeps its own people's
scores. The rounds end once every component that may be kept has been found, or when the
plan allows no more.

A component is kept where two things hold, of it and of all before it:

- it stands out: its eigenvalue is beyond what noise reaches once in 1,000 times, by the
  Tracy-Widom test of Patterson et al. 2006, doi:10.1371/journal.pgen.0020190, with the
  number of independent variants that pruning found (`solvers.spectrum.above_noise`);
- it was found: its loadings lie within `tolerance` of the eigenvector, as the sine of the
  angle, by its residual over the gap to its neighbours (`solvers.spectrum.converged`). Of
  two whose eigenvalues differ by less than that share neither is ever found: more people
  or other variants would mix them differently.

The test takes linkage between windows for structure. So it means what it says only where
windows are wider than linkage reaches; neighbouring windows of 100 kb make each of the
first four components of chromosome 22 of four European cohorts stand out.

Loadings of components that are not kept are zero, as are their scores. The sign of a
component makes its product with the first column ever asked about positive: that column is
random, so no symmetry makes it zero, while the greatest loading may tie with its opposite.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.pruning import Pruned
from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.errors import InputError
from equipoise.record import exact, grid
from equipoise.solvers.krylov import first_basis, next_basis, ritz, trace_of_square
from equipoise.solvers.spectrum import Noise, above_noise, all_found, converged, effective_number
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, Read, Schema, Sums, real

FINE = 2.0**-30
BLOCK = 512
"""Variants whose genotypes are held at a time."""

HELD = 2**18
"""As many genotypes are decoded once a round; of more, each block twice."""


@dataclass(frozen=True, slots=True)
class ComponentsState:
    """What has been asked, what came of it, and what is asked next.

    bases      (rounds, size, width) the columns V of all rounds, the present one included
    products   (rounds done, size, width) X'X V / m of those that have been answered
    values     (at most k + 1,) the greatest eigenvalues of X'X / m as far as known
    residuals  (as values,) how far from an eigenvalue each may lie
    """

    bases: NDArray[np.float64] = grid(FINE)
    products: NDArray[np.float64] = grid(FINE)
    values: NDArray[np.float64] = grid(FINE)
    residuals: NDArray[np.float64] = grid(FINE)


@dataclass(frozen=True, slots=True)
class ComponentLoadings:
    """Loadings and eigenvalues; `kept` says which components may be used.

    variants     (variants,) places in the study's list
    loadings     (variants, k) each kept column of length 1; 0 for one that is not kept
    eigenvalues  (k,) of X'X / m, as of the relationship matrix XX' / m
    residuals    (k,) an eigenvalue lies so near each
    following    (1,) the eigenvalue after the last
    total        (1,) sum of all eigenvalues
    local        (1,) independent variants, by linkage within windows: what the test uses
    independent  (1,) independent variants by all correlations, see `effective_variants`
    tolerance    (1,) the greatest sine of the angle at which loadings count as found
    people       n
    rounds       how many were asked
    """

    variants: NDArray[np.int64] = exact()
    loadings: NDArray[np.float64] = grid(2.0**-24)
    eigenvalues: NDArray[np.float64] = grid(FINE)
    residuals: NDArray[np.float64] = grid(FINE)
    following: NDArray[np.float64] = grid(FINE)
    total: NDArray[np.float64] = grid(FINE)
    local: NDArray[np.float64] = grid(2.0**-10)
    independent: NDArray[np.float64] = grid(2.0**-10)
    tolerance: NDArray[np.float64] = grid(FINE)
    people: int = exact()
    rounds: int = exact()

    @property
    def separated(self) -> NDArray[np.bool_]:
        """(k,) whether a component and all before it stand out of noise."""
        noise = Noise(float(self.total[0]), self.people, float(self.local[0]))
        return above_noise(self.eigenvalues, noise)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(k,) whether the loadings of a component have been found."""
        values = np.concatenate([self.eigenvalues, self.following])
        return converged(values, self.residuals, float(self.tolerance[0]))

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(k,) whether a component and all before it stand out and have been found."""
        return np.logical_and.accumulate(self.separated & self.converged)

    @property
    def effective_variants(self) -> float:
        """Number of independent variants among the pruned: tr(R)^2 / tr(R^2).

        Each r^2 is less 1 / (n - 1), the square that independent variants have in n people.
        tr(R^2) is estimated from the first round (`solvers.krylov.trace_of_square`) apart
        from the kept components, which are exact. With w columns a round the relative
        standard error is about 5 / sqrt(m w) for m near n, 2 / sqrt(m w) for m much less.
        It is no more than what linkage within windows allows, and no less than 1.
        """
        return float(self.independent[0])


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components; InputError where the numbers do not fit each other.

    k                how many are asked for
    width            columns a round: all rounds count against the budget of G'G. The same
                     number of columns in more rounds finds more: 1 is best, where rounds
                     cost little
    rounds           the most rounds; rounds * width is more than k and at most size
    size             the most variants that pruning may keep: windows * columns
    seed             of the first columns
    tolerance        as in the result
    least_frequency  as in pruning: it bounds what one person adds
    """

    people: int
    n_variants: int
    k: int
    width: int
    rounds: int
    size: int
    frequencies: Frequencies
    pruned: Pruned
    seed: int
    tolerance: float = 2.0**-10
    least_frequency: float = 0.05

    def __post_init__(self) -> None:
        """Refuse rounds that cannot give k components and the eigenvalue after them."""
        if not 0 < self.k < self.rounds * self.width <= self.size:
            raise InputError(
                f"{self.rounds} rounds of {self.width} columns for {self.k} components of"
                f" {self.size} variants; expected more columns in all than components and no"
                " more than variants; ask for fewer components or prune less"
            )

    def start(self) -> ComponentsState:
        """Return the first columns, random ones."""
        bases = first_basis(self.size, self.width, self.seed)[None]
        return ComponentsState(bases, bases[:0], np.zeros(0), np.zeros(0))

    def schema(self, state: ComponentsState) -> Schema:
        """Ask for X'X V over everybody; nothing once the rounds have ended."""
        if not self._asks(state):
            return Schema()
        most = 2 * (1 - self.least_frequency) / self.least_frequency  # the square of |x|
        # |x'v| <= |x| |v|, and |v| is 1 but for the grid.
        per_person = most * sqrt(self.size) * (1 + 2.0**-10)
        reads = (Read(GENOTYPE, 2),)
        product = real((self.size, self.width), per_person, self.people, reads=reads)
        told = replace(product, directions=self.width, block=(0, self.n_variants))
        return Schema(({"product": told},))

    def summarise(self, cohort: Cohort, state: ComponentsState) -> Iterator[Sums]:
        """Yield the site's X'X V; rows beyond the pruned variants are zero."""
        m = len(self.pruned.variants)
        product = np.zeros((self.size, self.width))
        if m * cohort.n <= HELD:
            x = self._standardised(cohort, 0, m)
            product[:m] = x @ (x.T @ state.bases[-1, :m])
        else:
            scores, bounds = self._scores(cohort, state.bases[-1]), blocks_of(m, BLOCK)

            def work(start: int, stop: int) -> NDArray[np.float64]:
                return self._standardised(cohort, start, stop) @ scores

            for (start, stop), part in zip(bounds, cohort.map_blocks(work, bounds), strict=True):
                product[start:stop] = part
        yield {"product": product}

    def advance(
        self, state: ComponentsState, totals: Iterable[Sums]
    ) -> Next[ComponentsState] | Done[ComponentLoadings]:
        """Return what is known after the round and what to ask next, or the loadings."""
        if not self._asks(state):
            return Done(self._loadings(state))
        (total,) = totals
        products = np.concatenate([state.products, total["product"][None] / self._m])
        found = ritz(state.bases, products, 2 * self.k + 2)  # a tie at the end is seen whole
        bases = state.bases
        if len(products) < self.rounds:
            bases = np.concatenate([bases, next_basis(bases, products, self.seed)[None]])
        most = self.k + 1
        return Next(ComponentsState(bases, products, found.values[:most], found.residuals[:most]))

    def derive(self, cohort: Cohort, result: ComponentLoadings) -> Columns:
        """Return `PC1` to `PCk`: over everybody of mean 0 and variance 1; 0 if not kept."""
        scores = self._scores(cohort, result.loadings)
        squares = np.where(result.kept, result.eigenvalues * self._m, 1.0)
        scale = np.where(result.kept, np.sqrt(result.people / squares), 0.0)
        return {f"PC{i + 1}": scores[:, i] * scale[i] for i in range(self.k)}

    @property
    def _m(self) -> int:
        """Number of variants, 1 where there is none."""
        return max(len(self.pruned.variants), 1)

    def _asks(self, state: ComponentsState) -> bool:
        return len(state.bases) > len(state.products) and not self._settled(state)

    def _settled(self, state: ComponentsState) -> bool:
        """Return whether all that may be kept has been found: of the rest no more is asked."""
        if len(state.values) <= self.k:
            return False
        noise = Noise(self._total, self.people, float(self.pruned.effective[0]))
        return all_found(state.values, state.residuals[: self.k], noise, self.tolerance)

    @property
    def _total(self) -> float:
        """Sum of all eigenvalues."""
        return float(self.pruned.trace[0]) * self.people / self._m

    def _loadings(self, state: ComponentsState) -> ComponentLoadings:
        """Return the loadings; which are kept follows from what was published before."""
        k, m = self.k, len(self.pruned.variants)
        found = ritz(state.bases[: len(state.products)], state.products, k)
        result = ComponentLoadings(
            variants=self.pruned.variants,
            loadings=np.zeros((m, k)),
            eigenvalues=state.values[:k],
            residuals=state.residuals[:k],
            following=state.values[k:],
            total=np.rint(np.array([self._total]) / FINE) * FINE,
            local=self.pruned.effective,
            independent=np.ones(1),
            tolerance=np.rint(np.array([self.tolerance]) / FINE) * FINE,
            people=self.people,
            rounds=len(state.products),
        )
        kept = result.kept
        known = np.where(kept, found.vectors, 0.0)
        independent = self._independent(state, result.eigenvalues[kept], known[:, kept])
        loadings = known[:m] * np.where(state.bases[0, :, 0] @ known < 0, -1.0, 1.0)
        lengths = np.where(kept, np.linalg.norm(loadings, axis=0), 1.0)
        return replace(result, loadings=loadings / lengths, independent=np.array([independent]))

    def _independent(
        self, state: ComponentsState, values: NDArray[np.float64], vectors: NDArray[np.float64]
    ) -> float:
        """Return tr(R)^2 / tr(R^2), bounded; R = X'X / n."""
        square = trace_of_square(state.bases[0], state.products[0], values, vectors)
        trace, most = float(self.pruned.trace[0]), float(self.pruned.effective[0])
        return effective_number(trace, square * (self._m / self.people) ** 2, self.people, most)

    def _scores(self, cohort: Cohort, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return X times the first m rows of `columns`, (samples, columns)."""
        bounds = blocks_of(len(self.pruned.variants), BLOCK)
        scores = np.zeros((cohort.n, columns.shape[1]))

        def work(start: int, stop: int) -> NDArray[np.float64]:
            return self._standardised(cohort, start, stop).T @ columns[start:stop]

        for part in cohort.map_blocks(work, bounds):
            scores += part
        return scores

    def _standardised(self, cohort: Cohort, start: int, stop: int) -> NDArray[np.float64]:
        """Return the rows `start` to `stop` of X', (variants, samples)."""
        variants = self.pruned.variants[start:stop]
        mean = self.frequencies.mean_at(variants)
        x = cohort.dosage_at(variants)
        x -= mean[:, None]
        x /= np.sqrt(mean * (1 - mean / 2))[:, None]
        x[np.isnan(x)] = 0.0
        return x
