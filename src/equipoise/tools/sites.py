"""The genotypes of one site or of several, on the list of variants that all of them have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import blocks_of
from equipoise.errors import InputError
from equipoise.genotypes.align import AlignedSource, AlignmentReport, align
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.source import GenotypeFile
from equipoise.genotypes.variants import Text, Variants
from equipoise.packed.counts import genotype_counts

APART: Final = ","
"""Parts the files of one site, one a chromosome, where a command takes a site as one word."""

_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True)
class Site:
    """One site: its genotypes on the common list.

    alignment  how its variants were matched; None where they are the list itself
    """

    name: str
    source: GenotypeFile | AlignedSource
    sample_ids: tuple[str, ...] = field(repr=False)
    sex: NDArray[np.int8] = field(repr=False)
    alignment: AlignmentReport | None = None


@dataclass(frozen=True, slots=True)
class Sites:
    """All sites, and the variants they share.

    only_some  how many variants of the first site another site does not have: left out
    left_out   records that a file has and that are no variants of two alleles, by reason
    """

    sites: tuple[Site, ...]
    variants: Variants
    ids: Text = field(repr=False)
    only_some: int = 0
    left_out: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        return self.variants.n_variants


def open_sites(genotypes: Sequence[str | Path]) -> Sites:
    """Return the sites whose genotypes are named; one word may name several files, by commas.

    The list is that of the first site, less what another does not have. Alleles are
    counted as the first site counts them: at another they are swapped, or read on the
    other strand, as in a study (`genotypes.align`). Raises InputError for files that cannot
    be read, or sites that share too little.
    """
    if not genotypes:
        raise InputError("no genotypes are named; expected --genotypes FILE, once for each site")
    opened = [open_genotypes(_files(word)) for word in genotypes]
    names = _names([_files(word)[0] for word in genotypes])
    left_out: dict[str, int] = {}
    for file in opened:
        for reason, count in file.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    first = opened[0]
    if all(first.variants.same(other.variants) for other in opened[1:]):
        sites = [
            Site(name, file, file.sample_ids, file.sex)
            for name, file in zip(names, opened, strict=True)
        ]
        return Sites(tuple(sites), first.variants, first.ids, 0, left_out)
    return _aligned(opened, names, left_out)


def _files(word: str | Path) -> list[Path]:
    return [Path(part) for part in str(word).split(APART) if part]


def _names(paths: Sequence[Path]) -> list[str]:
    """Return names that differ: the files' own, else their folders', else numbered.

    >>> _names([Path("north/genotypes.bed"), Path("south/genotypes.bed")])
    ['north', 'south']
    """
    stems = [path.name.split(".")[0] or f"site{i + 1}" for i, path in enumerate(paths)]
    for names in (stems, [path.parent.name for path in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    return [f"{stem}-{i + 1}" for i, stem in enumerate(stems)]


def _aligned(
    opened: Sequence[GenotypeFile], names: Sequence[str], left_out: dict[str, int]
) -> Sites:
    first = opened[0]
    listed = _with_frequency(first)
    found = [align(file, file.variants, listed) for file in opened[1:]]
    shared = np.logical_and.reduce([source.present for source, _ in found])
    kept = np.flatnonzero(shared)
    own = AlignedSource(first, kept, np.zeros(len(kept), np.bool_))
    sites = [Site(names[0], own, first.sample_ids, first.sex)]
    for name, file, (source, report) in zip(names[1:], opened[1:], found, strict=True):
        part = AlignedSource(file, source.rows[kept], source.swapped[kept])
        sites.append(Site(name, part, file.sample_ids, file.sex, report))
    only_some = first.n_variants - len(kept)
    return Sites(tuple(sites), first.variants.at(kept), first.ids[kept], only_some, left_out)


def _with_frequency(file: GenotypeFile) -> Variants:
    """Return the file's variants with frequencies, which tell the strand of A/T and C/G."""
    known = np.full(file.n_variants, np.nan)
    for start, stop in blocks_of(file.n_variants, _CHUNK):
        a1, het, a2, _ = genotype_counts(file.packed(start, stop), file.n_samples).T
        called = np.maximum(a1 + het + a2, 1)
        known[start:stop] = np.where(a1 + het + a2 > 0, (2 * a1 + het) / (2 * called), np.nan)
    return file.variants.with_frequency(known)
