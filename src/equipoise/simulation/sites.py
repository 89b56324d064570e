"""From everybody's genotypes to the sites' files: missing calls, swaps, flips; a chromosome each.

A chromosome is written by itself, into its own range of each file, so that several can be at
once; who writes it needs no more memory than one block.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.plink import MAGIC
from equipoise.packed.counts import genotype_counts
from equipoise.packed.decode import Block, flip, width
from equipoise.simulation import genomes, loops
from equipoise.simulation.design import Design
from equipoise.simulation.roster import Roster

Mask = NDArray[np.bool_]

BATCH: Final = 4
"""One person of so many belongs to a site's bad batch."""

BATCH_VARIANTS: Final = 0.05
"""Share of variants at which that batch lacks calls."""

_COMPLEMENT: Final = {"A": "T", "C": "G", "G": "C", "T": "A"}


@dataclass(frozen=True, slots=True)
class Task:
    """All that the writing of one chromosome depends on; it can be sent to another process.

    causal  (traits, part.n) whether each variant is causal for each trait
    typed   (part.n,) whether each is written to the files
    first   how many typed and how many causal variants the chromosomes before it have
    """

    design: Design
    roster: Roster = field(repr=False)
    part: genomes.Part
    causal: Mask = field(repr=False)
    typed: Mask = field(repr=False)
    first: tuple[int, int]
    folder: Path


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """The variants of one chromosome as they were made, missing calls apart.

    position, effect, other  (variants,) effect is A1, the derived allele
    carried  (variants, populations) copies of the effect allele
    causal, typed  as in the task
    swapped, flipped  (variants,) what was done to them at every site but the first
    """

    number: int
    position: NDArray[np.int64]
    effect: NDArray[np.str_]
    other: NDArray[np.str_]
    carried: NDArray[np.int64]
    causal: Mask
    typed: Mask
    swapped: Mask
    flipped: Mask


def bed(folder: Path, site: str) -> Path:
    """Return a site's genotype file."""
    return folder / "sites" / site / "genotypes.bed"


def causal_file(folder: Path) -> Path:
    """Return the file of everybody's genotypes at causal variants; it is not kept."""
    return folder / "causal.packed"


def write(task: Task) -> Written:
    """Write one chromosome's genotypes; InputError where it has too few variants."""
    design, part = task.design, task.part
    made = genomes.make(design, task.roster, part)
    rng = genomes.generator(design, part, 3)
    effect, other = genomes.letters(rng, part.n)
    swapped = rng.random(part.n) < design.swapped
    flipped = rng.random(part.n) < design.flipped
    sites = [_Site(task, s) for s in range(task.roster.n_sites)]
    any_causal: Mask = np.logical_or.reduce(task.causal, axis=0)
    carried: list[NDArray[np.int64]] = []
    with causal_file(task.folder).open("r+b") as causal:
        causal.seek(task.first[1] * task.roster.n_bytes)
        for start in range(0, part.n, made.rows):
            chosen = slice(start, min(start + made.rows, part.n))
            block = made.block(chosen.start, chosen.stop)
            carried.append(_carried(task, block))
            causal.write(block[any_causal[chosen]].data)
            for site in sites:
                site.write(block, chosen, swapped)
    return Written(
        part.number, made.position, effect, other, np.concatenate(carried), task.causal,
        task.typed, swapped, flipped,
    )  # fmt: skip


class _Site:
    """One site's file, open at where the chromosome's variants belong."""

    def __init__(self, task: Task, site: int) -> None:
        members = task.roster.members(site)
        self._task, self._first = task, site == 0
        self._columns = task.roster.columns(site)
        self._n = members.stop - members.start
        self._everybody = np.arange(self._n, dtype=np.int32)
        self._path = bed(task.folder, task.design.site_names[site])
        self._at = len(MAGIC) + task.first[0] * width(self._n)
        self._keys = genomes.keys(task.design, task.part, 10 + 2 * site)
        self._batch_keys = genomes.keys(task.design, task.part, 11 + 2 * site)
        rng = np.random.default_rng([task.design.seed, 4, site])
        self._batch = np.sort(rng.permutation(self._everybody)[: self._n // BATCH])

    def write(self, block: Block, chosen: slice, swapped: Mask) -> None:
        """Write the site's people at the typed variants of a block of everybody."""
        typed = self._task.typed[chosen]
        mine = block[typed, self._columns].copy()
        if not self._first and swapped.any():
            at = swapped[chosen][typed]
            mine[at] = flip(mine[at], self._n)
        self._lose(mine, chosen, typed)
        with self._path.open("r+b") as file:
            file.seek(self._at)
            self._at += file.write(mine.data)

    def _lose(self, mine: Block, chosen: slice, typed: Mask) -> None:
        design = self._task.design
        rate = np.full(len(mine), design.missing)
        loops.lose(mine, self._everybody, rate, self._keys[chosen][typed])
        if design.batch_missing:
            drawn = self._batch_keys[chosen][typed]
            # The key's own upper bits say whether the batch failed: they need no other stream.
            failed = drawn >> np.uint64(11) < np.uint64(BATCH_VARIANTS * 2**53)
            rate = np.where(failed, design.batch_missing, 0.0)
            loops.lose(mine, self._batch, rate, drawn)


def _carried(task: Task, block: Block) -> NDArray[np.int64]:
    """Return the copies of A1 in each population, (variants, populations)."""
    roster = task.roster
    slots = 4 * roster.n_bytes
    copies: list[NDArray[np.int64]] = []
    for population in range(len(task.design.people)):
        keep = np.zeros(slots, np.bool_)
        keep[roster.slots[roster.population == population]] = True
        counts = genotype_counts(block, slots, keep)
        copies.append(2 * counts[:, 0] + counts[:, 1])
    return np.stack(copies, axis=1)


def complement(letters: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the bases of the other strand.

    >>> complement(np.array(["A", "C"])).tolist()
    ['T', 'G']
    """
    return np.array([_COMPLEMENT[letter] for letter in letters.tolist()])
