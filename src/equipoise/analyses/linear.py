"""Linear association of every variant with a trait, over all people and by fold.

From the sums n, C'C, C'y, y'y, C'G, G'y and diag(G'G), C the covariates with a column
of ones, covariates are projected out at the centre: with A = (C'C)^-1,

    g'g~ = g'g - g'C A C'g     g'y~ = g'y - g'C A C'y     y'y~ = y'y - y'C A C'y
    beta = g'y~ / g'g~         se^2 = (y'y~ - beta g'y~) / (n - k - 2) / g'g~

with k covariates (Frisch and Waugh 1933, doi:10.2307/1907330). Missing calls are
imputed by the global 2p: several sites never release complete-case sums. Sums come by
fold, so that totals less one fold give the same for every training set.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.errors import InputError
from equipoise.record import exact, grid
from equipoise.step import Done
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, head_count, real

GRID = 2.0**-20
LEAST_VARIANCE = 2.0**-10
"""Below this, g'g~ says that a variant is constant or a sum of covariates."""


@dataclass(frozen=True, slots=True)
class LinearState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Association:
    """Sums with covariates projected out, for all people (row 0) and for each training set.

    Row f + 1 is everybody but fold f. What is derived from them below is plain
    arithmetic, the same to the bit on every machine.

    score     (folds + 1, variants) g'y~
    variance  (folds + 1, variants) g'g~
    residual  (folds + 1,) y'y~
    people    (folds + 1,) n
    n_terms   covariates that are not 0 in everybody, and the constant
    """

    score: NDArray[np.float64] = grid(GRID)
    variance: NDArray[np.float64] = grid(GRID)
    residual: NDArray[np.float64] = grid(GRID)
    people: NDArray[np.int64] = exact()
    n_terms: int = exact()

    def dof(self, row: int) -> int:
        """Return the degrees of freedom, n - k - 2."""
        return int(self.people[row]) - self.n_terms - 1

    def beta(self, row: int) -> NDArray[np.float64]:
        """Return effects in trait units per effect allele, NaN where not estimable."""
        variance = self.variance[row]
        estimable = variance > LEAST_VARIANCE
        return np.where(estimable, self.score[row] / np.where(estimable, variance, 1.0), np.nan)

    def standard_error(self, row: int) -> NDArray[np.float64]:
        """Return standard errors of `beta`, NaN where not estimable."""
        beta = self.beta(row)
        left = np.maximum(self.residual[row] - beta * self.score[row], GRID)
        return np.sqrt(left / self.dof(row) / np.where(np.isnan(beta), 1.0, self.variance[row]))

    def t(self, row: int) -> NDArray[np.float64]:
        """Return t statistics with `dof` degrees of freedom, NaN where not estimable."""
        return self.beta(row) / self.standard_error(row)


@dataclass(frozen=True, slots=True)
class LinearScan:
    """The scan.

    bounds      the most that each covariate may be, in absolute value
    background  those of the covariates that are components of ancestry: one that was
                dropped is 0 in everybody, which no other covariate may be. With such a
                component C = Xv, G'C is a column of G'G
    """

    people: int
    folds: int
    n_variants: int
    trait: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    frequencies: Frequencies
    background: tuple[str, ...] = ()
    block_size: int = 4096

    def start(self) -> LinearState:
        """Return the empty state."""
        return LinearState()

    def schema(self, state: LinearState) -> Schema:
        """Ask for the sums of the covariates first, then for those of the variants."""
        del state
        blocks = (self._variants(bounds) for bounds in self._bounds)
        return Schema((self._people(), *blocks))

    def summarise(self, cohort: Cohort, state: LinearState) -> Iterator[Sums]:
        """Yield the site's sums by fold."""
        del state
        y = cohort.column(self.trait)
        terms = terms_of(cohort, self.covariates)
        members = [np.flatnonzero(cohort.fold == f) for f in range(self.folds)]
        yield {
            "n": np.array([len(m) for m in members], np.float64),
            **covariate_sums(terms, y, members),
        }

        def variants(start: int, stop: int) -> Sums:
            g = self.frequencies.impute(cohort.dosage(start, stop), start, stop)
            parts = [g[:, m] for m in members]
            pairs = list(zip(parts, members, strict=True))
            return {
                "cg": np.stack([(part @ terms[m]).T for part, m in pairs]),
                "gy": np.stack([part @ y[m] for part, m in pairs]),
                "gg": np.stack([np.einsum("vi,vi->v", part, part) for part in parts]),
            }

        yield from cohort.map_blocks(variants, self._bounds)

    def advance(self, state: LinearState, totals: Iterable[Sums]) -> Done[Association]:
        """Project the covariates out, for all people and for each training set."""
        del state
        head, *blocks = totals
        whole = {name: training_totals(value) for name, value in head.items()}
        inverse = inverses(whole["cc"], [n in self.background for n in self.covariates])
        found = [_project(block, whole["cy"], inverse) for block in blocks]
        explained = np.einsum("fk,fkl,fl->f", whole["cy"], inverse, whole["cy"])
        return Done(
            Association(
                np.concatenate([score for score, _ in found], axis=1),
                np.concatenate([variance for _, variance in found], axis=1),
                whole["yy"] - explained,
                whole["n"].astype(np.int64),
                int(np.count_nonzero(present(whole["cc"]))),
            )
        )

    def derive(self, cohort: Cohort, result: Association) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(self.n_variants, self.block_size)

    def _people(self) -> Block:
        return {
            "n": head_count((self.folds,), self.people, ("fold",)),
            **covariate_fields(self.people, self.folds, self.trait, self.covariates, self.bounds),
        }

    def _variants(self, block: tuple[int, int]) -> Block:
        size, over, most = block[1] - block[0], ("fold",), max((1.0, *self.bounds))
        first = covariate_reads(self.covariates, self.bounds)
        g, n, folds = Read(GENOTYPE, 1), self.people, self.folds
        k = len(self.covariates) + 1
        return {
            "cg": replace(
                real((folds, k, size), 2 * most, n, over, (*first, g)),
                directions=len(self.background),
                block=block if self.background else None,
            ),
            "gy": real((folds, size), 2.0, n, over, (g, Read(self.trait, 1, two_valued=True))),
            "gg": real((folds, size), 4.0, n, over, (Read(GENOTYPE, 2),)),
        }


def terms_of(cohort: Cohort, covariates: tuple[str, ...]) -> NDArray[np.float64]:
    """Return a column of ones and the covariates, (samples, k + 1)."""
    return np.column_stack([np.ones(cohort.n), *map(cohort.column, covariates)])


def covariate_sums(
    terms: NDArray[np.float64], y: NDArray[np.float64], members: Sequence[NDArray[np.int64]]
) -> Sums:
    """Return C'C, C'y and y'y of each fold; `members` are the people of each."""
    return {
        "cc": np.stack([terms[m].T @ terms[m] for m in members]),
        "cy": np.stack([terms[m].T @ y[m] for m in members]),
        "yy": np.stack([y[m] @ y[m] for m in members]),
    }


def covariate_fields(
    people: int, folds: int, trait: str, covariates: tuple[str, ...], bounds: tuple[float, ...]
) -> Block:
    """Return the declaration of `covariate_sums`."""
    k, over, most = len(covariates) + 1, ("fold",), max((1.0, *bounds))
    twice = covariate_reads(covariates, bounds, degree=2)
    first = covariate_reads(covariates, bounds)
    case = Read(trait, 1, two_valued=True)
    return {
        "cc": real((folds, k, k), most**2, people, over, twice),
        "cy": real((folds, k), most, people, over, (*first, case)),
        "yy": real((folds,), 1.0, people, over, (Read(trait, 2),)),
    }


def covariate_reads(
    names: tuple[str, ...], bounds: tuple[float, ...], degree: int = 1
) -> tuple[Read, ...]:
    """Return what a product with the covariates reads; within 1 they may be yes/no."""
    return tuple(Read(n, degree, two_valued=b <= 1) for n, b in zip(names, bounds, strict=True))


def training_totals(by_fold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return totals over everybody, then over everybody but each fold."""
    everybody = by_fold.sum(axis=0)
    return np.concatenate([everybody[None], everybody - by_fold])


def present(cc: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which terms are not 0 in everybody: a component that was dropped is."""
    return np.diagonal(cc[0]) > 0


def inverses(
    cc: NDArray[np.float64], may_be_zero: Sequence[bool] | None = None
) -> NDArray[np.float64]:
    """Return the inverse of each C'C, 0 for terms that are 0 in everybody.

    The first C'C is that of everybody. `may_be_zero` says which covariates may be 0 in
    everybody, all if not given. InputError where covariates are not independent.
    """
    there = present(cc)
    kept = np.flatnonzero(
        there if may_be_zero is None else there | ~np.array([False, *may_be_zero])
    )
    within = np.ix_(np.arange(len(cc)), kept, kept)
    if max(np.linalg.cond(matrix) for matrix in cc[within]) > 1e12:
        raise InputError(
            "the covariates are constant or add up to one another over all sites, in"
            " everybody or without one or two folds; expected independent covariates; drop one"
        )
    inverse = np.zeros_like(cc)
    inverse[within] = np.linalg.inv(cc[within])
    return inverse


def _project(
    block: Sums, cy: NDArray[np.float64], inverse: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[Any]]:
    cg, gy, gg = (training_totals(block[name]) for name in ("cg", "gy", "gg"))
    projected = np.einsum("fkl,flv->fkv", inverse, cg)
    score = gy - np.einsum("fk,fkv->fv", cy, projected)
    return score, gg - np.einsum("fkv,fkv->fv", cg, projected)
