"""Whole-genome offsets: a slow twin, what they must not depend on, and a scan that they mend."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import stats

from equipoise.errors import InputError
from equipoise.federation.roster import folds
from equipoise.genotypes import plink
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.solvers.ridge_levels import level_one
from equipoise.tools import ridge
from equipoise.tools.design import Design, design
from equipoise.tools.executors import executor
from equipoise.tools.people import Matched
from equipoise.tools.ridge import Offsets, Ridge, offsets, subtracted
from equipoise.tools.sites import Sites, open_sites

SMALL = Ridge(block=15, folds=3, shares=(0.2, 0.8))


def site(
    folder: Path, dosage: NDArray[np.float64], names: Sequence[str], ids: Sequence[str] = ()
) -> Sites:
    rows = {
        HEADER[0]: list(names),
        HEADER[1]: np.arange(1, len(names) + 1) * 1000,
        HEADER[2]: ["A"] * len(names),
        HEADER[3]: ["G"] * len(names),
    }
    people = tuple(ids) or tuple(f"P{i}" for i in range(dosage.shape[1]))
    plink.write(folder / "site", encode(dosage), Variants.of(pl.DataFrame(rows)), people)
    return open_sites([folder / "site.bed"])


def drawn(
    seed: int, n: int = 150, variants: int = 100
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return dosages and, of each person, two traits and a covariate."""
    draw = np.random.default_rng(seed)
    dosage = draw.binomial(2, draw.uniform(0.2, 0.5, (variants, 1)), (variants, n)) * 1.0
    traits = dosage[::9].T @ draw.normal(size=(len(dosage[::9]), 2)) + draw.normal(size=(n, 2))
    age = draw.normal(50, 10, n) + dosage[3]
    dosage[draw.random(dosage.shape) < 0.02] = np.nan
    return dosage, np.column_stack([traits + 0.1 * age[:, None], age])


def found(
    sites: Sites, values: NDArray[np.float64], settings: Ridge = SMALL, threads: int = 1
) -> tuple[Offsets, Design]:
    rows = np.arange(len(values))
    matched = (Matched(rows, values, {}),)
    traits = [f"t{i}" for i in range(2)]
    columns = design(matched, traits, [f"c{i}" for i in range(values.shape[1] - 2)])
    cohorts = columns.cohorts(sites, matched)
    people = [sites.sites[0].sample_ids[: len(values)]]
    with executor(threads) as pool:
        (own,) = offsets(cohorts, columns, sites.variants.chromosome, people, settings, pool)
    return own, columns


def slow(
    dosage: NDArray[np.float64], names: list[str], columns: Design, fold: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the offsets from rows: standardised genotypes, residuals and least squares."""
    held = columns.columns[0]
    k = len(columns.covariates)
    c = np.column_stack([np.ones(len(held)), held[:, :k]])
    project = np.eye(len(c)) - c @ np.linalg.pinv(c)
    y = project @ held[:, k:]
    p = np.nanmean(dosage, axis=1) / 2
    x = np.where(np.isnan(dosage), 2 * p[:, None], dosage) - 2 * p[:, None]
    x = project @ x.T
    x /= np.sqrt((x**2).mean(axis=0))
    chromosomes = np.array(names)
    level: list[NDArray[np.float64]] = []
    of: list[str] = []
    for name in dict.fromkeys(names):
        places = np.flatnonzero(chromosomes == name)
        for part in np.array_split(places, -(-len(places) // SMALL.block)):
            for share in SMALL.shares:
                penalty = len(names) * (1 - share) / share
                w = np.zeros_like(y)
                for f in range(SMALL.folds):
                    own, g = fold == f, x[:, part]
                    ridged = g[~own].T @ g[~own] + penalty * np.eye(len(part))
                    w[own] = g[own] @ np.linalg.solve(ridged, g[~own].T @ y[~own])
                level.append(w)
                of.append(name)
    stacked = np.array(level)
    answer = {name: np.zeros_like(y) for name in dict.fromkeys(names)}
    for t in range(y.shape[1]):
        w = stacked[:, :, t].T
        members = [fold == f for f in range(SMALL.folds)]
        gram = np.stack([w[m].T @ w[m] for m in members])
        score = np.stack([w[m].T @ y[m, t] for m in members])
        square = np.array([y[m, t] @ y[m, t] for m in members])
        weights = level_one(gram, score, square, len(y), SMALL.shares).weights
        for name, offset in answer.items():
            offset[:, t] = (w * weights[fold])[:, np.array(of) != name].sum(axis=1)
    return answer


@pytest.mark.parametrize("at_once", [1 << 14, 64])
def test_offsets_are_those_of_the_slow_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(ridge, "PEOPLE_AT_ONCE", at_once)
    dosage, values = drawn(1)
    names = ["1"] * 40 + ["2"] * 25 + ["3"] * 35
    sites = site(tmp_path, dosage, names)
    own, columns = found(sites, values)
    fold = folds(sites.sites[0].sample_ids, SMALL.seed, SMALL.folds)
    expected = slow(dosage, names, columns, fold)
    assert own.by_chromosome.keys() == expected.keys()
    assert own.variants == 100
    for name, offset in expected.items():
        # Products are made in float32.
        np.testing.assert_allclose(own.by_chromosome[name], offset, atol=2e-5)
        assert offset.std() > 0.05


def test_offsets_are_the_same_by_threads_and_for_people_in_another_order(tmp_path: Path) -> None:
    dosage, values = drawn(2)
    names = ["1"] * 50 + ["2"] * 50
    ids = [f"P{i}" for i in range(len(values))]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, _ = found(site(tmp_path / "a", dosage, names, ids), values, threads=2)
    again, _ = found(site(tmp_path / "a", dosage, names, ids), values)
    order = np.random.default_rng(1).permutation(len(values))
    turned = site(tmp_path / "b", dosage[:, order], names, [ids[i] for i in order])
    two, _ = found(turned, values[order])
    for name, offset in one.by_chromosome.items():
        np.testing.assert_array_equal(again.by_chromosome[name], offset)
        np.testing.assert_allclose(two.by_chromosome[name], offset[order], atol=1e-5)


def test_one_chromosome_gives_zeros_and_x_takes_all_autosomes(tmp_path: Path) -> None:
    dosage, values = drawn(3)
    own, columns = found(site(tmp_path, dosage, ["7"] * 60 + ["X"] * 40), values)
    assert own.variants == 60
    assert not own.by_chromosome["7"].any()
    assert own.by_chromosome["X"].std() > 0.05
    taken = subtracted(columns, [own], "X")
    np.testing.assert_allclose(
        columns.columns[0][:, -2:] - taken.columns[0][:, -2:], own.by_chromosome["X"]
    )
    np.testing.assert_array_equal(columns.columns[0][:, 0], taken.columns[0][:, 0])
    assert np.all(np.abs(taken.columns[0]).max(axis=0) <= taken.bounds)


def test_people_who_take_no_part_change_nothing(tmp_path: Path) -> None:
    dosage, values = drawn(4)
    names = ["1"] * 50 + ["2"] * 50
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    some, _ = found(site(tmp_path / "a", dosage, names), values[:120])
    alone, _ = found(site(tmp_path / "b", dosage[:, :120], names), values[:120])
    for name, offset in alone.by_chromosome.items():
        np.testing.assert_array_equal(some.by_chromosome[name], offset)


def test_what_cannot_be_done_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dosage, values = drawn(5)
    sites = site(tmp_path, dosage, ["1"] * 50 + ["2"] * 50)
    with pytest.raises(InputError, match="in one of 50 folds"):
        found(sites, values, Ridge(folds=50))
    with pytest.raises(InputError, match="no autosomal variant is common enough"):
        found(sites, values, Ridge(least_frequency=0.6))
    matched = (Matched(np.arange(len(values)), values, {}),)
    columns = design(matched, ["t"], ["a", "b"])
    cohorts = columns.cohorts(sites, matched)
    with pytest.raises(InputError, match="over 2 sites; expected one"):
        offsets(cohorts * 2, columns, sites.variants.chromosome, [[], []])
    monkeypatch.setattr(ridge, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="GB; expected at most"):
        found(sites, values)


def structured(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return dosages of two mixed populations, a trait that differs by it, and causal variants.

    Chromosomes 1 and 2 have the causal variants, 3 and 4 have none.
    """
    draw = np.random.default_rng(seed)
    n, m = 1200, 3000
    base = draw.uniform(0.1, 0.9, m)
    p = np.stack([np.clip(base + draw.normal(0, 0.08, m), 0.02, 0.98) for _ in range(2)])
    share = draw.beta(0.5, 0.5, n)
    dosage = draw.binomial(2, np.outer(p[0], share) + np.outer(p[1], 1 - share)) * 1.0
    causal = draw.choice(m // 2, 60, replace=False)
    z = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    genetic = z[causal].T @ draw.normal(size=60)
    trait = genetic / genetic.std() + 1.5 * (share - 0.5) + draw.normal(size=n)
    return dosage, np.column_stack([trait, draw.normal(size=n)]), causal


def scanned(
    dosage: NDArray[np.float64], y: NDArray[np.float64], covariates: NDArray[np.float64]
) -> NDArray[np.float64]:
    c = np.column_stack([np.ones(len(y)), covariates])
    x, y = ((v - c @ np.linalg.lstsq(c, v, rcond=None)[0]) for v in (dosage.T, y))
    r = x.T @ y / np.sqrt((x**2).sum(axis=0) * (y @ y))
    return r * np.sqrt((len(y) - c.shape[1] - 1) / (1 - r * r))


def inflation(t: NDArray[np.float64]) -> float:
    return float(np.median(t**2) / stats.chi2.ppf(0.5, 1))


@pytest.mark.parametrize("with_axis", [False, True])
def test_a_scan_with_offsets_is_calibrated_under_structure_and_loses_no_power(
    tmp_path: Path, with_axis: bool
) -> None:
    dosage, values, causal = structured(1)
    axis = np.linalg.svd(dosage - dosage.mean(axis=1, keepdims=True), full_matrices=False)[2][0]
    if with_axis:
        values = np.column_stack([values, axis])
    names = np.repeat(["1", "2", "3", "4"], 750)
    own, columns = found(site(tmp_path, dosage, list(names)), values, Ridge(block=250))
    k = len(columns.covariates)
    covariates, y = columns.columns[0][:, :k], columns.columns[0][:, k]
    plain = scanned(dosage, y, covariates)
    mended = np.zeros_like(plain)
    for name, offset in own.by_chromosome.items():
        of_name = names == name
        mended[of_name] = scanned(dosage[of_name], y - offset[:, 0], covariates)
    null = names > "2"
    if with_axis:
        # 1,500 null variants: the median has a standard error of 5 %.
        assert inflation(mended[null]) < 1.1
        assert np.mean(mended[causal] ** 2) > np.mean(plain[causal] ** 2)
    else:
        # Of 1,200 people alone the axis is not found in full: regenie too advises components.
        assert inflation(plain[null]) > 2
        assert inflation(mended[null]) - 1 < 0.2 * (inflation(plain[null]) - 1)
