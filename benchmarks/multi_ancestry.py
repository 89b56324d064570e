"""How well risk models serve each ancestry, method beside method, in simulated people.

    python benchmarks/multi_ancestry.py [--seeds 1,2,3,4,5] [--scale 1] [--adelie PYTHON]
                                        [--keep FOLDER]
    python benchmarks/multi_ancestry.py --speed

The people are those of benchmarks/simulated.py, the methods those of multi_ancestry_methods.py
and, on pooled people, adelie; what was promised of them is in multi_ancestry_promises.py. R^2 is
the squared correlation of score and trait in the test people. `--adelie` is the Python of an
environment that has it; `--speed` times the grids instead. Writes
benchmarks/results/multi_ancestry.json.
"""

import argparse
import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
from multi_ancestry_methods import fitted, tested
from multi_ancestry_promises import compared, shown
from multi_ancestry_speed import speed
from peers import processor, written
from simulated import GROUPS, Study, roster, simulate

from equipoise.solvers.risk_paths import PRECISION


def peer(study: Study, python: str) -> tuple[dict[str, float], object]:
    """Return adelie's R^2 by group, each with the penalty that its tuning people like best."""
    training = [study.rows[group, "training"] for group in GROUPS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "dosage.npy", np.concatenate([study.dosage[r] for r in training]))
        np.save(folder / "trait.npy", np.concatenate([study.trait[r] for r in training]))
        sizes = [r.stop - r.start for r in training]
        np.save(folder / "group.npy", np.repeat(np.arange(len(GROUPS)), sizes))
        script = Path(__file__).with_name("outside") / "adelie_pooled.py"
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
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed}-{scale}.npz"
    if not path.exists():
        study = simulate(seed, scale)
        own = {"dosage": study.dosage, "trait": study.trait, "truth": study.truth}
        np.savez(path, starts=study.starts, **own)
    with np.load(path, allow_pickle=False) as kept:
        arrays = [kept[name] for name in ("dosage", "trait", "truth")]
        return Study(*arrays, roster(scale)[1], kept["starts"])


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
        "precision": PRECISION,
        "r2": runs,
        "about": told,
        "promised": compared(runs),
    }
    written("multi_ancestry", result)


if __name__ == "__main__":
    main()
