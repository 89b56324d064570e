"""A scan of traits that the same people have, part by part of the genome."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.genotypes.ploidy import Ploidy
from equipoise.solvers.regression import Effects, Status
from equipoise.solvers.student import student_log_tail
from equipoise.tools import linear
from equipoise.tools.association_files import NOTHING_MORE, ROWS, Wanted
from equipoise.tools.association_rows import Found, Rows, coded
from equipoise.tools.design import Design, design
from equipoise.tools.executors import Threads, executor
from equipoise.tools.filters import Limits
from equipoise.tools.parts import Part, heterozygous_men, of_part, parts_of, with_sex
from equipoise.tools.people import Matched
from equipoise.tools.sites import Sites

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


class Scan:
    """The scan of traits that the same people have; it goes on as its rows are asked for.

    rows    of each trait, as far as they have been found
    said    what was done, complete when all rows have been found
    people  how many there are of each kind, by site
    """

    def __init__(
        self,
        request: Request,
        sites: Sites,
        matched: Sequence[Matched],
        at: Callable[[float], None],
        filtered: dict[str, int],
    ) -> None:
        """Take what is to be done; nothing is computed yet."""
        self.request, self.sites, self._matched, self._at = request, sites, matched, at
        self.rows = [Rows(sites.n_variants, with_method=request.binary) for _ in request.traits]
        self.people = {s.name: dict(m.counts) for s, m in zip(sites.sites, matched, strict=True)}
        self._protection = request.protection or ("masked" if len(sites.sites) > 2 else "clear")
        used = self._protection if len(sites.sites) > 1 else "none needed"
        self.said: dict[str, Any] = {"protection": used, "filtered": filtered}
        self._found, self._going = 0, self._run()

    def ready(self, stop: int) -> None:
        """Return when the rows before `stop` have been found."""
        while self._found < stop:
            self._found = next(self._going)

    def _run(self) -> Iterator[int]:
        """Find the rows of all parts of the genome; yield how many of the first are there."""
        request, sites, matched = self.request, self.sites, self._matched
        most = max(len(site.sample_ids) for site in sites.sites)
        passed, everything = 0, max(sites.n_variants, 1)
        with executor(request.threads, request.scheduler) as pool:
            if isinstance(pool, Threads):
                # While one thread writes the table the others go on with the scan.
                pool.in_flight = max(pool.in_flight, ROWS // linear.block_size(most))
            offsets = _offsets(request, sites, matched, pool) if request.whole_genome else None
            for part in parts_of(sites, apart=offsets is not None):
                held = of_part(sites, matched, part)
                covariates = request.covariates
                if part.kind is Ploidy.X:
                    held, covariates = with_sex(*held, covariates)
                columns = design(held[1], request.traits, covariates, request.binary)
                if offsets is not None:
                    columns = _less(columns, offsets, matched, held[1], part.chromosome)
                cohorts = columns.cohorts(*held)
                self.said = {**_said(request, columns, cohorts, part, held), **self.said}
                places = None if part.whole else part.places
                for start, stop, each in self._blocks(cohorts, columns, pool, passed):
                    block = slice(start, stop)
                    for rows, found in zip(self.rows, each, strict=True):
                        rows.put(block if places is None else places[block], found)
                    self._at((passed + stop) / everything)
                    if part.whole:
                        yield stop
                passed += part.n_variants
        yield sites.n_variants

    def _blocks(
        self, cohorts: tuple[Cohort, ...], columns: Design, pool: Executor | None, before: int
    ) -> Iterator[tuple[int, int, list[Found]]]:
        """Yield where a block of variants begins and stops, and the rows of each trait."""
        if self.request.binary:

            def told(done: int) -> None:
                self._at((before + done) / max(self.sites.n_variants, 1))

            firth = self.request.firth
            found = _binary(cohorts, columns, self._protection, pool, told, firth=firth)
            yield 0, cohorts[0].genotypes.n_variants, [found]
            return

        def rows(block: linear.Scanned) -> tuple[int, int, list[Found]]:
            return block.start, block.stop, _rows(block, columns)

        if len(cohorts) == 1:
            yield from linear.at_one_site(cohorts[0], columns, pool, rows)
        else:
            yield from map(rows, linear.over_sites(cohorts, columns, self._protection, pool))


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


def _binary(
    cohorts: tuple[Cohort, ...],
    columns: Design,
    protection: str,
    pool: Executor | None,
    at: Callable[[int], None],
    *,
    firth: bool,
) -> Found:
    # Here and not above: what it needs takes longer to import than a small linear scan takes.
    binary = import_module("equipoise.tools.binary")
    if len(cohorts) == 1:
        found = binary.at_one_site(cohorts[0], columns, pool, at, firth=firth)
    else:
        found = binary.over_sites(cohorts, columns, protection, pool)
    return Found(
        found.beta,
        found.standard_error,
        found.neg_log_10_p,
        _frequency(found.called, found.alleles),
        found.called,
        *coded(found.status),
        *coded(found.method),
    )


def _cases(cohorts: Sequence[Cohort], trait: str) -> tuple[int, int]:
    cases = sum(int(cohort.column(trait).sum()) for cohort in cohorts)
    return cases, sum(cohort.n for cohort in cohorts) - cases


def _frequency(called: NDArray[np.float64], alleles: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(called > 0, alleles / (2 * np.maximum(called, 1)), np.nan)


def _rows(scanned: linear.Scanned, columns: Design) -> list[Found]:
    """Return the rows of each trait, effects in its own units."""
    effects: Effects = scanned.effects
    frequency = _frequency(scanned.called, scanned.alleles)
    found: list[Found] = []
    for i, scale in enumerate(columns.scale.tolist()):
        t = effects.t[:, i]
        log_p = (student_log_tail(np.abs(t), effects.dof) + _LN_2) / -_LN_10
        found.append(
            Found(
                effects.beta[:, i] * scale,
                effects.standard_error[:, i] * scale,
                np.maximum(log_p, 0.0),
                frequency,
                scanned.called,
                effects.status[:, i],
                _WORDS,
            )
        )
    return found
