"""A study from its file to its folder: sites in this process, each with its own keys."""

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from equipoise.artefacts import gwas_ssf, scoring_file
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier import render as report
from equipoise.errors import (
    FaultError,
    InputError,
    Problem,
    ProtocolError,
    RefusedError,
)
from equipoise.federation import registry
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.load import Files, Loaded, load
from equipoise.federation.people import People
from equipoise.federation.roster import Register
from equipoise.federation.run import Centre, Progress, Run
from equipoise.federation.site import Site
from equipoise.genotypes import variants as variant_list
from equipoise.genotypes.variants import Variants
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.plan import Plan
from equipoise.study import file, folders, results
from equipoise.study.compile import ROSTER_K, K, compile_plan, public_study
from equipoise.study.records import SiteFiles, Study
from equipoise.study.sections.association import table_of
from equipoise.study.sections.model import log_odds
from equipoise.transports.local import Handle, LocalTransport


@dataclass(frozen=True, slots=True)
class Inputs:
    """A study file, the public list of variants, and what every site has loaded."""

    study: Study
    variants: Variants
    loaded: Mapping[str, Loaded]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a run's files are, what `results.json` says, and the ledger's final root."""

    folder: Path
    results: Mapping[str, Any]
    root: str


def read_inputs(path: Path) -> Inputs:
    """Read a study file and all it names; InputError with every problem of every file."""
    study = file.read(path)
    problems: list[Problem] = []
    listed = None
    try:
        listed = variant_list.read(study.variants.list)
    except InputError as error:
        problems += _problems(study.variants.list, error)
    loaded: dict[str, Loaded] = {}
    for site in study.sites:
        try:
            loaded[site.name] = _load(study, site, listed)
        except InputError as error:
            problems += _problems(site.genotypes.parent, error)
    if listed is None or len(loaded) < len(study.sites):
        raise InputError(problems)
    return Inputs(study, listed, loaded)


def run(
    path: Path, out: Path, homes: Path | None = None, progress: Progress | None = None
) -> Outcome:
    """Run the study of a study file and write its folder, whole or not at all.

    `homes` holds a private folder for each site (its signing key and its register of
    rosters) that is meant to outlive the run; without it they are made for this run
    and erased. A run that a site refuses leaves its ledgers in a folder beside `out`.
    """
    began = perf_counter()
    target = folders.free(out)
    inputs = read_inputs(path)
    # All that a run writes before it has ended lies in here, whatever breaks it off.
    work = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    unfinished = work / "out"
    try:
        folders.new(work)
        unfinished.mkdir()
        outcome = _run(inputs, work, folders.homes(homes, work), progress, began)
        unfinished.replace(target)
    except RefusedError as error:
        kept = folders.keep_refusal(unfinished, target)
        error.args = (f"{error}\nThe ledgers of the refused run are in {kept}.",)
        raise
    except FaultError as error:
        error.args = (f"{error}{folders.full(target.parent)}",)
        raise
    finally:
        try:
            shutil.rmtree(work, ignore_errors=True)
        except KeyboardInterrupt:
            # Polars raises one of its own for a signal that Python then raises again here.
            shutil.rmtree(work, ignore_errors=True)
            raise
    return Outcome(out, outcome.results, outcome.root)


def _problems(path: Path, error: InputError) -> Sequence[Problem]:
    said = [Problem(str(path), None, str(error), "none", "mend it")] if str(error) else []
    return error.problems or said


def _load(study: Study, site: SiteFiles, listed: Variants | None) -> Loaded:
    files = Files(site.genotypes, site.phenotypes, site.consents)
    return load(
        files,
        listed,
        trait=study.trait.name,
        covariates=study.covariates.columns,
        groups=study.audit.groups if study.audit else (),
        purpose=study.purpose,
        as_of=study.as_of,
    )


def _run(
    inputs: Inputs, work: Path, homes: Path, progress: Progress | None, began: float
) -> Outcome:
    out, study = work / "out", inputs.study
    names = sorted(inputs.loaded)
    identities = {name: Identity.at(homes / name, name) for name in [*names, CENTRE]}
    peers = Peers({name: identity.signing_key for name, identity in identities.items()})
    broken: list[Exception] = []
    with ExitStack() as stack:
        logs = {n: stack.enter_context(_log(out, study.id, i)) for n, i in identities.items()}
        log = logs[CENTRE]
        sites = [{"name": n, "public_key": peers.keys[n].hex()} for n in names]
        log.append(Entry("sites", {"sites": sites}))
        handles: dict[str, Handle] = {}
        for name in names:
            journal = Journal(work / "journals" / name)
            desk = _desk(inputs, identities[name], peers, journal, logs[name])
            site = Site(_people(inputs, name, homes / name), desk, out / "sites" / name)
            handles[name] = _kept(site.handle, broken)
        transport = LocalTransport(handles)
        stack.callback(transport.close)
        compiled = partial(compile_plan, study, inputs.variants)
        centre = Centre(identities[CENTRE], peers, transport, log, compiled, {}, progress)
        try:
            done = centre.run(public_study(study), inputs.variants.digest().hex())
            outcome = write(inputs, out, done, log, began)
            close(centre, done, log)
        except Exception:  # where a site broke, that is the cause, and this what came of it
            if broken:
                raise broken[0] from None
            raise
        return Outcome(out, outcome, log.root.hex())


def _desk(inputs: Inputs, identity: Identity, peers: Peers, journal: Journal, ledger: Log) -> Desk:
    """Return a site's desk, with a steward who approves what the study file comes to."""
    study, variants = inputs.study, inputs.variants

    def approve(plan: Plan) -> None:
        if compile_plan(study, variants, plan.members).digest() != plan.digest():
            raise ProtocolError("the plan is not the one that follows from the study file")

    return Desk(
        identity=identity,
        peers=peers,
        study=public_study(study),
        variants=variants.digest().hex(),
        publics={},
        approve=approve,
        journal=journal,
        ledger=ledger,
    )


def _people(inputs: Inputs, name: str, home: Path) -> People:
    study = inputs.study
    return People(
        inputs.loaded[name].dataset,
        Register(home, ROSTER_K),
        study.seed,
        study.validation.folds,
        K,
        ROSTER_K,
        variants=inputs.variants,
    )


def _kept(handle: Handle, broken: list[Exception]) -> Handle:
    """Return a handle that ends its answer where the site breaks, and keeps what broke it.

    It is called in the site's thread, from which nothing can be raised to the centre.
    """

    def answer(stream: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from handle(stream)
        except Exception as error:  # raised again by `_run`
            broken.append(error)

    return answer


def _log(out: Path, study: str, identity: Identity) -> Log:
    own = out if identity.name == CENTRE else out / "sites" / identity.name
    return Log.create(own / "ledger", f"equipoise/{study}/{identity.name}", identity.signing)


def write(inputs: Inputs, out: Path, done: Run, log: Log, began: float) -> dict[str, Any]:
    """Write the public artefacts, each into the ledger by its digest."""
    study, variants = inputs.study, inputs.variants
    table = table_of(variants, done)
    gwas_ssf.write(out / "association.tsv", table)
    _enter(out, "association.tsv", log)
    content = results.collect(done, variants, table, inputs.loaded, registry.build)
    _write_model(out / "model.txt", study, done, content, table)
    _enter(out, "model.txt", log)
    timings = {**done.timings, "total": perf_counter() - began}
    content["ledger"] = {"root": log.root.hex(), "entries": log.size}
    content["timings"] = {name: round(seconds, 4) for name, seconds in timings.items()}
    (out / "results.json").write_text(results.to_json(content), "utf-8")
    _enter(out, "results.json", log)
    (out / "dossier.html").write_text(report.render(study.public(), content, table), "utf-8")
    _enter(out, "dossier.html", log)
    return content


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
