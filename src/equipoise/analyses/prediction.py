"""What fitted weights say of each person, for every model that may be asked about them.

Row 0 is the model of everybody, row f + 1 the one that never saw fold f. Where a row may
have seen a person, it is the row's model without the person's own fold that speaks
(`training`): so every number here is out of fold.
"""

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.imputation import centred
from equipoise.analyses.nets import Nets
from equipoise.analyses.tuned import Tuned
from equipoise.cohort import Cohort

Array = NDArray[np.float64]

MOST = 8.0
"""A score in trait units is cut to this: a yes/no trait is 0 or 1, so nothing sensible is."""

MOST_STANDARD = 32.0
"""So is a score in its own standard deviations."""


def net_scores(cohort: Cohort, nets: Nets, frequencies: Frequencies) -> Array:
    """Return the elastic nets' scores, (folds + 1, penalties, samples), in trait units."""
    g = centred(cohort, nets.variants, frequencies)
    rows, columns, penalties, _ = nets.weights.shape
    scores = np.zeros((rows, penalties, cohort.n))
    for column in range(columns):
        members = np.flatnonzero(cohort.fold + 1 == column)
        if len(members):
            scores[..., members] = nets.weights[:, column] @ g[:, members]
    return np.clip(scores, -MOST, MOST)


def covariate_scores(cohort: Cohort, nets: Nets, covariates: tuple[str, ...]) -> Array:
    """Return what the covariates by themselves say, (folds + 1, samples), in trait units."""
    scores = np.zeros((len(nets.weights), cohort.n))
    for place, name in enumerate(covariates):
        weights = nets.covariates[:, cohort.fold + 1, place]
        scores += weights * (cohort.column(name) - nets.means[place])
    return np.clip(scores, -MOST, MOST)


def predictors(
    cohort: Cohort,
    nets: Nets,
    tuned: Tuned,
    frequencies: Frequencies,
    covariates: tuple[str, ...],
) -> Array:
    """Return each tuned model's predictor, (folds + 1, samples), in standard deviations.

    Zero where a model uses nothing.
    """
    rows = np.arange(len(nets.weights))
    chosen = np.maximum(tuned.choice, 0)
    genetic = net_scores(cohort, nets, frequencies)[rows, chosen]
    others = covariate_scores(cohort, nets, covariates)
    total = tuned.weights[:, :1] * genetic + tuned.weights[:, 1:] * others
    scaled = total / np.where(tuned.scale > 0, tuned.scale, 1.0)[:, None]
    return np.clip(scaled, -MOST_STANDARD, MOST_STANDARD)
