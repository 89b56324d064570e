"""Scores that a risk model for several ancestries is compared with, each as good as it gets.

What each leaves to choose, the same tuning people have chosen for each group.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.risk_stages import First, Liked, Second, total
from equipoise.solvers.sparse_weights import SparseWeights, sparse
from equipoise.solvers.stack import StackMoments, best, stack

METHODS: Final[Mapping[str, str]] = {
    "reference": "largest ancestry only",
    "own": "own ancestry only",
    "clumped": "clumping and thresholding",
    "pooled": "one shared model",
    "weighted": "weighted stack of single best",
    "joint": "joint elastic net, best point",
    "once": "joint elastic net and stack, once",
    "stacked": "joint elastic net and stack",
}
"""Methods in the order in which they are shown; those up to "joint" are made here."""

Array = NDArray[np.float64]


def baselines(
    fits: First,
    choice: Liked,
    joint: Second,
    folds: Mapping[str, Sequence[StackMoments]],
    reference: str,
) -> SparseWeights:
    """Return the score of every method but the stack for every group, methods one after the other.

    folds      sums of the scores of `joint` over tuning people
    reference  the group whose own score is tried in all
    """
    names = list(joint.own)
    made: list[Array] = []
    labels: list[str] = []
    for method in list(METHODS)[:6]:
        for i, name in enumerate(names):
            labels.append(f"{METHODS[method]}: {name}")
            if method in ("weighted", "joint"):
                made.append(_of_joint(joint, folds, i, name, weighted=method == "weighted"))
                continue
            liked = {
                "reference": choice.single[reference],
                "own": choice.single[name],
                "clumped": choice.clumped[name],
                "pooled": choice.pooled[name],
            }
            made.append(_alone(fits.weights, liked[method]))
    return sparse([np.stack(made, axis=1)], labels)


def _of_joint(
    joint: Second,
    folds: Mapping[str, Sequence[StackMoments]],
    group: int,
    name: str,
    *,
    weighted: bool,
) -> Array:
    points, groups = len(joint.joint.weights.labels), len(joint.own)
    if not weighted:
        return _alone(joint.weights, best(total(folds)[name], range(group, points, groups)))
    singles = range(points, points + groups)
    four = [fold.chosen(singles) for fold in folds[name]]
    mixture = np.zeros(len(joint.weights.labels))
    mixture[points : points + groups] = stack(four, [group]).weights
    return joint.weights.combined(mixture)


def _alone(weights: SparseWeights, place: int) -> Array:
    mixture = np.zeros(len(weights.labels))
    mixture[place] = 1.0
    return weights.combined(mixture)
