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
from equipoise.genotypes.align import align
from equipoise.genotypes.opening import open_genotypes
from equipoise.plan import Step
from equipoise.solvers.accuracy import Accuracy, accuracies
from equipoise.solvers.block_moments import BlockMoments
from equipoise.solvers.ld_blocks import joined
from equipoise.solvers.risk_baselines import METHODS
from equipoise.sums import PEOPLE_PER_COLUMN
from equipoise.tools.adding import Adding
from equipoise.tools.design import Design, design
from equipoise.tools.executors import executor
from equipoise.tools.people import Matched
from equipoise.tools.sites import APART, Sites
from equipoise.tools.train_people import (
    FOLDS,
    STRATUM,
    Request,
    cohorts_of,
    folds_of,
    groups_of,
    people_of,
    refuse_small,
)

LEAST_TUNING: Final = 3
WINDOW: Final = 100
"""Variants after each within which linkage is looked for, where there are people enough."""

BLOCK: Final = 300
"""Variants of an LD block, at most, where there are people enough."""

LEAST_BLOCK: Final = 16
"""Blocks are put together up to so many variants."""

CALL_RATE: Final = 0.95
MINOR_ALLELES: Final = 10


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


def train(
    request: Request,
    at: Callable[[float], None],
    people_known: Callable[[Sites, Sequence[Cohort]], None] | None = None,
) -> Trained:
    """Return a trained model; `at` is told the share done.

    people_known  is shown the sites and their people before the first sum, to refuse them

    Raises InputError for wrong input, DisclosureError where sums would tell too much.
    """
    began = perf_counter()
    sites, people, labels = people_of(request)
    columns = design(people, (request.trait,), request.covariates, request.binary)
    groups, number = groups_of(request, labels)
    borrowed = _borrowed(request, groups)
    counts = np.array([np.bincount(n, minlength=len(groups)) for n in number], np.int64)
    refuse_small(groups, counts)
    cohorts = cohorts_of(request, sites, people, columns, number)
    if people_known:
        people_known(sites, cohorts)
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


def _form(
    request: Request,
    sites: Sites,
    columns: Design,
    cohorts: Sequence[Cohort],
    groups: Sequence[str],
) -> RiskForm:
    tuning, test = folds_of(request)
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
