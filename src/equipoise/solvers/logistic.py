"""One Newton step of a penalised logistic regression, from sums."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_STEP = 4.0
"""A coefficient moves by no more in one step: far from the optimum Newton's may overshoot."""


def probability(logit: Array) -> Array:
    """Return 1 / (1 + exp(-logit)), without overflow.

    >>> probability(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(logit))
    return np.where(logit >= 0, 1.0, small) / (1.0 + small)


def newton_step(coefficients: Array, gradient: Array, hessian: Array, penalty: Array) -> Array:
    """Return the coefficients after one step towards the maximum of the penalised likelihood.

    coefficients  (..., terms)
    gradient      (..., terms) X'(y - p)
    hessian       (..., terms, terms) X'WX, W the diagonal of p (1 - p)
    penalty       (terms,) subtracted is 1/2 penalty b^2, as scikit-learn's with C = 1/penalty

    Iterated, this is IRLS (McCullagh and Nelder 1989, section 2.5). A step is cut to
    `MOST_STEP` in each coefficient; ArithmeticError where X'WX is not regular.
    """
    left = gradient - penalty * coefficients
    curvature = hessian + np.diag(penalty)
    try:
        step = np.linalg.solve(curvature, left[..., None])[..., 0]
    except np.linalg.LinAlgError as error:
        raise ArithmeticError("the terms of a logistic regression are not independent") from error
    return coefficients + np.clip(step, -MOST_STEP, MOST_STEP)
