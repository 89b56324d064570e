"""What may not leave a site: the admitted people's rows."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError
from equipoise.packed.counts import cell_counts
from equipoise.packed.decode import decode, width
from equipoise.packed.product import Columns as Prepared
from equipoise.packed.product import Digits, Of, not_called, product, products_not_called
from equipoise.packed.product import columns as prepared

T = TypeVar("T")

Columns: TypeAlias = Mapping[str, NDArray[np.float64]]
"""Per-person columns, each of shape (samples,)."""

IN_FLIGHT = 4
"""How many blocks an executor may hold ready before the first is taken."""


NEAR = 1 << 16
"""Bytes between two variants that are still read in one go."""


class BlockSource(Protocol):
    """Genotypes in 2-bit blocks: variants by samples, in the order of the study's list."""

    @property
    def n_samples(self) -> int:
        """Number of people in the file, admitted or not."""
        ...

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        ...

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return variants start to stop, shape (stop - start, ceil(n_samples / 4))."""
        ...


@runtime_checkable
class DosageSource(BlockSource, Protocol):
    """Genotypes of which some have a dosage between two whole numbers."""

    @property
    def has_dosages(self) -> bool:
        """Whether `dosages` says more than the hard calls."""
        ...

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return variants start to stop, (stop - start, n_samples), NaN where not called."""
        ...


@dataclass(frozen=True, slots=True)
class Cohort:
    """The people of one site whom one analysis may use, on one fixed roster.

    rows      (samples,) their places in the genotype file
    columns   what is known of each: trait, covariates, derived columns
    fold      (samples,) the validation fold of each, from 0
    executor  runs the work on blocks; None works one after the other
    counted   counts of blocks so far, where they are to be kept for a second pass; None for not
    """

    genotypes: BlockSource
    rows: NDArray[np.int64]
    columns: Columns
    fold: NDArray[np.int64]
    executor: Executor | None = None
    counted: dict[tuple[int, int], NDArray[np.int64]] | None = None

    @property
    def n(self) -> int:
        """Number of people."""
        return len(self.rows)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one column; ProtocolError where the analysis did not declare it."""
        if name not in self.columns:
            raise ProtocolError(f"the column {name!r} is not among those declared")
        return self.columns[name]

    def restrict(self, names: frozenset[str]) -> "Cohort":
        """Return the same people with no other columns than `names`."""
        return replace(self, columns={n: c for n, c in self.columns.items() if n in names})

    def with_columns(self, columns: Columns) -> "Cohort":
        """Return the same people with more columns."""
        return replace(self, columns={**self.columns, **columns})

    @property
    def with_dosages(self) -> bool:
        """Whether the dosages say more than the hard calls."""
        # Asked for every block: to look through a protocol's members takes longer than this.
        return bool(getattr(self.genotypes, "has_dosages", False))

    def dosage(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return effect-allele dosages, (variants, samples), NaN where not called."""
        source = self.genotypes
        if isinstance(source, DosageSource) and source.has_dosages:
            return source.dosages(start, stop)[:, self.rows].astype(np.float64)
        return self._of(decode(source.packed(start, stop), source.n_samples))

    def counts(
        self, start: int, stop: int, cells: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Return how many have two, one and no effect alleles and no call, (variants, 4).

        With `cells`, (samples,) from 0, the same in each cell: (cells, variants, 4). Of hard
        calls, also where there are dosages.
        """
        source = self.genotypes
        if cells is None and self.counted is not None:
            if (start, stop) not in self.counted:
                self.counted[start, stop] = replace(self, counted=None).counts(start, stop)
            return self.counted[start, stop]
        cell = np.zeros(self.n, np.int64) if cells is None else cells
        n_cells = 1 if cells is None else int(cell.max(initial=-1)) + 1
        masks = np.zeros((n_cells, source.n_samples), np.bool_)
        masks[cell, self.rows] = True
        counted = cell_counts(source.packed(start, stop), source.n_samples, masks)
        return counted[0] if cells is None else counted

    def held(
        self,
        columns: NDArray[np.float64],
        bounds: NDArray[np.float64] | None = None,
        digits: Digits = 4,
    ) -> "Held":
        """Return `columns`, (samples, columns), for any number of products with genotypes.

        `bounds` are the most that each may be in absolute value: sums over several sites are
        equal to the pooled ones to the last digit where all of them go by the same bounds.
        Columns are rounded to their bound over 2**30, with three digits over 2**22.
        """
        packed = prepared(columns, self.genotypes.n_samples, self.rows, bounds, digits)
        own = packed.whole if self._whole(len(packed.whole)) else packed.whole[self.rows]
        return Held(packed, own * packed.grid)

    def products(
        self, start: int, stop: int, columns: "Held", of: Of = "dosage"
    ) -> NDArray[np.float64]:
        """Return the sums over people of dosage times each column, (variants, columns).

        Who is not called adds nothing. `of` says what is multiplied: the dosage, its square,
        or "not called", 1 for whoever is not and else 0. Hard calls add up exactly, dosages
        in float64.
        """
        if not self.with_dosages:
            return product(self.genotypes.packed(start, stop), columns.packed, of)
        dosage = self.dosage(start, stop)
        if of == "not called":
            return np.isnan(dosage) @ columns.values
        called = np.nan_to_num(dosage)
        return (called * called if of == "square" else called) @ columns.values

    def not_called(self, start: int, stop: int, columns: "Held") -> NDArray[np.float64]:
        """Return `products` of "not called", the quicker way where they are few."""
        if self.with_dosages:
            return self.products(start, stop, columns, "not called")
        return not_called(self.genotypes.packed(start, stop), columns.packed)

    def products_not_called(
        self, start: int, stop: int, columns: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the products of columns, (samples, columns), over who is not called.

        (variants, columns, columns), the lower half alone. Of several sites this may never
        leave any: with one missing call it is that person's row.
        """
        if self.with_dosages:
            missing = np.isnan(self.dosage(start, stop)).astype(np.float64)
            return np.einsum("vi,ip,iq->vpq", missing, columns, columns)
        everybody = columns
        if not self._whole(self.genotypes.n_samples):
            everybody = np.zeros((self.genotypes.n_samples, columns.shape[1]))
            everybody[self.rows] = columns
        return products_not_called(self.genotypes.packed(start, stop), everybody)

    def _whole(self, n_samples: int) -> bool:
        """Return whether these are all people of the file, in its order."""
        return self.n == n_samples and np.array_equal(self.rows, np.arange(self.n))

    def _of(self, everybody: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the columns of the cohort's people."""
        return everybody if self._whole(everybody.shape[1]) else everybody[:, self.rows]

    def dosage_at(self, variants: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the dosages of the given variants, (variants, samples), NaN missing.

        Places that lie near each other are read together, and none is decoded that was not
        asked for.
        """
        if not len(variants):
            return np.zeros((0, self.n))
        source = self.genotypes
        places, back = np.unique(variants, return_inverse=True)
        near = max(NEAR // max(width(source.n_samples), 1), 1)
        runs = np.split(places, np.flatnonzero(np.diff(places) > near) + 1)
        if self.with_dosages:
            parts = [self.dosage(int(r[0]), int(r[-1]) + 1)[r - r[0]] for r in runs]
            return np.concatenate(parts)[back]
        blocks = [source.packed(int(r[0]), int(r[-1]) + 1)[r - r[0]] for r in runs]
        return self._of(decode(np.concatenate(blocks)[back], source.n_samples))

    def map_blocks(
        self, work: Callable[[int, int], T], bounds: tuple[tuple[int, int], ...]
    ) -> Iterator[T]:
        """Yield `work(start, stop)` for each of `bounds`, in order, a few ahead."""
        if self.executor is None:
            yield from (work(start, stop) for start, stop in bounds)
            return
        ahead: deque[Future[T]] = deque()
        most = int(getattr(self.executor, "in_flight", IN_FLIGHT))
        for start, stop in bounds:
            ahead.append(self.executor.submit(work, start, stop))
            if len(ahead) >= most:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@dataclass(frozen=True, slots=True)
class Held:
    """Columns of a cohort's people, rounded to their grid and ready to be multiplied.

    values  (samples, columns) as rounded: sums of the columns alone go by these as well
    """

    packed: Prepared
    values: NDArray[np.float64]


def blocks_of(n_variants: int, size: int) -> tuple[tuple[int, int], ...]:
    """Return consecutive (start, stop) of at most `size` variants.

    >>> blocks_of(5, 2)
    ((0, 2), (2, 4), (4, 5))
    """
    return tuple((s, min(s + size, n_variants)) for s in range(0, n_variants, size))
