"""Bins of a logit, and bins merged until none of them speaks of too few people."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def even_edges(span: float, bins: int) -> NDArray[np.float64]:
    """Return the inner edges of `bins` bins of one width over ±span, (bins - 1,).

    >>> even_edges(8.0, 4)
    array([-4.,  0.,  4.])
    """
    return np.asarray(np.arange(1, bins) * (2 * span / bins) - span, np.float64)


def filled_edges(counts: Counts, span: float) -> NDArray[np.float64]:
    """Return inner edges between which people are about equally many, (bins - 1,).

    `counts` (bins,) are those of the even bins, within which people are taken as spread
    evenly. The AUC of B such bins is off by about 1 / 2B at most, however the score is
    spread; that of even bins, most of them empty, by several times that.

    >>> filled_edges(np.array([0, 6, 2, 0]), 8.0).round(2)
    array([-2.67, -1.33,  0.  ])
    """
    bins = len(counts)
    below = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    ends = np.concatenate([[-span], even_edges(span, bins), [span]])
    wanted = below[-1] * np.arange(1, bins) / bins
    return np.asarray(np.interp(wanted, below, ends), np.float64)


def place(logit: NDArray[np.float64], edges: NDArray[np.float64]) -> Counts:
    """Return the bin of each logit, from 0, the end bins open.

    >>> place(np.array([-9.0, -0.1, 0.1, 9.0]), even_edges(8.0, 4))
    array([0, 1, 2, 3])
    """
    return np.searchsorted(edges, logit, "right").astype(np.int64)


def merged(histogram: Counts, k: int, most: int) -> Counts:
    """Return for each bin the place of the wider one it goes into, (bins,), from 0 on.

    `histogram` is (groups, 2, bins) of controls and cases. One partition serves all
    groups: with edges of their own, a bin of everybody less those of a group might be
    one person. In each wider bin every group has at least k people, and no cases or at
    least k, and no controls or at least k. There are as many of them as can be, at most
    `most`, and of those partitions the one whose bins are the most even. One bin holds
    everybody where nothing narrower will do. Groups with nobody do not count.

    Whole numbers and comparisons alone: the same on every machine. Of more than `FINE`
    bins, neighbours are joined first.

    >>> merged(np.array([[[6, 6, 3, 0], [0, 0, 4, 5]]]), k=5, most=3)
    array([0, 1, 1, 1])
    """
    held: Counts = histogram[histogram.sum(axis=(1, 2)) > 0]
    bins = int(histogram.shape[-1])
    if not len(held):
        return np.zeros(bins, np.int64)
    joined = np.arange(bins) * min(bins, FINE) // bins
    starts = np.flatnonzero(np.diff(joined, prepend=-1))
    fine = np.add.reduceat(held, starts, axis=2)
    ends = _partition(_allowed(fine, k), _squares(fine), most)
    return np.searchsorted(np.array(ends), joined, "right").astype(np.int64)


FINE = 256
"""A partition of so many bins is found in a moment."""

_NEVER = 2**61


def _between(fine: Counts) -> Counts:
    """Return sums over the bins from start to stop, (..., start, stop)."""
    before = np.concatenate([np.zeros((*fine.shape[:-1], 1), np.int64), fine.cumsum(axis=-1)], -1)
    return np.asarray(before[..., None, :] - before[..., :, None], np.int64)


def _allowed(fine: Counts, k: int) -> NDArray[np.bool_]:
    """Return, (start, stop), whether the bins between may be one."""
    part = _between(fine)
    each = ((part == 0) | (part >= k)).all(axis=(0, 1))
    return np.asarray(each & (part.sum(axis=1) >= k).all(axis=0), np.bool_)


def _squares(fine: Counts) -> Counts:
    """Return, (start, stop), the square of the people between, of the largest group."""
    people = _between(fine.sum(axis=1)).max(axis=0)
    return np.asarray(people * people, np.int64)


def _partition(allowed: NDArray[np.bool_], cost: Counts, most: int) -> list[int]:
    """Return the ends of as many parts as can be, at most `most`, of the least cost in all."""
    bins = len(cost) - 1
    step = np.where(allowed & np.triu(np.ones_like(allowed), 1), cost, _NEVER)
    least = np.where(np.arange(bins + 1) == 0, 0, _NEVER)
    came: list[Counts] = []
    reached = 0
    for parts in range(1, most + 1):
        # Where either is never, the sum is too: twice _NEVER still fits 64 bits.
        total = np.minimum(least[:, None] + step, _NEVER)
        came.append(np.asarray(total.argmin(axis=0), np.int64))
        least = total.min(axis=0)
        if least[bins] < _NEVER:
            reached = parts
    ends = [bins]
    for parents in reversed(came[:reached]):
        ends.append(int(parents[ends[-1]]))
    return ends[-2::-1] if reached else [bins]


def gathered(counts: NDArray[np.float64] | Counts, place: Counts) -> NDArray[np.float64]:
    """Return sums over the wider bins, along the last axis.

    >>> gathered(np.array([1, 2, 3]), np.array([0, 0, 1]))
    array([3., 3.])
    """
    wide = np.zeros((*counts.shape[:-1], int(place.max()) + 1))
    for bin_, to in enumerate(place.tolist()):
        wide[..., to] += counts[..., bin_]
    return wide
