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
    listed: Variants | None,
    *,
    trait: str,
    covariates: Sequence[str],
    purpose: Purpose,
    as_of: date,
) -> Loaded:
    """Return a site's dataset in the order and orientation of the public list.

    Raises InputError with every problem of all three files; with no problem too where
    `listed` is None, the list itself having none that can be read.
    """
    problems: list[Problem] = []
    bed = files.genotypes
    kinds: dict[str, Kind] = {trait: "binary", **dict.fromkeys(covariates, "categorical")}
    genotypes = _or_problems(bed, lambda: PlinkFile.open(bed), problems)
    phenotypes = _or_problems(
        files.phenotypes, lambda: table.read(files.phenotypes, kinds), problems
    )
    consents = _or_problems(files.consents, lambda: store.read(files.consents), problems)
    aligned = None
    if genotypes and listed:
        plink, wanted = genotypes, listed
        aligned = _or_problems(bed, lambda: align(plink, plink.variants, wanted), problems)
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
