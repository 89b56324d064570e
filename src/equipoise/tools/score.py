"""Polygenic scores of people at one site or several: from scoring files to a table of scores.

Each score file is matched to the variants that the sites have in common (`genotypes/matching`),
and all scores are added up in one pass over the variants that any of them needs. Sums, averages
and counts mean what plink2's `--score` means by them (chrchang/plink-ng): a person not called
at a variant has its mean dosage over all sites, on chromosome X with males counted once, unless
that is not wanted. Other than plink2, weights at variants where nobody is called, and those on
Y and MT, are not used; and where both alleles of a variant have a weight, each counts among the
alleles that an average is over, where plink2 counts the variant once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.pgs_catalog import ScoringFile, same_build
from equipoise.cohort import NEAR, BlockSource, DosageSource
from equipoise.errors import InputError
from equipoise.genotypes import matching
from equipoise.genotypes.matching import LEAST_MATCHED, Match
from equipoise.genotypes.variants import Variants
from equipoise.packed.counts import genotype_counts
from equipoise.packed.decode import Block, width
from equipoise.packed.scoring import Sums, Terms, add_calls, add_dosages

_CALLS: Final = 512
_DOSAGES: Final = 32
_MALE: Final = 1

Places = NDArray[np.int64]


class Site(Protocol):
    """The genotypes of one site, in the order of the variants that all sites share."""

    @property
    def name(self) -> str:
        """What the site is called."""
        ...

    @property
    def source(self) -> BlockSource:
        """The genotypes; their dosages are used where they say more than the calls."""
        ...

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The IID of each person."""
        ...

    @property
    def sex(self) -> NDArray[np.int8]:
        """(samples,) 1 male, 2 female, 0 unknown."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """One scoring file and what became of its weights."""

    file: ScoringFile
    match: Match

    @property
    def weight_share(self) -> float:
        """The share of the summed absolute weights that is used; NaN where all are 0."""
        size = np.abs(np.nan_to_num(self.file.weights["weight"].to_numpy()))
        total = float(size.sum())
        return float(size[self.match.used].sum()) / total if total else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of the people of all sites.

    sums             one a site, arrays of shape (scores, people)
    mean_imputation  whether those not called had the mean dosage
    """

    scores: tuple[Score, ...]
    sums: tuple[Sums, ...] = field(repr=False)
    mean_imputation: bool


def score(
    sites: Sequence[Site],
    variants: Variants,
    files: Sequence[ScoringFile],
    *,
    keep_ambiguous: bool = False,
    mean_imputation: bool = True,
    least_matched: float = LEAST_MATCHED,
    build: str | None = None,
) -> Scores:
    """Return the scores of everybody by each file.

    variants         those of each site's source; the dosage counts the effect allele
    keep_ambiguous   use A/T and C/G variants as they are spelled, and do not leave them out
    mean_imputation  give those not called the mean dosage; else they add nothing
    least_matched    the share of a file's weights whose variants must be there
    build            the genome build of the genotypes, where known

    Raises InputError where two files have one name, where a file is of another build, and
    where too few of its variants are there.
    """
    _refuse_same_names(files)
    scores: list[Score] = []
    for file in files:
        _refuse_other_build(file, build)
        found = matching.match(file.weights, variants, keep_ambiguous=keep_ambiguous)
        matching.refuse_too_few(file.name, found, file.build, least_matched)
        scores.append(Score(file, found))
    used = [s.match.place[s.match.used] for s in scores]
    places = np.unique(np.concatenate([np.zeros(0, np.int64), *used]))
    mean = _means(sites, variants, places)
    never = places[np.isnan(mean)]
    scores = [
        Score(s.file, s.match.without(np.isin(s.match.place, never), "not_called")) for s in scores
    ]
    terms = _terms(scores)
    filled = (places, mean) if mean_imputation else None
    sums = tuple(_add_up(site.source, terms, len(scores), filled) for site in sites)
    return Scores(tuple(scores), sums, mean_imputation)


def _refuse_same_names(files: Sequence[ScoringFile]) -> None:
    names = [file.name for file in files]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{names.count(name)} scoring files are of one name, {name}; expected one of each;"
                " leave the others out, or give them another pgs_id"
            )


def _refuse_other_build(file: ScoringFile, build: str | None) -> None:
    if build is None or file.build is None or same_build(file.build, build):
        return
    raise InputError(
        f"{file.name}: positions of {file.build}, genotypes of {build}; expected one genome build;"
        f" take the file that the Catalog harmonised to {build}"
    )


def _means(sites: Sequence[Site], variants: Variants, places: Places) -> NDArray[np.float64]:
    """Return the mean dosage over all sites, (places,), NaN where nobody is called.

    A male counts half on chromosome X, where he has one allele.
    """
    chromosome = variants.chromosome[places]
    on_x = (chromosome == "X") | (chromosome == "23")
    copies, people = np.zeros((2, len(places)))
    for site in sites:
        males = site.sex == _MALE
        for part in _parts(site.source, len(places)):
            tile = _tile(site.source, places[part])
            tally = tile.tally(np.ones(len(males), np.bool_))
            if on_x[part].any():
                tally -= 0.5 * on_x[part] * tile.tally(males)
            copies[part] += tally[0]
            people[part] += tally[1]
    return np.divide(copies, people, out=np.full(len(places), np.nan), where=people > 0)


def _terms(scores: Sequence[Score]) -> Terms:
    """Return the weights that are used, by place; `variant` is the place."""
    parts = [(s.match, s.file.weights["weight"].to_numpy(), s.match.used) for s in scores]
    place = np.concatenate([m.place[used] for m, _, used in parts])
    order = np.argsort(place, kind="stable")
    which = np.repeat(np.arange(len(parts)), [np.count_nonzero(used) for _, _, used in parts])
    return Terms(
        place[order],
        which[order],
        np.concatenate([weight[used] for _, weight, used in parts])[order].astype(np.float64),
        np.concatenate([m.swapped[used] for m, _, used in parts])[order],
    )


def _add_up(
    source: BlockSource,
    terms: Terms,
    n_scores: int,
    filled: tuple[Places, NDArray[np.float64]] | None,
) -> Sums:
    """Return the sums of a site's people; `filled` gives the mean dosage at places."""
    sums = Sums.zeros(n_scores, source.n_samples)
    places = np.unique(terms.variant)
    mean = None if filled is None else filled[1][np.searchsorted(filled[0], places)]
    for part in _parts(source, len(places)):
        here = places[part]
        start, stop = np.searchsorted(terms.variant, (here[0], here[-1] + 1)).tolist()
        own = Terms(
            np.searchsorted(here, terms.variant[start:stop]),
            terms.score[start:stop],
            terms.weight[start:stop],
            terms.swapped[start:stop],
        )
        _tile(source, here).add_to(sums, own, None if mean is None else mean[part])
    return sums


@dataclass(frozen=True, slots=True, eq=False)
class _Calls:
    """Hard calls of some variants."""

    block: Block
    n_people: int

    def tally(self, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the summed dosages and the number called among some people, (2, variants)."""
        a1, het, a2, _ = genotype_counts(self.block, self.n_people, keep).T
        return np.stack((2 * a1 + het, a1 + het + a2)).astype(np.float64)

    def add_to(self, sums: Sums, terms: Terms, mean: NDArray[np.float64] | None) -> None:
        """Add the terms, whose variants are rows of these."""
        add_calls(sums, self.block, terms, mean)


@dataclass(frozen=True, slots=True, eq=False)
class _Dosages:
    """The same for dosages, (variants, people)."""

    dosage: NDArray[np.float32]

    def tally(self, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
        kept = self.dosage[:, keep].astype(np.float64)
        return np.stack((np.nansum(kept, axis=1), np.sum(~np.isnan(kept), axis=1)))

    def add_to(self, sums: Sums, terms: Terms, mean: NDArray[np.float64] | None) -> None:
        add_dosages(sums, self.dosage, terms, mean)


def _parts(source: BlockSource, count: int) -> Iterator[slice]:
    """Yield slices of `count` places, of as many as are read at a time."""
    size = _CALLS if _with_dosages(source) is None else _DOSAGES
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def _tile(source: BlockSource, here: Places) -> _Calls | _Dosages:
    """Return the variants at the sorted places; those near each other are read together."""
    near = max(NEAR // max(width(source.n_samples), 1), 1)
    runs = np.split(here, np.flatnonzero(np.diff(here) > near) + 1)
    dosed = _with_dosages(source)
    if dosed is not None:
        parts = [dosed.dosages(int(r[0]), int(r[-1]) + 1)[r - r[0]] for r in runs]
        return _Dosages(np.concatenate(parts))
    blocks = [source.packed(int(r[0]), int(r[-1]) + 1)[r - r[0]] for r in runs]
    return _Calls(np.concatenate(blocks), source.n_samples)


def _with_dosages(source: BlockSource) -> DosageSource | None:
    return source if isinstance(source, DosageSource) and source.has_dosages else None
