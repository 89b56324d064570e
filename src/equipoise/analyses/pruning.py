"""Variants that tell about ancestry rather than about their neighbours: thinned and pruned.

Principal components of correlated variants follow the longest runs of linkage
disequilibrium instead of ancestry (Patterson et al. 2006, doi:10.1371/journal.pgen.0020190).
In windows that do not overlap, some common variants spread evenly are candidates. In order
of position, a candidate stays unless its squared correlation with one that stayed reaches
a limit, as `--indep-pairwise` of PLINK does (Purcell et al. 2007, doi:10.1086/519795).

Departures: of two in linkage the first stays, not the more frequent; no window reaches into
another, since the blocks of G'G that are released may not overlap, so windows should be
wider than linkage reaches (1 Mb); and with one candidate a window nothing is asked: those
stay that lie apart, by distance alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.imputation import dosages, gram_field
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.step import Done, Next
from equipoise.sums import Schema, Sums

LEAST_VARIANCE = 2.0**-10
"""Below this a dosage does not vary: all people may be heterozygous."""


@dataclass(frozen=True, slots=True)
class PruningState:
    """(windows, columns, columns) covariances of dosages; no windows at first."""

    covariance: NDArray[np.float64] = grid(2.0**-24)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Variants for principal components.

    variants     (variants,) their places in the study's list, rising
    by_distance  1 where correlations were not asked for, else 0
    effective    (1,) number of independent variants among them, as far as linkage within
                 windows tells: m^2 / sum of r^2 over pairs, each less 1 / (n - 1), the
                 square that independent ones have in n people; between 1 and m
    trace        (1,) sum of their variances, each as a multiple of 2p(1 - p)
    """

    variants: NDArray[np.int64] = exact()
    by_distance: int = exact()
    effective: NDArray[np.float64] = grid(2.0**-10)
    trace: NDArray[np.float64] = grid(2.0**-20)


@dataclass(frozen=True, slots=True)
class Pruning:
    """Pruning.

    windows          (start, stop) of each window, one after the other: public, disjoint
    columns          the most candidates of a window; with 1 nothing is asked
    least_frequency  the least minor allele frequency of a candidate
    r2               the limit of squared correlation within a window
    excluded         start and stop of ranges of variants never used, one after the other:
                     regions of long-range linkage
    """

    people: int
    n_variants: int
    windows: tuple[int, ...]
    columns: int
    frequencies: Frequencies
    least_frequency: float = 0.05
    r2: float = 0.2
    excluded: tuple[int, ...] = ()

    def start(self) -> PruningState:
        """Return the state before the round: no matrices."""
        return PruningState(np.zeros((0, self.columns, self.columns)))

    def schema(self, state: PruningState) -> Schema:
        """Ask for G'G among candidates, window by window; nothing once it is known."""
        if not self._asks(state):
            return Schema()
        shape = (self.columns, self.columns)
        return Schema(tuple({"gg": gram_field(shape, self.people, w)} for w in self._windows))

    def summarise(self, cohort: Cohort, state: PruningState) -> Iterator[Sums]:
        """Yield the site's products of candidates' dosages; unused columns are zero."""
        del state
        for candidates in self.candidates():
            g = np.zeros((self.columns, cohort.n))
            g[: len(candidates)] = dosages(cohort, candidates, self.frequencies)
            yield {"gg": g @ g.T}

    def advance(
        self, state: PruningState, totals: Iterable[Sums]
    ) -> Next[PruningState] | Done[Pruned]:
        """Publish the covariances; then, from what was published, the variants."""
        if not self._asks(state):
            return Done(self._by_distance() if self.columns < 2 else self._pruned(state))
        covariance = np.zeros((len(self._windows), self.columns, self.columns))
        for place, (candidates, total) in enumerate(zip(self.candidates(), totals, strict=True)):
            mean = np.zeros(self.columns)
            mean[: len(candidates)] = self.frequencies.mean_at(candidates)
            # Missing calls are the mean, so that the mean of all people is the same.
            covariance[place] = total["gg"] / self.people - np.outer(mean, mean)
        return Next(PruningState(covariance))

    def derive(self, cohort: Cohort, result: Pruned) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def candidates(self) -> list[NDArray[np.int64]]:
        """Return each window's candidates: of n that are common, every (n / columns)-th."""
        common = self._common()
        chosen: list[NDArray[np.int64]] = []
        for start, stop in self._windows:
            inside = start + np.flatnonzero(common[start:stop]).astype(np.int64)
            n = min(self.columns, len(inside))
            middles = (2 * np.arange(n) + 1) * len(inside) // max(2 * n, 1)
            chosen.append(inside[middles])
        return chosen

    def _common(self) -> NDArray[np.bool_]:
        """Return (variants,) whether a variant may be a candidate."""
        counts = self.frequencies
        minor = np.minimum(counts.alleles, 2 * counts.called - counts.alleles)
        common = minor >= self.least_frequency * (2 * counts.called)
        common &= counts.used & (minor > 0)
        for start, stop in zip(self.excluded[::2], self.excluded[1::2], strict=True):
            common[start:stop] = False
        return common

    def _by_distance(self) -> Pruned:
        variants = np.concatenate(self.candidates())
        m = np.array([float(len(variants))])
        return Pruned(variants, 1, np.maximum(m, 1.0), m)

    def _pruned(self, state: PruningState) -> Pruned:
        """Return what stays, by + - * / and comparisons on published numbers."""
        places: list[int] = []
        linked = trace = 0.0
        for candidates, matrix in zip(self.candidates(), state.covariance.tolist(), strict=True):
            stay = self._stay(matrix, len(candidates))
            for i, j in ((i, j) for i in stay for j in stay if j < i):
                square = matrix[i][j] * matrix[i][j] / (matrix[i][i] * matrix[j][j])
                linked += 2 * (square - 1 / max(self.people - 1, 1))
            variants = candidates[stay]
            places += variants.tolist()
            expected = 2 * self.frequencies.frequency[variants]
            for i, two_p in zip(stay, expected.tolist(), strict=True):
                trace += matrix[i][i] / (two_p * (1 - two_p / 2))
        m = float(len(places))
        effective = m * m / (m + linked) if m + linked > 0 else m
        bounded = np.array([max(1.0, min(effective, m))])
        return Pruned(np.array(places, np.int64), 0, bounded, np.array([trace]))

    def _stay(self, covariance: list[list[float]], n: int) -> list[int]:
        """Return the places of the candidates of one window that stay."""
        stay: list[int] = []
        for i in range(n):
            row, own = covariance[i], covariance[i][i]
            near = (row[j] * row[j] >= self.r2 * own * covariance[j][j] for j in stay)
            if own > LEAST_VARIANCE and not any(near):
                stay.append(i)
        return stay

    def _asks(self, state: PruningState) -> bool:
        return self.columns > 1 and not len(state.covariance)

    @property
    def _windows(self) -> list[tuple[int, int]]:
        return list(zip(self.windows[:-1], self.windows[1:], strict=True))
