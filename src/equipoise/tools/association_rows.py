"""The rows of a scan as they are found, and room for columns that need not be in memory."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from tempfile import TemporaryFile
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

MOST: Final = 1 << 21
"""Bytes of a column that are kept in memory."""

PART: Final = 1 << 16
"""Rows that are gone through at a time."""


def room(shape: int | tuple[int, ...], kind: Any) -> NDArray[Any]:
    """Return an array of zeros, in memory while it is small, else in a file without a name.

    What lies in a file is the system's to write out, however long the list of variants is. The
    file ends with the array. OSError where there is no space for it.

    >>> room(3, np.int64)
    array([0, 0, 0])
    """
    axes = (shape,) if isinstance(shape, int) else shape
    size = prod(axes) * np.dtype(kind).itemsize
    if size <= MOST:
        return np.zeros(axes, kind)
    with TemporaryFile() as file:
        # A file with holes would end the process where the disk is full.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.asarray(np.memmap(file, kind, "r+", shape=axes))


class Words:
    """A column of few different words."""

    def __init__(self, n: int) -> None:
        """Make room for so many rows."""
        self._code = room(n, np.uint8)
        self._words: list[str] = []

    def put(self, places: Any, code: NDArray[Any], words: Sequence[str]) -> None:
        """Write rows, each the place of its word in `words`."""
        for word in words:
            if word not in self._words:
                self._words.append(word)
        known = np.array([self._words.index(word) for word in words], np.uint8)
        self._code[places] = known[code]

    def series(self, part: slice) -> pl.Series:
        """Return the words of some rows."""
        code = pl.Series(self._code[part], dtype=pl.UInt32)
        return pl.Series(self._words, dtype=pl.String).gather(code)

    def count(self) -> dict[str, int]:
        """Return how many rows have each word that there is, by word."""
        times = Counter[str]()
        for start in range(0, len(self._code), PART):
            counts = np.bincount(self._code[start : start + PART], minlength=len(self._words))
            times.update(dict(zip(self._words, counts.tolist(), strict=True)))
        return {word: times[word] for word in sorted(times) if times[word]}


@dataclass(frozen=True, slots=True)
class Found:
    """Some rows of one trait, each array of shape (rows,); NaN where not estimable.

    status  places in `statuses`: ok, or why there is no effect
    method  places in `methods`, by which the p value was found, where there is more than one
    """

    beta: NDArray[np.float64] = field(repr=False)
    standard_error: NDArray[np.float64] = field(repr=False)
    neg_log_10_p: NDArray[np.float64] = field(repr=False)
    frequency: NDArray[np.float64] = field(repr=False)
    n: NDArray[np.float64] = field(repr=False)
    status: NDArray[Any] = field(repr=False)
    statuses: Sequence[str]
    method: NDArray[Any] | None = field(default=None, repr=False)
    methods: Sequence[str] = ()


class Rows:
    """What is written of one trait, each array of shape (variants,); NaN where not estimable.

    status  ok, or why there is no effect
    method  by which the p value was found, where there is more than one
    """

    def __init__(self, n: int, *, with_method: bool = False) -> None:
        """Make room for the rows of so many variants."""
        self.beta: NDArray[np.float64] = room(n, np.float64)
        self.standard_error: NDArray[np.float64] = room(n, np.float64)
        self.neg_log_10_p: NDArray[np.float64] = room(n, np.float64)
        self.frequency: NDArray[np.float64] = room(n, np.float64)
        self.n: NDArray[np.int64] = room(n, np.int64)
        self.status = Words(n)
        self.method = Words(n) if with_method else None

    def put(self, places: Any, found: Found) -> None:
        """Write the rows at some places of the list."""
        for name in ("beta", "standard_error", "neg_log_10_p", "frequency", "n"):
            getattr(self, name)[places] = getattr(found, name)
        self.status.put(places, found.status, found.statuses)
        if self.method is not None and found.method is not None:
            self.method.put(places, found.method, found.methods)

    def tested(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield -log10 p part by part, each with the row that it begins at."""
        for start in range(0, len(self.neg_log_10_p), PART):
            yield start, self.neg_log_10_p[start : start + PART]

    def best(self) -> int | None:
        """Return the row with the greatest -log10 p; None where there is none."""
        best, most = None, -np.inf
        for start, values in self.tested():
            finite = np.where(np.isfinite(values), values, -np.inf)
            place = int(finite.argmax())
            if finite[place] > most:
                best, most = start + place, finite[place]
        return best

    def median(self) -> float | None:
        """Return the median of -log10 p where it is finite; None where it is nowhere."""
        held, n = room(len(self.neg_log_10_p), np.float64), 0
        for _, values in self.tested():
            finite = values[np.isfinite(values)]
            held[n : n + len(finite)] = finite
            n += len(finite)
        return float(np.median(held[:n], overwrite_input=True)) if n else None


def coded(words: NDArray[Any]) -> tuple[NDArray[np.uint8], list[str]]:
    """Return an array of words as places in a list of those that differ.

    >>> coded(np.array(["ok", "far", "ok"], object))
    (array([0, 1, 0], dtype=uint8), ['ok', 'far'])
    """
    each = [str(word) for word in words.tolist()]
    listed = {word: place for place, word in enumerate(dict.fromkeys(each))}
    return np.array([listed[word] for word in each], np.uint8), list(listed)
