"""A site's files, read and made into one dataset: the only caller of the readers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.consent import store
from equipoise.consent.decide import decide
from equipoise.consent.terms import Purpose, Term, find
from equipoise.errors import InputError, Problem
from equipoise.federation.people import Dataset
from equipoise.genotypes import quality
from equipoise.genotypes.align import AlignedSource, AlignmentReport, HardCalls, align
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.variants import Variants
from equipoise.phenotypes import table
from equipoise.phenotypes.columns import Kind

T = TypeVar("T")

NO_PHENOTYPE = "phenotype missing"
LOW_CALL_RATE = "low call rate"
DUPLICATE = "duplicate of another person"
DERIVED: Final = re.compile(
    r"PC[0-9].*|relevance_.*|score|single|stratum|logit|probability|predicted"
)
"""Names kept for the columns that a run derives: no column of a site's own has one."""
COVARIATE_BOUND = 1024.0
"""The most that a covariate may be: it fixes how finely its sums are kept."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a site keeps what it brings to a study."""

    genotypes: Path
    phenotypes: Path
    consents: Path


@dataclass(frozen=True, slots=True)
class Loaded:
    """A dataset and what was noticed while loading it. Counts are for the site alone.

    duplicates_sought  whether there were variants enough to tell duplicates; who has a low
                       call rate or is a duplicate is among the reasons of the dataset
    """

    dataset: Dataset
    alignment: AlignmentReport
    unknown_phenotypes: int
    notes: tuple[str, ...]
    duplicates_sought: bool = True


def load(
    files: Files,
    listed: Variants | None,
    *,
    trait: str,
    covariates: Sequence[str],
    groups: Sequence[str] = (),
    purpose: Purpose,
    as_of: date,
) -> Loaded:
    """Return a site's dataset in the order and orientation of the public list.

    Raises InputError with every problem of all three files; with no problem too where
    `listed` is None, the list itself having none that can be read.

    A person has the first reason that holds: consent, a missing phenotype, a low call
    rate, being a duplicate of somebody who has none of these.
    """
    problems = _taken_names(files.phenotypes, (trait, *dict.fromkeys((*covariates, *groups))))
    bed = files.genotypes
    kinds = _kinds(trait, covariates, groups)
    genotypes = _or_problems(bed, lambda: open_genotypes([bed]), problems)
    phenotypes = _or_problems(
        files.phenotypes, lambda: table.read(files.phenotypes, kinds), problems
    )
    consents = _or_problems(files.consents, lambda: store.read(files.consents), problems)
    aligned = None
    if genotypes and listed:
        file, wanted = genotypes, listed
        aligned = _or_problems(bed, lambda: align(HardCalls(file), file.variants, wanted), problems)
    if problems or not (genotypes and phenotypes and consents and aligned):
        raise InputError(problems)
    columns = _matched(genotypes.sample_ids, phenotypes)
    _check_bounds(str(files.phenotypes), columns, covariates)
    source, report = aligned
    lacking = np.logical_or.reduce([np.isnan(column) for column in columns.values()])
    reasons = [
        _reason(consents.of(person), purpose, as_of) or (NO_PHENOTYPE if lacks else None)
        for person, lacks in zip(genotypes.sample_ids, lacking.tolist(), strict=True)
    ]
    sought = _judge(source, reasons)
    unknown = len(set(phenotypes.iids) - set(genotypes.sample_ids))
    dataset = Dataset(source, genotypes.sample_ids, tuple(reasons), columns)
    return Loaded(dataset, report, unknown, consents.notes, sought)


def _judge(source: AlignedSource, reasons: list[str | None]) -> bool:
    """Give a reason to those without one whose genotypes are no good, or are another's.

    Returns whether duplicates could be told.
    """
    rates = quality.call_rates(source)
    low = quality.low_call_rate(source, rates)
    free = np.array([reason is None for reason in reasons], np.bool_)
    again = quality.duplicates(source, free & ~low, rates)
    for i in np.flatnonzero(free & low).tolist():
        reasons[i] = LOW_CALL_RATE
    for i in np.flatnonzero(again).tolist() if again is not None else ():
        reasons[i] = DUPLICATE
    return again is not None


def _taken_names(path: Path, columns: Sequence[str]) -> list[Problem]:
    return [
        Problem(
            str(path),
            None,
            f"the column `{name}`, whose name is kept for one that a run derives",
            "another name",
            "rename it in the study file and in the table of every site",
        )
        for name in columns
        if DERIVED.fullmatch(name)
    ]


def _or_problems(path: Path, read: Callable[[], T], problems: list[Problem]) -> T | None:
    """Return what was read of `path`, or None once its problems are added to the list."""
    try:
        return read()
    except InputError as error:
        problems.extend(error.problems or [_problem(path, str(error))])
    except OSError as error:
        remedy = f"let it be read ({error.strerror})"
        problems.append(Problem(str(path), None, "a file that cannot be read", "a file", remedy))
    return None


def _problem(path: Path, sentence: str) -> Problem:
    """Return a sentence of the form `found; expected ...; remedy` as a problem of a file."""
    found, _, rest = sentence.partition("; expected ")
    expected, _, remedy = rest.partition("; ")
    return Problem(str(path), None, found, expected, remedy)


def _matched(
    ids: Sequence[str], phenotypes: table.PhenotypeTable
) -> dict[str, NDArray[np.float64]]:
    """Return each column in the order of the genotype file, NaN for people without a row."""
    place = {person: i for i, person in enumerate(phenotypes.iids)}
    rows = np.array([place.get(person, -1) for person in ids], np.int64)
    return {
        name: np.where(rows >= 0, column[rows], np.nan)
        for name, column in phenotypes.columns.items()
    }


def _kinds(trait: str, covariates: Sequence[str], groups: Sequence[str]) -> dict[str, Kind]:
    """Return how each column is read: a group is sex or a yes/no column."""
    kinds: dict[str, Kind] = {trait: "binary", **dict.fromkeys(covariates, "categorical")}
    for name in groups:
        kinds[name] = "categorical" if name.casefold() == "sex" else "binary"
    return kinds


def _check_bounds(
    file: str, columns: Mapping[str, NDArray[np.float64]], covariates: Sequence[str]
) -> None:
    problems = [
        Problem(
            file,
            None,
            f"the covariate {name} goes beyond {COVARIATE_BOUND:g}",
            f"values from -{COVARIATE_BOUND:g} to {COVARIATE_BOUND:g}",
            "give it in a larger unit, the same at every site",
        )
        for name in covariates
        if np.nanmax(np.abs(columns[name]), initial=0.0) > COVARIATE_BOUND
    ]
    if problems:
        raise InputError(problems)


def _reason(terms: Sequence[Term], purpose: Purpose, as_of: date) -> str | None:
    """Return why a person's consent does not cover the study, None where it does.

    A withdrawal counts whatever its date: `as_of` is the analyst's, and may be early.
    """
    for term in terms:
        code = find(term.code)
        if code is not None and code.shorthand == "WITHDRAWN" and term.date > as_of:
            return "withdrawn"
    decision = decide(terms, purpose, as_of)
    return None if decision.admits else decision.reason
