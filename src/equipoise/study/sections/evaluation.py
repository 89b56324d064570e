"""How good the model is, out of fold: over all sites, at each, and beside one variant alone."""

from collections.abc import Mapping
from typing import Any

from equipoise.analyses.performance import PerformanceResult
from equipoise.analyses.recalibration import RecalibrationResult
from equipoise.fairness import findings as audits
from equipoise.fairness import metrics
from equipoise.federation.run import Run
from equipoise.study.sections.numbers import digits

SITE_METRICS = ("auc", "o_e", "brier", "calibration_slope")


def evaluation(run: Run) -> dict[str, Any]:
    """Return the section `evaluation`."""
    found: PerformanceResult = run.results["performance"]
    refit: RecalibrationResult = run.results["recalibration"]
    single: PerformanceResult = run.results["single"]
    external = {member.name for member in run.plan.members if member.external}
    hidden = _hidden(run)
    sites = _shown(_judged(run), hidden)
    alone = _shown(audits.by_site({"single": run.figures.get("single", {})}), hidden)
    overall = {name: _rounded(row) for name, row in metrics.measures(found, refit, 0).items()}
    overall["brier"]["scaled"] = overall.pop("scaled_brier")["value"]
    by_site = {site: _site(figures, SITE_METRICS) for site, figures in sites.items()}
    held_out = run.plan.fold_by == "site"
    return {
        "design": "each site held out in turn" if held_out else "folds over people",
        "folds": run.plan.folds,
        "overall": {
            **overall,
            "roc": [
                [digits(p["false_positive_rate"]), digits(p["true_positive_rate"])]
                for p in metrics.roc(found, refit)
            ],
            "calibration": [_bin(b) for b in metrics.calibration_table(found, refit)],
        },
        "by": {"site": {s: {**f, "external": s in external} for s, f in by_site.items()}},
        "best_single_variant": {
            "overall": {"auc": _rounded(metrics.discrimination(single, 0))},
            "by": {"site": {site: _site(figures, ("auc",)) for site, figures in alone.items()}},
        },
    }


def audit(run: Run) -> dict[str, Any] | None:
    """Return the section `audit`, None where the study asks for none."""
    asked = run.plan.study["audit"]
    if asked is None:
        return None
    found: PerformanceResult = run.results["performance"]
    refit: RecalibrationResult = run.results["recalibration"]
    sites = _shown(_judged(run), _hidden(run))
    made = audits.findings(found, refit, sites, asked["margins"])
    numbers = ("value", "gap", "low", "high", "minimum_detectable_gap", "adjusted_p")
    return {
        "groups": asked["groups"],
        "margins": asked["margins"],
        "reference": "everybody else",
        "comparisons": audits.comparisons(made),
        "findings": [{**f, **{name: digits(f[name]) for name in numbers}} for f in made],
    }


def _judged(run: Run) -> dict[str, dict[str, Any]]:
    """Return the figures of each site about the model."""
    return audits.by_site({s: run.figures.get(s, {}) for s in ("performance", "recalibration")})


def _hidden(run: Run) -> str | None:
    """Return the site whose figures are withheld for the sake of another's, None for none.

    Cases of all sites less those shown would give the cases of a site away that has too
    few; and intervals tell cases nearly as well as counts. So one more site shows nothing:
    that with the most cases, of which the others' tell least.
    """
    external = {member.name for member in run.plan.members if member.external}
    own = run.figures.get("performance", {})
    events = {site: own[site]["auc"]["events"] for site in sorted(own) if site not in external}
    shown = {site: count for site, count in events.items() if count is not None}
    if len(shown) in (0, len(events)):
        return None
    return max(shown, key=lambda site: shown[site])


WITHHELD = "withheld: it would give away how many people of another site have the trait"


def _shown(
    figures: Mapping[str, Mapping[str, Any]], hidden: str | None
) -> dict[str, Mapping[str, Any]]:
    """Return the figures by site, those of the hidden site empty but for its people."""
    if hidden is None or hidden not in figures:
        return dict(figures)
    blank = {"value": None, "low": None, "high": None, "events": None, "reason": WITHHELD}
    empty = {name: {**figure, **blank} for name, figure in figures[hidden].items()}
    return {**figures, hidden: empty}


def _site(figures: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    """Return a site's figures of all its people, by metric."""
    return {
        name: {key: figures[name][key] for key in ("value", "low", "high", "n", "events", "reason")}
        for name in names
        if name in figures
    }


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    whole = ("n", "events", "reason")
    return {name: value if name in whole else digits(value) for name, value in row.items()}


def _bin(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "n": found["n"],
        "events": found["events"],
        "predicted": digits(found["mean_predicted"]),
        "observed": digits(found["observed"]),
    }
