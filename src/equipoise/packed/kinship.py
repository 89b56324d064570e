"""How alike pairs of people are, and what each person has, from person-major bit planes.

A block is turned from variant-major to one row of bits a person; then a pair of people is
compared 64 variants at a time by counting bits. Nothing is decoded, and a pass holds one
block of variants and one strip of pairs, whatever the size of the file.

The kinship is KING-robust between families (Manichaikul et al. 2010,
doi:10.1093/bioinformatics/btq559, equation 11), over the variants called in both:

    kinship = 1/2 - (4 N(opposite homozygotes) + N(one heterozygous, the other not)) / (4 N(het))

with N(het) the smaller of the two people's numbers of heterozygous genotypes; it is what
plink2 --make-king-table gives. A person and a copy of them have 1/2, unrelated people of one
population 0, and people of different populations less.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled
from equipoise.packed.decode import Block, check, width
from equipoise.packed.vectors import first_one, ones

TWIN: Final = 0.354
FIRST: Final = 0.177
SECOND: Final = 0.0884
THIRD: Final = 0.0442
"""Least kinship of a duplicate or twin, and of relatives of the first to the third degree."""

BINS: Final = 120
LEAST_BIN, MOST_BIN = -0.1, 0.5
"""The histogram of kinship: bins of .005; what lies beyond is in the outermost."""

CELLS: Final = 2**22
"""Pairs of one strip: 20 bytes each."""

_WORDS: Final = 128
_BLOCK: Final = 2**21
"""Words of one plane of a block of variants: at most so many a person, and in all."""

_TILE: Final = 32
_KINDS: Final = 5

Words = NDArray[np.uint64]


class Source(Protocol):
    """Genotypes in blocks, as `cohort.BlockSource` says."""

    @property
    def n_samples(self) -> int:
        """Number of people."""
        ...

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        ...

    def packed(self, start: int, stop: int) -> Block:
        """Return variants start to stop, (stop - start, ceil(n_samples / 4))."""
        ...


@dataclass(frozen=True, slots=True)
class Planes:
    """The genotypes of a block, a row of bits a person; each (people, words of 64 variants).

    Variant v is bit v % 64 of word v // 64. Beyond the last variant nobody is called.

    het  heterozygous
    hom  homozygous for either allele
    a2   homozygous for A2
    """

    n_variants: int
    het: Words = field(repr=False)
    hom: Words = field(repr=False)
    a2: Words = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tally:
    """What each person has in a block, arrays of shape (people,).

    het         heterozygous genotypes
    not_called  variants without a call
    weight      the summed weights of the variants without a call
    """

    het: NDArray[np.int64]
    not_called: NDArray[np.int64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of people of at least a given kinship, arrays of shape (pairs,).

    first, second  places among the people compared, first < second; sorted
    n_called       variants called in both
    het_het        of these, heterozygous in both
    ibs0           of these, homozygous in both for different alleles
    kinship        from -inf to 1/2
    histogram      (BINS,) all pairs by kinship, not only those listed
    undefined      how many pairs have no kinship, for want of a heterozygous genotype
    """

    first: NDArray[np.int64] = field(repr=False)
    second: NDArray[np.int64] = field(repr=False)
    n_called: NDArray[np.int64] = field(repr=False)
    het_het: NDArray[np.int64] = field(repr=False)
    ibs0: NDArray[np.int64] = field(repr=False)
    kinship: NDArray[np.float64] = field(repr=False)
    histogram: NDArray[np.int64] = field(repr=False)
    undefined: int = 0

    @property
    def n(self) -> int:
        """Number of pairs listed."""
        return len(self.first)


def degree(kinship: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return 0 for a duplicate or twin, 1 to 3 for the degree of relatives, 4 beyond.

    >>> degree(np.array([0.5, 0.25, 0.177, 0.06, 0.0])).tolist()
    [0, 1, 1, 3, 4]
    """
    return np.sum([kinship < least for least in (TWIN, FIRST, SECOND, THIRD)], axis=0)


def planes(block: Block, n_samples: int, rows: NDArray[np.int64] | None = None) -> Planes:
    """Return the genotypes of the people `rows`, or of all, a row of bits a person.

    >>> found = planes(np.array([[0b11100100], [0b00000010]], np.uint8), 4)
    >>> found.het.tolist(), found.hom.tolist(), found.a2.tolist()
    ([[2], [0], [1], [0]], [[1], [2], [2], [3]], [[0], [0], [0], [1]])
    """
    check(block, n_samples)
    chosen = np.arange(n_samples) if rows is None else rows
    first = int(chosen.min(initial=n_samples)) // 4
    needed = block[:, first : width(int(chosen.max(initial=-1)) + 1)]
    low = np.full((4 * needed.shape[1], 64 * ((len(block) + 63) // 64) // 8), 0xFF, np.uint8)
    high = np.zeros_like(low)
    _transpose(needed, low, high)
    upper, lower = (bits.view(np.uint64)[chosen - 4 * first] for bits in (high, low))
    return Planes(len(block), upper & ~lower, ~(upper ^ lower), upper & lower)


def tally(found: Planes, weights: NDArray[np.float64]) -> Tally:
    """Return what each person has; `weights`, (variants,), are summed where not called.

    >>> block = np.array([[0b11100100], [0b00000010]], np.uint8)
    >>> tally(planes(block, 4), np.array([0.5, 0.25]))
    Tally(het=array([1, 0, 1, 0]), not_called=array([0, 1, 0, 0]), weight=array([0. , 0.5, 0. , 0. ]))
    """
    if weights.shape != (found.n_variants,):
        raise ValueError(f"weights of shape {weights.shape} for {found.n_variants} variants")
    people = len(found.het)
    het, not_called = np.zeros((2, people), np.int64)
    weight = np.zeros(people)
    _tally(found.het, found.hom, weights.astype(np.float64), het, not_called, weight)
    return Tally(het, not_called, weight)


def pair_counts(left: Planes, right: Planes, counts: NDArray[np.uint32], after: int) -> None:
    """Add the variants of a block to the counts of pairs, (left, right, 5).

    The five are: het in both; opposite homozygotes; het on the left and hom on the right;
    the reverse; hom in both. Person i on the left meets those from i + `after` on.
    """
    one, other = (left.het, left.hom, left.a2), (right.het, right.hom, right.a2)
    _add_pairs(one, other, counts, after)


def relatives(
    source: Source,
    *,
    cutoff: float,
    use: NDArray[np.bool_] | None = None,
    rows: NDArray[np.int64] | None = None,
    executor: Executor | None = None,
    cells: int = CELLS,
) -> Pairs:
    """Return the pairs of at least `cutoff` kinship, and the histogram of all.

    use       (variants,) which to compare; they should be autosomal. All if not given
    rows      the people's places in the file; all in order if not given
    executor  runs strips of pairs, of which each reads the file by itself
    cells     pairs of one strip, which bounds the memory of one that runs: 20 bytes each

    ValueError for masks of other shapes. Pairs without a heterozygous genotype in one of the
    two are never listed.
    """
    chosen = np.arange(source.n_samples) if rows is None else rows
    used = np.ones(source.n_variants, np.bool_) if use is None else use
    if used.shape != (source.n_variants,):
        raise ValueError(f"a mask of shape {used.shape}; expected ({source.n_variants},)")
    work = partial(_strip, source, used, chosen, cutoff)
    spans = strips(len(chosen), cells)
    found = list(map(work, spans) if executor is None else executor.map(work, spans))
    return _joined([_nobody(), *found])


def strips(people: int, cells: int = CELLS) -> tuple[tuple[int, int], ...]:
    """Return spans of people, each to be compared with all from its first on.

    A span has at most `cells` pairs, but at least one person, and at most an eighth of all
    pairs, so that several can run at once.

    >>> strips(10, 30)
    ((0, 3), (3, 7), (7, 10))
    """
    most = max(min(cells, people * people // 16), 30)
    found: list[tuple[int, int]] = []
    start = 0
    while start < people:
        stop = min(start + max(most // (people - start), 1), people)
        found.append((start, stop))
        start = stop
    return tuple(found)


def _strip(
    source: Source,
    use: NDArray[np.bool_],
    rows: NDArray[np.int64],
    cutoff: float,
    span: tuple[int, int],
) -> Pairs:
    """Return the pairs of the people of a span with all that come after them."""
    start, stop = span
    counts = np.zeros((stop - start, len(rows) - start, _KINDS), np.uint32)
    for block in _blocks(source, use, len(rows)):
        right = planes(block, source.n_samples, rows[start:])
        near = slice(stop - start)
        left = Planes(right.n_variants, right.het[near], right.hom[near], right.a2[near])
        pair_counts(left, right, counts, 1)
    return _joined([_nobody(), *(_row(counts, i, start, cutoff) for i in range(stop - start))])


def _blocks(source: Source, use: NDArray[np.bool_], people: int) -> Iterator[Block]:
    """Yield blocks of the variants in use; one has so many words that all planes stay small."""
    size = 64 * min(max(_BLOCK // max(people, 1), 8), _WORDS)
    for first in range(0, source.n_variants, size):
        wanted = use[first : first + size]
        if wanted.any():
            block = source.packed(first, min(first + size, source.n_variants))
            yield block if wanted.all() else block[wanted]


def _row(counts: NDArray[np.uint32], i: int, start: int, cutoff: float) -> Pairs:
    """Return what is to be listed of a person's pairs, and the histogram of all of them."""
    both, apart, first, second, homs = counts[i, i + 1 :].astype(np.int64).T
    smaller = both + np.minimum(first, second)
    defined = smaller > 0
    kinship = np.full(len(both), np.nan)
    kinship[defined] = 0.5 - (4 * apart + first + second)[defined] / (4 * smaller[defined])
    kept = np.flatnonzero(defined & (kinship >= cutoff))
    place = (kinship[defined] - LEAST_BIN) / (MOST_BIN - LEAST_BIN) * BINS
    bins = np.clip(np.floor(place), 0, BINS - 1).astype(np.int64)
    return Pairs(
        np.full(len(kept), start + i),
        start + i + 1 + kept,
        (both + first + second + homs)[kept],
        both[kept],
        apart[kept],
        kinship[kept],
        np.bincount(bins, minlength=BINS),
        int(np.count_nonzero(~defined)),
    )


def _nobody() -> Pairs:
    none = np.zeros(0, np.int64)
    return Pairs(none, none, none, none, none, np.zeros(0), np.zeros(BINS, np.int64))


def _joined(parts: list[Pairs]) -> Pairs:
    names = ("first", "second", "n_called", "het_het", "ibs0", "kinship")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    histogram = np.sum([part.histogram for part in parts], axis=0)
    undefined = sum(part.undefined for part in parts)
    return Pairs(**columns, histogram=histogram, undefined=undefined)


@compiled
def _transpose(block: Any, low: Any, high: Any) -> None:
    """Write each person's lower and upper bits, eight variants a byte.

    Eight variants by eight bits are turned as one word (Warren, Hacker's Delight, 7-3). A
    group of fewer than eight is filled up with 01, not called.
    """
    variants, columns = block.shape
    for near in range(0, columns, 64):
        for g in range((variants + 7) // 8):
            group = block[8 * g : min(8 * g + 8, variants)]
            for c in range(near, min(near + 64, columns)):
                _transpose_group(group, c, low, high, g)


@compiled
def _transpose_group(group: Any, c: Any, low: Any, high: Any, g: Any) -> None:
    x = np.uint64(0x5555555555555555)
    for v in range(len(group)):
        x ^= np.uint64(group[v, c] ^ np.uint8(0x55)) << np.uint64(8 * v)
    t = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    x ^= t ^ (t << np.uint64(7))
    t = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    x ^= t ^ (t << np.uint64(14))
    t = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    x ^= t ^ (t << np.uint64(28))
    for k in range(4):
        low[4 * c + k, g] = np.uint8(x >> np.uint64(16 * k) & np.uint64(255))
        high[4 * c + k, g] = np.uint8(x >> np.uint64(16 * k + 8) & np.uint64(255))


@compiled
def _tally(het: Any, hom: Any, weights: Any, hets: Any, missing: Any, weight: Any) -> None:
    people, words = het.shape
    for i in range(people):
        for w in range(words):
            hets[i] += np.int64(ones(het[i, w]))
            left = ~(het[i, w] | hom[i, w])
            while left:
                v = 64 * w + np.int64(first_one(left))
                if v >= len(weights):
                    break
                missing[i] += 1
                weight[i] += weights[v]
                left &= left - np.uint64(1)


@compiled
def _add_pairs(left: Any, right: Any, out: Any, after: Any) -> None:
    # Tiles, so that the rows of both sides stay in the processor's cache.
    (h1, m1, a1), (h2, m2, a2) = left, right
    for i0 in range(0, len(h1), _TILE):
        for j0 in range(0, len(h2), _TILE):
            for i in range(i0, min(i0 + _TILE, len(h1))):
                for j in range(max(j0, i + after), min(j0 + _TILE, len(h2))):
                    _add_pair(h1[i], m1[i], a1[i], h2[j], m2[j], a2[j], out[i, j])


@compiled
def _add_pair(h1: Any, m1: Any, a1: Any, h2: Any, m2: Any, a2: Any, out: Any) -> None:
    both = apart = first = second = homs = np.int64(0)
    for w in range(len(h1)):
        alike = m1[w] & m2[w]
        both += np.int64(ones(h1[w] & h2[w]))
        apart += np.int64(ones(alike & (a1[w] ^ a2[w])))
        first += np.int64(ones(h1[w] & m2[w]))
        second += np.int64(ones(m1[w] & h2[w]))
        homs += np.int64(ones(alike))
    out[0] += both
    out[1] += apart
    out[2] += first
    out[3] += second
    out[4] += homs
