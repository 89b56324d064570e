"""A site's sums by stratum and fold, and how totals of them become moments of LD blocks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.cohort import Cohort, Held
from equipoise.errors import InputError
from equipoise.packed.cell_loops import unfold
from equipoise.packed.cell_sums import cell_sums
from equipoise.packed.cells import CellColumns, Cells, cells_of, columns_of
from equipoise.solvers.block_moments import BlockMoments
from equipoise.sums import Sums

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BlockSums:
    """Sums of one block, by fold and stratum.

    triangle  (folds, strata, b (b + 1) / 2) the upper triangle of G'G; nothing where not asked for
    squares   (folds, strata, b) its diagonal
    products  (folds, strata, b, columns) with the column of ones and the others
    """

    triangle: Array = field(repr=False)
    squares: Array = field(repr=False)
    products: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class CellMoments:
    """One site's columns, ready to be multiplied with genotypes in every stratum and fold.

    cell     (samples,) fold * strata + stratum, -1 in none; with weights the fold alone
    weights  (strata, samples) multiples of `step`; nothing where people are in one stratum
    """

    cohort: Cohort
    held: Held
    folds: int
    strata: int
    step: float
    cell: NDArray[np.int64]
    weights: NDArray[np.int64]
    packed: tuple[Cells, CellColumns] | None

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        columns: tuple[str, ...],
        bounds: Array,
        folds: int,
        *,
        stratum: str,
        strata: int,
        weights: tuple[str, ...],
        step: float,
    ) -> "CellMoments":
        """Return the sums of a cohort; see `analyses.moments.Moments` for what is meant.

        InputError where a weight is not from 0 to 1.
        """
        values = np.column_stack([np.zeros((cohort.n, 0)), *map(cohort.column, columns)])
        held = cohort.held(values, bounds)
        cell = cohort.fold.copy()
        if not weights:
            number = cohort.column(stratum) if stratum else np.zeros(cohort.n)
            cell = _cells(number, cohort.fold, strata)
        own = [_weights(cohort.column(name), step) for name in weights]
        weight = np.array(own, np.int64).reshape(len(own), cohort.n)
        made = cls(cohort, held, folds, strata, step if own else 1.0, cell, weight, None)
        if cohort.with_dosages:
            return made
        return cls(cohort, held, folds, strata, made.step, cell, weight, made._packed())

    def head(self) -> Sums:
        """Return people, C'C, C'y and y'y, by fold and stratum; y is the last column."""
        c = np.column_stack([np.ones(self.cohort.n), self.held.values])
        cells = self.folds if len(self.weights) else self.folds * self.strata
        members = [np.flatnonzero(self.cell == i) for i in range(cells)]
        weights = self.weights * self.step if len(self.weights) else np.ones((1, self.cohort.n))
        found = np.array([[(c[m].T * w[m]) @ c[m] for m in members] for w in weights])
        products = self._by_fold(found.reshape(len(weights), cells, *c.shape[1:] * 2))
        people = np.array([[w[m].sum() for m in members] for w in weights])
        return {
            "people": self._by_fold(people),
            "cc": products[..., :-1, :-1],
            "cy": products[..., :-1, -1],
            "yy": products[..., -1, -1],
        }

    def block(
        self, start: int, stop: int, mean: Array, used: NDArray[np.bool_], *, linkage: bool
    ) -> BlockSums:
        """Return the sums of variants start to stop; see `packed.cell_sums.cell_sums`."""
        if self.packed is None:
            gram, products = self._of_dosages(start, stop, mean, used, linkage)
        else:
            source = self.cohort.genotypes.packed(start, stop)
            gram, products = cell_sums(source, *self.packed, mean, used, linkage)
        gram, products = self._by_fold(gram), self._by_fold(products)
        if len(self.weights):
            gram, products = gram * self.step, products * self.step
        if not linkage:
            return BlockSums(gram[..., :0], gram, products)
        return BlockSums(gram, gram[..., triangle_diagonal(stop - start)], products)

    def _packed(self) -> tuple[Cells, CellColumns]:
        samples, rows = self.cohort.genotypes.n_samples, self.cohort.rows
        cells = self.folds if len(self.weights) else self.folds * self.strata
        ones = np.zeros((samples, 1), np.int64)
        ones[rows] = 1
        whole = np.column_stack([ones, self.held.packed.whole])
        grid = np.concatenate([[1.0], self.held.packed.grid])
        if not len(self.weights):
            return (made := cells_of(samples, rows, self.cell, cells)), columns_of(
                made, whole, grid
            )
        weights = np.zeros((self.strata, samples), np.int64)
        weights[:, rows] = self.weights
        made = cells_of(samples, rows, self.cell, cells)
        return made, columns_of(made, whole, grid, weights)

    def _of_dosages(
        self, start: int, stop: int, mean: Array, used: NDArray[np.bool_], linkage: bool
    ) -> tuple[Array, Array]:
        """Return what `cell_sums` does, of dosages between whole numbers."""
        dosage = self.cohort.dosage(start, stop)
        g = np.where(np.isnan(dosage), mean[:, None], dosage) * used[:, None]
        c = np.column_stack([np.ones(self.cohort.n), self.held.values])
        cells = self.folds if len(self.weights) else self.folds * self.strata
        upper = np.triu_indices(len(g)) if linkage else (np.arange(len(g)),) * 2
        weights = self.weights if len(self.weights) else np.ones((1, self.cohort.n), np.int64)
        gram = np.zeros((len(weights), cells, len(upper[0])))
        products = np.zeros((len(weights), cells, len(g), c.shape[1]))
        for i in range(cells):
            m = np.flatnonzero(self.cell == i)
            for s, w in enumerate(weights):
                weighted = g[:, m] * w[m]
                gram[s, i] = (weighted @ g[:, m].T)[upper]
                products[s, i] = weighted @ c[m]
        return gram, products

    def _by_fold(self, found: Array) -> Array:
        """Return sums by set of weights and cell with axes over folds and strata."""
        if len(self.weights):
            return np.swapaxes(found, 0, 1)
        return found.reshape(self.folds, self.strata, *found.shape[2:])


def reference_counts(cohort: Cohort, n_variants: int) -> Frequencies:
    """Return the calls and alleles of a reference's people; every variant with a call is used."""
    counting = Frequency(cohort.n, n_variants, 0, 1)
    sums = counting.summarise(cohort, counting.start())
    return counting.advance(counting.start(), sums).result


def reference_moments(cohort: Cohort, starts: tuple[int, ...]) -> BlockMoments:
    """Return the moments of a reference's people: linkage alone, missing calls as their own mean.

    What `solvers.reference_linkage` takes in place of linkage that few people cannot release.
    Nothing is read of the people but genotypes.

    starts  where LD blocks begin among the variants of the cohort, and where the last ends
    """
    everybody = replace(cohort, columns={}, fold=np.zeros(cohort.n, np.int64))
    counted = reference_counts(everybody, starts[-1])
    sums = CellMoments.of(everybody, (), np.zeros(0), 1, stratum="", strata=1, weights=(), step=1.0)

    def block(start: int, stop: int) -> tuple[Array, Array]:
        found = sums.block(start, stop, *counted.means(start, stop), linkage=True)
        return symmetric(found.triangle[0, 0], stop - start), found.products[0, 0, :, 0]

    parts = list(cohort.map_blocks(block, tuple(pairwise(starts))))
    total = np.concatenate([total for _, total in parts])
    return BlockMoments(
        people=float(cohort.n),
        trait=np.zeros(2),
        covariates=np.full((1, 1), float(cohort.n)),
        covariates_trait=np.zeros(1),
        genotype_covariates=total[:, None],
        genotype_trait=np.zeros(starts[-1]),
        genotypes=tuple(gram for gram, _ in parts),
        starts=np.array(starts, np.int64),
    )


def triangle_diagonal(size: int) -> NDArray[np.int64]:
    """Return where the diagonal lies in an upper triangle, row by row.

    >>> triangle_diagonal(3)
    array([0, 3, 5])
    """
    i = np.arange(size)
    return i * size - i * (i - 1) // 2


def blocks_from(
    sums: Mapping[str, Array], stratum: int, place: int | None, starts: NDArray[np.int64]
) -> BlockMoments:
    """Return one stratum's moments from sums whose first axis runs over strata.

    `place` is that of its triangles in `gg`; None for matrices of the diagonal alone.
    """
    bounds = list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
    squares = sums["squares"][stratum]
    if place is None:
        matrices = tuple(np.diag(squares[a:b]) for a, b in bounds)
    else:
        sizes = np.array([(b - a) * (b - a + 1) // 2 for a, b in bounds], np.int64)
        parts = np.split(sums["gg"][place], np.cumsum(sizes)[:-1])
        matrices = tuple(symmetric(p, b - a) for p, (a, b) in zip(parts, bounds, strict=True))
    return BlockMoments(
        people=float(sums["people"][stratum]),
        trait=np.array([sums["cy"][stratum, 0], sums["yy"][stratum]]),
        covariates=sums["cc"][stratum],
        covariates_trait=sums["cy"][stratum],
        genotype_covariates=sums["gc"][stratum],
        genotype_trait=sums["gy"][stratum],
        genotypes=matrices,
        starts=starts,
    )


def symmetric(triangle: Array, size: int) -> Array:
    """Return the matrix of an upper triangle, row by row."""
    matrix = np.empty((size, size))
    unfold(np.ascontiguousarray(triangle), matrix)
    return matrix


def in_part(cohort: Cohort, part: str, number: int) -> Cohort:
    """Return the cohort with the people of one part as fold 0 and all others in none.

    The cohort as it is where no column parts people.
    """
    if not part:
        return cohort
    return replace(cohort, fold=np.where(cohort.column(part) == number, 0, -1))


def _cells(number: Array, fold: NDArray[np.int64], strata: int) -> NDArray[np.int64]:
    """Return each person's cell; whoever has no fold, or another number than 0, 1, ..., is in none."""
    known = np.isin(number, np.arange(strata)) & (fold >= 0)
    return np.where(known, fold * strata + np.where(known, number, 0).astype(np.int64), -1)


def _weights(values: Array, step: float) -> NDArray[np.int64]:
    """Return weights as multiples of `step`, rounded person by person."""
    if not np.all((values >= 0) & (values <= 1)):
        raise InputError("a weight of a stratum that is not from 0 to 1; correct its column")
    return np.rint(values / step).astype(np.int64)
