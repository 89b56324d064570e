"""Allele counts against counting by hand, what is withheld, and imputation by the global 2p."""

import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies, Frequency
from laws import cases, harness
from strategies import Rows, make_rows, rows


def frequencies(
    people: Rows, floor: int = 3, least_called: int = 0, block_size: int = 5
) -> Frequencies:
    sites = people.split(np.arange(people.n) % 3, 3)
    analysis = Frequency(people.n, people.n_variants, floor, least_called, block_size)
    return harness.run(analysis, sites, "masked").result


def by_hand(people: Rows) -> list[tuple[int, int]]:
    """Return called people and effect alleles, one genotype at a time."""
    counts = [(0, 0)] * people.n_variants
    for v in range(people.n_variants):
        for g in people.dosage[v]:
            if g == g:  # NaN is not called
                counts[v] = counts[v][0] + 1, counts[v][1] + int(g)
    return counts


@settings(max_examples=10)
@given(rows())
def test_counts_equal_a_slow_twin(people: Rows) -> None:
    found = frequencies(people)
    pairs = zip(found.called.tolist(), found.alleles.tolist(), strict=True)
    assert list(pairs) == by_hand(people)


@settings(max_examples=20)
@given(rows())
def test_frequency_and_use_follow_from_the_counts(people: Rows) -> None:
    found = cases.pooled("frequency", people)
    for v, (called, alleles) in enumerate(by_hand(people)):
        if called:
            assert found.frequency[v] == alleles / (2 * called)
        else:
            assert np.isnan(found.frequency[v])
        minor = min(alleles, 2 * called - alleles)
        # Why a variant is withheld: calls are looked at first, whatever its alleles.
        why = "calls" if called < cases.least_called(people) else "rare" if minor < 3 else ""
        assert found.used[v] == (why == "")
        assert found.low_call_rate[v] == (why == "calls")
        assert found.rare[v] == (why == "rare")
        assert found.monomorphic[v] == (why == "rare" and minor == 0)


@settings(max_examples=20)
@given(rows())
def test_missing_calls_become_the_global_mean_and_unused_variants_nothing(people: Rows) -> None:
    found = cases.pooled("frequency", people)
    filled = found.impute(people.dosage, 0, people.n_variants)
    assert not np.isnan(filled).any()
    for v in range(people.n_variants):
        called = ~np.isnan(people.dosage[v])
        if not found.used[v]:
            assert not filled[v].any()
            continue
        np.testing.assert_array_equal(filled[v, called], people.dosage[v, called])
        np.testing.assert_array_equal(filled[v, ~called], 2 * found.frequency[v])


def test_a_part_of_the_variants_is_imputed_by_its_own_counts() -> None:
    people = make_rows(4, kinds=["common"] * 7, missing=0.3)
    found = cases.pooled("frequency", people)
    whole = found.impute(people.dosage, 0, 7)
    np.testing.assert_array_equal(found.impute(people.dosage[2:5], 2, 5), whole[2:5])


def test_hardly_carried_and_hardly_absent_alleles_are_withheld_alike() -> None:
    rare = np.zeros(40)
    rare[:2] = 1
    dosage: NDArray[np.float64] = np.stack([rare, 2 - rare, np.tile([0.0, 1.0], 20)])
    base = make_rows(5, n=40, kinds=["common"] * 3, missing=0)
    people = Rows(base.ids, dosage, base.columns, base.fold)
    assert frequencies(people, floor=3).used.tolist() == [False, False, True]
    assert frequencies(people, floor=2).used.tolist() == [True, True, True]


def test_every_variant_is_used_or_withheld_for_one_reason() -> None:
    people = make_rows(6, n=60, kinds=["common", "rare", "absent", "monomorphic", "fixed"])
    found = frequencies(people, least_called=50)
    assert found.low_call_rate.tolist() == [False, False, True, False, False]
    assert found.monomorphic.tolist() == [False, False, False, True, True]
    reasons = found.used.astype(int) + found.low_call_rate + found.rare
    assert reasons.tolist() == [1] * 5


def test_a_call_too_few_withholds_a_common_variant() -> None:
    people = make_rows(8, n=40, kinds=["common"] * 3, missing=0)
    people.dosage[1, :2] = np.nan
    people.dosage[2, :3] = np.nan
    found = frequencies(people, least_called=38)
    assert found.used.tolist() == [True, True, False]
    filled = found.impute(people.dosage, 0, 3)
    assert filled[1, :2].tolist() == [2 * found.frequency[1]] * 2
    assert not filled[2].any()


def test_blocks_of_any_size_give_the_same_counts() -> None:
    people = make_rows(6, kinds=["common", "rare", "absent", "common", "fixed"])
    one, other = frequencies(people, block_size=1), frequencies(people, block_size=4096)
    assert one.called.tolist() == other.called.tolist()
    assert one.alleles.tolist() == other.alleles.tolist()
