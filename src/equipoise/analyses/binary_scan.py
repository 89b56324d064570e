"""Association of every variant with a yes/no trait, by the score test, over all sites.

Two steps. `NullLogistic` fits the trait to the covariates by Newton's method on summed
gradients and information (IRLS; McCullagh and Nelder 1989, section 2.5); each person's fitted
value mu then stays at their own site as a column. `BinaryScan` sums, variant by variant,
g'r, g'Wg and g'WC with r = y - mu and W of mu (1 - mu), from which the score S, its variance V
and what covariates explain of g follow at the centre (`solvers/score.py`). Missing calls are
the global 2p. Where the normal law of S is not to be trusted, `binary_tails` goes on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.linear import inverses, terms_of
from equipoise.cohort import Cohort, Columns, Held, blocks_of
from equipoise.errors import InputError
from equipoise.record import exact, grid
from equipoise.solvers.logistic import newton_step, probability
from equipoise.solvers.score import normal_log_p, score_test
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, head_count, real

Array = NDArray[np.float64]

FITTED: Final = "null_fitted"
"""The column that holds mu."""

SETTLED: Final = 2.0**-26
"""Log odds that move by less are at the optimum: Newton's error is then below 1e-14."""


@dataclass(frozen=True, slots=True)
class NullState:
    """coefficients (k + 1,) of the constant and the covariates; change: the last step's largest."""

    coefficients: Array = grid(2.0**-36)
    change: Array = grid(2.0**-36)
    rounds: int = exact()


@dataclass(frozen=True, slots=True)
class NullFit:
    """The trait fitted to the covariates: log odds, 0 for one that is 0 in everybody."""

    coefficients: Array = grid(2.0**-36)
    rounds: int = exact()


@dataclass(frozen=True, slots=True)
class NullLogistic:
    """Fits the null model.

    rounds      the most that are asked for
    bounds      the most that each covariate may be, in absolute value
    background  those of the covariates that may be 0 in everybody: components that were dropped
    """

    people: int
    rounds: int
    trait: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    background: tuple[str, ...] = ()

    def start(self) -> NullState:
        """Return even odds for everybody."""
        return NullState(np.zeros(len(self.covariates) + 1), np.array(1.0), 0)

    def schema(self, state: NullState) -> Schema:
        """Ask for the gradient and the information; nothing once the log odds have settled."""
        return Schema() if self._ended(state) else Schema((self._sums(),))

    def summarise(self, cohort: Cohort, state: NullState) -> Iterator[Sums]:
        """Yield the site's sums at the present log odds."""
        terms = terms_of(cohort, self.covariates)
        mu = probability(terms @ state.coefficients)
        weight = mu * (1.0 - mu)
        yield {
            "gradient": terms.T @ (cohort.column(self.trait) - mu),
            "information": terms.T @ (weight[:, None] * terms),
        }

    def advance(self, state: NullState, totals: Iterable[Sums]) -> Next[NullState] | Done[NullFit]:
        """Take one step, or end once the last one moved nothing.

        InputError where the covariates are not independent, and where the log odds have not
        settled in time: then covariates part cases from others, nearly or completely.
        """
        if self._ended(state):
            if state.change >= SETTLED:
                raise InputError(
                    f"the model of {self.trait} without variants has not settled in"
                    f" {self.rounds} rounds: covariates part cases from others; expected an"
                    " overlap; drop the covariate that tells the trait, or join its rare values"
                )
            return Done(NullFit(state.coefficients, state.rounds))
        (total,) = totals
        information = total["information"]
        inverses(information[None], [name in self.background for name in self.covariates])
        kept = np.flatnonzero(np.diagonal(information) > 0)
        new = state.coefficients.copy()
        new[kept] = newton_step(
            new[kept], total["gradient"][kept], information[np.ix_(kept, kept)], np.zeros(len(kept))
        )
        change = np.abs(new - state.coefficients).max()
        return Next(NullState(new, np.asarray(change), state.rounds + 1))

    def derive(self, cohort: Cohort, result: NullFit) -> Columns:
        """Return `null_fitted`, each person's probability by the covariates alone."""
        return {FITTED: probability(terms_of(cohort, self.covariates) @ result.coefficients)}

    def _ended(self, state: NullState) -> bool:
        return state.rounds >= self.rounds or bool(state.change < SETTLED)

    def _sums(self) -> Block:
        k, most, n = len(self.covariates) + 1, max((1.0, *self.bounds)), self.people
        reads = tuple(Read(name, None) for name in self.covariates)
        case = Read(self.trait, 1, two_valued=True)
        return {
            "gradient": real((k,), most, n, reads=(*reads, case)),
            "information": real((k, k), most**2 / 4, n, reads=reads),
        }


@dataclass(frozen=True, slots=True)
class BinaryScanState:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """The score test of every variant.

    score      (variants,) S, as g'r less what C'r, nearly 0, accounts for
    variance   (variants,) V; 0 where not estimable
    projected  (variants, k + 1) (C'WC)^-1 C'Wg, the constant first
    """

    score: Array = grid(2.0**-26)
    variance: Array = grid(2.0**-26)
    projected: Array = grid(2.0**-26)
    people: int = exact()

    @property
    def estimable(self) -> NDArray[np.bool_]:
        """(variants,) whether there is a variance."""
        return self.variance > 0

    def z(self) -> Array:
        """Return S / sqrt(V), NaN where not estimable."""
        safe = np.where(self.estimable, self.variance, 1.0)
        return np.where(self.estimable, self.score / np.sqrt(safe), np.nan)

    def beta(self) -> Array:
        """Return S / V, log odds ratios per effect allele, NaN where not estimable."""
        safe = np.where(self.estimable, self.variance, 1.0)
        return np.where(self.estimable, self.score / safe, np.nan)

    def standard_error(self) -> Array:
        """Return 1 / sqrt(V), NaN where not estimable."""
        safe = np.where(self.estimable, self.variance, 1.0)
        return np.where(self.estimable, 1.0 / np.sqrt(safe), np.nan)

    def neg_log_10_p(self) -> Array:
        """Return -log10 of the normal two-sided p, NaN where not estimable."""
        return 0.0 - normal_log_p(self.z()) / np.log(10.0)


@dataclass(frozen=True, slots=True)
class BinaryScan:
    """The scan, on the derived column `null_fitted`.

    bounds, background  as in `NullLogistic`. Sums of genotypes with a component of ancestry,
                        or with a function of it as mu is, tell about G'G and are declared
    """

    people: int
    n_variants: int
    trait: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    frequencies: Frequencies
    background: tuple[str, ...] = ()
    block_size: int = 4096

    def start(self) -> BinaryScanState:
        """Return the empty state."""
        return BinaryScanState()

    def schema(self, state: BinaryScanState) -> Schema:
        """Ask for the sums of the covariates first, then for those of the variants."""
        del state
        return Schema((self._people(), *map(self._variants, self._bounds)))

    def summarise(self, cohort: Cohort, state: BinaryScanState) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        # Within their bounds, as a study's columns are; the products refuse anything beyond.
        most = np.array([1.0, *self.bounds])
        terms = np.clip(terms_of(cohort, self.covariates), -most, most)
        mu = np.clip(cohort.column(FITTED), 0.0, 1.0)
        residual, weight = cohort.column(self.trait) - mu, mu * (1.0 - mu)
        weighted = weight[:, None] * terms
        yield {
            "n": np.array([float(cohort.n)]),
            "cwc": terms.T @ weighted,
            "cr": terms.T @ residual,
        }
        held = cohort.held(np.column_stack([residual, weighted]), np.array([1.0, *most / 4]))
        square = cohort.held(weight[:, None], np.array([0.25]))

        def variants(start: int, stop: int) -> Sums:
            once, gwg = self._products(cohort, held, square, start, stop)
            return {"gr": once[:, 0], "gwg": gwg, "gwc": once[:, 1:]}

        yield from cohort.map_blocks(variants, self._bounds)

    def advance(self, state: BinaryScanState, totals: Iterable[Sums]) -> Done[BinaryScores]:
        """Return scores and variances."""
        del state
        head, *blocks = totals
        may_be_zero = [name in self.background for name in self.covariates]
        inverse = inverses(head["cwc"][None], may_be_zero)[0]
        gr, gwg, gwc = (np.concatenate([b[name] for b in blocks]) for name in ("gr", "gwg", "gwc"))
        projected = gwc @ inverse
        score, variance = score_test(gr - projected @ head["cr"], gwg, gwc, inverse)
        return Done(BinaryScores(score, variance, projected, int(head["n"][0])))

    def derive(self, cohort: Cohort, result: BinaryScores) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _products(
        self, cohort: Cohort, held: Held, weight: Held, start: int, stop: int
    ) -> tuple[Array, Array]:
        """Return the sums of g times each held column, and of g^2 times the weight."""
        if cohort.with_dosages:
            g = self.frequencies.impute(cohort.dosage(start, stop), start, stop)
            return g @ held.values, ((g * g) @ weight.values)[:, 0]
        mean, used = self.frequencies.means(start, stop)
        # The second column held is the weight: that of the constant.
        missing = cohort.not_called(start, stop, held)
        once = cohort.products(start, stop, held) + mean[:, None] * missing
        square = cohort.products(start, stop, weight, "square")[:, 0] + mean**2 * missing[:, 1]
        return once * used[:, None], square * used

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(self.n_variants, self.block_size)

    def _people(self) -> Block:
        k, n, most = len(self.covariates) + 1, self.people, max((1.0, *self.bounds))
        case, reads = Read(self.trait, 1, two_valued=True), self._reads
        return {
            "n": head_count((1,), n),
            "cwc": real((k, k), most**2 / 4, n, reads=reads),
            "cr": real((k,), most, n, reads=(*reads, case)),
        }

    def _variants(self, block: tuple[int, int]) -> Block:
        size, k, n = block[1] - block[0], len(self.covariates) + 1, self.people
        most, told = max((1.0, *self.bounds)), len(self.background)
        g, mu, within = Read(GENOTYPE, 1), Read(FITTED, None), block if told else None
        case = Read(self.trait, 1, two_valued=True)
        gr = real((size,), 2.0, n, reads=(g, mu, case))
        gwc = real((size, k), most / 2, n, reads=(*self._reads, g))
        return {
            "gr": replace(gr, directions=min(told, 1), block=within),
            "gwg": real((size,), 1.0, n, reads=(Read(GENOTYPE, 2), mu)),
            "gwc": replace(gwc, directions=told + 1 if told else 0, block=within),
        }

    @property
    def _reads(self) -> tuple[Read, ...]:
        pairs = zip(self.covariates, self.bounds, strict=True)
        return (*(Read(n, None, two_valued=b <= 1) for n, b in pairs), Read(FITTED, None))
