"""Calibration of predicted probabilities: observed over expected, and recalibration.

Recalibration is the logistic regression of a yes/no trait on the logit of what was
predicted, logit P(y = 1) = a + b logit (Cox 1958, Biometrika 45:562,
doi:10.1093/biomet/45.3-4.562; Steyerberg 2019, Clinical Prediction Models, chapter 15).
A perfect score has a = 0 and b = 1; b below 1 says that it is too sure of itself.
"""

from dataclasses import dataclass
from math import inf, log, sqrt

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.intervals import LEVEL, Estimate, detectable, wald
from equipoise.solvers.logistic import probability

Array = NDArray[np.float64]

SETTLED = 2.0**-7
"""A last step of Newton's below this leaves an error near its square, 6e-5."""

MOST_SLOPE = 5.0
"""Beyond this a slope says that the score is no probability at all."""

_ALIKE = 1e-6
_DAMP = 2.0**-10
_MOST_STEP = 4.0
_LOCAL_ROUNDS = 25
_LOCAL_END = 1e-9


@dataclass(frozen=True, slots=True)
class Fit:
    """Intercept and slope with their standard errors; `reason` says why not to use them."""

    intercept: float
    slope: float
    intercept_error: float
    slope_error: float
    reason: str

    def intercept_at(self, level: float) -> Estimate:
        """Return the intercept with Wald's interval."""
        return wald(self.intercept, self.intercept_error, level)

    def slope_at(self, level: float) -> Estimate:
        """Return the slope with Wald's interval."""
        return wald(self.slope, self.slope_error, level)


def no_fit(reason: str) -> Fit:
    """Return what stands for a fit where there is none."""
    return Fit(0.0, 0.0, inf, inf, reason)


def fitted(coefficients: Array, information: Array, change: float) -> Fit:
    """Return the fit with these (a, b), information and last step.

    Its reason is a comparison of the arguments: the same everywhere if they are published.

    >>> fitted(np.array([0.0, 1.0]), np.array([4.0, 0.0, 16.0]), 0.0).slope_error
    0.25
    """
    a, b = (float(c) for c in coefficients)
    w0, w1, w2 = (float(w) for w in information)
    determinant = w0 * w2 - w1 * w1
    if determinant <= _ALIKE * max(w0 * w2, _ALIKE):
        return no_fit("the predicted probabilities are all alike")
    reason = ""
    if change > SETTLED:
        reason = "the fit did not settle: the score may separate people with the trait from others"
    elif abs(b) > MOST_SLOPE:
        reason = f"the slope is beyond {MOST_SLOPE:g}"
    return Fit(a, b, sqrt(w2 / determinant), sqrt(w0 / determinant), reason)


def observed_expected(events: int, n: int, expected: float, level: float = LEVEL) -> Estimate:
    """Return ln(O / E), observed over expected cases, with its interval.

    ln O/E ± z sqrt((1 - O/n) / O), the variance of ln O alone (Debray et al. 2017,
    BMJ 356:i6460, doi:10.1136/bmj.i6460): what was expected is taken as given.
    """
    return wald(log(events / expected), sqrt((1 - events / n) / events), level)


def detectable_log_ratio(rate: float, n: int, m: int) -> float:
    """Return the least gap between the ln(O / E) of n and m people shown with 80 % power.

    Both variances are (1 - rate) / (rate n), at everybody's rate of cases.
    """
    return detectable((1 - rate) / rate * (1 / n + 1 / m))


def detectable_slope_gap(each: Array, n: int, m: int) -> float:
    """Return the least gap between the slopes of n and m people shown with 80 % power.

    `each` is the information (3,) of one person, taken over everybody.
    """
    w0, w1, w2 = (float(w) for w in each)
    return detectable(w0 / (w0 * w2 - w1 * w1) * (1 / n + 1 / m))


def terms(logit: Array, trait: Array, coefficients: Array) -> tuple[Array, Array]:
    """Return each person's terms of gradient and information at the given (a, b).

    (people, 2) of (y - q), (y - q) logit and (people, 3) of w, w logit, w logit^2 with
    q the probability of a + b logit and w = q (1 - q).
    """
    q = probability(coefficients[0] + coefficients[1] * logit)
    left, w = trait - q, q * (1 - q)
    return np.column_stack([left, left * logit]), np.column_stack([w, w * logit, w * logit**2])


def newton(gradient: Array, information: Array) -> Array:
    """Return Newton's steps, (..., 2), for gradients (..., 2) and information (..., 3).

    Continuous in its arguments, so that machines which round differently stay together:
    nothing is branched upon, a singular information is damped and a step cut at 4.
    Neither moves the point where the gradient is 0. (`solvers.logistic` raises instead:
    right for a model, but here one group must not end the audit of the others.)
    """
    g0, g1 = gradient[..., 0], gradient[..., 1]
    w0, w1, w2 = information[..., 0] + _DAMP, information[..., 1], information[..., 2] + _DAMP
    # At least _DAMP^2 for any true information; rounding of sums must not make it 0.
    determinant = np.maximum(w0 * w2 - w1 * w1, _DAMP * _DAMP)
    step = np.stack([w2 * g0 - w1 * g1, w0 * g1 - w1 * g0], axis=-1) / determinant[..., None]
    return np.clip(step, -_MOST_STEP, _MOST_STEP)


def recalibrate(logit: Array, trait: Array) -> tuple[Array, Array, float]:
    """Return (a, b), the information there, and the size of the last step, from rows.

    Where the last step is above `SETTLED`, there is no maximum (the score separates
    cases from others) or it was not found.
    """
    coefficients, information, change = np.zeros(2), np.zeros(3), inf
    for _ in range(_LOCAL_ROUNDS):
        each, weights = terms(logit, trait, coefficients)
        information = np.asarray(weights.sum(axis=0), np.float64)
        step = newton(np.asarray(each.sum(axis=0), np.float64), information)
        coefficients, change = coefficients + step, float(np.abs(step).max())
        if change <= _LOCAL_END:
            break
    return coefficients, information, change
