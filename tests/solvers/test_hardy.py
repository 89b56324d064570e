"""Mid-p values against whole numbers, against plink2 on real genotypes, and far out."""

from fractions import Fraction
from math import factorial, log10
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.solvers.hardy import neg_log_10_mid_p

GOLDEN = Path(__file__).resolve().parent.parent / "data" / "hardy_midp.tsv"


def one(het: int, hom: int, other: int) -> float:
    return float(neg_log_10_mid_p(np.array([het]), np.array([hom]), np.array([other]))[0])


def slowly(het: int, hom: int, other: int) -> float:
    """Return -log10 of the mid-p value by counting arrangements of alleles, in whole numbers."""
    n, a = het + hom + other, 2 * min(hom, other) + het

    def arrangements(h: int) -> int:
        r, c = (a - h) // 2, (2 * n - a - h) // 2
        return 2**h * factorial(n) // (factorial(r) * factorial(h) * factorial(c))

    all_of_them = [arrangements(h) for h in range(a % 2, a + 1, 2)]
    seen = arrangements(het)
    twice = sum(2 * w if w < seen else w for w in all_of_them if w <= seen)
    p = Fraction(twice, 2 * sum(all_of_them))
    return log10(p.denominator) - log10(p.numerator)


@given(st.integers(0, 150), st.integers(0, 150), st.integers(0, 150))
def test_mid_p_equals_the_slow_twin(het: int, hom: int, other: int) -> None:
    # Logarithms of a hundred ratios are added up: each is right to 1e-16.
    assert one(het, hom, other) == pytest.approx(slowly(het, hom, other), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    ("people", "frequency", "share"), [(700, 0.5, 0.5), (1000, 0.03, 0.06), (700, 0.2, 0.24)]
)
def test_outcomes_left_out_change_nothing(people: int, frequency: float, share: float) -> None:
    # Around and beyond where the window begins to leave outcomes out: some hundred of them.
    for shift in range(-90, 91, 15):
        a = round(2 * people * frequency)
        het = round(people * share) + shift
        het = max(a % 2, min(het + (a - het) % 2, a))
        hom = (a - het) // 2
        other = people - het - hom
        assert one(het, hom, other) == pytest.approx(slowly(het, hom, other), rel=1e-9, abs=1e-11)


def test_mid_p_equals_plink2_on_real_genotypes() -> None:
    golden = pl.read_csv(GOLDEN, separator="\t", comment_prefix="#")
    het, hom, other = (golden[name].to_numpy() for name in ("het", "hom", "other"))
    found = 10.0 ** -neg_log_10_mid_p(het, hom, other)
    # plink2 prints six digits.
    np.testing.assert_allclose(found, golden["p"].to_numpy(), rtol=6e-6)
    assert golden["p"].min() < 1e-15


def test_many_at_once_equal_one_by_one() -> None:
    draw = np.random.default_rng(3)
    sizes = draw.integers(0, 500, (3, 2, 40)) * draw.integers(0, 2, (3, 2, 40))
    het, hom, other = sizes
    found = neg_log_10_mid_p(het, hom, other)
    assert found.shape == (2, 40)
    for place in np.ndindex(found.shape):
        alone = one(int(het[place]), int(hom[place]), int(other[place]))
        # The same ratios; a wider window adds zeros.
        assert found[place] == pytest.approx(alone, rel=1e-12, abs=1e-12)


def test_the_two_kinds_of_homozygotes_change_places() -> None:
    draw = np.random.default_rng(4)
    het, hom, other = draw.integers(0, 300, (3, 50))
    one_way, back = neg_log_10_mid_p(het, hom, other), neg_log_10_mid_p(het, other, hom)
    assert one_way.tolist() == back.tolist()


@pytest.mark.parametrize("counts", [(0, 0, 0), (0, 0, 57), (0, 57, 0), (1, 0, 9)])
def test_where_one_outcome_alone_is_possible_it_counts_by_half(counts: tuple[int, ...]) -> None:
    assert 10.0 ** -one(*counts) == pytest.approx(0.5, abs=1e-15)


def test_p_below_the_least_double_is_still_told() -> None:
    # All heterozygous, n of each allele: 2^n n! n! / (2n)! of the arrangements. Only none
    # heterozygous is rarer, n! / (n/2)!^2 for 2^n.
    n = 20_000
    logs = np.log10(np.arange(1, 2 * n + 1, dtype=np.float64)).cumsum()
    p = n * log10(2) + 2 * logs[n - 1] - logs[2 * n - 1]
    rarer = 10.0 ** (logs[n - 1] - 2 * logs[n // 2 - 1] - n * log10(2))
    assert p < -5000
    assert one(n, 0, 0) == pytest.approx(-(p + log10(0.5 + rarer)), rel=1e-9)


def test_mid_p_values_are_even_under_equilibrium() -> None:
    draw = np.random.default_rng(5)
    n, p = 400, 0.3
    hom, het, other = draw.multinomial(n, [p * p, 2 * p * (1 - p), (1 - p) ** 2], 20_000).T
    found = 10.0 ** -neg_log_10_mid_p(het, hom, other)
    for level in (0.01, 0.05, 0.5):
        # Binomial: four standard errors of 20,000, and 10 % for p values that are discrete.
        near = 4 * np.sqrt(level / 20_000) + 0.1 * level
        assert np.mean(found < level) == pytest.approx(level, abs=near)


def test_a_negative_count_is_refused() -> None:
    counts: NDArray[np.int64] = np.array([1, -1])
    with pytest.raises(ValueError, match="below 0"):
        neg_log_10_mid_p(np.array([1, 1]), counts, np.array([1, 1]))
