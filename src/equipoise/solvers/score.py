"""The score test of a yes/no trait: the null model, the test by sums, and what follows it.

The trait is fitted to the covariates alone, once for all variants. With mu, w = mu (1 - mu)
and r = y - mu of that null model and C its terms, a variant's score and its variance are

    S = g'r        V = g'Wg - g'WC (C'WC)^-1 C'Wg        beta = S / V        z = S / sqrt(V)

(Cox and Hinkley 1974, section 9.3). All are sums over people of a dosage times a column, so a
screen of every variant needs no genotype decoded (`columns`, `score_test`). Where the normal
law of z is not to be trusted (`doubtful`) the p value is taken again, from dosages, by
`binary_block`: exactly for a rare variant, else by saddle-point; and where it is small the
effect by Firth's fit, since S / V is one step from 0 and too short for a large effect.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.native import vectorised
from equipoise.solvers.firth import Status, firth
from equipoise.solvers.logistic import newton_step, probability
from equipoise.solvers.poisson_binomial import log_mid_p_of
from equipoise.solvers.saddlepoint import Trait, log_normal_tail, log_two_sided

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

FAR: Final = 2.0
"""Beyond so many standard deviations the tails are not taken for normal (Dey et al. 2017)."""

RARE: Final = 200
"""Below this minor allele count the p value is exact."""

FEW: Final = 10.0
"""With fewer minor alleles expected among cases (or among others) z is never normal."""

EXPLAINED: Final = 0.05
"""Covariates may explain this share of g'Wg where the exact p value leaves them out."""

_LEAST: Final = 1e-8
"""Below this share of g'Wg, V says that the covariates add up to the genotype."""

_SETTLED: Final = 1e-10
_ROUNDS: Final = 50
_CERTAIN: Final = 25.0
"""Nobody's log odds are so far out unless covariates part cases from others."""

_LN_10: Final = float(np.log(10.0))


class Method(IntEnum):
    """How a p value, or an effect, was found."""

    NONE = 0
    SCORE = 1
    SADDLE_POINT = 2
    EXACT = 3
    FIRTH = 4


@dataclass(frozen=True, slots=True)
class NullModel:
    """The trait fitted to the covariates alone.

    terms         (people, k) covariates, a column of ones among them
    y             (people,) 0 or 1
    coefficients  (k,) log odds
    fitted        (people,) mu
    inverse       (k, k) (C'WC)^-1
    trait         the cumulants of mu, for the saddle-point
    """

    terms: Array = field(repr=False)
    y: Array = field(repr=False)
    coefficients: Array
    fitted: Array = field(repr=False)
    inverse: Array = field(repr=False)
    trait: Trait = field(repr=False)

    @property
    def residual(self) -> Array:
        """(people,) y - mu."""
        return self.y - self.fitted

    @property
    def weight(self) -> Array:
        """(people,) mu (1 - mu)."""
        return self.fitted * (1.0 - self.fitted)

    @property
    def case_share(self) -> float:
        """Share of cases among the people."""
        return float(self.y.mean())


@dataclass(frozen=True, slots=True)
class BinaryRows:
    """One row a variant, each array (variants,); NaN where not estimable.

    beta            log odds ratio per effect allele: S / V, or Firth's
    standard_error  1 / sqrt(V), or Firth's
    z               S / sqrt(V)
    neg_log_10_p    two-sided; right far below the least double
    method          how that was found, as `Method`
    beta_method     how beta and its standard error were: SCORE or FIRTH
    status          as `firth.Status`; NOT_CONVERGED where no saddle-point was found, so that
                    the p value is the normal one, or where Firth's fit did not end, so that
                    beta is S / V
    """

    beta: Array
    standard_error: Array
    z: Array
    neg_log_10_p: Array
    method: NDArray[np.int8]
    beta_method: NDArray[np.int8]
    status: NDArray[np.int8]


def null_logistic(terms: Array, y: Array) -> NullModel:
    """Return the null model, fitted until no coefficient moves by 1e-10.

    terms  (people, k) covariates, a column of ones among them;  y  (people,) 0 or 1

    InputError where a covariate is missing, where the trait has one value only, where
    covariates add up to one another, and where they part cases from others, so that nothing
    is left to explain.
    """
    n, k = terms.shape
    if not np.isfinite(terms).all():
        raise InputError(
            "a covariate with a value that is missing or not finite; expected a number for each"
            " person; leave out who has none"
        )
    if n < 1 or not np.isin(y, (0.0, 1.0)).all() or y.min(initial=1.0) == y.max(initial=0.0):
        raise InputError(
            f"the trait of {n} people is not both 0 and 1; expected cases and others; recode it"
        )
    if np.linalg.matrix_rank(terms / _scale(terms)) < k:
        raise InputError(
            "the covariates are constant or add up to one another; expected independent"
            " covariates; drop one"
        )
    scale = _scale(terms)
    coefficients = _fitted(terms / scale, y) / scale
    fitted = probability(terms @ coefficients)
    information = terms.T @ ((fitted * (1.0 - fitted))[:, None] * terms)
    inverse = np.asarray(np.linalg.inv(information), np.float64)
    return NullModel(terms, y, coefficients, fitted, inverse, Trait.of(fitted))


def _scale(terms: Array) -> Array:
    largest = np.abs(terms).max(axis=0, initial=0.0)
    return np.where(largest > 0, largest, 1.0)


def _fitted(terms: Array, y: Array) -> Array:
    coefficients, none = np.zeros(terms.shape[1]), np.zeros(terms.shape[1])
    for _ in range(_ROUNDS):
        logit = terms @ coefficients
        p = probability(logit)
        if np.abs(logit).max() > _CERTAIN:
            break
        hessian = terms.T @ ((p * (1.0 - p))[:, None] * terms)
        moved = newton_step(coefficients, terms.T @ (y - p), hessian, none)
        change, coefficients = np.abs(moved - coefficients).max(), moved
        if change < _SETTLED:
            return coefficients
    raise InputError(
        "the covariates part cases from others (nearly) completely, so that the model of the"
        " trait without variants does not converge; expected an overlap; drop the covariate"
        " that tells the trait, or join its rare values"
    )


def columns(null: NullModel) -> Array:
    """Return the columns whose sums with dosages the score test needs, (people, 1 + k): r, WC.

    With squared dosages it needs those of `null.weight`.
    """
    return np.column_stack([null.residual, null.weight[:, None] * null.terms])


def score_test(gr: Array, gwg: Array, cwg: Array, inverse: Array) -> tuple[Array, Array]:
    """Return S and V of each variant from sums, (variants,) each.

    gr       (variants,) g'r;  gwg  (variants,) g'Wg;  cwg  (variants, k) g'WC
    inverse  (k, k) (C'WC)^-1

    V is 0 where the covariates add up to the genotype, or it is the same in everybody. The
    residuals of a fitted null model have C'r = 0, so that S needs no projection.
    """
    variance = gwg - np.einsum("vk,kl,vl->v", cwg, inverse, cwg)
    return gr, np.where(variance > _LEAST * gwg, variance, 0.0)


def doubtful(z: Array, mac: Array, case_share: float) -> NDArray[np.bool_]:
    """Return where a p value is to be taken again from dosages, (variants,).

    Where |z| is beyond `FAR`, or the allele is rare and `FEW` are expected among the fewer of
    cases and others. Variants that are not estimable have z NaN and are not.
    """
    few = (mac < RARE) & (mac * min(case_share, 1.0 - case_share) < FEW)
    return (np.abs(z) > FAR) | (few & ~np.isnan(z))


def normal_log_p(z: Array) -> Array:
    """Return the natural logarithm of the two-sided p of z, NaN where z is.

    >>> round(float(normal_log_p(np.array([1.959963984540054]))[0] / np.log(10)), 6)
    -1.30103
    """
    tails = [log_normal_tail(abs(value)) for value in z.tolist()]
    return np.minimum(np.array(tails, np.float64) + np.log(2.0), 0.0)


def binary_block(dosage: Array, null: NullModel, *, firth_below: float = 1e-3) -> BinaryRows:
    """Return the association of each variant with the trait, at one site.

    dosage       (variants, people) of the null model's people, NaN where not called
    firth_below  p values below which beta is Firth's; 1 for all variants, 0 for none

    The score test has missing calls as the mean dosage 2p of those called, as SAIGE and
    regenie; the exact p value and Firth's fit are of those called.
    """
    screen = _screened(dosage, null)
    log_p, method = normal_log_p(screen.z), np.full(len(dosage), Method.SCORE, np.int8)
    method[np.isnan(screen.z)] = Method.NONE
    status = screen.status.copy()
    _take_again(dosage, null, screen, log_p, method, status)
    known = screen.variance > 0
    safe = np.where(known, screen.variance, 1.0)
    beta = np.where(known, screen.score / safe, np.nan)
    error = np.where(known, 1.0 / np.sqrt(safe), np.nan)
    beta_method = np.where(known, Method.SCORE, Method.NONE).astype(np.int8)
    chosen = np.flatnonzero(log_p < np.log(firth_below)) if firth_below > 0 else np.zeros(0, int)
    fits = firth(dosage[chosen], null.terms, null.y)
    ended = fits.status == Status.OK
    beta[chosen[ended]], error[chosen[ended]] = fits.beta[ended], fits.standard_error[ended]
    beta_method[chosen[ended]] = Method.FIRTH
    status[chosen[~ended]] = Status.NOT_CONVERGED
    return BinaryRows(beta, error, screen.z, 0.0 - log_p / _LN_10, method, beta_method, status)


@dataclass(frozen=True, slots=True)
class _Screen:
    """The score test of a block: g has missing calls filled in, mac is of those called.

    projected  (variants, k) (C'WC)^-1 C'Wg;  share  of the rarer allele's g'Wg
    that covariates explain
    """

    g: Array
    mac: Array
    score: Array
    variance: Array
    projected: Array
    share: Array
    z: Array
    status: NDArray[np.int8]


def _screened(dosage: Array, null: NullModel) -> _Screen:
    g, looked = np.empty(dosage.shape), np.empty((len(dosage), 5))
    _filled(np.ascontiguousarray(dosage), null.weight, g, looked)
    called, alleles, spread, gw, gwg = looked.T
    sums = g @ columns(null)
    score, variance = score_test(sums[:, 0], gwg, sums[:, 1:], null.inverse)
    known = variance > 0
    # The same for the other allele, 2 - g, where that is the rarer one.
    carried = np.where(alleles > called, 4.0 * (null.weight.sum() - gw) + gwg, gwg)
    status = np.where(spread > 0, Status.COLLINEAR, Status.MONOMORPHIC)
    return _Screen(
        g,
        np.minimum(alleles, 2.0 * called - alleles),
        score,
        variance,
        sums[:, 1:] @ null.inverse,
        1.0 - variance / np.where(carried > 0, carried, 1.0),
        np.where(known, score / np.sqrt(np.where(known, variance, 1.0)), np.nan),
        np.where(known, Status.OK, status).astype(np.int8),
    )


@vectorised
def _filled(dosage: Array, weight: Array, g: Array, looked: Array) -> None:
    """Copy dosages into g, the mean for missing ones, and look at each variant.

    Written are people called, alleles among them, the greatest dosage less the least, g'w and
    g'Wg.
    """
    for v in range(dosage.shape[0]):
        called, alleles, least, most = 0, 0.0, 2.0, 0.0
        for i in range(dosage.shape[1]):
            there = dosage[v, i] >= 0.0
            x = dosage[v, i] if there else 0.0
            called += there
            alleles += x
            least = min(least, x if there else 2.0)
            most = max(most, x)
        mean, gw, gwg = alleles / max(called, 1), 0.0, 0.0
        for i in range(dosage.shape[1]):
            x = dosage[v, i] if dosage[v, i] >= 0.0 else mean
            g[v, i] = x
            gw += weight[i] * x
            gwg += weight[i] * x * x
        looked[v, 0], looked[v, 1], looked[v, 2] = called, alleles, most - least
        looked[v, 3], looked[v, 4] = gw, gwg


def _take_again(
    dosage: Array,
    null: NullModel,
    screen: _Screen,
    log_p: Array,
    method: NDArray[np.int8],
    status: NDArray[np.int8],
) -> None:
    """Put a better p value where the normal one is not to be trusted, in place."""
    again = doubtful(screen.z, screen.mac, null.case_share)
    rare = np.flatnonzero(again & (screen.mac < RARE) & (screen.share <= EXPLAINED))
    exact = log_mid_p_of(dosage[rare], null.y, null.fitted)
    whole = ~np.isnan(exact)
    log_p[rare[whole]], method[rare[whole]] = exact[whole], Method.EXACT
    far = np.flatnonzero((np.abs(screen.z) > FAR) & (method != Method.EXACT))
    adjusted = screen.g[far] - screen.projected[far] @ null.terms.T
    approximate = log_two_sided(adjusted, screen.score[far], null.trait)
    found = ~np.isnan(approximate)
    log_p[far[found]], method[far[found]] = approximate[found], Method.SADDLE_POINT
    status[far[~found]] = Status.NOT_CONVERGED
