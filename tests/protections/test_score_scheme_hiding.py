"""Encrypted scores: an answer tells the score and no more.

Randomness comes from seeded generators, so that each statistical test has one outcome; each is
shown to fail where the protection that it is about is taken out.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.protections import score_ring as ring
from equipoise.protections import score_scheme
from equipoise.protections.score_ring import DEGREE, PRIMES, SHAPE, Q
from equipoise.protections.score_scheme import (
    DOSAGE_BITS,
    FLOOD_BITS,
    NOISE,
    WEIGHT_BITS,
    Answer,
    Asked,
    Model,
    answer,
    encoded,
    flooding,
    noise,
    ternary,
)
from protections.score_draws import (
    Reals,
    ask,
    chi_square,
    draws,
    extreme,
    looks_uniform,
    scored,
    signed,
)

pytest.importorskip("tenseal")
from equipoise.protections.score_key import Key

SCALE = DOSAGE_BITS + WEIGHT_BITS


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


# What is drawn


def test_what_is_sent_looks_uniform_and_has_the_noise_of_seal(key: Key) -> None:
    dosage = np.ones((1, 9000))
    asked, again = ask(key, dosage, 1), ask(key, dosage, 2)
    assert not np.array_equal(asked.blocks, again.blocks)
    for block in (asked.public, *asked.blocks, *again.blocks):
        assert looks_uniform(block.astype(np.uint64))
    found = []
    for at, element in enumerate(encoded(dosage, 9000)):
        phase = asked.blocks[at].astype(np.uint64)
        ring.multiply_add(phase, asked.mask(at), key._secret)
        moduli = np.array(PRIMES, np.uint64)[:, None]
        ring.inverse(phase)
        found.append(signed((phase + (moduli - element)) % moduli))
    e = np.array(found, float)
    assert np.abs(e).max() <= NOISE
    # Of standard deviation 3.2, clipped, or of 42 coins: 10.24 to 10.5; 4 standard errors.
    assert 9.7 < e.var() < 11.0
    assert abs(np.corrcoef(e)[0, 1]) < 4 / np.sqrt(DEGREE)


def test_small_elements_have_their_laws() -> None:
    e, u = noise(draws(1)), ternary(draws(2))
    assert np.abs(e).max() <= NOISE
    assert e.var() == pytest.approx(10.5, rel=0.07)  # 42 coins; 4 standard errors of 8192 draws
    assert abs(e.mean()) < 4 * np.sqrt(10.5 / DEGREE)
    counts = np.bincount(u + 1)
    assert counts.sum() == DEGREE
    assert np.abs(counts - DEGREE / 3).max() < 4 * np.sqrt(DEGREE * 2 / 9)


def test_the_flood_is_uniform_and_wide() -> None:
    draw = draws(3)
    floods = np.array([flooding(draw) / 2.0**FLOOD_BITS for _ in range(20_000)])
    assert floods.min() >= -1
    assert floods.max() < 1
    assert abs(chi_square((floods + 1) / 2)) < 5


def test_the_flood_drowns_the_noise_at_the_largest_weights() -> None:
    """The bound that `DISTANCE` stands for, from the constants alone."""
    largest = score_scheme.LARGEST_SUM * 2.0**WEIGHT_BITS * NOISE + 2 * DEGREE * NOISE
    assert largest / 2.0 ** (FLOOD_BITS + 1) <= score_scheme.DISTANCE <= 2.0**-40
    # And it all fits into the modulus: the largest score at its scale, flood and noise.
    assert 2 * (2.0 * score_scheme.LARGEST_SUM * 2.0**SCALE + 2.0**FLOOD_BITS + largest) < Q
    # Bits of an answer that stand out of the flood, whatever is asked.
    assert np.log2(float(Q)) - (FLOOD_BITS + 1) < 42


# What an answer tells beside the score


def solved(asked: Asked, mask: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return what a clinic takes for the weights: the answer's second part over its own a."""
    a = asked.mask(0).astype(object)
    found = np.array(
        [[int(y) * pow(int(x), -1, p) % p for x, y in zip(*rows, strict=True)]
         for *rows, p in zip(a, mask, PRIMES, strict=True)],
        np.uint64,
    )  # fmt: skip
    ring.inverse(found)
    return found


def taken_out(monkeypatch: pytest.MonkeyPatch, name: str, stub: Callable[..., object]) -> None:
    monkeypatch.setattr(score_scheme, name, stub)


def nothing(*_: object) -> None:
    """Stand for `randomise` where it does nothing."""


def test_the_second_part_of_an_answer_does_not_give_the_weights(key: Key) -> None:
    weights = extreme(1000, 4)
    asked = ask(key, np.ones((1, 1000)))
    answered = answer(Model.of(weights), asked, 1, draws(8))
    assert looks_uniform(answered.mask.astype(np.uint64))
    assert looks_uniform(solved(asked, answered.mask))


def test_without_randomising_one_answer_gives_every_weight(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: the same attack reads a thousand weights out of one answer."""
    weights = extreme(1000, 4)
    asked = ask(key, np.ones((1, 1000)))
    taken_out(monkeypatch, "randomise", nothing)
    answered = answer(Model.of(weights), asked, 1, draws(8))
    found = solved(asked, answered.mask)
    assert not looks_uniform(found)
    turned = np.array(signed(found[:, :1]) + [-x for x in signed(found[:, :-1000:-1])], float)
    np.testing.assert_allclose(turned / 2.0**WEIGHT_BITS, weights, rtol=0, atol=2.0**-40)


def partial_sums(answered: Answer, key: Key, first: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return all coefficients that would be decrypted if the first part were sent whole."""
    phase = first.copy()
    ring.multiply_add(phase, answered.mask, key._secret)
    ring.inverse(phase)
    return phase


def test_the_sums_beside_the_score_are_blinded_by_uniform_numbers(key: Key) -> None:
    """All that a clinic has of the other coefficients is the mask times its secret: uniform.

    What it would have if they were sent is not: the partial sums stand in them.
    """
    weights = extreme(3000, 7)
    dosage = np.random.default_rng(7).binomial(2, 0.3, (1, 3000)).astype(float)
    model, asked = Model.of(weights), ask(key, dosage)
    answered = answer(model, asked, 1, draws(9))
    assert answered.sums.shape == (1, len(PRIMES))
    held = partial_sums(answered, key, np.zeros(SHAPE, np.uint64))
    assert looks_uniform(held[:, 1:])
    first, second = score_scheme.products(model, asked)
    score_scheme.randomise(first, second, asked, draws(9))
    unblinded = partial_sums(answered, key, first)
    assert not looks_uniform(unblinded[:, 1:])
    leaked = np.array(signed(unblinded[:, :20]), float) / 2.0**SCALE
    turned = np.zeros(DEGREE)
    turned[0], turned[-2999:] = weights[0], -weights[:0:-1]
    full = np.convolve(np.pad(dosage[0], (0, DEGREE - 3000)), turned)
    expected = full[:20] - full[DEGREE : DEGREE + 20]
    np.testing.assert_allclose(leaked, expected, atol=1e-5)


def residual(key: Key, answered: Answer, exact: int) -> int:
    """Return what a clinic finds in an answer beside the score that it knows exactly."""
    phase = partial_sums(answered, key, np.zeros(SHAPE, np.uint64))[:, 0]
    total = (phase + answered.sums[0]) % np.array(PRIMES, np.uint64)
    return ring.whole(total) - exact


def residuals(key: Key, n_answers: int) -> NDArray[np.float64]:
    weights = extreme(50, 3)
    model, asked = Model.of(weights), ask(key, np.ones((1, 50)))
    exact = sum(int(w) for w in np.rint(weights * 2.0**WEIGHT_BITS)) << DOSAGE_BITS
    found = [residual(key, answer(model, asked, 1, draws(i)), exact) for i in range(n_answers)]
    return np.array(found, float) / 2.0**FLOOD_BITS


def test_what_is_left_of_an_answer_is_the_flood(key: Key) -> None:
    found = residuals(key, 200)
    assert np.abs(found).max() <= 1
    assert abs(chi_square((found + 1) / 2, 8)) < 5


def test_without_the_flood_the_noise_is_read(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: answers to one question then differ by a little noise alone."""
    taken_out(monkeypatch, "flooding", lambda _: 0)
    found = residuals(key, 40)
    assert np.abs(found).max() < 2.0**-40
    assert abs(chi_square((found + 1) / 2, 8)) > 5


def chosen(key: Key, weights: Reals, queries: Reals) -> Reals:
    return np.array([scored(key, weights, q[None], i)[0] for i, q in enumerate(queries)])


def guessed(queries: Reals, answers: Reals) -> Reals:
    """Return the likeliest weights of a clinic that knows the answers: least squares."""
    return np.linalg.lstsq(queries, answers, rcond=None)[0]


def test_few_queries_leave_the_other_weights_unknown(key: Key) -> None:
    n, k = 400, 30
    draw = np.random.default_rng(11)
    weights = draw.normal(size=n)
    units = np.eye(n)[:k]
    found = chosen(key, weights, units)
    np.testing.assert_allclose(found, weights[:k], atol=1e-5)  # those asked for are known
    # Another model with the same k weights gives the same answers, up to the flood.
    other = weights.copy()
    other[k:] = draw.normal(size=n - k)
    np.testing.assert_allclose(chosen(key, other, units), found, atol=1e-5)
    assert np.abs(guessed(units, found)[k:]).max() < 1e-9
    # Random genotypes: guesses explain the share k / n of the weights, as of any k equations.
    random = draw.binomial(2, 0.5, (k, n)) - 0.0
    guess = guessed(random, chosen(key, weights, random))
    explained = 1 - ((weights - guess) ** 2).sum() / (weights**2).sum()
    assert explained < k / n + 4 * np.sqrt(2 * k) / n


def test_as_many_queries_as_weights_give_them_all(key: Key) -> None:
    """What is not protected, and why clients are limited."""
    weights = np.random.default_rng(12).normal(size=30)
    queries = np.random.default_rng(13).binomial(2, 0.5, (30, 30)).astype(float)
    found = guessed(queries, chosen(key, weights, queries))
    np.testing.assert_allclose(found, weights, atol=1e-3)
