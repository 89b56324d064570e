"""`equipoise associate`: every variant against one trait or several, one site or several."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.genotypes.ploidy import Ploidy
from equipoise.solvers.regression import Effects, Status
from equipoise.solvers.student import student_log_tail
from equipoise.tools import linear
from equipoise.tools.association_files import NOTHING_MORE, Rows, Wanted, write_scan
from equipoise.tools.design import Design, design
from equipoise.tools.executors import executor
from equipoise.tools.filters import Limits, kept_by
from equipoise.tools.parts import Part, heterozygous_men, of_part, parts_of, with_sex
from equipoise.tools.people import Matched, Tables, match, read_tables
from equipoise.tools.sites import Sites, open_sites

MODELS: Final = {False: "linear regression", True: "logistic regression, score test"}
NO_LIMITS: Final = Limits()
_WORDS: Final = [status.name.lower() for status in Status]
_LN_10: Final = np.log(10.0)
_LN_2: Final = np.log(2.0)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    genotypes   one word a site: a file, or its files by chromosome parted by commas
    phenotypes  one table for all sites, or one for each in the same order
    firth       fit Firth's effects to every variant of a yes/no trait, at one site
    whole_genome  take off the trait what other chromosomes say of it, at one site
    protection  of the sums of several sites; None is `masked` from three sites on
    scheduler   of workers of dask, `dask://HOST:PORT`; None uses threads of this process
    """

    genotypes: tuple[str, ...]
    phenotypes: tuple[Path, ...]
    traits: tuple[str, ...]
    covariates: tuple[str, ...]
    out: Path
    binary: bool = False
    protection: str | None = None
    threads: int = 1
    scheduler: str | None = None
    files: Wanted = NOTHING_MORE
    limits: Limits = NO_LIMITS
    firth: bool = False
    whole_genome: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """One trait: its table and how it came about."""

    trait: str
    path: Path
    sites: Sites
    rows: Rows
    summary: dict[str, Any]


def associate(request: Request, at: Callable[[float], None]) -> list[Done]:
    """Write a table for each trait and return what is in it; `at` is told the share done.

    Raises InputError for wrong input, DisclosureError where a protection is refused.
    """
    began = perf_counter()
    sites = open_sites(request.genotypes)
    if request.firth and (not request.binary or len(sites.sites) > 1):
        raise InputError(
            "--firth fits people one by one: it needs --binary and the genotypes of one site;"
            " leave it out, and effects are those of the score test"
        )
    names = (*request.traits, *request.covariates)
    if len(set(names)) != len(names):
        raise InputError("a trait or covariate is named twice; name each once")
    tables = [read_tables([p], request.traits, request.covariates) for p in request.phenotypes]
    finished: list[Done] = []
    groups = list(_groups(sites, tables, len(request.traits), request.binary))
    for number, (places, matched) in enumerate(groups):
        part = replace(request, traits=tuple(request.traits[i] for i in places))

        def told(share: float, number: int = number) -> None:
            at((number + share) / len(groups))

        kept, gone = kept_by(request.limits, sites, matched, request.binary)
        found, said = _scan(part, kept, matched, told)
        said["filtered"] = gone
        for trait, rows in zip(part.traits, found, strict=True):
            path = request.out if len(request.traits) == 1 else _beside(request.out, trait)
            people = {s.name: dict(m.counts) for s, m in zip(sites.sites, matched, strict=True)}
            nines = sum(table.nines for table in tables)
            summary: dict[str, Any] = {"trait": trait, "table": str(path), "people": people, **said}
            summary |= _summary(kept, rows, nines)
            finished.append(Done(trait, path, kept, rows, summary))
    for done in finished:
        wanted = _wanted(request, done.trait)
        done.summary.update(write_scan(done.path, done.sites, done.rows, wanted, done.summary))
        done.summary["seconds"] = round(perf_counter() - began, 3)
    return finished


def _groups(
    sites: Sites, tables: Sequence[Tables], n_traits: int, apart: bool
) -> Iterator[tuple[list[int], tuple[Matched, ...]]]:
    """Yield traits that the same people have, and these people: one pass serves them all.

    `apart` has each trait by itself.
    """
    by_people: dict[tuple[bytes, ...], list[int]] = {}
    found: dict[tuple[bytes, ...], tuple[Matched, ...]] = {}
    for i in range(n_traits):
        others = [j for j in range(n_traits) if j != i]
        alone = [replace(t, cells=np.delete(t.cells, others, axis=1)) for t in tables]
        matched = match(sites, alone, 1)
        key = tuple(people.rows.tobytes() for people in matched)
        if apart:
            key = (*key, i.to_bytes(4, "big"))
        by_people.setdefault(key, []).append(i)
        found[key] = matched
    for key, places in by_people.items():
        others = [j for j in range(n_traits) if j not in places]
        together = [replace(t, cells=np.delete(t.cells, others, axis=1)) for t in tables]
        same = found[key] if len(places) == 1 else match(sites, together, len(places))
        yield places, same


def _scan(
    request: Request, sites: Sites, matched: Sequence[Matched], at: Callable[[float], None]
) -> tuple[list[Rows], dict[str, Any]]:
    """Return the rows of each trait, all parts of the genome put together, and what was done."""
    protection = request.protection or ("masked" if len(sites.sites) > 2 else "clear")
    said: dict[str, Any] = {"protection": protection if len(sites.sites) > 1 else "none needed"}
    found: list[tuple[NDArray[np.int64], list[Rows]]] = []
    passed = 0
    with executor(request.threads, request.scheduler) as pool:
        offsets = _offsets(request, sites, matched, pool) if request.whole_genome else None
        for part in parts_of(sites, apart=offsets is not None):

            def told(done: int, before: int = passed) -> None:
                at((before + done) / max(sites.n_variants, 1))

            held = of_part(sites, matched, part)
            traits, covariates = request.traits, request.covariates
            if part.kind is Ploidy.X:
                held, covariates = with_sex(*held, covariates)
            columns = design(held[1], traits, covariates, request.binary)
            if offsets is not None:
                columns = _less(columns, offsets, matched, held[1], part.chromosome)
            cohorts = columns.cohorts(*held)
            said = {**_said(request, columns, cohorts, part, held), **said}
            work = cohorts, columns, protection, pool, told
            one = [_binary(*work, firth=request.firth)] if request.binary else _linear(*work)
            found.append((part.places, one))
            passed += len(part.places)
            at(passed / max(sites.n_variants, 1))
    return _together(found, sites.n_variants, len(request.traits)), said


def _offsets(
    request: Request, sites: Sites, matched: Sequence[Matched], pool: Executor | None
) -> Any:
    """Return what other chromosomes say of the traits (`tools.ridge`)."""
    if request.binary:
        raise InputError("--whole-genome is for traits that are numbers; leave it or --binary out")
    ridge = import_module("equipoise.tools.ridge")
    columns = design(matched, request.traits, request.covariates)
    people = [
        [site.sample_ids[int(i)] for i in held.rows]
        for site, held in zip(sites.sites, matched, strict=True)
    ]
    cohorts = columns.cohorts(sites, matched)
    return ridge.offsets(cohorts, columns, sites.variants.chromosome, people, executor=pool)


def _less(
    columns: Design,
    offsets: Any,
    everybody: Sequence[Matched],
    present: Sequence[Matched],
    chromosome: str,
) -> Design:
    """Return the design with what other chromosomes say taken off the traits."""
    ridge = import_module("equipoise.tools.ridge")
    chosen = [
        replace(own, by_chromosome={chromosome: own.by_chromosome[chromosome][here]})
        for own, all_, some in zip(offsets, everybody, present, strict=True)
        for here in [np.isin(all_.rows, some.rows)]
    ]
    return ridge.subtracted(columns, chosen, chromosome)


def _said(
    request: Request,
    columns: Design,
    cohorts: Sequence[Cohort],
    part: Part,
    held: tuple[Sites, Sequence[Matched]],
) -> dict[str, Any]:
    """Return what is said of a scan's columns and people."""
    offset = ", offsets of other chromosomes" if request.whole_genome else ""
    said: dict[str, Any] = {
        "model": MODELS[request.binary] + offset,
        "covariates": list(columns.covariates),
        "dropped_covariates": list(columns.dropped),
    }
    if part.kind is Ploidy.X:
        said["heterozygous_men_on_x"] = heterozygous_men(cohorts, *held)
    if request.binary:
        said["cases"], said["controls"] = _cases(cohorts, request.traits[0])
    return said


def _linear(
    cohorts: tuple[Cohort, ...],
    columns: Design,
    protection: str,
    pool: Executor | None,
    at: Callable[[int], None],
) -> list[Rows]:
    if len(cohorts) == 1:
        return list(_rows(linear.at_one_site(cohorts[0], columns, pool, at), columns))
    return list(_rows(linear.over_sites(cohorts, columns, protection, pool), columns))


def _binary(
    cohorts: tuple[Cohort, ...],
    columns: Design,
    protection: str,
    pool: Executor | None,
    at: Callable[[int], None],
    *,
    firth: bool,
) -> Rows:
    # Here and not above: what it needs takes longer to import than a small linear scan takes.
    binary = import_module("equipoise.tools.binary")
    if len(cohorts) == 1:
        found = binary.at_one_site(cohorts[0], columns, pool, at, firth=firth)
    else:
        found = binary.over_sites(cohorts, columns, protection, pool)
    return Rows(
        found.beta,
        found.standard_error,
        found.neg_log_10_p,
        _frequency(found.called, found.alleles),
        found.called.astype(np.int64),
        found.status,
        found.method,
    )


def _cases(cohorts: Sequence[Cohort], trait: str) -> tuple[int, int]:
    cases = sum(int(cohort.column(trait).sum()) for cohort in cohorts)
    return cases, sum(cohort.n for cohort in cohorts) - cases


def _frequency(called: NDArray[np.float64], alleles: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(called > 0, alleles / (2 * np.maximum(called, 1)), np.nan)


def _rows(scanned: linear.Scanned, columns: Design) -> Iterator[Rows]:
    """Yield the rows of each trait, effects in its own units."""
    effects: Effects = scanned.effects
    frequency = _frequency(scanned.called, scanned.alleles)
    for i, scale in enumerate(columns.scale.tolist()):
        t = effects.t[:, i]
        log_p = (student_log_tail(np.abs(t), effects.dof) + _LN_2) / -_LN_10
        yield Rows(
            effects.beta[:, i] * scale,
            effects.standard_error[:, i] * scale,
            np.maximum(log_p, 0.0),
            frequency,
            scanned.called.astype(np.int64),
            np.array(_WORDS, object)[effects.status[:, i]],
        )


def _together(
    parts: Sequence[tuple[NDArray[np.int64], list[Rows]]], n_variants: int, n_traits: int
) -> list[Rows]:
    if len(parts) == 1:
        return parts[0][1]
    return [_joined([(p, rows[i]) for p, rows in parts], n_variants) for i in range(n_traits)]


def _joined(parts: Iterable[tuple[NDArray[np.int64], Rows]], n_variants: int) -> Rows:
    columns: dict[str, NDArray[Any]] = {}
    for places, rows in parts:
        for name, values in ((f.name, getattr(rows, f.name)) for f in fields(Rows)):
            if values is None:
                continue
            whole = columns.setdefault(name, np.empty(n_variants, values.dtype))
            whole[places] = values
    return Rows(**columns)


def _summary(sites: Sites, rows: Rows, nines: int) -> dict[str, Any]:
    status = Counter(map(str, rows.status.tolist()))
    aligned = {
        site.name: {
            name: getattr(site.alignment, name)
            for name in ("matched", "swapped", "other_strand", "absent")
        }
        for site in sites.sites
        if site.alignment is not None
    }
    best = int(np.nanargmax(rows.neg_log_10_p)) if np.isfinite(rows.neg_log_10_p).any() else None
    said: dict[str, Any] = {
        "variants": sites.n_variants,
        "left_out": {**sites.left_out, "not at every site": sites.only_some},
        "status": dict(sorted(status.items())),
        "trait_cells_of_minus_9_taken_as_missing": nines,
    }
    if aligned:
        said["alignment"] = aligned
    if best is not None:
        place = f"{sites.variants.chromosome[best]}:{sites.variants.position[best]}"
        said["top"] = {"place": place, "neg_log_10_p_value": float(rows.neg_log_10_p[best])}
    return said


def _wanted(request: Request, trait: str) -> Wanted:
    """Return the files of one trait: where there are several, its name is part of theirs."""
    files = request.files
    if len(request.traits) == 1 or files.report is None:
        return files
    return replace(files, report=_beside(files.report, trait))


def _beside(out: Path, trait: str) -> Path:
    """Return the table of one of several traits: its name goes before the suffix."""
    suffix = "".join(out.suffixes[-2:]) if out.suffix == ".gz" else out.suffix
    return out.with_name(out.name.removesuffix(suffix) + f".{trait}{suffix}")
