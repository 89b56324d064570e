"""Principal components of ancestry of one site's people or several's.

X are the genotypes of m variants in n people, standardised by the frequencies over all sites,
0 where not called; eigenvalues are those of the relationship matrix XX'/m. The eigenvectors of
X'X/m, the loadings, are sought by block Lanczos (`solvers.subspace`): each round asks all sites
for X'X times a few columns, which is all that leaves a site beside the counts and the linkage
(`tools.pruning`). The search ends once every component that is asked for has been found, as its
residual and the gap to its neighbours tell, or lies so near a neighbour that nothing tells the
two apart. What does not stand out of noise is given up after `PATIENCE` rounds, all else after
`MOST`. In the end the products of the loadings themselves are asked for, so that each residual
is measured; a component that it does not tell is reported as not found, and not given.

Scores have mean 0 and variance 1 over the people of all sites. plink2 --pca gives the same
directions with length 1, and divides by monomorphic variants as well.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.errors import InputError
from equipoise.genotypes.align import AlignedSource
from equipoise.genotypes.long_range import in_long_range
from equipoise.genotypes.ploidy import Ploidy, ploidies
from equipoise.genotypes.variants import Variants
from equipoise.packed import standardised
from equipoise.record import grid
from equipoise.solvers.spectrum import Noise, above_noise
from equipoise.solvers.subspace import Pairs, Search, residuals
from equipoise.step import Done
from equipoise.sums import (
    GENOTYPE,
    PEOPLE_PER_COLUMN,
    Block,
    Field,
    Read,
    Schema,
    Sums,
    quantum_for,
)
from equipoise.tools.adding import Adding
from equipoise.tools.pruning import Linked, Nothing, Window, in_order, linkage, listed, pruned
from equipoise.tools.sites import Sites

TOLERANCE: Final = 2.0**-10
"""The greatest sine of the angle to the eigenvector at which a component counts as found."""

FLOOR: Final = 2.0**-21
"""A residual of this share of its eigenvalue is as small as single precision lets it be."""

PATIENCE: Final = 16
"""Rounds for what does not stand out of noise; ten times as many where they cost little."""

_LITTLE: Final = 300_000_000
"""Genotypes that a round goes through in about a second."""

MOST: Final = 400
BLOCK: Final = 1024
"""Variants of one task."""

_NOT_AUTOSOMAL: Final = ("0", "25", "XY", "PAR", "PAR1", "PAR2")
_SEED: Final = 20_504


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    components       how many
    least_frequency  of the minor allele; a variant with one allele only is never used
    window, r2       of pruning; no window prunes nothing
    build            of the positions: where it is given, pruning leaves out long-range linkage
    protection       of the sums of several sites; None is `masked` from three sites on
    """

    components: int = 10
    least_frequency: float = 0.01
    window: Window | None = field(default_factory=Window)
    r2: float = 0.2
    build: str | None = None
    protection: str | None = None
    seed: int = _SEED


@dataclass(frozen=True, slots=True)
class Principal:
    """What was found; arrays over components have one entry for each that was asked for.

    variants     the list that was used
    frequency    (variants,) of the effect allele, over all sites
    loadings     (variants, k) of length 1; NaN for a component that was not found
    scores       one array a site, (samples, k), of variance 1 over all; NaN likewise
    eigenvalues  (k,) of XX'/m
    residuals    (k,) an eigenvalue lies so near each; measured
    found        (k,) whether residual and gap tell the component
    separated    (k,) whether it and all before it stand out of noise
    total        sum of all eigenvalues
    effective    number of independent variants, by linkage in windows
    columns      directions of G'G asked about at one variant: for linkage, for components
    budget       as many are without danger, of the people without the largest site
    dropped      how many variants were not used, by reason, in that order
    """

    variants: Variants
    frequency: NDArray[np.float64] = field(repr=False)
    loadings: NDArray[np.float64] = field(repr=False)
    scores: tuple[NDArray[np.float64], ...] = field(repr=False)
    eigenvalues: NDArray[np.float64]
    residuals: NDArray[np.float64]
    found: NDArray[np.bool_]
    separated: NDArray[np.bool_]
    total: float
    effective: float
    people: int
    rounds: int
    columns: tuple[int, int]
    budget: int
    dropped: dict[str, int]
    protection: str

    @property
    def share(self) -> NDArray[np.float64]:
        """(k,) of all variance."""
        return self.eigenvalues / self.total


@dataclass(frozen=True, slots=True)
class Product:
    """X'X V / m."""

    product: NDArray[np.float64] = grid(2.0**-44)


@dataclass(frozen=True, slots=True)
class Products:
    """Asks for X'X times a few columns, in one round.

    What is asked for has each variant in units of the dosage: the limit, and with it the step
    of the encoding, does not go by the rarest variant then.

    mean     (variants,) mean dosage over all sites, between 0 and 2
    columns  (variants, columns) each of length 1
    total    the sum of the eigenvalues of XX'/m
    """

    people: int
    mean: NDArray[np.float64] = field(repr=False)
    columns: NDArray[np.float64] = field(repr=False)
    total: float

    def start(self) -> Nothing:
        """Return the empty state."""
        return Nothing()

    def schema(self, state: Nothing) -> Schema:
        """Ask for a block of rows at a time."""
        del state
        m, width = self.columns.shape
        minor = np.minimum(self.mean, 2 - self.mean) / 2
        slack = 1 + 2.0**-10  # single precision, and columns not quite of length 1
        # A person adds (g - 2p) x'v, and |x'v| <= |x|; over people, by Cauchy and Schwarz,
        # no more than |g - 2p| |Xv|, and the square of |Xv| is no more than the trace of X'X.
        per_person = 2 * sqrt(float(np.sum(2 * (1 - minor) / minor))) * slack
        limit = max(sqrt(self.people) * sqrt(m * self.total) * slack, 1.0)
        quantum, twice = quantum_for(limit), (Read(GENOTYPE, 2),)

        def asked(start: int, stop: int) -> Block:
            shape, span = (stop - start, width), (start, stop)
            return {
                "product": Field(shape, per_person, limit, quantum, (), twice, False, width, span)
            }

        return Schema(tuple(asked(*block) for block in self._bounds))

    def summarise(self, cohort: Cohort, state: Nothing) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        own = np.ascontiguousarray(scores(cohort, self.mean, self.columns), np.float32)

        def work(start: int, stop: int) -> Sums:
            product = _loadings(cohort, self.mean, own, start, stop)
            return {"product": product * self._deviation[start:stop, None]}

        yield from cohort.map_blocks(work, self._bounds)

    def advance(self, state: Nothing, totals: Iterable[Sums]) -> Done[Product]:
        """Return the products over m."""
        del state
        whole = np.concatenate([total["product"] for total in totals])
        return Done(Product(whole / (len(self.mean) * self._deviation[:, None])))

    def derive(self, cohort: Cohort, result: Product) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    @property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(len(self.mean), BLOCK)

    @property
    def _deviation(self) -> NDArray[np.float64]:
        return np.sqrt(self.mean * (1 - self.mean / 2))


def scores(
    cohort: Cohort, mean: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return X times the columns, (samples, columns): rows that stay at their site."""
    single = columns.astype(np.float32)

    def work(start: int, stop: int) -> NDArray[np.float64]:
        if cohort.with_dosages:
            x = standardised.standardise(cohort.dosage(start, stop), mean[start:stop])
            return (single[start:stop].T @ x).astype(np.float64)
        source, values = cohort.genotypes, standardised.values_of(mean[start:stop])
        block = source.packed(start, stop)
        found = standardised.scores(block, source.n_samples, values, single[start:stop])
        return found[:, cohort.rows]

    total = np.zeros((columns.shape[1], cohort.n))
    for part in cohort.map_blocks(work, blocks_of(len(mean), BLOCK)):
        total += part
    return total.T


def _loadings(
    cohort: Cohort, mean: NDArray[np.float64], own: NDArray[np.float32], start: int, stop: int
) -> NDArray[np.float64]:
    if cohort.with_dosages:
        x = standardised.standardise(cohort.dosage(start, stop), mean[start:stop])
        return (x @ own).astype(np.float64)
    source, values = cohort.genotypes, standardised.values_of(mean[start:stop])
    everybody = own
    if cohort.n != source.n_samples:
        everybody = np.zeros((source.n_samples, own.shape[1]), np.float32)
        everybody[cohort.rows] = own
    return standardised.loadings(source.packed(start, stop), source.n_samples, values, everybody)


def principal(
    sites: Sites,
    request: Request,
    executor: Executor | None = None,
    at: Callable[[float], None] | None = None,
) -> Principal:
    """Return the principal components; `at` is told the share done.

    Raises InputError where there are too few people or variants, DisclosureError where a
    protection is refused.
    """
    adding = _everybody(sites, request, executor)
    people = sum(cohort.n for cohort in adding.cohorts)
    counted = adding.run(Frequency(people, sites.n_variants, 0, 1))
    places, dropped = _candidates(sites, counted, request)
    _refuse_too_few(request.components, people, len(places))
    columns = 0
    if request.window is not None:
        linked = _linked(sites, adding, counted, places, request)
        kept = pruned(linked, _minor(counted)[places])
        columns, dropped["in linkage with another"] = linked.columns, int(np.sum(~kept))
        places = places[kept]
        _refuse_too_few(request.components, people, len(places))
    linked = _linked(sites, adding, counted, places, request)
    told = at or _untold
    told(0.1)
    columns = max(columns, linked.columns)
    mean = counted.mean_at(places)
    total = float(np.sum(linked.variance / (mean * (1 - mean / 2)))) * people / len(places)
    noise = Noise(total, people, linked.effective())
    search = _Search(_at(adding, places), request, mean, noise)
    found = search.run(told)
    return Principal(
        listed(sites.variants, places),
        mean / 2,
        found.loadings,
        found.scores,
        found.eigenvalues,
        found.residuals,
        found.found,
        above_noise(found.eigenvalues, noise),
        total,
        noise.effective,
        people,
        found.rounds,
        (columns, found.columns),
        (people - max(cohort.n for cohort in adding.cohorts)) // PEOPLE_PER_COLUMN,
        dropped,
        adding.protection if len(sites.sites) > 1 else "none needed",
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """As in `Principal`; `columns` are those asked in all rounds."""

    loadings: NDArray[np.float64]
    scores: tuple[NDArray[np.float64], ...]
    eigenvalues: NDArray[np.float64]
    residuals: NDArray[np.float64]
    found: NDArray[np.bool_]
    rounds: int
    columns: int


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for the eigenvectors of the variants that are used."""

    adding: Adding
    request: Request
    mean: NDArray[np.float64]
    noise: Noise

    def run(self, at: Callable[[float], None]) -> _Found:
        """Ask until all components are found or none comes any more, then measure them."""
        k, m = self.request.components, len(self.mean)
        width = max(4, k // 2 + 3)
        search = Search(m, width, k + 10 * width, k, self.request.seed)
        asked = search.asked.shape[1]
        pairs, rounds = search.answer(self._product(search.asked)), 1
        while search.asked.shape[1] and not self._ends(pairs, rounds):
            asked += search.asked.shape[1]
            pairs, rounds = search.answer(self._product(search.asked)), rounds + 1
            at(0.1 + 0.8 * (1 - 0.96**rounds))
        vectors = search.vectors(min(k + 1, m))
        return self._measured(vectors, rounds + 1, asked + vectors.shape[1])

    def _product(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        asked = Products(self.noise.people, self.mean, columns, self.noise.total)
        return self.adding.run(asked).product

    def _ends(self, pairs: Pairs, rounds: int) -> bool:
        """Return whether all is found, or what is missing is noise or does not come."""
        k = self.request.components
        if len(pairs.values) <= k:
            return False
        values, apart = pairs.values[:k], pairs.residuals[:k]
        settled = _found_by(pairs.values, apart) | (apart <= FLOOR * values)
        stands_out = above_noise(values, self.noise)
        little = self.noise.people * len(self.mean) < _LITTLE
        patience = PATIENCE * (10 if little else 1)
        limit = patience if np.all(settled[stands_out]) else MOST
        return bool(np.all(settled)) or rounds >= limit

    def _measured(self, vectors: NDArray[np.float64], rounds: int, columns: int) -> _Found:
        """Return what the products of the vectors themselves say of them."""
        k = self.request.components
        values, apart = residuals(vectors, self._product(vectors))
        found = _found_by(values, apart[:k])
        # The same signs however people are spread: those of a product with a fixed vector.
        fixed = np.random.default_rng(self.request.seed).normal(size=len(vectors))
        vectors = vectors[:, :k] * np.where(fixed @ vectors[:, :k] < 0, -1.0, 1.0)
        vectors[:, ~found] = np.nan
        spread = np.sqrt(self.noise.people / (np.maximum(values[:k], 1e-12) * len(vectors)))
        own = tuple(
            np.where(found, scores(cohort, self.mean, np.nan_to_num(vectors)) * spread, np.nan)
            for cohort in self.adding.cohorts
        )
        return _Found(vectors, own, values[:k], apart[:k], found, rounds, columns)


def _found_by(values: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which components the residuals tell from their neighbours, (k,).

    The sine of the angle to the eigenvector is at most the residual over the gap (Davis and
    Kahan 1970, doi:10.1137/0707001). `values` has the one after the last as well.
    """
    gap = values[:-1] - values[1:]
    gap[1:] = np.minimum(gap[1:], gap[:-1])
    return apart <= TOLERANCE * gap


def _untold(share: float) -> None:
    del share


def _everybody(sites: Sites, request: Request, executor: Executor | None) -> Adding:
    cohorts = tuple(
        Cohort(site.source, np.arange(n), {}, np.zeros(n, np.int64), executor)
        for site, n in ((site, len(site.sample_ids)) for site in sites.sites)
    )
    return Adding(cohorts, request.protection or ("masked" if len(cohorts) > 2 else "clear"))


def _at(adding: Adding, places: NDArray[np.int64]) -> Adding:
    """Return the same sites with nothing but the variants at `places`."""
    none = np.zeros(len(places), np.bool_)
    cohorts = tuple(
        replace(cohort, genotypes=AlignedSource(cohort.genotypes, places, none))
        for cohort in adding.cohorts
    )
    return Adding(cohorts, adding.protection)


def _linked(
    sites: Sites,
    adding: Adding,
    counted: Frequencies,
    places: NDArray[np.int64],
    request: Request,
) -> Linked:
    reach = (request.window or Window()).reach(listed(sites.variants, places))
    missing = counted.called[places] < sum(cohort.n for cohort in adding.cohorts)
    return linkage(_at(adding, places), counted.mean_at(places), missing, reach, request.r2)


def _minor(counted: Frequencies) -> NDArray[np.float64]:
    """Return minor allele frequencies, (variants,), 0 where nobody is called."""
    called = np.maximum(counted.called, 1)
    return np.minimum(counted.alleles, 2 * counted.called - counted.alleles) / (2 * called)


def _candidates(
    sites: Sites, counted: Frequencies, request: Request
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the places of the variants that may be used, and why others are not."""
    v, minor = sites.variants, _minor(counted)
    diploid = np.zeros(sites.n_variants, np.bool_)
    diploid[ploidies(v.chromosome).get(Ploidy.DIPLOID, np.zeros(0, np.int64))] = True
    diploid &= ~np.isin(v.chromosome.astype(object), _NOT_AUTOSOMAL)
    reasons = {
        "not on an autosome": ~diploid,
        "not called in anybody": counted.called == 0,
        "one allele only": minor <= 0,
        "rarer than asked for": minor < request.least_frequency,
    }
    if request.build is not None and request.window is not None:
        reasons["in a region of long-range linkage"] = in_long_range(
            v.chromosome, v.position, request.build
        )
    used, dropped = np.ones(sites.n_variants, np.bool_), dict[str, int]()
    for reason, here in reasons.items():
        dropped[reason] = int(np.count_nonzero(used & here))
        used &= ~here
    return in_order(v, np.flatnonzero(used)), dropped


def _refuse_too_few(k: int, people: int, variants: int) -> None:
    if k < 1 or min(people - 1, variants) <= k:
        raise InputError(
            f"{k} components of {variants} variants in {people} people; expected from 1 to fewer"
            " than both; ask for fewer components, prune less, or give more genotypes"
        )
