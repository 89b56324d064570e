"""A study and its results (schema 2), like the demo's."""

from typing import Any

ROOT_HASH = "46603ad7ff1fad9ea51de3d4e77a9e1ea9373953376ecc003ecc7d9f9a98bc3a"
NOTES = ["ILLUSTRATIVE: no real consents are published with these data.", "Seed 20261101."]
SITES = ("CEU", "FIN", "GBR", "TSI")
FEW = "fewer than 5 people with or without the trait"
LOCUS = "22:24266954-24431203"


def study() -> dict[str, Any]:
    """Return what `Study.public` gives for a study like the demo's."""
    question = "Can the loss of both copies of the gene GSTT1 be told from common variants?"
    head = {"id": "gstt1-null", "question": question, "purpose": "HMB"}
    return {
        "study": {**head, "as_of": "2026-11-01", "seed": 20261101},
        "people": [
            {"name": "A. Analyst", "role": "analyst", "contact": "a@example.org"},
            {"name": "E. Committee", "role": "ethics committee", "contact": "e@example.org"},
        ],
        "trait": {"name": "GSTT1_null", "type": "binary"},
        "covariates": {"columns": ["sex"], "components": 4},
        "variants": {"build": "GRCh37"},
        "sites": [{"name": name, "external": False} for name in SITES],
        "protection": {"kind": "masked"},
        "validation": {"folds": 5, "hold_out_each_site": False, "reason": ""},
        "audit": {"groups": ["sex"], "margins": {"auc": 0.05}},
    }


def variant(position: int) -> dict[str, Any]:
    """Return where a variant lies and its alleles."""
    place = {"chromosome": "22", "base_pair_location": position}
    return {**place, "effect_allele": "T", "other_allele": "C"}


def association(position: int, p: float) -> dict[str, Any]:
    """Return a row of `association.top`."""
    effect = {"beta": 0.443648951, "standard_error": 0.0146164438}
    frequency = {"effect_allele_frequency": 0.211111111, "neg_log_10_p_value": p}
    return {**variant(position), **effect, **frequency}


def figure(value: float | None, reach: float = 0.1, **more: Any) -> dict[str, Any]:
    """Return a figure with its interval, or one that could not be estimated."""
    if value is None:
        return {**dict.fromkeys(("value", "low", "high")), "reason": FEW, **more}
    return {"value": value, "low": value - reach, "high": min(value + reach, 1.6), **more}


def auc(value: float | None, low: float = 0.9, high: float = 1.0, **more: Any) -> dict[str, Any]:
    """Return an AUC, or one that could not be estimated."""
    if value is None:
        return figure(None, n=81, events=None) | more
    return {"value": value, "low": low, "high": high, "n": 83, "events": 17, **more}


def participants() -> dict[str, Any]:
    """Return counts by site with every kind of withheld count, and notes."""
    refused: dict[str, Any] = {"CEU": {"other": 5, "withdrawn": 9}, "FIN": {"other": None}}
    refused |= {"GBR": {"other disease": 10}, "TSI": {}}
    recruited = {"CEU": 89, "FIN": None, "GBR": 86, "TSI": 83}
    admitted = {"CEU": 75, "FIN": 81, "GBR": 76, "TSI": 83}
    return {
        name: {
            "recruited": recruited[name],
            "admitted": admitted[name],
            "refused": refused[name],
            "notes": list(NOTES),
            "external": False,
        }
        for name in SITES
    }


def quality() -> dict[str, Any]:
    """Return what was removed, by variant and by site."""
    removed = {"call rate under 95 %": 0, "fewer than 10 minor alleles": 13, "Hardy-Weinberg": 2}
    site = {"matched": 615, "swapped": 3, "other_strand": 2, "palindromic_by_frequency": 1}
    site |= {"palindromic_dropped": 0, "absent": 4, "without_genotypes": 0}
    sites = {name: dict(site) for name in SITES}
    sites["FIN"]["without_genotypes"] = None
    return {
        "variants": {"listed": 615, "used": 600, "removed": removed},
        "hardy_weinberg": {
            "tested": 602,
            "failed": 2,
            "neg_log_10_p_limit": 6,
            "controls_by_stratum": [120, 80, 57],
            "tested_in": "controls within 3 ancestry strata",
        },
        "sites": sites,
        "call_rate_limit": 0.95,
        "minor_allele_limit": 10,
        "least_matched": 0.8,
    }


def ancestry() -> dict[str, Any]:
    """Return four components of which two are kept, and a map with hidden squares."""
    why = "not separated from the components that follow"
    values = (5.53, 4.61, 3.99, 3.71)
    counts = [
        [None, 14, 9, None, 0],
        [None, 37, 28, 8, 0],
        [0, 22, 41, 33, None],
        [0, 6, 38, 52, 7],
    ]
    counts.append([0, None, 5, 9, None])
    means = {"CEU": (0.4, 0.3), "FIN": (-1.4, 0.2), "GBR": (0.5, 0.5), "TSI": (0.6, -1.2)}
    return {
        "asked": 4,
        "kept": 2,
        "pruned_variants": 2215,
        "by_distance": False,
        "rounds": 5,
        "components": [
            {
                "name": f"PC{i + 1}",
                "eigenvalue": v,
                "kept": i < 2,
                "reason": "" if i < 2 else why,
            }
            for i, v in enumerate(values)
        ],
        "map": {"edges": [-4.0, -2.4, -0.8, 0.8, 2.4, 4.0], "counts": counts},
        "sites": {
            name: {"PC1": {"mean": a, "sd": 0.6}, "PC2": {"mean": b, "sd": 0.5}}
            for name, (a, b) in means.items()
        },
    }


def model(loci: int = 1, variants: int = 23) -> dict[str, Any]:
    """Return a model of so many variants in so many regions."""
    pair = {"l1": 0.3, "l2": 0.1}
    weights = [0.9 * (-0.85) ** i for i in range(variants)]
    names = [LOCUS, *(f"22:{30_000_000 + 10**6 * i}-{30_200_000 + 10**6 * i}" for i in range(loci))]
    return {
        "kind": "elastic net over summed statistics",
        "neg_log_10_p_limit": 7.3,
        "columns_per_window": 9,
        "penalties": [{"l1": 0.1 * i, "l2": 0.1} for i in range(1, 11)],
        "chosen": {**pair, "tuned_r2": 0.69},
        "chosen_by_fold": [{**pair, "tuned_r2": 0.68}] * 5,
        "uses_covariates": False,
        "variants": [{**variant(24_367_099 - 71 * i), "weight": w} for i, w in enumerate(weights)],
        "variants_by_fold": [variants, variants, variants + 1, variants, variants],
        "calibration": {"intercept": -2.1, "slope": 1.04, "rounds": 6, "converged": True},
        "loci": names[:loci],
        "best_single_variant": variant(24_367_099),
    }


def evaluation() -> dict[str, Any]:
    """Return figures, with one site at which nothing is estimable."""
    overall = {
        "auc": auc(0.99345901, 0.962583136, 0.999548491, bound=0.00305246189, n=315, events=58),
        "o_e": figure(0.98, 0.2),
        "brier": {"value": 0.0312, "scaled": 0.79},
        "calibration_slope": figure(1.05, 0.3),
        "calibration_intercept": figure(-0.02, 0.3),
        "roc": [[0, 0], [0.0, 0.78], [0.02, 0.93], [0.05, 0.98], [0.21, 1.0], [1, 1]],
        "calibration": [
            {"n": 210, "events": 0, "predicted": 0.01, "observed": 0.0},
            {"n": 34, "events": None, "predicted": 0.08, "observed": None},
            {"n": 31, "events": 12, "predicted": 0.36, "observed": 0.387},
            {"n": 40, "events": 40, "predicted": 0.95, "observed": 1.0},
        ],
    }
    sites: dict[str, Any] = {
        name: {
            "auc": auc(None if name == "FIN" else 0.98),
            "o_e": figure(None if name == "FIN" else 1.1, 0.4),
            "brier": figure(0.04, 0.01),
            "calibration_slope": figure(None if name in ("FIN", "GBR") else 0.9, 0.5),
            "external": False,
        }
        for name in SITES
    }
    single = {"overall": {"auc": auc(0.981, 0.951, 0.993, n=315, events=58)}}
    by = {"site": {name: {"auc": auc(None if name == "FIN" else 0.97)} for name in SITES}}
    return {
        "design": "folds over people",
        "folds": 5,
        "overall": overall,
        "best_single_variant": {**single, "by": by},
        "by": {"site": sites},
    }


def finding(
    group: str, metric: str, verdict: str, gap: float | None, reach: float
) -> dict[str, Any]:
    """Return a finding of the audit; without a gap it is not estimable."""
    if gap is None:
        none = dict.fromkeys(("value", "gap", "low", "high", "minimum_detectable_gap"))
        return {"group": group, "metric": metric, **none, "verdict": verdict, "reason": FEW}
    ends = {"low": gap - reach, "high": gap + reach, "minimum_detectable_gap": 1.4 * reach}
    head = {"group": group, "metric": metric, "value": 0.97, "gap": gap}
    return {**head, **ends, "verdict": verdict, "reason": ""}


def audit(sites: tuple[str, ...] = SITES) -> dict[str, Any]:
    """Return findings with every verdict."""
    groups = [*(f"site={site}" for site in sites), "sex=female", "sex=male"]
    groups += [f"site={site}, sex={sex}" for site in sites[:2] for sex in ("female", "male")]
    kinds = [
        ("inconclusive", 0.02, 0.09),
        ("not estimable", None, 0.0),
        ("equivalence shown", -0.005, 0.03),
        ("gap shown", -0.21, 0.12),
    ]
    findings = [
        finding(group, metric, *kinds[(i + j) % 4])
        for j, metric in enumerate(("auc", "o_e", "calibration_slope"))
        for i, group in enumerate(groups)
    ]
    return {
        "groups": ["sex"],
        "margins": {"auc": 0.05, "o_e": 0.2, "calibration_slope": 0.2},
        "reference": "everybody else",
        "comparisons": len(findings),
        "findings": findings,
    }


def explanation(loci: int = 1) -> dict[str, Any]:
    """Return contributions of so many regions, and of the background."""
    names = model(loci)["loci"]
    parts = [
        {"part": name, "kind": "locus", "variants": 23, "predicted_with": 3.1 / (i + 1)}
        | {"predicted_without": 1.2 / (i + 1), "share_with": 0.93 / (i + 1), "share_without": 0.9}
        for i, name in enumerate(names)
    ]
    none = dict.fromkeys(("predicted_without", "share_without"))
    rest = {"part": "background", "kind": "background", "variants": 0, "predicted_with": 0.2}
    parts.append({**rest, "share_with": 0.07, **none})
    people = {"predicted_with": 52, "predicted_without": 263}
    return {"scale": "log-odds", "people": people, "apart": True, "parts": parts}


def disclosure() -> dict[str, Any]:
    """Return what left the sites."""
    names = ("step", "analysis", "rounds", "values", "over", "reads")
    releases = [
        ("census", "census", 1, 5, ["fold"], []),
        ("frequency", "frequency", 1, 170970, [], ["genotype"]),
        ("association", "linear", 1, 1709740, ["fold"], ["GSTT1_null", "genotype", "sex"]),
        ("performance", "performance", 2, 62, ["trait"], ["GSTT1_null", "score"]),
    ]
    cells = [([], 1, 315), (["fold"], 5, 63), (["trait"], None, None)]
    sets = [
        ("cases of the smallest fold", 9, 1.0, 0.9999, 1.0),
        ("everybody", 315, 0.52, 0.08, 0.87),
    ]
    keys = ("set", "people", "power_5", "power_01", "auc")
    return {
        "releases": [dict(zip(names, row, strict=True)) for row in releases],
        "cells": [dict(zip(("over", "number", "smallest"), c, strict=True)) for c in cells],
        "columns": [
            {"block": [54, 90], "over": ["fold"], "used": 11, "allowed": 12, "blocks": 352},
            {"block": [0, 600], "over": [], "used": 41, "allowed": 46, "blocks": 389},
        ],
        "figures": ["performance"],
        "sites_derivable": False,
        "reason": "",
        "membership": {
            "sets": [dict(zip(keys, row, strict=True)) for row in sets],
            "effective_variants": 900,
            "note": "at least: counted among those that pruning keeps",
        },
    }


def results() -> dict[str, Any]:
    """Return the content of a `results.json` like the demo's, with every kind of withheld count."""
    return {
        "schema": 2,
        "equipoise": "0.1.0",
        "study": {**study()["study"], "build": "GRCh37"},
        "people": study()["people"],
        "participants": participants(),
        "quality": quality(),
        "ancestry": ancestry(),
        "association": {
            "tested": 600,
            "withheld": 0,
            "covariates": ["sex", "PC1", "PC2"],
            "left_out": ["PC3", "PC4"],
            "lambda_gc": 1.02,
            "top": [association(24367099 - 71 * i, 94.4005715 - 7 * i) for i in range(12)],
        },
        "model": model(),
        "evaluation": evaluation(),
        "audit": audit(),
        "explanation": explanation(),
        "disclosure": disclosure(),
        "ledger": {"root": ROOT_HASH, "entries": 24},
        "timings": {"census": 0.1707, "total": 22.6482},
    }
