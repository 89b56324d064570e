"""Components against numpy's SVD of everybody's rows and PLINK's, and which of them are kept."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise import demo
from equipoise.analyses.components import ComponentLoadings, Components, ComponentsState
from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.analyses.pruning import Pruned, Pruning
from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.federation.roster import folds
from equipoise.genotypes import variants
from equipoise.genotypes.align import align
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.variants import Variants
from equipoise.packed.decode import encode
from equipoise.solvers.spectrum import Noise, above_noise
from equipoise.step import Done
from laws import harness, law
from strategies import Memory, Rows

Floats = NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[2]
SITES = ("FIN", "CEU", "TSI", "GBR")
MEGABASE = 1_000_000


# Real data: the bundled four cohorts, everybody of them.


@cache
def demo_cohorts() -> tuple[Cohort, ...]:
    listed = variants.read(demo.folder() / "variants.tsv")
    found: list[Cohort] = []
    for site in SITES:
        file = PlinkFile.open(demo.folder() / "sites" / site / "genotypes")
        source, _ = align(file, file.variants, listed)
        n = file.n_samples
        found.append(Cohort(source, np.arange(n), {}, np.zeros(n, np.int64)))
    return tuple(found)


@cache
def demo_dosage() -> Floats:
    return np.concatenate([c.dosage(0, c.genotypes.n_variants) for c in demo_cohorts()], axis=1)


@cache
def demo_pruned() -> Pruned:
    return pooled_pruning(demo_cohorts(), windows(demo_listed(), MEGABASE), 12)[1]


def demo_listed() -> Variants:
    return variants.read(demo.folder() / "variants.tsv")


def windows(listed: Variants, size: int) -> tuple[int, ...]:
    tile = listed.position // size
    new = (listed.chromosome[1:] != listed.chromosome[:-1]) | (tile[1:] != tile[:-1])
    return (0, *(np.flatnonzero(new) + 1).tolist(), listed.n_variants)


def pooled_pruning(
    cohorts: tuple[Cohort, ...], of: tuple[int, ...], columns: int, r2: float = 0.1
) -> tuple[Frequencies, Pruned]:
    """Return what the two steps before give, in the clear."""
    people, m = sum(c.n for c in cohorts), of[-1]
    frequencies = harness.run(Frequency(people, m, 10, 0), cohorts, "clear").result
    pruning = Pruning(people, m, of, columns, frequencies, r2=r2)
    return frequencies, harness.run(pruning, cohorts, "clear", rounds=min(columns - 1, 1)).result


def svd(dosage: Floats, p: Floats) -> tuple[Floats, Floats, Floats]:
    """Return eigenvalues of XX'/m, loadings, and scores of variance 1, greatest first."""
    x = (dosage - 2 * p[:, None]) / np.sqrt(2 * p * (1 - p))[:, None]
    x = np.where(np.isnan(x), 0.0, x)
    u, s, v = np.linalg.svd(x, full_matrices=False)
    return s**2 / len(x), u, v.T * np.sqrt(dosage.shape[1])


def scores(components: Components, cohorts: tuple[Cohort, ...], found: ComponentLoadings) -> Floats:
    derived = [components.derive(cohort, found) for cohort in cohorts]
    names = [f"PC{i + 1}" for i in range(components.k)]
    return np.column_stack([np.concatenate([d[name] for d in derived]) for name in names])


@cache
def demo_run(width: int = 1, rounds: int = 26) -> tuple[Components, ComponentLoadings]:
    of = windows(demo_listed(), MEGABASE)
    frequencies, pruned = pooled_pruning(demo_cohorts(), of, 12)
    size = 12 * (len(of) - 1)
    components = Components(358, of[-1], 4, width, rounds, size, frequencies, pruned, seed=1)
    done = harness.run(components, demo_cohorts(), "masked", rounds=rounds)
    return components, done.result


def test_two_of_four_components_of_the_demo_are_kept() -> None:
    components, found = demo_run()
    assert found.kept.tolist() == [True, True, False, False]
    assert found.separated.tolist() == [True, True, False, False]
    assert found.rounds < components.rounds, "it goes on after all that may be kept is found"
    derived = scores(components, demo_cohorts(), found)
    assert not derived[:, 2:].any()
    assert not found.loadings[:, 2:].any()
    np.testing.assert_allclose(derived[:, :2].mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose((derived[:, :2] ** 2).mean(axis=0), 1.0, atol=1e-6)


def test_kept_components_of_the_demo_are_those_of_the_svd() -> None:
    components, found = demo_run()
    p = components.frequencies.frequency[found.variants]
    values, loadings, exact = svd(demo_dosage()[found.variants], p)
    # The sine of the angle is at most 2^-10: one less the cosine is below 2^-21.
    np.testing.assert_allclose(found.eigenvalues[:2], values[:2], rtol=2.0**-19)
    derived = scores(components, demo_cohorts(), found)
    for i in range(2):
        assert abs(loadings[:, i] @ found.loadings[:, i]) > 1 - 2.0**-20
        assert abs(exact[:, i] @ derived[:, i]) / 358 > 1 - 2.0**-20
    assert found.total[0] == pytest.approx(values.sum(), rel=1e-6)  # the grid of the trace


def test_kept_components_of_the_demo_are_those_of_plink() -> None:
    golden = ROOT / "tests" / "data" / "components_plink2.tsv"
    _, first, *rows = golden.read_text("utf-8").splitlines()
    values = np.array([float(v) for v in first.split("\t")])
    vectors = np.array([[float(v) for v in row.split("\t")] for row in rows])
    components, found = demo_run()
    derived = scores(components, demo_cohorts(), found)
    # PLINK prints six digits, and the angle is as above.
    np.testing.assert_allclose(found.eigenvalues[:2], values[:2], rtol=1e-5)
    for i in range(2):
        assert abs(vectors[:, i] @ derived[:, i]) / np.sqrt(358) > 1 - 2.0**-18


def test_the_first_component_of_the_demo_tells_the_cohorts_apart() -> None:
    components, found = demo_run()
    first = scores(components, demo_cohorts(), found)[:, 0]
    site = np.repeat(np.arange(4), [c.n for c in demo_cohorts()])
    between = sum(np.mean(first[site == s]) ** 2 * np.mean(site == s) for s in range(4))
    assert between > 0.5  # share of its variance, which is 1; by chance it is below .03


def test_rounds_too_few_keep_nothing_that_was_not_found() -> None:
    _, found = demo_run(width=6, rounds=4)
    assert found.rounds == 4
    assert not (found.kept & ~found.converged).any()
    assert not found.loadings[:, ~found.kept].any()


@pytest.mark.parametrize(("seed", "kept"), [(1, 1), (5, 2)])
def test_no_component_of_some_of_the_demo_is_given_up_too_early(seed: int, kept: int) -> None:
    # In these draws of people early Ritz values are low and their residuals small.
    take = np.sort(np.random.default_rng(seed).choice(358, 305, replace=False))
    dosage = demo_dosage()[:, take]
    every = (Cohort(Memory(encode(dosage), 305), np.arange(305), {}, np.zeros(305, np.int64)),)
    of = windows(demo_listed(), MEGABASE)
    frequencies, pruned = pooled_pruning(every, of, 12)
    size = 12 * (len(of) - 1)
    components = Components(305, of[-1], 4, 1, 30, size, frequencies, pruned, seed=1)
    found = harness.run(components, every, "clear", rounds=30).result
    p = frequencies.frequency[pruned.variants]
    values = svd(dosage[pruned.variants], p)[0]
    noise = Noise(float(found.total[0]), 305, float(found.local[0]))
    assert int(above_noise(values[:4], noise).sum()) == int(found.kept.sum()) == kept


# Real data: 2,504 people of 26 populations, where the file is at hand.


def test_eight_components_of_26_populations_are_those_of_the_svd() -> None:
    named = os.environ.get("EQUIPOISE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "kg2504" / "kg2504_24k.bed").is_file():
        pytest.skip(f"no kg2504 at {folder}: set EQUIPOISE_DATA to the folder that has it")
    file = PlinkFile.open(folder / "kg2504" / "kg2504_24k")
    # One variant in 500 kb: pruned by distance alone.
    of = windows(file.variants, MEGABASE // 2)
    every = Cohort(file, np.arange(2504), {}, np.zeros(2504, np.int64))
    frequencies, pruned = pooled_pruning((every,), of, 1)
    dosage = every.dosage_at(pruned.variants)
    # Sites hold the pruned variants alone: what is at stake here is arithmetic.
    m = len(pruned.variants)
    counts = replace(
        frequencies,
        called=frequencies.called[pruned.variants],
        alleles=frequencies.alleles[pruned.variants],
    )
    there = replace(pruned, variants=np.arange(m))
    sites = tuple(
        Cohort(Memory(encode(part), part.shape[1]), np.arange(part.shape[1]), {}, fold)
        for part in (dosage[:, place::2] for place in range(2))
        for fold in [np.zeros(part.shape[1], np.int64)]
    )
    components = Components(2504, m, 8, 4, 20, m, counts, there, seed=2)
    found = harness.run(components, sites, "clear", rounds=20).result
    assert found.kept.all()
    x = (dosage - 2 * counts.frequency[:, None]) / np.sqrt(
        2 * counts.frequency * (1 - counts.frequency)
    )[:, None]
    gram = x.T @ x / m
    values, exact = np.linalg.eigh(gram)
    np.testing.assert_allclose(found.eigenvalues, values[::-1][:8], rtol=1e-6)
    order = np.concatenate([np.arange(2504)[place::2] for place in range(2)])
    derived = scores(components, sites, found)
    for i in range(8):
        cosine = abs(exact[order, -1 - i] @ derived[:, i]) / np.sqrt(2504)
        assert cosine > 1 - 1e-6  # the sine is at most 2^-10
    squares = float((gram**2).sum()) * (m / 2504) ** 2 - m * (m - 1) / 2503
    # By distance the trace is taken for m, which it is but for the differences of populations.
    assert found.effective_variants == pytest.approx(m**2 / squares, rel=0.05)


# Simulations, small enough for laws.


def simulated(seed: int, n: int, m: int, apart: float, missing: float = 0.02) -> Rows:
    """Return rows of independent variants; `apart` is Fst between two halves of the people."""
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.2, 0.8, m)
    shift = np.sqrt(apart * p * (1 - p)) * draw.choice([-1, 1], size=m)
    both = np.stack([p + shift, p - shift])
    dosage = draw.binomial(2, both[np.arange(n) % 2].T).astype(np.float64)
    dosage[draw.random(dosage.shape) < missing] = np.nan
    ids = tuple(f"S{seed}-{i}" for i in range(n))
    columns = {"trait": draw.integers(0, 2, n).astype(np.float64)}
    return Rows(ids, dosage, columns, folds(ids, seed, 3))


def prepared(people: Rows, **changes: Any) -> Components:
    m = people.n_variants
    frequencies, pruned = pooled_pruning((people.cohort(),), (0, m // 2, m), m // 2, r2=0.9)
    sizes: dict[str, Any] = {"k": 2, "width": 3, "rounds": 12, "size": 2 * (m // 2), **changes}
    return Components(people.n, m, frequencies=frequencies, pruned=pruned, seed=4, **sizes)


TOLERANCE = {
    **dict.fromkeys(("eigenvalues", "residuals", "following"), 2.0**-18),
    "loadings": 2.0**-16,
    "independent": 2.0**-8,
}
"""Products differ by quanta of 2^-24 at most here, and the gaps are above .1."""


@pytest.mark.parametrize(("protection", "n_sites"), [("clear", 2), ("masked", 3), ("masked", 5)])
def test_several_rounds_over_several_sites_equal_the_pooled_rows(
    protection: str, n_sites: int
) -> None:
    people = simulated(1, 90, 60, 0.15)
    components = prepared(people)
    sites = people.split(np.arange(people.n) % n_sites, n_sites)
    law.split_equals_pooled(components, people, sites, protection, TOLERANCE, rounds=12)
    found = harness.run(components, sites, protection, rounds=12).result
    assert found.kept[0]
    law.columns_are_derived_person_by_person(components, people, sites, found)


def test_the_laws_hold_in_every_round() -> None:
    people = simulated(2, 40, 40, 0.15)
    components = prepared(people, rounds=4)
    states = law.states(components, people, rounds=4)
    assert len(states) == 4
    law.order_is_irrelevant(components, people, np.arange(people.n)[::-1].copy(), states)
    law.an_empty_site_answers_zeros(components, people, states)
    law.one_person_moves_little(components, people, states)
    law.only_declared_columns_are_read(components, people, np.random.default_rng(1), states)
    law.it_is_pure(components, people, states)
    law.products_of_variants_are_declared(components, states)


@pytest.mark.parametrize(("apart", "kept"), [(0.0, 0), (0.15, 1)])
def test_noise_has_no_component_and_two_populations_have_one(apart: float, kept: int) -> None:
    for seed in range(5):
        people = simulated(10 + seed, 120, 80, apart, missing=0.0)
        components = prepared(people, width=2, rounds=30, k=3)
        found = harness.run(components, [people.cohort()], "clear", rounds=30).result
        assert int(found.kept.sum()) == kept
        if kept:
            p = components.frequencies.frequency[found.variants]
            exact = svd(people.dosage[found.variants], p)[1][:, 0]
            assert abs(exact @ found.loadings[:, 0]) > 1 - 2.0**-20  # the sine is below 2^-10


class AnotherMachine(Components):
    """The same on a machine that rounds otherwise: every total is its last digit aside."""

    def advance(self, state: ComponentsState, totals: Any) -> Any:
        aside = [{name: t * (1 + 2.0**-52) for name, t in total.items()} for total in totals]
        return Components.advance(self, state, aside)


@pytest.mark.parametrize(
    ("m", "missing", "apart"), [(60, 0.02, 0.15), (24, 0.0, 0.0), (8, 0.0, 0.0)]
)
def test_an_honest_centre_on_another_machine_is_not_refused(
    m: int, missing: float, apart: float
) -> None:
    # With 8 variants of 24 dimensions nothing new is left after a few rounds.
    people = simulated(3, 60, m, apart, missing)
    mine = prepared(people, width=3, rounds=8, size=max(m, 24))
    names = [f.name for f in mine.__dataclass_fields__.values()]
    other = AnotherMachine(**{name: getattr(mine, name) for name in names})
    sites = people.split(np.arange(people.n) % 4, 4)
    own = {"s0": mine, "s1": other, "s2": mine, "s3": other}
    done = harness.run(other, sites, "masked", rounds=8, own=own)
    assert isinstance(done.published[-1], Done)


def test_with_nothing_left_after_pruning_nothing_is_kept_and_scores_are_zero() -> None:
    people = simulated(5, 40, 20, 0.0)
    sound = prepared(people, width=2, rounds=3)
    nothing = replace(sound.pruned, variants=np.zeros(0, np.int64), trace=np.zeros(1))
    components = replace(sound, pruned=nothing)
    found = harness.run(components, [people.cohort()], "clear", rounds=3).result
    assert not found.kept.any()
    derived = components.derive(people.cohort(), found)
    assert all(not column.any() for column in derived.values())
    assert set(derived) == {"PC1", "PC2"}


@pytest.mark.parametrize("changes", [{"k": 0}, {"k": 36}, {"rounds": 21}, {"rounds": 0}])
def test_rounds_that_do_not_fit_components_and_variants_are_a_wrong_input(
    changes: dict[str, int],
) -> None:
    with pytest.raises(InputError, match="ask for fewer components or prune less"):
        replace(prepared(simulated(6, 40, 60, 0.0)), **changes)
