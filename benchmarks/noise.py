"""What noise costs beside masking, and what is left of a frequency under it.

    python benchmarks/noise.py [--values 1000000] [--repeats 7] [--draws 100000]

Writes benchmarks/results/noise.json. Seconds are one core's, medians; the masks of one site are
taken in the same run, in turn with the noise. Errors are those of drawn noise, not of a formula.
"""

import argparse
import os
from importlib.metadata import version
from math import sqrt
from statistics import median
from time import process_time

import numpy as np
from numpy.typing import NDArray
from peers import processor, written

from equipoise.analyses.frequency import Frequency
from equipoise.protections.accounting import Budget
from equipoise.protections.discrete import Chance, Gaussian, draw, narrowest
from equipoise.protections.keystream import Keystreams
from equipoise.protections.noise import Added, calibrated, honest

PEOPLE = 400_000
SITES = 4
FREQUENCIES = (0.01, 0.05, 0.3)


def seconds_of_noise(law: Gaussian, size: int) -> float:
    chance, began = Chance(), process_time()
    draw(law, chance, size)
    return process_time() - began


def seconds_of_masks(streams: int, size: int) -> float:
    ring = {"x": np.zeros(size, np.uint64)}
    masks = [Keystreams(os.urandom(32), bytes([i])) for i in range(streams)]
    began = process_time()
    for mask in masks:
        mask.apply(ring, 1)
    return process_time() - began


def cost(size: int, repeats: int) -> dict[str, object]:
    """Return the seconds of noise and of the masks of 4 and 16 sites, for so many values."""
    laws = {f"deviation {d:g}": narrowest(d) for d in (1.5, 30, 3000, 2.0**24)}
    for law in laws.values():
        draw(law, Chance(), 10)  # compiled before the clock starts
    noise: dict[str, list[float]] = {name: [] for name in laws}
    masks: dict[int, list[float]] = {4: [], 16: []}
    for _ in range(repeats):
        for name, law in laws.items():
            noise[name].append(seconds_of_noise(law, size))
        for sites, taken in masks.items():
            taken.append(seconds_of_masks(sites, size))
    per_value = {name: 1e9 * median(taken) / size for name, taken in noise.items()}
    masking = {f"{sites} sites": median(taken) for sites, taken in masks.items()}
    return {
        "values": size,
        "repeats": repeats,
        "noise_nanoseconds_a_value": per_value,
        "masks_nanoseconds_a_value": {s: 1e9 * t / size for s, t in masking.items()},
        "noise_over_masks": {
            sites: {name: median(taken) / t for name, taken in noise.items()}
            for sites, t in masking.items()
        },
    }


def summed(added: Added, size: int) -> NDArray[np.float64]:
    """Return the noise of a total of all sites, in the field's own unit."""
    total = sum(draw(added.law, Chance(), size) for _ in range(SITES))
    return np.asarray(total) * added.field.quantum


def utility(variants: int, epsilon: float, draws: int) -> dict[str, object]:
    """Return the error of frequencies under noise beside what sampling people leaves."""
    budget = Budget(epsilon, 1e-6)
    schema = Frequency(PEOPLE, variants, 1, 1).schema(Frequency(PEOPLE, 1, 1, 1).start())
    form = calibrated(schema, budget.rho, SITES, may_lose=True)
    [called, alleles] = form.added[0].values()
    size = min(draws, 10 * variants)
    found: dict[str, object] = {}
    for p in FREQUENCIES:
        people = np.maximum(PEOPLE + summed(called, size), 1)
        noised = np.clip((2 * PEOPLE * p + summed(alleles, size)) / (2 * people), 0, 1)
        sampling = sqrt(p * (1 - p) / (2 * PEOPLE))
        error = float(np.sqrt(np.mean((noised - p) ** 2)))
        found[str(p)] = {"noise": error, "sampling": sampling, "ratio": error / sampling}
    return {
        "variants": variants,
        "epsilon": epsilon,
        "rho": budget.rho,
        "spent_rho": form.cost,
        "deviation_of_alleles": alleles.deviation(SITES),
        "frequencies": found,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--values", type=int, default=1_000_000)
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--draws", type=int, default=100_000)
    asked = options.parse_args()
    found: dict[str, object] = {
        "machine": processor(),
        "versions": {n: version(n) for n in ("equipoise", "numpy", "numba", "dp-accounting")},
        "cost": cost(asked.values, asked.repeats),
        "people": PEOPLE,
        "sites": SITES,
        "sites_whose_noise_counts": honest(SITES, may_lose=True),
        "utility": [
            utility(variants, epsilon, asked.draws)
            for epsilon in (1.0, 4.0)
            for variants in (100, 1_000, 10_000, 100_000, 1_000_000)
        ],
    }
    written("noise", found)


if __name__ == "__main__":
    main()
