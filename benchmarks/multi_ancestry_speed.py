"""What the grids of risk models for several ancestries cost, on made correlations."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, process_time

import numpy as np

from equipoise.solvers.block_correlations import BlockCorrelations, pooled
from equipoise.solvers.risk_paths import Path, Setting, joint_path, near_path, single_path

PEOPLE = {"EUR": 20_000, "AFR": 2_000, "EAS": 3_000, "SAS": 2_500}


def speed(variants: int = 20_000, size: int = 200) -> dict[str, object]:
    """Return the seconds of the paths of both rounds: four strata, blocks of 200, in float32."""
    strata = made(variants, size)
    grids(_first_block(strata), None)  # compiled before the clock starts
    found: dict[str, object] = {"variants": variants, "strata": len(strata), "block": size}
    for threads in (1, 2):
        with ThreadPoolExecutor(threads) as executor:
            found[f"{threads} threads"] = grids(strata, executor)
    return found


def made(variants: int, size: int) -> dict[str, BlockCorrelations]:
    """Return strata whose blocks are those of 1,000 people each, r with the noise of all."""
    rng = np.random.default_rng(1)
    starts = np.arange(0, variants + 1, size)
    effect = np.where(rng.random(variants) < 0.01, rng.standard_normal(variants), 0.0)
    effect *= np.sqrt(0.4 / (effect @ effect))
    strata: dict[str, BlockCorrelations] = {}
    for name, n in PEOPLE.items():
        blocks, trait = [], []
        for begin in starts[:-1]:
            x = rng.standard_normal((1000, size))
            for j in range(1, size):
                x[:, j] = 0.9 * x[:, j - 1] + np.sqrt(1 - 0.81) * x[:, j]
            x = (x - x.mean(0)) / x.std(0)
            gram = x.T @ x / len(x)
            noise = x.T @ rng.standard_normal(len(x)) / len(x) * np.sqrt(1000 / n)
            trait.append(gram @ effect[begin : begin + size] + noise)
            blocks.append(gram.astype(np.float32))
        ones, r = np.ones(variants), np.concatenate(trait)
        strata[name] = BlockCorrelations(
            n, tuple(blocks), r, ones, 1.0, np.ones(variants, bool), starts
        )
    return strata


def grids(
    strata: dict[str, BlockCorrelations], executor: ThreadPoolExecutor | None
) -> dict[str, object]:
    """Return what each kind of path cost: those of the pool count with the single ones."""
    setting = {name: Setting(1.5 / np.sqrt(n), 0.1) for name, n in PEOPLE.items()}
    together = pooled(list(strata.values()))
    groups = strata | {"all": together}
    near = setting | {"all": Setting(1.5 / np.sqrt(together.people), 0.1)}
    return {
        "single": _timed(lambda: [single_path(n, s, executor) for n, s in groups.items()]),
        "near": _timed(lambda: [near_path(n, s, [near[n]], executor) for n, s in groups.items()]),
        "joint": _timed(lambda: [joint_path(strata, setting, executor)]),
    }


def _timed(work: Callable[[], list[Path]]) -> dict[str, float]:
    wall, cpu = perf_counter(), process_time()
    paths = work()
    wall, cpu = perf_counter() - wall, process_time() - cpu
    ends = [path.convergence for path in paths]
    return {
        "wall": wall,
        "cpu": cpu,
        "points": sum(len(end.reached) for end in ends),
        "not_converged": sum(int((~end.reached).sum()) for end in ends),
        "most_sweeps": max(int(end.sweeps.max()) for end in ends),
        "weights": sum(len(path.weights.weight) for path in paths),
    }


def _first_block(strata: dict[str, BlockCorrelations]) -> dict[str, BlockCorrelations]:
    few: dict[str, BlockCorrelations] = {}
    for name, held in strata.items():
        last = int(held.starts[1])
        first = held.genotypes[:1], held.trait[:last], held.deviation[:last], 1.0
        few[name] = BlockCorrelations(held.people, *first, held.usable[:last], held.starts[:2])
    return few
