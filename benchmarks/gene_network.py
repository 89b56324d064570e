"""What an epoch of the gene network costs, in JAX and in torch.

    python benchmarks/gene_network.py [--torch PYTHON] [--quick]

20,000 people, 50,000 variants in 2,000 genes of 25 each, 12 covariates: the summed gradient over
everybody and one step, in one process on one core each, after what is compiled or allocated once.
Ours reads a 2-bit file and is a round as a site and the centre compute it, the linear model,
losses and whole numbers with it: without a bound on a person's gradient, with one (`clip`), and
with bound and noise, as one of four sites draws it for epsilon 3 over 60 rounds. What a tenth of the
people costs by rounds, each with noise, is in `ours_sampled`: ten such rounds are an epoch. torch has an environment of its own, which `--torch` names; it gets dosages in memory as
bytes, person by person, genes side by side, and the fastest of five sizes of batches. Loss and
norms of gradients, by kind of parameter, are compared: it is the same model at the same
parameters. Genotypes are random, and the trait is too. --quick takes a tenth of people and
variants and writes nothing. Writes benchmarks/results/gene_network.json, with --torch alone.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from math import prod
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
from peers import ONE_THREAD, made, processor, written

from equipoise.analyses.frequency import Frequency
from equipoise.analyses.gene_network import GeneNetwork, GeneNetworkState
from equipoise.analyses.gene_network_result import TRAIN
from equipoise.cohort import Cohort
from equipoise.genotypes.plink import PlinkFile
from equipoise.models import gene_shape
from equipoise.models.gene_sums import Coding
from equipoise.packed.decode import decode
from equipoise.protections.accounting import Account, Budget, Stage
from equipoise.protections.discrete import Chance
from equipoise.protections.noise import Form, calibrated, noised, restored
from equipoise.record import rounded
from equipoise.step import Next
from equipoise.sums import decode as decoded
from equipoise.sums import encode
from equipoise.tools.adding import Adding

COVARIATES = tuple(f"c{i}" for i in range(12))
GENE, BATCHES, REPEATS = 25, (8, 16, 32, 64, 128), 3


def cohort(prefix: Path, people: int) -> Cohort:
    """Return people with random columns, all of whom are trained on."""
    draw = np.random.default_rng(3)
    columns = {name: np.clip(draw.standard_normal(people), -4, 4) for name in (*COVARIATES, "s")}
    columns |= {"y": (draw.random(people) < 0.3).astype(np.float64), "part": np.zeros(people)}
    rows, fold = np.arange(people), np.zeros(people, np.int64)
    return Cohort(PlinkFile.open(prefix), rows, columns, fold)


def analysis(site: Cohort, clip: float) -> GeneNetwork:
    """Return the training of a network with 8 values a gene and 16 of its gate."""
    variants = site.genotypes.n_variants
    frequencies = Adding([site]).run(Frequency(site.n, variants, 1, 1))
    starts = tuple(range(0, variants, GENE))
    return GeneNetwork(
        people=site.n,
        n_variants=variants,
        rounds=100,
        starts=starts,
        stops=tuple(start + GENE for start in starts),
        trait="y",
        score="s",
        part="part",
        covariates=COVARIATES,
        bounds=(*(4.0,) * len(COVARIATES), 1.0),
        seed=5,
        frequencies=frequencies,
        attention=16,
        hidden=16,
        clip=clip,
        least=0,
    )


def settled(of: GeneNetwork, site: Cohort) -> GeneNetworkState:
    """Return the state at which the network's first round is asked, its linear model a guess."""
    linear = np.concatenate([[-0.8], np.full(len(COVARIATES) + 1, 0.05)])
    counts = np.array([[site.n, int(site.columns["y"].sum())], [0, 0], [0, 0]])
    state = replace(of.start(), linear=linear, change=np.zeros(1), counts=counts, rounds=1)
    return rounded(state)


def epoch(
    of: GeneNetwork, site: Cohort, state: GeneNetworkState, form: Form | None = None
) -> dict[str, Any]:
    """Return what one round costs, and its loss and norms of gradients; noised by `form`."""
    schema = of.schema(state)
    cpu, wall = process_time(), perf_counter()
    pairs = zip(schema.blocks, of.summarise(site, state), strict=True)
    whole: Any = [encode(block, sums, site.n) for block, sums in pairs]
    if form is not None:
        drawn = noised(form, whole, Chance())
        whole = [
            restored(block, added, own)
            for block, added, own in zip(schema.blocks, form.added, drawn, strict=True)
        ]
    totals = [decoded(block, own) for block, own in zip(schema.blocks, whole, strict=True)]
    outcome = of.advance(state, totals)
    assert isinstance(outcome, Next)
    rounded(outcome.state)
    seconds = {"cpu": process_time() - cpu, "wall": perf_counter() - wall}
    (total,) = totals
    shape = of.shape
    weights = coding(of).per_allele(shape.members, total["weights"])
    cuts = np.cumsum([prod(size) for size in shape.head.values()])[:-1]
    parts = [weights, total["biases"], *np.split(total["head"], cuts)]
    norms = [float(np.linalg.norm(part)) for part in parts]
    return {**seconds, "loss": float(total["losses"][TRAIN]), "norms": norms}


def coding(of: GeneNetwork) -> Coding:
    """Return how the network reads variants."""
    mean = of.frequencies.mean_at(np.arange(of.n_variants))
    return Coding.of(mean, of.frequencies.used)


def ours(prefix: Path, people: int, clip: float, rate: float) -> None:
    """Print what an epoch costs here: the median of some, after one of few people.

    rate  the chance to be drawn, for noised rounds; 0 for no noise
    """
    site = cohort(prefix, people)
    of, form = analysis(site, clip), None
    state = settled(of, site)
    if rate:
        price = Account(Budget(3.0, 1e-6), (Stage("network", 60, 1.0, rate),)).prices["network"]
        form = calibrated(of.schema(state), price, 4, may_lose=True)
        here = np.arange(people) < rate * people
        columns = {name: column[here] for name, column in site.columns.items()}
        site = Cohort(site.genotypes, site.rows[here], columns, site.fold[here])
    few = Cohort(site.genotypes, site.rows[:1], {n: c[:1] for n, c in site.columns.items()},
                 site.fold[:1])  # fmt: skip
    began = perf_counter()
    list(of.summarise(few, state))
    compiled = perf_counter() - began
    if form is not None:
        epoch(of, few, state, form)
    runs = [epoch(of, site, state, form) for _ in range(REPEATS)]
    found = {**runs[0], **{k: median(run[k] for run in runs) for k in ("cpu", "wall")}}
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "first_batch_seconds": compiled, "resident_mb": resident}))


def handed_over(prefix: Path, folder: Path, people: int) -> None:
    """Write what torch reads: dosages as bytes, columns and parameters."""
    site = cohort(prefix, people)
    of = analysis(site, 0.0)
    state, shape, code = settled(of, site), of.shape, coding(of)
    file = folder / "dosages.npy"
    kept = np.lib.format.open_memmap(file, "w+", np.int8, (people, of.n_variants))
    for start in range(0, of.n_variants, 1000):
        block = site.genotypes.packed(start, start + 1000)
        kept[:, start : start + 1000] = decode(block, people).T
    parts = gene_shape.parts(shape, state.parameters)
    cuts = np.cumsum([prod(size) for size in shape.head.values()])[:-1]
    split = np.split(parts.head, cuts)
    head = {n: v.reshape(s) for (n, s), v in zip(shape.head.items(), split, strict=True)}
    rows = np.stack([site.columns[name] for name in COVARIATES], axis=1)
    offset = state.linear[0] + np.column_stack([site.columns["s"], rows]) @ state.linear[1:]
    np.savez(
        folder / "data.npz",
        weights=parts.weights,
        biases=parts.biases,
        **head,
        rows=rows,
        offset=offset,
        trait=site.columns["y"],
        centre=code.centre,
        scale=code.scale,
    )


def called(command: list[str]) -> dict[str, Any]:
    """Return what a process prints, on one thread."""
    environment = {**os.environ, **ONE_THREAD, "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return by what share losses or norms of gradients differ at most."""
    pairs = zip([one["loss"], *one["norms"]], [other["loss"], *other["norms"]], strict=True)
    return max(abs(a - b) / max(abs(b), 1e-9) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ours", nargs=4)
    options = parser.parse_args()
    if options.ours:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        ours(Path(options.ours[0]), int(options.ours[1]), *map(float, options.ours[2:]))
        return
    people, variants = (2000, 5000) if options.quick else (20_000, 50_000)
    found: dict[str, Any] = {"people": people, "variants": variants, "genes": variants // GENE}
    found |= {"machine": processor(), "versions": {n: version(n) for n in ("jax", "numpy")}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefix = made(folder / "made", people, variants)
        again = [sys.executable, __file__, "--ours", str(prefix), str(people)]
        kinds = {
            "ours": ("0", "0"),
            "ours_bounded": ("1", "0"),
            "ours_private": ("1", "1"),
            "ours_sampled": ("1", "0.1"),
        }
        found |= {kind: called([*again, *how]) for kind, how in kinds.items()}
        plain = found["ours"]["cpu"]
        found["bounded_over_plain"] = found["ours_bounded"]["cpu"] / plain
        found["private_over_plain"] = found["ours_private"]["cpu"] / plain
        found["ten_sampled_rounds_over_plain"] = 10 * found["ours_sampled"]["cpu"] / plain
        if not options.torch:
            print(json.dumps(found, indent=1))
            return
        handed_over(prefix, folder, people)
        script = str(Path(__file__).with_name("outside") / "gene_network_torch.py")
        files = [str(folder / "data.npz"), str(folder / "dosages.npy")]
        runs = {
            size: [called([str(options.torch), script, *files, str(size)]) for _ in range(REPEATS)]
            for size in BATCHES
        }
    best = {size: median(run["cpu"] for run in of) for size, of in runs.items()}
    size = min(best, key=lambda batch: best[batch])
    found["torch"] = {**runs[size][0], "cpu": best[size], "batch": size, "by_batch": best}
    found["torch"]["wall"] = median(run["wall"] for run in runs[size])
    found["ours_over_torch"] = found["ours"]["cpu"] / found["torch"]["cpu"]
    found["most_apart"] = apart(found["ours"], found["torch"])
    if options.quick:
        print(json.dumps(found, indent=1))
    else:
        written("gene_network", found)


if __name__ == "__main__":
    main()
