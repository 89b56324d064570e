"""Who is simulated: population, site, sex and relatives of each person, in the order of files."""

from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.packed.decode import width
from equipoise.simulation.design import Design

KINDS: Final = ("parent and child", "full sibs")
"""The pairs of relatives, in turn."""

KINSHIP: Final = 0.25
"""The kinship coefficient of either."""

Index = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two relatives, by their places among all people."""

    one: int
    other: int
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Roster:
    """All people written, site after site, each site in the order of its files.

    population  (people,) place in the design's populations
    site        (people,) place in the design's sites, rising
    sex         (people,) 1 male, 2 female
    haplotypes  (people, 2) columns: founder f has 2f and 2f + 1, gamete g 2·founders + g
    parent      (gametes,) the founder who passed each on
    pairs       relatives
    There are as many founders as people: whom a child replaces is not written.
    """

    population: Index = field(repr=False)
    site: Index = field(repr=False)
    sex: NDArray[np.int8] = field(repr=False)
    haplotypes: Index = field(repr=False)
    parent: Index = field(repr=False)
    pairs: tuple[Pair, ...] = field(repr=False)
    n_sites: int

    @property
    def n(self) -> int:
        """Number of people."""
        return len(self.population)

    @property
    def ids(self) -> list[str]:
        """IID of each person, who is said to be simulated and not where from."""
        digits = max(6, len(str(self.n)))
        return [f"SIM{i + 1:0{digits}d}" for i in range(self.n)]

    def members(self, site: int) -> slice:
        """Return the places of a site's people."""
        first, last = np.searchsorted(self.site, (site, site + 1))
        return slice(int(first), int(last))

    def columns(self, site: int) -> slice:
        """Return the bytes of a site's people, where each site begins at a whole byte."""
        sizes = [width(_size(self.members(s))) for s in range(site + 1)]
        return slice(sum(sizes[:-1]), sum(sizes))

    @property
    def slots(self) -> Index:
        """Place of each person in blocks of everybody, (people,)."""
        each = [
            4 * self.columns(s).start + np.arange(_size(self.members(s)))
            for s in range(self.n_sites)
        ]
        return np.concatenate(each).astype(np.int32)

    @property
    def n_bytes(self) -> int:
        """Bytes of a variant in blocks of everybody."""
        return self.columns(self.n_sites - 1).stop


def _size(part: slice) -> int:
    return part.stop - part.start


Unit = list[tuple[int, int]]
"""People who stay together, each by the columns of two haplotypes."""


def roster(design: Design) -> Roster:
    """Return who is simulated, by the design and its seed; InputError for an empty site."""
    rng = np.random.default_rng([design.seed, 1])
    rows: list[tuple[int, int, int, int]] = []
    together: list[tuple[int, int, str]] = []
    parent: list[int] = []
    for p, ((_, n), couples) in enumerate(zip(design.people, _pairs(design), strict=True)):
        units = _units(design, p, couples, parent)
        before = 0
        for u in cast("list[int]", rng.permutation(len(units)).tolist()):
            if u < couples:
                together.append((len(rows), len(rows) + 1, KINDS[u % 2]))
            site = p if design.sites is None else before * design.sites // n
            rows += [(p, site, *haplotypes) for haplotypes in units[u]]
            before += len(units[u])
    table = np.array(rows, np.int32)
    order = np.lexsort((rng.permutation(len(table)), table[:, 1]))
    place = np.argsort(order)
    pairs = [_pair(int(place[one]), int(place[other]), kind) for one, other, kind in together]
    table = table[order]
    if len(np.unique(table[:, 1])) < len(design.site_names):
        raise InputError("--sites: a site without people; take fewer sites or more people")
    return Roster(
        population=table[:, 0],
        site=table[:, 1],
        sex=rng.integers(1, 3, len(table)).astype(np.int8),
        haplotypes=table[:, 2:],
        parent=np.array(parent, np.int32),
        pairs=tuple(sorted(pairs, key=lambda pair: pair.one)),
        n_sites=len(design.site_names),
    )


def _pair(one: int, other: int, kind: str) -> Pair:
    return Pair(min(one, other), max(one, other), kind)


def _units(design: Design, population: int, pairs: int, parent: list[int]) -> list[Unit]:
    """Return a population's people, pairs of relatives first, and add their gametes' parents.

    Each pair takes two founders, a couple: the one is written with their child, or, where
    there are two children, neither is.
    """
    first = sum(n for _, n in design.people[:population])
    last = first + design.people[population][1]
    units: list[Unit] = []
    for k in range(pairs):
        couple = first + 2 * k, first + 2 * k + 1
        unit = [] if k % 2 else [_own(couple[0])]
        while len(unit) < 2:
            gamete = 2 * design.n_people + len(parent)
            unit.append((gamete, gamete + 1))
            parent.extend(couple)
        units.append(unit)
    return units + [[_own(founder)] for founder in range(first + 2 * pairs, last)]


def _own(founder: int) -> tuple[int, int]:
    return 2 * founder, 2 * founder + 1


def _pairs(design: Design) -> list[int]:
    """Return how many pairs each population has: in proportion, the largest remainders first."""
    exact = [design.relatives * n / design.n_people for _, n in design.people]
    whole = [int(share) for share in exact]
    rest = sorted(range(len(exact)), key=lambda p: whole[p] - exact[p])
    for p in rest[: design.relatives - sum(whole)]:
        whole[p] += 1
    return whole
