"""`equipoise associate`: every variant against one trait or several, one site or several."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from equipoise.errors import InputError
from equipoise.tools.association_files import Wanted, write_scan
from equipoise.tools.association_rows import Rows
from equipoise.tools.association_scan import Request, Scan
from equipoise.tools.filters import kept_by
from equipoise.tools.people import Matched, Tables, match, read_tables
from equipoise.tools.sites import Sites, open_sites

__all__ = ["Done", "Request", "associate"]


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
    groups = list(_groups(sites, tables, len(request.traits), request.binary))
    nines = sum(table.nines for table in tables)
    del tables  # large, and all that is needed of them is in the groups
    scans: list[Scan] = []
    for number, (places, matched) in enumerate(groups):
        part = replace(request, traits=tuple(request.traits[i] for i in places))

        def told(share: float, number: int = number) -> None:
            at((number + share) / len(groups))

        kept, gone = kept_by(request.limits, sites, matched, request.binary)
        scan = Scan(part, kept, matched, told, gone)
        if len(groups) > 1:  # no table is begun before all have been found
            scan.ready(kept.n_variants)
        scans.append(scan)
    finished = [done for scan in scans for done in _written(request, scan, nines)]
    for done in finished:
        done.summary["seconds"] = round(perf_counter() - began, 3)
    return finished


def _written(request: Request, scan: Scan, nines: int) -> Iterator[Done]:
    """Write the tables of the traits of one scan, while it goes on."""
    for trait, rows in zip(scan.request.traits, scan.rows, strict=True):
        path = request.out if len(request.traits) == 1 else _beside(request.out, trait)
        summary: dict[str, Any] = {}

        def said(
            trait: str = trait, path: Path = path, rows: Rows = rows, told: Any = summary
        ) -> dict[str, Any]:
            told |= {"trait": trait, "table": str(path), "people": scan.people, **scan.said}
            told |= _summary(scan.sites, rows, nines)
            return told

        wanted = _wanted(request, trait)
        figures = write_scan(path, scan.sites, rows, wanted, said, scan.ready)
        summary.update(figures)
        yield Done(trait, path, scan.sites, rows, summary)


def _groups(
    sites: Sites, tables: Sequence[Tables], n_traits: int, apart: bool
) -> Iterator[tuple[list[int], tuple[Matched, ...]]]:
    """Yield traits that the same people have, and these people: one pass serves them all.

    `apart` has each trait by itself.
    """
    by_people: dict[tuple[bytes, ...], list[int]] = {}
    found: dict[tuple[bytes, ...], tuple[Matched, ...]] = {}
    for i in range(n_traits):
        matched = match(sites, _with(tables, [i], n_traits), 1)
        key = tuple(people.rows.tobytes() for people in matched)
        if apart:
            key = (*key, i.to_bytes(4, "big"))
        by_people.setdefault(key, []).append(i)
        found[key] = matched
    for key, places in by_people.items():
        together = _with(tables, places, n_traits)
        same = found[key] if len(places) == 1 else match(sites, together, len(places))
        yield places, same


def _with(tables: Sequence[Tables], places: list[int], n_traits: int) -> Sequence[Tables]:
    """Return the tables with no other traits than those at `places`."""
    if len(places) == n_traits:
        return tables
    others = [j for j in range(n_traits) if j not in places]
    return [replace(t, cells=np.delete(t.cells, others, axis=1)) for t in tables]


def _summary(sites: Sites, rows: Rows, nines: int) -> dict[str, Any]:
    aligned = {
        site.name: {
            name: getattr(site.alignment, name)
            for name in ("matched", "swapped", "other_strand", "absent")
        }
        for site in sites.sites
        if site.alignment is not None
    }
    best = rows.best()
    said: dict[str, Any] = {
        "variants": sites.n_variants,
        "left_out": {**sites.left_out, "not at every site": sites.only_some},
        "status": rows.status.count(),
        "trait_cells_of_minus_9_taken_as_missing": nines,
    }
    if aligned:
        said["alignment"] = aligned
    if best is not None:
        chromosome, position, *_ = sites.variants.frame(slice(best, best + 1)).row(0)
        place = f"{chromosome}:{position}"
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
