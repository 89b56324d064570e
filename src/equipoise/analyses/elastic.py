"""Elastic nets over the strongest variants of each window, for every training set.

Variants beyond a threshold in the linear scan of a training set are its candidates. In
windows that do not overlap, elastic nets are fitted on the candidates' sums, covariates
projected out: with R the correlations of the candidates, r theirs with the trait,

    b = argmin 1/2 b'Rb - r'b + l2/2 |b|^2 + l1 |b|_1,    w = b sd(y~) / sd(g~)

for each of a few pairs of penalties (Zou and Hastie 2005,
doi:10.1111/j.1467-9868.2005.00503.x; on summary statistics by block, Ge et al. 2019,
doi:10.1038/s41467-019-09718-5 and Mak et al. 2017, doi:10.1002/gepi.22050). Which pair is
used is tuned later (`tuning`). Sums come by fold, so that totals without one or two folds
serve every model of `training`: selection and fitting both lie inside the folds.

Departures: no window reaches into another, since the blocks of G'G that are released may
not overlap; and at most `columns` candidates a window, over all training sets together,
within the column budget. Where a second fold is left out for tuning, a candidate must be
beyond the threshold without that fold as well: one that passed by the fold's chance would
else be tuned on what made it pass.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.candidates import Candidates, candidates, least_t, reliable, strengths
from equipoise.analyses.census import People
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.hardy import HardyWeinberg
from equipoise.analyses.imputation import centred, dosages, gram_field
from equipoise.analyses.linear import (
    LEAST_VARIANCE,
    Association,
    covariate_fields,
    covariate_reads,
    covariate_sums,
    inverses,
    terms_of,
)
from equipoise.analyses.nets import GRID, ElasticState, Nets
from equipoise.analyses.training import places, totals_without
from equipoise.cohort import Cohort, Columns
from equipoise.solvers.elastic_net import elastic_net
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, PEOPLE_PER_COLUMN, Block, Read, Schema, Sums, real

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ElasticNet:
    """Candidates and their elastic nets.

    windows     (start, stop) of each window, one after the other: public and disjoint
    columns     the most candidates of a window
    counted     the share of the smallest fold's people that the column budget counts
    threshold   a candidate is beyond this as a standard normal: see `least_t`
    penalties   l1, l2, l1, l2, ...: the pairs to try, the sparsest first
    background  those of the covariates that are components of ancestry
    """

    people: int
    folds: int
    trait: str
    windows: tuple[int, ...]
    columns: int
    counted: float
    threshold: float
    penalties: tuple[float, ...]
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    background: tuple[str, ...]
    census: People
    frequencies: Frequencies
    quality: HardyWeinberg
    association: Association

    def start(self) -> ElasticState:
        """Return the state before the round: no sums."""
        p, k = self.columns, len(self.covariates)
        gram, score = np.zeros((0, 0, p, p)), np.zeros((0, 0, p))
        background = np.zeros((0, p, 1 + len(self.background)))
        return ElasticState(gram, score, np.zeros(0), np.zeros((0, k)), np.zeros(k), background)

    def schema(self, state: ElasticState) -> Schema:
        """Ask for sums among candidates, window by window; nothing once they are known."""
        if len(state.residual):
            return Schema()
        return Schema((self._people(), *(self._window(w) for w in self._windows)))

    def summarise(self, cohort: Cohort, state: ElasticState) -> Iterator[Sums]:
        """Yield the site's sums by fold; unused columns are zero."""
        del state
        y = cohort.column(self.trait)
        terms = terms_of(cohort, self.covariates)
        members = [np.flatnonzero(cohort.fold == f) for f in range(self.folds)]
        yield covariate_sums(terms, y, members)
        for found in self.candidates():
            g = np.zeros((self.columns, cohort.n))
            g[: len(found.variants)] = dosages(cohort, found.variants, self.frequencies)
            yield {
                "gg": np.stack([g[:, m] @ g[:, m].T for m in members]),
                "cg": np.stack([terms[m].T @ g[:, m].T for m in members]),
                "gy": np.stack([g[:, m] @ y[m] for m in members]),
            }

    def advance(
        self, state: ElasticState, totals: Iterable[Sums]
    ) -> Next[ElasticState] | Done[Nets]:
        """Publish the projected sums; then, from what was published, the weights."""
        if len(state.residual):
            return Done(self._nets(state))
        head, *windows = totals
        cc, cy = totals_without(head["cc"]), totals_without(head["cy"])
        inverse = inverses(cc)
        active = [
            window
            for window, found in zip(windows, self.candidates(), strict=True)
            if len(found.variants)
        ]
        projected = [_project(window, cy, inverse) for window in active]
        size = (len(active), len(cc), self.columns)
        fitted = np.einsum("skl,sl->sk", inverse, cy)
        return Next(
            ElasticState(
                gram=np.reshape([gram for gram, _ in projected], (*size, self.columns)),
                score=np.reshape([score for _, score in projected], size),
                residual=totals_without(head["yy"]) - np.einsum("sk,sk->s", cy, fitted),
                covariates=fitted[:, 1:],
                means=cc[0, 0, 1:] / max(cc[0, 0, 0], 1.0),
                background=self._background(cc[0], active),
            )
        )

    def derive(self, cohort: Cohort, result: Nets) -> Columns:
        """Return `single`: what the best variant found without the person's fold says."""
        row = cohort.fold + 1
        known = np.flatnonzero(result.best >= 0)
        g = centred(cohort, result.best[known], self.frequencies)
        by_row = np.zeros((self.folds + 1, cohort.n))
        by_row[known] = g * result.effect[known, None]
        return {"single": by_row[row, np.arange(cohort.n)]}

    def candidates(self) -> list[Candidates]:
        """Return each window's candidates: a function of published numbers alone."""
        counted = int(self.census.smallest * self.counted)
        # The scan's products with components have taken some of the budget.
        left = counted // PEOPLE_PER_COLUMN - len(self.background)
        room = max(min(self.columns, left), 0)
        rows = range(self.folds + 1)
        return candidates(self._strength(), [self._least(r) for r in rows], self.windows, room)

    def _strength(self) -> Array:
        usable = reliable(self.frequencies, self.census) & ~self.quality.failed[None]
        return strengths(self.association, usable)

    def _least(self, row: int) -> float:
        return least_t(self.threshold, self.association.dof(row))

    def _nets(self, state: ElasticState) -> Nets:
        chosen = self.candidates()
        active = [w for w, found in enumerate(chosen) if len(found.variants)]
        weights = self._weights(state, [chosen[w] for w in active])
        used = [len(chosen[w].variants) for w in active]
        parts = [weights[i, ..., :n] for i, n in enumerate(used)]
        size = (self.folds + 1, self.folds + 1, len(self.penalties) // 2, 0)
        strength = self._strength()
        best = np.where(strength.max(axis=1) > 0, strength.argmax(axis=1), -1)
        effects = [
            self.association.beta(row)[v] if v >= 0 else 0.0 for row, v in enumerate(best.tolist())
        ]
        place = places(self.folds)
        none = np.zeros((0, 1 + len(self.background)))
        return Nets(
            variants=np.concatenate([np.zeros(0, np.int64), *(chosen[w].variants for w in active)]),
            window=np.repeat(np.array(active, np.int64), used),
            weights=np.concatenate([np.zeros(size), *parts], axis=-1),
            background=np.concatenate(
                [none, *(state.background[i, :n] for i, n in enumerate(used))]
            ),
            covariates=state.covariates[place],
            means=state.means,
            best=best.astype(np.int64),
            effect=np.array(effects, np.float64),
        )

    def _weights(
        self,
        state: ElasticState,
        chosen: list[Candidates],
    ) -> Array:
        """Return weights, (windows, folds + 1, folds + 1, penalties, columns)."""
        place = places(self.folds)
        usable = np.zeros((len(chosen), self.folds + 1, self.columns), np.bool_)
        for own, found in zip(usable, chosen, strict=True):
            own[:, : len(found.variants)] = found.rows
        variance = np.diagonal(state.gram, axis1=-2, axis2=-1)
        scale = np.sqrt(np.where(variance > LEAST_VARIANCE, variance, np.inf))
        spread = np.sqrt(np.maximum(state.residual, GRID))
        r = state.score / scale / spread[:, None]
        beyond = self._beyond(r * r)[:, place]
        # The row's own selection was by |t| itself; only a second fold left out asks again.
        beyond[:, :, 0] = beyond[:, np.arange(self.folds + 1), np.arange(self.folds + 1)] = True
        allowed = usable[:, :, None] & beyond & np.isfinite(scale)[:, place]
        correlations = state.gram / (scale[..., :, None] * scale[..., None, :])
        pairs = np.array(self.penalties, np.float64).reshape(-1, 2)
        weights = elastic_net(
            correlations[:, place][:, :, :, None],
            r[:, place][:, :, :, None],
            pairs[:, 0],
            pairs[:, 1],
            allowed[:, :, :, None],
        )
        unit = (spread[:, None] / scale)[:, place]
        return weights * unit[:, :, :, None]

    def _beyond(self, r2: Array) -> NDArray[np.bool_]:
        """Return, (windows, sets, columns), whether partial correlations are beyond chance."""
        n = totals_without(self.census.people.astype(np.float64))
        dof = [int(people) - self.association.n_terms - 1 for people in n.tolist()]
        least = np.array([least_t(self.threshold, max(d, 1)) for d in dof])
        return r2 * np.array(dof)[:, None] >= (least * least)[:, None] * (1.0 - r2)

    def _background(self, cc: Array, active: list[Sums]) -> Array:
        """Return each candidate's regression on 1 and the components, over everybody."""
        places_of = [0, *(1 + self.covariates.index(name) for name in self.background)]
        within = np.ix_(places_of, places_of)
        inverse = inverses(cc[None][(slice(None), *within)])[0]
        parts = [window["cg"].sum(axis=0)[places_of].T @ inverse for window in active]
        return np.reshape(parts, (len(active), self.columns, len(places_of)))

    @property
    def _windows(self) -> list[tuple[int, int]]:
        return list(zip(self.windows[:-1], self.windows[1:], strict=True))

    def _people(self) -> Block:
        return covariate_fields(self.people, self.folds, self.trait, self.covariates, self.bounds)

    def _window(self, block: tuple[int, int]) -> Block:
        p, k, most = self.columns, len(self.covariates) + 1, max((1.0, *self.bounds))
        over = ("fold",)
        g, case = Read(GENOTYPE, 1), Read(self.trait, 1, two_valued=True)
        first = (*covariate_reads(self.covariates, self.bounds), g)
        return {
            "gg": gram_field((self.folds, p, p), self.people, block, over),
            # The scan has released these very sums: they tell no more of G'G than it did.
            "cg": real((self.folds, k, p), 2 * most, self.people, over, first),
            "gy": real((self.folds, p), 2.0, self.people, over, (g, case)),
        }


def _project(window: Sums, cy: Array, inverse: Array) -> tuple[Array, Array]:
    """Return G~'G~ and G~'y~ of one window for each training set."""
    gg, cg, gy = (totals_without(window[name]) for name in ("gg", "cg", "gy"))
    explained = np.einsum("skl,slj->skj", inverse, cg)
    score = gy - np.einsum("sk,skj->sj", cy, explained)
    return gg - np.einsum("ski,skj->sij", cg, explained), score
