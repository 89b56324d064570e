"""What may not leave a site: the admitted people's rows."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError
from equipoise.packed.decode import decode, width

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


@dataclass(frozen=True, slots=True)
class Cohort:
    """The people of one site whom one analysis may use, on one fixed roster.

    rows      (samples,) their places in the genotype file
    columns   what is known of each: trait, covariates, derived columns
    fold      (samples,) the validation fold of each, from 0
    executor  runs the work on blocks; None works one after the other
    """

    genotypes: BlockSource
    rows: NDArray[np.int64]
    columns: Columns
    fold: NDArray[np.int64]
    executor: Executor | None = None

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

    def dosage(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return effect-allele dosages, (variants, samples), NaN where not called."""
        block = self.genotypes.packed(start, stop)
        return decode(block, self.genotypes.n_samples)[:, self.rows]

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
        blocks = [source.packed(int(r[0]), int(r[-1]) + 1)[r - r[0]] for r in runs]
        return decode(np.concatenate(blocks)[back], source.n_samples)[:, self.rows]

    def map_blocks(
        self, work: Callable[[int, int], T], bounds: tuple[tuple[int, int], ...]
    ) -> Iterator[T]:
        """Yield `work(start, stop)` for each of `bounds`, in order, a few ahead."""
        if self.executor is None:
            yield from (work(start, stop) for start, stop in bounds)
            return
        ahead: deque[Future[T]] = deque()
        for start, stop in bounds:
            ahead.append(self.executor.submit(work, start, stop))
            if len(ahead) >= IN_FLIGHT:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def blocks_of(n_variants: int, size: int) -> tuple[tuple[int, int], ...]:
    """Return consecutive (start, stop) of at most `size` variants.

    >>> blocks_of(5, 2)
    ((0, 2), (2, 4), (4, 5))
    """
    return tuple((s, min(s + size, n_variants)) for s in range(0, n_variants, size))
