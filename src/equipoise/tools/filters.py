"""Leaving variants out: by frequency, call rate, and Hardy and Weinberg's proportions.

Frequency and call rate are over all sites; proportions are tested at each site by itself and
never pooled, in controls where the trait is yes or no, and on chromosomes with two copies: a
variant goes where any site's exact mid-p is below the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, blocks_of
from equipoise.errors import InputError
from equipoise.genotypes.align import AlignedSource
from equipoise.genotypes.ploidy import Ploidy, ploidies
from equipoise.genotypes.variants import Variants
from equipoise.solvers.hardy_exact import neg_log_10_p
from equipoise.tools.people import Matched
from equipoise.tools.sites import Sites

_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a variant must have; 0 is no limit.

    maf        least minor allele frequency
    call_rate  least share of people called
    hwe        least mid-p of the exact test
    """

    maf: float = 0.0
    call_rate: float = 0.0
    hwe: float = 0.0

    def __post_init__(self) -> None:
        """Refuse limits that are no shares."""
        for name, most in (("maf", 0.5), ("call_rate", 1.0), ("hwe", 1.0)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                option = "--" + name.replace("_", "-")
                raise InputError(f"{option} {value}; expected 0 to {most}; correct it")

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return bool(self.maf or self.call_rate or self.hwe)


def kept_by(
    limits: Limits, sites: Sites, matched: Sequence[Matched], binary: bool
) -> tuple[Sites, dict[str, int]]:
    """Return the sites with the variants within the limits, and how many went, by reason.

    The first reason counts, in the order of the fields of `Limits`. InputError where none is
    left.
    """
    if not limits.any:
        return sites, {}
    counts = np.zeros((len(sites.sites), sites.n_variants, 4), np.int64)
    least = np.zeros(sites.n_variants)
    diploid = np.zeros(sites.n_variants, np.bool_)
    diploid[ploidies(sites.variants.chromosome).get(Ploidy.DIPLOID, np.zeros(0, np.int64))] = True
    for found, site, people in zip(counts, sites.sites, matched, strict=True):
        cohort = Cohort(site.source, people.rows, {}, np.zeros(len(people.rows), np.int64))
        chosen = people.values[:, 0] == people.values[:, 0].min(initial=0.0) if binary else None
        controls = cohort if chosen is None else replace(cohort, rows=people.rows[chosen])
        for start, stop in blocks_of(sites.n_variants, _BLOCK):
            found[start:stop] = cohort.counts(start, stop)
            if limits.hwe:
                twice, once, none, _ = controls.counts(start, stop).T
                mid = neg_log_10_p(once, twice, none)[1]
                least[start:stop] = np.maximum(least[start:stop], mid)
    return _kept(limits, sites, counts.sum(axis=0), np.where(diploid, least, 0.0))


def _kept(
    limits: Limits, sites: Sites, counts: NDArray[np.int64], hardy: NDArray[np.float64]
) -> tuple[Sites, dict[str, int]]:
    twice, once, none, missing = counts.T
    called = twice + once + none
    alleles = 2 * twice + once
    frequency = np.minimum(alleles, 2 * called - alleles) / np.maximum(2 * called, 1)
    faults = {
        "maf": frequency < limits.maf,
        "call_rate": called < limits.call_rate * (called + missing),
        "hwe": hardy > -np.log10(limits.hwe) if limits.hwe else np.zeros(len(called), np.bool_),
    }
    keep, gone = np.ones(len(called), np.bool_), dict[str, int]()
    for name, fault in faults.items():
        gone[name] = int(np.count_nonzero(keep & fault))
        keep &= ~fault
    rows = np.flatnonzero(keep)
    if not len(rows):
        raise InputError(
            f"no variant of {len(keep)} is within --maf, --call-rate and --hwe ({gone});"
            " expected some; loosen them"
        )
    return at(sites, rows), gone


def at(sites: Sites, rows: NDArray[np.int64]) -> Sites:
    """Return the sites with the variants at `rows` alone."""
    v, as_they_are = sites.variants, np.zeros(len(rows), np.bool_)
    chosen = [
        replace(site, source=AlignedSource(site.source, rows, as_they_are)) for site in sites.sites
    ]
    variants = Variants(
        v.chromosome[rows], v.position[rows], v.effect_allele[rows], v.other_allele[rows]
    )
    return replace(sites, sites=tuple(chosen), variants=variants, ids=sites.ids[rows])
