"""Parts of the genome that a scan takes by themselves: by copies, or chromosome by chromosome."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort, blocks_of
from equipoise.genotypes.align import AlignedSource
from equipoise.genotypes.ploidy import FEMALE, MALE, Ploidy, ploidies
from equipoise.genotypes.source import text
from equipoise.tools.people import Matched
from equipoise.tools.sites import Sites

SEX: Final = "sex"


@dataclass(frozen=True, slots=True)
class Part:
    """Variants that are scanned together; `whole` says that they are the list.

    runs  (runs, 2) where each run of them begins in the list, and where it ends
    """

    kind: Ploidy
    chromosome: str
    runs: NDArray[np.int64] = field(repr=False)
    whole: bool

    @property
    def places(self) -> NDArray[np.int64]:
        """(variants,) their places in the list."""
        each = [np.arange(int(run[0]), int(run[1]), dtype=np.int64) for run in self.runs]
        return np.concatenate([np.zeros(0, np.int64), *each])

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())


def parts_of(sites: Sites, *, apart: bool) -> list[Part]:
    """Return the kinds of chromosomes there are; each chromosome by itself if `apart`."""
    begins, names = sites.variants.runs()
    runs = np.column_stack([begins, np.append(begins[1:], sites.n_variants)[: len(begins)]])
    # One name stands for its run.
    kinds = ploidies(text(names))
    if not apart:
        whole = len(kinds) == 1
        return [Part(kind, "", runs[of], whole) for kind, of in kinds.items()]
    found: list[Part] = []
    for kind, of in kinds.items():
        by_name: dict[str, list[int]] = {}
        for run in map(int, of):
            by_name.setdefault(names[run], []).append(run)
        found += [Part(kind, name, runs[own], whole=False) for name, own in by_name.items()]
    return found


def of_part(
    sites: Sites, matched: Sequence[Matched], part: Part
) -> tuple[Sites, Sequence[Matched]]:
    """Return the sites with nothing but the variants of a part, and who has two copies or one."""
    if part.whole and part.kind is Ploidy.DIPLOID:
        return sites, matched
    rows = part.places
    as_they_are = np.zeros(len(rows), np.bool_)
    chosen = [
        replace(site, source=AlignedSource(site.source, rows, as_they_are)) for site in sites.sites
    ]
    kept = matched
    if part.kind is Ploidy.Y:
        kept = [
            _chosen(people, site.sex[people.rows] == MALE)
            for site, people in zip(chosen, matched, strict=True)
        ]
    return replace(sites, sites=tuple(chosen)), kept


def with_sex(
    sites: Sites, matched: Sequence[Matched], covariates: tuple[str, ...]
) -> tuple[tuple[Sites, Sequence[Matched]], tuple[str, ...]]:
    """Return people of known sex, with sex as one more covariate, which X needs."""
    added: list[Matched] = []
    for site, people in zip(sites.sites, matched, strict=True):
        sex = site.sex[people.rows]
        known = _chosen(people, (sex == MALE) | (sex == FEMALE))
        of_known = site.sex[known.rows].astype(np.float64)
        added.append(replace(known, values=np.column_stack([known.values, of_known])))
    return (sites, added), (*covariates, f"{SEX} of the genotype file")


def heterozygous_men(cohorts: Sequence[Cohort], sites: Sites, matched: Sequence[Matched]) -> int:
    """Return how many calls of men on X are heterozygous: errors, or the part that Y shares."""
    count = 0
    for cohort, site, people in zip(cohorts, sites.sites, matched, strict=True):
        men = (site.sex[people.rows] == MALE).astype(np.int64)
        for start, stop in blocks_of(cohort.genotypes.n_variants, 1024):
            count += int(cohort.counts(start, stop, men)[-1, :, 1].sum()) if men.any() else 0
    return count


def _chosen(people: Matched, chosen: NDArray[np.bool_]) -> Matched:
    return replace(people, rows=people.rows[chosen], values=people.values[chosen])
