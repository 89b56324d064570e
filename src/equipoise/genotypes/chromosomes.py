"""Several files of one site, such as one for each chromosome, as one."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.source import GenotypeFile, reordered, text
from equipoise.genotypes.text import Lines, refuse
from equipoise.genotypes.variants import Text, Variants, repeated
from equipoise.packed.decode import Block, absent, decode


@dataclass(frozen=True, slots=True, eq=False)
class JoinedFile:
    """The variants of all parts, one part after the other; people as in the first.

    A `source.GenotypeFile`; it is pickled as its parts are.
    """

    parts: tuple[GenotypeFile, ...] = field(repr=False)
    sex: NDArray[np.int8] = field(repr=False)
    variants: Variants
    ids: Text = field(repr=False)
    _orders: tuple[NDArray[np.int64] | None, ...] = field(repr=False)
    _starts: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, parts: Sequence[GenotypeFile], paths: Sequence[Path] = ()) -> Self:
        """Return the parts as one file.

        The people of a part may be in another order. Raises InputError where they are not
        the same, where two parts know another sex of somebody, or where a variant is in two.
        """
        names = [str(path) for path in paths] or [f"file {i + 1}" for i in range(len(parts))]
        orders = tuple(
            _order(parts[0].sample_ids, part.sample_ids, name)
            for part, name in zip(parts, names, strict=True)
        )
        starts = np.cumsum([0, *(part.n_variants for part in parts)], dtype=np.int64)
        sex = _sex([_of(p.sex, o) for p, o in zip(parts, orders, strict=True)], names)
        variants = _variants(parts, starts, names)
        ids = text([str(one) for part in parts for one in part.ids.tolist()])
        return cls(tuple(parts), sex, variants, ids, orders, starts)

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The IID of each person, in the order of the first part."""
        return self.parts[0].sample_ids

    @property
    def n_samples(self) -> int:
        """Number of people."""
        return self.parts[0].n_samples

    @property
    def n_variants(self) -> int:
        """Number of variants of all parts."""
        return int(self._starts[-1])

    @property
    def has_dosages(self) -> bool:
        """Whether any part has."""
        return any(part.has_dosages for part in self.parts)

    @property
    def left_out(self) -> Mapping[str, int]:
        """Records that the parts left out, by reason."""
        total: Counter[str] = Counter()
        for part in self.parts:
            total.update(part.left_out)
        return MappingProxyType(dict(total))

    @property
    def unread(self) -> tuple[str, ...]:
        """What some part does not read."""
        return tuple(dict.fromkeys(what for part in self.parts for what in part.unread))

    def packed(self, start: int, stop: int) -> Block:
        """Return the hard calls, (stop - start, ceil(n_samples / 4))."""
        found = [
            block if order is None else reordered(block, order)
            for part, order, a, b in self._within(start, stop)
            for block in (part.packed(a, b),)
        ]
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else absent(0, self.n_samples)

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages, (stop - start, samples), NaN where not called."""
        found = [
            part.dosages(a, b)[:, slice(None) if order is None else order]
            for part, order, a, b in self._within(start, stop)
        ]
        if not found:
            return decode(absent(0, self.n_samples), self.n_samples, np.float32)
        return np.concatenate(found)

    def _within(
        self, start: int, stop: int
    ) -> list[tuple[GenotypeFile, NDArray[np.int64] | None, int, int]]:
        """Return the parts that hold some of the variants, with their order and own places."""
        found: list[tuple[GenotypeFile, NDArray[np.int64] | None, int, int]] = []
        for part, order, first in zip(
            self.parts, self._orders, self._starts.tolist(), strict=False
        ):
            a, b = max(start - first, 0), min(stop - first, part.n_variants)
            if a < b:
                found.append((part, order, a, b))
        return found

    def __reduce__(self) -> tuple[Callable[..., "JoinedFile"], tuple[Any, ...]]:
        """Pickle the parts."""
        return JoinedFile.of, (self.parts,)


def _order(first: tuple[str, ...], own: tuple[str, ...], name: str) -> NDArray[np.int64] | None:
    """Return the place in `own` of each person of `first`, None where they are the same."""
    if own == first:
        return None
    place = {one: i for i, one in enumerate(own)}
    found = [place[one] for one in first if one in place]
    if len(found) != len(first) or len(own) != len(first):
        raise InputError(
            f"{name}: {len(found)} of the {len(first)} people of the first file are among its"
            f" {len(own)}; expected the same people in every file of a site;"
            " keep those who are in all of them"
        )
    return np.array(found, np.int64)


def _of(sex: NDArray[np.int8], order: NDArray[np.int64] | None) -> NDArray[np.int8]:
    return sex if order is None else sex[order]


def _sex(each: Sequence[NDArray[np.int8]], names: Sequence[str]) -> NDArray[np.int8]:
    """Return the sex that some part knows."""
    known = each[0].copy()
    for own, name in zip(each, names, strict=True):
        apart = int(np.count_nonzero((own != 0) & (known != 0) & (own != known)))
        if apart:
            raise InputError(
                f"{name}: {apart} people have another sex than in an earlier file;"
                " expected one; correct the files"
            )
        known = np.where(known == 0, own, known)
    return known


def _variants(
    parts: Sequence[GenotypeFile], starts: NDArray[np.int64], names: Sequence[str]
) -> Variants:
    frame = pl.concat([part.variants.frame() for part in parts])
    number = np.arange(len(frame)) + 1
    again = repeated(Lines("", frame, number, ()), frame).lines
    if again.size:
        part = int(np.searchsorted(starts, int(again[0]) - 1, side="right")) - 1
        refuse(names[part], (repeated(Lines("", frame, number - starts[part], ()), frame),))
    return Variants.of(frame)
