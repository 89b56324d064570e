"""What a site finds of the quality of its people's genotypes, before the roster is fixed."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.align import AlignedSource
from equipoise.packed.concordance import calls, shared
from equipoise.packed.counts import genotype_counts
from equipoise.packed.decode import Block
from equipoise.packed.missing import missing_counts

LEAST_CALLED: Final = 0.95
LEAST_CALLED_OF_FEW: Final = 0.8
"""For under 100 variants, of which chance alone leaves more than 5 % of a good sample uncalled."""
FEW: Final = 100
SAME_PERSON: Final = 0.98
LEAST_MINOR: Final = 0.1
MOST_COMPARED: Final = 2000
SCREENED: Final = 256
LEAST_SCREENED: Final = 0.9

_BYTES: Final = 2**22
_PEOPLE: Final = 1024


def call_rates(source: AlignedSource) -> NDArray[np.float64]:
    """Return each person's share of variants called, among those the site has, (samples,)."""
    missing = np.zeros(source.n_samples, np.int64)
    for _, block in _blocks(source):
        missing += missing_counts(block, source.n_samples)
    held = int(np.count_nonzero(source.present))
    return 1 - (missing - (source.n_variants - held)) / max(held, 1)


def low_call_rate(source: AlignedSource, rates: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return who has too few variants called, (samples,): under 95 %.

    Under 80 % where the site has fewer than 100 variants of the list.
    """
    few = np.count_nonzero(source.present) < FEW
    return rates < (LEAST_CALLED_OF_FEW if few else LEAST_CALLED)


def duplicates(
    source: AlignedSource, judged: NDArray[np.bool_], rates: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """Return who is a duplicate of another person, (samples,); None where that cannot be told.

    Of people with the same genotypes the one with the best call rate, and of equals the
    first in the file, is no duplicate. `judged` says who is compared at all: who takes no
    part anyway is neither a duplicate nor has one. Identical twins cannot be told from one
    person sampled twice: one of the two is left out.

    Compared are up to 2,000 variants spread over the list, with a minor allele frequency
    of at least .1 and 95 % called among those judged; None where fewer than 100 are such.
    Two people are one where at least 98 % of the genotypes called in both agree, and at
    least 100 are called in both. In the bundled data the most alike of unrelated people
    agree in 62 %; of 2,504 people of the 1000 Genomes, with close relatives among them, in
    80 %. Of N people N**2 / 2 pairs are seen, 1,024 people against 1,024 at a time: first
    at 256 of the variants, and at all of them where two agree in 90 % of those.
    """
    people = np.flatnonzero(judged)
    chosen = _compared(source, judged)
    if len(chosen) < FEW:
        return None
    # The best first: then whoever is like an earlier one that is kept is left out.
    people = people[np.argsort(-rates[people], kind="stable")]
    part = AlignedSource(source.source, source.rows[chosen], source.swapped[chosen])
    genotypes = [calls(block, source.n_samples)[:, people] for _, block in _blocks(part)]
    found = np.zeros(source.n_samples, np.bool_)
    found[people] = _like_an_earlier(np.concatenate(genotypes))
    return found


def _compared(source: AlignedSource, judged: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the variants that tell people apart, at most 2,000, spread over the list."""
    common = np.zeros(source.n_variants, np.bool_)
    people = int(np.count_nonzero(judged))
    for start, block in _blocks(source):
        a1, het, a2, _ = genotype_counts(block, source.n_samples, judged).T
        copies, alleles = 2 * a1 + het, 2 * (a1 + het + a2)
        minor = np.minimum(copies, alleles - copies)
        well = (minor >= LEAST_MINOR * alleles) & (alleles >= LEAST_CALLED * 2 * people)
        common[start : start + len(block)] = well & (minor > 0)
    usable = np.flatnonzero(common)
    n = min(len(usable), MOST_COMPARED)
    return usable[np.arange(n) * len(usable) // max(n, 1)]


def _like_an_earlier(genotypes: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return who is the same person as an earlier one of whom this is not so, (people,)."""
    n, people = genotypes.shape
    screen = genotypes[np.arange(min(n, SCREENED)) * n // min(n, SCREENED)]
    found = np.zeros(people, np.bool_)
    for right in range(0, people, _PEOPLE):
        later = slice(right, right + _PEOPLE)
        for left in range(0, right + 1, _PEOPLE):
            earlier, itself = slice(left, left + _PEOPLE), left == right
            if not _agree(screen[:, earlier], screen[:, later], LEAST_SCREENED, itself).any():
                continue
            alike = _agree(genotypes[:, earlier], genotypes[:, later], SAME_PERSON, itself)
            for one in np.flatnonzero(alike.any(axis=1)):
                # Known for good: whoever comes before this one has been seen.
                if not found[left + one]:
                    found[later] |= alike[one]
    return found


def _agree(
    earlier: NDArray[np.int8], later: NDArray[np.int8], least: float, itself: bool
) -> NDArray[np.bool_]:
    """Return which pairs agree in at least so many of the genotypes called in both."""
    alike, both = shared(earlier, later)
    found = (alike >= least * both) & (both >= min(len(earlier), FEW))
    return np.triu(found, 1) if itself else found


def _blocks(source: AlignedSource) -> Iterator[tuple[int, Block]]:
    """Yield the start of each block of a few megabytes, and the block."""
    size = max(1, _BYTES // max(1, (source.n_samples + 3) // 4))
    for start in range(0, source.n_variants, size):
        yield start, source.packed(start, min(start + size, source.n_variants))
