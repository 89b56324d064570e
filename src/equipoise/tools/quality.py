"""The quality of each site's genotypes, by variant and by person.

Nothing is removed: what is found is written beside each variant and person, and what to leave
out is for whoever reads it to say. Everything is of one site's own people: Hardy-Weinberg
tests are never pooled over sites (nor over strata, where these are given), and pairs of people
are compared within a site only.
"""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.variants import Variants
from equipoise.packed.kinship import TWIN, Pairs, relatives
from equipoise.solvers.unrelated import Unrelated, unrelated
from equipoise.tools import person_quality, variant_quality
from equipoise.tools.chromosome_kinds import AUTOSOME, kinds
from equipoise.tools.person_quality import PersonQuality
from equipoise.tools.relatedness import MOST_PAIRS, Genotypes, spans
from equipoise.tools.variant_quality import VariantQuality

EVERYBODY: Final = ""
"""The stratum of Hardy-Weinberg tests where none are given."""

COMPARED: Final = 20_000
COMMON: Final = 0.05
WELL_CALLED: Final = 0.95
"""People are compared by at most so many autosomal variants, spread over the genome, of at
least this minor allele frequency and call rate; `equipoise relatedness` takes all."""

TOO_MANY: Final = f"over {MOST_PAIRS:,} pairs are like relatives: are these genotypes of people?"


@dataclass(frozen=True, slots=True, eq=False)
class Kinships:
    """Pairs of a site's people: those of the second degree or nearer, and a histogram of all."""

    compared: int
    pairs: Pairs
    apart: Unrelated
    duplicate: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SiteQuality:
    """All that was found at a site.

    stratum  (people,) place in `strata`, -1 for none; tests are by stratum where there are any
    tested_in  in whom Hardy-Weinberg was tested, in words
    kinships  None where people were not compared, for `no_kinships`
    """

    site: str
    sample_ids: tuple[str, ...] = field(repr=False)
    sex: NDArray[np.int8] = field(repr=False)
    variants: VariantQuality = field(repr=False)
    people: PersonQuality = field(repr=False)
    strata: tuple[str, ...] = ()
    stratum: NDArray[np.int64] | None = field(default=None, repr=False)
    tested_in: str = "everybody"
    kinships: Kinships | None = field(default=None, repr=False)
    no_kinships: str = ""


@dataclass(frozen=True, slots=True)
class Groups:
    """Who belongs where at a site.

    strata    names, and (people,) the place of each person's, -1 for none
    controls  (people,) in whom Hardy-Weinberg is tested; None for everybody
    """

    strata: tuple[str, ...] = ()
    stratum: NDArray[np.int64] | None = None
    controls: NDArray[np.bool_] | None = None

    def tested(self, n: int) -> dict[str, NDArray[np.bool_]]:
        """Return the people in whom Hardy-Weinberg is tested, by stratum."""
        controls = np.ones(n, np.bool_) if self.controls is None else self.controls
        if self.stratum is None:
            return {EVERYBODY: controls}
        return {name: controls & (self.stratum == i) for i, name in enumerate(self.strata)}


def examine(
    site: str,
    source: Genotypes,
    sample_ids: tuple[str, ...],
    sex: NDArray[np.int8],
    variants: Variants,
    *,
    groups: Groups | None = None,
    compare: bool = True,
    cutoff: float,
    executor: Executor | None = None,
) -> SiteQuality:
    """Return the quality of a site's genotypes.

    sex      (people,) 1 male, 2 female, 0 unknown, as reported
    compare  whether people are compared with each other, which takes the square of their number
    cutoff   least kinship of the pairs that are listed
    """
    members = groups or Groups()
    of_variants, of_people = _tallied(source, variants, sex, members, executor)
    kinships, reason = None, "not asked for"
    if compare:
        kinships = _kinships(source, variants, of_variants, of_people, cutoff, executor)
        reason = TOO_MANY if kinships is None else ""
    return SiteQuality(
        site,
        sample_ids,
        sex,
        of_variants,
        of_people,
        members.strata,
        members.stratum,
        "everybody" if members.controls is None else "people without the trait",
        kinships,
        reason,
    )


def _tallied(
    source: Genotypes,
    variants: Variants,
    sex: NDArray[np.int8],
    groups: Groups,
    executor: Executor | None,
) -> tuple[VariantQuality, PersonQuality]:
    kind = kinds(variants)
    work = partial(_part, source, kind, sex, groups.tested(source.n_samples))
    bounds = list(spans(source)) or [(0, 0)]
    people = np.zeros((person_quality.ROWS, source.n_samples))
    parts: list[VariantQuality] = []
    for part, sums in map(work, bounds) if executor is None else executor.map(work, bounds):
        people += sums
        parts.append(part)
    of_variants = variant_quality.joined(parts)
    return of_variants, person_quality.quality_of(people, of_variants, kind, sex, groups.stratum)


def _part(
    source: Genotypes,
    kinds: NDArray[np.int64],
    sex: NDArray[np.int8],
    tested: Mapping[str, NDArray[np.bool_]],
    span: tuple[int, int],
) -> tuple[VariantQuality, NDArray[np.float64]]:
    """Return what variants `span` add: of themselves, and sums by person."""
    start, stop = span
    block, kind, n = source.packed(start, stop), kinds[start:stop], source.n_samples
    found = variant_quality.quality_of(block, n, kind, sex, tested)
    return found, person_quality.sums_by_person(block, n, kind, found.heterozygosity)


def _kinships(
    source: Genotypes,
    variants: Variants,
    found: VariantQuality,
    people: PersonQuality,
    cutoff: float,
    executor: Executor | None,
) -> Kinships | None:
    """Return the pairs of people, by common and well-called variants; None for too many."""
    good = (kinds(variants) == AUTOSOME) & (found.minor_frequency >= COMMON)
    places = np.flatnonzero(good & (found.call_rate >= WELL_CALLED))
    n = min(len(places), COMPARED)
    use = np.zeros(source.n_variants, np.bool_)
    use[places[np.arange(n) * len(places) // max(n, 1)]] = True
    pairs = relatives(source, cutoff=cutoff, use=use, executor=executor)
    if pairs.n > MOST_PAIRS:
        return None
    rates = np.nan_to_num(people.call_rate, nan=1.0)
    apart = unrelated(source.n_samples, pairs.first, pairs.second, call_rate=rates)
    duplicate = np.zeros(source.n_samples, np.bool_)
    same = pairs.kinship >= TWIN
    duplicate[pairs.first[same]] = duplicate[pairs.second[same]] = True
    return Kinships(n, pairs, apart, duplicate)
