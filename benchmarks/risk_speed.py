"""What training a risk model for several ancestries costs, beside one pooled lasso path by adelie.

    python benchmarks/risk_speed.py [--adelie PYTHON] [--variants 100000] [--threads 1]
                                    [--keep FOLDER]

20,000 people of four populations (75, 10, 8 and 7 %) from the coalescent of
`equipoise.simulation`, 120 stretches of 400 kb with 150 variants each, LD blocks the stretches; a
trait of heritability .4 by 100 variants beside them; 2,000 more people tune and 2,000 test. The
variants beyond 18,000 are those again with the people of each population in another order: their
linkage and frequencies are real, and the trait knows nothing of them. The steps are
those of `equipoise train` (`analyses.risk_steps`), from the file to the last stack, at one site
and one process: moments by stratum and five folds, as they come out of encoding block by block;
paths, scores in tuning people, joint paths, stack, residuals, and all of it again on refined
linkage; baselines and their accuracy. What each site does again, to see that what is published
follows, is the fits: told apart. adelie reads the same training people as an array of bytes,
standardises them and fits one lasso path of 40 values; its process is given the same threads.

Writes benchmarks/results/risk_speed.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from peers import ONE_THREAD, described, processor, timed, written
from simulated import GROUPS, effects

from equipoise.packed.decode import decode, encode
from equipoise.simulation.demography import chromosome

TRAINING = {"EUR": 15_000, "AFR": 2_000, "EAS": 1_600, "SAS": 1_400}
OTHERS = 500
STRETCH, LENGTH, CAUSAL = 150, 400_000, 100
MADE = 18_000
VARIANTS = 99_900
FOLDS = 5


def simulate(folder: Path) -> None:
    """Write genotypes.bed of everybody, and people.npz."""
    rng = np.random.default_rng(11)
    people = {group: n + 2 * OTHERS for group, n in TRAINING.items()}
    owner = np.repeat(np.arange(len(GROUPS)), list(people.values()))
    part = np.concatenate(
        [np.repeat([2, 0, 1], [TRAINING[group], OTHERS, OTHERS]) for group in people]
    )
    truth = np.zeros(len(owner))
    stretches = MADE // STRETCH
    causal = np.bincount(rng.integers(0, stretches, CAUSAL), minlength=stretches)
    with (folder / "genotypes.bed").open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        for i in range(stretches):
            seeds = rng.integers(1, 2**32 - 1, 2)
            history = chromosome(people, LENGTH, (int(seeds[0]), int(seeds[1])))
            mean = (history.carried / (2.0 * np.array(list(people.values())))).mean(axis=1)
            common = np.flatnonzero(history.once & (np.minimum(mean, 1 - mean) >= 0.02))
            drawn = rng.choice(common, STRETCH + causal[i], replace=False)
            block = []
            for place, site in enumerate(drawn.tolist()):
                haplotypes = history.haplotypes(site)
                copies = haplotypes[0::2] + haplotypes[1::2]
                if place < causal[i]:
                    truth += copies * effects(rng, mean[site])[owner]
                else:
                    block.append(copies.astype(np.int8))
            file.write(encode(np.array(block, np.float64)).tobytes())
    trait = truth.copy()
    for group in range(len(GROUPS)):
        own = owner == group
        trait[own] -= trait[own].mean()
        trait[own] += rng.standard_normal(own.sum()) * trait[own].std() * np.sqrt(1.5)
    np.savez(folder / "people.npz", owner=owner, part=part, trait=trait)


def repeated(folder: Path, variants: int) -> Path:
    """Return a file with so many variants: those made, and again with people in other orders."""
    whole = folder / f"genotypes{variants}.bed"
    if whole.exists():
        return whole
    rng = np.random.default_rng(12)
    data = np.fromfile(folder / "genotypes.bed", np.uint8)[3:].reshape(MADE, -1)
    with np.load(folder / "people.npz") as held:
        # Four people are a byte, and move together; all four are of one part of one population.
        kind = (held["owner"] * 3 + held["part"])[::4]
    with whole.open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        for first in range(0, variants, MADE):
            order = np.arange(len(kind))
            for one in np.unique(kind).tolist() if first else []:
                here = np.flatnonzero(kind == one)
                order[here] = rng.permutation(here)
            for start in range(0, min(MADE, variants - first), STRETCH):
                file.write(data[start : start + STRETCH][:, order].tobytes())
    return whole


def cohort_of(folder: Path, path: Path, variants: int, pool: ThreadPoolExecutor | None) -> Any:
    """Return everybody, with five folds of those who train."""
    from equipoise.cohort import Cohort
    from equipoise.genotypes.plink import PlinkFile

    with np.load(folder / "people.npz") as held:
        owner, part, trait = held["owner"], held["part"], held["trait"]
    n = len(owner)
    described(path.with_suffix(""), n, variants)
    rng = np.random.default_rng(5)
    # 0 to 4 tune, 5 tests, 6 trains: as `RiskParts` numbers them.
    number = np.where(part == 2, 6, np.where(part == 1, 5, rng.integers(0, 5, n)))
    columns = {
        "y": np.clip(trait / trait.std(), -8, 8),
        "group": owner.astype(np.float64),
        "risk_part": number.astype(np.float64),
    }
    fold = np.where(part == 2, rng.integers(0, FOLDS, n), -1)
    return Cohort(PlinkFile.open(path.with_suffix("")), np.arange(n), columns, fold, pool)


def ours(folder: Path, variants: int, threads: int) -> dict[str, Any]:
    """Return what each stage costs, in seconds."""
    from equipoise.analyses.frequency import Frequency
    from equipoise.analyses.moments import Moments
    from equipoise.analyses.risk_steps import risk_steps
    from equipoise.tools.adding import Adding

    path = repeated(folder, variants)
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    site = cohort_of(folder, path, variants, pool)
    form = form_of(site, variants)
    known: dict[str, Any] = {}
    sums: dict[str, float] = {}
    fits: dict[str, float] = {}
    cpu, began = process_time(), perf_counter()
    adding = Adding([site])
    known["frequency"] = adding.run(Frequency(site.n, variants, 200, site.n // 2))
    sums["frequency"] = perf_counter() - began
    by_fold = Moments(
        people=form.people,
        folds=FOLDS,
        starts=form.starts,
        trait="y",
        covariates=(),
        bounds=form.bounds,
        counted=(site.n,) * len(GROUPS),  # the cost alone: by fold, small groups would be refused
        frequencies=known["frequency"],
        stratum="group",
    )
    start = perf_counter()
    known["linkage"], known["linkage.held"] = linkage_of(by_fold, adding)
    sums["moments by five folds, streamed"] = perf_counter() - start
    for step in risk_steps(form)[2:]:
        run_step(step, adding, known, sums, fits)
    whole, cpu = perf_counter() - began, process_time() - cpu
    return {
        "variants": variants,
        "threads": threads,
        "seconds": whole,
        "cpu": cpu,
        "sums": sums,
        "fits": fits,
        "a_site_again": sum(fits.values()),
        "r2": r2_of(known["tested"]),
    }


def form_of(site: Any, variants: int) -> Any:
    from equipoise.analyses.risk_steps import RiskForm

    return RiskForm(
        people=site.n,
        n_variants=variants,
        starts=(*range(0, variants, STRETCH), variants),
        trait="y",
        covariates=(),
        bounds=(8.0,),
        counted=tuple(TRAINING.values()),
        stratum="group",
        folds=FOLDS,
        tuning=5,
        test=1,
    )


def run_step(
    step: Any, adding: Any, known: dict[str, Any], sums: dict[str, float], fits: dict[str, float]
) -> None:
    """Run a step, and enter its seconds among those of sums or of fits."""
    from equipoise.federation import registry

    start = perf_counter()
    analysis = registry.build(step, known)
    asks = bool(analysis.schema(analysis.start()).blocks)
    done = adding.end(analysis)
    known[step.name] = done.result
    if done.held is not None:
        known[f"{step.name}.held"] = done.held
    middle = perf_counter()
    (sums if asks else fits)[step.name] = middle - start
    if step.keeps:
        derived = analysis.derive(adding.cohorts[0], done.result)
        adding.cohorts = (adding.cohorts[0].with_columns(derived),)
        sums[f"{step.name}, everybody's scores"] = perf_counter() - middle


def r2_of(tested: Any) -> dict[str, dict[str, float | None]]:
    """Return R^2 in the test people, by method and group."""
    from equipoise.solvers.accuracy import accuracies
    from equipoise.solvers.risk_baselines import METHODS

    by_group = [accuracies(tested.of(s)[0]) for s in range(len(GROUPS))]
    return {
        method: {
            group: None if found is None else round(found[m * len(GROUPS) + s].r2, 4)
            for s, (group, found) in enumerate(zip(GROUPS, by_group, strict=True))
        }
        for m, method in enumerate(METHODS)
    }


def linkage_of(by_fold: Any, adding: Any) -> tuple[Any, Any]:
    """Return sums of columns and linkage, from moments by fold that come block by block."""
    from dataclasses import replace

    from equipoise.analyses.moment_totals import MomentsState
    from equipoise.analyses.risk_moments import ColumnSums, Linkage, joined
    from equipoise.solvers.block_correlations import Correlating, Projection
    from equipoise.sums import decode as decoded
    from equipoise.sums import encode as encoded

    # What trains are all folds here; of others it would be the sum of those.
    whole = replace(by_fold, folds=1)
    (site,), schema = adding.cohorts, by_fold.schema(MomentsState())
    pairs = zip(schema.blocks, by_fold.summarise(site, MomentsState()), strict=True)
    totals = (decoded(block, encoded(block, part, site.n)) for block, part in pairs)
    added = ({n: a.sum(axis=0, keepdims=True) for n, a in sums.items()} for sums in totals)
    making: list[Any] = [None] * by_fold.strata
    kept: list[list[Any]] = [[] for _ in range(by_fold.strata)]
    for by_stratum in whole.by_block(added):
        for s, (one,) in enumerate(by_stratum):
            if making[s] is None:
                making[s] = Correlating(Projection.of(one), np.float32)
            making[s].add(one.genotypes[0], one.genotype_covariates, one.genotype_trait)
            kept[s].append(replace(one, genotypes=()))
    sums = [joined(parts, np.array(by_fold.starts, np.int64)) for parts in kept]
    held = tuple(m.end() for m in making)
    columns = ColumnSums(
        np.array([one.people for one in sums]),
        np.stack([one.covariates for one in sums]),
        np.stack([one.covariates_trait for one in sums]),
        np.array([one.trait[1] for one in sums]),
        np.array([t.used for t in by_fold.columns], np.int64),
        np.array([t.allowed for t in by_fold.columns], np.int64),
    )
    return columns, Linkage(held, tuple(sums), {})


def peer(folder: Path, python: str, variants: int, threads: int) -> dict[str, Any]:
    """Return what one pooled lasso path takes adelie, conversion included."""
    with np.load(folder / "people.npz") as held:
        train = held["part"] == 2
        n = len(train)
        np.save(folder / "trait.npy", held["trait"][train])
        np.save(folder / "group.npy", held["owner"][train])
    dosage = folder / "training.npy"
    if not dosage.exists():
        data = np.fromfile(repeated(folder, variants), np.uint8)[3:].reshape(variants, -1)
        shape = (int(train.sum()), variants)
        made = np.lib.format.open_memmap(dosage, "w+", np.int8, shape)
        for start in range(0, variants, 2000):
            made[:, start : start + 2000] = decode(data[start : start + 2000], n)[:, train].T
        made.flush()
    script = Path(__file__).with_name("outside") / "adelie_pooled.py"
    command = [python, str(script), str(folder), "--lasso", "--threads", str(threads)]
    command += ["--dosage", "training.npy"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(told.stdout.splitlines()[-1])


def measured(folder: Path, variants: int, threads: int) -> dict[str, Any]:
    """Return what a process of its own says, with its peak of anonymous memory."""
    own = [sys.executable, __file__, "--of", str(folder)]
    own += ["--variants", str(variants), "--threads", str(threads)]
    out = folder / "told.json"
    environment = {**ONE_THREAD, "EQUIPOISE_THREADS": str(threads)}
    used = timed([*own, "--out", str(out)], environment)
    return {**json.loads(out.read_text()), "process": used}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--adelie", default="")
    options.add_argument("--variants", type=int, default=VARIANTS)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--keep", type=Path)
    options.add_argument("--of", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.of:
        asked.out.write_text(json.dumps(ours(asked.of, asked.variants, asked.threads)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "people.npz").exists():
            simulate(folder)
        result: dict[str, Any] = {"machine": processor()}
        result["ours"] = measured(folder, asked.variants, asked.threads)
        print(json.dumps(result, indent=1))
        if asked.adelie:
            result["adelie"] = peer(folder, asked.adelie, asked.variants, asked.threads)
        written(f"risk_speed_{asked.variants}_{asked.threads}", result)


if __name__ == "__main__":
    main()
