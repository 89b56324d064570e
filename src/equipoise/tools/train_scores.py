"""Scores of test people, in standard deviations of their group's: what is fitted on them goes by it.

Nobody who tests has trained or tuned, so their scores are out of sample.
"""

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.risk_steps import PART, SCORE
from equipoise.cohort import Cohort
from equipoise.solvers.stack import best_ridge, ridge
from equipoise.tools.train import Trained
from equipoise.tools.train_people import STRATUM

Array = NDArray[np.float64]

STANDARD: Final = "standardised_risk"
"""The column with the score."""

MOST_SCORE: Final = 16.0
"""Where it is cut."""


def mixture_of(trained: Trained) -> Array:
    """Return how each group's score mixes the candidates, (candidates, groups)."""
    known = trained.known
    kept = len(known["refined_joint"].weights.labels)
    return np.asarray(known["refined_stack"].mixture[:, :kept].T)


@dataclass(frozen=True, slots=True)
class Spread:
    """Means and standard deviations of scores about the mean dosage, in tuning people.

    centre, deviation  (g,) of each group's score, in standard deviations of the trait
    candidate_centre, candidate_deviation  (k, g) of each candidate
    """

    centre: Array
    deviation: Array
    candidate_centre: Array
    candidate_deviation: Array


def stack_of(trained: Trained, s: int) -> Array:
    """Return how the ridge stack of a group mixes candidates, taken or not: (k,).

    A group that ends with one candidate alone is no surer of it for that.
    """
    folds = trained.known["refined_joint_scored"].of(s)
    return ridge(reduce(add, folds), best_ridge(folds)).weights


def spread_of(trained: Trained) -> Spread:
    """Return where scores lie in tuning people, by group."""
    mixture = mixture_of(trained)
    totals, k = trained.known["refined_joint_scored"], len(mixture)
    found: list[tuple[float, float, Array, Array]] = []
    for s in range(len(trained.groups)):
        folds = totals.of(s)
        c, n = folds[0].covariates, sum(fold.people for fold in folds)
        gram = np.sum([fold.gram for fold in folds], axis=0) / n
        mean, square = gram[0, c : c + k], gram[c : c + k, c : c + k]
        own = mixture[:, s]
        centre = float(own @ mean)
        deviation = float(np.sqrt(max(own @ square @ own - centre**2, 0.0)))
        each = np.sqrt(np.maximum(np.diagonal(square) - mean**2, 0.0))
        found.append((centre, deviation if deviation > 0 else 1.0, mean, each))
    centres, deviations, means, sizes = zip(*found, strict=True)
    return Spread(
        np.array(centres), np.array(deviations), np.stack(means, axis=1), np.stack(sizes, axis=1)
    )


def tested(trained: Trained, spread: Spread) -> tuple[Cohort, ...]:
    """Return the test people with their score in standard deviations of their group."""
    form, found = trained.form, list[Cohort]()
    for cohort in trained.cohorts:
        here = np.flatnonzero(cohort.column(PART) == form.test_part)
        columns = {name: values[here] for name, values in cohort.columns.items()}
        group = columns[STRATUM].astype(np.int64)
        score = (columns[SCORE] - spread.centre[group]) / spread.deviation[group]
        standard = {STANDARD: np.clip(score, -MOST_SCORE, MOST_SCORE)}
        part = replace(cohort, rows=cohort.rows[here], fold=cohort.fold[here], columns=columns)
        found.append(part.with_columns(standard))
    return tuple(found)


def scales(trained: Trained) -> tuple[Array, Array]:
    """Return mean and standard deviation of each covariate as it comes, (covariates,) each."""
    values = np.concatenate([people.values for people in trained.people])
    names = [trained.request.trait, *trained.request.covariates]
    place = [names.index(name) for name in trained.columns.covariates]
    return values[:, place].mean(axis=0), values[:, place].std(axis=0)


def trait_mean(trained: Trained) -> float:
    """Return the mean of the trait as it comes, over everybody."""
    return float(np.concatenate([people.values[:, 0] for people in trained.people]).mean())


def protection_of(trained: Trained) -> str:
    """Return how sums over these sites are protected."""
    said = trained.summary["protection"]
    return "clear" if said == "none needed" else str(said)
