"""What is drawn has the law of the discrete Gaussian, and is what plain rational arithmetic draws."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import floor, isqrt, sqrt
from typing import Any

import numpy as np
import pytest
from Crypto.Cipher import AES
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from equipoise.protections.discrete import WIDEST, Chance, Gaussian, draw, narrowest

KEY = bytes(range(32))
FINE = 2**26
"""The greatest variance that need not be a square."""

LAWS = st.one_of(
    st.integers(1, 40),
    st.integers(1, FINE),
    st.integers(1, WIDEST).map(lambda root: root * root),
)
Draw = Callable[[Gaussian, Chance, int], NDArray[np.int64]]


class Slow:
    """Algorithms 1 to 3 of Canonne et al. 2020, one word and one fraction at a time."""

    def __init__(self, law: Gaussian, words: Iterator[int]) -> None:
        self.words = words
        self.variance = law.variance
        root = isqrt(law.variance)
        self.t = root if root * root == law.variance else root + 1
        self.d = law.numbers[3]

    def below(self, n: int) -> int:
        if n == 1:
            return 0
        while (found := next(self.words) % 2 ** (n - 1).bit_length()) >= n:
            pass
        return found

    def chance(self, p: Fraction, denominator: int) -> bool:
        n = p * denominator
        assert n.denominator == 1
        return self.below(denominator) < n

    def falls(self, gamma: Fraction, denominator: int) -> bool:
        if gamma > 1:
            return self.falls(Fraction(1), 1) and self.falls(gamma - 1, denominator)
        k = 1
        while self.chance(gamma, denominator) and self.chance(Fraction(1, k), k):
            k += 1
        return k % 2 == 1

    def one(self) -> int:
        while True:
            u = self.below(self.t)
            if not self.falls(Fraction(u, self.t), self.t):
                continue
            v = 0
            while self.falls(Fraction(1), 1):
                v += 1
            size, negative = u + self.t * v, self.below(2)
            if negative and not size:
                continue
            gap = size - Fraction(self.variance, self.t)
            if self.falls(gap**2 / (2 * self.variance), self.d):
                return -size if negative else size


@settings(max_examples=30, deadline=None)
@given(LAWS, st.integers(1, 60), st.binary(min_size=32, max_size=32))
@example(1, 1, KEY)
@example(WIDEST**2, 60, KEY)
@example(FINE - 1, 60, KEY)
def test_draws_are_those_of_rational_arithmetic(variance: int, size: int, key: bytes) -> None:
    law = Gaussian(variance)
    slow = Slow(law, (int(word) for word in Chance(key).take(1 << 14)))
    assert draw(law, Chance(key), size).tolist() == [slow.one() for _ in range(size)]


@pytest.mark.parametrize("variance", [7, 2**40])
def test_a_draw_that_runs_out_of_words_goes_on_with_the_next(variance: int) -> None:
    """Some five pieces of words, each of which ends in the midst of a draw."""
    law, size = Gaussian(variance), 6000
    slow = Slow(law, (int(word) for word in Chance(KEY).take(1 << 18)))
    assert draw(law, Chance(KEY), size).tolist() == [slow.one() for _ in range(size)]


def masses(variance: int, reach: int) -> NDArray[np.float64]:
    """Return the probabilities of -reach to reach, beyond which there is nothing to see."""
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    weight = np.exp(-(x**2) / (2 * variance))
    return weight / weight.sum()


def fit(found: NDArray[np.int64], variance: int) -> float:
    """Return the p-value of chi-square against exact probabilities, of 200 cells at most."""
    reach = floor(12 * sqrt(variance)) + 12
    wide = max(1, round(sqrt(variance) / 16))
    cells = np.abs(np.arange(-reach, reach + 1) // wide * wide + wide // 2) <= 4.5 * sqrt(variance)
    p = masses(variance, reach)
    place = np.arange(-reach, reach + 1) // wide
    place = np.where(cells, place, place.min() - 1)
    shift = place.min()
    expected = np.bincount(place - shift, p) * len(found)
    seen = np.bincount(place[found + reach] - shift, minlength=len(expected))
    some = expected > 5
    few = ~some & (expected > 0)
    observed = np.append(seen[some], seen[few].sum())
    wanted = np.append(expected[some], expected[few].sum())
    both = wanted > 0
    return float(stats.chisquare(observed[both], wanted[both]).pvalue)


@pytest.mark.parametrize("variance", [1, 2, 3, 5, 16, 17, 1000, 1024, 2**20 + 7, 2**24])
def test_frequencies_fit_the_exact_probabilities(variance: int) -> None:
    """By chance one such test in 10,000 would fail; the key is fixed."""
    assert fit(draw(Gaussian(variance), Chance(KEY), 200_000), variance) > 1e-4


def rounded_normal(law: Gaussian, words: Chance, size: int) -> NDArray[np.int64]:
    normal = np.random.default_rng(1).normal(0, law.deviation, size)
    return np.rint(normal).astype(np.int64)


def twice_zero(law: Gaussian, words: Chance, size: int) -> NDArray[np.int64]:
    """Forgets that 0 has no sign, and so draws it twice as often as it should."""
    zero = masses(law.variance, 60)[60]
    more = np.random.default_rng(1).random(size) < zero / (1 + zero)
    return np.where(more, 0, draw(law, words, size))


def one_wider(law: Gaussian, words: Chance, size: int) -> NDArray[np.int64]:
    return draw(Gaussian(law.variance + 1), words, size)


@pytest.mark.parametrize("wrong", [rounded_normal, twice_zero, one_wider])
def test_another_law_does_not_fit(wrong: Any) -> None:
    assert fit(wrong(Gaussian(2), Chance(KEY), 200_000), 2) < 1e-4


@pytest.mark.parametrize("root", [2**13 + 1, 2**20 + 3, WIDEST])
def test_wide_laws_fit_the_normal(root: int) -> None:
    """A discrete Gaussian so wide differs from the normal by less than 1e-3 of a deviation."""
    found = draw(Gaussian(root * root), Chance(KEY), 200_000)
    assert stats.kstest(found / root, "norm").pvalue > 1e-4
    low = np.bincount(found & 255, minlength=256)
    assert stats.chisquare(low).pvalue > 1e-4


@pytest.mark.parametrize("variance", [1, 9, 2**26 - 3, 2**50])
def test_moments_and_tails_are_those_of_the_law(variance: int) -> None:
    """Each within five standard errors of what is expected."""
    n = 400_000
    z = draw(Gaussian(variance), Chance(KEY), n) / sqrt(variance)
    if variance < 100:
        p, x = masses(variance, 60), np.arange(-60, 61) / sqrt(variance)
    else:
        x = np.linspace(-12, 12, 240_001)
        p = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    for moment in (1, 2, 3, 4):
        mean = float(p @ x**moment)
        error = sqrt((float(p @ x ** (2 * moment)) - mean**2) / n)
        assert abs(float(np.mean(z**moment)) - mean) < 5 * error
    for beyond in (2.5, 3.5, 4.4):
        expected = n * float(p[np.abs(x) > beyond].sum())
        assert abs(np.count_nonzero(np.abs(z) > beyond) - expected) < 5 * sqrt(expected) + 1


@pytest.mark.parametrize(("variance", "within"), [(1, 1e-6), (2, 1e-14), (5, 1e-14)])
def test_the_variance_is_near_its_parameter_and_not_above(variance: int, within: float) -> None:
    import mpmath

    with mpmath.workdps(40):
        weights = [mpmath.exp(-mpmath.mpf(x * x) / (2 * variance)) for x in range(-60, 61)]
        squares = sum(x * x * w for x, w in zip(range(-60, 61), weights, strict=True))
        exact = squares / sum(weights)
        assert variance * (1 - within) < exact < variance


@given(st.floats(0, WIDEST))
@example(8191.0)
@example(8191.5)
@example(float(WIDEST))
def test_the_narrowest_law_is_wide_enough_and_hardly_wider(deviation: float) -> None:
    law = narrowest(deviation)
    assert law.deviation >= deviation
    assert law.variance == 1 or law.deviation <= deviation + max(0.5, deviation / 8000)
    if 1 < law.variance < FINE:
        assert (law.variance - 1) ** 0.5 < deviation or deviation > 8191


@pytest.mark.parametrize("variance", [0, -1, FINE + 1, (WIDEST + 1) ** 2])
def test_a_law_that_64_bits_do_not_hold_is_refused(variance: int) -> None:
    with pytest.raises(ValueError, match="variance"):
        Gaussian(variance)


@pytest.mark.parametrize("deviation", [WIDEST + 1, float("inf"), float("nan")])
def test_a_width_beyond_the_arithmetic_is_refused(deviation: float) -> None:
    with pytest.raises(ValueError, match="standard deviation"):
        narrowest(deviation)


def test_words_are_aes_in_counter_mode_and_no_two_sources_alike() -> None:
    n = (1 << 15) + 3
    cipher = AES.new(KEY, AES.MODE_CTR, nonce=b"", initial_value=bytes(16))
    chance = Chance(KEY)
    taken = np.concatenate([chance.take(5), chance.take(n - 5)])
    assert taken.tobytes() == cipher.encrypt(bytes(8 * n))
    assert Chance().take(4).tolist() != Chance().take(4).tolist()


def test_nothing_is_drawn_for_an_empty_array() -> None:
    assert draw(Gaussian(4), Chance(KEY), 0).shape == (0,)
