"""A site's genotypes in the order and orientation of the study's public list.

A variant of the list is matched by chromosome, position and both alleles. Where the site
counts the other allele its calls are flipped; where the site has no such variant nobody is
called. What else the site has is left out, and never named. Strand is taken as given.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import Block, absent, flip

LEAST_MATCHED: Final = 0.8

_ROW: Final = "row"


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
class AlignmentReport:
    """How many variants of the list the site has, has with alleles swapped, and has not."""

    matched: int
    swapped: int
    absent: int


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


def align(
    source: Source, source_variants: Variants, listed: Variants
) -> tuple[AlignedSource, AlignmentReport]:
    """Return the source as the list orders it, and what matched.

    Raises InputError where less than 80 % of the list is found: most likely the
    positions are of another genome build. Raises ValueError where `source_variants` does
    not describe `source`.

    >>> from equipoise.packed.decode import decode, encode
    >>> def variants(*rows):
    ...     return Variants.of(pl.DataFrame(rows, schema=list(HEADER), orient="row"))
    >>> class Site:
    ...     n_samples, n_variants = 2, 2
    ...     def packed(self, start, stop):
    ...         return encode(np.array([[2.0, 1], [0, np.nan]]))[start:stop]
    >>> own = variants(("22", 200, "A", "G"), ("22", 100, "C", "T"))
    >>> aligned, report = align(
    ...     Site(), own, variants(("22", 100, "C", "T"), ("22", 200, "G", "A"))
    ... )
    >>> report
    AlignmentReport(matched=1, swapped=1, absent=0)
    >>> decode(aligned.packed(0, 2), 2)
    array([[ 0., nan],
           [ 0.,  1.]])
    """
    if source.n_variants != source_variants.n_variants:
        raise ValueError(
            f"{source.n_variants} variants in the source, {source_variants.n_variants} described"
        )
    own = source_variants.frame().with_row_index(_ROW)
    wanted = listed.frame()
    same = _places(wanted, own)
    other = _places(wanted, own.rename({HEADER[2]: HEADER[3], HEADER[3]: HEADER[2]}))
    swapped = (same < 0) & (other >= 0)
    rows = np.where(swapped, other, same)
    report = AlignmentReport(
        matched=int(np.count_nonzero(same >= 0)),
        swapped=int(np.count_nonzero(swapped)),
        absent=int(np.count_nonzero(rows < 0)),
    )
    _refuse_too_few(report, listed.n_variants)
    return AlignedSource(source, rows, swapped), report


def _places(wanted: pl.DataFrame, own: pl.DataFrame) -> NDArray[np.int64]:
    """Return the row of `own` that holds each variant wanted, -1 for none."""
    joined = wanted.join(own, on=list(HEADER), how="left", maintain_order="left")
    return joined[_ROW].cast(pl.Int64).fill_null(-1).to_numpy()


def _refuse_too_few(report: AlignmentReport, n_listed: int) -> None:
    found = n_listed - report.absent
    if found < LEAST_MATCHED * n_listed:
        raise InputError(
            f"{found} of {n_listed} variants of the study's list are in this site's genotypes,"
            f" {found / n_listed:.0%}; expected at least {LEAST_MATCHED:.0%};"
            " most likely the positions are of another genome build than the study names, or"
            " chromosomes have other names: lift the genotypes over, or take the right files"
        )
