"""People of four populations with a trait whose causes are not on the panel.

What is made, before anything is fitted to it:

people      training 20,000 EUR, 2,000 AFR, 3,000 EAS, 2,500 SAS; beside them in each population
            1,000 to tune with and 3,000 to test with. All unrelated.
genome      40 stretches of 400 kb that know nothing of one another (16 Mb), each drawn from the
            coalescent of `equipoise.simulation.demography` (out of Africa; SAS a mixture),
            recombination 1e-8 a base everywhere: LD and frequencies are each population's own.
variants    those of one mutation whose minor allele, by the mean of the four populations'
            frequencies, has at least .02.
causal      100 of them at random. Effects per allele are z / sqrt(2 p q), p the mean frequency,
            z normal with a correlation of .85 between any two populations.
panel       6,000 others at random (one in 2.7 kb, as dense as HapMap 3); no causal variant.
trait       genetic value plus normal noise; heritability .4 in each population, exactly in the
            population's people.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from equipoise.simulation.demography import chromosome

GROUPS = ("EUR", "AFR", "EAS", "SAS")
TRAINING = {"EUR": 20_000, "AFR": 2_000, "EAS": 3_000, "SAS": 2_500}
TUNING = 1_000
TEST = 3_000
STRETCHES = 40
LENGTH = 400_000
PANEL = 6_000
CAUSAL = 100
CORRELATION = 0.85
HERITABILITY = 0.4
LEAST_FREQUENCY = 0.02


@dataclass(frozen=True)
class Study:
    """One draw of everything.

    dosage   (people, panel) copies of the derived allele, int8
    trait    (people,)
    truth    (people,) genetic value
    rows     for each group and part (training, tuning, test) which people
    starts   (stretches + 1,) where stretches begin among the panel
    """

    dosage: NDArray[np.int8]
    trait: NDArray[np.float64]
    truth: NDArray[np.float64]
    rows: dict[tuple[str, str], slice]
    starts: NDArray[np.int64]


def simulate(seed: int, scale: float = 1.0) -> Study:
    """Return the study of a seed; `scale` shrinks people, panel and stretches alike."""
    rng = np.random.default_rng(seed)
    people, rows = roster(scale)
    stretches = max(2, round(STRETCHES * scale))
    panel = np.full(stretches, PANEL // STRETCHES)
    causal = np.bincount(rng.integers(0, stretches, CAUSAL), minlength=stretches)
    starts = np.concatenate([[0], np.cumsum(panel)])
    dosage = np.empty((sum(people.values()), starts[-1]), np.int8)
    owner = np.repeat(np.arange(len(GROUPS)), list(people.values()))
    truth = np.zeros(len(owner))
    for i in range(stretches):
        seeds = rng.integers(1, 2**32 - 1, 2)
        history = chromosome(people, LENGTH, (int(seeds[0]), int(seeds[1])))
        frequency = history.carried / (2.0 * np.array(list(people.values())))
        mean = frequency.mean(axis=1)
        common = history.once & (np.minimum(mean, 1 - mean) >= LEAST_FREQUENCY)
        drawn = rng.choice(np.flatnonzero(common), panel[i] + causal[i], replace=False)
        causes = np.zeros(len(common), bool)
        causes[drawn[: causal[i]]] = True
        column = starts[i]
        for site in np.sort(drawn).tolist():
            haplotypes = history.haplotypes(site)
            copies = haplotypes[0::2] + haplotypes[1::2]
            if causes[site]:
                truth += copies * effects(rng, mean[site])[owner]
            else:
                dosage[:, column] = copies
                column += 1
    trait = truth.copy()
    for group in range(len(GROUPS)):
        own = owner == group
        truth[own] -= truth[own].mean()
        noise = rng.standard_normal(own.sum())
        # Noise that has nothing to do with the truth in these people, of the size that is asked.
        noise -= noise.mean()
        noise -= truth[own] * (noise @ truth[own]) / (truth[own] @ truth[own])
        noise *= truth[own].std() / noise.std() * sqrt((1 - HERITABILITY) / HERITABILITY)
        trait[own] = truth[own] + noise
    return Study(dosage, trait, truth, rows, starts)


def roster(scale: float) -> tuple[dict[str, int], dict[tuple[str, str], slice]]:
    """Return how many people a group has, and which of all are of which part."""
    people: dict[str, int] = {}
    rows: dict[tuple[str, str], slice] = {}
    first = 0
    for group in GROUPS:
        sizes = {"training": TRAINING[group], "tuning": TUNING, "test": TEST}
        people[group] = 0
        for part, size in sizes.items():
            count = round(size * scale)
            rows[group, part] = slice(first, first + count)
            first += count
            people[group] += count
    return people, rows


def effects(rng: np.random.Generator, mean: float) -> NDArray[np.float64]:
    """Return the effect of one variant per allele in each population, (groups,)."""
    shared = rng.standard_normal()
    own = rng.standard_normal(len(GROUPS))
    z = sqrt(CORRELATION) * shared + sqrt(1 - CORRELATION) * own
    return z / sqrt(2 * mean * (1 - mean))
