"""From intervals of genes to the variants that a gene network reads by gene.

Which table of genes is right depends on the genome build and on the study; `artefacts.gene_tables`
reads one, and has one of GRCh38. Where none is given, `tiles` takes runs of neighbouring variants
for genes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError

Interval: TypeAlias = tuple[str, str, int, int]
"""A gene's name, its chromosome without `chr`, and its first and last base, 1-based, both in it."""


@dataclass(frozen=True, slots=True)
class Genes:
    """Which variants each gene reads: ranges of the list, in its order, none empty.

    variants that no gene reads are in `outside`, their number
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    stops: tuple[int, ...]
    outside: int


def assigned(
    chromosome: Sequence[str],
    position: NDArray[np.int64],
    intervals: Iterable[Interval],
    margin: int = 0,
) -> Genes:
    """Return the genes that have variants, widened by `margin` bases to both sides.

    Genes may overlap: such variants are read by each. InputError where variants of a chromosome
    do not lie together in order of position, or where no gene has a variant.

    >>> genes = [("B", "1", 40, 60), ("A", "1", 5, 12)]
    >>> assigned(["1"] * 4, np.array([5, 12, 30, 60]), genes)
    Genes(names=('A', 'B'), starts=(0, 3), stops=(2, 4), outside=1)
    """
    found: list[tuple[int, int, str]] = []
    runs = _runs(chromosome, position)
    for name, own, first, last in intervals:
        if own not in runs:
            continue
        start, stop = runs[own]
        places = position[start:stop]
        a = start + int(np.searchsorted(places, first - margin, "left"))
        b = start + int(np.searchsorted(places, last + margin, "right"))
        if a < b:
            found.append((a, b, name))
    if not found:
        raise InputError(
            "no gene of the table has a variant of the list; check that both are of one genome"
            " build and name chromosomes alike"
        )
    found.sort()
    read = np.zeros(len(position), np.bool_)
    for a, b, _ in found:
        read[a:b] = True
    names, starts = tuple(name for *_, name in found), tuple(a for a, *_ in found)
    return Genes(names, starts, tuple(b for _, b, _ in found), int((~read).sum()))


def tiles(chromosome: Sequence[str], position: NDArray[np.int64], most: int) -> Genes:
    """Return runs of at most `most` neighbouring variants of one chromosome, as even as can be.

    >>> tiles(["1", "1", "1", "2"], np.array([1, 2, 3, 1]), 2).stops
    (2, 3, 4)
    """
    if most < 1:
        raise InputError(f"a tile of at most {most} variants; give at least 1")
    names: list[str] = []
    edges: list[tuple[int, int]] = []
    for name, (start, stop) in _runs(chromosome, position).items():
        number = -(-(stop - start) // most)
        cuts = start + -(-np.arange(number + 1) * (stop - start) // number)
        edges += pairwise(cuts.tolist())
        names += (f"{name}:{position[a]}" for a in cuts[:-1])
    return Genes(tuple(names), tuple(a for a, _ in edges), tuple(b for _, b in edges), 0)


def _runs(chromosome: Sequence[str], position: NDArray[np.int64]) -> dict[str, tuple[int, int]]:
    """Return where the variants of each chromosome begin and end; InputError if out of order."""
    names = np.asarray(chromosome, dtype=np.str_)
    if not len(names):
        raise InputError("a list without variants has no genes")
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    edges = [0, *cuts.tolist(), len(names)]
    runs: dict[str, tuple[int, int]] = {}
    for start, stop in pairwise(edges):
        name = str(names[start])
        if name in runs or np.any(np.diff(position[start:stop]) < 0):
            raise InputError(
                f"the variants of chromosome {name} are not in order of position in one run;"
                " sort the list by chromosome and position"
            )
        runs[name] = start, stop
    return runs
