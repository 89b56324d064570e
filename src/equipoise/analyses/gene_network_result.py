"""A trained gene network beside its linear model, and which of the two to use."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.record import exact, grid

Array = NDArray[np.float64]

TRAIN, STOP, COMPARE = 0, 1, 2
"""What the people of a part are for."""

PARTS: Final = 3
BEYOND: Final = 1.96
"""Standard errors by which the network must be better to be recommended."""

LEAST: Final = 100
"""People to compare on, below which nothing is recommended over the linear model."""


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """The network of the least loss on part 1, and the linear model.

    parameters  (parameters,) as `models.gene_shape.Parts.vector`
    linear      (covariates + 2,) intercept, of the score, of covariates
    history     (rounds of the network, 3, 3) by part: the network's losses; by how much the
                linear model's are more; the squares of that; sums over people
    counts      (3, 2) people of each part, and those with the trait where it is yes/no
    best_round  row of `history`, -1 where the rounds ended with the linear model
    rounds      how many were asked in all
    """

    parameters: Array = grid(2.0**-30)
    linear: Array = grid(2.0**-30)
    history: Array = grid(2.0**-30)
    counts: NDArray[np.int64] = exact()
    best_round: int = exact()
    rounds: int = exact()

    @property
    def losses(self) -> tuple[float, float]:
        """Mean losses on part 2 of network and linear model; NaN where nothing is known."""
        n = int(self.counts[COMPARE, 0])
        if self.best_round < 0 or n == 0:
            return float("nan"), float("nan")
        own, more, _ = self.history[self.best_round, COMPARE] / n
        return float(own), float(own + more)

    @property
    def gain(self) -> tuple[float, float]:
        """By how much the mean loss on part 2 is less with the network, and its standard error.

        Of paired differences; the error is infinite for fewer than two people.
        """
        n = int(self.counts[COMPARE, 0])
        if self.best_round < 0 or n < 2:
            return 0.0, float("inf")
        _, more, squares = self.history[self.best_round, COMPARE]
        mean = more / n
        variance = max(squares / n - mean**2, 0.0) * n / (n - 1)
        return float(mean), sqrt(variance / n)

    @property
    def recommended(self) -> str:
        """`network` where it is better beyond chance, else `linear`."""
        mean, error = self.gain
        enough = self.counts[COMPARE, 0] >= LEAST
        return "network" if enough and mean > BEYOND * error else "linear"

    @property
    def recommendation(self) -> str:
        """What to use and why, in a sentence."""
        n = int(self.counts[COMPARE, 0])
        if self.best_round < 0 or n < LEAST:
            return "Use the linear model: too few people, or rounds, to show that the network is better."
        (own, linear), (mean, error) = self.losses, self.gain
        low, high = mean - BEYOND * error, mean + BEYOND * error
        found = (
            f"mean loss {own:.5f} with the network, {linear:.5f} with the linear model, a gain of"
            f" {mean:.5f} (95 % from {low:.5f} to {high:.5f}) on people who had no say in either"
        )
        if self.recommended == "network":
            return f"Use the network: {found}."
        why = "the network is worse" if high < 0 else "the network is not shown to be better"
        return f"Use the linear model, since {why}: {found}."
