"""Dosages of a score's effect alleles, person by person, from genotypes in blocks of variants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import NEAR, DosageSource
from equipoise.genotypes.matching import Match
from equipoise.genotypes.variants import Variants
from equipoise.packed.decode import decode, width
from equipoise.tools.score import Site

_VARIANTS: Final = 512
_VALUES: Final = 1 << 25
"""Dosages held at a time: 256 MiB."""

_MALE: Final = 1

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Some people of a site, arrays of shape (people, weights) and (people,).

    first       the place of the first of them at the site
    dosage      of each weight's effect allele: filled in where not called, 0 where not used
    copies      dosages of those called, summed
    not_called  weights without a call
    """

    first: int
    dosage: Reals = field(repr=False)
    copies: Reals = field(repr=False)
    not_called: NDArray[np.int32] = field(repr=False)


def people_at_once(n_weights: int, group: int) -> int:
    """Return how many people are read at a time: whole groups, and whole bytes of genotypes."""
    step = int(np.lcm(group, 4))
    return max(_VALUES // max(n_weights * step, 1), 1) * step


def read(site: Site, match: Match, filled: Reals, at_once: int) -> Iterator[People]:
    """Yield the people of a site, so many at a time; a multiple of four.

    `filled`, (weights,), is the dosage of the effect allele for those not called.
    """
    n = site.source.n_samples
    for first in range(0, n, at_once):
        stop = min(first + at_once, n)
        dosage = np.zeros((stop - first, len(match.place)))
        for weights, rows in _tiles(site, match, first, stop):
            swapped = match.swapped[weights][:, None]
            dosage[:, weights] = np.where(swapped, 2.0 - rows, rows).T
        lost = np.isnan(dosage)
        copies = np.nansum(dosage, axis=1)
        np.copyto(dosage, filled[None, :], where=lost)
        yield People(first, dosage, copies, lost.sum(axis=1, dtype=np.int32))


def means(sites: Sequence[Site], variants: Variants, match: Match) -> Reals:
    """Return each weight's mean dosage of the effect allele over all sites, (weights,).

    NaN where nobody is called. A male counts half on chromosome X, where he has one allele.
    """
    place = np.maximum(match.place, 0)
    on_x = np.isin(variants.chromosome[place].astype(object), ("X", "23"))
    copies, people = np.zeros((2, len(place)))
    for site in sites:
        males = np.where(site.sex == _MALE, 0.5, 1.0)
        for first in range(0, site.source.n_samples, 4096):
            stop = min(first + 4096, site.source.n_samples)
            for weights, rows in _tiles(site, match, first, stop):
                share = np.where(on_x[weights][:, None], males[None, first:stop], 1.0)
                copies[weights] += np.nansum(rows * share, axis=1)
                people[weights] += np.sum(~np.isnan(rows) * share, axis=1)
    mean = np.divide(copies, people, out=np.full(len(place), np.nan), where=people > 0)
    return np.where(match.swapped, 2.0 - mean, mean)


def _tiles(
    site: Site, match: Match, first: int, stop: int
) -> Iterator[tuple[NDArray[np.int64], Reals]]:
    """Yield places of used weights and the genotypes' own dosages, (weights, people)."""
    used = np.flatnonzero(match.used)
    ordered = used[np.argsort(match.place[used], kind="stable")]
    source = site.source
    near = max(NEAR // max(width(source.n_samples), 1), 1)
    dosed = source if isinstance(source, DosageSource) and source.has_dosages else None
    for start in range(0, len(ordered), _VARIANTS):
        weights = ordered[start : start + _VARIANTS]
        places = match.place[weights]
        parts: list[Reals] = []
        for run in np.split(places, np.flatnonzero(np.diff(places) > near) + 1):
            low, high = int(run[0]), int(run[-1]) + 1
            if dosed is not None:
                rows = dosed.dosages(low, high)[run - low, first:stop]
                parts.append(rows.astype(np.float64))
                continue
            own = source.packed(low, high)[:, first // 4 : width(stop)][run - low]
            parts.append(decode(own, stop - first))
        yield weights, np.concatenate(parts)
