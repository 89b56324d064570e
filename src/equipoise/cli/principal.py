"""`equipoise pca`: components of ancestry, or people placed among those of others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole
from equipoise.cli.progress import bar
from equipoise.dossier import pca_report
from equipoise.dossier.words import count
from equipoise.errors import InputError
from equipoise.genotypes.long_range import regions_of
from equipoise.tools import pca_files
from equipoise.tools.executors import executor
from equipoise.tools.labels import read_labels
from equipoise.tools.pca import Principal, Request, principal
from equipoise.tools.people import read_tables
from equipoise.tools.projection import (
    NONE_NEAR,
    Nearest,
    distances,
    labels_of,
    nearest,
    project,
    read_loadings,
    reference,
)
from equipoise.tools.sites import Sites, open_sites

NO_BUILD: Final = "no regions of long-range linkage were left out: give --build so that they can be"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for.

    genotypes   one word a site
    project     loadings of others to place the people by; then nothing else is computed
    correct     divide projected scores by their shrinkage
    labels      a table with IID and the column `label` of reference people, and perhaps
                their components; without these they are people of the genotypes
    """

    genotypes: tuple[str, ...]
    out: Path
    request: Request
    threads: int = 1
    project: Path | None = None
    correct: bool = False
    labels: Path | None = None
    label: str = "label"
    report: Path | None = None


def components_and_tell(asked: Asked, *, as_json: bool) -> None:
    """Write the tables and the report, and say what came out."""
    began = perf_counter()
    if asked.request.build is not None:
        regions_of(asked.request.build)
    sites = open_sites(asked.genotypes)
    content = _projected(sites, asked) if asked.project else _principal(sites, asked)
    content["seconds"] = round(perf_counter() - began, 3)
    print(json.dumps(content, indent=1) if as_json else _text(content))


def _principal(sites: Sites, asked: Asked) -> dict[str, Any]:
    with bar("components") as at, executor(asked.threads) as pool:
        found = principal(sites, asked.request, pool, at)
    names = pca_files.names_of(asked.request.components)
    used = found.found & found.separated
    more, nearby = _nearest(sites, asked, found.scores, names, used)
    pca_files.write_people(asked.out, sites, found.scores, names, more)
    tables = {name: pca_files.beside(asked.out, name) for name in ("eigenvalues", "loadings")}
    pca_files.write_eigenvalues(tables["eigenvalues"], found)
    pca_files.write_loadings(tables["loadings"], found, asked.request.build)
    content = _content(sites, asked, found) | {
        "tables": {"people": str(asked.out)} | {n: str(path) for n, path in tables.items()}
    }
    if nearby is not None:
        content["nearest"] = _tally(nearby)
    _report(sites, asked, content, found.scores, more)
    return content


def _content(sites: Sites, asked: Asked, found: Principal) -> dict[str, Any]:
    notes = [f"{n} records left out: {reason}" for reason, n in sites.left_out.items() if n]
    if sites.only_some:
        notes.append(f"{sites.only_some} variants left out that not every site has")
    if asked.request.window is not None and asked.request.build is None:
        notes.append(NO_BUILD)
    linkage, components = found.columns
    return {
        "people": {site.name: len(site.sample_ids) for site in sites.sites},
        "variants": {"used": found.variants.n_variants, "not_used": found.dropped},
        "independent_variants": found.effective,
        "components": [
            {
                "name": name,
                "eigenvalue": value,
                "residual": apart,
                "found": told,
                "share": share,
                "above_noise": above,
                "shrinkage": None if np.isnan(factor) else factor,
            }
            for name, value, apart, told, share, above, factor in zip(
                pca_files.names_of(len(found.found)),
                found.eigenvalues.tolist(),
                found.residuals.tolist(),
                found.found.tolist(),
                found.share.tolist(),
                found.separated.tolist(),
                pca_files.shrinkages(found).tolist(),
                strict=True,
            )
        ],
        "rounds": found.rounds,
        "columns_of_gtg": {"linkage": linkage, "components": components, "budget": found.budget},
        "protection": found.protection,
        "notes": notes,
    }


def _projected(sites: Sites, asked: Asked) -> dict[str, Any]:
    """Place the people among the components of a loadings file."""
    assert asked.project is not None  # noqa: S101  (the caller asked)
    loadings = read_loadings(asked.project)
    with executor(asked.threads) as pool:
        found = project(sites, loadings, correct=asked.correct, executor=pool)
    used = np.ones(len(loadings.names), np.bool_)
    more, nearby = _nearest(sites, asked, found.scores, loadings.names, used)
    apart = [distances(own, loadings.eigenvalues, loadings.people) for own in found.scores]
    pca_files.write_people(
        asked.out, sites, found.scores, loadings.names, {"distance": apart} | more
    )
    factors = [None if np.isnan(f) else f for f in loadings.shrinkage.tolist()]
    notes = [
        f"scores divided by their shrinkage, {min(f for f in factors if f):.3f} at the least"
        if asked.correct
        else "projected scores are drawn towards 0 by the factors given; --correct divides by them"
    ]
    if found.matched < found.of:
        notes.append(
            f"{found.of - found.matched} variants of the loadings are missing at a site: they"
            " count the mean, which draws scores further towards 0"
        )
    content: dict[str, Any] = {
        "people": {site.name: len(site.sample_ids) for site in sites.sites},
        "variants": {"used": found.matched, "of": found.of},
        "components": [
            {"name": name, "shrinkage": factor}
            for name, factor in zip(loadings.names, factors, strict=True)
        ],
        "median_distance": {
            site.name: float(np.median(own)) for site, own in zip(sites.sites, apart, strict=True)
        },
        "notes": notes,
        "tables": {"people": str(asked.out)},
    }
    if nearby is not None:
        content["nearest"] = _tally(nearby)
    _report(sites, asked, content, found.scores, more)
    return content


def _nearest(
    sites: Sites,
    asked: Asked,
    placed: Sequence[NDArray[np.float64]],
    names: Sequence[str],
    used: NDArray[np.bool_],
) -> tuple[dict[str, list[NDArray[Any]]], list[Nearest] | None]:
    """Return the columns of the nearest reference, none where no labels are given."""
    if asked.labels is None:
        return {}, None
    if not used.any():
        raise InputError("no component stands out of noise: people cannot be told apart by them")
    labels = read_labels(asked.labels, asked.label)
    chosen = [name for name, here in zip(names, used, strict=True) if here]
    own = _components_of(asked.labels, chosen)
    if own is None:
        of = [label for site in labels_of(sites, labels) for label in site]
        groups = reference(np.concatenate(placed)[:, used], of)
    else:
        place, values = own
        groups = reference(values, [labels[iid] for iid in place])
    nearby = [nearest(one[:, used], groups) for one in placed]
    return {
        "nearest": [one.label for one in nearby],
        "probability": [one.probability for one in nearby],
        "outside": [one.outside for one in nearby],
    }, nearby


def _components_of(
    path: Path, names: Sequence[str]
) -> tuple[list[str], NDArray[np.float64]] | None:
    """Return the components that a table of labels has of its people; None if not all."""
    with path.open(encoding="utf-8") as file:
        header = file.readline().split()
    if not set(names) <= set(header):
        return None
    tables = read_tables([path], (), names)
    if np.isnan(tables.cells).any():
        raise InputError(f"{path}: a component that is missing; expected numbers; remove the row")
    return list(tables.place), tables.cells


def _tally(nearby: Sequence[Nearest]) -> dict[str, int]:
    labels = np.concatenate([one.label for one in nearby])
    names, counts = np.unique(labels.astype(str), return_counts=True)
    tally = dict(zip(names.tolist(), counts.tolist(), strict=True))
    last = tally.pop(NONE_NEAR, 0)
    return {**tally, NONE_NEAR: last}


def _report(
    sites: Sites,
    asked: Asked,
    content: dict[str, Any],
    placed: Sequence[NDArray[np.float64]],
    more: dict[str, list[NDArray[Any]]],
) -> None:
    if asked.report is None:
        return
    groups = [site.name for site in sites.sites for _ in site.sample_ids]
    if "nearest" in more:
        groups = np.concatenate(more["nearest"]).tolist()
    names = [one["name"] for one in content["components"]]
    page = pca_report.render(content, np.concatenate(placed), names, groups)
    write_whole(asked.report, [page])
    content["tables"]["report"] = str(asked.report)


def _text(content: dict[str, Any]) -> str:
    variants, people = content["variants"], sum(content["people"].values())
    sites = count(len(content["people"]), "site")
    lines = [f"{people} people of {sites}, {variants['used']} variants"]
    if "of" in variants:
        lines[0] += f" of {variants['of']} in the loadings"
    for reason, n in variants.get("not_used", {}).items():
        if n:
            lines.append(f"  {n} variants not used: {reason}")
    if "rounds" in content:
        lines += _found_lines(content)
    for site, median in content.get("median_distance", {}).items():
        lines.append(f"  {site}: median distance from the centre of training {median:.4g}")
    for label, n in content.get("nearest", {}).items():
        lines.append(f"  nearest to {label}: {n}" if label != NONE_NEAR else f"  {label}: {n}")
    lines += content["notes"]
    lines += [f"Written: {path}" for path in content["tables"].values()]
    return "\n".join(lines)


def _found_lines(content: dict[str, Any]) -> list[str]:
    lines = ["  component  eigenvalue  share"]
    for one in content["components"]:
        said = "" if one["found"] else "  not found: written as NA"
        said += "" if one["above_noise"] else "  within noise"
        lines.append(f"  {one['name']:<9}  {one['eigenvalue']:10.4f}  {one['share']:.2%}{said}")
    asked = content["columns_of_gtg"]
    lines.append(
        f"  {content['rounds']} rounds; sums over sites: {content['protection']}; columns of G'G"
        f" asked: {asked['linkage']} for linkage, {asked['components']} for components"
    )
    if len(content["people"]) > 1:
        lines.append(f"  a study of these sites would allow {asked['budget']} in all")
    return lines
