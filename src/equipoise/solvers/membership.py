"""How well published allele frequencies tell who is among the people they speak of."""

from math import sqrt

from equipoise.solvers.distributions import normal_cdf, normal_quantile


def membership_power(people: int, effective_variants: float, false_positives: float) -> float:
    """Return the power of the likelihood-ratio test of membership, by theory.

    Sankararaman et al. 2009, doi:10.1038/ng.436: with M independent variants and N people
    in the pool, Phi(sqrt(M / N) - z), z the quantile of the rate of false positives. M is
    the effective number of independent variants. It is what somebody attains who has the
    person's genome and exact frequencies, and knows those of the population.

    >>> round(membership_power(100, 100, 0.05), 2)
    0.26
    """
    return normal_cdf(sqrt(effective_variants / people) - normal_quantile(false_positives))


def membership_auc(people: int, effective_variants: float) -> float:
    """Return the chance that the test ranks a member above somebody else: Phi(sqrt(M / 2N)).

    >>> round(membership_auc(100, 200), 2)
    0.84
    """
    return normal_cdf(sqrt(effective_variants / (2 * people)))
