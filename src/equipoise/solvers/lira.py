"""The likelihood-ratio attack: whether a trained model tells who it was trained on.

Carlini et al. 2022, doi:10.1109/SP46214.2022.9833649. Shadow models are trained on random halves
of the candidates. A person's score, such as the log odds that a model gives their true label,
is taken as normal over the models trained with them, and over those trained without. Online,
algorithm 1, the attack is the ratio of the two likelihoods of the score that the attacked model
gives; offline, equation 4, how far that score lies above those of the models without the person.

Departures: candidates are in a training set by a coin each, not in halves of equal size, so that
a bound by differential privacy on adding one person applies as it stands; one query a person.

For a linear score there is a baseline in closed form. Let y = X b + noise of variance v, and h_i
= x_i'(X'X)^-1 x_i the leverage of a person once they are in. The residual at the least-squares
estimate has variance v (1 - h) for who is in. Without them the estimate is off by an error of its
own, and the residual has v (1 + k), where k = x_i'(X'X - x_i x_i')^-1 x_i = h / (1 - h) by Sherman
and Morrison, so v / (1 - h). Both are normal about 0: with u = residual^2 / v the ratio is

    L = -ln(1 - h) - u / 2 (1 / (1 - h) - (1 - h))

and what L > t says is u < c(t). At a false-positive rate a and one leverage, the power is
F(F^-1(a) / (1 - h)^2), F of chi-squared on one degree of freedom, nearly a / (1 - h) for small a.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

from equipoise.solvers.auc import auc_estimate, auc_from_rows
from equipoise.solvers.distributions import normal_quantile, root
from equipoise.solvers.intervals import LEVEL, Estimate

ALARMS: Final = (0.01, 0.001)
"""Rates of false positives at which the power against a model is given."""

LEAST_EACH: Final = 2
"""Shadow models with a person, and without: fewer tell no variance."""

ENOUGH: Final = 32
"""Shadow models of a kind from which on each person has variances of their own."""

_SURE: Final = 1e-9
_CURVE: Final = 200
_special = cast("Any", special)

Reals = NDArray[np.float64]
Places = NDArray[np.int64]
Pair: TypeAlias = tuple[Reals, Reals]
"""A figure that is the greater the likelier membership: of members, and of others."""
Score: TypeAlias = Callable[[Places], Reals]
"""Gives the scores of people by their places; normal over models, more or less."""
Train: TypeAlias = Callable[[Places], Score]
"""Gives the score of a model that was trained on the people at these places."""


def clopper_pearson(hits: int, trials: int, level: float = LEVEL) -> Estimate:
    """Return a share with its exact interval (Clopper and Pearson 1934, doi:10.2307/2331986).

    ValueError without trials.

    >>> round(clopper_pearson(0, 10).high, 3)
    0.308
    """
    if trials < 1:
        raise ValueError("a share of no trials")
    tail = 0.5 - level / 2
    low = float(_special.betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(_special.betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return Estimate(hits / trials, low, high)


@dataclass(frozen=True, slots=True)
class Rate:
    """The true-positive rate at a rate of false positives, with its exact 95 % interval.

    power      None where the others are too few to set the limit
    threshold  what set it: `others`, or `normal`, a normal distribution fitted to them

    The interval takes the limit and the pool as given.
    """

    false_positives: float
    power: Estimate | None
    threshold: str


@dataclass(frozen=True, slots=True)
class Measured:
    """How well an attack did; `curve` holds (false, true) positive rates, both rising."""

    members: int
    others: int
    auc: Estimate
    rates: tuple[Rate, ...]
    curve: tuple[tuple[float, float], ...] = field(repr=False)


def measured(pair: Pair, alarms: Sequence[float], *, normal: bool = False) -> Measured:
    """Return how well a figure tells members from others.

    A limit is such that at most the given share of the others lies above it. One that they
    are too few to set (fewer than 1 / rate) is that of a normal distribution if the figure
    is `normal`, such as a standardised L, else there is none.
    """
    members, others = pair
    score = np.concatenate([members, others])
    member = np.arange(len(score)) < len(members)
    auc = auc_estimate(auc_from_rows(score, member), len(members), len(others))
    rates = tuple(_rate(pair, alarm, normal) for alarm in alarms)
    return Measured(len(members), len(others), auc, rates, _curve(pair))


def most_above(others: int, alarm: float) -> int:
    """Return how many of the others may lie above the limit for a rate of false positives.

    >>> most_above(999, 0.001), most_above(1000, 0.001)
    (0, 1)
    """
    # Of 1,000 others one may be above: not 0, as the product may be .9999...
    return int(alarm * others + 1e-9)


def _rate(pair: Pair, alarm: float, normal: bool) -> Rate:
    members, others = pair
    above = most_above(len(others), alarm)
    if above < 1 and not normal:
        return Rate(alarm, None, "others")
    if above < 1:
        limit = others.mean() + normal_quantile(alarm) * others.std(ddof=1)
    else:
        limit = np.sort(others)[-above - 1]
    hits = int(np.count_nonzero(members > limit))
    return Rate(alarm, clopper_pearson(hits, len(members)), "normal" if above < 1 else "others")


def _curve(pair: Pair) -> tuple[tuple[float, float], ...]:
    members, others = (np.sort(one)[::-1] for one in pair)
    n = len(others)
    above = np.unique(np.concatenate([[0], np.geomspace(1, n, _CURVE).round()])).astype(np.int64)
    limits = np.append(others, -inf)[above]
    false = np.searchsorted(-others, -limits) / n
    true = np.searchsorted(-members, -limits) / len(members)
    points = dict.fromkeys(zip(false.tolist(), true.tolist(), strict=True))
    return (*points, (1.0, 1.0)) if (1.0, 1.0) not in points else tuple(points)


@dataclass(frozen=True, slots=True, eq=False)
class Shadows:
    """Models trained on random parts of the candidates, (models, people).

    member  whom each model was trained on
    score   what each model says of everybody
    """

    member: NDArray[np.bool_] = field(repr=False)
    score: Reals = field(repr=False)


def label_confidence(log_odds: Reals, label: NDArray[np.bool_]) -> Reals:
    """Return the log odds of the true label, which Carlini et al. found to be nearly normal.

    >>> label_confidence(np.array([2.0, 2.0]), np.array([True, False]))
    array([ 2., -2.])
    """
    return np.where(label, log_odds, -log_odds)


def shadows(train: Train, people: int, models: int, draw: np.random.Generator) -> Shadows:
    """Return so many models, each trained on people drawn by a coin.

    ValueError where a score is not finite, or not one a person.
    """
    member = draw.random((models, people)) < 0.5
    everybody = np.arange(people)
    score = np.empty((models, people))
    for place, chosen in enumerate(member):
        found = train(np.flatnonzero(chosen))(everybody)
        if found.shape != (people,) or not np.isfinite(found).all():
            raise ValueError("a model gave no finite score for each of the people")
        score[place] = found
    return Shadows(member, score)


def online(known: Shadows, observed: Reals) -> Reals:
    """Return the log-likelihood ratio of membership of each person, (people,).

    observed  (people,) what the attacked model says

    Variances are each person's own from `ENOUGH` models of either kind on, else those over
    all people, as in the paper. ValueError for people with fewer than two models of a kind.
    """
    inside, outside = (_moments(known, kind) for kind in (True, False))
    return _log_density(observed, *inside) - _log_density(observed, *outside)


def offline(known: Shadows, observed: Reals) -> Reals:
    """Return how far each score lies above those of models without the person, in their SD.

    Uses no model that was trained with the person. A score that rises with membership is
    needed: signed residuals are none, `label_confidence` is one. Otherwise as `online`.
    """
    mean, variance = _moments(known, False)
    return (observed - mean) / np.sqrt(variance)


def _moments(known: Shadows, member: bool) -> tuple[Reals, Reals]:
    chosen = known.member == member
    n = chosen.sum(axis=0)
    if n.min() < LEAST_EACH:
        raise ValueError(
            f"a person with fewer than {LEAST_EACH} shadow models of a kind; train more of them"
        )
    mean = np.where(chosen, known.score, 0.0).sum(axis=0) / n
    square = np.where(chosen, (known.score - mean) ** 2, 0.0).sum(axis=0)
    if n.min() >= ENOUGH:
        variance = square / (n - 1)
    else:
        variance = np.full(len(n), square.sum() / (n - 1).sum())
    # A model that repeats the label has no variance at all: rounding must not decide then.
    floor = _SURE * max(float(np.var(known.score)), np.finfo(np.float64).tiny / _SURE)
    return mean, np.maximum(variance, floor)


def _log_density(value: Reals, mean: Reals, variance: Reals) -> Reals:
    return -((value - mean) ** 2) / (2 * variance) - np.log(variance) / 2


def attacked(
    known: Shadows,
    targets: Shadows,
    attack: Callable[[Shadows, Reals], Reals] = online,
    alarms: Sequence[float] = ALARMS,
) -> Measured:
    """Return how well the attack tells members of the targets, all of them together.

    known    the shadow models; none of them a target
    attack   `online` or `offline`

    Intervals take pairs of model and person as independent, which those of one model nearly are.
    """
    score = np.stack([attack(known, observed) for observed in targets.score])
    pair: Pair = score[targets.member], score[~targets.member]
    return measured(pair, alarms)


def leverages(design: Reals) -> Reals:
    """Return the leverage of each person, (people,); `design` is (people, columns).

    Their sum is the rank of the design.

    >>> leverages(np.array([[1.0], [1.0], [1.0], [1.0]]))
    array([0.25, 0.25, 0.25, 0.25])
    """
    u, size, _ = np.linalg.svd(design, full_matrices=False)
    spans = size > max(design.shape) * np.finfo(np.float64).eps * size.max(initial=0.0)
    return np.einsum("ij,ij->i", u[:, spans], u[:, spans])


def leverage_statistic(squared: Reals, leverage: Reals) -> Reals:
    """Return L of people whose squared residuals, over the noise's variance, are given.

    leverage  (people,) from 0 to under 1; where it is 0 nothing is told
    """
    left = 1 - leverage
    return -np.log(left) - squared / 2 * (1 / left - left)


def leverage_power(leverage: Reals, false_positives: float) -> float:
    """Return the power against a least-squares fit, with one limit of L for all people.

    leverage  (people,) from 0 to 1; people of leverage 1 are always found out

    >>> round(leverage_power(np.full(10, 0.5), 0.01), 3), leverage_power(np.zeros(3), 0.01)
    (0.02, 0.01)
    """
    sure = leverage >= 1 - _SURE
    # Tells nothing: a coin for them is neither gain nor loss.
    told = leverage[~sure & (leverage > _SURE)]
    nothing = len(leverage) - len(told) - int(sure.sum())
    if not len(told):
        return float((sure.sum() + nothing * false_positives) / len(leverage))
    left = 1 - told

    def accused(limit: float) -> Reals:
        """Return the most that the squared residual of one accused is."""
        return np.maximum(-np.log(left) - limit, 0.0) * 2 / (1 / left - left)

    def false(limit: float) -> float:
        return float(np.mean(_chi_squared(accused(limit) * left))) - false_positives

    most = -float(np.log(left).min())
    reach = 1.0
    while false(most - reach) < 0:
        reach *= 2
    limit = root(false, most - reach, most)
    found = _chi_squared(accused(limit) / left).sum()
    return float((found + sure.sum() + nothing * false_positives) / len(leverage))


def _chi_squared(value: Reals) -> Reals:
    """Return the distribution function of chi-squared on one degree of freedom."""
    return np.asarray(_special.erf(np.sqrt(value / 2)), np.float64)
