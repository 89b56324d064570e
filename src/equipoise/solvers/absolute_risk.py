"""Absolute risk: a score and covariates recalibrated from sums, with an interval.

With x = (1, score, covariates), the score in standard deviations, a yes/no trait is calibrated by

    logit P(y = 1) = x b        (Cox 1958, doi:10.1093/biomet/45.3-4.562)

and a quantitative one by least squares, E y = x b, both by Newton's steps on sums of gradients
and information. A group with few cases keeps the slopes of everybody and has an intercept of its
own (Steyerberg et al. 2004, doi:10.1002/sim.1844); one with fewer has none: not estimable.

The interval is that of the expected value, of two parts that are added as variances:

    Var(x b) = x V x' + b_s^2 s^2

V is the sampling variance of the calibration, s^2 the variance of a person's standardised score
between the candidates of the stack, weighted by the mixture: the between-model term of Hoeting et
al. 1999, doi:10.1214/ss/1009212519. Candidates are fitted to the same people, so that s^2 does
not hold what they err in common, and is too small by that; it is not the posterior variance of
the weights (Ding et al. 2022, doi:10.1038/s41588-021-00961-5). Nor does the interval say where a
person's own value will lie.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.calibration import SETTLED
from equipoise.solvers.distributions import normal_quantile
from equipoise.solvers.intervals import LEVEL
from equipoise.solvers.logistic import MOST_STEP, probability

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

NOT_ESTIMABLE: Final = 0
OFFSET: Final = 1
FULL: Final = 2

TOO_FEW: Final = "too few people with or without the trait"
TOO_FEW_IN_ALL: Final = "too few people with or without the trait in all groups together"
NOT_SETTLED: Final = "the fit did not settle: the score may separate people with the trait"

_DAMP: Final = 2.0**-10
_REFINED: Final = 3
_LOCAL_ROUNDS: Final = 30
_LOCAL_END: Final = 1e-9
_ALIKE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Calibration:
    """What takes a standardised score and covariates to an expected value.

    binary        whether the linear predictor is a logit
    coefficients  (2 + covariates,) intercept, slope of the score, effects of the covariates
    covariance    (2 + covariates, 2 + covariates) of these
    deviation     of a quantitative trait about what is expected; 0 for a yes/no one
    people        on whom it was fitted
    own_slope     whether the slopes are the group's own; else those of everybody
    reason        why there is none, "" where there is: then nothing is to be predicted
    """

    binary: bool
    coefficients: Array
    covariance: Array
    deviation: float
    people: int
    own_slope: bool
    reason: str = ""

    @property
    def intercept(self) -> float | None:
        """The intercept on the scale of the linear predictor; None where not estimable."""
        return None if self.reason else float(self.coefficients[0])

    @property
    def slope(self) -> float | None:
        """The slope of one standard deviation of the score; None where not estimable."""
        return None if self.reason else float(self.coefficients[1])


@dataclass(frozen=True, slots=True)
class Risk:
    """Expected values of people, each (people,): probabilities of a yes/no trait.

    low, high  the interval of the expected value
    error      standard error on the scale of the linear predictor
    """

    value: Array
    low: Array
    high: Array
    error: Array


def not_estimable(binary: bool, terms: int, people: int, reason: str) -> Calibration:
    """Return what stands for a calibration where there is none."""
    none = np.zeros(terms), np.zeros((terms, terms))
    return Calibration(binary, *none, 0.0, people, own_slope=False, reason=reason)


def modes(counts: Counts, k: int, refit: int, *, binary: bool) -> Counts:
    """Return for each group whether it is fitted whole, by its intercept, or not at all.

    counts  (groups, 2) people, and of a yes/no trait those with it
    k       the least of people (of a yes/no trait: with it, and without it) for an intercept
    refit   the same for slopes; about 100 of each are advised (Collins et al. 2016,
            doi:10.1002/sim.6787)

    >>> modes(np.array([[400, 150], [90, 12], [30, 2]]), 10, 100, binary=True).tolist()
    [2, 1, 0]
    """
    least = np.minimum(counts[:, 1], counts[:, 0] - counts[:, 1]) if binary else counts[:, 0]
    return (least >= k).astype(np.int64) + (least >= max(k, refit))


def terms(x: Array, y: Array, coefficients: Array, *, binary: bool) -> tuple[Array, Array]:
    """Return the gradient (terms,) and information (terms, terms) summed over people.

    X'(y - m) and X'WX with m the mean at these coefficients; W = m (1 - m), or 1 of a
    quantitative trait.
    """
    linear = x @ coefficients
    mean = probability(linear) if binary else linear
    weight = mean * (1 - mean) if binary else np.ones_like(mean)
    return x.T @ (y - mean), x.T @ (weight[:, None] * x)


def newton(gradient: Array, information: Array) -> Array:
    """Return Newton's step, (terms,), damped where terms say the same twice.

    Continuous in its arguments, as `solvers.calibration.newton` is; the damping moves no point
    where the gradient is 0.
    """
    damped = information + _DAMP * np.eye(len(gradient))
    return np.asarray(np.linalg.solve(damped, gradient), np.float64)


def least_squares(gradient: Array, information: Array) -> Array:
    """Return the coefficients of X'y and X'X, refined until the damping hardly shows."""
    b = np.zeros(len(gradient))
    for _ in range(_REFINED):
        b = b + newton(gradient - information @ b, information)
    return b


def cut(step: Array, *, binary: bool) -> Array:
    """Return a step of no more than may be made at once; a least-squares one is whole."""
    return np.clip(step, -MOST_STEP, MOST_STEP) if binary else step


def offset_step(gradient: Array, information: Array, moved: Array) -> float:
    """Return the step of a group's intercept while all its coefficients move by `moved`."""
    return float((gradient[0] - information[0] @ moved) / (information[0, 0] + _DAMP))


def whole(
    coefficients: Array,
    information: Array,
    change: float,
    *,
    binary: bool,
    people: int,
    variance: float = 1.0,
) -> Calibration:
    """Return the calibration of people who have slopes of their own.

    information  at or next to the optimum
    change       the largest part of the last step
    variance     of a quantitative trait about what is expected
    """
    if change > SETTLED:
        return not_estimable(binary, len(coefficients), people, NOT_SETTLED)
    spread = variance * _inverse(information)
    deviation = 0.0 if binary else float(np.sqrt(variance))
    return Calibration(binary, coefficients, spread, deviation, people, own_slope=True)


def offset(
    intercept: float, information: Array, everybody: Calibration, people: int, variance: float = 1.0
) -> Calibration:
    """Return the calibration of a group that has the slopes of everybody.

    The intercept's variance is that given the slopes, and what the slopes' carries over to it:
    da/db = -I_0b / I_00 with I the group's information.
    """
    if everybody.reason:
        return replace(everybody, people=people, reason=TOO_FEW_IN_ALL)
    least = information[0, 0] + _DAMP
    carried = np.concatenate([-information[:1, 1:] / least, np.eye(len(information) - 1)])
    spread = carried @ everybody.covariance[1:, 1:] @ carried.T
    spread[0, 0] += variance / least
    coefficients = np.array([intercept, *everybody.coefficients[1:]])
    deviation = 0.0 if everybody.binary else float(np.sqrt(variance))
    return Calibration(everybody.binary, coefficients, spread, deviation, people, own_slope=False)


def of_rows(x: Array, y: Array, *, binary: bool, k: int = 10, refit: int = 100) -> Calibration:
    """Return the calibration of people whose rows are at hand, x (people, terms).

    One with fewer than `refit` has no slopes of others to go by, and is not estimable.
    """
    cases = int(y.sum()) if binary else 0
    counts = np.array([[len(y), cases]])
    if int(modes(counts, k, refit, binary=binary)[0]) < FULL:
        return not_estimable(binary, x.shape[1], len(y), TOO_FEW)
    b, information, change = np.zeros(x.shape[1]), np.zeros((0, 0)), inf
    for _ in range(_LOCAL_ROUNDS):
        gradient, information = terms(x, y, b, binary=binary)
        step = cut(newton(gradient, information), binary=binary)
        b, change = b + step, float(np.abs(step).max())
        if change <= _LOCAL_END:
            break
    left = y - x @ b
    variance = 1.0 if binary else float(left @ left) / max(len(y) - len(b), 1)
    return whole(b, information, change, binary=binary, people=len(y), variance=variance)


def recalibrated(calibration: Calibration, intercept: float, slope: float) -> Calibration:
    """Return the calibration of people whose linear predictor is intercept + slope times it.

    The two are taken as given: their own error is in no interval.
    """
    coefficients = slope * calibration.coefficients
    coefficients[0] += intercept
    return replace(
        calibration, coefficients=coefficients, covariance=slope**2 * calibration.covariance
    )


def shares(mixture: Array, deviation: Array) -> Array:
    """Return the share of each candidate in a mixture, (k,): by weight times deviation.

    One of negative weight corrects others and is no score of its own: its share is 0. All are 0
    where no candidate has a positive weight and varies.

    >>> shares(np.array([1.0, 3.0, -2.0]), np.array([1.0, 1.0, 5.0])).tolist()
    [0.25, 0.75, 0.0]
    """
    size = np.maximum(mixture, 0.0) * deviation
    total = float(size.sum())
    return size / total if total > 0 else np.zeros_like(size)


def candidate_variance(standardised: Array, share: Array) -> Array:
    """Return the variance of each person's score between candidates, (people,).

    It is that of one candidate drawn by its share: more than what their mean errs by where they
    err apart, and nothing of what they err by together.

    standardised  (people, k) candidates' scores, each with mean 0 and deviation 1 in the group
    share         (k,) from `shares`
    """
    mean = standardised @ share
    square = standardised**2 @ share
    return np.maximum(square - mean**2 * float(share.sum()), 0.0)


def risk(x: Array, calibration: Calibration, spread: Array, level: float = LEVEL) -> Risk:
    """Return expected values with their intervals.

    x       (people, terms) ones, the standardised score, covariates
    spread  (people,) from `candidate_variance`, in standard deviations squared

    ValueError for a calibration that is not estimable: ask for its reason first.
    """
    if calibration.reason:
        raise ValueError(f"no calibration: {calibration.reason}; expected one to predict by")
    linear = x @ calibration.coefficients
    sampling = np.einsum("ij,jk,ik->i", x, calibration.covariance, x)
    error = np.sqrt(np.maximum(sampling, 0.0) + calibration.coefficients[1] ** 2 * spread)
    reach = normal_quantile(0.5 - level / 2) * error
    if not calibration.binary:
        return Risk(linear, linear - reach, linear + reach, error)
    low, high = probability(linear - reach), probability(linear + reach)
    return Risk(probability(linear), low, high, error)


def _inverse(information: Array) -> Array:
    """Return the inverse of the information, that of what it spans where terms are alike."""
    size = np.sqrt(np.diagonal(information))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    kept = values > _ALIKE
    spanned = scale[:, None] * vectors[:, kept] / np.sqrt(values[kept])
    return np.asarray(spanned @ spanned.T, np.float64)
