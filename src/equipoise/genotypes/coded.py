"""Columns of few different texts, each kept once: what a long list of variants is held as."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

Text: TypeAlias = np.ndarray[tuple[int], np.dtypes.StringDType]
"""Strings of any length: one long insertion does not widen every allele of a list."""

_FIRST: Final = 1000
"""Rows whose texts are looked for before all others."""


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of texts as places in a list of those that differ.

    code   (rows,) in the smallest unsigned integers that suffice
    words  the texts that differ, each of any length
    """

    code: NDArray[Any] = field(repr=False)
    words: pl.Series = field(repr=False)

    @classmethod
    def of(cls, column: pl.Series) -> Self:
        """Return a column of texts without nulls.

        >>> held = Coded.of(pl.Series(["22", "22", "X"]))
        >>> held.code, held.words.to_list(), held.series(slice(1, 3)).to_list()
        (array([0, 0, 1], dtype=uint8), ['22', 'X'], ['22', 'X'])
        """
        coder = Coder()
        coder.add(column)
        return cls(coder.code, coder.words)

    def series(self, part: "slice | NDArray[np.int64]" = slice(None)) -> pl.Series:
        """Return the texts of some rows."""
        return self.words.gather(pl.Series(self.code[part], dtype=pl.UInt32))

    def text(self) -> Text:
        """Return all texts."""
        # numpy's stubs give no type to a conversion to StringDType.
        words = cast("Any", self.words.to_numpy()).astype(np.dtypes.StringDType())
        return cast("Text", words[self.code])

    def same(self, other: "Coded") -> bool:
        """Return whether two columns hold the same texts."""
        if self.words.equals(other.words):
            return np.array_equal(self.code, other.code)
        return self.series().equals(other.series())

    def at(self, rows: NDArray[np.int64]) -> "Coded":
        """Return the column of some rows."""
        return Coded(self.code[rows], self.words)


class Coder:
    """Takes a column piece by piece."""

    def __init__(self) -> None:
        """Begin with no row."""
        self.words = pl.Series([], dtype=pl.String)
        self._codes: list[NDArray[Any]] = []

    def add(self, column: pl.Series) -> None:
        """Take the next rows."""
        self._learn(column.head(_FIRST))
        coded = column.cast(pl.Enum(self.words), strict=False)
        if coded.null_count():
            self._learn(column.filter(coded.is_null()))
            coded = column.cast(pl.Enum(self.words))
        least = np.min_scalar_type(max(len(self.words) - 1, 0))
        self._codes.append(coded.to_physical().to_numpy().astype(least))

    def _learn(self, column: pl.Series) -> None:
        new = column.unique(maintain_order=True)
        known = new.cast(pl.Enum(self.words), strict=False).is_not_null()
        self.words = pl.concat([self.words, new.filter(~known).alias("")])

    @property
    def code(self) -> NDArray[Any]:
        """The code of each row so far."""
        self._codes = [joined(self._codes, np.uint8)]
        return self._codes[0]


def joined(parts: Sequence[NDArray[Any]], kind: Any) -> NDArray[Any]:
    """Return arrays one after the other; an empty one of a kind where there is none."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, kind)
