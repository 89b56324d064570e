"""Principal components of ancestry of one site's people or several's.

X are the genotypes of m variants in n people, standardised by the frequencies over all sites,
0 where not called; eigenvalues are those of the relationship matrix XX'/m. The eigenvectors of
X'X/m, the loadings, are sought by block Lanczos (`tools.pca_search`): each round asks all sites
for X'X times a few columns (`tools.products`), which is all that leaves a site beside the
counts and the linkage (`tools.pruning`).

Scores have mean 0 and variance 1 over the people of all sites. plink2 --pca gives the same
directions with length 1, and divides by monomorphic variants as well.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.genotypes.align import AlignedSource
from equipoise.genotypes.long_range import in_long_range
from equipoise.genotypes.ploidy import Ploidy, ploidies
from equipoise.genotypes.variants import Variants
from equipoise.solvers.spectrum import Noise, above_noise
from equipoise.sums import PEOPLE_PER_COLUMN
from equipoise.tools.adding import Adding
from equipoise.tools.pca_search import EigenvectorSearch
from equipoise.tools.pruning import Linked, Window, in_order, linkage, listed, pruned
from equipoise.tools.sites import Sites

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
    used = _at(adding, places)
    found = EigenvectorSearch(used, mean, noise, request.components, request.seed).run(told)
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
