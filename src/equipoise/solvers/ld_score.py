"""LD scores of variants, and the regression of a scan's chi-squares on them.

Bulik-Sullivan et al. 2015, doi:10.1038/ng.3211: with N people, M variants and heritability h2,

    E chi2_j = (N h2 / M) l_j + 1 + N a,      l_j = sum over variants k of r_jk^2

A variant that has many neighbours tags many small effects; hidden structure raises all alike.
So the intercept, 1 + N a, tells a polygenic trait (near 1) from stratification (above 1).

The regression is that of the paper in its usual form: weights 1 / l_j against counting
neighbours twice, and 1 / (intercept + slope l_j)^2 against unequal variance, from the fit
before; the intercept without strong variants, the slope from all with that intercept; standard
errors by a jackknife over blocks of consecutive variants. Departures: strong is a chi2 of 30 times
what the line expects, not of 30, which would cut into a scan of many people; weights are held over
the blocks left out; the LD scores themselves stand in for those over the variants of the regression
alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import BlockSource
from equipoise.packed.decode import decode

STRONG: Final = 30.0
"""Times the expected chi-square, above which a variant does not speak of the intercept."""

BLOCKS: Final = 200
ROUNDS: Final = 3
LEAST: Final = 2
"""Variants that a block of the jackknife has at least."""

SIZE: Final = 256
"""Variants that are decoded at a time."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LdRegression:
    """The line, each figure with its standard error.

    slope      N h2 / M, the rise of chi-square for each unit of LD score
    ratio      (intercept - 1) / (mean chi2 - 1), the share of the inflation that is not from
               many small effects; None where the mean is not above 1
    """

    intercept: float
    intercept_se: float
    slope: float
    slope_se: float
    mean_chi2: float
    ratio: float | None
    ratio_se: float | None
    variants: int


def ld_scores(
    source: BlockSource,
    chromosome: NDArray[np.int64],
    position: Floats,
    reach: float,
    rows: NDArray[np.int64] | None = None,
) -> Floats:
    """Return the LD score of each variant, (variants,), NaN of one that does not vary.

    chromosome  (variants,) a number for each, variants of one together
    position    (variants,) rising within a chromosome; base pairs, kb or cM
    reach       neighbours lie at most so far, in the unit of `position`
    rows        the people to use, everybody by default; a few thousand suffice

    r^2 is that of dosages, missing ones at the mean, each less (1 - r^2) / (n - 2), which
    is its bias; a variant's own, 1, is part of the sum. Memory is that of the variants
    within `reach`, as single-precision rows. ValueError where variants are out of order
    or there are fewer than three people.
    """
    _check(chromosome, position)
    score = np.zeros(source.n_variants)
    varies = np.zeros(source.n_variants, np.bool_)
    before: list[tuple[int, NDArray[np.float32]]] = []
    for start, block in _blocks(source, rows):
        n = block.shape[1]
        stop = start + len(block)
        varies[start:stop] = block.any(axis=1)
        before = [
            kept for kept in before if _near(chromosome, position, reach, kept, (start, stop)).any()
        ]
        for first, other in [*before, (start, block)]:
            r2 = np.square((block @ other.T).astype(np.float64) / n)
            near = _near(chromosome, position, reach, (first, other), (start, stop))
            near &= varies[start:stop, None] & varies[first : first + len(other)]
            r2 = np.where(near, r2 - (1 - r2) / (n - 2), 0.0)
            score[start:stop] += r2.sum(axis=1)
            if first != start:
                score[first : first + len(other)] += r2.sum(axis=0)
        before.append((start, block))
    return np.where(varies, score, np.nan)


def ld_regression(chi2: Floats, score: Floats, blocks: int = BLOCKS) -> LdRegression:
    """Return the regression of chi-squares (variants,) on LD scores (variants,), in genome order.

    Variants where either is NaN do not count. ValueError where fewer than `LEAST` variants
    a block are left, at 3 blocks or more, or where all scores are one.
    """
    known = np.isfinite(chi2) & np.isfinite(score)
    chi2, score = chi2[known], np.maximum(score[known], 1.0)
    blocks = min(blocks, len(chi2) // LEAST)
    if blocks < 3 or np.ptp(score) < 1e-9:
        raise ValueError(
            f"{len(chi2)} variants with a statistic and an LD score; expected at least"
            f" {3 * LEAST}, of different scores"
        )
    block = np.arange(len(chi2)) * blocks // len(chi2)
    mean = float(chi2.mean())
    line = np.array([1.0, max((mean - 1.0) / float(score.mean()), 0.0)])
    parts = _parts(chi2, score, line, block, blocks)
    for _ in range(ROUNDS):
        weak = np.flatnonzero(chi2 < STRONG * _expected(line, score))
        parts = _parts(chi2[weak], score[weak], line, block[weak], blocks)
        line = _line(parts.sum(axis=0))
    intercepts = np.array([_line(p)[0] for p in parts.sum(axis=0) - parts])
    for _ in range(ROUNDS):
        parts = _parts(chi2, score, line, block, blocks)
        line = np.array([line[0], _slope(parts.sum(axis=0), line[0])])
    left = parts.sum(axis=0) - parts
    slopes = np.array([_slope(p, a) for p, a in zip(left, intercepts, strict=True)])
    sums = np.bincount(block, chi2, blocks), np.bincount(block, minlength=blocks)
    means = (sums[0].sum() - sums[0]) / (len(chi2) - sums[1])
    known_ratio = mean > 1.0 and bool(np.all(means > 1.0))
    return LdRegression(
        float(line[0]),
        _jackknife(intercepts),
        float(line[1]),
        _jackknife(slopes),
        mean,
        (float(line[0]) - 1.0) / (mean - 1.0) if known_ratio else None,
        _jackknife((intercepts - 1.0) / (means - 1.0)) if known_ratio else None,
        len(chi2),
    )


def heritability(found: LdRegression, people: float, variants: int) -> tuple[float, float]:
    """Return h2 and its standard error; `variants` is M, how many the scores were summed over.

    On the observed scale. It is as good as the scores: those of a sparse set of variants
    do not see the neighbours that are not in it.
    """
    return found.slope * variants / people, found.slope_se * variants / people


def _check(chromosome: NDArray[np.int64], position: Floats) -> None:
    same = chromosome[1:] == chromosome[:-1]
    runs = 1 + int(np.count_nonzero(~same)) if len(chromosome) else 0
    if runs != len(np.unique(chromosome)) or np.any(position[1:][same] < position[:-1][same]):
        raise ValueError(
            "variants out of order; expected rising positions chromosome by chromosome"
        )


def _blocks(
    source: BlockSource, rows: NDArray[np.int64] | None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first variant of each block, and its standardised rows; 0 where none varies."""
    for start in range(0, source.n_variants, SIZE):
        stop = min(start + SIZE, source.n_variants)
        g = decode(source.packed(start, stop), source.n_samples, np.float32)
        g = g if rows is None else g[:, rows]
        if g.shape[1] < 3:
            raise ValueError(f"{g.shape[1]} people; expected at least 3")
        called = ~np.isnan(g)
        counts = np.maximum(called.sum(axis=1, dtype=np.float64), 1.0)
        mean = np.where(called, g, 0).sum(axis=1, dtype=np.float64) / counts
        g = np.where(called, g - mean[:, None].astype(np.float32), np.float32(0))
        deviation = np.sqrt(np.square(g).mean(axis=1, dtype=np.float64))
        varies = deviation > 1e-4
        scale = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0)
        yield start, g * scale[:, None].astype(np.float32)


def _near(
    chromosome: NDArray[np.int64],
    position: Floats,
    reach: float,
    kept: tuple[int, NDArray[np.float32]],
    span: tuple[int, int],
) -> NDArray[np.bool_]:
    """Return which variants of a span, (span, kept), are neighbours of those kept."""
    new, old = slice(*span), slice(kept[0], kept[0] + len(kept[1]))
    same = chromosome[new, None] == chromosome[None, old]
    return same & (np.abs(position[new, None] - position[None, old]) <= reach)


def _expected(line: Floats, score: Floats) -> Floats:
    return np.maximum(line[0] + max(line[1], 0.0) * score, 1e-2)


def _parts(
    chi2: Floats, score: Floats, line: Floats, block: NDArray[np.int64], blocks: int
) -> Floats:
    """Return weighted sums by block, (blocks, 5): of 1, l, l^2, chi2, l chi2."""
    weight = 1.0 / (score * np.square(_expected(line, score)))
    terms = (np.ones_like(score), score, score**2, chi2, score * chi2)
    sums = [np.bincount(block, weight * term, blocks).astype(np.float64) for term in terms]
    return np.column_stack(sums)


def _line(sums: Floats) -> Floats:
    """Return the intercept and the slope of weighted sums."""
    n, x, xx, y, xy = sums.tolist()
    slope = (n * xy - x * y) / (n * xx - x * x)
    return np.array([(y - slope * x) / n, slope])


def _slope(sums: Floats, intercept: float) -> float:
    """Return the slope of weighted sums at a given intercept."""
    return float((sums[4] - intercept * sums[1]) / sums[2])


def _jackknife(without: Floats) -> float:
    """Return the standard error of an estimate from those without each block."""
    n = len(without)
    return float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))
