"""Genotypes of controls against counting by hand, and what is tested and what fails."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.hardy import Hardy, HardyWeinberg
from equipoise.demo import folder
from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.counts import genotype_counts
from equipoise.phenotypes import table
from equipoise.solvers.hardy import neg_log_10_mid_p
from laws import cases, harness
from strategies import Rows, make_rows, rows

LEAD = 24_367_099
"""Where the demo's trait, a deletion, has its lead variant on chromosome 22."""


def hardy(people: Rows, **changes: object) -> HardyWeinberg:
    sound = cases.analysis("hardy", people)
    assert isinstance(sound, Hardy)
    analysis = replace(sound, **changes)
    sites = people.split(np.arange(people.n) % 3, 3)
    return harness.run(analysis, sites, "masked").result


def by_hand(people: Rows, v: int, stratum: int | None) -> list[int]:
    """Return heterozygotes and the two homozygotes, one control at a time."""
    counts = [0, 0, 0]
    for i in range(people.n):
        inside = stratum is None or people.columns["stratum"][i] == stratum
        g = people.dosage[v, i]
        if inside and people.columns["trait"][i] == 0 and g == g:
            counts[{1: 0, 2: 1, 0: 2}[int(g)]] += 1
    return counts


def p_of(counts: list[int]) -> float:
    return float(neg_log_10_mid_p(*np.array(counts)[:, None])[0])


@settings(max_examples=10)
@given(rows())
def test_a_variants_p_is_the_smallest_over_strata_large_enough(people: Rows) -> None:
    people = people.with_columns(cases.strata(people))
    found = hardy(people, least=8)
    control = people.columns["trait"] == 0
    of = people.columns["stratum"]
    assert found.controls.tolist() == [int(np.sum(control & (of == s))) for s in range(3)]
    large = [s for s in range(3) if found.controls[s] >= 8]
    assert found.strata == len(large)
    used = cases.pooled("frequency", people).used
    for v in range(people.n_variants):
        assert found.tested[v] == (bool(large) and bool(used[v]))
        if found.tested[v]:
            most = max(p_of(by_hand(people, v, s)) for s in large)
            # Published in steps of 2^-10.
            assert found.neg_log_10_p[v] == pytest.approx(most, abs=2.0**-11 + 1e-9)


def test_without_strata_all_controls_are_one() -> None:
    people = make_rows(3, n=60, missing=0.1)
    found = hardy(people, strata=1, stratum="", least=20)
    assert found.controls.tolist() == [int(np.sum(people.columns["trait"] == 0))]
    used = np.flatnonzero(found.tested)
    assert len(used) >= 4
    for v in used:
        most = p_of(by_hand(people, int(v), None))
        assert found.neg_log_10_p[v] == pytest.approx(most, abs=2.0**-11 + 1e-9)


def test_where_no_stratum_is_large_enough_nothing_is_tested_and_nothing_fails() -> None:
    people = make_rows(3, n=60)
    people = people.with_columns(cases.strata(people))
    found = hardy(people, least=61)
    assert found.strata == 0
    assert not found.tested.any()
    assert not found.failed.any()


def in_equilibrium(draw: np.random.Generator, frequency: float, n: int) -> NDArray[np.float64]:
    return draw.binomial(2, frequency, n).astype(np.float64)


def test_two_ancestries_fail_when_pooled_and_not_apart() -> None:
    draw, n = np.random.default_rng(8), 120
    base = make_rows(8, n=2 * n, kinds=["common"] * 2)
    apart = np.concatenate([in_equilibrium(draw, p, n) for p in (0.1, 0.9)])
    wrong = np.where(draw.random(2 * n) < 0.5, 0.0, 2.0)  # no heterozygote is ever called
    people = replace(base, dosage=np.stack([apart, wrong]))
    trait, stratum = np.zeros(2 * n), np.repeat([0.0, 1.0], n)
    people = people.with_columns({"trait": trait, "stratum": stratum})
    pooled = hardy(people, strata=1, stratum="", least=20)
    assert pooled.failed.tolist() == [True, True]
    assert hardy(people, strata=2, least=20).failed.tolist() == [False, True]


def test_people_with_the_trait_are_not_looked_at() -> None:
    people = make_rows(9, n=60, missing=0.1)
    people = people.with_columns(cases.strata(people))
    case = people.columns["trait"] == 1
    sound = cases.analysis("hardy", people)
    other = replace(people, dosage=np.where(case, 2 - people.dosage, people.dosage))
    one, two = (list(sound.summarise(rows_.cohort(), sound.start())) for rows_ in (people, other))
    for mine, theirs in zip(one, two, strict=True):
        assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


def test_the_demos_deletion_fails_in_everybody_and_not_in_those_without_it() -> None:
    whole, controls = np.zeros((2, 1, 4), np.int64)
    for site in sorted((folder() / "sites").iterdir()):
        plink = PlinkFile.open(site / "genotypes.bed")
        traits = table.read(site / "phenotypes.tsv", {"GSTT1_null": "binary"})
        has = dict(zip(traits.iids, traits.columns["GSTT1_null"].tolist(), strict=True))
        keep = np.array([has.get(person) == 0 for person in plink.sample_ids])
        at = int(np.flatnonzero(plink.variants.position == LEAD)[0])
        block = plink.packed(at, at + 1)
        whole = whole + genotype_counts(block, plink.n_samples)
        controls = controls + genotype_counts(block, plink.n_samples, keep)
    p = [10.0 ** -float(neg_log_10_mid_p(c[:, 1], c[:, 0], c[:, 2])[0]) for c in (whole, controls)]
    # Of all 358 people, whatever their consents. By plink2 v2.00a3.5, --hardy midp, on the same
    # counts, six digits; the asymptotic chi-squared test says 2.8e-38 and .31.
    assert p[0] == pytest.approx(1.00009e-32, rel=6e-6, abs=0)
    assert p[1] == pytest.approx(0.611021, rel=6e-6, abs=0)


def test_a_withheld_variant_has_no_count() -> None:
    people = make_rows(10, n=48, kinds=["common", "rare", "absent", "common"])
    people = people.with_columns(cases.strata(people))
    sound = cases.analysis("hardy", people)
    assert isinstance(sound, Hardy)
    frequencies = sound.frequencies
    strict = Frequencies(frequencies.called, frequencies.alleles, 20, 0)
    analysis = replace(sound, frequencies=strict)
    _, block = analysis.summarise(people.cohort(), analysis.start())
    for name in ("hom", "het", "other"):
        assert not block[name][:, ~strict.used].any()
        assert block[name][:, strict.used].any()
