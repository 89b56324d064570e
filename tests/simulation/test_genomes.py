"""How haplotypes become people, on a history whose every haplotype can be told."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.packed.decode import decode
from equipoise.simulation import genomes
from equipoise.simulation.demography import History
from equipoise.simulation.design import Design
from equipoise.simulation.roster import roster
from simulation.made import SMALL

SITES = 2000
DESIGN = replace(
    SMALL, people=(("EUR", 400),), chromosomes=1, variants=1000, length=100_000_000, relatives=100
)
FOUNDERS = 2 * DESIGN.n_people


def told(design: Design) -> History:
    """Return a history where the second haplotype of each founder carries every allele.

    Every other site had two mutations.
    """
    carriers = np.tile(np.array([0, 1], np.int32), design.n_people)
    return History(
        position=np.linspace(1, design.bases, SITES).astype(np.int64),
        carried=np.full((SITES, 1), design.n_people),
        once=np.arange(SITES) % 2 == 0,
        haplotypes=lambda site: carriers,
    )


@pytest.fixture
def dosage(monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float64]:
    """Return how many second haplotypes each person has, (variants, people)."""
    monkeypatch.setattr(genomes, "chromosome", lambda *_: told(DESIGN))
    people = roster(DESIGN)
    made = genomes.make(DESIGN, people, genomes.parts(DESIGN)[0])
    return decode(made.block(0, DESIGN.variants), 4 * people.n_bytes)[:, people.slots]


def test_who_has_parents_here_crosses_over_once_a_morgan(dosage: NDArray[np.float64]) -> None:
    people = roster(DESIGN)
    child = people.haplotypes[:, 0] >= FOUNDERS
    crossings = np.abs(np.diff(dosage, axis=0)).sum(axis=0)
    assert child.sum() == 150
    assert not crossings[~child].any()
    assert np.all(dosage[:, ~child] == 1)
    # Two gametes of 1 Morgan a child; a Poisson mean of 300 crossings, few lost between variants.
    assert abs(crossings[child].sum() - 300) < 5 * np.sqrt(300)
    # Each gamete begins with either haplotype.
    assert abs(dosage[0, child].mean() - 1) < 5 * np.sqrt(0.5 / 150)


def test_a_site_of_two_mutations_is_no_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genomes, "chromosome", lambda *_: told(DESIGN))
    made = genomes.make(DESIGN, roster(DESIGN), genomes.parts(DESIGN)[0])
    history = told(DESIGN)
    assert set(made.position.tolist()) <= set(history.position[history.once].tolist())


def test_each_variant_belongs_to_one_chromosome() -> None:
    for variants in (22, 23, 100_000):
        parts = genomes.parts(replace(SMALL, chromosomes=22, variants=variants))
        ends = [part.first + part.n for part in parts]
        assert [part.first for part in parts] == [0, *ends[:-1]]
        assert ends[-1] == variants
        assert max(part.n for part in parts) - min(part.n for part in parts) <= 1


def test_two_thirds_of_the_changes_are_transitions() -> None:
    derived, ancestral = genomes.letters(np.random.default_rng(1), 30_000)
    assert not np.any(derived == ancestral)
    pairs = {"AG", "GA", "CT", "TC"}
    share = np.mean([d + a in pairs for d, a in zip(derived, ancestral, strict=True)])
    assert abs(share - 2 / 3) < 5 * np.sqrt(2 / 9 / 30_000)
