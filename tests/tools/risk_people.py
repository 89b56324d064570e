"""People of three groups with linked variants and a trait, as files of several sites."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import encode

GROUPS = ("large", "middle", "small")
PEOPLE = (1100, 600, 500)
BLOCKS, SIZE = 6, 20


@dataclass(frozen=True)
class People:
    """dosage (people, variants), NaN where not called; trait and age (people,); group numbers."""

    dosage: NDArray[np.float64]
    trait: NDArray[np.float64]
    age: NDArray[np.float64]
    group: NDArray[np.int64]

    @property
    def ids(self) -> list[str]:
        return [f"P{i}" for i in range(len(self.trait))]


def people(seed: int = 1, missing: float = 0.01) -> People:
    """Return people whose linkage and frequencies differ by group, and effects a little."""
    draw = np.random.default_rng(seed)
    group = draw.permutation(np.repeat(np.arange(3), PEOPLE))
    n, m = len(group), BLOCKS * SIZE
    effect = np.where(draw.random(m) < 0.1, draw.standard_normal(m), 0.0)
    dosage, value = np.zeros((n, m)), np.zeros(n)
    for g in range(3):
        here = np.flatnonzero(group == g)
        for block in range(BLOCKS):
            columns = slice(block * SIZE, (block + 1) * SIZE)
            copies = [_haplotypes(draw, len(here), 0.8 - 0.2 * g) for _ in range(2)]
            dosage[here, columns] = copies[0] + copies[1]
        own = effect + 0.4 * effect * draw.standard_normal(m)
        value[here] = (dosage[here] - dosage[here].mean(axis=0)) @ own
    age = draw.normal(size=n)
    noise = draw.standard_normal(n) * value.std()
    trait = value + noise + 0.3 * age + 0.5 * group
    dosage[draw.random(dosage.shape) < missing] = np.nan
    return People(dosage, trait, age, group)


def _haplotypes(draw: np.random.Generator, n: int, linked: float) -> NDArray[np.float64]:
    frequency = draw.uniform(0.1, 0.5, SIZE)
    latent = np.zeros((n, SIZE))
    latent[:, 0] = draw.standard_normal(n)
    for j in range(1, SIZE):
        fresh = np.sqrt(1 - linked**2) * draw.standard_normal(n)
        latent[:, j] = linked * latent[:, j - 1] + fresh
    limit = np.quantile(latent, 1 - frequency, axis=0).diagonal()
    return (latent > limit).astype(np.float64)


def write(folder: Path, of: People, sites: int = 4) -> list[Path]:
    """Write a .bed and a table for each site; return the .bed files."""
    owner = np.arange(len(of.trait)) % sites
    names, found = of.ids, []
    for site in range(sites):
        here = np.flatnonzero(owner == site)
        path = folder / f"site{site}.bed"
        block = encode(of.dosage[here].T)
        path.write_bytes(bytes([0x6C, 0x1B, 1]) + block.tobytes())
        listed = [
            f"{1 + v // (3 * SIZE)}\trs{v}\t0\t{1000 * (v + 1)}\tA\tC\n"
            for v in range(of.dosage.shape[1])
        ]
        path.with_suffix(".bim").write_text("".join(listed))
        rows = [f"{names[i]} {names[i]} 0 0 0 -9\n" for i in here.tolist()]
        path.with_suffix(".fam").write_text("".join(rows))
        lines = ["IID\ttrait\tsick\tage\tgroup\n"]
        lines += [
            f"{names[i]}\t{of.trait[i]:.6f}\t{int(of.trait[i] > 1)}\t{of.age[i]:.6f}"
            f"\t{GROUPS[of.group[i]]}\n"
            for i in here.tolist()
        ]
        path.with_suffix(".tsv").write_text("".join(lines))
        found.append(path)
    return found
