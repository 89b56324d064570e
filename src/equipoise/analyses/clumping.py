"""A score from the best variants of each window, clumped and weighted together.

Variants beyond a threshold in a linear scan are candidates. In windows that do not
overlap they are clumped: by falling |t|, a candidate stays unless its squared
correlation with one that stayed reaches a limit (Purcell et al. 2007,
doi:10.1086/519795, clumping). Those that stay are weighted jointly by ridge regression on
the scan's sums: with R their correlations and r = g'y~ / sqrt(g'g~),

    w = (R + ridge I)^-1 r / sqrt(g'g~)

All of it once for everybody and once without each fold, from totals by fold.

Departures from clumping and thresholding as in PLINK: weights are joint, not marginal;
no window reaches into another, since the blocks of G'G that are released may not
overlap; and at most `columns` candidates a window, over all training sets together,
within the column budget. Where no variant passes the threshold, the best one is taken.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.census import People
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.linear import (
    LEAST_VARIANCE,
    Association,
    covariate_reads,
    inverses,
    training_totals,
)
from equipoise.cohort import Cohort, Columns
from equipoise.record import exact, grid
from equipoise.solvers.ridge import ridge
from equipoise.step import Done, Next
from equipoise.sums import (
    GENOTYPE,
    PEOPLE_PER_COLUMN,
    Block,
    Field,
    Read,
    Schema,
    Sums,
    quantum_for,
    real,
)


@dataclass(frozen=True, slots=True)
class ClumpingState:
    """(windows, folds + 1, columns, columns) G'G with covariates projected out; empty at first."""

    gram: NDArray[np.float64] = grid(2.0**-20)


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the score Σ w (g - 2p), for everybody (row 0) and without each fold.

    variants  (selected,) places in the study's list
    weights   (folds + 1, selected) in trait units per effect allele; 0 where not chosen
    """

    variants: NDArray[np.int64] = exact()
    weights: NDArray[np.float64] = grid(2.0**-30)


@dataclass(frozen=True, slots=True)
class Clumping:
    """Clumps and weights.

    windows   (start, stop) of each window, one after the other: public and disjoint
    columns   the most candidates of a window
    outside   the share of people outside the largest site: a site may know its own
    threshold the least |t| of a candidate
    r2        the limit of squared correlation within a window
    """

    people: int
    folds: int
    windows: tuple[int, ...]
    columns: int
    outside: float
    threshold: float
    r2: float
    ridge: float
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    census: People
    frequencies: Frequencies
    association: Association

    def start(self) -> ClumpingState:
        """Return the state before the round: no matrices."""
        return ClumpingState(np.zeros((0, self.folds + 1, self.columns, self.columns)))

    def schema(self, state: ClumpingState) -> Schema:
        """Ask for G'G among candidates, window by window; nothing once they are known."""
        if len(state.gram):
            return Schema()
        return Schema((self._terms(), *(self._window(w) for w in self._windows)))

    def summarise(self, cohort: Cohort, state: ClumpingState) -> Iterator[Sums]:
        """Yield the site's sums among candidates, by fold; unused columns are zero."""
        del state
        terms = np.column_stack([np.ones(cohort.n), *map(cohort.column, self.covariates)])
        members = [np.flatnonzero(cohort.fold == f) for f in range(self.folds)]
        yield {"cc": np.stack([terms[m].T @ terms[m] for m in members])}
        for candidates in self.candidates():
            g = np.zeros((self.columns, cohort.n))
            g[: len(candidates)] = self._dosage(cohort, candidates)
            yield {
                "gg": np.stack([g[:, m] @ g[:, m].T for m in members]),
                "cg": np.stack([terms[m].T @ g[:, m].T for m in members]),
            }

    def advance(
        self, state: ClumpingState, totals: Iterable[Sums]
    ) -> Next[ClumpingState] | Done[Weights]:
        """Publish the matrices; then, from what was published, the weights."""
        if len(state.gram):
            return Done(self._weights(state.gram))
        head, *windows = totals
        inverse = inverses(training_totals(head["cc"]))
        grams = [self._project(window, inverse) for window in windows]
        return Next(ClumpingState(np.stack(grams)))

    def derive(self, cohort: Cohort, result: Weights) -> Columns:
        """Return `score`: each person's by the weights fitted without their fold."""
        mean = self.frequencies.mean_at(result.variants)
        g = self._dosage(cohort, result.variants) - mean[:, None]
        return {"score": np.einsum("vi,iv->i", g, result.weights[cohort.fold + 1])}

    def candidates(self) -> list[NDArray[np.int64]]:
        """Return each window's candidates: for all training sets, the best of each in turn.

        A function of published numbers alone, by exact comparisons: the same everywhere.
        """
        ranked = [self._ranked(t) for t in self._strength()]
        room = min(self.columns, int(self.census.smallest * self.outside) // PEOPLE_PER_COLUMN)
        starts = np.array([start for start, _ in self._windows])
        taken: list[list[int]] = [[] for _ in self._windows]
        queues = [_by_window(order, starts, len(taken)) for order in ranked]
        for w, chosen in enumerate(taken):
            lists = [queue[w] for queue in queues]
            for place in range(max(map(len, lists))):
                for ranking in lists:
                    fits = place < len(ranking) and len(chosen) < room
                    if fits and ranking[place] not in chosen:
                        chosen.append(ranking[place])
        return [np.array(chosen, np.int64) for chosen in taken]

    def _strength(self) -> NDArray[np.float64]:
        """Return |t| of each variant in each training set, 0 where not estimable."""
        rows = [self.association.t(row) for row in range(self.folds + 1)]
        t = np.stack(rows)
        return np.where(np.isnan(t), 0.0, np.abs(t))

    def _ranked(self, t: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return variants beyond the threshold by falling |t|; the best where there is none.

        One that is not estimable, with |t| 0, is never ranked: it may be withheld.
        """
        order = np.argsort(-t, kind="stable")
        order = order[t[order] > 0]
        return order[: max(1, int(np.count_nonzero(t >= self.threshold)))]

    def _weights(self, gram: NDArray[np.float64]) -> Weights:
        variants: list[int] = []
        columns = [np.zeros((self.folds + 1, 0))]
        strength = self._strength()
        for row, t in enumerate(strength):
            passed = np.zeros(len(t), np.bool_)
            passed[self._ranked(t)] = True
            strength[row] = np.where(passed, t, 0.0)
        for candidates, matrices in zip(self.candidates(), gram, strict=True):
            if not len(candidates):
                continue
            weights = np.zeros((self.folds + 1, len(candidates)))
            for row, matrix in enumerate(matrices):
                stay = self._clump(strength[row, candidates], matrix)
                weights[row, stay] = self._ridge(row, candidates[stay], matrix[np.ix_(stay, stay)])
            chosen = np.flatnonzero(np.any(weights != 0, axis=0))
            variants += candidates[chosen].tolist()
            columns.append(weights[:, chosen])
        return Weights(np.array(variants, np.int64), np.concatenate(columns, axis=1))

    def _clump(self, t: NDArray[np.float64], gram: NDArray[np.float64]) -> list[int]:
        """Return the places of the candidates that stay, best first; |t| 0 is no candidate."""
        stay: list[int] = []
        for i in np.argsort(-t, kind="stable").tolist():
            usable = t[i] > 0 and gram[i, i] > LEAST_VARIANCE
            limits = [self.r2 * gram[i, i] * gram[j, j] for j in stay]
            near = [gram[i, j] ** 2 >= limit for j, limit in zip(stay, limits, strict=True)]
            if usable and not any(near):
                stay.append(i)
        return stay

    def _ridge(
        self, row: int, chosen: NDArray[np.int64], gram: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        scale = np.asarray(np.sqrt(np.diag(gram)), np.float64)
        r = self.association.score[row, chosen] / scale
        correlations = gram / np.outer(scale, scale)
        return ridge(correlations, r, self.ridge) / scale

    def _dosage(self, cohort: Cohort, variants: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return dosages, (variants, samples), missing ones as the global 2p."""
        mean = self.frequencies.mean_at(variants)
        dosage = cohort.dosage_at(variants)
        return np.where(np.isnan(dosage), mean[:, None], dosage)

    def _project(self, window: Sums, inverse: NDArray[np.float64]) -> NDArray[np.float64]:
        gg, cg = training_totals(window["gg"]), training_totals(window["cg"])
        return gg - np.einsum("fki,fkl,flj->fij", cg, inverse, cg)

    @property
    def _windows(self) -> list[tuple[int, int]]:
        return list(zip(self.windows[:-1], self.windows[1:], strict=True))

    def _terms(self) -> Block:
        k, most = len(self.covariates) + 1, max((1.0, *self.bounds))
        reads = covariate_reads(self.covariates, self.bounds, degree=2)
        return {"cc": real((self.folds, k, k), most**2, self.people, ("fold",), reads)}

    def _window(self, block: tuple[int, int]) -> Block:
        p, k, most = self.columns, len(self.covariates) + 1, max((1.0, *self.bounds))
        limit = max(4.0 * self.people, 1.0)
        gg = Field(
            shape=(self.folds, p, p),
            per_person=4.0,
            limit=limit,
            quantum=quantum_for(limit),
            over=("fold",),
            reads=(Read(GENOTYPE, 2),),
            directions=p,
            block=block,
        )
        reads = (*covariate_reads(self.covariates, self.bounds), Read(GENOTYPE, 1))
        return {"gg": gg, "cg": real((self.folds, k, p), 2 * most, self.people, ("fold",), reads)}


def _by_window(
    order: NDArray[np.int64], starts: NDArray[np.int64], n_windows: int
) -> list[list[int]]:
    """Return the ranked variants of each window, in their order."""
    lists: list[list[int]] = [[] for _ in range(n_windows)]
    window = np.asarray(np.searchsorted(starts, order, "right"), np.int64) - 1
    for variant, place in zip(order.tolist(), window.tolist(), strict=True):
        lists[int(place)].append(int(variant))
    return lists
