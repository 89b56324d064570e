"""Linear association of every variant with several traits, over all people at once.

One round after the counts (`frequency`): C'C, C'y and y'y, then C'g, g'y and g'g block by
block, C the covariates with a column of ones first. A missing call counts as the global mean
2p, so that sums over sites are those of the pooled people. The arithmetic on totals is in
`solvers.regression`. `linear` is the same by fold, for a study that trains a model as well.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.cohort import Cohort, Columns, Held, blocks_of
from equipoise.packed.product import Digits
from equipoise.record import exact, grid
from equipoise.solvers.regression import Effects, Moments, regress
from equipoise.step import Done
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, head_count, real

FINE = 2.0**-34


@dataclass(frozen=True, slots=True)
class ScanState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class ScanTotals:
    """The sums over all people; effects are plain arithmetic on them.

    cc  (k, k)    cy  (k, traits)    yy  (traits,)
    cg  (variants, k), the first column the sum of dosages    gy  (variants, traits)
    gg  (variants,)
    """

    cc: NDArray[np.float64] = grid(FINE)
    cy: NDArray[np.float64] = grid(FINE)
    yy: NDArray[np.float64] = grid(FINE)
    cg: NDArray[np.float64] = grid(FINE)
    gy: NDArray[np.float64] = grid(FINE)
    gg: NDArray[np.float64] = grid(FINE)
    people: int = exact()

    def effects(self) -> Effects:
        """Return the effects of all variants on all traits."""
        return regress(Moments(self.cc, self.cy, self.yy), self.cg, self.gy, self.gg)


@dataclass(frozen=True, slots=True)
class Scan:
    """The scan.

    bounds  the most that each covariate, then each trait, may be in absolute value: the same
            at every site, since the columns are rounded to a grid that follows from it
    digits  of that grid: 4 for a bound over 2**30, 3 for one over 2**22, a fifth quicker
    """

    people: int
    n_variants: int
    traits: tuple[str, ...]
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    frequencies: Frequencies
    block_size: int = 4096
    digits: Digits = 4

    def start(self) -> ScanState:
        """Return the empty state."""
        return ScanState()

    def schema(self, state: ScanState) -> Schema:
        """Ask for the sums of the columns first, then for those of the variants."""
        del state
        blocks = (self._variants(stop - start) for start, stop in self._bounds)
        return Schema((self._columns(), *blocks))

    def summarise(self, cohort: Cohort, state: ScanState) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        names = (*self.covariates, *self.traits)
        columns = np.column_stack([np.zeros((cohort.n, 0)), *map(cohort.column, names)])
        held = cohort.held(columns, np.array(self.bounds), self.digits)
        k = len(self.covariates)
        c = np.column_stack([np.ones(cohort.n), held.values[:, :k]])
        found = Moments.of(c, held.values[:, k:])
        yield {"n": np.array([float(cohort.n)]), "cc": found.cc, "cy": found.cy, "yy": found.yy}

        def variants(start: int, stop: int) -> Sums:
            total, square, products = imputed_sums(cohort, held, self.frequencies, start, stop)
            cg = np.column_stack([total, products[:, :k]])
            return {"cg": cg, "gy": products[:, k:], "gg": square}

        yield from cohort.map_blocks(variants, self._bounds)

    def advance(self, state: ScanState, totals: Iterable[Sums]) -> Done[ScanTotals]:
        """Return the totals."""
        del state
        head, *blocks = totals
        cg, gy, gg = (np.concatenate([b[name] for b in blocks]) for name in ("cg", "gy", "gg"))
        people = int(head["n"][0])
        return Done(ScanTotals(head["cc"], head["cy"], head["yy"], cg, gy, gg, people))

    def derive(self, cohort: Cohort, result: ScanTotals) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(self.n_variants, self.block_size)

    @property
    def _most(self) -> tuple[float, float]:
        """The most that a covariate (or the column of ones) and a trait may be."""
        k = len(self.covariates)
        return max((1.0, *self.bounds[:k])), max(self.bounds[k:])

    def _reads(self, degree: int) -> tuple[tuple[Read, ...], tuple[Read, ...]]:
        k, names = len(self.covariates), (*self.covariates, *self.traits)
        reads = tuple(
            Read(name, degree, two_valued=bound <= 1)
            for name, bound in zip(names, self.bounds, strict=True)
        )
        return reads[:k], reads[k:]

    def _columns(self) -> Block:
        k, t, n, (c, y) = len(self.covariates) + 1, len(self.traits), self.people, self._most
        covariates, traits = self._reads(1)
        twice, squares = self._reads(2)
        return {
            "n": head_count((1,), n),
            "cc": real((k, k), c**2, n, reads=twice),
            "cy": real((k, t), c * y, n, reads=(*covariates, *traits)),
            "yy": real((t,), y**2, n, reads=squares),
        }

    def _variants(self, size: int) -> Block:
        k, t, n, (c, y) = len(self.covariates) + 1, len(self.traits), self.people, self._most
        covariates, traits = self._reads(1)
        g = Read(GENOTYPE, 1)
        return {
            "cg": real((size, k), 2 * c, n, reads=(*covariates, g)),
            "gy": real((size, t), 2 * y, n, reads=(*traits, g)),
            "gg": real((size,), 4.0, n, reads=(Read(GENOTYPE, 2),)),
        }


def imputed_sums(
    cohort: Cohort, held: Held, frequencies: Frequencies, start: int, stop: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of g, of g^2 and of g times each column; missing calls are the global 2p.

    Of shape (variants,), (variants,) and (variants, columns); 0 for variants not used.
    """
    if cohort.with_dosages:
        g = frequencies.impute(cohort.dosage(start, stop), start, stop)
        return g.sum(axis=1), np.einsum("vi,vi->v", g, g), g @ held.values
    mean, used = frequencies.means(start, stop)
    twice, once, _, missing = cohort.counts(start, stop).T
    products = cohort.products(start, stop, held)
    if missing.any():
        products += mean[:, None] * cohort.not_called(start, stop, held)
    total = (2 * twice + once + mean * missing) * used
    square = (4 * twice + once + mean**2 * missing) * used
    return total, square, products if used.all() else products * used[:, None]
