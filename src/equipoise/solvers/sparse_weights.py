"""Weights of many candidate scores, most of them zero, variant by variant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SparseWeights:
    """Weights of candidates by variant (compressed rows).

    starts     (variants + 1,) where the entries of each variant begin
    candidate  (entries,) rising within a variant
    weight     (entries,) none of them 0
    labels     (candidates,) what each candidate is
    """

    starts: NDArray[np.int64]
    candidate: NDArray[np.int32]
    weight: Array
    labels: tuple[str, ...]

    def dense(self, start: int, stop: int) -> Array:
        """Return the weights of some variants, (stop - start, candidates)."""
        found = np.zeros((stop - start, len(self.labels)))
        first, last = int(self.starts[start]), int(self.starts[stop])
        rows = np.repeat(np.arange(stop - start), np.diff(self.starts[start : stop + 1]))
        found[rows, self.candidate[first:last]] = self.weight[first:last]
        return found

    def combined(self, mixture: Array) -> Array:
        """Return the weights of one score made of all candidates, (variants,)."""
        variants = len(self.starts) - 1
        rows = np.repeat(np.arange(variants), np.diff(self.starts))
        found = np.bincount(rows, self.weight * mixture[self.candidate], variants)
        return np.asarray(found, np.float64)

    def chosen(self, candidates: Sequence[int]) -> "SparseWeights":
        """Return some of the candidates, in the order given."""
        place = np.full(len(self.labels), -1, np.int32)
        place[list(candidates)] = np.arange(len(candidates), dtype=np.int32)
        rows = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        kept = place[self.candidate] >= 0
        rows, columns = rows[kept], place[self.candidate[kept]]
        order = np.lexsort((columns, rows))
        counts = np.bincount(rows, minlength=len(self.starts) - 1)
        return SparseWeights(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            columns[order],
            self.weight[kept][order],
            tuple(self.labels[c] for c in candidates),
        )


def sparse(parts: Iterable[Array], labels: Sequence[str]) -> SparseWeights:
    """Return weights given in parts of (variants, candidates) that follow one another.

    >>> held = sparse([np.array([[0.0, 2.0]]), np.array([[1.0, 0.0]])], ["one", "other"])
    >>> held.weight.tolist(), held.dense(1, 2).tolist()
    ([2.0, 1.0], [[1.0, 0.0]])
    """
    counts: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    columns: list[NDArray[np.int32]] = []
    weights: list[Array] = []
    for part in parts:
        if part.shape[1] != len(labels):
            raise ValueError(f"{part.shape[1]} candidates; expected one for each label")
        rows, column = np.nonzero(part)
        counts.append(np.count_nonzero(part, axis=1).astype(np.int64))
        columns.append(column.astype(np.int32))
        weights.append(part[rows, column])
    return SparseWeights(
        np.cumsum(np.concatenate(counts)),
        np.concatenate([np.zeros(0, np.int32), *columns]),
        np.concatenate([np.zeros(0), *weights]),
        tuple(labels),
    )


def beside(weights: Sequence[SparseWeights]) -> SparseWeights:
    """Return the candidates of all over the same variants, one set after the other."""
    if len({len(held.starts) for held in weights}) > 1:
        raise ValueError("weights of other variants; expected the same in all")
    # The entries of a variant follow one another by set, as their candidates do.
    starts = np.stack([held.starts for held in weights]).sum(axis=0, dtype=np.int64)
    free, entries = starts[:-1].copy(), int(starts[-1])
    columns, weight = np.empty(entries, np.int32), np.empty(entries)
    first = 0
    for held in weights:
        counts = np.diff(held.starts)
        place = np.arange(len(held.weight)) + np.repeat(free - held.starts[:-1], counts)
        columns[place] = held.candidate + np.int32(first)
        weight[place] = held.weight
        free += counts
        first += len(held.labels)
    labels = tuple(label for held in weights for label in held.labels)
    return SparseWeights(starts, columns, weight, labels)
