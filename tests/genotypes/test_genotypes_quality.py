"""Call rates and duplicates: who is left out, and that relatives and neighbours are not."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import equipoise.demo
from equipoise.genotypes import quality, variants
from equipoise.genotypes.align import AlignedSource, align
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.quality import call_rates, duplicates, low_call_rate
from equipoise.packed.concordance import calls, shared
from equipoise.packed.decode import Block, encode

NAN = np.nan
Dosage = NDArray[np.float64]
DEMO = Path(equipoise.demo.__file__).parent / "gstt1"


class InMemory:
    def __init__(self, dosage: Dosage) -> None:
        self.block = encode(dosage)
        self.n_variants, self.n_samples = dosage.shape

    def packed(self, start: int, stop: int) -> Block:
        return self.block[start:stop]


def held(dosage: Dosage, absent: int = 0) -> AlignedSource:
    """Return a source that has these variants, and then some that it has not."""
    rows = np.concatenate([np.arange(len(dosage)), np.full(absent, -1)])
    return AlignedSource(InMemory(dosage), rows, np.zeros(len(rows), np.bool_))


def gametes(draw: np.random.Generator, n: int, parent: Dosage) -> Dosage:
    return np.where(parent == 1, draw.integers(0, 2, (n, 1)), parent / 2)


def unrelated(people: int, n: int = 400, seed: int = 1) -> Dosage:
    draw = np.random.default_rng(seed)
    return draw.binomial(2, draw.uniform(0.25, 0.5, (n, 1)), (n, people)).astype(np.float64)


def told(dosage: Dosage, judged: list[bool] | None = None) -> list[bool] | None:
    source = held(dosage)
    who = np.array(judged or [True] * dosage.shape[1])
    found = duplicates(source, who, call_rates(source))
    return None if found is None else found.tolist()


# --- call rates


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 5), st.integers(0, 99))
def test_call_rates_are_over_the_variants_that_the_site_has(
    n: int, people: int, absent: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    dosage = draw.choice([0, 1, 2, NAN], (n, people))
    with patch.object(quality, "_BYTES", 8):
        rates = call_rates(held(dosage, absent))
    # Two ways of counting the same ratio differ by a rounding.
    np.testing.assert_allclose(rates, 1 - np.isnan(dosage).mean(axis=0), atol=1e-15)


@pytest.mark.parametrize(
    ("n", "missing", "low"),
    [(100, 5, False), (100, 6, True), (1000, 50, False), (1000, 51, True), (80, 16, False), (80, 17, True)],
)  # fmt: skip
def test_a_call_rate_is_low_under_95_percent_of_enough_variants(
    n: int, missing: int, low: bool
) -> None:
    dosage = np.ones((n, 3))
    dosage[:missing, 1] = NAN
    source = held(dosage, absent=n // 5)
    assert low_call_rate(source, call_rates(source)).tolist() == [False, low, False]


def test_a_source_with_nothing_of_the_list_has_rates_and_no_warning() -> None:
    source = AlignedSource(InMemory(np.ones((1, 2))), np.array([-1]), np.array([False]))
    assert call_rates(source).tolist() == [1, 1]


# --- duplicates


def test_of_one_person_sampled_thrice_the_best_called_stays() -> None:
    dosage = unrelated(6)
    dosage[:, 4] = dosage[:, 2] = dosage[:, 1]
    dosage[0, 1] = dosage[7, 4] = dosage[8, 4] = NAN
    assert told(dosage) == [False, True, False, False, True, False]


def test_of_equally_called_ones_the_first_in_the_file_stays() -> None:
    dosage = unrelated(5)
    dosage[:, 4] = dosage[:, 0]
    assert told(dosage) == [False, False, False, False, True]


def test_who_is_not_judged_is_no_duplicate_and_has_none() -> None:
    dosage = unrelated(5)
    dosage[:, 4] = dosage[:, 0]
    assert told(dosage, [False, True, True, True, True]) == [False] * 5
    assert told(dosage, [True, True, True, True, False]) == [False] * 5


@pytest.mark.parametrize(("differing", "same"), [(0, True), (8, True), (9, False), (40, False)])
def test_two_are_one_from_98_percent(differing: int, same: bool) -> None:
    dosage = unrelated(60)
    dosage[:, 3] = dosage[:, 1]
    # With 60 people all 400 are common, and compared: 8 of them are 2 %.
    dosage[:differing, 3] = (dosage[:differing, 1] + 1) % 3
    assert told(dosage) == [False, False, False, same, *[False] * 56]


def test_missing_calls_speak_neither_for_nor_against() -> None:
    dosage = unrelated(5, n=2000)
    dosage[:, 3] = dosage[:, 1]
    dosage[10:80, 3], dosage[70:140, 1] = NAN, NAN
    assert told(dosage) == [False, False, False, True, False]


def test_close_relatives_are_no_duplicates() -> None:
    draw = np.random.default_rng(5)
    dosage = unrelated(40, n=1000)
    mother, father = dosage[:, :1], dosage[:, 1:2]
    children = [gametes(draw, 1000, mother) + gametes(draw, 1000, father) for _ in range(6)]
    assert told(np.concatenate([dosage, *children], axis=1)) == [False] * 46


@given(st.data())
def test_blocks_of_people_do_not_show(data: st.DataObject) -> None:
    people = data.draw(st.integers(12, 24))
    dosage = unrelated(people, n=150)
    copies = data.draw(st.lists(st.tuples(*[st.integers(0, people - 1)] * 2), max_size=6))
    for one, other in copies:
        dosage[:, one] = dosage[:, other]
    first = {}
    slow = [first.setdefault(dosage[:, i].tobytes(), i) != i for i in range(people)]
    with patch.object(quality, "_PEOPLE", data.draw(st.integers(3, 9))):
        assert told(dosage) == slow


def test_of_a_chain_of_likeness_only_who_is_like_one_that_stays_is_left_out() -> None:
    dosage = unrelated(4)
    dosage[:, 1] = dosage[:, 2] = dosage[:, 0]
    dosage[:6, 1] = (dosage[:6, 0] + 1) % 3
    dosage[:12, 2] = (dosage[:12, 0] + 1) % 3
    assert told(dosage) == [False, True, False, False]


@pytest.mark.parametrize(("common", "tested"), [(99, False), (100, True)])
def test_under_100_common_variants_nothing_is_said(common: int, tested: bool) -> None:
    rare = np.zeros((500, 60))
    rare[:, 3] = 2
    dosage = np.concatenate([unrelated(60, n=common), rare])
    found = told(dosage)
    assert (found is not None) == tested


def test_variants_that_many_are_not_called_at_are_not_compared() -> None:
    dosage = unrelated(40, n=130)
    dosage[:31, :3] = NAN
    assert told(dosage) is None


def test_nobody_to_judge_is_nothing_to_say() -> None:
    assert told(unrelated(3), [False] * 3) is None


@pytest.mark.parametrize("site", ["FIN", "CEU", "TSI", "GBR"])
def test_nobody_of_the_demo_is_near_to_being_a_duplicate(site: str) -> None:
    file = PlinkFile.open(DEMO / "sites" / site / "genotypes.bed")
    source, _ = align(file, file.variants, variants.read(DEMO / "variants.tsv"))
    everybody = np.ones(file.n_samples, np.bool_)
    rates = call_rates(source)
    found = duplicates(source, everybody, rates)
    assert found is not None
    assert not found.any()
    assert not low_call_rate(source, rates).any()
    spread = np.linspace(0, source.n_variants - 1, 2000).astype(int)
    genotypes = np.concatenate([calls(source.packed(v, v + 1), file.n_samples) for v in spread])
    common = np.abs(genotypes.mean(axis=1) - 1) < 0.8
    same, both = shared(genotypes[common], genotypes[common])
    most = (same / both)[~np.eye(file.n_samples, dtype=bool)].max()
    # Measured: .56, .59, .54 and .62; related people, at the most one half of the genome
    # identical by descent, stay far below .9.
    assert 0.5 < most < 0.7
