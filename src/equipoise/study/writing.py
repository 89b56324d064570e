"""What a run leaves: public artefacts, each in the ledger by its digest, and all checkpoints."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from equipoise.artefacts import gwas_ssf, scoring_file
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier import render as report
from equipoise.errors import IntegrityError
from equipoise.federation import registry
from equipoise.federation.identity import CENTRE
from equipoise.federation.run import Centre, Run
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.ledger.retraced import Retraced
from equipoise.plan import KEEPER
from equipoise.study import results
from equipoise.study.inputs import Inputs
from equipoise.study.records import Study
from equipoise.study.sections import noised
from equipoise.study.sections.association import table_of
from equipoise.study.sections.model import log_odds


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a run's files are, what `results.json` says, and the ledger's final root."""

    folder: Path
    results: Mapping[str, Any]
    root: str


def enter_parties(
    log: Log, keys: Mapping[str, bytes], keeper: Mapping[str, str] | None = None
) -> None:
    """Enter who takes part, as a run begins: the sites with their keys, and the key keeper.

    keys    signing keys of all parties, the centre's own and the keeper's among them
    keeper  its name and its signing_key (`agreement.keeper`)
    """
    names = sorted(set(keys) - {CENTRE, KEEPER})
    rows = [{"name": name, "public_key": keys[name].hex()} for name in names]
    log.append(Entry("sites", {"sites": rows}))
    if keeper:
        said = {"name": keeper["name"], "public_key": keeper["signing_key"]}
        log.append(Entry("keeper", said))


def write(inputs: Inputs, out: Path, done: Run, log: Log, began: float) -> dict[str, Any]:
    """Write the public artefacts, each into the ledger by its digest."""
    study, variants = inputs.study, inputs.variants
    table = noised.table_of(variants, done) if noised.is_noised(done) else table_of(variants, done)
    gwas_ssf.write(out / "association.tsv", table)
    _enter(out, "association.tsv", log)
    content = results.collect(done, variants, table, inputs.loaded, registry.build)
    if content["model"] is not None:
        _write_model(out / "model.txt", study, done, content, table)
        _enter(out, "model.txt", log)
    timings = {**done.timings, "total": perf_counter() - began}
    content["ledger"] = {"root": log.root.hex(), "entries": log.size}
    content["timings"] = {name: round(seconds, 4) for name, seconds in timings.items()}
    content = _written_before(out / "results.json", log) or content
    (out / "results.json").write_text(results.to_json(content), "utf-8")
    _enter(out, "results.json", log)
    (out / "dossier.html").write_text(report.render(study.public(), content, table), "utf-8")
    _enter(out, "dossier.html", log)
    return content


def _written_before(path: Path, log: Log) -> dict[str, Any] | None:
    """Return what a file says that was entered before a restart: its timings are of then."""
    due = log.due if isinstance(log, Retraced) else None
    if due is None or due.body.get("path") != path.name:
        return None
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != due.body["sha256"]:
        raise IntegrityError(f"{path} is not the file that the ledger has; begin again (--anew)")
    return json.loads(content)


def _write_model(
    path: Path, study: Study, done: Run, content: Mapping[str, Any], table: Statistics
) -> None:
    """Write the model of everybody as a scoring file."""
    nets, weights = done.results["model"], log_odds(done, 0)
    chosen = [
        scoring_file.ScoredVariant(
            str(table.chromosome[v]),
            int(table.base_pair_location[v]),
            str(table.effect_allele[v]),
            str(table.other_allele[v]),
            float(weight),
            float(table.effect_allele_frequency[v]),
        )
        for v, weight in zip(nets.variants.tolist(), weights.tolist(), strict=True)
        if weight != 0
    ]
    added = content["model"]["covariates"]
    notes = {
        "study": study.id,
        "log_odds": "intercept + sum of effect_weight * (dosage - 2 * allelefrequency_effect)"
        + (" + sum of covariate weight * (value - mean)" if added else ""),
        "intercept": f"{content['model']['calibration']['intercept']:.9g}",
        **{
            f"covariate_{row['name']}": f"weight {row['weight']:.9g}, mean {row['mean']:.9g}"
            for row in added
        },
    }
    scoring_file.write(
        path, chosen, name=study.id, trait=study.trait.name, build=study.variants.build, notes=notes
    )


def _enter(out: Path, name: str, log: Log) -> None:
    content = (out / name).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    log.append(Entry("artefact", {"path": name, "sha256": sha256, "bytes": len(content)}))


def close(centre: Centre, done: Run, log: Log) -> None:
    """End a run: every site's checkpoint goes into the centre's ledger, which is sealed."""
    for site, closed in sorted(centre.close(done).items()):
        body = {name: closed[name] for name in ("note", "root", "size")}
        log.append(Entry("checkpoint", {"site": site, **body}))
    log.append(Entry("closed", {"reason": "the plan has ended"}))
    log.seal()
