"""A risk model of several groups fitted on rows: sums, stages, stack, calibration.

Each group's people are parted in two. The first give the sums that weights are fitted from, the
others what is liked, the stack, and, in folds that the mixture has not seen, the calibration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from equipoise.learn.arguments import one_blas_thread
from equipoise.learn.mixing import LEAST_STACKED, blend, mixture, tuned, unseen
from equipoise.learn.people import Array, Options, Parted, People, Places
from equipoise.solvers.absolute_risk import Calibration, of_rows, shares
from equipoise.solvers.block_correlations import (
    BlockCorrelations,
    Residuals,
    correlations,
    refined,
)
from equipoise.solvers.block_moments import BlockMoments, moments_of_rows
from equipoise.solvers.risk_stages import (
    Second,
    first,
    liked,
    second,
    singles,
    total,
)
from equipoise.solvers.sparse_weights import SparseWeights


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit of several groups ends with; g are groups, k candidates.

    weights              (variants, g)
    candidates, mixture  what they are made of: (k, g) of the mixture
    shares               (k, g) of candidates in the spread of a person's scores
    centre, deviation    (g,) of the score in tuning people
    candidate_centre, candidate_deviation  (k, g)
    linear               (g, c) effects of covariates beside the score as it comes
    calibrations         one a group, with a reason where people are too few
    stacked              (g,) whether the group's mixture is a stack, or its best candidate
    """

    weights: Array
    candidates: SparseWeights
    mixture: Array
    shares: Array
    centre: Array
    deviation: Array
    candidate_centre: Array
    candidate_deviation: Array
    linear: Array
    calibrations: tuple[Calibration, ...]
    stacked: tuple[bool, ...]


def fit(groups: Mapping[str, Parted], starts: Places, options: Options, *, binary: bool) -> Fitted:
    """Return the model; ValueError where a trait or all variants of a group do not vary."""
    sums = {
        name: moments_of_rows(p.training.dosage, p.training.covariates, p.training.trait, starts)
        for name, p in groups.items()
    }
    strata = {name: correlations(held) for name, held in sums.items()}
    with one_blas_thread():
        joint, ends, prior = _gone_through(groups, strata, options, None)
        for _ in range(options.refinements):
            again = _refined(groups, sums, strata, joint, ends)
            joint, ends, prior = _gone_through(groups, again, options, prior)
        return _ended(groups, joint, ends, options, binary=binary)


def _gone_through(
    groups: Mapping[str, Parted],
    strata: Mapping[str, BlockCorrelations],
    options: Options,
    prior: SparseWeights | None,
) -> tuple[Second, dict[str, Array], SparseWeights]:
    """Go through the stages once; also return the single scores, for the next time."""
    alone = first(strata)
    choice = liked(alone, total(tuned(groups, alone.weights, options)))
    joint = second(strata, alone, choice, prior=prior)
    folds = tuned(groups, joint.weights, options)
    ends = {
        name: mixture(folds[name], joint.own[name], len(p.tuning.trait))
        for name, p in groups.items()
    }
    return joint, ends, singles(alone, choice)


def _refined(
    groups: Mapping[str, Parted],
    sums: Mapping[str, BlockMoments],
    strata: Mapping[str, BlockCorrelations],
    joint: Second,
    ends: Mapping[str, Array],
) -> dict[str, BlockCorrelations]:
    found: dict[str, BlockCorrelations] = {}
    for name, p in groups.items():
        own, weights = p.training, joint.weights.combined(ends[name])
        left = own.trait - own.dosage @ weights
        residuals = Residuals(own.covariates.T @ left, own.dosage.T @ left)
        found[name] = refined(strata[name], sums[name], residuals, weights)
    return found


def _ended(
    groups: Mapping[str, Parted],
    joint: Second,
    ends: Mapping[str, Array],
    options: Options,
    *,
    binary: bool,
) -> Fitted:
    """Return the model of the last time through."""
    dense = joint.weights.dense(0, len(joint.weights.starts) - 1)
    folds = tuned(groups, joint.weights, options)
    each: list[_Group] = []
    for name, p in groups.items():
        scores = p.tuning.dosage @ dense
        stacked = bool(np.count_nonzero(ends[name]) > 1)
        left_out = unseen(scores, folds[name], joint.own[name], options, stacked=stacked)
        spread = shares(blend(folds[name]), np.asarray(scores.std(axis=0), np.float64))
        least = options.least if len(scores) >= LEAST_STACKED else LEAST_STACKED
        found = _of_group(p.tuning, scores, ends[name], left_out, least, binary=binary)
        each.append(replace(found, shares=spread))
    return Fitted(
        np.column_stack([joint.weights.combined(held) for held in ends.values()]),
        joint.weights,
        np.column_stack(list(ends.values())),
        np.column_stack([e.shares for e in each]),
        np.array([e.centre for e in each]),
        np.array([e.deviation for e in each]),
        np.column_stack([e.candidate_centre for e in each]),
        np.column_stack([e.candidate_deviation for e in each]),
        np.stack([e.linear for e in each]),
        tuple(e.calibration for e in each),
        tuple(bool(np.count_nonzero(held) > 1) for held in ends.values()),
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """The part of `Fitted` that is of one group."""

    centre: float
    deviation: float
    candidate_centre: Array
    candidate_deviation: Array
    linear: Array
    calibration: Calibration
    shares: Array


def _of_group(
    own: People, each: Array, mixed: Array, left_out: Array, least: int, *, binary: bool
) -> _Group:
    """Return what follows from a group's tuning people.

    each      (people, k) their scores by each candidate
    mixed     (k,) the group's mixture
    left_out  (people,) their scores by the mixture of others
    """
    score = each @ mixed
    centre, size = float(score.mean()), float(score.std())
    deviation = size if size > 0 else 1.0
    linear = np.linalg.lstsq(own.covariates, own.trait - score, rcond=1e-12)[0]
    # In units of the whole score, whose slope is what is asked.
    ones, rest = own.covariates[:, :1], own.covariates[:, 1:]
    x = np.column_stack([ones, (left_out - centre) / deviation, rest])
    calibration = of_rows(x, own.trait, binary=binary, k=least, refit=least)
    return _Group(
        centre,
        deviation,
        np.asarray(each.mean(axis=0), np.float64),
        np.asarray(each.std(axis=0), np.float64),
        np.asarray(linear, np.float64),
        calibration,
        np.zeros(len(mixed)),
    )
