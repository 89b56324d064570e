"""The history of populations, held against 2,504 real people where they are at hand."""

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import ROOT
from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.counts import genotype_counts
from equipoise.simulation.demography import POPULATIONS

msprime = pytest.importorskip("msprime", reason="the extra `simulate` is not installed")

from equipoise.simulation.demography import chromosome, demography  # noqa: E402

N = 100
REAL = ROOT.parent / "shared" / "data" / "kg2504"


def fst(f: NDArray[np.float64], n: NDArray[np.int64]) -> dict[tuple[str, str], float]:
    """Return Hudson's Fst as a ratio of sums (Bhatia et al. 2013, doi:10.1101/gr.154831.113).

    f  (variants, populations) frequencies; n  alleles of each population
    """
    found: dict[tuple[str, str], float] = {}
    for (i, one), (j, other) in combinations(enumerate(POPULATIONS), 2):
        a, b = f[:, i], f[:, j]
        within = a * (1 - a) / (n[i] - 1) + b * (1 - b) / (n[j] - 1)
        found[one, other] = float(((a - b) ** 2 - within).sum() / (a * (1 - b) + b * (1 - a)).sum())
    return found


@pytest.fixture(scope="module")
def simulated() -> dict[tuple[str, str], float]:
    frequencies: list[NDArray[np.float64]] = []
    for seed in range(1, 31):
        history = chromosome(dict.fromkeys(POPULATIONS, N), 300_000, (seed, seed + 500))
        frequencies.append(history.carried / (2 * N))
    f = np.concatenate(frequencies)
    common = np.abs(f.mean(axis=1) - 0.5) < 0.45
    return fst(f[common], np.full(len(POPULATIONS), 2 * N))


def test_distances_have_the_order_of_those_of_people(
    simulated: dict[tuple[str, str], float],
) -> None:
    d = simulated
    assert d["EUR", "SAS"] < d["EAS", "SAS"] < d["EUR", "EAS"] < d["AFR", "EUR"] < d["AFR", "EAS"]
    assert 0.05 < d["EUR", "EAS"] < 0.2
    assert 0.1 < d["AFR", "EUR"] < 0.25


def test_distances_go_with_those_of_the_1000_genomes(
    simulated: dict[tuple[str, str], float],
) -> None:
    real = _real(REAL)
    without = [pair for pair in real if "AMR" not in pair]  # whose shares are another choice here
    ours, theirs = ([d[pair] for pair in without] for d in (simulated, real))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    # The history was inferred from other people and variants: it is like, not equal.
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 0.07


def _real(folder: Path) -> dict[tuple[str, str], float]:
    if not folder.is_dir():
        pytest.skip("the 1000 Genomes set is not at hand")
    file = PlinkFile.open(folder / "kg2504_24k.bed")
    with (folder / "kg2504_pops.tsv").open(encoding="utf-8") as table:
        of = {row["IID"]: row["superpop"] for row in csv.DictReader(table, delimiter="\t")}
    population = np.array([of[iid] for iid in file.sample_ids])
    f = np.empty((file.n_variants, len(POPULATIONS)))
    for p, name in enumerate(POPULATIONS):
        counts = genotype_counts(
            file.packed(0, file.n_variants), file.n_samples, population == name
        )
        f[:, p] = (2 * counts[:, 0] + counts[:, 1]) / (2 * counts[:, :3].sum(axis=1))
    return fst(f, np.array([2 * int((population == name).sum()) for name in POPULATIONS]))


def test_an_admixed_population_of_one_source_is_that_source() -> None:
    f: list[NDArray[np.float64]] = []
    for seed in range(1, 9):
        history = chromosome({"EUR": N, "AMR": N}, 300_000, (seed, seed), {"EUR": 1.0})
        f.append(history.carried / (2 * N))
    a, b = np.concatenate(f).T
    within = (a * (1 - a) + b * (1 - b)) / (2 * N - 1)
    distance = ((a - b) ** 2 - within).sum() / (a * (1 - b) + b * (1 - a)).sum()
    assert abs(distance) < 0.005


def test_the_history_is_one_that_msprime_holds_valid() -> None:
    demography().validate()


def test_carriers_are_those_among_the_haplotypes() -> None:
    history = chromosome({"EUR": 5, "AFR": 3}, 100_000, (1, 2))
    for site, carried in enumerate(history.carried.tolist()):
        alleles = history.haplotypes(site)
        assert [int(alleles[:10].sum()), int(alleles[10:].sum())] == carried
    assert history.once.mean() > 0.99
    assert history.position.min() >= 1
