"""Who takes part in `equipoise train`, in which group, and what is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.federation.roster import folds
from equipoise.genotypes.ploidy import Ploidy
from equipoise.tools.design import Design
from equipoise.tools.labels import read_labels
from equipoise.tools.parts import of_part, parts_of
from equipoise.tools.people import Matched, match, read_tables
from equipoise.tools.sites import Sites, open_sites

FOLDS: Final = 50
"""So that a share of the people is a number of folds; those who tune are kept apart by fold."""

LEAST_PEOPLE: Final = 100
"""Of a group: fewer cannot be trained, tuned and tested on by themselves."""

STRATUM: Final = "group"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    genotypes    one word a site: a file, or its files by chromosome parted by commas
    phenotypes   one table for all sites, or one for each in the same order
    groups       the column of ancestry groups; "" for one group of everybody
    tuning       share of the people who tune    test  share who test
    maf          least minor allele frequency over everybody
    references   for groups too small to tell their own linkage, genotypes of people of the same
                 ancestry to borrow it from, by group
    protection   of the sums of several sites; None is `masked` from three sites on
    """

    genotypes: tuple[str, ...]
    phenotypes: tuple[Path, ...]
    trait: str
    covariates: tuple[str, ...] = ()
    groups: str = ""
    binary: bool = False
    tuning: float = 0.15
    test: float = 0.15
    maf: float = 0.01
    seed: int = 1
    protection: str | None = None
    threads: int = 1
    references: Mapping[str, str] = field(default_factory=dict[str, str])


def folds_of(request: Request) -> tuple[int, int]:
    """Return how many folds of people tune, and how many test."""
    tuning, test = (max(ceil(FOLDS * share), 0) for share in (request.tuning, request.test))
    return tuning, test


def people_of(request: Request) -> tuple[Sites, tuple[Matched, ...], list[list[str]]]:
    """Return the autosomes of the sites, who takes part, and the group of each."""
    sites = open_sites(request.genotypes)
    each, traits = request.phenotypes, (request.trait,)
    shared = len(each) == 1
    tables = [read_tables((path,), traits, request.covariates) for path in each]
    matched = match(sites, tables, 1)
    labels: list[list[str]] = []
    kept: list[Matched] = []
    for i, (site, found) in enumerate(zip(sites.sites, matched, strict=True)):
        if not request.groups:
            labels.append([""] * len(found.rows))
            kept.append(found)
            continue
        by_person = read_labels(each[0 if shared else i], request.groups)
        own = [by_person[site.sample_ids[int(row)]] for row in found.rows]
        there = np.array([label != "" for label in own], np.bool_)
        counts = {**found.counts, "without_group": int(np.count_nonzero(~there))}
        counts["taken"] = int(np.count_nonzero(there))
        kept.append(Matched(found.rows[there], found.values[there], counts))
        labels.append([label for label in own if label])
    diploid = [part for part in parts_of(sites, apart=False) if part.kind is Ploidy.DIPLOID]
    if not diploid:
        raise InputError("no variant is on an autosome; a risk model needs some")
    (part,) = diploid
    autosomes, people = of_part(sites, kept, part)
    if not part.whole:
        listed = sites.variants
        chosen = {
            name: getattr(listed, name)[part.places]
            for name in ("chromosome", "position", "effect_allele", "other_allele")
        }
        autosomes = replace(
            autosomes, variants=replace(listed, **chosen), ids=sites.ids[part.places]
        )
    return autosomes, tuple(people), labels


def groups_of(
    request: Request, labels: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], list[NDArray[np.int64]]]:
    """Return the groups, most people first, and the number of each person's."""
    everybody = [label for own in labels for label in own]
    if not everybody:
        raise InputError(f"nobody has a group in the column {request.groups!r}; fill it in")
    names = sorted(set(everybody), key=lambda name: (-everybody.count(name), name))
    # Those that borrow linkage come last: blocks are sought in all before them.
    names.sort(key=lambda name: name in request.references)
    place = {name: i for i, name in enumerate(names)}
    numbers = [np.array([place[label] for label in own], np.int64) for own in labels]
    return tuple(name or "everybody" for name in names), numbers


def refuse_small(groups: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Raise InputError where a group has fewer than `LEAST_PEOPLE`; counts (sites, groups)."""
    for name, n in zip(groups, counts.sum(axis=0).tolist(), strict=True):
        if n < LEAST_PEOPLE:
            raise InputError(
                f"the group {name!r} has {n} people; at least {LEAST_PEOPLE} are needed to train,"
                " tune and test on: join it with the group that is genetically nearest, or leave"
                " its cells empty"
            )


def cohorts_of(
    request: Request,
    sites: Sites,
    people: Sequence[Matched],
    columns: Design,
    number: Sequence[NDArray[np.int64]],
) -> tuple[Cohort, ...]:
    """Return the people of each site with their columns, fold and group."""
    found: list[Cohort] = []
    for site, held, cohort, own in zip(
        sites.sites, people, columns.cohorts(sites, people), number, strict=True
    ):
        ids = [site.sample_ids[int(row)] for row in held.rows]
        parted = replace(cohort, fold=folds(ids, request.seed, FOLDS))
        found.append(parted.with_columns({STRATUM: own.astype(np.float64)}))
    return tuple(found)
