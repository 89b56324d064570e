"""`equipoise relatedness`: who is related to whom at each site, and who is not."""

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import InputError
from equipoise.packed.kinship import degree
from equipoise.tools.relatedness import (
    ACROSS_SITES,
    DEGREES,
    Related,
    related,
    write_pairs,
    write_unrelated,
)
from equipoise.tools.sites import open_sites


def relate_and_tell(
    genotypes: Sequence[str],
    out: Path,
    *,
    cutoff: float,
    apart: Path | None,
    executor: Executor | None,
    as_json: bool,
) -> None:
    """Write the pairs of at least `cutoff` kinship, and a largest unrelated set where asked for."""
    if not -np.inf <= cutoff <= 0.5:
        raise InputError("--cutoff is above .5, the kinship of a person with themselves")
    sites = open_sites(genotypes)
    found = [
        related(
            site.name,
            site.source,
            site.sample_ids,
            sites.variants,
            cutoff=cutoff,
            executor=executor,
        )
        for site in sites.sites
    ]
    if apart is not None:
        write_unrelated(apart, found)
    write_pairs(out, found)
    content = {
        "out": str(out),
        "unrelated": None if apart is None else str(apart),
        "cutoff": cutoff,
        "pairs_across_sites": "not compared" if len(found) > 1 else None,
        "sites": {one.site: _content(one) for one in found},
    }
    print(json.dumps(content, indent=1) if as_json else _text(content))


def _content(one: Related) -> dict[str, Any]:
    near = degree(one.pairs.kinship)
    return {
        "people": len(one.sample_ids),
        "variants": one.compared,
        "pairs": one.pairs.n,
        "by_degree": {name: int(np.count_nonzero(near == i)) for i, name in enumerate(DEGREES)},
        "without_kinship": one.pairs.undefined,
        "unrelated": None if one.apart is None else one.apart.n,
        "unrelated_at_most": None if one.apart is None else one.apart.most,
        "unrelated_is_largest": None if one.apart is None else one.apart.exact,
    }


def _text(content: dict[str, Any]) -> str:
    lines: list[str] = []
    for site, one in content["sites"].items():
        lines.append(
            f"{site}: {one['pairs']} pairs of at least {content['cutoff']:g} kinship among"
            f" {one['people']} people, by {one['variants']} autosomal variants"
        )
        lines += [f"  {name}: {n}" for name, n in one["by_degree"].items() if n]
        if one["without_kinship"]:
            lines.append(f"  {one['without_kinship']} pairs have no heterozygous genotype to go by")
        if one["unrelated"] is None:
            continue
        sure = "a largest set" if one["unrelated_is_largest"] else "a set, not proved the largest,"
        most = "" if one["unrelated_is_largest"] else f" (none has over {one['unrelated_at_most']})"
        lines.append(f"  {sure} without such pairs: {one['unrelated']} people{most}")
    if content["pairs_across_sites"]:
        lines.append(f"These are {ACROSS_SITES}.")
    lines.append(f"Pairs: {content['out']}")
    if content["unrelated"]:
        lines.append(f"Unrelated people: {content['unrelated']}")
    return "\n".join(lines)
