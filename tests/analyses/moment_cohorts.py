"""People in three strata, their moments from rows, and the analyses that sum them."""

from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequency
from equipoise.analyses.moment_totals import MomentTotals
from equipoise.analyses.moments import Moments
from equipoise.solvers.block_moments import BlockMoments
from laws import cases, harness
from strategies import BOUNDS, COVARIATES, FOLDS, Rows, make_rows

Array = NDArray[np.float64]

KINDS = ("common", "linked", "rare", "common", "copy", "absent", "common", "fixed", "common")
NEAR = 2.0**-20
"""Quanta are below 2^-25 here, and columns lie on a grid of 2^-26 or finer."""


def frequencies(people: Rows) -> Any:
    counting = Frequency(people.n, people.n_variants, 3, cases.least_called(people))
    return harness.run(counting, [people.cohort()], "clear").result


def hard(people: Rows, **changes: Any) -> Moments:
    made = Moments(
        people=people.n,
        folds=FOLDS,
        starts=(0, 4, people.n_variants) if people.n_variants > 4 else (0, people.n_variants),
        trait="trait",
        covariates=COVARIATES,
        bounds=(*BOUNDS, 1.0),
        counted=(100, 100, 100),
        frequencies=frequencies(people),
        stratum="stratum",
    )
    return replace(made, **changes)


def soft(people: Rows, **changes: Any) -> Moments:
    return hard(people, **{"stratum": "", "weights": ("w0", "w1", "w2"), **changes})


def with_strata(people: Rows, weighted: bool = False) -> Rows:
    """Return the people with a stratum of three, and weights: of that stratum, or of them all."""
    draw = np.random.default_rng(people.n)
    stratum = draw.integers(0, 3, people.n)
    weights = draw.dirichlet(np.ones(3), people.n).T if weighted else np.eye(3)[stratum].T
    columns = {f"w{s}": weights[s].copy() for s in range(3)}
    return people.with_columns({"stratum": stratum.astype(np.float64), **columns})


def run(analysis: Moments, people: Rows, sites: int = 3) -> MomentTotals:
    labels = np.arange(people.n) % sites
    return harness.run(analysis, people.split(labels, sites), "clear").result


def twin(people: Rows, analysis: Moments, weight: Array) -> BlockMoments:
    """Return the sums over people weighted so, from rows."""
    called = np.count_nonzero(~np.isnan(people.dosage), axis=1)
    mean = np.nansum(people.dosage, axis=1) / np.maximum(called, 1)
    g = np.where(np.isnan(people.dosage), mean[:, None], people.dosage)
    g = (g * analysis.frequencies.used[:, None]).T
    c = np.column_stack([np.ones(people.n), *(people.columns[n] for n in COVARIATES)])
    y, w = people.columns["trait"], weight[:, None]
    bounds = list(zip(analysis.starts[:-1], analysis.starts[1:], strict=True))
    return BlockMoments(
        people=float(weight.sum()),
        trait=np.array([weight @ y, weight @ (y * y)]),
        covariates=c.T @ (w * c),
        covariates_trait=c.T @ (weight * y),
        genotype_covariates=g.T @ (w * c),
        genotype_trait=g.T @ (weight * y),
        genotypes=tuple(g[:, a:b].T @ (w * g[:, a:b]) for a, b in bounds),
        starts=np.array(analysis.starts),
    )


def near(one: BlockMoments, other: BlockMoments, most: float = NEAR) -> None:
    for declared in fields(BlockMoments):
        mine, theirs = getattr(one, declared.name), getattr(other, declared.name)
        for a, b in zip(
            *((x if isinstance(x, tuple) else (x,)) for x in (mine, theirs)), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=0, atol=most, err_msg=declared.name)


@cache
def soft_people() -> Rows:
    return with_strata(make_rows(9, n=40, kinds=KINDS, missing=0.1), weighted=True)
