"""Who is related to whom at each site, and a largest set of people who are not.

A pair is two rows, and rows do not leave a site: only pairs within one site are seen. Whether
one person takes part at two sites would need rows of both.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError
from equipoise.genotypes.variants import Variants
from equipoise.packed.decode import Block
from equipoise.packed.kinship import Pairs, degree, planes, relatives, tally
from equipoise.solvers.unrelated import Unrelated, unrelated

DEGREES: Final = ("duplicate or twin", "1st degree", "2nd degree", "3rd degree", "unrelated")

AUTOSOMES: Final = tuple(str(number) for number in range(1, 23))

COLUMNS: Final = ("SITE", "IID1", "IID2", "NSNP", "HETHET", "IBS0", "KINSHIP", "DEGREE")

ACROSS_SITES: Final = (
    "pairs within each site only: pairs across sites would need rows of both, which do not"
    " leave a site"
)

MOST_PAIRS: Final = 2_000_000
"""More pairs than these are not of relatives, and no unrelated set is looked for."""

_BYTES: Final = 2**22


class Genotypes(Protocol):
    """What is needed of a site's genotypes: any reader, or the sites' common list."""

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
class Related:
    """The related people of a site.

    compared  how many autosomal variants were compared
    pairs     of at least the cutoff; places in `sample_ids`
    apart     a largest set of people without such a pair; None beyond `MOST_PAIRS`
    """

    site: str
    sample_ids: tuple[str, ...] = field(repr=False)
    compared: int
    pairs: Pairs
    apart: Unrelated | None


def related(
    site: str,
    source: Genotypes,
    sample_ids: tuple[str, ...],
    variants: Variants,
    *,
    cutoff: float,
    cases: NDArray[np.bool_] | None = None,
    executor: Executor | None = None,
) -> Related:
    """Return the pairs of at least `cutoff` kinship, over all autosomal variants.

    Of largest sets of unrelated people the one with most `cases`, (people,), then with the
    best call rates. InputError where there is no autosomal variant.
    """
    use = autosomal(variants)
    if not use.any():
        raise InputError(
            f"{site}: no variant on chromosomes 1 to 22; expected autosomal variants to compare"
            " people by; give a file that has some, with chromosomes named 1 to 22"
        )
    pairs = relatives(source, cutoff=cutoff, use=use, executor=executor)
    if pairs.n > MOST_PAIRS:
        return Related(site, sample_ids, int(np.count_nonzero(use)), pairs, None)
    apart = unrelated(
        source.n_samples,
        pairs.first,
        pairs.second,
        cases=cases,
        call_rate=call_rates(source, pairs),
    )
    return Related(site, sample_ids, int(np.count_nonzero(use)), pairs, apart)


def autosomal(variants: Variants) -> NDArray[np.bool_]:
    """Return which variants are on chromosomes 1 to 22, (variants,)."""
    return np.isin(variants.chromosome.astype(object), AUTOSOMES)


def call_rates(source: Genotypes, pairs: Pairs) -> NDArray[np.float64]:
    """Return the call rate of everybody in a pair, (people,); 1 for all others."""
    rows = np.unique(np.concatenate([pairs.first, pairs.second]))
    missing = np.zeros(len(rows), np.int64)
    for start, stop in spans(source) if len(rows) else ():
        found = planes(source.packed(start, stop), source.n_samples, rows)
        missing += tally(found, np.zeros(found.n_variants)).not_called
    rates = np.ones(source.n_samples)
    rates[rows] = 1 - missing / max(source.n_variants, 1)
    return rates


def spans(source: Genotypes) -> Iterator[tuple[int, int]]:
    """Yield the blocks of variants that are read at once, of a few megabytes each."""
    size = max(1, _BYTES // max(1, (source.n_samples + 3) // 4))
    for start in range(0, source.n_variants, size):
        yield start, min(start + size, source.n_variants)


def write_pairs(path: Path, found: Sequence[Related]) -> None:
    """Write one row a pair, whole or not at all.

    `NSNP` variants are called in both; `HETHET` and `IBS0` are the shares of them at which
    both are heterozygous, and homozygous for different alleles, as plink2 --make-king-table
    has them; `KINSHIP` is KING-robust.
    """
    rows = (row for one in found for row in _rows(one))
    write_whole(path, ["\t".join(COLUMNS) + "\n", *rows])


def write_unrelated(path: Path, found: Sequence[Related]) -> None:
    """Write the IIDs and sites of the people of the unrelated sets, as plink2 --keep reads it.

    InputError where a site has no such set, for it has too many pairs.
    """
    rows = ["#IID\tSITE\n"]
    for one in found:
        if one.apart is None:
            raise InputError(
                f"{one.site}: {one.pairs.n} pairs of at least the cutoff; expected at most"
                f" {MOST_PAIRS} for an unrelated set; give a higher --cutoff"
            )
        kept = np.flatnonzero(one.apart.kept).tolist()
        rows += [f"{one.sample_ids[place]}\t{one.site}\n" for place in kept]
    write_whole(path, rows)


def _rows(one: Related) -> Iterator[str]:
    pairs, ids = one.pairs, one.sample_ids
    n = np.maximum(pairs.n_called, 1)
    columns = (
        pairs.first.tolist(),
        pairs.second.tolist(),
        pairs.n_called.tolist(),
        (pairs.het_het / n).tolist(),
        (pairs.ibs0 / n).tolist(),
        pairs.kinship.tolist(),
        degree(pairs.kinship).tolist(),
    )
    for first, second, called, both, apart, kinship, near in zip(*columns, strict=True):
        yield (
            f"{one.site}\t{ids[first]}\t{ids[second]}\t{called}\t{both:.9g}\t{apart:.9g}"
            f"\t{kinship:.9g}\t{DEGREES[near]}\n"
        )
