"""What a site has of each variant: counts, frequencies, and Hardy-Weinberg tests by stratum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.counts import cell_counts
from equipoise.packed.decode import Block
from equipoise.solvers.hardy_exact import neg_log_10_p
from equipoise.tools.chromosome_kinds import AUTOSOME, FEMALE, MALE, SHARED, X, Y


@dataclass(frozen=True, slots=True)
class HardyTests:
    """Hardy-Weinberg tests in some of a site's people, arrays of shape (variants,).

    n         people tested who have a call
    minor     copies of the rarer allele among them
    p, mid_p  -log10 of the exact p and the mid-p value, NaN where not tested
    """

    n: NDArray[np.int64]
    minor: NDArray[np.int64]
    p: NDArray[np.float64]
    mid_p: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VariantQuality:
    """What a site has of each variant, arrays of shape (variants,).

    counts  (variants, 4) two, one and no effect alleles, not called; on Y, of men alone
    copies, alleles  of the effect allele, and of both; men have one on X and Y
    hardy   tests by stratum
    """

    counts: NDArray[np.int64]
    copies: NDArray[np.int64]
    alleles: NDArray[np.int64]
    hardy: Mapping[str, HardyTests]

    @property
    def call_rate(self) -> NDArray[np.float64]:
        """The share of people called, NaN where there is nobody."""
        return 1 - ratio(self.counts[:, 3], self.counts.sum(axis=1))

    @property
    def frequency(self) -> NDArray[np.float64]:
        """The frequency of the effect allele, NaN where nobody is called."""
        return ratio(self.copies, self.alleles)

    @property
    def heterozygosity(self) -> NDArray[np.float64]:
        """2pq, 0 where nobody is called."""
        p = np.nan_to_num(self.frequency)
        return 2 * p * (1 - p)

    @property
    def minor(self) -> NDArray[np.int64]:
        """Copies of the rarer allele."""
        return np.minimum(self.copies, self.alleles - self.copies)

    @property
    def minor_frequency(self) -> NDArray[np.float64]:
        """The frequency of the rarer allele, NaN where nobody is called."""
        return ratio(self.minor, self.alleles)


def quality_of(
    block: Block,
    n: int,
    kind: NDArray[np.int64],
    sex: NDArray[np.int8],
    tested: Mapping[str, NDArray[np.bool_]],
) -> VariantQuality:
    """Return what n people have of the variants of a block.

    kind    (variants,) of chromosome
    sex     (n,) 1 male, 2 female, 0 unknown
    tested  (n,) in whom Hardy-Weinberg is tested, by stratum; on X only women are
    """
    people = tuple(tested.values())
    counted = cell_counts(block, n, np.array([np.ones(n, np.bool_), *people]))
    counts, of_tested = counted[0], counted[1:]
    haploid = np.zeros_like(counts)
    on_x, on_y = kind == X, kind == Y
    if np.any(on_x | on_y):
        men_and_women = [sex == MALE, *(who & (sex == FEMALE) for who in people)]
        men, *women = cell_counts(block, n, np.array(men_and_women))
        haploid[on_x | on_y] = men[on_x | on_y]
        counts[on_y] = men[on_y]
        of_tested[:, on_x] = np.array(women)[:, on_x]
    two = counts - haploid
    # A man's one copy is coded as two, and a heterozygous one is an error that counts for none.
    copies = 2 * two[:, 0] + two[:, 1] + haploid[:, 0]
    alleles = 2 * two[:, :3].sum(axis=1) + haploid[:, 0] + haploid[:, 2]
    testable = np.isin(kind, (AUTOSOME, X, SHARED))
    tests = (_test(own, testable) for own in of_tested)
    return VariantQuality(counts, copies, alleles, dict(zip(tested, tests, strict=True)))


def joined(parts: Sequence[VariantQuality]) -> VariantQuality:
    """Return the parts, of the same strata, one after another."""
    return VariantQuality(
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.copies for part in parts]),
        np.concatenate([part.alleles for part in parts]),
        {name: _joined([part.hardy[name] for part in parts]) for name in parts[0].hardy},
    )


def _joined(parts: Sequence[HardyTests]) -> HardyTests:
    names = ("n", "minor", "p", "mid_p")
    return HardyTests(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _test(counts: NDArray[np.int64], testable: NDArray[np.bool_]) -> HardyTests:
    hom, het, other, _ = counts.T
    n = hom + het + other
    p, mid = neg_log_10_p(het, hom, other)
    untested = ~testable | (n == 0)
    p[untested] = mid[untested] = np.nan
    return HardyTests(n, 2 * np.minimum(hom, other) + het, p, mid)


def ratio(
    part: NDArray[np.int64] | NDArray[np.float64], whole: NDArray[np.int64] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a share, NaN of nothing."""
    none = whole == 0
    return np.where(none, np.nan, part / np.where(none, 1, whole))
