"""Sites, scoring files and tables that the tests of scores share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.artefacts import pgs_catalog
from equipoise.artefacts.pgs_catalog import ScoringFile
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import Block, encode

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight")
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class Memory:
    """Genotypes held in memory; with `real` also dosages."""

    calls: NDArray[np.float64]
    real: NDArray[np.float32] | None = None

    @property
    def n_variants(self) -> int:
        return len(self.calls)

    @property
    def n_samples(self) -> int:
        return self.calls.shape[1]

    @property
    def has_dosages(self) -> bool:
        return self.real is not None

    def packed(self, start: int, stop: int) -> Block:
        return encode(self.calls[start:stop])

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        assert self.real is not None
        return self.real[start:stop]


@dataclass(frozen=True)
class Held:
    """A site of a test."""

    name: str
    source: Memory | PlinkFile
    sample_ids: tuple[str, ...]
    sex: NDArray[np.int8]


def site(
    calls: NDArray[np.float64],
    name: str = "a",
    first: int = 0,
    real: NDArray[np.float32] | None = None,
) -> Held:
    n = calls.shape[1]
    ids = tuple(f"P{first + i}" for i in range(n))
    return Held(name, Memory(calls, real), ids, (np.arange(n) % 2 + 1).astype(np.int8))


def listed(rows: list[tuple[str, int, str, str]]) -> Variants:
    schema = dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64}
    return Variants.of(pl.DataFrame(rows, schema=schema, orient="row"))


def weights(
    path: Path, rows: list[tuple[object, ...]], name: str = "PGS1", build: str = "GRCh37"
) -> ScoringFile:
    head = f"#pgs_id={name}\n#genome_build={build}\n"
    body = "\n".join("\t".join(map(str, row)) for row in (NAMES, *rows)) + "\n"
    path.write_text(head + body)
    return pgs_catalog.read(path)


def table(path: Path) -> list[dict[str, str]]:
    names, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [dict(zip(names, row, strict=True)) for row in rows]
