"""A study from its file to its folder: sites in this process, each with its own keys."""

import hashlib
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from equipoise.artefacts import gwas_ssf
from equipoise.dossier import report
from equipoise.errors import InputError, ProtocolError, RefusedError
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
from equipoise.plan import Member, Plan
from equipoise.study import file, results
from equipoise.study.compile import ROSTER_K, K, compile_plan, public_study
from equipoise.study.records import SiteFiles, Study
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
    problems: list[Any] = []
    listed = None
    try:
        listed = variant_list.read(study.variants.list)
    except InputError as error:
        problems += error.problems
    loaded: dict[str, Loaded] = {}
    for site in study.sites:
        if listed is not None:
            try:
                loaded[site.name] = _load(study, site, listed)
            except InputError as error:
                problems += error.problems
    if problems or listed is None:
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
    _check_free(out)
    inputs = read_inputs(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        with _homes(homes) as at:
            outcome = _run(inputs, partial, at, progress, began)
        partial.chmod(0o755)
        partial.replace(out)
    except RefusedError as error:
        kept = _keep_refusal(partial, out)
        error.args = (f"{error}\nThe ledgers of the refused run are in {kept}.",)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Outcome(out, outcome.results, outcome.root)


def _load(study: Study, site: SiteFiles, listed: Variants) -> Loaded:
    files = Files(site.genotypes, site.phenotypes, site.consents)
    return load(
        files,
        listed,
        trait=study.trait.name,
        covariates=study.covariates.columns,
        purpose=study.purpose,
        as_of=study.as_of,
    )


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists already; a run writes a new folder and never into an old one:"
            " choose another --out or remove it"
        )


def _keep_refusal(partial: Path, out: Path) -> Path:
    number = 1
    while (kept := out.with_name(f"{out.name}.refused-{number}")).exists():
        number += 1
    return partial.replace(kept)


@contextmanager
def _homes(homes: Path | None) -> Generator[Path]:
    if homes is not None:
        homes.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield homes
        return
    with tempfile.TemporaryDirectory(prefix="equipoise-sites-") as made:
        yield Path(made)


def _run(
    inputs: Inputs, out: Path, homes: Path, progress: Progress | None, began: float
) -> Outcome:
    study, variants = inputs.study, inputs.variants
    names = sorted(inputs.loaded)
    identities = {name: Identity.at(homes / name, name) for name in [*names, CENTRE]}
    peers = Peers({name: identity.signing_key for name, identity in identities.items()})
    publics: dict[str, Any] = {}

    def compiled(members: tuple[Member, ...]) -> Plan:
        return compile_plan(study, variants, members)

    def approve(plan: Plan) -> None:
        if compiled(plan.members).digest() != plan.digest():
            raise ProtocolError("the plan is not the one that follows from the study file")

    with tempfile.TemporaryDirectory(prefix="equipoise-journals-") as journals:
        handles: dict[str, Handle] = {}
        logs: list[Log] = []
        for name in names:
            log = _log(out / "sites" / name / "ledger", study.id, identities[name])
            logs.append(log)
            desk = Desk(
                identity=identities[name],
                peers=peers,
                study=public_study(study),
                variants=variants.digest().hex(),
                publics=publics,
                approve=approve,
                journal=Journal(Path(journals) / name),
                ledger=log,
            )
            people = People(
                inputs.loaded[name].dataset,
                Register(homes / name, ROSTER_K),
                study.seed,
                study.validation.folds,
                K,
                ROSTER_K,
            )
            handles[name] = Site(people, desk, out / "sites" / name).handle
        log = _log(out / "ledger", study.id, identities[CENTRE])
        logs.append(log)
        sites = [{"name": n, "public_key": peers.keys[n].hex()} for n in names]
        log.append(Entry("sites", {"sites": sites}))
        transport = LocalTransport(handles)
        try:
            centre = Centre(identities[CENTRE], peers, transport, log, compiled, publics, progress)
            done = centre.run(public_study(study), variants.digest().hex())
            outcome = _write(inputs, out, done, log, began)
            _close(centre, done, log)
            return Outcome(out, outcome, log.root.hex())
        finally:
            transport.close()
            for opened in logs:
                opened.close()


def _log(directory: Path, study: str, identity: Identity) -> Log:
    return Log.create(directory, f"equipoise/{study}/{identity.name}", identity.signing)


def _write(inputs: Inputs, out: Path, done: Run, log: Log, began: float) -> dict[str, Any]:
    """Write the public artefacts, each into the ledger by its digest."""
    table = results.association_table(inputs.variants, done)
    gwas_ssf.write(out / "association.tsv", table)
    _enter(out, "association.tsv", log)
    notes = {name: loaded.notes for name, loaded in inputs.loaded.items()}
    timings = {**done.timings, "total": perf_counter() - began}
    content = results.collect(done, table, notes, registry.build)
    content["ledger"] = {"root": log.root.hex(), "entries": log.size}
    content["timings"] = {name: round(seconds, 4) for name, seconds in timings.items()}
    (out / "results.json").write_text(results.to_json(content))
    _enter(out, "results.json", log)
    (out / "report.html").write_text(report.render(inputs.study.public(), content, table))
    _enter(out, "report.html", log)
    return content


def _enter(out: Path, name: str, log: Log) -> None:
    content = (out / name).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    log.append(Entry("artefact", {"path": name, "sha256": sha256, "bytes": len(content)}))


def _close(centre: Centre, done: Run, log: Log) -> None:
    for site, closed in sorted(centre.close(done).items()):
        body = {name: closed[name] for name in ("note", "root", "size")}
        log.append(Entry("checkpoint", {"site": site, **body}))
    log.append(Entry("closed", {"reason": "the plan has ended"}))
    log.seal()
