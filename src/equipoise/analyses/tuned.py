"""The public record of a tuned model: which penalties, and how much of each part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.record import exact, grid


@dataclass(frozen=True, slots=True)
class Tuned:
    """The choice for everybody (row 0) and for the model without each fold.

    choice   (folds + 1,) the place among the pairs of penalties, -1 where no net is used
    weights  (folds + 1, 2) of the elastic net and of the covariates; 0 where not used
    r2       (folds + 1,) squared correlation of the chosen net with the trait, out of fold
    scale    (folds + 1,) standard deviation of the weighted sum, out of fold; 0 for none
    """

    choice: NDArray[np.int64] = exact()
    weights: NDArray[np.float64] = grid(2.0**-30)
    r2: NDArray[np.float64] = grid(2.0**-30)
    scale: NDArray[np.float64] = grid(2.0**-30)
