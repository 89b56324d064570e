"""A site's files, read and made into one dataset: the only caller of the readers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.consent import store
from equipoise.consent.decide import decide
from equipoise.consent.terms import Purpose, Term, find
from equipoise.errors import InputError, Problem
from equipoise.federation.people import Dataset
from equipoise.genotypes.align import AlignmentReport, align
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.variants import Variants
from equipoise.phenotypes import table
from equipoise.phenotypes.columns import Kind

T = TypeVar("T")

NO_PHENOTYPE = "phenotype missing"
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
    """A dataset and what was noticed while loading it. Counts are for the site alone."""

    dataset: Dataset
    alignment: AlignmentReport
    unknown_phenotypes: int
    notes: tuple[str, ...]


def load(
    files: Files,
    listed: Variants,
    *,
    trait: str,
    covariates: Sequence[str],
    purpose: Purpose,
    as_of: date,
) -> Loaded:
    """Return a site's dataset in the order and orientation of the public list.

    Raises InputError with every problem of all three files.
    """
    problems: list[Problem] = []
    genotypes = _or_problems(lambda: PlinkFile.open(files.genotypes), problems)
    kinds: dict[str, Kind] = {trait: "binary", **dict.fromkeys(covariates, "categorical")}
    phenotypes = _or_problems(lambda: table.read(files.phenotypes, kinds), problems)
    consents = _or_problems(lambda: store.read(files.consents), problems)
    aligned = None
    if genotypes:
        plink = genotypes
        aligned = _or_problems(lambda: align(plink, plink.variants, listed), problems)
    if problems or not (genotypes and phenotypes and consents and aligned):
        raise InputError(problems)
    columns = _matched(genotypes.sample_ids, phenotypes)
    _check_bounds(str(files.phenotypes), columns, covariates)
    reasons = tuple(
        _reason(consents.of(person), purpose, as_of)
        or (NO_PHENOTYPE if any(np.isnan(c[i]) for c in columns.values()) else None)
        for i, person in enumerate(genotypes.sample_ids)
    )
    source, report = aligned
    unknown = len(set(phenotypes.iids) - set(genotypes.sample_ids))
    dataset = Dataset(source, genotypes.sample_ids, reasons, columns)
    return Loaded(dataset, report, unknown, consents.notes)


def _or_problems(read: Callable[[], T], problems: list[Problem]) -> T | None:
    """Return what was read, or None once its problems are added to the list."""
    try:
        return read()
    except InputError as error:
        problems.extend(error.problems or [Problem("", None, str(error), "", "")])
        return None


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
