"""What a person's score is made of: contributions of loci, background and covariates.

The score of a person is their sum. With g the dosage and e(g) = [1, PCs] B what the
person's components of ancestry say of it,

    locus        unit * sum over its variants of w (g - e(g))
    background   unit * sum over all variants of w (e(g) - 2p)
    covariates   unit * sum of covariate weights * (c - mean)

with unit the slope over the scale times the weight of the part. For a linear model this
is relevance propagation, and Shapley values with independent features, exactly: gradient
times input on centred dosages. Centring on e(g) keeps ancestry itself from becoming the
explanation of people whom training saw little of; what it does to the score is the row
of its own. A missing call counts as 2p, as in the score itself.

A locus is a run of windows with candidates, with no gap of more than `GAP` tiles between
them, on one chromosome.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.imputation import dosages
from equipoise.analyses.nets import Nets
from equipoise.analyses.prediction import covariate_scores
from equipoise.analyses.tuned import Tuned
from equipoise.cohort import Cohort

Array = NDArray[np.float64]

GAP: Final = 2
"""Windows so many tiles apart are one locus: linkage disequilibrium reaches over gaps."""


def runs(nets: Nets, tiles: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the run of near windows that each selected variant lies in, from 0.

    `tiles` gives the tile of each window: near tiles are near on one chromosome.
    """
    tile = np.array(tiles, np.int64)[nets.window]
    apart = np.concatenate([[0], np.diff(tile) > GAP])[: len(tile)]
    return np.cumsum(apart, dtype=np.int64)


def loci_of(nets: Nets, tiles: tuple[int, ...], most: int) -> NDArray[np.int64]:
    """Return the locus of each selected variant: whole numbers from published ones.

    Of more than `most`, those with the smallest weights share the last.
    """
    run = runs(nets, tiles)
    if len(run) == 0 or run[-1] < most:
        return run
    size = np.zeros(int(run[-1]) + 1)
    np.maximum.at(size, run, np.abs(nets.weights[0, 0]).max(axis=0))
    rank = np.empty(len(size), np.int64)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    return np.minimum(rank, most - 1)[run]


def contributions(
    cohort: Cohort,
    nets: Nets,
    tuned: Tuned,
    *,
    slope: Array,
    frequencies: Frequencies,
    covariates: tuple[str, ...],
    background: tuple[str, ...],
    locus: NDArray[np.int64],
    most: int,
) -> Array:
    """Return what the score of each person is made of, (most + 2, samples).

    Background and covariates come last. Each person's are those of the model that never
    saw their fold; `slope` (folds + 1,) is that of each model's calibration.
    """
    own, rows = cohort.fold + 1, np.arange(len(tuned.choice))
    scale = np.where(tuned.scale > 0, tuned.scale, 1.0)
    unit = (slope / scale)[:, None] * tuned.weights
    weights = nets.weights[rows, rows, np.maximum(tuned.choice, 0)] * unit[:, :1]
    expected = nets.background @ np.stack([np.ones(cohort.n), *map(cohort.column, background)])
    mean = frequencies.mean_at(nets.variants)[:, None]
    g = dosages(cohort, nets.variants, frequencies)
    parts = np.zeros((most + 2, cohort.n))
    np.add.at(parts, locus, weights[own].T * (g - expected))
    parts[-2] = (weights[own].T * (expected - mean)).sum(axis=0)
    others = covariate_scores(cohort, nets, covariates)
    parts[-1] = unit[own, 1] * others[own, np.arange(cohort.n)]
    return parts


def columns(loci: int) -> tuple[str, ...]:
    """Return the names of the derived columns of contributions.

    >>> columns(1)
    ('relevance_0', 'relevance_background', 'relevance_covariates')
    """
    named = (f"relevance_{i}" for i in range(loci))
    return (*named, "relevance_background", "relevance_covariates")
