"""A site's genotypes in the order and orientation of the study's public list.

A variant of the list is matched by chromosome, position and both alleles, as the list spells
them or as the other strand does (`strand.py`); a match as the list spells them comes first, so
that no variant of the site stands for two. Where the site counts the other allele its calls
are flipped; where the site has no such variant nobody is called. What else the site has is
left out, and never named.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.cohort import DosageSource
from equipoise.errors import InputError
from equipoise.genotypes import strand
from equipoise.genotypes.variants import FREQUENCY, HEADER, Variants
from equipoise.packed.counts import genotype_counts
from equipoise.packed.decode import Block, absent, flip

LEAST_MATCHED: Final = 0.8
LEAST_READ: Final = 0.5

_ROW: Final = "row"
_CHUNK: Final = 4096


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


@dataclass(frozen=True, slots=True, eq=False)
class HardCalls:
    """A source without its dosages: a study counts whole alleles."""

    source: Source = field(repr=False)

    @property
    def n_samples(self) -> int:
        """Number of people."""
        return self.source.n_samples

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        return self.source.n_variants

    def packed(self, start: int, stop: int) -> Block:
        """Return variants start to stop, (stop - start, ceil(n_samples / 4))."""
        return self.source.packed(start, stop)


@dataclass(frozen=True, slots=True)
class AlignmentReport:
    """What became of the variants of the list at a site.

    matched       read as they are
    swapped       the site counts the other allele: flipped
    absent        not called by anybody
    other_strand  the site names the alleles on the other strand, whichever it counts
    palindromic_by_frequency  A/T and C/G among matched and swapped that frequencies told
    palindromic_dropped       those among the absent that nothing told

    The first four add up to the list.
    """

    matched: int
    swapped: int
    absent: int
    other_strand: int = 0
    palindromic_by_frequency: int = 0
    palindromic_dropped: int = 0

    @property
    def used(self) -> int:
        """How many variants of the list are read."""
        return self.matched + self.swapped + self.other_strand


@dataclass(frozen=True, slots=True, eq=False)
class AlignedSource:
    """The variants of the list: a BlockSource over another.

    rows     (variants,) the place of each in the source, -1 where absent
    swapped  (variants,) whether the source counts the other allele
    """

    source: Source = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    swapped: NDArray[np.bool_] = field(repr=False)

    @property
    def n_samples(self) -> int:
        """Number of people, in the order of the source."""
        return self.source.n_samples

    @property
    def n_variants(self) -> int:
        """Number of variants of the list."""
        return len(self.rows)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which variants of the list the source has, (variants,)."""
        return self.rows >= 0

    def packed(self, start: int, stop: int) -> Block:
        """Return variants start to stop of the list, (stop - start, ceil(n_samples / 4)).

        One span of the source is asked for, from the first to the last row needed: of a
        mapped file only the rows themselves are then read.
        """
        rows, swapped = self.rows[start:stop], self.swapped[start:stop]
        block = absent(len(rows), self.n_samples)
        present = np.flatnonzero(rows >= 0)
        if present.size:
            wanted = rows[present]
            first = int(wanted.min())
            span = self.source.packed(first, int(wanted.max()) + 1)
            block[present] = span[wanted - first]
            block[swapped] = flip(block[swapped], self.n_samples)
        return block

    @property
    def has_dosages(self) -> bool:
        """Whether `dosages` says more than the hard calls."""
        return isinstance(self.source, DosageSource) and self.source.has_dosages

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages of the list's effect alleles, (variants, samples), NaN not called."""
        if not isinstance(self.source, DosageSource):
            raise TypeError("a source without dosages")
        rows, swapped = self.rows[start:stop], self.swapped[start:stop]
        found = np.full((len(rows), self.n_samples), np.nan, np.float32)
        present = np.flatnonzero(rows >= 0)
        if present.size:
            wanted = rows[present]
            first = int(wanted.min())
            found[present] = self.source.dosages(first, int(wanted.max()) + 1)[wanted - first]
            found[swapped] = 2 - found[swapped]
        return found

    def __reduce__(self) -> tuple[Callable[..., "AlignedSource"], tuple[object, ...]]:
        """Pickle the runs of consecutive rows: of a whole chromosome, two numbers."""
        begins = np.flatnonzero(np.diff(self.rows, prepend=self.rows[:1]) != 1)
        lengths = np.diff(begins, append=len(self.rows))
        return _of_runs, (self.source, self.rows[begins], lengths, np.packbits(self.swapped))


def _of_runs(
    source: Source,
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
    swapped: NDArray[np.uint8],
) -> AlignedSource:
    """Return the source whose rows are runs from `first`, each of so many; `swapped` as bits."""
    before = np.cumsum(lengths) - lengths
    rows = np.repeat(first - before, lengths) + np.arange(int(lengths.sum()))
    return AlignedSource(source, rows, np.unpackbits(swapped, count=len(rows)).astype(np.bool_))


def align(
    source: Source, source_variants: Variants, listed: Variants
) -> tuple[AlignedSource, AlignmentReport]:
    """Return the source as the list orders it, and what matched.

    Raises InputError where less than 80 % of the list is found: most likely the
    positions are of another genome build; and where less than half of it is left, for the
    strand of the others cannot be told. Raises ValueError where `source_variants` does
    not describe `source`.

    >>> from equipoise.packed.decode import decode, encode
    >>> def variants(*rows):
    ...     return Variants.of(pl.DataFrame(rows, schema=list(HEADER), orient="row"))
    >>> class Site:
    ...     n_samples, n_variants = 2, 3
    ...     def packed(self, start, stop):
    ...         return encode(np.array([[2.0, 1], [0, np.nan], [1, 2]]))[start:stop]
    >>> own = variants(("22", 200, "A", "G"), ("22", 100, "C", "T"), ("22", 300, "T", "G"))
    >>> wanted = variants(("22", 100, "C", "T"), ("22", 200, "G", "A"), ("22", 300, "A", "C"))
    >>> aligned, report = align(Site(), own, wanted)
    >>> report.matched, report.swapped, report.other_strand, report.absent
    (1, 1, 1, 0)
    >>> decode(aligned.packed(0, 3), 2)
    array([[ 0., nan],
           [ 0.,  1.],
           [ 1.,  2.]])
    """
    if source.n_variants != source_variants.n_variants:
        raise ValueError(
            f"{source.n_variants} variants in the source, {source_variants.n_variants} described"
        )
    wanted = listed.frame()
    found = _found(wanted, source_variants.frame().with_row_index(_ROW))
    _refuse_too_few(int(np.count_nonzero(found.rows >= 0)), listed.n_variants)
    aligned, report = _oriented(source, found, wanted, listed.frequency)
    _refuse_too_ambiguous(report, listed.n_variants)
    return aligned, report


@dataclass(frozen=True, slots=True)
class _Found:
    """Where each variant of the list is, by its letters alone, arrays of shape (variants,).

    rows     its place in the source, -1 for none
    swapped  whether the source counts the other allele, if it is on the strand taken
    other    whether the letters are those of the other strand
    """

    rows: NDArray[np.int64]
    swapped: NDArray[np.bool_]
    other: NDArray[np.bool_]


def _found(wanted: pl.DataFrame, own: pl.DataFrame) -> _Found:
    rows, swapped = _either_way(wanted, own)
    other = np.zeros(len(rows), np.bool_)
    left = np.flatnonzero((rows < 0) & strand.spelled(wanted))
    if left.size:
        unused = np.ones(len(own), np.bool_)
        unused[rows[rows >= 0]] = False
        turned = strand.complemented(wanted[left])
        rows[left], swapped[left] = _either_way(turned, own.filter(unused))
        other[left] = rows[left] >= 0
    return _Found(rows, swapped, other)


def _either_way(
    wanted: pl.DataFrame, own: pl.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row of each variant wanted, -1 for none, and whether its alleles are swapped."""
    same = _places(wanted, own)
    other = _places(wanted, own.rename({HEADER[2]: HEADER[3], HEADER[3]: HEADER[2]}))
    swapped = (same < 0) & (other >= 0)
    return np.where(swapped, other, same), swapped


def _places(wanted: pl.DataFrame, own: pl.DataFrame) -> NDArray[np.int64]:
    """Return the row of `own` that holds each variant wanted, -1 for none."""
    joined = wanted.join(own, on=list(HEADER), how="left", maintain_order="left")
    return joined[_ROW].cast(pl.Int64).fill_null(-1).to_numpy()


def _oriented(
    source: Source, found: _Found, wanted: pl.DataFrame, listed: NDArray[np.float64] | None
) -> tuple[AlignedSource, AlignmentReport]:
    """Return the source with the strand of A/T and C/G decided, and what became of all."""
    rows, swapped, other = found.rows.copy(), found.swapped.copy(), found.other.copy()
    palindromic = strand.palindromic(wanted) & (rows >= 0)
    telling = strand.single(wanted) & ~palindromic & (rows >= 0)
    n_other = int(np.count_nonzero(telling & other))
    turned = strand.consensus(int(np.count_nonzero(telling)) - n_other, n_other)
    told = np.zeros(0, np.bool_)
    if turned is not None:
        other[palindromic], swapped[palindromic] = turned, swapped[palindromic] ^ turned
    else:
        places = np.flatnonzero(palindromic)
        plain = AlignedSource(source, rows[places], swapped[places])
        known = np.full(len(places), np.nan) if listed is None else listed[places]
        flipped, told = strand.flipped_by_frequency(known, *_copies(plain))
        swapped[places] ^= flipped
        rows[places[~told]] = -1
    swapped &= rows >= 0
    return AlignedSource(source, rows, swapped), _report(_Found(rows, swapped, other), told)


def _report(found: _Found, told: NDArray[np.bool_]) -> AlignmentReport:
    """Return what became of all; `told` is of the variants left to their frequency."""
    here = found.rows >= 0
    return AlignmentReport(
        matched=int(np.count_nonzero(here & ~found.swapped & ~found.other)),
        swapped=int(np.count_nonzero(here & found.swapped & ~found.other)),
        absent=int(np.count_nonzero(~here)),
        other_strand=int(np.count_nonzero(here & found.other)),
        palindromic_by_frequency=int(np.count_nonzero(told)),
        palindromic_dropped=int(np.count_nonzero(~told)),
    )


def _copies(source: AlignedSource) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many copies of the effect allele are called, of how many, (variants,)."""
    copies, alleles = np.zeros((2, source.n_variants), np.int64)
    for start in range(0, source.n_variants, _CHUNK):
        part = slice(start, start + _CHUNK)
        a1, het, a2, _ = genotype_counts(source.packed(start, start + _CHUNK), source.n_samples).T
        copies[part], alleles[part] = 2 * a1 + het, 2 * (a1 + het + a2)
    return copies, alleles


def _refuse_too_few(found: int, n_listed: int) -> None:
    if found < LEAST_MATCHED * n_listed:
        raise InputError(
            f"{found} of {n_listed} variants of the study's list are in this site's genotypes,"
            f" {found / n_listed:.0%}; expected at least {LEAST_MATCHED:.0%};"
            " most likely the positions are of another genome build than the study names, or"
            " chromosomes have other names: lift the genotypes over, or take the right files"
        )


def _refuse_too_ambiguous(report: AlignmentReport, n_listed: int) -> None:
    if report.used < LEAST_READ * n_listed:
        raise InputError(
            f"{report.palindromic_dropped} of {n_listed} variants of the study's list are A/T or"
            " C/G and of unknown strand in this site's genotypes, and too few others are left;"
            f" expected at least {LEAST_READ:.0%} of the list that can be read;"
            " write the genotypes on one strand, or give the list a column"
            f" {FREQUENCY}"
        )
