"""What the steps of a risk model publish between their sums: weights of candidates and of groups."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.record import exact, grid
from equipoise.solvers.sparse_weights import SparseWeights
from equipoise.solvers.stack import GroupStack

FINE: Final = 2.0**-36

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Begun:
    """The state of a step that asks nothing of the sites."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidate scores, variant by variant (`solvers.sparse_weights`).

    Weights are per copy of the effect allele, each candidate to a variance of 1 were its variants
    independent: a mixture of scores says what a unit of each is worth.

    labels  what each candidate is, one a line
    """

    starts: NDArray[np.int64] = exact()
    candidate: NDArray[np.int64] = exact()
    weight: Array = grid(FINE)
    labels: str = exact()

    @classmethod
    def of(cls, weights: SparseWeights, frequencies: Frequencies) -> "Candidates":
        """Return weights as they are published."""
        p = np.nan_to_num(frequencies.frequency)
        rows = np.repeat(np.arange(len(p)), np.diff(weights.starts))
        share = weights.weight**2 * (2 * p * (1 - p))[rows]
        variance = np.bincount(weights.candidate, share, len(weights.labels))
        scale = np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)
        scaled = weights.weight * scale[weights.candidate]
        labels = "\n".join(weights.labels)
        return cls(weights.starts, weights.candidate.astype(np.int64), scaled, labels)

    @property
    def weights(self) -> SparseWeights:
        """The weights, to be used."""
        names = tuple(self.labels.split("\n"))
        return SparseWeights(self.starts, self.candidate.astype(np.int32), self.weight, names)


@dataclass(frozen=True, slots=True)
class GroupWeights:
    """What each group's tuning people chose; s strata, v variants, k candidates of the stack.

    weights  (s, v) per copy of the effect allele, in standard deviations of the trait
    mixture  (s, k) of the candidates' scores
    stacked  (s,) 1 where it is the stack, 0 where one of the group's own candidates was no worse
    ridge    (s,) the penalty
    r2       (s,) of the stack in folds left out    own_r2  (s,) of the group's own best there
    own      (s,) the place of that one
    """

    weights: Array = grid(FINE)
    mixture: Array = grid(FINE)
    stacked: NDArray[np.int64] = exact()
    ridge: Array = grid(FINE)
    r2: Array = grid(FINE)
    own_r2: Array = grid(FINE)
    own: NDArray[np.int64] = exact()

    @classmethod
    def of(cls, candidates: Candidates, stacks: list[GroupStack]) -> "GroupWeights":
        """Return what was chosen, as it is published."""
        held = candidates.weights
        return cls(
            np.stack([held.combined(one.weights) for one in stacks]),
            np.stack([one.weights for one in stacks]),
            np.array([int(one.stacked) for one in stacks], np.int64),
            np.array([one.ridge for one in stacks]),
            np.array([one.r2 for one in stacks]),
            np.array([one.own_r2 for one in stacks]),
            np.array([one.own for one in stacks], np.int64),
        )


@dataclass(frozen=True, slots=True)
class RefinedTrait:
    """(s, v) correlations of genotypes with what other blocks leave of the trait."""

    trait: Array = grid(FINE)
