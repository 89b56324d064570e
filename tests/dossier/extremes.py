"""Results as they are at their most extreme: each has a whole dossier."""

from copy import deepcopy
from typing import Any

from dossier.fakes import (
    SITES,
    auc,
    audit,
    explanation,
    figure,
    finding,
    model,
    results,
)


def nothing_estimable() -> dict[str, Any]:
    """Return a run in which no figure could be given, and no variant chosen."""
    found = results()
    found["association"] |= {"tested": 0, "withheld": 600, "lambda_gc": None, "top": []}
    found["association"] |= {"covariates": [], "left_out": []}
    found["model"] = model(0, 0) | {"chosen": None, "chosen_by_fold": [None] * 5}
    found["model"] |= {"best_single_variant": None, "variants_by_fold": [0] * 5}
    found["model"]["calibration"] = dict.fromkeys(("intercept", "slope")) | {
        "rounds": 8,
        "converged": False,
    }
    none: dict[str, Any] = {name: figure(None) for name in ("o_e", "calibration_slope")}
    none |= {"auc": auc(None, bound=None), "brier": {"value": None, "scaled": None}}
    overall = {**none, "calibration_intercept": figure(None), "roc": [], "calibration": []}
    by = {"site": {name: {**deepcopy(none), "external": False} for name in SITES}}
    single = {"overall": {"auc": auc(None)}, "by": {"site": {n: {"auc": auc(None)} for n in SITES}}}
    found["evaluation"] |= {"overall": overall, "by": by, "best_single_variant": single}
    found["audit"]["findings"] = [
        finding(f["group"], f["metric"], "not estimable", None, 0) for f in audit()["findings"]
    ]
    found["explanation"]["parts"] = []
    found["explanation"]["people"] = {"predicted_with": None, "predicted_without": None}
    found["disclosure"] |= {"columns": [], "figures": []}
    found["disclosure"]["membership"] = {"sets": [], "effective_variants": 1, "note": ""}
    return found


def no_components() -> dict[str, Any]:
    """Return a run that asked for components and kept none."""
    found = results()
    for row in found["ancestry"]["components"]:
        row |= {"kept": False, "reason": "not separated"}
    found["ancestry"] |= {"kept": 0, "map": None, "sites": {}}
    return found


def no_audit() -> dict[str, Any]:
    """Return a run without ancestry and audit."""
    return results() | {"audit": None, "ancestry": None}


def sites(names: tuple[str, ...]) -> dict[str, Any]:
    """Return a run over these sites, the last of them external if there are more than two."""
    found = results()
    for key, rows in (
        ("participants", found["participants"]),
        ("quality", found["quality"]["sites"]),
        ("ancestry", found["ancestry"]["sites"]),
        ("evaluation", found["evaluation"]["by"]["site"]),
        ("single", found["evaluation"]["best_single_variant"]["by"]["site"]),
    ):
        kinds = list(rows.values())
        more = {name: deepcopy(kinds[i % len(kinds)]) for i, name in enumerate(names)}
        if len(names) > 2 and key in ("participants", "evaluation"):
            more[names[-1]]["external"] = True
        rows.clear()
        rows.update(more)
    found["audit"] = audit(names)
    return found


def twenty_sites() -> dict[str, Any]:
    """Return a run over twenty sites with long names."""
    name = "Universitätsklinikum-Hospital-of-the-Holy-Ghost-and-Saint-Elizabeth {:02d} (north wing)"
    return sites(tuple(name.format(i) for i in range(20)))


def forty_loci() -> dict[str, Any]:
    """Return a run whose model has 200 variants in 40 regions, with each site held out in turn."""
    found = results()
    found["model"], found["explanation"] = model(40, 200), explanation(40)
    found["evaluation"]["design"] = "each site held out in turn"
    found["disclosure"] |= {"sites_derivable": True, "reason": "to see how it does elsewhere"}
    return found


def nulls() -> dict[str, Any]:
    """Return a run with null wherever the schema allows it."""
    found = results()
    for counts in found["participants"].values():
        counts |= {"recruited": None, "refused": {"other": None}}
    for counts in found["quality"]["sites"].values():
        counts["without_genotypes"] = None
    found["ancestry"]["map"]["counts"] = [[None] * 5 for _ in range(5)]
    found["model"] |= {"chosen": None, "chosen_by_fold": [None] * 5, "best_single_variant": None}
    for row in found["evaluation"]["overall"]["calibration"]:
        row |= {"events": None, "observed": None}
    found["evaluation"]["overall"]["auc"]["events"] = None
    for part in found["explanation"]["parts"]:
        part.update(
            dict.fromkeys(("predicted_with", "predicted_without", "share_with", "share_without"))
        )
    for row in found["audit"]["findings"]:
        row |= {"low": None, "high": None, "minimum_detectable_gap": None}
    return found


EXTREMES = {
    "nothing estimable": nothing_estimable,
    "no components": no_components,
    "no audit": no_audit,
    "one site": lambda: sites(("Alone",)),
    "twenty sites": twenty_sites,
    "forty loci": forty_loci,
    "nulls": nulls,
}
