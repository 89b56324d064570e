"""What the grids of risk models for several ancestries cost, on made correlations."""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, process_time

import numpy as np

from equipoise.solvers.block_correlations import BlockCorrelations
from equipoise.solvers.risk_paths import Setting, joint_path, single_path


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
