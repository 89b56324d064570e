"""What `equipoise train` writes: the models, a scoring file for each group, accuracy, a page."""

import csv
import io
import json
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

import numpy as np

import equipoise
from equipoise.artefacts.files import write_whole
from equipoise.dossier import training_report
from equipoise.solvers.accuracy import Accuracy, liability_r2
from equipoise.solvers.risk_baselines import METHODS
from equipoise.solvers.risk_paths import Convergence
from equipoise.tools import network_files
from equipoise.tools.model_files import save, write_score
from equipoise.tools.quality_files import refuse_full
from equipoise.tools.train import Trained
from equipoise.tools.train_model import Built
from equipoise.tools.train_network import Network

LEAST_SHOWN: Final = 5


def write(
    folder: Path,
    trained: Trained,
    built: Built,
    notes: tuple[str, ...] = (),
    network: Network | None = None,
) -> dict[str, Any]:
    """Write the folder whole or not at all, and return the content of its `training.json`.

    InputError where the folder is there already and holds anything.
    """
    refuse_full(folder)
    content = summary(trained, built, notes, network)
    partial = folder.with_name(folder.name + ".partial")
    rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save(partial / "model", built.model)
        for group in trained.groups:
            write_score(partial / f"weights.{_plain(group)}.txt", built.model, group)
        if network:
            own = network_files.model_of(trained, network, built.model.build)
            network_files.save(partial / network_files.NAME, own)
            told = json.dumps(content["network"], indent=1)
            write_whole(partial / "network.json", [told + "\n"])
        write_whole(partial / "accuracy.tsv", [_table(content)])
        write_whole(partial / "training.json", [json.dumps(content, indent=1) + "\n"])
        write_whole(partial / "report.html", [training_report.render(content)])
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        rmtree(partial, ignore_errors=True)
        raise
    return content


def summary(
    trained: Trained, built: Built, notes: tuple[str, ...], network: Network | None = None
) -> dict[str, Any]:
    """Return what there is to say of a training, for JSON."""
    request, form = trained.request, trained.form
    several = len(trained.sites.sites) > 1
    return {
        "equipoise": equipoise.__version__,
        "trait": request.trait,
        "kind": built.model.kind,
        "notes": list(notes),
        "people": {
            site.name: {
                group: _shown(int(n), several) for group, n in zip(trained.groups, row, strict=True)
            }
            for site, row in zip(trained.sites.sites, trained.counts.tolist(), strict=True)
        },
        "matching": {
            site.name: dict(people.counts)
            for site, people in zip(trained.sites.sites, trained.people, strict=True)
        },
        "shares": {
            "training": 1 - (form.tuning + form.test) / form.folds,
            "tuning": form.tuning / form.folds,
            "test": form.test / form.folds,
        },
        "variants": {
            "listed": trained.sites.n_variants,
            "used": int(np.count_nonzero(trained.known["frequency"].used)),
            "blocks": len(form.starts) - 1,
        },
        "covariates": list(trained.columns.covariates),
        "dropped_covariates": list(trained.columns.dropped),
        "groups": [_group(trained, built, s) for s in range(len(trained.groups))],
        "accuracy": {
            METHODS[method]: {
                group: _accuracy(one) for group, one in zip(trained.groups, found, strict=True)
            }
            for method, found in trained.accuracy.items()
        },
        "convergence": _convergence(trained),
        "sites": {
            name: {"intercept": own.intercept, "slope": own.slope, "reason": own.reason}
            for name, own in built.model.sites.items()
        },
        "adjustment": _adjustment(trained, built),
        "network": network_files.summary(network) if network else None,
        **trained.summary,
    }


def _group(trained: Trained, built: Built, s: int) -> dict[str, Any]:
    known, calibration = trained.known, built.model.calibrations[s]
    ended = known["refined_stack"]
    own = trained.accuracy["own"][s]
    stacked = trained.accuracy["stacked"][s]
    said: dict[str, Any] = {
        "name": trained.groups[s],
        "people": int(trained.counts[:, s].sum()),
        "variants": int(np.count_nonzero(trained.weights[s])),
        "stacked": bool(ended.stacked[s]),
        "ridge": float(ended.ridge[s]),
        "tuning_r2": round(float(ended.r2[s]), 6),
        "tuning_own_r2": round(float(ended.own_r2[s]), 6),
        "worse_than_own": None if own is None or stacked is None else stacked.r2 < own.r2,
        "columns_told": int(known["linkage"].told[s]),
        "columns_allowed": int(known["linkage"].allowed[s]),
        "intercept": calibration.intercept,
        "slope": calibration.slope,
        "reason": calibration.reason,
        "calibrated_on": calibration.people,
    }
    match = known["linkage.held"].matches.get(s)
    said["reference"] = match and {
        "fits": match.fits,
        "compared": match.compared,
        "absent": match.absent,
        "frequency_correlation": round(match.frequency_correlation, 4),
        "inconsistency": round(match.inconsistency, 4),
        "swapped": len(match.swapped),
    }
    if trained.request.binary:
        (moments,) = known["tested"].of(s)
        said |= _liability(trained, s, moments.people)
    return said


def _liability(trained: Trained, s: int, people: float) -> dict[str, Any]:
    """Return R^2 on the scale of the liability, at the share of cases found in the group."""
    one = trained.accuracy["stacked"][s]
    columns = trained.known["linkage"]
    cases = float(columns.cy[s, 0] / columns.people[s]) if columns.people[s] else 0.0
    if one is None or not 0 < cases < 1 or not people:
        return {"liability_r2": None}
    return {"liability_r2": round(liability_r2(one.r2, cases, cases), 6)}


def _accuracy(one: Accuracy | None) -> dict[str, Any]:
    if one is None:
        return {"value": None, "low": None, "high": None, "reason": "too few people tested"}
    return {
        "value": round(one.r2, 6),
        "low": round(one.low, 6),
        "high": round(one.high, 6),
        "people": one.people,
    }


def _convergence(trained: Trained) -> dict[str, Any]:
    ended: list[Convergence] = []
    for prefix in ("", "refined_"):
        fits = trained.known[f"{prefix}singles.held"]
        ended += [path.convergence for path in (*fits.paths.values(), fits.shared)]
        ended.append(trained.known[f"{prefix}joint.held"].fits.joint.convergence)
    return {
        "points": sum(len(one.reached) for one in ended),
        "not_converged": sum(int(np.count_nonzero(~one.reached)) for one in ended),
        "most_sweeps": max(int(one.sweeps.max()) for one in ended),
        "worst_residual": max(float(one.residual.max()) for one in ended),
    }


def _adjustment(trained: Trained, built: Built) -> dict[str, Any] | None:
    found = built.adjustment
    if found is None:
        return None
    shown = found.open.astype(bool)
    return {
        "components": found.components.split("\t"),
        "groups": {
            group: {
                "people": int(found.counts[s, 0]),
                "high_before": int(found.high[s, 0]),
                "high_after": int(found.high[s, 1]),
                "r2_before": round(float(found.r2[s, 0]), 6),
                "r2_after": round(float(found.r2[s, 1]), 6),
            }
            for s, group in enumerate(trained.groups)
            if shown[s]
        },
    }


def _table(content: dict[str, Any]) -> str:
    """Return accuracy as a table, a row for each method and group."""
    text = io.StringIO()
    rows = csv.writer(text, delimiter="\t", lineterminator="\n")
    rows.writerow(["method", "group", "people", "r2", "low", "high"])
    for method, by_group in content["accuracy"].items():
        for group, one in by_group.items():
            cells = [one.get("people"), one["value"], one["low"], one["high"]]
            rows.writerow([method, group, *("NA" if cell is None else cell for cell in cells)])
    return text.getvalue()


def _shown(count: int, several: bool) -> int | str:
    return f"<{LEAST_SHOWN}" if several and 0 < count < LEAST_SHOWN else count


def _plain(group: str) -> str:
    """Return a group's name as part of a file's."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in group)
