"""What a round tells whose people are drawn by chance: privacy amplification by sampling.

Each person is in with the same chance, by themselves (Poisson sampling), and nobody but their
site knows who was. If a mechanism on all people is rho-zCDP, then on those drawn with chance q its
Renyi divergence of a whole order a is at most (Zhu and Wang 2019, proceedings.mlr.press/v97/zhu19c,
Theorem 5)

    log( (1-q)^(a-1) (aq - q + 1) + C(a,2) q^2 (1-q)^(a-2) e^E(2)
         + 3 sum_{l=3..a} C(a,l) q^l (1-q)^(a-l) e^((l-1) E(l)) ) / (a - 1),    E(l) = rho l

whatever the mechanism is: sums of discrete Gaussians too, for which the sharper bounds for one
Gaussian are not known to hold. It is never more than rho a, which holds as well. No single number
stands for such a curve, so charges of sampled rounds are kept by order (`ORDERS`).
"""

from functools import lru_cache
from math import exp, lgamma, log, log1p

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256)
"""The orders at which what sampled rounds tell is known: whole numbers, as the bound asks."""


@lru_cache(maxsize=256)
def curve(rho: float, rate: float) -> tuple[float, ...]:
    """Return the divergence of a sampled round at each of `ORDERS`; its mechanism is rho-zCDP.

    >>> curve(0.1, 0.05)[0] < 0.01 * 0.1 * 2
    True
    """
    return tuple(min(rho * order, _bound(order, rho, rate)) for order in ORDERS)


def _bound(order: int, rho: float, rate: float) -> float:
    """Return the bound of the source at one order."""
    q, stay = log(rate), log1p(-rate)
    terms = [
        (order - 1) * stay + log(order * rate - rate + 1),
        _choose(order, 2) + 2 * q + (order - 2) * stay + 2 * rho,
    ]
    terms += [
        log(3) + _choose(order, k) + k * q + (order - k) * stay + (k - 1) * rho * k
        for k in range(3, order + 1)
    ]
    most = max(terms)
    total = most + log(sum(exp(term - most) for term in terms))
    # More by what the arithmetic can be off: logarithms of factorials are below 2000.
    return max(total, 0.0) / (order - 1) + 1e-11


def _choose(n: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose k of n."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
