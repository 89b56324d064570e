"""Scores tuned and stacked from sums over people's scores, which never leave their site.

With X = (C, Z), the covariates and the candidates' scores, one round gives X'X, X'y and y'y by
fold of the tuning people. Everything here follows from them: the incremental R^2 of a candidate,
a ridge regression of the trait on all of them, and its error in folds that it has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.block_correlations import NothingVariesError

Array = NDArray[np.float64]

LEAST_SHARE: Final = 1e-9
"""Of a score's sum of squares: what covariates must leave of it, else it does not vary."""

RIDGES: Final = tuple(float(r) for r in np.logspace(-3, 3, 13))
"""Penalties as shares of the people in the tuning set: columns have a mean square of 1."""


@dataclass(frozen=True, slots=True)
class StackMoments:
    """Sums over tuning people of one group, of one fold or of all.

    people      n, or the sum of weights
    square      sum of y^2
    gram        (c + k, c + k) X'X, covariates before scores, the first column ones
    trait       (c + k,) X'y
    covariates  c
    """

    people: float
    square: float
    gram: Array
    trait: Array
    covariates: int

    def __add__(self, other: "StackMoments") -> "StackMoments":
        """Return the sums over both sets of people; ValueError for other columns."""
        self._check(other)
        return StackMoments(
            self.people + other.people,
            self.square + other.square,
            self.gram + other.gram,
            self.trait + other.trait,
            self.covariates,
        )

    def __sub__(self, other: "StackMoments") -> "StackMoments":
        """Return the sums without those of `other`, some of the same people."""
        self._check(other)
        return StackMoments(
            self.people - other.people,
            self.square - other.square,
            self.gram - other.gram,
            self.trait - other.trait,
            self.covariates,
        )

    def chosen(self, candidates: Sequence[int]) -> "StackMoments":
        """Return the sums of the covariates and some of the candidates, in that order."""
        columns = [*range(self.covariates), *(self.covariates + c for c in candidates)]
        return StackMoments(
            self.people,
            self.square,
            self.gram[np.ix_(columns, columns)],
            self.trait[columns],
            self.covariates,
        )

    def _check(self, other: "StackMoments") -> None:
        if self.trait.shape != other.trait.shape or self.covariates != other.covariates:
            raise ValueError("sums of other covariates or candidates; expected the same columns")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A mixture of candidates.

    weights     (k,) of the candidates' scores as they come
    covariates  (c,) effects of the covariates beside them
    """

    weights: Array
    covariates: Array


@dataclass(frozen=True, slots=True)
class GroupStack:
    """What the tuning people of one group chose.

    weights   (k,) of the candidates' scores; of one alone where the stack was no better
    stacked   whether it is the stack
    ridge     its penalty, as a share of people
    r2        incremental R^2 in the folds left out: of the stack with that penalty chosen anew in
              each fold, so of no fold itself
    own_r2    the same of the best of the group's own candidates, chosen anew in each fold
    own       that one over all folds, as its place among the candidates
    """

    weights: Array
    stacked: bool
    ridge: float
    r2: float
    own_r2: float
    own: int


def stack_moments(scores: Array, covariates: Array, trait: Array) -> StackMoments:
    """Return the sums over people whose scores are at hand.

    scores (people, k), covariates (people, c) with ones first, trait (people,)

    >>> held = stack_moments(np.array([[1.0], [3.0]]), np.ones((2, 1)), np.array([0.0, 1.0]))
    >>> held.gram.tolist(), held.trait.tolist()
    ([[2.0, 4.0], [4.0, 10.0]], [1.0, 3.0])
    """
    x = np.concatenate([covariates, scores], axis=1)
    return StackMoments(
        float(len(trait)), float(trait @ trait), x.T @ x, x.T @ trait, covariates.shape[1]
    )


def incremental_r2(moments: StackMoments) -> Array:
    """Return for each candidate the share of what covariates leave that it explains, (k,).

    0 for a score that does not vary. NothingVariesError where covariates leave nothing of the trait.
    """
    score, spread, left = _projected(moments)
    if not left > LEAST_SHARE * moments.square:
        raise NothingVariesError("covariates leave nothing of the trait; expected it to vary")
    squares = np.diagonal(spread)
    varies = _varies(moments, squares)
    return np.where(varies, score**2 / np.where(varies, squares, 1.0), 0.0) / left


def best(moments: StackMoments, candidates: Sequence[int]) -> int:
    """Return the candidate of the greatest incremental R^2 that points the right way.

    The first of `candidates` where none does.
    """
    rising = _projected(moments)[0] > 0
    held = np.where(rising, incremental_r2(moments), 0.0)[list(candidates)]
    return int(candidates[int(held.argmax())])


def ridge(moments: StackMoments, share: float) -> Fitted:
    """Return the ridge regression of the trait on the candidates beside the covariates.

    Scores are taken to variance 1 about what covariates say of them; the penalty is `share` times
    n. Covariates are not shrunk. A score that does not vary weighs 0.

    ValueError for a share that is not above 0.
    """
    return _Spectrum.of(moments).ridge(share)


@dataclass(frozen=True, slots=True)
class _Spectrum:
    """Eigenvalues of the scores' correlations, from which every ridge regression follows.

    Sums come in steps: what they leave of scores that are nearly alike may be a little below 0,
    and counts as 0.
    """

    people: float
    parts: tuple[Array, Array]
    scale: Array
    values: Array
    vectors: Array
    turned: Array

    @classmethod
    def of(cls, moments: StackMoments) -> "_Spectrum":
        parts = _covariate_parts(moments)
        score, spread, _ = _projected(moments, parts)
        squares = np.diagonal(spread)
        varies = _varies(moments, squares)
        n = moments.people
        scale = np.where(varies, np.sqrt(n / np.where(varies, squares, 1.0)), 0.0)
        values, vectors = np.linalg.eigh(spread * np.outer(scale, scale))
        turned = np.asarray(vectors.T @ (score * scale), np.float64)
        return cls(
            n, parts, scale, np.maximum(values, 0.0), np.asarray(vectors, np.float64), turned
        )

    def ridge(self, share: float) -> Fitted:
        if not share > 0:
            raise ValueError(f"a ridge penalty of {share}; expected one above 0")
        least = self.values + share * self.people
        # Where there is nobody, nothing has a weight.
        held = np.where(least > 0, self.turned / np.where(least > 0, least, 1.0), 0.0)
        return _beside(self.parts, self.vectors @ held * self.scale)


def error(moments: StackMoments, fitted: Fitted) -> float:
    """Return the sum of squared errors of a mixture in other people, from their sums."""
    theta = np.concatenate([fitted.covariates, fitted.weights])
    explained = 2 * theta @ moments.trait - theta @ moments.gram @ theta
    return float(moments.square - explained)


def stack(
    folds: Sequence[StackMoments], own: Sequence[int], ridges: Sequence[float] = RIDGES
) -> GroupStack:
    """Return the ridge stack of a group's tuning people, or its own best candidate.

    folds   sums by fold, at least three
    own     places of the candidates fitted in the group alone, at least one

    The penalty is the one of least squared error in folds left out (Zhang et al. 2024,
    doi:10.1038/s41467-024-47357-7, stage 3). The stack is taken only where it errs less, in
    folds that have chosen neither its penalty nor its weights, than the best of the group's own
    candidates, itself chosen without the fold.
    """
    if len(folds) < 3 or not own:
        raise ValueError("fewer than three folds, or no candidate of the group's own")
    everybody = _total(folds)
    of_stack, of_own, of_nothing = 0.0, 0.0, 0.0
    for k, left_out in enumerate(folds):
        rest = [fold for i, fold in enumerate(folds) if i != k]
        seen = _total(rest)
        of_stack += error(left_out, ridge(seen, best_ridge(rest, ridges)))
        of_own += error(left_out, alone(seen, best(seen, own)))
        of_nothing += error(left_out, _beside(_covariate_parts(seen), np.zeros(_candidates(seen))))
    if not of_nothing > 0:
        raise NothingVariesError("the trait does not vary in those who tune")
    share, chosen = best_ridge(folds, ridges), best(everybody, own)
    stacked = of_stack < of_own
    mixture = ridge(everybody, share) if stacked else alone(everybody, chosen)
    r2, own_r2 = 1 - of_stack / of_nothing, 1 - of_own / of_nothing
    return GroupStack(mixture.weights, stacked, share, r2, own_r2, chosen)


def best_ridge(folds: Sequence[StackMoments], ridges: Sequence[float] = RIDGES) -> float:
    """Return the penalty of least squared error in the folds left out."""
    everybody = _total(folds)
    errors = np.zeros(len(ridges))
    for left_out in folds:
        seen = _Spectrum.of(everybody - left_out)
        errors += [error(left_out, seen.ridge(share)) for share in ridges]
    return float(ridges[int(errors.argmin())])


def alone(moments: StackMoments, candidate: int) -> Fitted:
    """Return the least-squares regression on one candidate beside the covariates."""
    parts = _covariate_parts(moments)
    score, spread, _ = _projected(moments, parts)
    weights = np.zeros(len(score))
    if _varies(moments, np.diagonal(spread))[candidate]:
        weights[candidate] = score[candidate] / spread[candidate, candidate]
    return _beside(parts, weights)


def _candidates(moments: StackMoments) -> int:
    return len(moments.trait) - moments.covariates


def _total(folds: Sequence[StackMoments]) -> StackMoments:
    total = folds[0]
    for fold in folds[1:]:
        total = total + fold
    return total


def _covariate_parts(moments: StackMoments) -> tuple[Array, Array]:
    """Return what covariates say of the scores, (c, k), and of the trait, (c,)."""
    c = moments.covariates
    # Least squares and not a solution: in few people covariates may say the same twice.
    found = np.linalg.lstsq(
        moments.gram[:c, :c],
        np.concatenate([moments.gram[:c, c:], moments.trait[:c, None]], axis=1),
        rcond=1e-12,
    )[0]
    return np.asarray(found[:, :-1], np.float64), np.asarray(found[:, -1], np.float64)


def _projected(
    moments: StackMoments, parts: tuple[Array, Array] | None = None
) -> tuple[Array, Array, float]:
    """Return Z'y, Z'Z and y'y free of covariates; `parts` are those of `_covariate_parts`."""
    c = moments.covariates
    of_scores, of_trait = parts or _covariate_parts(moments)
    score = moments.trait[c:] - moments.gram[c:, :c] @ of_trait
    spread = moments.gram[c:, c:] - moments.gram[c:, :c] @ of_scores
    left = moments.square - float(moments.trait[:c] @ of_trait)
    return score, np.asarray((spread + spread.T) / 2, np.float64), left


def _varies(moments: StackMoments, squares: Array) -> NDArray[np.bool_]:
    before = np.diagonal(moments.gram)[moments.covariates :]
    return np.asarray(squares > LEAST_SHARE * np.maximum(before, np.finfo(np.float64).tiny))


def _beside(parts: tuple[Array, Array], weights: Array) -> Fitted:
    """Return the mixture with the covariates' effects that go with it."""
    of_scores, of_trait = parts
    return Fitted(weights, of_trait - of_scores @ weights)
