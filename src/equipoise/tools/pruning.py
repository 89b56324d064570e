"""Variants in linkage with each other over all sites, and a set of them that is not.

Of all pairs of variants that lie within a window of each other on a chromosome the squared
correlation r2 of their dosages is found, from sums over sites of G'G. A missing call is the
mean over all sites there, at one site too, so that r2 does not depend on how people are spread.
Hard calls add up exactly.

In order of falling minor allele frequency, and of position where that is equal, a variant is
kept unless its r2 with one that is kept exceeds the limit. So no pair that is kept is beyond
it, within any window, and whatever is left out is in linkage with one that is kept. PLINK's
`--indep-pairwise` (Purcell et al. 2007, doi:10.1086/519795) prefers the more frequent of two
as well, but lets a variant that is removed later take others with it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.genotypes.variants import Variants
from equipoise.packed.decode import Block, valued
from equipoise.record import grid
from equipoise.step import Done
from equipoise.sums import GENOTYPE, Field, Read, Schema, Sums, quantum_for
from equipoise.tools.adding import Adding

ROWS: Final = 48
"""Variants whose products are found together, with all that lie within reach of them."""

PEOPLE: Final = 2**13
"""As many are decoded at a time; a multiple of four."""

AT_ONCE: Final = 2**22
"""As many products are asked for in one round."""

LEAST_VARIANCE: Final = 2.0**-20
"""Below this a dosage does not vary: all people may be heterozygous."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far apart two variants may lie to be compared: so many bases, or so many variants.

    >>> Window.of("500kb"), Window.of("50")
    (Window(bases=500000, variants=None), Window(bases=None, variants=50))
    """

    bases: int | None = 500_000
    variants: int | None = None

    @classmethod
    def of(cls, text: str) -> "Window":
        """Return what `text` names, such as 500kb or 50; ValueError where it is no such thing."""
        number = text.lower().removesuffix("kb").strip()
        if not number.isdigit() or not int(number):
            raise ValueError(f"a window of {text!r}; expected such as 500kb, or 50 variants")
        in_bases = number != text.lower().strip()
        return cls(1000 * int(number), None) if in_bases else cls(None, int(number))

    def reach(self, variants: Variants) -> NDArray[np.int64]:
        """Return for each variant the place after the last it is compared with, (variants,).

        `variants` are by chromosome, and by position within each.
        """
        chromosome, position = variants.chromosome, variants.position
        ends = np.zeros(len(position), np.int64)
        begins = np.flatnonzero(np.append(True, chromosome[1:] != chromosome[:-1]))
        for start, stop in zip(begins, [*begins[1:], len(position)], strict=True):
            if self.bases is None:
                own = np.arange(start, stop) + (self.variants or 1)
            else:
                here = position[start:stop]
                own = start + np.searchsorted(here, here + self.bases, "right")
            ends[start:stop] = np.minimum(own, stop)
        return ends


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Covariances:
    """Of each block's rows with all within their reach, side by side, and the variances."""

    products: NDArray[np.float64] = grid(2.0**-30)
    squares: NDArray[np.float64] = grid(2.0**-30)


@dataclass(frozen=True, slots=True)
class Linkage:
    """Asks for G'G between neighbours, block by block.

    blocks   (first, last, end): rows `first` to `last` with columns `first` to `end`
    mean     (variants,) mean dosage over all sites, which a missing call counts
    missing  (variants,) whether anybody at any site is not called
    """

    people: int
    blocks: tuple[tuple[int, int, int], ...]
    mean: NDArray[np.float64] = field(repr=False)
    missing: NDArray[np.bool_] = field(repr=False)

    def start(self) -> Nothing:
        """Return the empty state."""
        return Nothing()

    def schema(self, state: Nothing) -> Schema:
        """Ask for one matrix a block, and the squares of its columns."""
        del state
        limit = max(4.0 * self.people, 1.0)
        quantum, twice = quantum_for(limit), (Read(GENOTYPE, 2),)

        def asked(first: int, last: int, end: int) -> dict[str, Field]:
            width = end - first
            shape, span = (last - first, width), (first, end)
            return {
                "products": Field(shape, 4.0, limit, quantum, (), twice, False, width, span),
                "squares": Field((width,), 4.0, limit, quantum, (), twice),
            }

        return Schema(tuple(asked(*block) for block in self.blocks))

    def summarise(self, cohort: Cohort, state: Nothing) -> Iterator[Sums]:
        """Yield the site's sums."""
        del state
        ends = {first: end for first, _, end in self.blocks}

        def work(first: int, last: int) -> Sums:
            return self._sums(cohort, first, last, ends[first])

        spans = tuple((first, last) for first, last, _ in self.blocks)
        yield from cohort.map_blocks(work, spans)

    def advance(self, state: Nothing, totals: Iterable[Sums]) -> Done[Covariances]:
        """Return the sums less what the means give."""
        del state
        products, squares = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
        for (first, last, end), total in zip(self.blocks, totals, strict=True):
            mean = self.mean[first:end]
            own = mean[: last - first]
            products.append((total["products"] / self.people - np.outer(own, mean)).ravel())
            squares.append(total["squares"] / self.people - mean * mean)
        return Done(Covariances(np.concatenate(products), np.concatenate(squares)))

    def derive(self, cohort: Cohort, result: Covariances) -> Columns:
        """Nothing is derived for a person."""
        del cohort, result
        return {}

    def _sums(self, cohort: Cohort, first: int, last: int, end: int) -> Sums:
        mean, missing = self.mean[first:end], self.missing[first:end]
        if cohort.with_dosages:
            dosage = cohort.dosage(first, end)
            filled = np.where(np.isnan(dosage), mean[:, None], dosage)
            squares = np.einsum("vi,vi->v", filled, filled)
            return {"products": filled[: last - first] @ filled.T, "squares": squares}
        counts = cohort.counts(first, end).astype(np.float64)
        squares = 4 * counts[:, 0] + counts[:, 1] + counts[:, 3] * mean**2
        block = cohort.genotypes.packed(first, end)
        products = _products(block, cohort, last - first, mean if missing.any() else None)
        return {"products": products, "squares": squares}


def _products(
    block: Block, cohort: Cohort, rows: int, mean: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return the first rows' products with all of a block; a missing call counts `mean`.

    Whole numbers of single precision add up exactly here: 4 PEOPLE is less than 2**24.
    """
    n = cohort.genotypes.n_samples
    keep = np.zeros(n, np.float32)
    keep[cohort.rows] = 1
    total = np.zeros((rows, len(block)))
    for start in range(0, n, PEOPLE):
        stop = min(start + PEOPLE, n)
        part = block[:, start // 4 : (stop + 3) // 4]
        called = _valued(part, stop - start, _DOSAGE)
        own = called[:rows] if cohort.n == n else called[:rows] * keep[start:stop]
        total += own @ called.T
        if mean is not None:
            absent = _valued(part, stop - start, _ABSENT)
            own_absent = absent[:rows] * keep[start:stop]
            total += mean[:rows, None] * (own_absent @ called.T) + mean * (own @ absent.T)
            total += mean[:rows, None] * mean * (own_absent @ absent.T)
    return total


def _valued(block: Block, n: int, codes: NDArray[np.float64]) -> NDArray[np.float32]:
    return valued(block, n, np.broadcast_to(codes, (len(block), 4)), np.float32)


_DOSAGE: Final = np.array([2.0, 0.0, 1.0, 0.0])
_ABSENT: Final = np.array([0.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True, slots=True)
class Linked:
    """What is known of the linkage among variants.

    left, right  (pairs,) places of those in a window whose r2 exceeds the limit, left < right
    excess       sum of r2 over all pairs in windows, each less 1 / (n - 1), the square that
                 independent variants have in n people
    variance     (variants,) of the dosages
    columns      the most directions of G'G asked at one variant
    """

    left: NDArray[np.int64] = field(repr=False)
    right: NDArray[np.int64] = field(repr=False)
    excess: float
    variance: NDArray[np.float64] = field(repr=False)
    columns: int

    def effective(self) -> float:
        """Return the number of independent variants: m^2 / (m + 2 excess), from 1 to m."""
        m = float(np.count_nonzero(self.variance > LEAST_VARIANCE))
        return max(1.0, min(m, m * m / (m + 2 * self.excess) if m + 2 * self.excess > 0 else m))


def linkage(
    adding: Adding,
    mean: NDArray[np.float64],
    missing: NDArray[np.bool_],
    reach: NDArray[np.int64],
    limit: float,
) -> Linked:
    """Return the linkage among the variants of the sites' genotypes.

    mean, missing  as in `Linkage`
    reach          (variants,) as of `Window.reach`
    """
    people = sum(cohort.n for cohort in adding.cohorts)
    variance = np.zeros(len(mean))
    pairs, excess, most = list[tuple[NDArray[np.int64], NDArray[np.int64]]](), 0.0, 0
    for blocks in _batches(reach):
        found = adding.run(Linkage(people, blocks, mean, missing))
        place = along = 0
        for first, last, end in blocks:
            shape = (last - first, end - first)
            size, most = shape[0] * shape[1], max(most, shape[1])
            covariance = found.products[place : place + size].reshape(shape)
            own = found.squares[along : along + shape[1]]
            place, along = place + size, along + shape[1]
            variance[first:end] = own
            r2 = _squares(covariance, own)
            inside = np.arange(shape[1]) > np.arange(shape[0])[:, None]
            inside &= np.arange(first, end) < reach[first:last, None]
            excess += float(r2[inside].sum()) - np.count_nonzero(inside) / max(people - 1, 1)
            left, right = np.nonzero(inside & (r2 > limit))
            pairs.append((first + left, first + right))
    lefts, rights = [p[0] for p in pairs], [p[1] for p in pairs]
    none = [np.zeros(0, np.int64)]
    return Linked(
        np.concatenate(none + lefts), np.concatenate(none + rights), excess, variance, most
    )


def _batches(reach: NDArray[np.int64]) -> Iterator[tuple[tuple[int, int, int], ...]]:
    """Yield blocks of rows with their ends, as many as one round may ask for."""
    held, size = list[tuple[int, int, int]](), 0
    for first, last in blocks_of(len(reach), ROWS):
        end = max(int(reach[last - 1]), last)
        held.append((first, last, end))
        size += (last - first) * (end - first)
        if size >= AT_ONCE:
            yield tuple(held)
            held, size = [], 0
    if held:
        yield tuple(held)


def _squares(covariance: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return r2; 0 for a variant that does not vary."""
    varies = variance > LEAST_VARIANCE
    scale = np.where(varies, 1 / np.where(varies, variance, 1.0), 0.0)
    return covariance**2 * scale[: len(covariance), None] * scale


def pruned(linked: Linked, minor: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which variants are kept, (variants,).

    minor  (variants,) minor allele frequencies, or counts
    """
    n = len(minor)
    pairs = np.concatenate([linked.left, linked.right])
    others = np.concatenate([linked.right, linked.left])[np.argsort(pairs, kind="stable")]
    begins = np.searchsorted(np.sort(pairs), np.arange(n + 1))
    free = linked.variance > LEAST_VARIANCE
    kept = np.zeros(n, np.bool_)
    for place in np.lexsort((np.arange(n), -minor)).tolist():
        if free[place]:
            kept[place] = True
            free[others[begins[place] : begins[place + 1]]] = False
    return kept


def in_order(variants: Variants, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return places by chromosome, as chromosomes first come, and by position within each."""
    names: Sequence[str] = variants.chromosome[places].tolist()
    rank = {name: i for i, name in enumerate(dict.fromkeys(names))}
    by = np.array([rank[name] for name in names], np.int64)
    return places[np.lexsort((places, variants.position[places], by))]


def listed(variants: Variants, places: NDArray[np.int64]) -> Variants:
    """Return the list of the variants at `places`, in that order."""
    return Variants(
        variants.chromosome[places],
        variants.position[places],
        variants.effect_allele[places],
        variants.other_allele[places],
    )
