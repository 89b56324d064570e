"""Sums over people of what trains a gene network, from packed genotypes, in bounded memory.

The first layer works on whole numbers and is exact: dosages are centred on a sixteenth of an
allele, weights lie on a grid, gradients are whole steps, and all sums stay below 2**53. So
values of genes do not depend on who is computed beside a person, nor sums on how people are
spread over sites. With dosages between whole numbers that is so but for the last digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.models.gene_network import (
    Batch,
    Single,
    Steps,
    gradients,
    predictors,
)
from equipoise.models.gene_shape import Parts, Shape
from equipoise.packed.decode import valued

Array = NDArray[np.float64]

PER_ALLELE: Final = 16.0
"""Centred dosages are multiples of one over this."""

WEIGHT: Final = 2.0**-20
"""Weights of dosages are multiples of this."""

AT_ONCE: Final = 512
"""Variants decoded at a time, unless one gene has more."""

VALUES: Final = 1 << 24
"""Values of genes held at a time."""

MOST_PEOPLE: Final = 4096
"""People held at a time, however few genes there are."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How the variants of the list are read.

    centre  (variants,) multiples of 1 / PER_ALLELE; who is not called has this dosage
    scale   (variants,) the standard deviation of dosages, 0 for a variant that is not used
    """

    centre: Array
    scale: Array

    @staticmethod
    def of(mean: Array, used: NDArray[np.bool_]) -> "Coding":
        """Return the coding of variants of these mean dosages 2p; those not used count nothing."""
        used = used & np.isfinite(mean)
        p = np.where(used, mean, 1.0) / 2
        deviation = np.sqrt(2 * p * (1 - p))
        centre = np.where(used, np.rint(PER_ALLELE * 2 * p) / PER_ALLELE, 0.0)
        return Coding(centre, np.where(used, deviation, 0.0))

    def per_allele(self, members: NDArray[np.int64], values: Array) -> Array:
        """Return weights of standardised dosages, or their gradients, by allele: over the scale."""
        scale = self.scale[members][:, None]
        return np.where(scale > 0, values / np.where(scale > 0, scale, 1.0), 0.0)


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of each person besides genotypes; see `gene_network.Batch`."""

    offset: Array
    covariates: Array
    trait: Array
    weight: Array


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over people, in whole steps, and each person's prediction, (samples,).

    weights  (entries, width) gradient by allele: of centred dosages, not standardised ones
    biases   (genes, width); head (head_size,)
    """

    predictor: Array
    weights: Array
    biases: Array
    head: Array


@dataclass(frozen=True, slots=True)
class Reading:
    """The genotypes of a cohort by gene, for one set of parameters."""

    cohort: Cohort
    shape: Shape
    coding: Coding
    parameters: Parts

    def predict(self, columns: Columns) -> Array:
        """Return f of each person, (samples,)."""
        found = np.zeros(self.cohort.n)
        by_allele = self._by_allele()
        for people in self._windows():
            values, lengths = self._values(people, by_allele, squares=False)
            for part, batch in self._batches(people, columns, values, lengths):
                f = predictors(self.shape, self.parameters.head, batch)
                found[people[part]] = f[: len(people[part])]
        return found

    def totals(self, columns: Columns, steps: Steps) -> Totals:
        """Return summed gradients of losses, each person's bounded and rounded by itself."""
        shape, found = self.shape, np.zeros(self.cohort.n)
        weights = np.zeros((shape.entries, shape.width))
        biases, head = np.zeros((shape.genes, shape.width)), np.zeros(shape.head_size)
        by_allele = self._by_allele()
        for people in self._windows():
            values, lengths = self._values(people, by_allele, squares=steps.clip > 0)
            for part, batch in self._batches(people, columns, values, lengths):
                own = gradients(shape, self.parameters.head, batch, steps)
                found[people[part]] = own.predictor[: len(people[part])]
                head += own.head.sum(axis=0, dtype=np.float64)
                biases += own.genes.sum(axis=0, dtype=np.float64)
                values[part.start : part.start + shape.batch] = own.genes
            self._add(weights, people, values)
        return Totals(found, weights, biases, head)

    def _by_allele(self) -> Array:
        members = self.shape.members
        weights = self.coding.per_allele(members, self.parameters.weights)
        return np.asarray(np.rint(weights / WEIGHT) * WEIGHT)

    def _windows(self) -> Iterator[NDArray[np.int64]]:
        """Yield people in the order of the file, as many as memory allows at a time."""
        batch = self.shape.batch
        room = VALUES // (self.shape.genes * self.shape.width) // batch * batch
        most = min(max(room, batch), MOST_PEOPLE)
        order = np.argsort(self.cohort.rows, kind="stable")
        for start in range(0, self.cohort.n, most):
            yield order[start : start + most]

    def _values(
        self, people: NDArray[np.int64], by_allele: Array, *, squares: bool
    ) -> tuple[Single, Single]:
        """Return h and squared lengths of people, their number rounded up to whole batches."""
        shape = self.shape
        rows = -(-len(people) // shape.batch) * shape.batch
        values = np.zeros((rows, shape.genes, shape.width), np.float32)
        lengths = np.zeros((rows, shape.genes), np.float32)
        offsets, n = shape.offsets, len(people)

        def work(first: int, last: int) -> None:
            x, begins = self._block(people, first, last)
            for gene in range(first, last):
                own = x[shape.starts[gene] - begins : shape.stops[gene] - begins]
                weights = by_allele[offsets[gene] : offsets[gene + 1]]
                values[:n, gene] = own.T @ weights + self.parameters.biases[gene]
                if squares:
                    lengths[:n, gene] = np.einsum("vi,vi->i", own, own)

        for _ in self.cohort.map_blocks(work, _together(shape)):
            pass
        return values, lengths

    def _add(self, totals: Array, people: NDArray[np.int64], gradient: Single) -> None:
        """Add the products of centred dosages and gradients of people to `totals`."""
        shape, offsets, n = self.shape, self.shape.offsets, len(people)

        def work(first: int, last: int) -> None:
            x, begins = self._block(people, first, last)
            for gene in range(first, last):
                own = x[shape.starts[gene] - begins : shape.stops[gene] - begins]
                by_person = gradient[:n, gene].astype(np.float64)
                totals[offsets[gene] : offsets[gene + 1]] += own @ by_person

        for _ in self.cohort.map_blocks(work, _together(shape)):
            pass

    def _block(self, people: NDArray[np.int64], first: int, last: int) -> tuple[Array, int]:
        """Return centred dosages of the variants of genes, (variants, people), and the first."""
        start, stop = self.shape.starts[first], max(self.shape.stops[first:last])
        centre, scale = self.coding.centre[start:stop], self.coding.scale[start:stop]
        rows, source = self.cohort.rows[people], self.cohort.genotypes
        if self.cohort.with_dosages:
            dosage = replace(self.cohort, rows=rows).dosage(start, stop)
            centred = np.nan_to_num(dosage - centre[:, None])
            return np.where(scale[:, None] > 0, centred, 0.0), start
        a, b = int(rows[0]) // 4, int(rows[-1]) // 4 + 1
        coded = np.stack([2 - centre, 0 * centre, 1 - centre, -centre], axis=1)
        coded[scale == 0] = 0.0
        x = valued(source.packed(start, stop)[:, a:b], 4 * (b - a), coded)
        places = rows - 4 * a
        if len(places) == places[-1] - places[0] + 1:
            return x[:, places[0] : places[-1] + 1], start
        return x[:, places], start

    def _batches(
        self, people: NDArray[np.int64], columns: Columns, values: Single, lengths: Single
    ) -> Iterator[tuple[slice, Batch]]:
        """Yield batches of people, with the slice of `people` that each holds."""
        size = self.shape.batch
        for start in range(0, len(people), size):
            part = slice(start, start + size)
            own = people[part]

            def padded(column: Array, own: NDArray[np.int64] = own) -> Single:
                rows = np.zeros((size, *column.shape[1:]), np.float32)
                rows[: len(own)] = column[own]
                return cast("Single", rows)

            by_person = (columns.offset, columns.covariates, columns.trait, columns.weight)
            yield part, Batch(values[part], lengths[part], *map(padded, by_person))


def _together(shape: Shape) -> tuple[tuple[int, int], ...]:
    """Return ranges of genes whose variants are decoded together."""
    found: list[tuple[int, int]] = []
    first, stop = 0, shape.stops[0]
    for gene in range(1, shape.genes):
        if max(stop, shape.stops[gene]) - shape.starts[first] > AT_ONCE:
            found.append((first, gene))
            first, stop = gene, shape.stops[gene]
        stop = max(stop, shape.stops[gene])
    return (*found, (first, shape.genes))
