"""How well published allele frequencies tell who is among the people they speak of.

Sankararaman et al. 2009, doi:10.1038/ng.436, after Homer et al. 2008,
doi:10.1371/journal.pgen.1000167: with a person's copies x of the effect allele, the frequencies
q that were published and those p of the population, the log-likelihood ratio of being a member is

    L = sum over variants of x ln(q / p) + (2 - x) ln((1 - q) / (1 - p))

By theory the power at a rate a of false positives is Phi(s - z(a)) and the area under the ROC
curve Phi(s / sqrt(2)), with s^2 = M / N for N people in the pool and M = tr(R)^2 / tr(R^2)
independent variants, R the correlations between variants in the population. For one who knows
only the frequencies in a sample of m others, s^2 = (M / N) m / (m + N): the noise of L grows from
M / N to M (1 / N + 1 / m), what a member adds to L stays M / N.

Where the test is carried out theory is more exact (`Attained`): M differs between ancestries, and
what is known of L without membership comes from few people.

Whoever knows R could weigh the variants and do better than L; that is not done here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.distributions import normal_cdf, normal_quantile, root, student_above
from equipoise.solvers.lira import most_above

ALARMS: Final = (0.05, 0.001)
"""Rates of false positives at which the power of the test is given."""

NOT_CALLED: Final = 3
"""Stands for the copies of the effect allele of whoever is not called."""

LEAST_OTHERS: Final = 10
"""People of one ancestry who are no members: fewer do not tell how L varies."""

LEAST_CALLED: Final = 2

Reals = NDArray[np.float64]
Copies = NDArray[np.uint8]


def membership_power(
    people: int, effective_variants: float, false_positives: float, reference: float = inf
) -> float:
    """Return the power of the likelihood-ratio test of membership, by theory.

    people              in the pool
    effective_variants  M, the effective number of independent variants
    reference           people from whom the population's frequencies are known

    It is what somebody attains who has the person's genome and exact frequencies.

    >>> round(membership_power(100, 100, 0.05), 2), round(membership_power(100, 100, 0.05, 100), 2)
    (0.26, 0.17)
    """
    shift = _shift(people, effective_variants, reference)
    return normal_cdf(shift - normal_quantile(false_positives))


def membership_auc(people: int, effective_variants: float, reference: float = inf) -> float:
    """Return the chance that the test ranks a member above somebody else.

    >>> round(membership_auc(100, 200), 2)
    0.84
    """
    return normal_cdf(_shift(people, effective_variants, reference) / sqrt(2))


def _shift(people: int, effective_variants: float, reference: float) -> float:
    """Return s, by how many standard deviations members lie above others."""
    return sqrt(effective_variants / people / (1 + people / reference))


def statistic(copies: Copies, pool: Reals, population: Reals, people: int) -> Reals:
    """Return L of each person, (people,), where the population's frequencies are known.

    copies      (variants, people), 0, 1, 2, or NOT_CALLED, which adds nothing
    pool        (variants,) published frequencies q
    population  (variants,) p, strictly between 0 and 1; ValueError otherwise
    people      in the pool, N

    Departure: an allele that nobody of the pool has would make L minus infinity, which one
    wrong call should not: q is held a quarter of an allele, 1 / 4N, away from 0 and 1.
    """
    if not np.all((population > 0) & (population < 1)):
        raise ValueError("a population's frequency that is not between 0 and 1")
    return _summed(_ratios(_held(pool, people), population[:, None]), copies)


def _held(pool: Reals, people: int) -> Reals:
    return np.clip(pool, 0.25 / people, 1 - 0.25 / people)


def _ratios(pool: Reals, population: Reals) -> Reals:
    """Return what a person adds, (variants, frequencies known of it * 4), by their copies."""
    with_allele = np.log(pool[:, None] / population)
    without = np.log((1 - pool)[:, None] / (1 - population))
    by_copies = [2 * without, with_allele + without, 2 * with_allele, np.zeros_like(without)]
    return np.stack(by_copies, axis=2).reshape(len(pool), 4 * population.shape[1])


def _summed(ratios: Reals, place: NDArray[Any]) -> Reals:
    return np.take_along_axis(ratios, place.astype(np.intp), axis=1).sum(axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """Calls of people of one ancestry, each (variants, people), as `statistic` takes them."""

    members: Copies = field(repr=False)
    others: Copies = field(repr=False)


Pair = tuple[Reals, Reals]
"""L of members, and of others."""


def paired_statistics(pool: Reals, people: int, strata: Sequence[Stratum]) -> list[Pair]:
    """Return L of members and of others in each stratum, who serve as the reference too.

    The population's frequencies are those of the others, each stratum weighed by its members:
    the attacker is taken to know the mix of ancestries. So that others are not compared with
    themselves, the reference leaves each of them out in turn; so that members have no better
    one, it leaves out for each of them one of the others too. A pool of other people than the
    members then gives both the same law.

    Frequencies are held off 0 and 1 as in `statistic`, by the people that either rests on. (Half
    a copy added in each stratum instead was off by more than chance where alleles are rare and
    strata small.) A variant at which fewer than two others of a stratum are called counts for
    nothing. L adds up over blocks of variants. ValueError where a stratum has no member, or
    fewer than two others.
    """
    if any(s.members.shape[1] < 1 or s.others.shape[1] < 2 for s in strata):
        raise ValueError("a stratum without a member, or with fewer than two others")
    called = [np.count_nonzero(s.others != NOT_CALLED, axis=1) >= LEAST_CALLED for s in strata]
    rows = np.logical_and.reduce(called)
    strata = [Stratum(s.members[rows], s.others[rows]) for s in strata]
    share, m = member_shares(strata), sum(s.others.shape[1] for s in strata)
    known = [_frequencies(s.others) for s in strata]
    everybody = np.stack([p[:, -1] for p in known], axis=1) @ share
    return [
        _pair(_held(pool[rows], people), stratum, everybody[:, None] + w * (own - own[:, -1:]), m)
        for stratum, w, own in zip(strata, share, known, strict=True)
    ]


def _pair(pool: Reals, stratum: Stratum, reference: Reals, others: int) -> Pair:
    """Return L of a stratum's people; `reference` as `_frequencies` has its columns."""
    ratios = _ratios(pool, _held(reference, others))
    lots = np.arange(stratum.members.shape[1], dtype=np.int64) % stratum.others.shape[1]
    members = _summed(ratios, 4 * stratum.others[:, lots] + stratum.members)
    return members, _summed(ratios, 5 * stratum.others)


def _frequencies(others: Copies) -> Reals:
    """Return frequencies without one who has 0, 1 or 2 copies or is not called, (variants, 4).

    Where nobody has so many copies the number means nothing, and is never read.
    """
    called = np.count_nonzero(others != NOT_CALLED, axis=1)
    copies = np.where(others == NOT_CALLED, 0, others).sum(axis=1, dtype=np.int64)
    left = copies[:, None] - np.array([0, 1, 2, 0])
    return left / (2 * (called[:, None] - np.array([1, 1, 1, 0])))


def member_shares(strata: Sequence[Stratum]) -> Reals:
    """Return each stratum's share of the members."""
    members = np.array([s.members.shape[1] for s in strata], np.float64)
    return members / members.sum()


def standardised(pair: Pair) -> Pair:
    """Return both in standard deviations of the others, each of whom is compared with the rest.

    Their mean and standard deviation are estimated, which is why either is divided by
    sqrt(1 + 1 / n) more, n those it rests on. Ancestries can then be put together. ValueError
    for fewer than `LEAST_OTHERS` others, or if all are alike.
    """
    members, others = pair
    n = len(others)
    if n < LEAST_OTHERS or not np.ptp(others) > 0:
        raise ValueError(f"fewer than {LEAST_OTHERS} others, or all of them alike")
    centre, square = others.mean(), np.sum((others - others.mean()) ** 2)
    apart = others - centre
    # Mean and sum of squares of all but one.
    rest = np.maximum(square - apart**2 * n / (n - 1), 1e-12 * square) / (n - 2)
    left_out = apart * n / (n - 1) / np.sqrt(rest * (1 + 1 / (n - 1)))
    return (members - centre) / np.sqrt(square / (n - 1) * (1 + 1 / n)), left_out


@dataclass(frozen=True, slots=True, eq=False)
class Attained:
    """What theory expects of `standardised` statistics of people of several ancestries together.

    people           in the pool
    effective        (strata,) M of each ancestry, see `Linkage.by_stratum`
    members, others  (strata,) how many people of each

    A statistic rests on the mean and standard deviation of n others. Of a member it is a
    noncentral t with n - 1 degrees of freedom, around s / sqrt(1 + 1 / n); of one of the others,
    measured by the rest, a t with n - 2.
    """

    people: int
    effective: Reals
    members: NDArray[np.int64]
    others: NDArray[np.int64]

    @staticmethod
    def of(people: int, effective: Reals, pairs: Sequence[Pair]) -> "Attained":
        """Return it for as many people of each ancestry as there are statistics of."""
        members, others = (np.array([len(pair[i]) for pair in pairs]) for i in (0, 1))
        return Attained(people, effective, members, others)

    @property
    def reference(self) -> float:
        """As many people of one population as tell frequencies as well as the strata do."""
        shares = self.members / self.members.sum()
        return float(1 / np.sum(shares**2 / self.others))

    def power(self, false_positives: float) -> float:
        """Return the share of members above the limit that so many of the others are above.

        Where fewer than 1 / rate others are there, the limit is that of a normal distribution
        as wide as theirs, which `lira.measured` takes too.
        """
        if self.told(false_positives):
            limit = root(lambda value: self._others_above(value) - false_positives, -100.0, 100.0)
        else:
            square = np.average((self.others - 2) / (self.others - 4), weights=self.others)
            limit = normal_quantile(false_positives) * sqrt(float(square))
        above = [
            student_above(limit, n - 1, shift / sqrt(1 + 1 / n))
            for n, shift in zip(self.others.tolist(), self._shifts(), strict=True)
        ]
        return float(np.average(above, weights=self.members))

    def told(self, false_positives: float) -> bool:
        """Return whether the others are enough to show such a rate."""
        return most_above(int(self.others.sum()), false_positives) > 0

    def auc(self) -> float:
        """Return the chance that a member ranks above another."""
        ranked = [normal_cdf(shift / sqrt(2)) for shift in self._shifts()]
        return float(np.average(ranked, weights=self.members))

    def _shifts(self) -> list[float]:
        return [_shift(self.people, m, self.reference) for m in self.effective.tolist()]

    def _others_above(self, value: float) -> float:
        above = [student_above(value, n - 2) for n in self.others.tolist()]
        return float(np.average(above, weights=self.others))


def frequencies_in_cases(
    frequency: Reals, beta: Reals, standard_error: Reals, people: int, cases: int, terms: int
) -> Reals:
    """Return allele frequencies in cases, (variants,), as a published linear scan gives them.

    frequency, beta, standard_error  (variants,) of a scan of a trait that is 0 or 1
    people, cases                    in the scan
    terms                            covariates, without the constant

    With y the trait and g a variant less its mean, both less what covariates explain,
    se^2 = (y'y - beta g'y) / dof / g'g and beta = g'y / g'g, so that

        g'g = y'y / (dof se^2 + beta^2)     q = p + beta g'g / (2 cases)

    Exact without covariates, to the digits published. With them it takes y'y for that of the
    trait alone, and g'y too: near, unless a covariate says much of either. From 0 to 1.
    """
    dof = people - terms - 2
    total = cases * (1 - cases / people)
    own = total / (dof * standard_error**2 + beta**2)
    return np.clip(frequency + beta * own / (2 * cases), 0.0, 1.0)


class Linkage:
    """Finds M from calls, block by block of variants, with the weights that L gives variants.

    L is nearly z'd, z a person's copies less the mean of their ancestry, over sqrt(2 p (1 - p)) of
    all ancestries together, and d the sum of members' z over N less that of the others over m. A
    member adds z'z / N, and for two people E (z'y)^2 is what makes L vary: M = (E z'z)^2 / E (z'y)^2.
    In one ancestry that is tr(R)^2 / tr(R^2). As a mean over pairs it is free of what a sample adds
    to the squares of its own correlations: by those, n people cannot tell more than n - 1
    independent variants. Centring has made z'y of one ancestry negative on average, which is taken
    off. Relatives among the people lower M.
    """

    def __init__(self, strata: Sequence[Stratum]) -> None:
        """Take the strata for the number of their people, all of whom are used."""
        sizes = [s.members.shape[1] + s.others.shape[1] for s in strata]
        self._ends = np.cumsum([0, *sizes]).tolist()
        self._n = sum(sizes)
        self._gram = np.zeros((self._n, self._n))
        self._variants = 0

    def add(self, strata: Sequence[Stratum]) -> None:
        """Add a block of variants; one that does not vary counts for nothing."""
        calls = np.concatenate([c for s in strata for c in (s.members, s.others)], axis=1)
        called = np.maximum(np.count_nonzero(calls != NOT_CALLED, axis=1), 1)
        p = np.where(calls == NOT_CALLED, 0, calls).sum(axis=1, dtype=np.int64) / (2 * called)
        size = np.sqrt(2 * p * (1 - p)).astype(np.float32)
        rows = size > 0
        z = np.concatenate([_centred(stratum) for stratum in strata], axis=1)
        z = z[rows] / size[rows, None]
        self._gram += z.T @ z
        self._variants += len(z)

    def effective(self) -> float:
        """Return M over all blocks, from 1 to the number of variants."""
        return self._number(*self._products())

    def by_stratum(self) -> Reals:
        """Return M of each ancestry, (strata,): of its people with all people.

        Whoever has more of the alleles that are rare in the pool is found out sooner.
        """
        own, squares = self._products()
        parts = (slice(*ends) for ends in pairwise(self._ends))
        return np.array([self._number(own[part], squares[part]) for part in parts])

    def _products(self) -> tuple[Reals, Reals]:
        """Return z'z of each person, and the mean of (z'y)^2 with the others, (people,) each."""
        products = self._gram.copy()
        for start, stop in pairwise(self._ends):
            part = products[start:stop, start:stop]
            # Rows add up to 0: off the diagonal lies minus what is on it.
            part += np.trace(part) / ((stop - start) * (stop - start - 1))
        np.fill_diagonal(products, 0.0)
        return np.diag(self._gram), np.sum(products**2, axis=1) / (self._n - 1)

    def _number(self, own: Reals, squares: Reals) -> float:
        member, other, most = float(own.mean()) ** 2, float(squares.mean()), float(self._variants)
        return max(1.0, most if other * most <= member else member / other)


def _centred(stratum: Stratum) -> NDArray[np.float32]:
    """Return copies less the mean of each variant, 0 where not called."""
    copies = np.concatenate([stratum.members, stratum.others], axis=1)
    called = copies != NOT_CALLED
    values = np.where(called, copies, 0).astype(np.float32)
    mean = values.sum(axis=1) / np.maximum(np.count_nonzero(called, axis=1), 1)
    return np.where(called, values - mean[:, None].astype(np.float32), np.float32(0))
