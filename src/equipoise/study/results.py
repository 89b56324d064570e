"""What a run found, as the content of `results.json` and `association.tsv`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

import equipoise
from equipoise.analyses.clumping import Weights
from equipoise.analyses.discrimination import AucResult
from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.linear import Association
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.federation.budget import Build, disclosure
from equipoise.federation.run import Run
from equipoise.genotypes.variants import Variants
from equipoise.solvers.distributions import student_log_tail

SCHEMA = 1
TOP = 20
NO_AUDIT = "audits are not available in this version: none was made"


def collect(
    run: Run, table: Statistics, notes: Mapping[str, Sequence[str]], build: Build
) -> dict[str, Any]:
    """Return what `results.json` says but for `ledger` and `timings`."""
    return {
        "schema": SCHEMA,
        "equipoise": equipoise.__version__,
        "study": {**run.plan.study["study"], "build": run.plan.study["variants"]["build"]},
        "people": run.plan.study["people"],
        "participants": {
            site: {**counts, "notes": list(notes.get(site, ()))}
            for site, counts in sorted(run.people.items())
        },
        "association": {
            "tested": int(np.count_nonzero(~np.isnan(table.beta))),
            "withheld": int(np.count_nonzero(~frequencies(run).used)),
            "top": _top(table),
        },
        "score": _score(run, table),
        "evaluation": _evaluation(run),
        "audit": _audit(run),
        "disclosure": asdict(disclosure(run.plan, build)),
    }


def frequencies(run: Run) -> Frequencies:
    """Return the public allele counts."""
    return run.results["frequency"]


def association_table(variants: Variants, run: Run) -> Statistics:
    """Return the scan of everybody, one row a variant of the public list."""
    found: Association = run.results["association"]
    counts = frequencies(run)
    beta, used = found.beta(0), counts.used
    return Statistics(
        chromosome=variants.chromosome,
        base_pair_location=variants.position,
        effect_allele=variants.effect_allele,
        other_allele=variants.other_allele,
        beta=beta,
        standard_error=found.standard_error(0),
        effect_allele_frequency=np.where(used, counts.frequency, np.nan),
        neg_log_10_p_value=neg_log_10_p(found.t(0), found.dof(0)),
        n=np.full(len(beta), int(found.people[0]), np.int64),
        status=np.where(used, np.where(np.isnan(beta), "collinear", "ok"), "withheld"),
    )


def neg_log_10_p(t: NDArray[np.float64], dof: int) -> NDArray[np.float64]:
    """Return -log10 of the two-sided p of a t statistic, right where p itself is 0.

    >>> round(float(neg_log_10_p(np.array([1.959963984540054]), 10**9)[0]), 6)
    1.30103
    """
    return 0.0 - (student_log_tail(np.abs(t), dof) + np.log(2.0)) / np.log(10.0)


def to_json(content: Mapping[str, Any]) -> str:
    """Return JSON with its keys in order and nothing that is no JSON."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _top(table: Statistics) -> list[dict[str, Any]]:
    p = np.nan_to_num(table.neg_log_10_p_value, nan=-1.0)
    order = np.argsort(-p, kind="stable")[:TOP]
    return [_row(table, int(i)) for i in order if p[i] >= 0]


def _row(table: Statistics, i: int) -> dict[str, Any]:
    numbers = ("beta", "standard_error", "effect_allele_frequency", "neg_log_10_p_value")
    return {
        "chromosome": str(table.chromosome[i]),
        "base_pair_location": int(table.base_pair_location[i]),
        "effect_allele": str(table.effect_allele[i]),
        "other_allele": str(table.other_allele[i]),
        **{name: _digits(getattr(table, name)[i]) for name in numbers},
    }


def _score(run: Run, table: Statistics) -> dict[str, Any]:
    weights: Weights = run.results["score"]
    variants = [
        {
            **{k: v for k, v in _row(table, int(i)).items() if k in _NAMES},
            "weight": _digits(weights.weights[0, column]),
        }
        for column, i in enumerate(weights.variants)
        if weights.weights[0, column] != 0
    ]
    per_fold = np.count_nonzero(weights.weights[1:], axis=1).tolist()
    return {"variants": variants, "variants_by_fold": per_fold}


_NAMES = ("chromosome", "base_pair_location", "effect_allele", "other_allele")


def _evaluation(run: Run) -> dict[str, Any]:
    found: AucResult = run.results["discrimination"]
    overall: dict[str, Any]
    if found.reason:
        overall = dict.fromkeys(("value", "low", "high", "bound"))
        overall |= {"n": found.n, "events": None, "reason": found.reason}
    else:
        numbers = {"value": found.auc, "low": found.low, "high": found.high, "bound": found.bound}
        overall = {name: _digits(number) for name, number in numbers.items()}
        overall |= {"n": found.n, "events": found.events}
    by_site = {
        site: {"auc": {k: v for k, v in figure["auc"].items() if k != "reason" or v is not None}}
        for site, figure in sorted(run.figures.get("discrimination", {}).items())
    }
    if any(figure["auc"]["value"] is None for figure in by_site.values()):
        # The events of all sites less those shown would give away the count withheld.
        overall["events"] = None
    return {"overall": {"auc": overall}, "by": {"site": by_site}}


def _audit(run: Run) -> dict[str, Any] | None:
    """Say of an audit that the study file asks for that none was made; None without one."""
    asked = run.plan.study["audit"]
    if asked is None:
        return None
    return {"groups": asked["groups"], "findings": None, "reason": NO_AUDIT}


def _digits(value: Any) -> float | None:
    """Return a number to nine significant digits, None where it is not one."""
    number = float(value)
    return None if np.isnan(number) else float(f"{number:.9g}")
