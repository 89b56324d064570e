"""One chromosome: its variants, and everybody's genotypes block by block.

Two models give the same form, `Chromosome`: haplotypes of a history of populations
(`demography.py`), mated where relatives are asked for; or independent variants.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.packed.decode import Block, people
from equipoise.simulation import loops
from equipoise.simulation.demography import RECOMBINATION, History, chromosome
from equipoise.simulation.design import Design
from equipoise.simulation.roster import Index, Roster

Keys = NDArray[np.uint64]

BYTES: Final = 2**23
"""Of one block of haplotypes or genotypes, which bounds the memory of a chromosome."""

_TRANSITIONS: Final = 2 / 3
"""Share of single-base changes that are transitions, as in people: their ratio is near 2.1."""

_BASES: Final = np.array(["A", "C", "G", "T"])
_TRANSITION: Final = np.array([2, 3, 0, 1])
_TRANSVERSIONS: Final = np.array([[1, 3], [0, 2], [1, 3], [0, 2]])


@dataclass(frozen=True, slots=True)
class Part:
    """Which of the design's chromosomes, and how many of its variants.

    number   1 to 22
    n        variants to be made
    first    how many the chromosomes before it have
    """

    number: int
    n: int
    first: int


def parts(design: Design) -> tuple[Part, ...]:
    """Return the chromosomes, each with a like number of variants, the hidden ones among them."""
    total = design.variants + design.hidden
    ends = [total * c // design.chromosomes for c in range(design.chromosomes + 1)]
    return tuple(Part(c + 1, ends[c + 1] - ends[c], ends[c]) for c in range(design.chromosomes))


@dataclass(frozen=True, slots=True)
class Chromosome:
    """The variants of one chromosome and how to have their genotypes.

    position  (variants,) 1-based, rising
    block     gives variants start to stop of everybody, (stop - start, roster.n_bytes)
    rows      variants of a block that keep to the bound of memory
    """

    position: NDArray[np.int64] = field(repr=False)
    block: Callable[[int, int], Block] = field(repr=False)
    rows: int


def generator(design: Design, part: Part, use: int) -> np.random.Generator:
    """Return the source of random numbers of one chromosome for one use."""
    return np.random.default_rng([design.seed, 2, part.number, use])


def keys(design: Design, part: Part, use: int) -> Keys:
    """Return the key of each variant's stream for one use, (variants,)."""
    return generator(design, part, use).integers(0, 2**64, part.n, np.uint64)


def letters(rng: np.random.Generator, n: int) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return the derived and the ancestral base of each variant, transitions twice as often."""
    ancestral = rng.integers(0, 4, n)
    other = _TRANSVERSIONS[ancestral, rng.integers(0, 2, n)]
    derived = np.where(rng.random(n) < _TRANSITIONS, _TRANSITION[ancestral], other)
    return _BASES[derived], _BASES[ancestral]


def make(design: Design, roster: Roster, part: Part) -> Chromosome:
    """Return one chromosome; InputError where it has too few variants of the frequency asked."""
    made = _random if design.model == "random" else _coalescent
    return made(design, roster, part)


def _random(design: Design, roster: Roster, part: Part) -> Chromosome:
    """Return variants with frequencies of Balding and Nichols 1995 (doi:10.1007/BF01441146).

    The common ancestor's minor frequency has density 1/p between the least asked and 1/2, near
    that of neutral equilibrium; with one population it is that population's.
    """
    rng = generator(design, part, 1)
    ancestor = design.maf * (0.5 / design.maf) ** rng.random(part.n)
    frequency = ancestor[:, None]
    if len(design.people) > 1:
        spread = 1 / design.fst - 1
        shape = (part.n, len(design.people))
        drawn = rng.beta(ancestor[:, None] * spread, (1 - ancestor)[:, None] * spread, shape)
        frequency = np.clip(drawn, design.maf, 1 - design.maf)
    # Floor and not round: a probability of 1 must stay within 32 bits.
    one = np.floor((1 - (1 - frequency) ** 2) * 2**32).astype(np.uint64)
    two = np.floor(frequency**2 * 2**32).astype(np.uint64)
    streams = keys(design, part, 2)
    population = np.zeros(4 * roster.n_bytes, np.int8)
    population[roster.slots] = roster.population
    mask = _mask(roster)

    def block(start: int, stop: int) -> Block:
        made = np.empty((stop - start, roster.n_bytes), np.uint8)
        loops.draw(one[start:stop], two[start:stop], population, streams[start:stop], made)
        made &= mask
        return made

    step = design.bases // part.n
    position = np.arange(part.n) * step + rng.integers(1, step + 1, part.n)
    return Chromosome(position, block, max(1, BYTES // roster.n_bytes))


def _coalescent(design: Design, roster: Roster, part: Part) -> Chromosome:
    rng = generator(design, part, 1)
    seeds = rng.integers(1, 2**32 - 1, 2)
    people_of = dict(design.people)
    history = chromosome(people_of, design.bases, (int(seeds[0]), int(seeds[1])), dict(design.amr))
    sites = _eligible(design, history)
    if sites.size < part.n:
        raise InputError(
            f"chromosome {part.number}: {sites.size} variants of a minor allele frequency from"
            f" {design.maf} on in {design.bases:,} bases; expected {part.n}; give a greater"
            " --length or a lower --maf, or ask for fewer --variants"
        )
    chosen = np.sort(rng.choice(sites, part.n, replace=False))
    position = history.position[chosen]
    gametes = _gametes(rng, roster, design.bases)
    first, second = _columns(roster)
    founders = 2 * roster.n

    def block(start: int, stop: int) -> Block:
        haplotypes = np.empty((stop - start, founders + len(roster.parent)), np.uint8)
        for row, site in enumerate(chosen[start:stop].tolist()):
            haplotypes[row, :founders] = history.haplotypes(site)
        loops.pass_on(
            haplotypes, roster.parent, *gametes, position[start:stop], haplotypes[:, founders:]
        )
        made = np.empty((stop - start, roster.n_bytes), np.uint8)
        loops.pack(haplotypes, first, second, made)
        return made

    rows = max(1, BYTES // (founders + len(roster.parent)))
    return Chromosome(position, block, rows)


def _eligible(design: Design, history: History) -> NDArray[np.int64]:
    """Return the sites of one mutation and of the frequency asked, among founders."""
    share = history.carried / (2 * np.array([n for _, n in design.people]))
    common = np.minimum(share, 1 - share) >= design.maf
    asked = common.all(axis=1) if design.maf_everywhere else common.any(axis=1)
    return np.flatnonzero(asked & history.once)


def _gametes(
    rng: np.random.Generator, roster: Roster, bases: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each gamete's crossings begin, and the crossings, without interference."""
    morgans = bases * RECOMBINATION
    crossings: list[NDArray[np.int64]] = []
    for number in cast("list[int]", rng.poisson(morgans, len(roster.parent)).tolist()):
        places = np.sort(rng.integers(2, bases + 1, number, np.int64))
        begun = np.full(int(rng.integers(0, 2)), -1, np.int64)
        crossings.append(np.concatenate((begun, places)))
    start = np.cumsum([0, *map(len, crossings)])
    return start, np.concatenate([*crossings, np.empty(0, np.int64)])


def _columns(roster: Roster) -> tuple[Index, Index]:
    """Return the two haplotypes of each place of a block, -1 for nobody."""
    columns = np.full((2, 4 * roster.n_bytes), -1, np.int32)
    columns[:, roster.slots] = roster.haplotypes.T
    return columns[0], columns[1]


def _mask(roster: Roster) -> NDArray[np.uint8]:
    """Return the bytes with both bits of each person set."""
    present = np.zeros(4 * roster.n_bytes, np.bool_)
    present[roster.slots] = True
    return people(len(present), present)
