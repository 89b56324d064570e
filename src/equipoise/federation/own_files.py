"""What a run leaves at a site for the site itself: scores, explanations, components."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.contributions import columns
from equipoise.analyses.nets import Nets
from equipoise.analyses.relevance import RelevanceTotals
from equipoise.artefacts import components, explanations, scores
from equipoise.genotypes import loci
from equipoise.genotypes.variants import Variants

Kept = Mapping[str, NDArray[np.float64]]


def write(
    directory: Path,
    ids: Sequence[str],
    fold: NDArray[np.int64],
    *,
    kept: Kept,
    results: Mapping[str, Any],
    variants: Variants | None,
) -> list[Path]:
    """Write what there is, one row a person; return the files.

    kept      the columns that were derived here
    results   public results of the run, by step
    variants  the public list
    """
    written: list[Path] = []
    if {"score", "probability"} <= kept.keys():
        path = directory / "scores.tsv"
        scores.write(path, ids, kept["score"], kept["probability"], fold)
        written.append(path)
    axes = sorted((name for name in kept if _is_component(name)), key=lambda name: int(name[2:]))
    axes = [name for name in axes if np.any(kept[name])]
    if axes:
        path = directory / "components.tsv"
        components.write(path, ids, {name: kept[name] for name in axes})
        written.append(path)
    nets = next((r for r in results.values() if isinstance(r, Nets)), None)
    relevance = next((r for r in results.values() if isinstance(r, RelevanceTotals)), None)
    if variants is not None and nets is not None and relevance is not None:
        path = directory / explanations.NAME
        _explain(path, ids, kept, nets, relevance, variants)
        written.append(path)
    return written


def part_names(nets: Nets, relevance: RelevanceTotals, variants: Variants) -> tuple[str, ...]:
    """Return what contributions are of: each locus, `background` and `covariates`."""
    merged = bool(relevance.merged)
    named = loci.names(variants, nets.variants, relevance.locus, merged=merged)
    return (*named, "background", "covariates")


def _explain(
    path: Path,
    ids: Sequence[str],
    kept: Kept,
    nets: Nets,
    relevance: RelevanceTotals,
    variants: Variants,
) -> None:
    names = part_names(nets, relevance, variants)
    sources = columns(len(names) - 2)
    said = {
        "score": kept["score"],
        "baseline": kept["logit"] - kept["score"],
        "probability": kept["probability"],
    }
    explanations.write(path, ids, said, names, np.stack([kept[name] for name in sources]))


def _is_component(name: str) -> bool:
    return name.startswith("PC") and name[2:].isdigit()
