"""What the folder of a finished run tells whoever reads it: releases, and of whom they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from equipoise.artefacts import gwas_ssf
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.errors import InputError, Problem

EVERYBODY: Final = "everybody"
CASES: Final = "people with the trait"
READER: Final = "whoever reads the folder"
PARTY: Final = "a party to the run"
_AUTOSOMES: Final = tuple(map(str, range(1, 23)))


@dataclass(frozen=True, slots=True)
class Set:
    """People whom a release speaks of, and who sees it."""

    name: str
    people: int
    seen_by: str


@dataclass(frozen=True, slots=True, eq=False)
class Releases:
    """What the folder of a run tells.

    scan        the rows of `association.tsv` on autosomes that have a frequency
    cases       people with the trait; None where that is withheld
    effective   independent variants, counted among those that pruning kept; None if not known
    parameters  of the model; None without one
    folds       each person's fold, from the sites' own tables; None where one is not there
    """

    study: str
    people: int
    cases: int | None
    terms: int
    scan: Statistics = field(repr=False)
    sets: tuple[Set, ...]
    effective: float | None
    parameters: int | None
    disclosure: Mapping[str, Any] = field(repr=False)
    folds: Mapping[str, int] | None = field(repr=False)


def read(folder: Path) -> Releases:
    """Return what the folder of a finished run tells; InputError where it is none."""
    path = folder / "results.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["disclosure"].get("privacy"):
            raise _noised(path)
        scan = _frequent(gwas_ssf.read(folder / "association.tsv"))
        return _releases(content, scan, _folds(folder, content["participants"]))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        found = "no file of results that can be read"
    except (KeyError, TypeError, ValueError, AttributeError):
        found = "results of another form"
    remedy = "name the folder that `equipoise run` wrote"
    raise InputError(Problem(str(path), None, found, "the results of a finished run", remedy))


def _noised(path: Path) -> InputError:
    found = "results of totals with noise"
    expected = "exact totals: the attacks made here know no noise"
    remedy = "go by epsilon and delta, which bound every attack: `disclosure.privacy`"
    return InputError(Problem(str(path), None, found, expected, remedy))


def _frequent(scan: Statistics) -> Statistics:
    kept = np.isfinite(scan.effect_allele_frequency) & np.isin(
        scan.chromosome.astype(str), _AUTOSOMES
    )
    return Statistics(**{name: getattr(scan, name)[kept] for name in gwas_ssf.COLUMNS})


def _releases(
    content: Mapping[str, Any], scan: Statistics, folds: Mapping[str, int] | None
) -> Releases:
    people = int(scan.n.max(initial=0))
    if people < 1:
        raise ValueError("nobody")
    events = content["evaluation"]["overall"]["auc"]["events"]
    cases = None if events is None else int(events)
    said = content["disclosure"]["membership"]
    effective = said["effective_variants"]
    model = content["model"]
    return Releases(
        str(content["study"]["id"]),
        people,
        cases,
        len(content["association"]["covariates"]),
        scan,
        _sets(people, cases, {str(row["set"]): int(row["people"]) for row in said["sets"]}),
        None if effective is None else float(effective),
        None if not model else len(model["variants"]) + len(model["covariates"]) + 1,
        content["disclosure"],
        folds,
    )


def _sets(people: int, cases: int | None, by_fold: Mapping[str, int]) -> tuple[Set, ...]:
    found = [Set(EVERYBODY, people, READER)]
    if cases:
        found.append(Set(CASES, cases, READER))
    parts = [Set(name, n, PARTY) for name, n in by_fold.items() if name != EVERYBODY and n > 0]
    return (*found, *sorted(parts, key=lambda part: -part.people))


def _folds(folder: Path, participants: Mapping[str, Any]) -> dict[str, int] | None:
    """Return each person's fold; None where a site's own table is not in the folder."""
    found: dict[str, int] = {}
    for site in participants:
        path = folder / "sites" / str(site) / "scores.tsv"
        if not path.is_file():
            return None
        kinds = {"IID": pl.String, "score": pl.Float64, "probability": pl.Float64, "fold": pl.Int64}
        try:
            table = pl.read_csv(path, separator="\t", schema=kinds, quote_char=None)
        except pl.exceptions.PolarsError:
            raise InputError(
                Problem(str(path), None, "a table of another form", "IID to fold", "run again")
            ) from None
        found |= dict(zip(table["IID"].to_list(), table["fold"].to_list(), strict=True))
    return {iid: fold for iid, fold in found.items() if fold >= 0}
