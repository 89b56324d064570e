"""`equipoise qc`: the quality of each site's genotypes, in tables and a report."""

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.packed.kinship import SECOND
from equipoise.tools import quality_files
from equipoise.tools.labels import read_labels
from equipoise.tools.people import Tables, match, read_tables
from equipoise.tools.quality import Groups, examine
from equipoise.tools.sites import Site, Sites, open_sites


def qualify_and_tell(
    genotypes: Sequence[str],
    out: Path,
    *,
    phenotypes: Sequence[Path],
    trait: str | None,
    strata: str | None,
    compare: bool,
    executor: Executor | None,
    as_json: bool,
) -> None:
    """Write the folder of tables and the report, and print what stands out.

    trait    a yes/no column of the phenotypes: Hardy-Weinberg is tested in people without it
    strata   a column of labels: Hardy-Weinberg and heterozygosity are judged within each
    compare  whether people are compared with each other
    """
    quality_files.refuse_full(out)
    sites = open_sites(genotypes)
    groups, notes = grouped(sites, phenotypes, trait, strata)
    notes += _left_out(sites)
    found = [
        examine(
            site.name,
            site.source,
            site.sample_ids,
            site.sex,
            sites.variants,
            groups=own,
            compare=compare,
            cutoff=SECOND,
            executor=executor,
        )
        for site, own in zip(sites.sites, groups, strict=True)
    ]
    content = quality_files.write(out, found, sites.variants, sites.ids, notes)
    said = {"out": str(out), **content}
    print(json.dumps(said, indent=1) if as_json else _text(out, content))


def grouped(
    sites: Sites, phenotypes: Sequence[Path], trait: str | None, strata: str | None
) -> tuple[list[Groups], list[str]]:
    """Return who is tested where, for each site, and what is to be said of that.

    InputError where a column is asked for and no table is given.
    """
    if (trait or strata) and not phenotypes:
        raise InputError("--trait and --strata name columns; expected --phenotypes FILE as well")
    each: list[Groups] = [Groups() for _ in sites.sites]
    notes: list[str] = []
    if trait:
        tables = [read_tables([path], [trait], []) for path in phenotypes]
        controls = _controls(sites, tables, trait)
        each = [Groups(controls=own) for own in controls]
        if controls[0] is None:
            notes.append(f"{trait} has more than two values: Hardy-Weinberg is tested in everybody")
    if strata:
        of_each = _one_each([read_labels(path, strata) for path in phenotypes], len(each))
        each = [
            _stratified(site, labels, own.controls)
            for site, labels, own in zip(sites.sites, of_each, each, strict=True)
        ]
    return each, notes


def _one_each(tables: Sequence[dict[str, str]], n: int) -> Sequence[dict[str, str]]:
    if len(tables) not in (1, n):
        raise InputError(
            f"{len(tables)} tables of phenotypes for {n} sites; expected one for each, in the"
            " same order, or one for all"
        )
    return tables if len(tables) == n else list(tables) * n


def _controls(
    sites: Sites, tables: Sequence[Tables], trait: str
) -> list[NDArray[np.bool_]] | list[None]:
    """Return who is known not to have the trait at each site; None for each where it is not yes/no."""
    matched = match(sites, tables, 1)
    values = np.unique(np.concatenate([one.values[:, 0] for one in matched]))
    if len(values) > 2:
        return [None for _ in matched]
    if not set(values.tolist()) <= {0.0, 1.0} and not set(values.tolist()) <= {1.0, 2.0}:
        raise InputError(
            f"the trait {trait!r} is coded otherwise than 0 and 1, or 1 and 2 as PLINK does;"
            " expected one of the two; code it so"
        )
    without = 1.0 if 2.0 in values else 0.0
    found: list[NDArray[np.bool_]] = []
    for site, one in zip(sites.sites, matched, strict=True):
        chosen = np.zeros(len(site.sample_ids), np.bool_)
        chosen[one.rows[one.values[:, 0] == without]] = True
        found.append(chosen)
    return found


def _stratified(site: Site, labels: dict[str, str], controls: NDArray[np.bool_] | None) -> Groups:
    own = [labels.get(iid, "") for iid in site.sample_ids]
    names = tuple(sorted({label for label in own if label}))
    place = {name: i for i, name in enumerate(names)}
    stratum = np.array([place.get(label, -1) for label in own], np.int64)
    return Groups(names, stratum, controls)


def _left_out(sites: Sites) -> list[str]:
    notes = [f"{n} records left out: {reason}" for reason, n in sites.left_out.items()]
    if sites.only_some:
        notes.append(f"{sites.only_some} variants left out that not every site has")
    return notes


def _text(out: Path, content: dict[str, Any]) -> str:
    lines: list[str] = []
    for name, site in content["sites"].items():
        variants, people = site["variants"], site["people_found"]
        lines += [
            f"{name}: {site['people']} people, {content['variants']} variants",
            f"  variants with a call rate under 95 %: {variants['low_call_rate']}",
        ]
        lines += [
            f"  variants that fail Hardy-Weinberg in {stratum}: {found['failed']}"
            for stratum, found in site["hardy_weinberg"]["strata"].items()
        ]
        lines += [
            f"  people with a call rate under 95 %: {_shown(people['low_call_rate'])}",
            f"  people of outlying heterozygosity: {_shown(people['heterozygosity_outliers'])}",
        ]
        sex, kinship = site["sex"], site["kinship"]
        differs = sex["reason"] or _shown(sex["found"]["differs"])
        lines.append(f"  people of another sex than reported: {differs}")
        pairs = kinship.get("pairs", {})
        lines += [f"  pairs, {degree}: {_shown(n)}" for degree, n in pairs.items()]
    lines += [*content["notes"], f"To read: {out / 'report.html'}"]
    return "\n".join(lines)


def _shown(count: int | None) -> str:
    return "<5" if count is None else str(count)
