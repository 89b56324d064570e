"""The components of ancestry, and a map that shows no person."""

from typing import Any

import numpy as np

from equipoise.analyses import ancestry_map
from equipoise.analyses.ancestry_map import AncestryCounts
from equipoise.analyses.components import ComponentLoadings
from equipoise.analyses.pruning import Pruned
from equipoise.federation.run import Run
from equipoise.study.sections.numbers import digits


def ancestry(run: Run) -> dict[str, Any] | None:
    """Return the section `ancestry`, None where the study asks for no components."""
    if "components" not in run.results:
        return None
    found: ComponentLoadings = run.results["components"]
    pruned: Pruned = run.results["pruning"]
    counts: AncestryCounts = run.results["ancestry"]
    side, size = ancestry_map.EDGE, len(counts.counts)
    edges = [round(2 * side * i / size - side, 6) for i in range(size + 1)]
    kept = found.kept
    return {
        "asked": len(kept),
        "kept": int(np.count_nonzero(kept)),
        "pruned_variants": len(pruned.variants),
        "by_distance": bool(pruned.by_distance),
        "effective_variants": digits(found.effective_variants),
        "rounds": found.rounds,
        "components": [_component(found, i) for i in range(len(kept))],
        "map": {"edges": edges, "counts": ancestry_map.shown(counts.counts, run.plan.k)},
        "sites": {
            site: {name: _spread(figure) for name, figure in sorted(figures.items())}
            for site, figures in sorted(run.figures.get("ancestry", {}).items())
        },
    }


def _component(found: ComponentLoadings, i: int) -> dict[str, Any]:
    reason = ""
    if not found.kept[i]:
        if not found.separated[i]:
            reason = "does not stand out of noise"
        elif not found.converged[i]:
            reason = "not separated from the components beside it"
        else:
            reason = "a component before it is not separated"
    return {
        "name": f"PC{i + 1}",
        "eigenvalue": digits(found.eigenvalues[i]),
        "kept": bool(found.kept[i]),
        "reason": reason,
    }


def _spread(figure: Any) -> dict[str, Any]:
    """Return mean and standard deviation, from a figure whose ends are one of them apart."""
    mean = figure["value"]
    sd = None if mean is None else round((figure["high"] - figure["low"]) / 2, 2)
    return {"mean": mean, "sd": sd}
