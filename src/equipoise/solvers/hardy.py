"""The exact test of Hardy-Weinberg equilibrium, for many variants at once.

Given n people with a call and a copies of the rarer allele, the number h of heterozygotes
has, in equilibrium, probabilities in the ratio (Wigginton et al. 2005, doi:10.1086/429864,
equation 2)

    P(h + 2) / P(h) = 4 r c / ((h + 2) (h + 1))

with r = (a - h) / 2 and c = (2n - a - h) / 2 homozygotes of either kind. The p value is the
share of all outcomes that are less probable than the observed one; the mid-p value counts
by half those as probable as it (Graffelman and Moreno 2013, doi:10.1515/sagmb-2012-0039).

Departures: those as probable as the observed outcome but other than it count by half too,
as in PLINK; logarithms are added up, so that p far below the least double stays right; and
where the observed number of heterozygotes is within five standard deviations of the expected
one, outcomes beyond ten are left out, which changes no digit that is kept.
"""

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-9
"""Logarithms of probabilities this near are those of equal ones: sums of some hundred ratios
are right to 1e-13, of a hundred thousand to 1e-11."""

_CHUNK = 2**18
"""Numbers worked on at a time: they stay in the processor's cache."""


def neg_log_10_mid_p(
    het: NDArray[np.int64], hom: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return -log10 of the mid-p value for each triple of genotype counts.

    `hom` and `other` are the two kinds of homozygotes, in either order; all three have one
    shape, which the answer has too. Where one outcome alone is possible (an allele that
    nobody has, nobody called) the mid-p value is a half. ValueError for a negative count.

    >>> p = 10 ** -neg_log_10_mid_p(np.array([57]), np.array([14]), np.array([50]))
    >>> round(float(p[0]), 6)
    0.766681
    """
    if min(counts.min(initial=0) for counts in (het, hom, other)) < 0:
        raise ValueError("a genotype count below 0; expected how many people have each genotype")
    people = (het + hom + other).ravel()
    rare = (2 * np.minimum(hom, other) + het).ravel()
    # Variants with the same counts have the same p value: each is computed once.
    pairs = _distinct(people * (2 * people.max(initial=0) + 1) + rare)[1]
    places, which = _distinct(pairs * (people.max(initial=0) + 1) + het.ravel())
    found = _by_width(people[places], rare[places], het.ravel()[places])
    return found[which].reshape(het.shape)


def _distinct(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each distinct key first is, and for each key the number of its own."""
    _, places, which = np.unique(keys, return_index=True, return_inverse=True)
    return places.astype(np.int64), which.astype(np.int64)


def _by_width(
    people: NDArray[np.int64], rare: NDArray[np.int64], het: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return -log10 p, triples with about as many outcomes worked on together."""
    low, width = _window(people, rare, het)
    order = np.argsort(width, kind="stable")
    found, start = np.zeros(len(het)), 0
    while start < len(order):
        # The widest of a chunk is its last: take fewer where that is wider than the first.
        stop = start + max(1, _CHUNK // int(width[order[start]]))
        widest = int(width[order[min(stop, len(order)) - 1]])
        stop = start + max(1, min(stop - start, _CHUNK // widest))
        part = order[start:stop]
        widest = int(width[part[-1]])
        found[part] = _chunk(people[part], rare[part], het[part], low[part], widest)
        start = stop
    return found


def _window(
    people: NDArray[np.int64], rare: NDArray[np.int64], het: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least number of heterozygotes to look at, and how many steps of two up."""
    n = np.maximum(people, 1).astype(np.float64)
    expected = rare * (2 * n - rare) / (2 * n)
    # Variance 4 n p^2 q^2 with p = a / 2n; the 40 is for the skewed tail of a rare allele.
    margin = np.ceil(10 * expected / np.sqrt(n) + 40)
    # The other tail of an outcome far out begins far out on the other side: look at them all.
    margin = np.where(np.abs(het - expected) > margin / 2, n, margin)
    low = np.maximum(np.floor(expected - margin), 0).astype(np.int64)
    high = np.minimum(np.ceil(expected + margin), rare).astype(np.int64)
    low += (het - low) % 2
    return low, (high - low) // 2 + 1


def _chunk(
    people: NDArray[np.int64],
    rare: NDArray[np.int64],
    het: NDArray[np.int64],
    low: NDArray[np.int64],
    width: int,
) -> NDArray[np.float64]:
    h = (low[:, None] + 2 * np.arange(width - 1)).astype(np.float64)
    r, c = np.maximum(rare[:, None] - h, 0), 2 * people[:, None] - rare[:, None] - h
    with np.errstate(divide="ignore"):  # beyond the last outcome: probability 0
        steps = np.log(r * np.maximum(c, 0) / ((h + 2) * (h + 1)))
    log_p = np.zeros((len(het), width))
    np.cumsum(steps, axis=1, out=log_p[:, 1:])
    # Relative to the observed outcome, so that a tail can vanish only beside it.
    log_p -= np.take_along_axis(log_p, (het - low)[:, None] // 2, axis=1)
    most = log_p.max(axis=1)
    whole = most + np.log(np.exp(log_p - most[:, None]).sum(axis=1))
    tied = np.abs(log_p) <= _TIE
    less = np.exp(np.where(log_p < -_TIE, log_p, -np.inf)).sum(axis=1)
    tail = np.log(less + 0.5 * np.count_nonzero(tied, axis=1))
    return np.maximum((whole - tail) / np.log(10.0), 0.0)
