"""What a run found, as the content of `results.json`."""

import json
from collections.abc import Mapping
from typing import Any

import equipoise
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.federation.budget import Build
from equipoise.federation.load import Loaded
from equipoise.federation.run import Run
from equipoise.genotypes.variants import Variants
from equipoise.study.sections import (
    ancestry,
    association,
    disclosure,
    evaluation,
    model,
    noised,
    quality,
)

SCHEMA = 2


def collect(
    run: Run,
    variants: Variants,
    table: Statistics,
    loaded: Mapping[str, Loaded],
    build: Build,
) -> dict[str, Any]:
    """Return what `results.json` says but for `ledger` and `timings`."""
    if noised.is_noised(run):
        return _noised(run, table, loaded, build)
    components = ancestry.ancestry(run)
    dropped = [c["name"] for c in components["components"] if not c["kept"]] if components else []
    return {
        **_head(run, loaded),
        "quality": quality.quality(run, loaded),
        "ancestry": components,
        "association": association.association(run, table, dropped),
        "model": model.model(run, variants, table),
        "evaluation": evaluation.evaluation(run),
        "audit": evaluation.audit(run),
        "explanation": model.explanation(run, variants),
        "disclosure": disclosure.disclosure(run, build),
    }


def _noised(
    run: Run, table: Statistics, loaded: Mapping[str, Loaded], build: Build
) -> dict[str, Any]:
    """Return the same of a study under noise, which has a scan and no model."""
    nothing = dict.fromkeys(("model", "evaluation", "audit", "explanation"))
    return {
        **_head(run, loaded),
        "quality": quality.quality(run, loaded),
        "ancestry": None,
        "association": noised.association(run, table),
        **nothing,
        "disclosure": disclosure.disclosure(run, build),
    }


def _head(run: Run, loaded: Mapping[str, Loaded]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "equipoise": equipoise.__version__,
        "study": {**run.plan.study["study"], "build": run.plan.study["variants"]["build"]},
        "people": run.plan.study["people"],
        "participants": _participants(run, loaded),
    }


def to_json(content: Mapping[str, Any]) -> str:
    """Return JSON with its keys in order and nothing that is no JSON."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _participants(run: Run, loaded: Mapping[str, Loaded]) -> dict[str, Any]:
    external = {member.name for member in run.plan.members if member.external}
    return {
        site: {
            **counts,
            "notes": list(loaded[site].notes),
            "external": site in external,
            "lost_at": run.lost.get(site),
        }
        for site, counts in sorted(run.people.items())
    }
