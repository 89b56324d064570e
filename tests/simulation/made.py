"""A small simulation and what the tests read of it."""

import csv
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.decode import decode
from equipoise.simulation.design import Design, Trait

TRAITS = (Trait("height", h2=0.8, causal=60), Trait("disease", "binary", causal=40, prevalence=0.2), Trait("nothing", "null"))  # fmt: skip

SMALL = Design(
    people=(("EUR", 160), ("AFR", 80)),
    variants=400,
    seed=7,
    chromosomes=2,
    length=300_000,
    sites=3,
    traits=TRAITS,
)
RANDOM = replace(SMALL, model="random", length=None)


@dataclass(frozen=True)
class Folder:
    """What a simulation wrote."""

    path: Path

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.path / name).open(encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def site(self, name: str) -> PlinkFile:
        return PlinkFile.open(self.path / "sites" / name / "genotypes.bed")

    @property
    def sites(self) -> list[str]:
        return sorted(path.name for path in (self.path / "sites").iterdir())

    def dosage(self, name: str) -> NDArray[np.float64]:
        file = self.site(name)
        return decode(file.packed(0, file.n_variants), file.n_samples)

    def everybody(self) -> NDArray[np.float64]:
        """Return dosages of all people in the order of truth-people.tsv."""
        return np.concatenate([self.dosage(name) for name in self.sites], axis=1)

    def column(self, table: str, name: str) -> NDArray[np.str_]:
        return np.array([row[name] for row in self.table(table)])

    def digest(self) -> dict[str, str]:
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        return {str(p.relative_to(self.path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}  # fmt: skip
