"""The model: what was tried and chosen, its weights, and what its answers are made of."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.calibration import Calibrated
from equipoise.analyses.nets import Nets
from equipoise.analyses.relevance import RelevanceTotals
from equipoise.analyses.tuned import Tuned
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.federation.own_files import part_names
from equipoise.federation.run import Run
from equipoise.genotypes.variants import Variants
from equipoise.study.sections.association import place
from equipoise.study.sections.numbers import digits, few
from equipoise.study.steps import GENOME_WIDE


def log_odds(run: Run, row: int) -> NDArray[np.float64]:
    """Return the weight of each variant of `Nets` in log odds per effect allele, for one row."""
    nets: Nets = run.results["model"]
    tuned: Tuned = run.results["tuning"]
    calibrated: Calibrated = run.results["calibration"]
    choice = int(tuned.choice[row])
    if choice < 0 or tuned.scale[row] <= 0:
        return np.zeros(len(nets.variants))
    unit = calibrated.coefficients[row, 1] * tuned.weights[row, 0] / tuned.scale[row]
    return nets.weights[row, row, choice] * unit


def covariates(run: Run, row: int) -> list[dict[str, Any]]:
    """Return the weight of each covariate in log odds per unit, and its mean, for one row."""
    nets: Nets = run.results["model"]
    tuned: Tuned = run.results["tuning"]
    calibrated: Calibrated = run.results["calibration"]
    if tuned.weights[row, 1] == 0 or tuned.scale[row] <= 0:
        return []
    unit = calibrated.coefficients[row, 1] * tuned.weights[row, 1] / tuned.scale[row]
    names = cast("tuple[str, ...]", run.plan.step("model").parameters["covariates"])
    weights = nets.covariates[row, row] * unit
    return [
        {"name": name, "weight": digits(weight), "mean": digits(mean)}
        for name, weight, mean in zip(names, weights, nets.means, strict=True)
        if weight != 0
    ]


def model(run: Run, variants: Variants, table: Statistics) -> dict[str, Any]:
    """Return the section `model`."""
    nets: Nets = run.results["model"]
    tuned: Tuned = run.results["tuning"]
    calibrated: Calibrated = run.results["calibration"]
    relevance: RelevanceTotals = run.results["relevance"]
    step = run.plan.step("model")
    penalties = _pairs(step.parameters["penalties"])
    chosen = [_chosen(tuned, row, penalties) for row in range(len(tuned.choice))]
    weights = log_odds(run, 0)
    best = int(nets.best[0])
    return {
        "kind": "elastic net over summed statistics",
        "neg_log_10_p_limit": digits(-np.log10(GENOME_WIDE)),
        "columns_per_window": step.parameters["columns"],
        "penalties": penalties,
        "chosen": chosen[0],
        "chosen_by_fold": chosen[1:],
        "uses_covariates": bool(tuned.weights[0, 1] != 0),
        "covariates": covariates(run, 0),
        "variants": [
            {**place(table, int(v)), "weight": digits(w)}
            for v, w in zip(nets.variants, weights, strict=True)
            if w != 0
        ],
        "variants_by_fold": [
            int(np.count_nonzero(log_odds(run, row))) for row in range(1, len(tuned.choice))
        ],
        "calibration": {
            "intercept": digits(calibrated.coefficients[0, 0]),
            "slope": digits(calibrated.coefficients[0, 1]),
            "rounds": calibrated.rounds,
            "converged": calibrated.converged,
        },
        "loci": list(part_names(nets, relevance, variants)[:-2]),
        "best_single_variant": place(table, best) if best >= 0 else None,
    }


def explanation(run: Run, variants: Variants) -> dict[str, Any]:
    """Return the section `explanation`: mean absolute contributions over all sites."""
    nets: Nets = run.results["model"]
    found: RelevanceTotals = run.results["relevance"]
    names = part_names(nets, found, variants)
    loci = len(names) - 2
    rows = [*range(loci), found.total.shape[1] - 2, found.total.shape[1] - 1]
    kinds = [*("locus" for _ in range(loci)), "background", "covariates"]
    people = found.people if found.apart else np.array([found.people.sum(), 0.0])
    k = run.plan.k
    sizes = [few(int(n), k) for n in found.people]
    if None in sizes:
        # The other count and the number of people would give it away.
        sizes = [None, None]
    parts = [
        _part(
            found,
            people,
            row,
            {"part": name, "kind": kind, "variants": _variants(found, name, i, loci)},
        )
        for i, (name, kind, row) in enumerate(zip(names, kinds, rows, strict=True))
    ]
    return {
        "scale": "log-odds",
        "people": {"predicted_without": sizes[0], "predicted_with": sizes[1]},
        "apart": bool(found.apart),
        "parts": parts,
    }


def _variants(found: RelevanceTotals, name: str, i: int, loci: int) -> int | None:
    del name
    return int(np.count_nonzero(found.locus == i)) if i < loci else None


def _part(
    found: RelevanceTotals, people: NDArray[np.float64], row: int, head: dict[str, Any]
) -> dict[str, Any]:
    """Return one part: its mean absolute contribution, and its share of that of all parts.

    Where people are not told apart, `predicted_without` is of everybody.
    """
    result = dict(head)
    for cell, name in enumerate(("without", "with")):
        n, total = people[cell], found.total[cell]
        every = total.sum()
        known = n > 0
        result[f"predicted_{name}"] = digits(total[row] / n) if known else None
        result[f"share_{name}"] = digits(total[row] / every) if known and every > 0 else None
    return result


def _pairs(penalties: Any) -> list[dict[str, float]]:
    return [
        {"l1": float(l1), "l2": float(l2)}
        for l1, l2 in zip(penalties[::2], penalties[1::2], strict=True)
    ]


def _chosen(tuned: Tuned, row: int, penalties: list[dict[str, float]]) -> dict[str, Any] | None:
    choice = int(tuned.choice[row])
    return None if choice < 0 else {**penalties[choice], "tuned_r2": digits(tuned.r2[row])}
