"""A linear scan of all variants: exact complete cases at one site, sums over several."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.analyses.scan import Scan
from equipoise.cohort import Cohort, Held, blocks_of
from equipoise.record import rounded
from equipoise.solvers.regression import Effects, Moments, complete_cases, regress
from equipoise.tools.association_rows import room
from equipoise.tools.design import Design

BYTES: Final = 2**22
"""Of packed genotypes in one block."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan gives of the variants `start` to `stop`; NaN where not estimable.

    effects  as of standardised traits
    called   (variants,) people with a call
    alleles  (variants,) effect alleles (or dosages) among them
    """

    start: int
    stop: int
    effects: Effects = field(repr=False)
    called: NDArray[np.float64] = field(repr=False)
    alleles: NDArray[np.float64] = field(repr=False)


NEAR: Final = 64
"""Standard deviations: what lies no further has 22 bits of them, rounded by less than 1e-5 of one.

That moves t, over n people of whom it takes random parts, by less than 1e-5 times a number of
about 1.
"""

T = TypeVar("T")


def block_size(n_samples: int) -> int:
    """Return how many variants a block has.

    >>> block_size(20_000)
    832
    """
    return max(16, BYTES // max((n_samples + 3) // 4, 1) // 16 * 16)


def at_one_site(
    cohort: Cohort, design: Design, executor: Executor | None, told: Callable[[Scanned], T]
) -> Iterator[T]:
    """Yield what `told` makes of each block of the scan of one site, where it was computed.

    Who is not called at a variant is left out there.
    """
    cohort = replace(cohort, executor=executor)
    names = (*design.covariates, *design.traits)
    columns = np.column_stack([np.zeros((cohort.n, 0)), *map(cohort.column, names)])
    k = len(design.covariates)
    held = cohort.held(columns, np.array(design.bounds))
    with_ones = np.column_stack([np.ones(cohort.n), held.values])
    moments = Moments.of(with_ones[:, : k + 1], with_ones[:, k + 1 :])
    bounds = blocks_of(cohort.genotypes.n_variants, block_size(cohort.genotypes.n_samples))

    def work(start: int, stop: int) -> T:
        effects, (called, alleles) = _complete(cohort, moments, (held, with_ones), (start, stop))
        return told(Scanned(start, stop, effects, called, alleles))

    return cohort.map_blocks(work, bounds)


def over_sites(
    cohorts: tuple[Cohort, ...], design: Design, protection: str, executor: Executor | None
) -> Iterator[Scanned]:
    """Yield the scan over several sites, block by block.

    A missing call counts as the mean over all of them.
    """
    n_variants = cohorts[0].genotypes.n_variants
    # Counts of the first round serve the second one too.
    cohorts = tuple(
        replace(cohort, executor=executor, counted=Counted(n_variants)) for cohort in cohorts
    )
    people = sum(cohort.n for cohort in cohorts)
    # Every block of every site is masked and added by itself.
    size = 2 * block_size(max(cohort.genotypes.n_samples for cohort in cohorts))
    adding = import_module("equipoise.tools.adding").Adding(cohorts, protection)
    counted: Frequencies = adding.run(Frequency(people, n_variants, 0, 1, size))
    names, bounds = (design.traits, design.covariates), design.bounds
    digits = 3 if max(bounds) <= NEAR else 4
    scan = Scan(people, n_variants, *names, bounds, counted, size, digits)
    state = rounded(scan.start())
    totals = adding.totals(scan, state)
    head = next(totals)
    for (start, stop), block in zip(blocks_of(n_variants, size), totals, strict=True):
        # What follows from the totals follows from each block by itself.
        effects = rounded(scan.advance(state, (head, block)).result).effects()
        called, alleles = counted.called[start:stop], counted.alleles[start:stop]
        yield Scanned(start, stop, effects, called.astype(float), alleles.astype(float))


class Counted(dict[tuple[int, int], NDArray[np.int64]]):
    """Counts of blocks of variants, in half the room, that need not be in memory."""

    def __init__(self, n_variants: int) -> None:
        """Make room for the counts of so many variants."""
        super().__init__()
        self._room = room((n_variants, 4), np.int32)

    def __setitem__(self, block: tuple[int, int], counts: NDArray[np.int64]) -> None:
        """Take the counts of a block, (variants, 4)."""
        start, stop = block
        self._room[start:stop] = counts
        super().__setitem__(block, self._room[:0])

    def __getitem__(self, block: tuple[int, int]) -> NDArray[np.int64]:
        """Return the counts of a block; KeyError where there are none."""
        super().__getitem__(block)
        start, stop = block
        return self._room[start:stop].astype(np.int64)


def _complete(
    cohort: Cohort,
    moments: Moments,
    columns: tuple[Held, NDArray[np.float64]],
    block: tuple[int, int],
) -> tuple[Effects, NDArray[np.float64]]:
    held, with_ones = columns
    start, stop = block
    k = len(moments.cc)
    if cohort.with_dosages:
        dosage = cohort.dosage(start, stop)
        missing = np.count_nonzero(np.isnan(dosage), axis=1)
        g = np.nan_to_num(dosage)
        total, square, products = g.sum(axis=1), np.einsum("vi,vi->v", g, g), g @ held.values
    else:
        twice, once, _, missing = cohort.counts(start, stop).T
        total, square = (2 * twice + once).astype(np.float64), (4 * twice + once).astype(np.float64)
        products = cohort.products(start, stop, held)
    cg, gy = np.column_stack([total, products[:, : k - 1]]), products[:, k - 1 :]
    counted = np.stack([cohort.n - missing, total]).astype(np.float64)
    if not missing.any():
        return regress(moments, cg, gy, square), counted
    absent = cohort.products_not_called(start, stop, with_ones)
    return complete_cases(moments, cg, gy, square, absent), counted
