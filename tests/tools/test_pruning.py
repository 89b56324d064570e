"""Pruned sets keep the bound, by brute force; plink2's count beside ours; sites beside pooled."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequency
from equipoise.cohort import Cohort
from equipoise.genotypes.align import AlignedSource
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.tools.adding import Adding
from equipoise.tools.pruning import Linked, Window, in_order, linkage, listed, pruned
from equipoise.tools.sites import open_sites

KG = Path(__file__).resolve().parents[3] / "shared" / "data" / "kg2504" / "kg2504_24k.bed"

Floats = NDArray[np.float64]


class Held:
    """Genotypes in memory."""

    def __init__(self, dosage: Floats) -> None:
        self.block = encode(dosage)
        self.n_variants: int = dosage.shape[0]
        self.n_samples: int = dosage.shape[1]

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.block[start:stop]


class Dosed(Held):
    """The same with dosages."""

    has_dosages = True

    def __init__(self, dosage: Floats) -> None:
        super().__init__(np.rint(dosage))
        self.dosage = dosage.astype(np.float32)

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.dosage[start:stop]


def cohort(source: Held) -> Cohort:
    n = source.n_samples
    return Cohort(source, np.arange(n), {}, np.zeros(n, np.int64))


def linked_genotypes(seed: int, m: int, n: int, missing: float = 0.05) -> Floats:
    """Return dosages in which neighbours are alike."""
    draw = np.random.default_rng(seed)
    haplotypes = np.zeros((m, 2 * n))
    haplotypes[0] = draw.random(2 * n) < 0.4
    for v in range(1, m):
        fresh = draw.random(2 * n) < draw.uniform(0.1, 0.5)
        haplotypes[v] = np.where(draw.random(2 * n) < 0.7, haplotypes[v - 1], fresh)
    dosage = haplotypes[:, :n] + haplotypes[:, n:]
    dosage[draw.random((m, n)) < missing] = np.nan
    return dosage


def spread(m: int, chromosomes: int = 2) -> Variants:
    frame = pl.DataFrame(
        {
            HEADER[0]: [str(1 + i * chromosomes // m) for i in range(m)],
            HEADER[1]: [1 + 1000 * i for i in range(m)],
            HEADER[2]: ["A"] * m,
            HEADER[3]: ["G"] * m,
        }
    )
    return Variants.of(frame)


def squares(dosage: Floats) -> Floats:
    """Return r2 of all pairs by numpy, missing calls at the mean; 0 where nothing varies."""
    mean = np.nanmean(dosage, axis=1, keepdims=True)
    x = np.where(np.isnan(dosage), mean, dosage) - mean
    norm = np.sqrt((x**2).sum(axis=1))
    x /= np.where(norm > 0, norm, 1)[:, None]
    return (x @ x.T) ** 2


def found(parts: list[Floats], variants: Variants, window: Window, limit: float) -> Linked:
    whole = np.concatenate(parts, axis=1)
    protection = "masked" if len(parts) > 2 else "clear"
    adding = Adding(tuple(cohort(Held(part)) for part in parts), protection)
    counted = adding.run(Frequency(whole.shape[1], len(whole), 0, 1))
    reach = window.reach(variants)
    mean = counted.mean_at(np.arange(len(whole)))
    return linkage(adding, mean, counted.called < whole.shape[1], reach, limit)


@settings(max_examples=25)
@given(
    st.integers(0, 2**31),
    st.integers(2, 60),
    st.floats(0.05, 0.9),
    st.sampled_from([Window(5000, None), Window(None, 7), Window(10**9, None)]),
    st.sampled_from([0.0, 0.1]),
)
def test_no_kept_pair_is_beyond_the_bound_and_no_removed_one_could_stay(
    seed: int, m: int, limit: float, window: Window, missing: float
) -> None:
    dosage, variants = linked_genotypes(seed, m, 60, missing), spread(m)
    linked = found([dosage], variants, window, limit)
    minor = np.minimum(np.nanmean(dosage, axis=1), 2 - np.nanmean(dosage, axis=1))
    kept = pruned(linked, minor)
    r2, reach = squares(dosage), window.reach(variants)
    near = (np.arange(m) > np.arange(m)[:, None]) & (np.arange(m) < reach[:, None])
    # 1e-6: a pair may lie on the bound but for rounding.
    assert not np.any((r2 > limit + 1e-6) & near & kept[:, None] & kept)
    beside = (r2 > limit - 1e-6) & (near | near.T)
    varies = np.nanvar(dosage, axis=1) > 0
    assert np.all(kept | ~varies | (beside & kept).any(axis=1))
    excess = float((r2 - 1 / 59)[near].sum())
    assert linked.excess == pytest.approx(excess, abs=1e-6)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_sites_give_the_pairs_of_the_pooled_people(missing: float) -> None:
    dosage, variants = linked_genotypes(4, 300, 90, missing), spread(300)
    pooled = found([dosage], variants, Window(None, 20), 0.2)
    parts = np.split(dosage, [20, 50], axis=1)
    split = found(list(parts), variants, Window(None, 20), 0.2)
    np.testing.assert_array_equal(pooled.left, split.left)
    np.testing.assert_array_equal(pooled.right, split.right)
    assert pooled.excess == pytest.approx(split.excess, abs=1e-6)
    assert pooled.effective() == pytest.approx(split.effective(), rel=1e-6)


def test_dosages_give_what_their_hard_calls_give() -> None:
    dosage, variants = linked_genotypes(4, 150, 60), spread(150)
    reach = Window().reach(variants)
    mean, missing = np.nanmean(dosage, axis=1), np.array(np.isnan(dosage).any(axis=1))
    both = [
        linkage(Adding((cohort(kind(dosage)),)), mean, missing, reach, 0.2)
        for kind in (Held, Dosed)
    ]
    np.testing.assert_array_equal(both[0].left, both[1].left)
    np.testing.assert_allclose(both[0].variance, both[1].variance, atol=1e-6)


def test_the_more_frequent_of_two_stays_and_ties_go_by_position() -> None:
    pair = Linked(np.array([0]), np.array([1]), 0.0, np.ones(3), 3)
    assert pruned(pair, np.array([0.1, 0.2, 0.1])).tolist() == [False, True, True]
    assert pruned(pair, np.array([0.2, 0.2, 0.1])).tolist() == [True, False, True]


def test_a_variant_that_does_not_vary_is_never_kept() -> None:
    dosage = np.vstack([np.ones(40), linked_genotypes(1, 3, 40, 0.0)])
    linked = found([dosage], spread(4, 1), Window(), 0.99)
    assert not pruned(linked, np.array([0.5, 0.4, 0.3, 0.2]))[0]


def test_windows_are_read_and_end_with_the_chromosome() -> None:
    variants = spread(6)
    assert Window.of("2kb").reach(variants).tolist() == [3, 3, 3, 6, 6, 6]
    assert Window.of("2").reach(variants).tolist() == [2, 3, 3, 5, 6, 6]
    for text in ("", "0", "-5", "x kb", "1.5kb"):
        with pytest.raises(ValueError, match="expected such as 500kb"):
            Window.of(text)


def test_places_are_put_in_order_of_position_within_chromosomes() -> None:
    variants = listed(spread(6), np.array([5, 4, 0, 3, 2, 1]))
    order = in_order(variants, np.arange(6))
    assert variants.chromosome[order].tolist() == ["2"] * 3 + ["1"] * 3
    assert np.all(np.diff(variants.position[order])[[0, 1, 3, 4]] > 0)


@pytest.mark.skipif(not KG.exists() or not shutil.which("plink2"), reason="needs kg2504, plink2")
def test_real_genotypes_keep_at_least_as_many_as_plink2(tmp_path: Path) -> None:
    sites = open_sites([KG])
    source, n = sites.sites[0].source, sites.sites[0].source.n_samples
    everybody = Cohort(source, np.arange(n), {}, np.zeros(n, np.int64))
    counted = Adding((everybody,)).run(Frequency(n, sites.n_variants, 0, 1))
    minor = np.minimum(counted.frequency, 1 - counted.frequency)
    places = in_order(sites.variants, np.flatnonzero(minor >= 0.01))
    chosen = AlignedSource(source, places, np.zeros(len(places), np.bool_))
    part = Adding((Cohort(chosen, np.arange(n), {}, np.zeros(n, np.int64)),))
    reach = Window.of("500kb").reach(listed(sites.variants, places))
    linked = linkage(part, counted.mean_at(places), np.zeros(len(places), np.bool_), reach, 0.1)
    kept = np.count_nonzero(pruned(linked, minor[places]))
    run = ["plink2", "--bfile", str(KG.with_suffix("")), "--maf", "0.01", "--threads", "1"]
    run += ["--indep-pairwise", "500kb", "1", "0.1", "--out", str(tmp_path / "p")]
    subprocess.run(run, check=True, capture_output=True)
    theirs = len((tmp_path / "p.prune.in").read_text().split())
    assert kept >= 0.95 * theirs
