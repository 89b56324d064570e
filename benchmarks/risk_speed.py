"""What training a risk model for several ancestries costs, beside one pooled lasso path by adelie.

    python benchmarks/risk_speed.py [--adelie PYTHON] [--variants 100000] [--threads 1]
                                    [--keep FOLDER]

20,000 people of four populations (75, 10, 8 and 7 %) from the coalescent of
`equipoise.simulation`, stretches of 400 kb with 150 variants each, LD blocks the stretches; a
trait of heritability .4 by 500 variants; 2,000 more people tune and 2,000 test. The steps are
those of `equipoise train` (`analyses.risk_steps`), from the file to the last stack, at one site
and one process: moments by stratum and five folds, as they come out of encoding block by block;
paths, scores in tuning people, joint paths, stack, residuals, and all of it again on refined
linkage; baselines and their accuracy. What each site does again, to see that what is published
follows, is the fits: told apart. adelie reads the same training people as an array of bytes,
standardises them and fits one lasso path of 40 values; its process is given the same threads.

More than 100,000 variants repeat those there are, block by block with people in another order:
for memory and cost a variant alone. Writes benchmarks/results/risk_speed.json.
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

from equipoise.packed.decode import encode
from equipoise.simulation.demography import chromosome

TRAINING = {"EUR": 15_000, "AFR": 2_000, "EAS": 1_600, "SAS": 1_400}
OTHERS = 500
STRETCH, LENGTH, CAUSAL = 150, 400_000, 500
MADE = 99_900
FOLDS = 5


def simulate(folder: Path) -> None:
    """Write genotypes.bed of everybody, training.npy as adelie reads it, and people.npz."""
    rng = np.random.default_rng(11)
    people = {group: n + 2 * OTHERS for group, n in TRAINING.items()}
    owner = np.repeat(np.arange(len(GROUPS)), list(people.values()))
    part = np.concatenate(
        [np.repeat([2, 0, 1], [TRAINING[group], OTHERS, OTHERS]) for group in people]
    )
    truth = np.zeros(len(owner))
    stretches = MADE // STRETCH
    causal = np.bincount(rng.integers(0, stretches, CAUSAL), minlength=stretches)
    trained = np.lib.format.open_memmap(
        folder / "training.npy", "w+", np.int8, (int((part == 2).sum()), MADE)
    )
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
                copies = history.haplotypes(site)[0::2] + history.haplotypes(site)[1::2]
                if place < causal[i]:
                    truth += copies * effects(rng, mean[site])[owner]
                else:
                    block.append(copies.astype(np.int8))
            dosage = np.array(block)
            file.write(encode(dosage.astype(np.float64)).tobytes())
            trained[:, i * STRETCH : (i + 1) * STRETCH] = dosage[:, part == 2].T
    trained.flush()
    trait = truth.copy()
    for group in range(len(GROUPS)):
        own = owner == group
        trait[own] -= trait[own].mean()
        trait[own] += rng.standard_normal(own.sum()) * trait[own].std() * np.sqrt(1.5)
    np.savez(folder / "people.npz", owner=owner, part=part, trait=trait)


def repeated(folder: Path, variants: int) -> Path:
    """Return a file with so many variants: those there are, with people in other orders."""
    whole = folder / f"genotypes{variants}.bed"
    if whole.exists():
        return whole
    rng = np.random.default_rng(12)
    data = np.fromfile(folder / "genotypes.bed", np.uint8)[3:].reshape(MADE, -1)
    with whole.open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        left = variants
        while left:
            take = min(left, MADE)
            # Quads of people move together: linkage within blocks stays, and the trait's is lost.
            order = rng.permutation(data.shape[1]) if left < variants else slice(None)
            for start in range(0, take, 3000):
                file.write(data[start : min(start + 3000, take)][:, order].tobytes())
            left -= take
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
    from equipoise.analyses.risk_steps import RiskForm, risk_steps
    from equipoise.federation import registry
    from equipoise.solvers.accuracy import accuracies
    from equipoise.solvers.risk_baselines import METHODS
    from equipoise.step import Done
    from equipoise.tools.adding import Adding

    path = folder / "genotypes.bed" if variants == MADE else repeated(folder, variants)
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    site = cohort_of(folder, path, variants, pool)
    starts = (*range(0, variants, STRETCH), variants)
    form = RiskForm(
        people=site.n,
        n_variants=variants,
        starts=starts,
        trait="y",
        covariates=(),
        bounds=(8.0,),
        counted=tuple(TRAINING.values()),
        stratum="group",
        folds=FOLDS,
        tuning=5,
        test=1,
    )
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
        starts=starts,
        trait="y",
        covariates=(),
        bounds=form.bounds,
        counted=tuple(n // FOLDS for n in form.counted),
        frequencies=known["frequency"],
        stratum="group",
    )
    start = perf_counter()
    known["linkage"], known["linkage.held"] = linkage_of(by_fold, adding)
    sums["moments by five folds, streamed"] = perf_counter() - start
    for step in risk_steps(form)[2:]:
        start = perf_counter()
        analysis = registry.build(step, known)
        asks = bool(analysis.schema(analysis.start()).blocks)
        done: Done[Any] = adding.end(analysis)
        known[step.name] = done.result
        if done.held is not None:
            known[f"{step.name}.held"] = done.held
        middle = perf_counter()
        (sums if asks else fits)[step.name] = middle - start
        if step.keeps:
            derived = analysis.derive(adding.cohorts[0], done.result)
            adding.cohorts = (adding.cohorts[0].with_columns(derived),)
            sums[f"{step.name}, everybody's scores"] = perf_counter() - middle
    whole, cpu = perf_counter() - began, process_time() - cpu
    by_group = [accuracies(known["tested"].of(s)[0]) for s in range(len(GROUPS))]
    r2 = {
        method: {
            group: None if found is None else round(found[m * len(GROUPS) + s].r2, 4)
            for s, (group, found) in enumerate(zip(GROUPS, by_group, strict=True))
        }
        for m, method in enumerate(METHODS)
    }
    return {
        "variants": variants,
        "threads": threads,
        "seconds": whole,
        "cpu": cpu,
        "sums": sums,
        "fits": fits,
        "a_site_again": sum(fits.values()),
        "r2": r2,
    }


def linkage_of(by_fold: Any, adding: Any) -> tuple[Any, Any]:
    """Return sums of columns and linkage, from moments by fold that come block by block."""
    from dataclasses import replace

    from equipoise.analyses.moment_totals import MomentsState
    from equipoise.analyses.risk_moments import ColumnSums, Linkage, joined
    from equipoise.solvers.block_correlations import Correlating, Projection

    strata = by_fold.strata
    making: list[Any] = [None] * strata
    kept: list[list[Any]] = [[] for _ in range(strata)]
    for by_stratum in by_fold.by_block(adding.totals(by_fold, MomentsState())):
        for s, folds in enumerate(by_stratum):
            one = folds[0]
            for fold in folds[1:]:
                one = one + fold
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


def peer(folder: Path, python: str, threads: int) -> dict[str, Any]:
    """Return what one pooled lasso path takes adelie, conversion included."""
    with np.load(folder / "people.npz") as held:
        train = held["part"] == 2
        np.save(folder / "trait.npy", held["trait"][train])
        np.save(folder / "group.npy", held["owner"][train])
    script = Path(__file__).with_name("adelie_pooled.py")
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
    options.add_argument("--variants", type=int, default=MADE)
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
            result["adelie"] = peer(folder, asked.adelie, asked.threads)
        written(f"risk_speed_{asked.variants}_{asked.threads}", result)


if __name__ == "__main__":
    main()
