"""The quality of each site's genotypes, by variant and by person.

Nothing is removed: what is found is written beside each variant and person, and what to leave
out is for whoever reads it to say. Everything is of one site's own people: Hardy-Weinberg
tests are never pooled over sites (nor over strata, where these are given), and pairs of people
are compared within a site only.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.variants import Variants
from equipoise.packed.counts import cell_counts
from equipoise.packed.decode import Block
from equipoise.packed.kinship import TWIN, Pairs, planes, relatives, tally
from equipoise.solvers.hardy_exact import neg_log_10_p
from equipoise.solvers.outliers import distances
from equipoise.solvers.unrelated import Unrelated, unrelated
from equipoise.tools.relatedness import AUTOSOMES, MOST_PAIRS, Genotypes, spans

EVERYBODY: Final = ""
"""The stratum of Hardy-Weinberg tests where none are given."""

AUTOSOME, X, Y, SHARED, OTHER = range(5)
"""Kinds of chromosome: X without its ends, which Y shares and everybody has two copies of."""

MOST_FEMALE, LEAST_MALE = 0.2, 0.8
"""Inbreeding on X, as in PLINK: below the first two X chromosomes, above the second one."""

LEAST_X: Final = 50
"""Fewer polymorphic variants on X tell nobody's sex."""

COMPARED: Final = 20_000
COMMON: Final = 0.05
WELL_CALLED: Final = 0.95
"""People are compared by at most so many autosomal variants, spread over the genome, of at
least this minor allele frequency and call rate; `equipoise relatedness` takes all."""

TOO_MANY: Final = f"over {MOST_PAIRS:,} pairs are like relatives: are these genotypes of people?"

UNKNOWN, MALE, FEMALE = 0, 1, 2

_X_NAMES: Final = ("X", "x", "23")
_Y_NAMES: Final = ("Y", "y", "24")
_SHARED_NAMES: Final = ("XY", "xy", "25", "PAR1", "PAR2")
_FIRST_END, _LAST_START = 2_781_479, 154_931_044
"""Ends of X that Y shares: up to the end of PAR1 in GRCh38, and from the start of PAR2 in
GRCh37. In either build a few more variants are left out than must be."""


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
        return 1 - _ratio(self.counts[:, 3], self.counts.sum(axis=1))

    @property
    def frequency(self) -> NDArray[np.float64]:
        """The frequency of the effect allele, NaN where nobody is called."""
        return _ratio(self.copies, self.alleles)

    @property
    def minor(self) -> NDArray[np.int64]:
        """Copies of the rarer allele."""
        return np.minimum(self.copies, self.alleles - self.copies)

    @property
    def minor_frequency(self) -> NDArray[np.float64]:
        """The frequency of the rarer allele, NaN where nobody is called."""
        return _ratio(self.minor, self.alleles)


@dataclass(frozen=True, slots=True)
class PersonQuality:
    """What each person has, arrays of shape (people,).

    missing, variants  variants not called, of how many; those on Y count for men alone
    polymorphic        autosomal variants called that differ among the site's people
    hom, expected_hom  of these, homozygous, and how many would be in equilibrium
    inbreeding         1 - heterozygous / expected, as plink2 --het; NaN without a call
    distance           spreads of inbreeding from the median of the stratum (`solvers.outliers`)
    x                  inbreeding on X; None where X tells nothing, for `no_sex_check`
    """

    missing: NDArray[np.int64]
    variants: NDArray[np.int64]
    polymorphic: NDArray[np.int64]
    hom: NDArray[np.int64]
    expected_hom: NDArray[np.float64]
    inbreeding: NDArray[np.float64]
    distance: NDArray[np.float64]
    x: NDArray[np.float64] | None
    no_sex_check: str = ""

    @property
    def call_rate(self) -> NDArray[np.float64]:
        """The share of variants called."""
        return 1 - _ratio(self.missing, self.variants)

    @property
    def sex(self) -> NDArray[np.int8] | None:
        """The sex that X tells: 1 male, 2 female, 0 neither; None where X tells nothing."""
        if self.x is None:
            return None
        return np.where(self.x > LEAST_MALE, MALE, FEMALE * (self.x < MOST_FEMALE)).astype(np.int8)


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


def kinds(variants: Variants) -> NDArray[np.int64]:
    """Return the kind of chromosome of each variant, (variants,)."""
    name = variants.chromosome.astype(object)
    position = variants.position
    shared = np.isin(name, _SHARED_NAMES)
    x = np.isin(name, _X_NAMES)
    ends = x & ((position <= _FIRST_END) | (position >= _LAST_START))
    found = np.full(len(name), OTHER)
    found[np.isin(name, AUTOSOMES)] = AUTOSOME
    found[x & ~ends] = X
    found[np.isin(name, _Y_NAMES)] = Y
    found[shared | ends] = SHARED
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    """What one block of variants adds: counts, tests, and sums by person."""

    counts: NDArray[np.int64]
    copies: NDArray[np.int64]
    alleles: NDArray[np.int64]
    tests: tuple[HardyTests, ...]
    people: NDArray[np.float64]


_HET, _CALLED, _EXPECTED, _MISSING, _MISSING_Y, _HET_X, _EXPECTED_X = range(7)
"""Rows of `_Part.people`."""


def _tallied(
    source: Genotypes,
    variants: Variants,
    sex: NDArray[np.int8],
    groups: Groups,
    executor: Executor | None,
) -> tuple[VariantQuality, PersonQuality]:
    kind, tested = kinds(variants), groups.tested(source.n_samples)
    work = partial(_part, source, kind, sex, tuple(tested.values()))
    bounds = list(spans(source)) or [(0, 0)]
    people = np.zeros((7, source.n_samples))
    parts: list[_Part] = []
    for part in map(work, bounds) if executor is None else executor.map(work, bounds):
        people += part.people
        parts.append(_Part(part.counts, part.copies, part.alleles, part.tests, people[:0]))
    hardy = {name: _joined([part.tests[i] for part in parts]) for i, name in enumerate(tested)}
    of_variants = VariantQuality(
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.copies for part in parts]),
        np.concatenate([part.alleles for part in parts]),
        hardy,
    )
    return of_variants, _of_people(people, of_variants, kind, sex, groups)


def _joined(parts: Sequence[HardyTests]) -> HardyTests:
    names = ("n", "minor", "p", "mid_p")
    return HardyTests(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _part(
    source: Genotypes,
    kinds: NDArray[np.int64],
    sex: NDArray[np.int8],
    tested: tuple[NDArray[np.bool_], ...],
    span: tuple[int, int],
) -> _Part:
    """Return what variants `span` add."""
    start, stop = span
    block, kind, n = source.packed(start, stop), kinds[start:stop], source.n_samples
    counted = cell_counts(block, n, np.array([np.ones(n, np.bool_), *tested]))
    counts, of_tested = counted[0], counted[1:]
    haploid = np.zeros_like(counts)
    on_x, on_y = kind == X, kind == Y
    if np.any(on_x | on_y):
        men_and_women = [sex == MALE, *(who & (sex == FEMALE) for who in tested)]
        men, *women = cell_counts(block, n, np.array(men_and_women))
        haploid[on_x | on_y] = men[on_x | on_y]
        counts[on_y] = men[on_y]
        of_tested[:, on_x] = np.array(women)[:, on_x]
    two = counts - haploid
    # A man's one copy is coded as two, and a heterozygous one is an error that counts for none.
    copies = 2 * two[:, 0] + two[:, 1] + haploid[:, 0]
    alleles = 2 * two[:, :3].sum(axis=1) + haploid[:, 0] + haploid[:, 2]
    testable = np.isin(kind, (AUTOSOME, X, SHARED))
    tests = tuple(_test(own, testable) for own in of_tested)
    people = _by_person(block, n, kind, _heterozygosity(copies, alleles))
    return _Part(counts, copies, alleles, tests, people)


def _test(counts: NDArray[np.int64], testable: NDArray[np.bool_]) -> HardyTests:
    hom, het, other, _ = counts.T
    n = hom + het + other
    p, mid = neg_log_10_p(het, hom, other)
    untested = ~testable | (n == 0)
    p[untested] = mid[untested] = np.nan
    return HardyTests(n, 2 * np.minimum(hom, other) + het, p, mid)


def _heterozygosity(copies: NDArray[np.int64], alleles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 2pq of each variant, 0 where nobody is called."""
    p = np.nan_to_num(_ratio(copies, alleles))
    return 2 * p * (1 - p)


def _by_person(
    block: Block, n: int, kind: NDArray[np.int64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sums of a block by person, (7, people)."""
    people = np.zeros((7, n))
    different = expected > 0
    parts = (
        ((kind == AUTOSOME) & different, (_HET, _EXPECTED)),
        ((kind == X) & different, (_HET_X, _EXPECTED_X)),
        (kind == Y, None),
    )
    left = np.ones(len(block), np.bool_)
    for chosen, rows in parts:
        left &= ~chosen
        if not chosen.any():
            continue
        found = tally(planes(block if chosen.all() else block[chosen], n), expected[chosen])
        people[_MISSING if rows else _MISSING_Y] += found.not_called
        if rows:
            people[rows[0]] += found.het
            people[rows[1]] += expected[chosen].sum() - found.weight
        if rows == (_HET, _EXPECTED):
            people[_CALLED] += np.count_nonzero(chosen) - found.not_called
    if left.any():
        found = tally(planes(block[left], n), expected[left])
        people[_MISSING] += found.not_called
    return people


def _of_people(
    sums: NDArray[np.float64],
    variants: VariantQuality,
    kind: NDArray[np.int64],
    sex: NDArray[np.int8],
    groups: Groups,
) -> PersonQuality:
    men = sex == MALE
    on_y = int(np.count_nonzero(kind == Y))
    inbreeding = 1 - _ratio(sums[_HET], sums[_EXPECTED])
    told = int(np.count_nonzero((kind == X) & (variants.minor > 0)))
    reason = "" if told >= LEAST_X else f"{told} variants on X that differ among people"
    return PersonQuality(
        (sums[_MISSING] + men * sums[_MISSING_Y]).astype(np.int64),
        len(kind) - on_y + men * on_y,
        sums[_CALLED].astype(np.int64),
        (sums[_CALLED] - sums[_HET]).astype(np.int64),
        sums[_CALLED] - sums[_EXPECTED],
        inbreeding,
        distances(inbreeding, groups.stratum),
        None if reason else 1 - _ratio(sums[_HET_X], sums[_EXPECTED_X]),
        reason,
    )


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


def _ratio(
    part: NDArray[np.int64] | NDArray[np.float64], whole: NDArray[np.int64] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a share, NaN of nothing."""
    none = whole == 0
    return np.where(none, np.nan, part / np.where(none, 1, whole))
