"""A linear scan of all variants: exact complete cases at one site, sums over several."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequency
from equipoise.analyses.scan import Scan
from equipoise.cohort import Cohort, Held, blocks_of
from equipoise.solvers.regression import Effects, Moments, complete_cases, regress
from equipoise.tools.adding import Adding
from equipoise.tools.design import Design

BYTES: Final = 2**22
"""Of packed genotypes in one block."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan gives, in the order of the list; NaN where not estimable.

    effects  as of standardised traits
    called   (variants,) people with a call
    alleles  (variants,) effect alleles (or dosages) among them
    """

    effects: Effects = field(repr=False)
    called: NDArray[np.float64] = field(repr=False)
    alleles: NDArray[np.float64] = field(repr=False)


def block_size(n_samples: int) -> int:
    """Return how many variants a block has.

    >>> block_size(20_000)
    832
    """
    return max(16, BYTES // max((n_samples + 3) // 4, 1) // 16 * 16)


def at_one_site(
    cohort: Cohort, design: Design, executor: Executor | None, at: Callable[[int], None]
) -> Scanned:
    """Return the scan of one site; who is not called at a variant is left out there."""
    cohort = replace(cohort, executor=executor)
    names = (*design.covariates, *design.traits)
    columns = np.column_stack([np.zeros((cohort.n, 0)), *map(cohort.column, names)])
    k = len(design.covariates)
    held = cohort.held(columns, np.array(design.bounds))
    with_ones = np.column_stack([np.ones(cohort.n), held.values])
    ones = cohort.held(with_ones, np.array((1.0, *design.bounds)))
    moments = Moments.of(with_ones[:, : k + 1], with_ones[:, k + 1 :])
    bounds = blocks_of(cohort.genotypes.n_variants, block_size(cohort.genotypes.n_samples))

    def work(start: int, stop: int) -> tuple[Effects, NDArray[np.float64]]:
        return _complete(cohort, moments, (held, ones), (start, stop))

    return _joined(_told(cohort, work, bounds, at))


def over_sites(
    cohorts: tuple[Cohort, ...], design: Design, protection: str, executor: Executor | None
) -> Scanned:
    """Return the scan over several sites; a missing call counts as the mean over all of them."""
    # Counts of the first round serve the second one too.
    cohorts = tuple(replace(cohort, executor=executor, counted={}) for cohort in cohorts)
    people = sum(cohort.n for cohort in cohorts)
    n_variants = cohorts[0].genotypes.n_variants
    size = block_size(max(cohort.genotypes.n_samples for cohort in cohorts))
    adding = Adding(cohorts, protection)
    counted = adding.run(Frequency(people, n_variants, 0, 1, size))
    scan = Scan(people, n_variants, design.traits, design.covariates, design.bounds, counted, size)
    effects = adding.run(scan).effects()
    return Scanned(effects, counted.called.astype(np.float64), counted.alleles.astype(np.float64))


def _complete(
    cohort: Cohort, moments: Moments, columns: tuple[Held, Held], block: tuple[int, int]
) -> tuple[Effects, NDArray[np.float64]]:
    held, ones = columns
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
    absent = cohort.products_not_called(start, stop, ones)
    return complete_cases(moments, cg, gy, square, absent), counted


def _told(
    cohort: Cohort,
    work: Callable[[int, int], tuple[Effects, NDArray[np.float64]]],
    bounds: tuple[tuple[int, int], ...],
    at: Callable[[int], None],
) -> Iterator[tuple[Effects, NDArray[np.float64]]]:
    for (_, stop), found in zip(bounds, cohort.map_blocks(work, bounds), strict=True):
        at(stop)
        yield found


def _joined(parts: Iterator[tuple[Effects, NDArray[np.float64]]]) -> Scanned:
    blocks = list(parts)
    effects = Effects(
        *(
            np.concatenate([getattr(part, name) for part, _ in blocks])
            for name in ("beta", "standard_error", "dof", "status")
        )
    )
    called, alleles = np.concatenate([counted for _, counted in blocks], axis=1)
    return Scanned(effects, called, alleles)
