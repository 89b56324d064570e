"""The AUC of a score: over all sites from a coarse histogram, by site at the site.

An AUC is no sum. Over all sites it is replaced by that of a histogram of cases and
controls, with its bound; each site publishes its own, coarse, from its rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.clumping import Weights
from equipoise.analyses.frequency import Frequencies
from equipoise.analysis import Figure
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers.auc import auc_from_histogram, auc_from_rows, auc_interval
from equipoise.step import Done
from equipoise.sums import Read, Schema, Sums, head_count


@dataclass(frozen=True, slots=True)
class DiscriminationState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class AucResult:
    """AUC, its interval (which includes the bound), and who stands behind it.

    Zeros and a reason where too few cases or controls do.
    """

    auc: NDArray[np.float64] = grid(2.0**-30)
    low: NDArray[np.float64] = grid(2.0**-30)
    high: NDArray[np.float64] = grid(2.0**-30)
    bound: NDArray[np.float64] = grid(2.0**-30)
    n: int = exact()
    events: int = exact()
    reason: str = exact()


@dataclass(frozen=True, slots=True)
class Discrimination:
    """AUC of the derived column `score` for a yes/no trait. `k` is the least count shown."""

    people: int
    bins: int
    k: int
    trait: str
    score: str
    frequencies: Frequencies
    weights: Weights

    coarse: ClassVar[float] = 0.01

    def start(self) -> DiscriminationState:
        """Return the empty state."""
        return DiscriminationState()

    def schema(self, state: DiscriminationState) -> Schema:
        """Ask for a histogram of controls and of cases."""
        del state
        reads = (Read(self.trait, None), Read(self.score, None))
        return Schema(({"histogram": head_count((2, self.bins), self.people, ("trait",), reads)},))

    def summarise(self, cohort: Cohort, state: DiscriminationState) -> Iterator[Sums]:
        """Count the site's controls and cases in each bin of the public range of scores."""
        del state
        low, high = self._range()
        place = (cohort.column(self.score) - low) / max(high - low, 1e-12) * self.bins
        score_bin = np.clip(np.floor(place), 0, self.bins - 1).astype(np.int64)
        case = cohort.column(self.trait) == 1
        parts = [np.bincount(score_bin[case == c], minlength=self.bins) for c in (False, True)]
        yield {"histogram": np.stack(parts).astype(np.float64)}

    def advance(self, state: DiscriminationState, totals: Iterable[Sums]) -> Done[AucResult]:
        """Return the AUC of the histogram."""
        del state
        (total,) = totals
        controls, cases = total["histogram"].astype(np.int64)
        n, events = int(total["histogram"].sum()), int(cases.sum())
        if reason := _too_few(events, n - events, self.k):
            zero = np.zeros(())
            return Done(AucResult(zero, zero, zero, zero, n, 0, reason))
        auc, bound = auc_from_histogram(cases, controls)
        low = auc_interval(max(auc - bound, 0.0), events, n - events)[0]
        high = auc_interval(min(auc + bound, 1.0), events, n - events)[1]
        values = [np.asarray(v, np.float64) for v in (auc, low, high, bound)]
        return Done(AucResult(values[0], values[1], values[2], values[3], n, events, ""))

    def derive(self, cohort: Cohort, result: AucResult) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def figures(self, cohort: Cohort, result: AucResult) -> Mapping[str, Figure]:
        """Return the site's own AUC, from its rows, coarse."""
        del result
        case = cohort.column(self.trait) == 1
        events, n = int(case.sum()), cohort.n
        if reason := _too_few(events, n - events, self.k):
            return {"auc": Figure(None, None, None, n, None, reason)}
        auc = auc_from_rows(cohort.column(self.score), case)
        low, high = auc_interval(auc, events, n - events)
        steps = (round(auc / self.coarse), floor(low / self.coarse), ceil(high / self.coarse))
        shown = [round(step * self.coarse, 2) for step in steps]
        return {"auc": Figure(shown[0], shown[1], shown[2], n, events)}

    def _range(self) -> tuple[float, float]:
        """Return the public range of bins: what the weights make of any genotypes."""
        mean = self.frequencies.mean_at(self.weights.variants)
        none, both = -mean * self.weights.weights, (2 - mean) * self.weights.weights
        low = np.minimum(none, both).sum(axis=1).min(initial=0.0)
        high = np.maximum(none, both).sum(axis=1).max(initial=0.0)
        return float(low), float(high)


def _too_few(events: int, others: int, k: int) -> str:
    if min(events, others) >= k:
        return ""
    return f"fewer than {k} people with or without the trait"
