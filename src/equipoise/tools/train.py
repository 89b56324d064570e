"""`equipoise train`: a risk model for several ancestries, at one site or over several.

The steps are those of a study (`analyses.risk_steps`), run in one process: sites answer with sums
over people, and models are fitted from the sums. People are parted by a digest of their IID into
those who train, those who tune and those who test, so that accuracy is of people whom nothing has
seen. Autosomes alone are used.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.cell_moments import reference_moments
from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.analyses.ld_blocks import LdBlockSearch
from equipoise.analyses.moment_totals import smallest_by_stratum
from equipoise.analyses.risk_steps import RiskForm, risk_steps
from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError, InputError
from equipoise.federation import registry
from equipoise.federation.roster import folds
from equipoise.genotypes.align import align
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.ploidy import Ploidy
from equipoise.plan import Step
from equipoise.solvers.accuracy import Accuracy, accuracies
from equipoise.solvers.block_moments import BlockMoments
from equipoise.solvers.ld_blocks import joined
from equipoise.solvers.risk_baselines import METHODS
from equipoise.sums import PEOPLE_PER_COLUMN
from equipoise.tools.adding import Adding
from equipoise.tools.design import Design, design
from equipoise.tools.executors import executor
from equipoise.tools.labels import read_labels
from equipoise.tools.parts import of_part, parts_of
from equipoise.tools.people import Matched, match, read_tables
from equipoise.tools.sites import APART, Sites, open_sites

FOLDS: Final = 50
"""So that a share of the people is a number of folds; those who tune are kept apart by fold."""

LEAST_TUNING: Final = 3
LEAST_PEOPLE: Final = 100
"""Of a group: fewer cannot be trained, tuned and tested on by themselves."""

WINDOW: Final = 100
"""Variants after each within which linkage is looked for, where there are people enough."""

BLOCK: Final = 300
"""Variants of an LD block, at most, where there are people enough."""

LEAST_BLOCK: Final = 16
"""Blocks are put together up to so many variants."""

CALL_RATE: Final = 0.95
MINOR_ALLELES: Final = 10

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


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it.

    sites      with the variants of the model, the autosomes alone
    groups     names, the one with most people first
    counts     (sites, groups) people
    weights    (groups, variants) per copy of the effect allele, in units of the trait
    accuracy   by method, then group; None where too few people tested
    known      all that the steps published and held, by step
    """

    request: Request
    sites: Sites
    people: tuple[Matched, ...] = field(repr=False)
    columns: Design = field(repr=False)
    groups: tuple[str, ...]
    counts: NDArray[np.int64]
    form: RiskForm = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)
    accuracy: Mapping[str, tuple[Accuracy | None, ...]]
    cohorts: tuple[Cohort, ...] = field(repr=False)
    known: Mapping[str, Any] = field(repr=False)
    summary: dict[str, Any]


def train(request: Request, at: Callable[[float], None]) -> Trained:
    """Return a trained model; `at` is told the share done.

    Raises InputError for wrong input, DisclosureError where sums would tell too much.
    """
    began = perf_counter()
    sites, people, labels = _people(request)
    columns = design(people, (request.trait,), request.covariates, request.binary)
    groups, number = _groups(request, labels)
    borrowed = _borrowed(request, groups)
    counts = np.array([np.bincount(n, minlength=len(groups)) for n in number], np.int64)
    _refuse_small(groups, counts)
    cohorts = _cohorts(request, sites, people, columns, number)
    protection = request.protection or ("masked" if len(sites.sites) > 2 else "clear")
    with executor(request.threads) as pool:
        adding = Adding(cohorts, protection if len(sites.sites) > 1 else "clear")
        adding.cohorts = _with(adding.cohorts, pool)
        known: dict[str, Any] = {}
        form = replace(_form(request, sites, columns, cohorts, groups), borrowed=borrowed)
        known["frequency"] = adding.run(_counting(request, form))
        at(0.05)
        form = _with_blocks(form, sites, adding, known["frequency"])
        if borrowed:
            known["references"] = _references(request, sites, form, groups)
        at(0.15)
        run_steps(risk_steps(form), adding, known, lambda share: at(0.15 + 0.85 * share))
    weights = known["refined_stack"].weights * known["linkage"].deviation * columns.scale[0]
    found = _accuracy(known, len(groups))
    summary = {
        "protection": protection if len(sites.sites) > 1 else "none needed",
        "rounds": adding.rounds,
        "seconds": round(perf_counter() - began, 1),
    }
    done = tuple(replace(cohort, executor=None) for cohort in adding.cohorts)
    return Trained(
        request, sites, people, columns, groups, counts, form, weights, found, done, known, summary
    )


def _people(request: Request) -> tuple[Sites, tuple[Matched, ...], list[list[str]]]:
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


def _groups(
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


def _borrowed(request: Request, groups: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of the groups that borrow linkage, which are the last ones."""
    unknown = [name for name in request.references if name not in groups]
    if unknown:
        raise InputError(
            f"--reference-ld for {', '.join(unknown)}; expected groups of people here:"
            f" {', '.join(groups)}; correct the name"
        )
    if len(request.references) == len(groups):
        raise InputError("every group borrows its linkage; leave --reference-ld out for one")
    return tuple(i for i, name in enumerate(groups) if name in request.references)


def _references(
    request: Request, sites: Sites, form: RiskForm, groups: Sequence[str]
) -> dict[int, BlockMoments]:
    """Return the moments of the reference of each group that borrows, by its number."""
    found: dict[int, BlockMoments] = {}
    for s in form.borrowed:
        file = open_genotypes([Path(w) for w in request.references[groups[s]].split(APART)])
        source, _ = align(file, file.variants, sites.variants)
        people = np.arange(file.n_samples)
        cohort = Cohort(source, people, {}, np.zeros(len(people), np.int64))
        found[s] = reference_moments(cohort, form.starts)
    return found


def _refuse_small(groups: Sequence[str], counts: NDArray[np.int64]) -> None:
    for name, n in zip(groups, counts.sum(axis=0).tolist(), strict=True):
        if n < LEAST_PEOPLE:
            raise InputError(
                f"the group {name!r} has {n} people; at least {LEAST_PEOPLE} are needed to train,"
                " tune and test on: join it with the group that is genetically nearest, or leave"
                " its cells empty"
            )


def _cohorts(
    request: Request,
    sites: Sites,
    people: Sequence[Matched],
    columns: Design,
    number: Sequence[NDArray[np.int64]],
) -> tuple[Cohort, ...]:
    found: list[Cohort] = []
    for site, held, cohort, own in zip(
        sites.sites, people, columns.cohorts(sites, people), number, strict=True
    ):
        ids = [site.sample_ids[int(row)] for row in held.rows]
        parted = replace(cohort, fold=folds(ids, request.seed, FOLDS))
        found.append(parted.with_columns({STRATUM: own.astype(np.float64)}))
    return tuple(found)


def _form(
    request: Request,
    sites: Sites,
    columns: Design,
    cohorts: Sequence[Cohort],
    groups: Sequence[str],
) -> RiskForm:
    tuning, test = (max(ceil(FOLDS * share), 0) for share in (request.tuning, request.test))
    if tuning < LEAST_TUNING or tuning + test > FOLDS // 2:
        raise InputError(
            f"--tuning {request.tuning:g} and --test {request.test:g}; expected at least"
            f" {LEAST_TUNING / FOLDS:g} who tune, and half of the people to train on"
        )
    training = [c.fold >= tuning + test for c in cohorts]
    by_site = [
        np.bincount(c.column(STRATUM)[t].astype(np.int64), minlength=len(groups)).tolist()
        for c, t in zip(cohorts, training, strict=True)
    ]
    return RiskForm(
        people=sum(cohort.n for cohort in cohorts),
        n_variants=sites.n_variants,
        starts=(0, sites.n_variants),
        trait=request.trait,
        covariates=columns.covariates,
        bounds=columns.bounds,
        counted=smallest_by_stratum(by_site, 1),
        stratum=STRATUM,
        folds=FOLDS,
        tuning=tuning,
        test=test,
    )


def _counting(request: Request, form: RiskForm) -> Frequency:
    floor = max(MINOR_ALLELES, ceil(2 * form.people * request.maf))
    return Frequency(form.people, form.n_variants, floor, ceil(form.people * CALL_RATE))


def _with_blocks(
    form: RiskForm, sites: Sites, adding: Adding, frequencies: Frequencies
) -> RiskForm:
    """Return the form with LD blocks, as wide as the smallest group lets them be.

    Of the columns that may be told about a group, a third goes to the search for blocks.
    """
    own = form.counted[: form.strata - len(form.borrowed)]
    allowed = min(own) // PEOPLE_PER_COLUMN
    window = min(WINDOW, allowed // 6 - 1)
    most = min(BLOCK, allowed - 2 * (window + 1) - 1)
    if window < 2:
        raise DisclosureError(
            f"the smallest group has {min(own)} training people whom no site knows alone: sums"
            f" over them may tell {allowed} columns of linkage, too few for blocks; join groups,"
            " or sites, or give --reference-ld for it"
        )
    names = sites.variants.chromosome.astype(object)
    new = np.flatnonzero(names[1:] != names[:-1]) + 1
    segments = (0, *new.tolist(), form.n_variants)
    search = LdBlockSearch(
        people=form.people,
        segments=segments,
        window=window,
        most=most,
        counted=own,
        frequencies=frequencies,
        stratum=form.stratum,
    )
    starts = joined(adding.run(search).starts, min(LEAST_BLOCK, most), segments)
    return replace(form, starts=tuple(starts.tolist()))


def run_steps(
    steps: Sequence[Step],
    adding: Adding,
    known: dict[str, Any],
    at: Callable[[float], None],
) -> None:
    """Run steps over the sites, and put what each gives among what is known."""
    for i, step in enumerate(steps):
        analysis = registry.build(step, known)
        done = adding.end(analysis)
        known[step.name] = done.result
        if done.held is not None:
            known[f"{step.name}.held"] = done.held
        if step.keeps:
            adding.cohorts = tuple(
                cohort.with_columns(analysis.derive(cohort, done.result))
                for cohort in adding.cohorts
            )
        at((i + 1) / len(steps))


def _with(cohorts: Sequence[Cohort], pool: Executor | None) -> tuple[Cohort, ...]:
    return tuple(replace(cohort, executor=pool) for cohort in cohorts)


def _accuracy(known: Mapping[str, Any], groups: int) -> dict[str, tuple[Accuracy | None, ...]]:
    """Return how well each method's score of each group does in that group's test people."""
    by_group: list[list[Accuracy] | None] = []
    for s in range(groups):
        (moments,) = known["tested"].of(s)
        by_group.append(accuracies(moments))
    return {
        method: tuple(
            None if found is None else found[m * groups + s] for s, found in enumerate(by_group)
        )
        for m, method in enumerate(METHODS)
    }
