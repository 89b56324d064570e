"""The membership test: its theory against simulated pools, and planted faults."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.source import codes_of
from equipoise.solvers.distributions import student_above
from equipoise.solvers.lira import clopper_pearson, measured
from equipoise.solvers.membership import (
    ALARMS,
    LEAST_OTHERS,
    NOT_CALLED,
    Attained,
    Linkage,
    Stratum,
    frequencies_in_cases,
    membership_auc,
    membership_power,
    paired_statistics,
    standardised,
    statistic,
)
from strategies import SEEDS

PEOPLE = st.integers(1, 10**6)


def drawn(draw: np.random.Generator, p: NDArray[np.float64], people: int) -> NDArray[np.uint8]:
    """Return copies in Hardy-Weinberg proportions, (variants, people)."""
    each = p.astype(np.float32)[:, None]
    first = draw.random((len(p), people), np.float32) < each
    return first.astype(np.uint8) + (draw.random((len(p), people), np.float32) < each)


@given(PEOPLE, st.floats(1, 1e6), st.sampled_from([0.05, 0.001]), st.integers(1, 10**6))
def test_more_people_hide_each_other_better(
    people: int, variants: float, alpha: float, reference: int
) -> None:
    few = membership_power(people, variants, alpha)
    assert alpha <= membership_power(people + 1, variants, alpha) <= few <= 1
    assert membership_auc(people + 1, variants) <= membership_auc(people, variants)
    assert alpha <= membership_power(people, variants, alpha, reference) <= few
    assert 0.5 <= membership_auc(people, variants, reference) <= membership_auc(people, variants)


@pytest.mark.parametrize("people", [500, 2_000])
@pytest.mark.parametrize("variants", [1_000, 5_000, 20_000])
def test_theory_holds_for_simulated_pools(people: int, variants: int) -> None:
    """Where the population's frequencies are known, L of others has a known mean and spread."""
    draw = np.random.default_rng([people, variants])
    p = draw.uniform(0.1, 0.9, variants)
    tested, alarms, hits, above, trials = 250, (0.05, 0.001), np.zeros(2), [], 0
    for _ in range(8):
        members = drawn(draw, p, tested)
        pool = (members.sum(axis=1) + draw.binomial(2 * (people - tested), p)) / (2 * people)
        inside = statistic(members, pool, p, people)
        outside = statistic(drawn(draw, p, tested), pool, p, people)
        gain, loss = np.log(pool / p), np.log((1 - pool) / (1 - p))
        mean = 2 * np.sum(p * gain + (1 - p) * loss)
        sd = np.sqrt(2 * np.sum(p * (1 - p) * (gain - loss) ** 2))
        hits += [np.count_nonzero(inside > mean + stats.norm.isf(a) * sd) for a in alarms]
        above.append(np.mean(inside[:, None] > outside))
        trials += tested
    # 2,000 members: a standard error of at most .011, and .009 of the AUC.
    theory = [membership_power(people, variants, a) for a in alarms]
    np.testing.assert_allclose(hits / trials, theory, rtol=0, atol=0.03)
    assert abs(np.mean(above) - membership_auc(people, variants)) < 0.03


def two_strata(
    draw: np.random.Generator, variants: int, members: int, others: int, *, truly: bool
) -> tuple[NDArray[np.float64], list[Stratum]]:
    """Return a pool of two ancestries, and its members, or as many people like them."""
    ancestral = draw.uniform(0.2, 0.8, variants)
    p = [np.clip(ancestral + draw.normal(0, 0.1, variants), 0.05, 0.95) for _ in range(2)]
    pooled = [drawn(draw, own, members) for own in p]
    pool = np.concatenate(pooled, axis=1).mean(axis=1) / 2
    inside = pooled if truly else [drawn(draw, own, members) for own in p]
    return pool, [
        Stratum(one, drawn(draw, own, others)) for one, own in zip(inside, p, strict=True)
    ]


def attack(pool: NDArray[np.float64], people: int, strata: list[Stratum]):
    pairs = [standardised(pair) for pair in paired_statistics(pool, people, strata)]
    inside, outside = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    return measured((inside, outside), ALARMS, normal=True)


def test_theory_holds_where_the_others_are_the_reference_too() -> None:
    draw = np.random.default_rng(20261122)
    found = [(two_strata(draw, 3_000, 250, 300, truly=True)) for _ in range(4)]
    power = np.mean([attack(pool, 500, strata).rates[0].power.value for pool, strata in found])
    expected = of(500, np.full(2, 3_000.0), found[0][1])
    assert expected.reference == pytest.approx(600)
    assert expected.power(0.05) < membership_power(500, 3_000, 0.05) - 0.1
    # 300 others of an ancestry tell their mean and spread well: nearly two normals.
    normal = membership_power(500, 3_000, 0.05, 600)
    assert normal - 0.005 < expected.power(0.05) < normal
    assert expected.auc() == pytest.approx(membership_auc(500, 3_000, 600))
    # 2,000 members and limits from 2,400 others: a standard error of .017.
    assert power == pytest.approx(expected.power(0.05), abs=0.05)


def of(people: int, effective: NDArray[np.float64], strata: list[Stratum]) -> Attained:
    sizes = [(np.zeros(s.members.shape[1]), np.zeros(s.others.shape[1])) for s in strata]
    return Attained.of(people, effective, sizes)


@pytest.mark.parametrize("freedom", [8, 30, 600])
@pytest.mark.parametrize("shift", [0.0, 1.5, 12.0])
def test_the_noncentral_t_is_scipys(freedom: int, shift: float) -> None:
    law = stats.nct(freedom, shift) if shift else stats.t(freedom)
    for value in law.ppf([0.001, 0.2, 0.5, 0.95, 0.999]):
        assert student_above(value, freedom, shift) == pytest.approx(law.sf(value), abs=2e-4)


@pytest.mark.parametrize("others", [12, 40])
def test_theory_knows_how_few_others_there_are(others: int) -> None:
    """Statistics drawn as theory says, standardised as the test does: two ancestries, two M."""
    draw = np.random.default_rng(20261129)
    reference = of(100, np.ones(2), sized(60, others)).reference
    spread = np.sqrt(1 / 100 + 1 / reference)
    expected = of(100, np.array([300.0, 900.0]), sized(60, others))
    inside, outside, auc, rare = [], [], [], []
    for _ in range(300):
        pairs = []
        for effective in (300.0, 900.0):
            sd = np.sqrt(effective) * spread
            members = draw.normal(effective / 100, sd, 60)
            pairs.append(standardised((members, draw.normal(0, sd, others))))
        each, rest = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
        auc.append((each[:, None] > rest).mean())
        rare.append(measured((each, rest), (0.001,), normal=True).rates[0].power.value)
        inside.append(each)
        outside.append(rest)
    # The limit of all trials' others together: that of one trial scatters by itself.
    for alarm in (0.05, 0.2):
        limit = np.quantile(np.concatenate(outside), 1 - alarm)
        hits = (np.concatenate(inside) > limit).mean()
        assert hits == pytest.approx(expected.power(alarm), abs=0.015)
    assert np.mean(auc) == pytest.approx(expected.auc(), abs=0.02)
    assert not expected.told(0.001)
    assert np.mean(rare) == pytest.approx(expected.power(0.001), abs=0.02)
    naive = np.mean([membership_power(100, m, 0.05, reference) for m in (300.0, 900.0)])
    assert expected.power(0.05) < naive - 0.01


def sized(members: int, others: int) -> list[Stratum]:
    return [Stratum(np.zeros((1, members)), np.zeros((1, others)))] * 2


def test_a_pool_of_other_people_accuses_nobody_more_than_it_should() -> None:
    """A null: those called members are not in the pool, however small the reference."""
    draw = np.random.default_rng(20261123)
    for others in (12, 200):
        found = [attack(*null(draw, others)) for _ in range(12)]
        hits = sum(round(one.rates[0].power.value * one.members) for one in found)
        interval = clopper_pearson(hits, sum(one.members for one in found), 0.999)
        # 12 others of an ancestry set a limit that is off by itself, on average by nothing.
        assert interval.low - 0.02 < 0.05 < interval.high + 0.02
        assert abs(np.mean([one.auc.value for one in found]) - 0.5) < 0.03


def null(draw: np.random.Generator, others: int):
    pool, strata = two_strata(draw, 800, 100, others, truly=False)
    return pool, 200, strata


def test_others_compared_with_themselves_would_seem_less_like_members() -> None:
    """The fault that leaving one out prevents: a reference that contains the person."""
    pool, people, (stratum, _) = null(np.random.default_rng(20261124), 20)
    p = (stratum.others.sum(axis=1) + 0.5) / 41
    naive = statistic(stratum.members, pool, p, people), statistic(stratum.others, pool, p, people)
    fair = paired_statistics(pool, people, [stratum])[0]
    assert measured(naive, ALARMS).auc.value > 0.99
    assert 0.35 < measured(fair, ALARMS).auc.value < 0.65


@given(SEEDS, st.integers(1, 6), st.integers(2, 5), st.integers(1, 4))
def test_the_paired_statistic_is_its_definition(
    seed: int, variants: int, others: int, members: int
) -> None:
    """A slow twin: each person, each variant, one term."""
    draw = np.random.default_rng(seed)
    strata = [
        Stratum(*(draw.integers(0, 4, (variants, n)).astype(np.uint8) for n in (size, others)))
        for size in (members, members + 1)
    ]
    pool = draw.random(variants)
    found = paired_statistics(pool, 7, strata)
    share = np.array([members, members + 1]) / (2 * members + 1)

    def known(s: int, j: int, without: int | None) -> float:
        total = 0.0
        for place, stratum in enumerate(strata):
            row = stratum.others[j].tolist()
            kept = [x for k, x in enumerate(row) if (place, k) != (s, without) and x != NOT_CALLED]
            total += share[place] * sum(kept) / (2 * len(kept))
        return min(max(total, 1 / (8 * others)), 1 - 1 / (8 * others))

    def told(j: int) -> bool:
        return all(np.sum(stratum.others[j] != NOT_CALLED) >= 2 for stratum in strata)

    def slow(copies: NDArray[np.uint8], s: int, without: int) -> float:
        total = 0.0
        for j, x in enumerate(copies.tolist()):
            if x != NOT_CALLED and told(j):
                q, p = min(max(pool[j], 1 / 28), 27 / 28), known(s, j, without)
                total += x * np.log(q / p) + (2 - x) * np.log((1 - q) / (1 - p))
        return total

    for s, stratum in enumerate(strata):
        inside = [slow(stratum.members[:, i], s, i % others) for i in range(members + s)]
        outside = [slow(stratum.others[:, k], s, k) for k in range(others)]
        np.testing.assert_allclose(found[s][0], inside, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[s][1], outside, rtol=1e-9, atol=1e-9)


@given(SEEDS, st.integers(LEAST_OTHERS, 30))
def test_each_of_the_others_is_measured_by_the_rest(seed: int, others: int) -> None:
    draw = np.random.default_rng(seed)
    pair = draw.normal(3, 2, 5), draw.normal(3, 2, others)
    inside, outside = standardised(pair)
    for k in range(others):
        rest = np.delete(pair[1], k)
        width = rest.std(ddof=1) * np.sqrt(1 + 1 / len(rest))
        assert outside[k] == pytest.approx((pair[1][k] - rest.mean()) / width)
    width = pair[1].std(ddof=1) * np.sqrt(1 + 1 / others)
    np.testing.assert_allclose(inside, (pair[0] - pair[1].mean()) / width)


@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.9, 0.95]))
def test_the_exact_interval_is_scipys(hits: int, trials: int, level: float) -> None:
    hits = min(hits, trials)
    told = stats.binomtest(hits, trials).proportion_ci(level, "exact")
    found = clopper_pearson(hits, trials, level)
    assert (found.low, found.high) == pytest.approx((told.low, told.high), abs=1e-9)


def test_a_limit_that_the_others_are_too_few_for_is_normal_or_none() -> None:
    draw = np.random.default_rng(5)
    pair = draw.normal(3, 1, 400), draw.normal(0, 1, 999)
    loose, strict = measured(pair, ALARMS).rates
    assert (loose.threshold, strict.power) == ("others", None)
    strict = measured(pair, ALARMS, normal=True).rates[1]
    assert strict.threshold == "normal"
    assert strict.power.value == pytest.approx(stats.norm.sf(3.09 - 3), abs=0.08)
    enough = pair[0], draw.normal(0, 1, 1_000)
    assert measured(enough, ALARMS).rates[1].threshold == "others"


@given(SEEDS, st.integers(1, 60), st.integers(20, 200))
def test_at_most_the_rate_of_the_others_is_accused_whatever_the_ties(
    seed: int, members: int, others: int
) -> None:
    draw = np.random.default_rng(seed)
    pair = draw.integers(0, 6, members) * 1.0, draw.integers(0, 6, others) * 1.0
    found = measured(pair, (0.05,))
    power = found.rates[0].power
    assert power is not None
    reached = max((t for f, t in found.curve if f <= 0.05), default=0.0)
    assert power.value >= reached - 1e-9
    limits = [v for v in range(-1, 7) if np.mean(pair[1] > v) <= 0.05]
    assert power.value == pytest.approx(max(np.mean(pair[0] > v) for v in limits))
    assert found.curve[-1] == (1.0, 1.0)
    assert np.all(np.diff(np.array(found.curve), axis=0) >= 0)


@pytest.mark.parametrize("copied", [1, 5])
def test_independent_variants_are_counted_beyond_the_number_of_people(copied: int) -> None:
    """And in two ancestries; each of 4,000 variants copied 5 times is still one variant."""
    draw = np.random.default_rng(20261126)
    _, strata = two_strata(draw, 4_000, 80, 60, truly=True)
    strata = [Stratum(np.tile(s.members, (copied, 1)), s.others) for s in strata]
    strata = [Stratum(s.members, np.tile(s.others, (copied, 1))) for s in strata]
    linkage = Linkage(strata)
    for start in range(0, 4_000 * copied, 1_500):
        part = slice(start, start + 1_500)
        linkage.add([Stratum(s.members[part], s.others[part]) for s in strata])
    # 280 people tell pairs of variants to 1 / 280: .4 % of their product, times 2 or so.
    assert linkage.effective() == pytest.approx(4_000, rel=0.12)


@given(SEEDS)
def test_a_scan_gives_the_cases_frequencies_away(seed: int) -> None:
    """Exactly, from effects and standard errors, where nothing is adjusted for."""
    draw = np.random.default_rng(seed)
    g = draw.binomial(2, draw.uniform(0.2, 0.8, 12)[:, None], (12, 60)).astype(np.float64)
    g[:, 0], g[:, 1] = 0, 2
    y = np.arange(60) < 17
    fits = [stats.linregress(row, y) for row in g]
    beta, error = (np.array([getattr(fit, name) for fit in fits]) for name in ("slope", "stderr"))
    found = frequencies_in_cases(g.mean(axis=1) / 2, beta, error, 60, 17, 0)
    np.testing.assert_allclose(found, g[:, y].mean(axis=1) / 2, atol=1e-9)


def test_what_cannot_be_tested_is_refused() -> None:
    calls = np.zeros((3, 2), np.uint8)
    with pytest.raises(ValueError, match="not between 0 and 1"):
        statistic(calls, np.full(3, 0.5), np.zeros(3), 10)
    with pytest.raises(ValueError, match="fewer than two others"):
        paired_statistics(np.full(3, 0.5), 10, [Stratum(calls, calls[:, :1])])
    with pytest.raises(ValueError, match="fewer than 10 others"):
        standardised((np.zeros(3), np.arange(9.0)))
    with pytest.raises(ValueError, match="all of them alike"):
        standardised((np.zeros(3), np.zeros(20)))
    with pytest.raises(ValueError, match="no trials"):
        clopper_pearson(0, 0)


KG = Path(__file__).resolve().parents[3] / "shared" / "data" / "kg2504"


@pytest.mark.skipif(not KG.exists(), reason="no kg2504 beside the repository")
@pytest.mark.parametrize("least", [0.05, 0.01])
def test_theory_holds_for_real_genomes_with_others_of_the_same_ancestry(least: float) -> None:
    """Half of each of 26 populations in the pool."""
    file = PlinkFile.open(KG / "kg2504_24k")
    rows = (row.split("\t") for row in (KG / "kg2504_pops.tsv").read_text().splitlines())
    population = {row[0]: row[1] for row in rows}
    label = np.array([population[iid] for iid in file.sample_ids])
    codes = codes_of(file.packed(0, file.n_variants), file.n_samples)
    copies = np.array([2, NOT_CALLED, 1, 0], np.uint8)[codes]
    p = np.where(copies == NOT_CALLED, 0, copies).sum(axis=1) / (2 * file.n_samples)
    copies = copies[np.minimum(p, 1 - p) > least]
    powers: list[float] = []
    draw = np.random.default_rng(20261128)
    for _ in range(4):
        each = [draw.permutation(np.flatnonzero(label == name)) for name in np.unique(label)]
        strata = [Stratum(copies[:, own[::2]], copies[:, own[1::2]]) for own in each]
        members = np.concatenate([s.members for s in strata], axis=1)
        told = attack(members.mean(axis=1) / 2, members.shape[1], strata)
        powers.append(told.rates[0].power.value)
    linkage = Linkage(strata)
    linkage.add(strata)
    theory = of(members.shape[1], linkage.by_stratum(), strata).power(0.05)
    assert 0.4 < theory < 0.8
    # A split has a standard error of .024, most of it of the limit; the mean of four .012.
    assert np.mean(powers) == pytest.approx(theory, abs=0.03)
