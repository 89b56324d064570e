"""Scores of people by public weights, made at their own site."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.cohort import Cohort, blocks_of
from equipoise.packed.decode import valued_at
from equipoise.solvers.sparse_weights import SparseWeights

Array = NDArray[np.float64]

MOST: Final = 256.0
"""What a score is cut to. Its variance is 1 were its variants independent; in blocks of some
hundred linked ones it may have a standard deviation of 10."""

_DOSAGES: Final = 1 << 18
"""Decoded at a time: 2 MB, which stay in the second cache or near it."""

_VARIANTS: Final = 512
"""At most at a time."""


def candidate_scores(
    cohort: Cohort,
    weights: SparseWeights,
    frequencies: Frequencies,
    people: NDArray[np.int64],
) -> Array:
    """Return the scores of some people by all candidates, (people, candidates).

    Dosages are taken about the global mean 2p, which is also that of a missing call, so that a
    score is about 0 in everybody; variants that are not used count for nobody. Cut to `MOST`.

    people  places among the cohort's people
    """
    found = np.zeros((len(people), len(weights.labels)))
    if not len(people):
        return found
    samples = cohort.rows[people]

    def block(start: int, stop: int) -> Array:
        dense = weights.dense(start, stop)
        weighing = np.flatnonzero(dense.any(axis=1))
        if not len(weighing):
            return np.zeros((0, 0))
        mean, used = frequencies.means(start, stop)
        if cohort.with_dosages:
            dosage = cohort.dosage(start, stop)[weighing][:, people]
            g = np.where(np.isnan(dosage), 0.0, dosage - mean[weighing, None])
            g *= used[weighing, None]
        else:
            g = _centred(cohort, start, stop, weighing, samples, mean, used)
        return np.asarray(g.T @ dense[weighing], np.float64)

    size = min(_VARIANTS, max(_DOSAGES // len(people), 16))
    for part in cohort.map_blocks(block, blocks_of(len(weights.starts) - 1, size)):
        if part.size:
            found += part
    return np.clip(found, -MOST, MOST)


def _centred(
    cohort: Cohort,
    start: int,
    stop: int,
    weighing: NDArray[np.int64],
    samples: NDArray[np.int64],
    mean: Array,
    used: NDArray[np.bool_],
) -> Array:
    """Return hard calls less their mean, those missing and not used 0, (variants, people)."""
    packed = cohort.genotypes.packed(start, stop)[weighing]
    dosages = np.array((2.0, 0.0, 1.0, 0.0))
    values = np.where(np.arange(4) == 1, 0.0, dosages - mean[weighing, None])
    return valued_at(packed, samples, values * used[weighing, None])
