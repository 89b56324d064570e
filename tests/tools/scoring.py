"""Sites, scoring files and tables that the tests of scores share."""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from equipoise.artefacts import pgs_catalog
from equipoise.artefacts.pgs_catalog import ScoringFile
from equipoise.genotypes import plink
from equipoise.genotypes.matching import USED
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import Block, decode, encode

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


def kg2504() -> PlinkFile:
    named = os.environ.get("EQUIPOISE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "kg2504" / "kg2504_24k.bed").is_file():
        pytest.skip(f"no kg2504 at {folder}: set EQUIPOISE_DATA to the folder that has it")
    return PlinkFile.open(folder / "kg2504" / "kg2504_24k")


@dataclass(frozen=True)
class Made:
    """Real genotypes with calls taken out, a scoring file for them, and what plink2 is told.

    reasons  what the making of each weight says of it
    named    (id, allele, weight) of those that are to be used with ambiguous ones kept
    """

    prefix: Path
    scoring: Path
    reasons: list[str]
    named: list[tuple[str, str, str]]


def made(folder: Path) -> Made:
    """Make weights of every kind for every eighth variant, the last of them on X."""
    file, draw = kg2504(), np.random.default_rng(4)
    places = np.arange(0, file.n_variants, 8)
    dosage = np.concatenate([decode(file.packed(p, p + 1), file.n_samples) for p in places])
    dosage[draw.random(dosage.shape) < 0.02] = np.nan
    v = file.variants
    chromosome = v.chromosome[places].copy()
    chromosome[-300:] = "X"
    own = Variants(chromosome, v.position[places], v.effect_allele[places], v.other_allele[places])
    prefix = folder / "kg"
    plink.write(prefix, encode(dosage), own, file.sample_ids, file.sex)
    bim = [line.split("\t") for line in prefix.with_suffix(".bim").read_text().splitlines()]
    for number, line in enumerate(bim):
        line[1] = f"v{number}"
    prefix.with_suffix(".bim").write_text("".join("\t".join(line) + "\n" for line in bim))
    rows, reasons, named = [], [], []
    for number, (chrom, _, _, at, a1, a2) in enumerate(bim):
        effect, other = (a1, a2) if draw.random() < 0.5 else (a2, a1)
        position, size = int(at), f"{draw.normal():.6f}"
        reason = "matched" if effect == a1 else "swapped"
        used, kind = (f"v{number}", effect, size), number % 6
        palindrome = a1.translate(COMPLEMENT) == a2
        if kind == 1 and not palindrome:
            effect, other = effect.translate(COMPLEMENT), other.translate(COMPLEMENT)
            reason = "other_strand"
        elif kind == 2:
            position, reason = 240_000_000 + number, "absent"
        elif kind == 3 and not palindrome:
            other = "GATTACA"
            reason = "allele_mismatch"
        elif palindrome:
            reason = "ambiguous_kept"
        if reason in USED:
            named.append(used)
        rows.append((f"v{number}", f"chr{chrom}", position, effect, other, size))
        reasons.append(reason)
    path = folder / "PGS9_hmPOS_GRCh37.txt.gz"
    weights(folder / "plain.txt", rows, "PGS9")
    path.write_bytes(gzip.compress((folder / "plain.txt").read_bytes()))
    return Made(prefix, path, reasons, named)
