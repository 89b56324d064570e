"""What a trait owes to the rest of the genome: per-person offsets for each chromosome.

Ridge regression in two levels (`solvers.ridge_levels`, after Mbatchou et al. 2021,
doi:10.1038/s41588-021-00870-7): blocks of variants within a chromosome, then the predictions of
all blocks. A scan of a chromosome takes off the trait what the blocks of all others predict,
so that ancestry and the many small effects elsewhere are no longer noise, nor confounders. People
are predicted by fits without their fold, which is a hash of their ID.

Covariates are projected out first, a missing call is the mean. Rare variants and those of X, Y
and MT predict nothing; a scan of them takes off what all autosomes predict. With one chromosome
alone the offsets are 0.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.federation.roster import folds
from equipoise.genotypes.ploidy import Ploidy, ploidies
from equipoise.genotypes.variants import Text
from equipoise.packed.decode import valued
from equipoise.solvers.ridge_levels import (
    HERITABILITIES,
    FoldSums,
    Predictors,
    level_one,
    level_zero,
    penalties,
)
from equipoise.tools.adding import Adding
from equipoise.tools.design import Design
from equipoise.tools.linear import block_size

PEOPLE_AT_ONCE: Final = 1 << 14
"""People decoded at a time: a whole number of bytes of a block."""

MOST_BYTES: Final = 1 << 33
"""Of the predictions of level 0, which are held until level 1 is fitted."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """How the offsets are fitted.

    block            variants of a block of level 0, at most
    shares           of variance, whose penalties are tried at both levels
    least_frequency  of the minor allele, of variants that predict
    least_called     the share of people with a call, of variants that predict
    """

    block: int = 1000
    shares: tuple[float, ...] = HERITABILITIES
    folds: int = 5
    seed: int = 1
    least_frequency: float = 0.01
    least_called: float = 0.9


@dataclass(frozen=True, slots=True)
class Offsets:
    """What is taken off the standardised traits of one site's people.

    by_chromosome  (people, traits) for the scan of each chromosome of the list
    shares         the share of variance that level 1 chose for each trait
    variants       how many variants predict
    """

    by_chromosome: dict[str, NDArray[np.float64]] = field(repr=False)
    shares: tuple[float, ...]
    variants: int


@dataclass(frozen=True, slots=True)
class _Block:
    """Variants of one chromosome, at `places` of the list."""

    chromosome: str
    places: NDArray[np.int64]


def offsets(
    cohorts: Sequence[Cohort],
    design: Design,
    chromosome: Text,
    people: Sequence[Sequence[str]],
    settings: Ridge = Ridge(),
    executor: Executor | None = None,
) -> tuple[Offsets, ...]:
    """Return the offsets of each site's people.

    cohorts     with the columns of `design`, over the whole list of variants
    chromosome  (variants,) of the list
    people      the IDs of each cohort's people, in its order: folds go by them

    InputError for several sites, of which this is not done yet, where no variant is common
    enough, where a fold has nobody in it, or where predictions would not fit into memory.
    """
    if len(cohorts) != 1:
        raise InputError(
            f"whole-genome offsets over {len(cohorts)} sites; expected one site, since the sums"
            " among variants that they need are not made under masks yet; scan the sites without"
            " them, with components of ancestry as covariates"
        )
    cohort = replace(cohorts[0], executor=executor)
    k, traits = len(design.covariates), len(design.traits)
    fold = folds(people[0], settings.seed, settings.folds)
    _refuse_empty(fold, settings.folds)
    size = block_size(cohort.genotypes.n_samples)
    counted = Adding([cohort]).run(Frequency(cohort.n, len(chromosome), 0, 1, size))
    blocks = _blocks(chromosome, counted, cohort.n, settings)
    columns = len(blocks) * len(settings.shares)
    _refuse_large(cohort.n * columns * traits * 4)
    names = (*design.covariates, *design.traits)
    held = np.column_stack([np.ones(cohort.n), *map(cohort.column, names)])
    covariates, y = held[:, : k + 1], held[:, k + 1 :]
    fitted = _predictions(cohort, (covariates, y, fold), blocks, counted, settings)
    residual = y - covariates @ np.linalg.lstsq(covariates, y, rcond=None)[0]
    variants = sum(len(block.places) for block in blocks)
    found = [_stacked(fitted[t], residual[:, t], fold, settings) for t in range(traits)]
    shares = tuple(share for _, share in found)
    weights = [weight for weight, _ in found]
    of = np.repeat([block.chromosome for block in blocks], len(settings.shares))
    by_chromosome = {
        name: _left_out(fitted, weights, fold, of != name)
        for name in dict.fromkeys(map(str, _firsts(chromosome)))
    }
    return (Offsets(by_chromosome, shares, variants),)


def subtracted(design: Design, found: Sequence[Offsets], chromosome: str) -> Design:
    """Return the design of a scan of one chromosome: its offsets are taken off the traits."""
    k = len(design.covariates)
    columns = tuple(
        np.column_stack([held[:, :k], held[:, k:] - own.by_chromosome[chromosome]])
        for held, own in zip(design.columns, found, strict=True)
    )
    largest = np.max([np.abs(held).max(axis=0, initial=0.0) for held in columns], axis=0)
    bounds = np.exp2(np.ceil(np.log2(np.maximum(largest, 1e-300))))
    return replace(design, columns=columns, bounds=tuple(bounds.tolist()))


def _firsts(chromosome: Text) -> Text:
    """Return the first of each run of variants of one chromosome."""
    return chromosome[np.append(True, chromosome[1:] != chromosome[:-1])[: len(chromosome)]]


def _blocks(chromosome: Text, counted: Frequencies, people: int, settings: Ridge) -> list[_Block]:
    p = np.nan_to_num(counted.frequency)
    usable = np.minimum(p, 1 - p) >= max(settings.least_frequency, 1e-9)
    usable &= counted.called >= settings.least_called * people
    autosomal = ploidies(chromosome).get(Ploidy.DIPLOID, np.zeros(0, np.int64))
    places = autosomal[usable[autosomal]]
    if not len(places):
        raise InputError(
            "no autosomal variant is common enough for whole-genome offsets; expected some with"
            f" a minor allele frequency of {settings.least_frequency} or more, called in"
            f" {settings.least_called:.0%}; scan without offsets"
        )
    found: list[_Block] = []
    own = chromosome[places]
    for name in dict.fromkeys(map(str, _firsts(own))):
        of_name = places[own == name]
        number = -(-len(of_name) // settings.block)
        found += [_Block(name, part) for part in np.array_split(of_name, number)]
    return found


def _predictions(
    cohort: Cohort,
    rows: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]],
    blocks: list[_Block],
    counted: Frequencies,
    settings: Ridge,
) -> NDArray[np.float32]:
    """Return level 0, (traits, people, blocks * penalties), each block by some worker."""
    covariates, y, fold = rows
    mean = [counted.mean_at(block.places) for block in blocks]
    penalty = penalties(sum(len(block.places) for block in blocks), settings.shares)
    r = len(penalty)

    def work(start: int, stop: int) -> NDArray[np.float32]:
        del stop
        tiles = _Tiles(cohort, blocks[start].places, mean[start])
        sums = _sums(tiles, covariates, y, fold, settings.folds)
        return _predicted(tiles, level_zero(sums, penalty), covariates, fold)

    fitted = np.empty((y.shape[1], cohort.n, len(blocks) * r), np.float32)
    bounds = tuple((b, b + 1) for b in range(len(blocks)))
    for b, part in enumerate(cohort.map_blocks(work, bounds)):
        fitted[:, :, b * r : (b + 1) * r] = part.transpose(2, 0, 1)
    return fitted


@dataclass(frozen=True, slots=True)
class _Tiles:
    """Genotypes of a block, standardised by their frequency, some people at a time.

    A variant's unit is its own standard deviation under Hardy-Weinberg; a missing call is 0.
    """

    cohort: Cohort
    places: NDArray[np.int64]
    mean: NDArray[np.float64]

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield which of the cohort's people, (m,), and their genotypes, (variants, m)."""
        source, rows = self.cohort.genotypes, self.cohort.rows
        first, last = int(self.places[0]), int(self.places[-1]) + 1
        unit = 1 / np.sqrt(self.mean * (1 - self.mean / 2))
        if self.cohort.with_dosages:
            dosage = self.cohort.dosage(first, last)[self.places - first]
            dosage = (dosage - self.mean[:, None]) * unit[:, None]
            yield np.arange(len(rows)), np.nan_to_num(dosage).astype(np.float32)
            return
        block = source.packed(first, last)[self.places - first]
        values = (np.array((2.0, 0, 1, 0)) - self.mean[:, None]) * unit[:, None]
        values[:, 1] = 0.0
        for start in range(0, source.n_samples, PEOPLE_AT_ONCE):
            stop = min(start + PEOPLE_AT_ONCE, source.n_samples)
            who = np.flatnonzero((rows >= start) & (rows < stop))
            part = np.ascontiguousarray(block[:, start // 4 : (stop + 3) // 4])
            yield who, valued(part, stop - start, values, np.float32)[:, rows[who] - start]


def _sums(
    tiles: _Tiles,
    covariates: NDArray[np.float64],
    y: NDArray[np.float64],
    fold: NDArray[np.int64],
    n_folds: int,
) -> FoldSums:
    """Return the block's sums by fold: products in float32 of some people, sums in float64."""
    b, k, t = len(tiles.places), covariates.shape[1], y.shape[1]
    xx, xc, xy = np.zeros((n_folds, b, b)), np.zeros((n_folds, b, k)), np.zeros((n_folds, b, t))
    both = np.column_stack([covariates, y]).astype(np.float32)
    for who, x in tiles:
        for f in range(n_folds):
            own = fold[who] == f
            part = x[:, own]
            xx[f] += part @ part.T
            products = part @ both[who[own]]
            xc[f] += products[:, :k]
            xy[f] += products[:, k:]
    members = [fold == f for f in range(n_folds)]
    cc = np.stack([covariates[m].T @ covariates[m] for m in members])
    cy = np.stack([covariates[m].T @ y[m] for m in members])
    return FoldSums(xx, xc, xy, cc, cy)


def _predicted(
    tiles: _Tiles, weights: Predictors, covariates: NDArray[np.float64], fold: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return what the block predicts of each person without their fold, (people, r, traits)."""
    n_folds, b, r, t = weights.columns.shape
    found = np.empty((len(fold), r * t), np.float32)
    of_x = weights.columns.reshape(n_folds, b, r * t).astype(np.float32)
    of_c = weights.covariates.reshape(n_folds, -1, r * t)
    for who, x in tiles:
        for f in range(n_folds):
            own = fold[who] == f
            found[who[own]] = x[:, own].T @ of_x[f] - covariates[who[own]] @ of_c[f]
    return found.reshape(len(fold), r, t)


def _stacked(
    fitted: NDArray[np.float32],
    y: NDArray[np.float64],
    fold: NDArray[np.int64],
    settings: Ridge,
) -> tuple[NDArray[np.float64], float]:
    """Return the weights of level 1 of one trait, (folds, predictions), and its share."""
    members = [np.flatnonzero(fold == f) for f in range(settings.folds)]
    parts = [fitted[m] for m in members]
    gram = np.stack([part.T @ part for part in parts]).astype(np.float64)
    score = np.stack([part.T @ y[m] for part, m in zip(parts, members, strict=True)])
    square = np.array([y[m] @ y[m] for m in members])
    stack = level_one(gram, score, square, len(y), settings.shares)
    return stack.weights, stack.share


def _left_out(
    fitted: NDArray[np.float32],
    weights: Sequence[NDArray[np.float64]],
    fold: NDArray[np.int64],
    kept: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return what the predictions kept, those of other chromosomes, say; (people, traits)."""
    found = np.zeros((len(fold), len(weights)))
    for t, own in enumerate(weights):
        for f, weight in enumerate(own):
            members = np.flatnonzero(fold == f)
            found[members, t] = fitted[t, members] @ np.where(kept, weight, 0.0)
    return found


def _refuse_empty(fold: NDArray[np.int64], n_folds: int) -> None:
    least = int(np.bincount(fold, minlength=n_folds).min())
    if least < 2:
        raise InputError(
            f"{least} people in one of {n_folds} folds; expected at least 2; most likely there are"
            " too few people for whole-genome offsets: scan without them"
        )


def _refuse_large(size: int) -> None:
    if size > MOST_BYTES:
        raise InputError(
            f"predictions of level 0 of {size / 2**30:.0f} GB; expected at most"
            f" {MOST_BYTES / 2**30:.0f}; give fewer traits at a time, larger blocks, or a list of"
            " variants that predict which is pruned"
        )
