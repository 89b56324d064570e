"""How well risk models serve each ancestry, method beside method, in simulated people.

    python benchmarks/multi_ancestry.py [--seeds 1,2,3,4,5] [--scale 1] [--adelie PYTHON]
                                        [--keep FOLDER]
    python benchmarks/multi_ancestry.py --speed

The people are those of benchmarks/simulated.py. All methods but adelie's see sums alone: moments
of the training people of each group by LD block, and sums over the tuning people's scores in
five folds; "once" is before the blocks are refined. R^2 is the squared correlation of score and trait in the test people. `--adelie` is
the Python of an environment that has it. Writes benchmarks/results/multi_ancestry.json.
"""

import argparse
import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray
from peers import processor, written
from scipy import stats
from simulated import GROUPS, Study, roster, simulate

from equipoise.solvers.block_correlations import (
    BlockCorrelations,
    Residuals,
    correlations,
    refined,
)
from equipoise.solvers.block_moments import BlockMoments
from equipoise.solvers.multi_ancestry import TOLERANCE
from equipoise.solvers.risk_paths import Setting, joint_path, single_path
from equipoise.solvers.risk_stages import (
    First,
    Liked,
    Second,
    chosen,
    first,
    liked,
    second,
    singles,
    total,
)
from equipoise.solvers.sparse_weights import SparseWeights
from equipoise.solvers.stack import GroupStack, StackMoments, best, stack, stack_moments

REFERENCE = "EUR"
FOLDS = 5
MARGIN = 0.003
OWN_MARGIN = 0.005
GAIN = 0.15
METHODS = {
    "reference": f"{REFERENCE} only",
    "own": "own ancestry only",
    "clumped": "clumping and thresholding",
    "pooled": "one shared model, pooled sums",
    "weighted": "weighted stack of single best",
    "weighted refined": "weighted stack of refined singles",
    "joint": "joint elastic net, best point",
    "stacked once": "joint elastic net and stack, once",
    "stacked": "joint elastic net and stack",
    "adelie": "adelie, pooled people",
    "truth": "truth (genetic value)",
}

Array = NDArray[np.float64]


def moments(study: Study, rows: slice) -> BlockMoments:
    """Return the sums over some people; exact in double precision, as dosages are whole."""
    dosage = study.dosage[rows]
    trait = study.trait[rows]
    ones = np.ones((len(trait), 1))
    gram, with_trait = [], []
    for a, b in zip(study.starts[:-1], study.starts[1:], strict=True):
        part = dosage[:, a:b].astype(np.float32)
        # Sums of products of 0, 1, 2 over 20,000 people stay below 2^24.
        gram.append((part.T @ part).astype(np.float64))
        with_trait.append(part.T.astype(np.float64) @ trait)
    return BlockMoments(
        float(len(trait)),
        np.array([trait.sum(), trait @ trait]),
        ones.T @ ones,
        ones.T @ trait,
        dosage.sum(axis=0, dtype=np.float64)[:, None],
        np.concatenate(with_trait),
        tuple(gram),
        study.starts,
    )


def scores(study: Study, rows: slice, weights: SparseWeights) -> Array:
    """Return the scores of all candidates, (people, candidates), as a site makes them."""
    found = np.zeros((rows.stop - rows.start, len(weights.labels)))
    for a, b in zip(study.starts[:-1].tolist(), study.starts[1:].tolist(), strict=True):
        part = study.dosage[rows, a:b].astype(np.float32)
        found += part @ weights.dense(a, b).astype(np.float32)
    return found


def tuned(study: Study, weights: SparseWeights) -> dict[str, list[StackMoments]]:
    """Return the sums over each group's tuning people, in folds."""
    folds: dict[str, list[StackMoments]] = {}
    for group in GROUPS:
        rows = study.rows[group, "tuning"]
        made = scores(study, rows, weights)
        trait = study.trait[rows]
        fold = np.arange(len(trait)) % FOLDS
        folds[group] = [
            stack_moments(made[fold == k], np.ones((int((fold == k).sum()), 1)), trait[fold == k])
            for k in range(FOLDS)
        ]
    return folds


def residuals(study: Study, rows: slice, weights: Array) -> Residuals:
    """Return the sums of what a score leaves of the trait, as a site makes them."""
    left = study.trait[rows] - scored(study, rows, weights)
    parts = zip(study.starts[:-1].tolist(), study.starts[1:].tolist(), strict=True)
    sums = [study.dosage[rows, a:b].T.astype(np.float64) @ left for a, b in parts]
    return Residuals(np.array([left.sum()]), np.concatenate(sums))


def r2(score: Array, trait: Array) -> float:
    return float(np.corrcoef(score, trait)[0, 1] ** 2) if score.std() > 0 else 0.0


def scored(study: Study, rows: slice, weights: Array) -> Array:
    """Return the scores of one set of weights, (people,)."""
    found = np.zeros(rows.stop - rows.start)
    for a, b in zip(study.starts[:-1].tolist(), study.starts[1:].tolist(), strict=True):
        found += study.dosage[rows, a:b].astype(np.float64) @ weights[a:b]
    return found


def tested(study: Study, group: str, weights: Array) -> float:
    rows = study.rows[group, "test"]
    return r2(scored(study, rows, weights), study.trait[rows])


@dataclass
class Round:
    """Once through the stages: candidates, what was liked, and each group's weights."""

    alone: First
    choice: Liked
    singles: SparseWeights
    joint: Second
    folds: dict[str, list[StackMoments]]
    ends: dict[str, GroupStack]
    weights: dict[str, Array]


def gone_through(
    study: Study,
    strata: dict[str, BlockCorrelations],
    executor: ThreadPoolExecutor,
    prior: SparseWeights | None = None,
) -> Round:
    alone = first(strata, executor)
    choice = liked(alone, total(tuned(study, alone.weights)))
    joint = second(strata, alone, choice, executor, prior)
    folds = tuned(study, joint.weights)
    ends = chosen(joint, folds)
    weights = {group: joint.weights.combined(ends[group].weights) for group in GROUPS}
    return Round(alone, choice, singles(alone, choice), joint, folds, ends, weights)


def fitted(
    study: Study, executor: ThreadPoolExecutor
) -> tuple[dict[str, dict[str, float]], dict[str, object]]:
    """Return R^2 by method and group, and what there is to say of the fit."""
    clock = [perf_counter()]
    sums = {g: moments(study, study.rows[g, "training"]) for g in GROUPS}
    strata = {g: correlations(held) for g, held in sums.items()}
    clock.append(perf_counter())
    one = gone_through(study, strata, executor)
    clock.append(perf_counter())
    left = {g: residuals(study, study.rows[g, "training"], one.weights[g]) for g in GROUPS}
    again = {g: refined(strata[g], sums[g], left[g], one.weights[g]) for g in GROUPS}
    two = gone_through(study, again, executor, one.singles)
    clock.append(perf_counter())
    found = {method: {} for method in METHODS if method != "adelie"}
    for i, group in enumerate(GROUPS):
        for method, weights in methods(one, two, i, group).items():
            found[method][group] = tested(study, group, weights)
        rows = study.rows[group, "test"]
        found["truth"][group] = r2(study.truth[rows], study.trait[rows])
    seconds = dict(zip(("moments", "first round", "refined"), np.diff(clock), strict=True))
    told = {"seconds": seconds, "groups": described(two), "fits": [ended(one), ended(two)]}
    return found, told


def methods(one: Round, two: Round, i: int, group: str) -> dict[str, Array]:
    """Return each method's weights for one group."""
    held = one.alone.weights
    places = {
        "reference": one.choice.single[REFERENCE],
        "own": one.choice.single[group],
        "clumped": one.choice.clumped[group],
        "pooled": one.choice.pooled[group],
    }
    found = {method: held.combined(_one(held, place)) for method, place in places.items()}
    for method, of in (("weighted", one), ("weighted refined", two)):
        k = len(of.joint.joint.weights.labels)
        four = [fold.chosen(range(k, k + len(GROUPS))) for fold in of.folds[group]]
        found[method] = of.singles.combined(stack(four, [i]).weights)
    joint = one.joint.joint.weights
    own = range(i, len(joint.labels), len(GROUPS))
    found["joint"] = joint.combined(_one(joint, best(total(one.folds)[group], own)))
    return found | {"stacked once": one.weights[group], "stacked": two.weights[group]}


def described(of: Round) -> dict[str, object]:
    return {
        group: {
            "single": of.alone.weights.labels[of.choice.single[group]],
            "stacked": of.ends[group].stacked,
            "ridge": of.ends[group].ridge,
            "tuning_r2": of.ends[group].r2,
            "tuning_own_r2": of.ends[group].own_r2,
            "variants": int(np.count_nonzero(of.weights[group])),
        }
        for group in GROUPS
    }


def ended(of: Round) -> dict[str, object]:
    """Return how the paths of a round converged."""
    paths = [*of.alone.paths.values(), of.alone.shared, of.joint.joint]
    return {
        "points": sum(len(p.convergence.reached) for p in paths),
        "not_converged": sum(int((~p.convergence.reached).sum()) for p in paths),
        "most_sweeps": max(int(p.convergence.sweeps.max()) for p in paths),
        "worst_residual": max(float(p.convergence.residual.max()) for p in paths),
    }


def _one(weights: SparseWeights, place: int) -> Array:
    mixture = np.zeros(len(weights.labels))
    mixture[place] = 1.0
    return mixture


def peer(study: Study, python: str) -> tuple[dict[str, float], object]:
    """Return adelie's R^2 by group, each with the penalty that its tuning people like best."""
    training = [study.rows[group, "training"] for group in GROUPS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "dosage.npy", np.concatenate([study.dosage[r] for r in training]))
        np.save(folder / "trait.npy", np.concatenate([study.trait[r] for r in training]))
        sizes = [r.stop - r.start for r in training]
        np.save(folder / "group.npy", np.repeat(np.arange(len(GROUPS)), sizes))
        script = Path(__file__).with_name("adelie_pooled.py")
        command = [python, str(script), str(folder)]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
        betas = np.load(folder / "betas.npy", allow_pickle=False)
    found: dict[str, float] = {}
    for group in GROUPS:
        rows = study.rows[group, "tuning"]
        made = study.dosage[rows].astype(np.float32) @ betas.T.astype(np.float32)
        trait = study.trait[rows]
        liked = [np.corrcoef(s, trait)[0, 1] if s.std() > 0 else 0.0 for s in made.T]
        found[group] = tested(study, group, betas[int(np.argmax(liked))].astype(np.float64))
    return found, json.loads(told.stdout.splitlines()[-1])


def held(seed: int, scale: float, folder: Path | None) -> Study:
    """Return the study of a seed, from the folder where there is one."""
    if folder is None:
        return simulate(seed, scale)
    path = folder / f"{seed}-{scale}.npz"
    if not path.exists():
        study = simulate(seed, scale)
        own = {"dosage": study.dosage, "trait": study.trait, "truth": study.truth}
        np.savez(path, starts=study.starts, **own)
    with np.load(path, allow_pickle=False) as kept:
        arrays = [kept[name] for name in ("dosage", "trait", "truth")]
        return Study(*arrays, roster(scale)[1], kept["starts"])


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return the mean of the seeds' values and its 95 % interval by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("-inf"), float("inf")
    reach = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, mean - float(reach), mean + float(reach)


def compared(runs: list[dict[str, dict[str, float]]]) -> list[dict[str, object]]:
    """Return each promised comparison with its paired means and whether it holds."""
    rows: list[dict[str, object]] = []

    def put(claim: str, group: str, of: tuple[float, float, float], holds: bool) -> None:
        told = {"mean": of[0], "low": of[1], "high": of[2], "holds": bool(holds)}
        rows.append({"claim": claim, "group": group, **told})

    def paired(other: str, group: str) -> list[float]:
        return [run["stacked"][group] - run[other][group] for run in runs]

    for group in GROUPS:
        if group == REFERENCE:
            continue
        # As a difference: a ratio to an R^2 near 0 has no interval that says anything.
        of = interval([r["stacked"][group] - (1 + GAIN) * r["reference"][group] for r in runs])
        put(f"beyond +{GAIN:.0%} on {REFERENCE} only", group, of, of[0] >= 0)
    for other in ("weighted", "adelie"):
        if other not in runs[0]:
            continue
        for group in GROUPS:
            of = interval(paired(other, group))
            put(f"not worse than {METHODS[other]}", group, of, of[1] > -MARGIN)
        mean = [float(np.mean([paired(other, g)[i] for g in GROUPS])) for i in range(len(runs))]
        put(f"better than {METHODS[other]} on average", "all", interval(mean), np.mean(mean) > 0)
    of = interval(paired("own", REFERENCE))
    put(f"within {OWN_MARGIN} of its own best", REFERENCE, of, of[0] >= -OWN_MARGIN)
    for group in GROUPS:
        of = interval(paired("own", group))
        put("no group worse than its own single-ancestry score", group, of, of[0] >= 0)
    return rows


def shown(runs: list[dict[str, dict[str, float]]]) -> None:
    print(f"\nout-of-sample R², mean of {len(runs)} seeds")
    print(f"{'':34s}" + "".join(f"{g:>9s}" for g in GROUPS))
    for method, name in METHODS.items():
        if method in runs[0]:
            means = [np.mean([run[method][g] for run in runs]) for g in GROUPS]
            print(f"{name:34s}" + "".join(f"{m:9.4f}" for m in means))
    print("\npromised, with paired means over seeds and 95 % intervals")
    for row in compared(runs):
        verdict = "yes" if row["holds"] else "NO"
        figures = f"{row['mean']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
        print(f"{row['claim']:52s} {row['group']:4s} {figures}  {verdict}")


def speed(variants: int = 20_000, size: int = 200) -> dict[str, object]:
    """Return the seconds of the grids on made correlations: four strata, blocks of 200."""
    rng = np.random.default_rng(1)
    people = {"EUR": 20_000, "AFR": 2_000, "EAS": 3_000, "SAS": 2_500}
    starts = np.arange(0, variants + 1, size)
    strata: dict[str, BlockCorrelations] = {}
    effect = np.where(rng.random(variants) < 0.01, rng.standard_normal(variants), 0.0)
    effect *= np.sqrt(0.4 / (effect @ effect))
    for name, n in people.items():
        blocks, trait = [], []
        for begin in starts[:-1]:
            x = rng.standard_normal((1000, size))
            for j in range(1, size):
                x[:, j] = 0.9 * x[:, j - 1] + np.sqrt(1 - 0.81) * x[:, j]
            x = (x - x.mean(0)) / x.std(0)
            blocks.append(x.T @ x / len(x))
            noise = x.T @ rng.standard_normal(len(x)) / len(x) * np.sqrt(1000 / n)
            trait.append(blocks[-1] @ effect[begin : begin + size] + noise)
        ones = np.ones(variants)
        r = np.concatenate(trait)
        strata[name] = BlockCorrelations(
            n, tuple(blocks), r, ones, 1.0, np.ones(variants, bool), starts
        )
    small = {k: _few(v) for k, v in strata.items()}
    single_path("EUR", small["EUR"])  # compiled before the clock starts
    found: dict[str, object] = {"variants": variants, "strata": len(strata), "block": size}
    setting = {name: Setting(0.5 / np.sqrt(n), 0.1) for name, n in people.items()}
    for threads in (1, 2):
        with ThreadPoolExecutor(threads) as executor:
            wall, cpu = perf_counter(), process_time()
            one = [single_path(name, held, executor) for name, held in strata.items()]
            middle, middle_cpu = perf_counter(), process_time()
            joint = joint_path(strata, setting, executor)
            ended, ended_cpu = perf_counter(), process_time()
        found[f"{threads} threads"] = {
            "single": {"wall": middle - wall, "cpu": middle_cpu - cpu},
            "joint": {"wall": ended - middle, "cpu": ended_cpu - middle_cpu},
            "single_points": sum(len(p.convergence.sweeps) for p in one),
            "joint_points": len(joint.convergence.sweeps),
            "joint_sweeps": joint.convergence.sweeps.tolist(),
            "joint_weights": len(joint.weights.weight),
            "not_converged": int((~joint.convergence.reached).sum())
            + sum(int((~p.convergence.reached).sum()) for p in one),
        }
    return found


def _few(held: BlockCorrelations) -> BlockCorrelations:
    last = int(held.starts[1])
    few = held.trait[:last], held.deviation[:last]
    return BlockCorrelations(
        held.people, held.genotypes[:1], *few, 1.0, held.usable[:last], held.starts[:2]
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", default="1,2,3,4,5")
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--adelie", default="")
    options.add_argument("--keep", type=Path, help="folder of studies, made where missing")
    options.add_argument("--speed", action="store_true")
    asked = options.parse_args()
    if asked.speed:
        print(json.dumps(speed(), indent=1))
        return
    runs: list[dict[str, dict[str, float]]] = []
    told: list[object] = []
    for seed in map(int, asked.seeds.split(",")):
        began = perf_counter()
        study = held(seed, asked.scale, asked.keep)
        made = perf_counter() - began
        with ThreadPoolExecutor(2) as executor:
            found, about = fitted(study, executor)
        about |= {"seed": seed, "simulating_seconds": made}
        if asked.adelie:
            found["adelie"], about["adelie"] = peer(study, asked.adelie)
        runs.append(found)
        told.append(about)
        shown(runs)
    result: dict[str, object] = {
        "machine": processor(),
        "versions": {n: version(n) for n in ("equipoise", "numpy", "numba", "msprime")},
        "scale": asked.scale,
        "tolerance": TOLERANCE,
        "r2": runs,
        "about": told,
        "promised": compared(runs),
    }
    written("multi_ancestry", result)


if __name__ == "__main__":
    main()
