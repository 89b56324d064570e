"""The public records of elastic nets: projected sums, and weights for every training set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.record import exact, grid

Array = NDArray[np.float64]

GRID = 2.0**-20


@dataclass(frozen=True, slots=True)
class ElasticState:
    """Sums with covariates projected out, once for each of `training_sets`; empty at first.

    gram        (windows, sets, columns, columns) G~'G~, of windows with candidates alone
    score       (windows, sets, columns) G~'y~
    residual    (sets,) y~'y~
    covariates  (sets, covariates) weights of the covariates by themselves
    means       (covariates,) over everybody
    background  (windows, columns, 1 + background) dosage as components tell it, over everybody
    """

    gram: Array = grid(GRID)
    score: Array = grid(GRID)
    residual: Array = grid(GRID)
    covariates: Array = grid(2.0**-30)
    means: Array = grid(2.0**-30)
    background: Array = grid(2.0**-30)


@dataclass(frozen=True, slots=True)
class Nets:
    """Weights for every training set (`training`), in trait units per effect allele.

    variants    (selected,) places in the study's list
    window      (selected,) the window of each
    weights     (folds + 1, folds + 1, penalties, selected); 0 where not chosen
    background  (selected, 1 + background) each dosage's regression on 1 and the components
    covariates  (folds + 1, folds + 1, covariates) weights of the covariates by themselves
    means       (covariates,) over everybody
    best        (folds + 1,) the single variant of the largest |t|, -1 where there is none
    effect      (folds + 1,) its weight
    """

    variants: NDArray[np.int64] = exact()
    window: NDArray[np.int64] = exact()
    weights: Array = grid(2.0**-30)
    background: Array = grid(2.0**-30)
    covariates: Array = grid(2.0**-30)
    means: Array = grid(2.0**-30)
    best: NDArray[np.int64] = exact()
    effect: Array = grid(2.0**-30)
