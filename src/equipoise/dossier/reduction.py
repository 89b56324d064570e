"""A scan of any number of variants, reduced block by block to what its pictures and tables show.

Memory does not grow with the number of variants, only with that of hits: every variant above
`SUGGESTIVE` is kept whole; of the others, where they are many, one for each cell of a grid,
position by -log10 p, finer than a page shows; and of all, a histogram of -log10 p, from which quantiles are read.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.gwas_ssf import Statistics

SUGGESTIVE: Final = 5.0
"""-log10 p above which every variant is kept, with its alleles and effect."""

APART: Final = 500_000
"""Base pairs within which weaker variants belong to the strongest one's locus."""

STEPS: Final = 1 << 16
"""Bins of the histogram for each unit of ln(1 + x), x = -log10 p: steps of 1.5e-5 of 1 + x."""

CELL: Final = 1_000
"""Base pairs of a cell at first; twice as many whenever more than half of `MOST` are left."""

ROWS: Final = (8, 64)
"""Rows of cells for each unit of -log10 p, below 3 and above."""

MOST: Final = 1_000_000
"""Points above which those of one cell are merged."""

ORDER: Final = (*map(str, range(1, 23)), "X", "XY", "PAR", "PAR1", "PAR2", "Y", "MT", "M")

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

_WHOLE: Final = (
    *("base_pair_location", "effect_allele", "other_allele", "beta", "standard_error"),
    *("effect_allele_frequency", "neg_log_10_p_value"),
)


@dataclass(frozen=True, slots=True)
class Locus:
    """The strongest variant of a locus, and how many others above the line belong to it."""

    chromosome: str
    base_pair_location: int
    effect_allele: str
    other_allele: str
    effect_allele_frequency: float
    beta: float
    standard_error: float
    neg_log_10_p_value: float
    name: str
    others: int


@dataclass(frozen=True, slots=True)
class Points:
    """Variants of a picture, each array of shape (points,), by chromosome and position."""

    chromosome: NDArray[Any] = field(repr=False)
    position: NDArray[np.int64] = field(repr=False)
    p: Floats = field(repr=False)


class Reduction:
    """What is known of a scan so far. Blocks may come in any order.

    rows    variants
    tested  those with a p-value
    status  how many variants have each status; `method` likewise, of blocks that say it
    """

    def __init__(self) -> None:
        self.rows = 0
        self.tested = 0
        self.status: Counter[str] = Counter()
        self.method: Counter[str] = Counter()
        self._histogram = np.zeros(STEPS, np.int64)
        self._strongest: Floats = np.zeros(0)
        self._names: dict[str, int] = {}
        self._weak: list[Floats] = []
        self._cell = CELL
        self._hits: list[dict[str, NDArray[Any]]] = []

    @classmethod
    def of(cls, table: Statistics) -> "Reduction":
        """Return the reduction of a table that is held in memory."""
        found = cls()
        found.add({name: getattr(table, name) for name in ("chromosome", "status", *_WHOLE)})
        return found

    def add(self, block: Columns) -> None:
        """Take in one block of rows, of the columns of `artefacts.gwas_writing`.

        `neg_log_10_p_value` must be among them; `status`, `method`, `rsid` may be.
        """
        p = np.asarray(block["neg_log_10_p_value"], np.float64)
        self.rows += len(p)
        for name, counter in (("status", self.status), ("method", self.method)):
            if name in block:
                counter.update(_tally(block[name]))
        known = np.flatnonzero(np.isfinite(p))
        self.tested += len(known)
        self._count(p[known])
        code = self._codes(block["chromosome"])
        hit = known[p[known] > SUGGESTIVE]
        if len(hit):
            kept = {name: np.asarray(block[name])[hit] for name in _WHOLE}
            names = np.asarray(block["rsid"])[hit] if "rsid" in block else np.full(len(hit), "")
            self._hits.append({**kept, "code": code[hit], "name": names})
        weak = known[p[known] <= SUGGESTIVE]
        position = np.asarray(block["base_pair_location"])[weak]
        self._weak.append(np.stack([code[weak].astype(np.float64), position, p[weak]]))
        if sum(part.shape[1] for part in self._weak) > MOST:
            self._merge()

    def quantiles(self, rank: NDArray[np.int64]) -> Floats:
        """Return -log10 p of the rank-th strongest variants, 1 the strongest.

        The strongest 1,000 are exact. Others are taken to be evenly spread within their
        bin: the error is below 1.6e-5 of 1 + p.
        """
        ends = np.cumsum(self._histogram[::-1])
        place = np.searchsorted(ends, rank)
        bin_of = len(self._histogram) - 1 - place
        count = self._histogram[bin_of]
        share = (ends[place] - rank + 0.5) / np.maximum(count, 1)
        found = np.expm1((bin_of + share) / STEPS)
        exact = rank <= len(self._strongest)
        found[exact] = self._strongest[rank[exact] - 1]
        return found

    def median(self) -> float:
        """Return the median of -log10 p; ValueError where no variant was tested."""
        if not self.tested:
            raise ValueError("no variant with a p-value; expected at least one")
        middle = np.array([(self.tested + 1) // 2, self.tested // 2 + 1])
        return float(self.quantiles(middle).mean())

    def points(self) -> Points:
        """Return the variants to draw, in the order of the genome."""
        hits = [
            np.stack([h["code"], h["base_pair_location"], h["neg_log_10_p_value"]]).astype(float)
            for h in self._hits
        ]
        code, position, p = np.concatenate([np.zeros((3, 0)), *self._weak, *hits], axis=1)
        names = np.array([*self._names, ""], dtype=object)
        genome = np.array([_rank(name, i) for i, name in enumerate(names.tolist())])
        order = np.lexsort([position, genome[code.astype(np.int64)]])
        code = code[order].astype(np.int64)
        return Points(names[code], position[order].astype(np.int64), p[order])

    def above(self, line: float) -> int:
        """Return how many variants lie above a line, which is not below `SUGGESTIVE`."""
        if line < SUGGESTIVE:
            raise ValueError(f"a line at {line}; expected at least {SUGGESTIVE}")
        strong = (h["neg_log_10_p_value"] > line for h in self._hits)
        return sum(int(np.count_nonzero(s)) for s in strong)

    def loci(self, line: float, apart: int = APART) -> tuple[Locus, ...]:
        """Return the strongest variant of each locus above a line, the strongest first.

        The strongest variant takes all others above the line within `apart` base pairs of
        it; then the strongest of those left, and so on.
        """
        if not self._hits:
            return ()
        rows = {name: np.concatenate([h[name] for h in self._hits]) for name in self._hits[0]}
        p, code, position = rows["neg_log_10_p_value"], rows["code"], rows["base_pair_location"]
        strong = np.flatnonzero(p > line)
        strong = strong[np.argsort(-p[strong], kind="stable")]
        taken = np.zeros(len(p), np.bool_)
        by_place = strong[np.lexsort([position[strong], code[strong]])]
        key = code[by_place].astype(np.int64) * (1 << 40) + position[by_place]
        names = tuple(self._names)
        found: list[Locus] = []
        for lead in strong:
            if taken[lead]:
                continue
            middle = int(code[lead]) * (1 << 40) + int(position[lead])
            low, high = np.searchsorted(key, [middle - apart, middle + apart + 1])
            near = by_place[low:high]
            near = near[~taken[near]]
            taken[near] = True
            found.append(_locus(rows, int(lead), names, len(near) - 1))
        return tuple(found)

    def _merge(self) -> None:
        weak = _one_of_each(np.concatenate(self._weak, axis=1), self._cell)
        while weak.shape[1] > MOST // 2:
            self._cell *= 2
            weak = _one_of_each(weak, self._cell)
        self._weak = [weak]

    def _count(self, p: Floats) -> None:
        bins = (np.log1p(np.maximum(p, 0.0)) * STEPS).astype(np.int64)
        counts = np.bincount(bins, minlength=len(self._histogram))
        longer = len(counts) - len(self._histogram)
        if longer > 0:
            self._histogram = np.pad(self._histogram, (0, longer))
        self._histogram += counts
        top = np.concatenate([self._strongest, p])
        most = min(len(top), 1000)
        self._strongest = np.sort(np.partition(top, -most)[-most:])[::-1] if most else top

    def _codes(self, texts: NDArray[Any]) -> NDArray[np.int64]:
        """Return a number for each row's chromosome; names stand in runs."""
        if not len(texts):
            return np.zeros(0, np.int64)
        starts = np.flatnonzero(np.concatenate([[True], texts[1:] != texts[:-1]]))
        names = (str(texts[i]).removeprefix("chr") for i in starts)
        codes = [self._names.setdefault(name, len(self._names)) for name in names]
        return np.repeat(np.array(codes, np.int64), np.diff(np.append(starts, len(texts))))


def _tally(texts: NDArray[Any]) -> dict[str, int]:
    found: Callable[..., Any] = np.unique
    names, counts = found(np.asarray(texts).astype(np.dtypes.StringDType()), return_counts=True)
    return dict(zip(map(str, names), counts.tolist(), strict=True))


def _one_of_each(points: Floats, size: int) -> Floats:
    """Return the first point of each cell, (3, points): chromosome, position, -log10 p."""
    cell = (points[0].astype(np.int64) << 40) + (points[1] // size).astype(np.int64) * 1024
    low = np.minimum(points[2], 3) * ROWS[0] + np.maximum(points[2] - 3, 0) * ROWS[1]
    _, first = np.unique(cell + low.astype(np.int64), return_index=True)
    return points[:, first]


def _rank(name: str, i: int) -> int:
    """Return where a chromosome stands in the genome; unknown names last, as they came."""
    return ORDER.index(name) if name in ORDER else len(ORDER) + i


def _locus(rows: Mapping[str, NDArray[Any]], i: int, names: tuple[str, ...], others: int) -> Locus:
    name = str(rows["name"][i])
    return Locus(
        chromosome=names[int(rows["code"][i])],
        base_pair_location=int(rows["base_pair_location"][i]),
        effect_allele=str(rows["effect_allele"][i]),
        other_allele=str(rows["other_allele"][i]),
        effect_allele_frequency=float(rows["effect_allele_frequency"][i]),
        beta=float(rows["beta"][i]),
        standard_error=float(rows["standard_error"][i]),
        neg_log_10_p_value=float(rows["neg_log_10_p_value"][i]),
        name="" if name in ("", ".", "NA", "None", "nan") else name,
        others=others,
    )
