"""A study, its results and its scan, like the demo's, with every kind of withheld count."""

from typing import Any

import numpy as np

from equipoise.artefacts.gwas_ssf import Statistics

ROOT_HASH = "46603ad7ff1fad9ea51de3d4e77a9e1ea9373953376ecc003ecc7d9f9a98bc3a"
NOTES = ["ILLUSTRATIVE: no real consents are published with these data.", "Seed 20261101."]


def study() -> dict[str, Any]:
    """Return what `Study.public` gives for a study like the demo's."""
    head = {"id": "gstt1-null", "question": "Can the loss of GSTT1 be told?", "purpose": "HMB"}
    return {
        "study": {**head, "as_of": "2026-11-01", "seed": 20261101},
        "people": [{"name": "A. Analyst", "role": "analyst", "contact": "a@example.org"}],
        "trait": {"name": "GSTT1_null", "type": "binary"},
        "covariates": {"columns": ["sex"], "components": 0},
        "variants": {"build": "GRCh37"},
        "sites": [{"name": name, "external": False} for name in ("CEU", "FIN", "GBR", "TSI")],
        "protection": {"kind": "masked"},
        "validation": {"folds": 5, "hold_out_each_site": False, "reason": ""},
        "audit": None,
    }


def variant(position: int) -> dict[str, Any]:
    """Return where a variant lies and its alleles."""
    place = {"chromosome": "22", "base_pair_location": position}
    return {**place, "effect_allele": "T", "other_allele": "C"}


def association(position: int, p: float) -> dict[str, Any]:
    """Return a row of `association.top`."""
    effect = {"beta": 0.443648951, "standard_error": 0.0146164438}
    return {
        **variant(position),
        **effect,
        "effect_allele_frequency": 0.211111111,
        "neg_log_10_p_value": p,
    }


def auc(value: float | None, low: float = 0.9, high: float = 1.0, **more: Any) -> dict[str, Any]:
    """Return an AUC, or one that could not be estimated."""
    if value is None:
        none = dict.fromkeys(("value", "low", "high", "events"))
        return {**none, "n": 81, "reason": "fewer than 5 people with or without the trait", **more}
    return {"value": value, "low": low, "high": high, "n": 83, "events": 17, **more}


def participants() -> dict[str, Any]:
    """Return counts by site, as `published_counts` gives them, with notes."""
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
        }
        for name in refused
    }


def disclosure() -> dict[str, Any]:
    """Return what `asdict` makes of a `Disclosure`: tuples stay tuples."""
    names = ("step", "analysis", "rounds", "values", "over", "reads")
    releases = [
        ("census", "census", 1, 5, ("fold",), ()),
        ("frequency", "frequency", 1, 170970, (), ("genotype",)),
        ("association", "linear", 1, 1709740, ("fold",), ("GSTT1_null", "genotype", "sex")),
        ("discrimination", "discrimination", 1, 62, ("trait",), ("GSTT1_null", "score")),
    ]
    cells = [((), 1, 315), (("fold",), 5, 63), (("trait",), None, None)]
    return {
        "releases": tuple(dict(zip(names, row, strict=True)) for row in releases),
        "cells": tuple(dict(zip(("over", "number", "smallest"), c, strict=True)) for c in cells),
        "columns": (
            {"block": (0, 54), "used": 7, "allowed": 12},
            {"block": (54, 90), "used": 11, "allowed": 12},
        ),
        "figures": ("discrimination",),
    }


def results() -> dict[str, Any]:
    """Return the content of a `results.json` like the demo's, with every kind of withheld count."""
    top = [association(24367099 - 71 * i, 94.4005715 - 7 * i) for i in range(7)]
    weights = [{**variant(24367099), "weight": 0.13}, {**variant(24295427), "weight": -0.182163022}]
    overall = {"auc": auc(0.99345901, 0.962583136, 0.999548491, bound=0.00305246189)}
    sites = {name: {"auc": auc(0.98)} for name in ("CEU", "GBR", "TSI")} | {
        "FIN": {"auc": auc(None)}
    }
    return {
        "schema": 1,
        "equipoise": "0.1.0",
        "study": {**study()["study"], "build": "GRCh37"},
        "people": study()["people"],
        "participants": participants(),
        "association": {"tested": 600, "withheld": 0, "top": top},
        "score": {"variants": weights, "variants_by_fold": [2, 2, 3, 2, 2]},
        "evaluation": {"overall": overall, "by": {"site": sites}},
        "disclosure": disclosure(),
        "ledger": {"root": ROOT_HASH, "entries": 24},
        "timings": {"census": 0.1707, "total": 22.6482},
    }


def scan(n: int = 600, chromosomes: tuple[str, ...] = ("22",), seed: int = 1) -> Statistics:
    """Return a scan without signal but for three variants beyond the genome-wide line."""
    draw = np.random.default_rng(seed)
    p = -np.log10(draw.random(n))
    p[[n // 2, n // 2 + 1, n - 1]] = (94.4, 20.0, 7.4)
    code = np.arange(n) * len(chromosomes) // n
    start = np.searchsorted(code, code)
    position = (np.arange(n) - start) * 50_000 + 16_000_000
    return table(np.array(chromosomes)[code], position, p)


def table(chromosome: Any, position: Any, p: Any) -> Statistics:
    """Return statistics with the columns that the report reads."""
    n = len(p)
    real, text = np.full(n, 0.1), np.full(n, "A")
    fixed = {"effect_allele": text, "other_allele": text, "beta": real, "standard_error": real}
    return Statistics(
        chromosome=np.asarray(chromosome),
        base_pair_location=np.asarray(position, np.int64),
        effect_allele_frequency=real,
        neg_log_10_p_value=np.asarray(p, np.float64),
        n=np.full(n, 315),
        status=np.full(n, "ok"),
        **fixed,
    )


def untested() -> Statistics:
    """Return a scan in which no variant could be tested."""
    return table(["22"] * 3, [1, 2, 3], [np.nan] * 3)
