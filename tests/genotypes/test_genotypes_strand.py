"""Strand: what reads the same on both, and when the file or the frequencies tell."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.genotypes.strand import (
    complemented,
    consensus,
    flipped_by_frequency,
    palindromic,
    single,
    spelled,
)
from equipoise.genotypes.variants import HEADER

PAIR = {"A": "T", "C": "G", "G": "C", "T": "A"}
ALLELES = st.lists(st.tuples(st.text("ACGT", min_size=1), st.text("ACGT", min_size=1)), min_size=1)


def frame(alleles: list[tuple[str, str]]) -> pl.DataFrame:
    rows = [("1", i + 1, *pair) for i, pair in enumerate(alleles)]
    return pl.DataFrame(rows, schema=list(HEADER), orient="row")


def turned(allele: str) -> str:
    return "".join(PAIR[base] for base in reversed(allele))


@given(ALLELES)
def test_the_complement_equals_the_slow_twin_and_undoes_itself(
    alleles: list[tuple[str, str]],
) -> None:
    found = complemented(frame(alleles))
    assert found["effect_allele"].to_list() == [turned(effect) for effect, _ in alleles]
    assert found["other_allele"].to_list() == [turned(other) for _, other in alleles]
    assert complemented(found).equals(frame(alleles))


@given(ALLELES)
def test_palindromic_is_what_the_other_strand_swaps(alleles: list[tuple[str, str]]) -> None:
    slow = [turned(effect) == other for effect, other in alleles]
    assert palindromic(frame(alleles)).tolist() == slow
    assert single(frame(alleles)).tolist() == [len(e) == len(o) == 1 for e, o in alleles]


def test_only_bases_have_a_complement() -> None:
    rows = [("A", "C"), ("N", "A"), ("A", "0"), ("<DEL>", "A"), ("a", "C"), ("", "C"), ("CT", "C")]
    assert spelled(frame(rows)).tolist() == [True, False, False, False, False, False, True]


@pytest.mark.parametrize(
    ("same", "other", "found"),
    [
        (990, 10, False),
        (989, 11, None),
        (10, 990, True),
        (11, 989, None),
        (10, 0, False),
        (9, 0, None),
        (0, 9, None),
        (0, 0, None),
    ],
)
def test_a_file_is_on_one_strand_from_99_percent(same: int, other: int, found: bool | None) -> None:
    assert consensus(same, other) is found


def by_frequency(listed: float, copies: int, alleles: int) -> tuple[bool, bool]:
    flipped, told = flipped_by_frequency(
        np.array([listed]), np.array([copies]), np.array([alleles])
    )
    return bool(flipped[0]), bool(told[0])


@pytest.mark.parametrize("listed", [0.0, 0.1, 0.3, 0.39, 0.61, 0.8, 1.0])
def test_the_nearer_orientation_is_taken(listed: float) -> None:
    alleles = 2000
    copies = round(listed * alleles)
    assert by_frequency(listed, copies, alleles) == (False, True)
    assert by_frequency(listed, alleles - copies, alleles) == (True, True)


@pytest.mark.parametrize(
    ("listed", "copies", "alleles"),
    [
        (0.4, 400, 1000),  # the list's minor allele is no rarer than .4
        (0.45, 450, 1000),
        (0.3, 400, 1000),  # the site's is no rarer
        (0.3, 500, 1000),
        (np.nan, 300, 1000),  # the list says nothing
        (0.3, 3, 10),  # (0.3/0.7)**-4 is odds of 30 only
        (0.3, 0, 0),  # nobody is called
    ],
)
def test_what_could_be_either_is_not_told(listed: float, copies: int, alleles: int) -> None:
    assert by_frequency(listed, copies, alleles) == (False, False)


@given(st.floats(0.01, 0.39), st.integers(0, 200))
def test_the_odds_are_those_of_two_binomials(listed: float, copies: int) -> None:
    alleles = 200
    _, told = by_frequency(listed, copies, alleles)
    direct = copies * np.log(listed) + (alleles - copies) * np.log(1 - listed)
    other = copies * np.log(1 - listed) + (alleles - copies) * np.log(listed)
    # Within rounding of the bound either answer is right.
    if abs(abs(direct - other) - np.log(1000)) > 1e-9:
        likely = abs(direct - other) > np.log(1000)
        assert told == (likely and min(copies, alleles - copies) < 0.4 * alleles)
