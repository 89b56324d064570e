"""The ring that scores are encrypted in: against slow twins, and against SEAL's own order."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.protections import score_ring as ring
from equipoise.protections.score_ring import DEGREE, PRIMES, SHAPE, SPECIAL, Q

seeds = st.integers(0, 2**32 - 1)


def element(seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.array([draw.integers(0, p, DEGREE) for p in PRIMES], np.uint64)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    ring.forward(left)
    ring.forward(right)
    total = np.zeros(SHAPE, np.uint64)
    ring.multiply_add(total, left.astype(np.uint32), right.astype(np.uint32))
    ring.inverse(total)
    return total


def test_the_primes_are_those_of_the_ring() -> None:
    for p in (*PRIMES, SPECIAL):
        assert p < 2**30
        assert p % (2 * DEGREE) == 1
        assert pow(2, p - 1, p) == 1
        assert all(p % d for d in range(3, 32768, 2))
    assert np.prod([float(p) for p in PRIMES]) == pytest.approx(float(Q))
    assert Q.bit_length() == 150


@settings(max_examples=5)
@given(seeds)
def test_a_product_is_the_negacyclic_convolution(seed: int) -> None:
    draw = np.random.default_rng(seed)
    left, right = (draw.integers(-(2**20), 2**20, DEGREE) for _ in range(2))
    right[draw.random(DEGREE) < 0.99] = 0  # so that the sums stay below 2**63
    full = np.convolve(left, right)
    expected = full[:DEGREE].copy()
    expected[: len(full) - DEGREE] -= full[DEGREE:]
    np.testing.assert_array_equal(
        product(ring.residues(left), ring.residues(right)), ring.residues(expected)
    )


@settings(max_examples=5)
@given(seeds)
def test_the_transform_is_undone(seed: int) -> None:
    x = element(seed)
    y = x.copy()
    ring.forward(y)
    assert ring.below(y.astype(np.uint32))
    ring.inverse(y)
    np.testing.assert_array_equal(x, y)


def test_products_of_the_largest_numbers_are_right() -> None:
    top = np.array(PRIMES, np.uint64)[:, None]
    kinds = np.tile(np.arange(DEGREE, dtype=np.uint64) % 64, (len(PRIMES), 1))
    left, right = top - 1 - kinds, top - 1 - kinds[:, ::-1]
    total = top - 1 - kinds
    expected = [
        [(int(t) + int(a) * int(b)) % p for t, a, b in zip(*rows, strict=True)]
        for *rows, p in zip(total, left, right, PRIMES, strict=True)
    ]
    ring.multiply_add(total, left.astype(np.uint32), right.astype(np.uint32))
    assert total.tolist() == expected


@given(st.integers(-(Q // 2), Q // 2))
def test_residues_give_the_number_back(number: int) -> None:
    assert ring.whole(np.array([number % p for p in PRIMES])) == number


def test_scaling_is_by_a_whole_number_of_any_size() -> None:
    x = element(1)
    found = ring.scaled(x.copy(), 2**46)
    assert found[3, :9].tolist() == [int(v) * 2**46 % PRIMES[3] for v in x[3, :9]]


def test_seals_encoder_has_the_same_order() -> None:
    """What SEAL encodes, brought back by our transform, has the values asked for at its roots."""
    tenseal = pytest.importorskip("tenseal")
    seal = pytest.importorskip("tenseal.sealapi")
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=[30] * (len(PRIMES) + 1)
    )
    values = np.random.default_rng(3).normal(size=DEGREE // 2)
    plain = seal.Plaintext()
    seal.CKKSEncoder(context.seal_context().data).encode(values.tolist(), 2.0**30, plain)
    x = np.array([plain[i] for i in range(len(PRIMES) * DEGREE)], np.uint64).reshape(SHAPE)
    ring.inverse(x)
    signed = x.astype(np.int64)
    for row, p in zip(signed, PRIMES, strict=True):
        row[row > p // 2] -= p
    assert (signed == signed[0]).all()
    powers = np.array([pow(3, j, 2 * DEGREE) for j in range(8)])
    angles = np.exp(1j * np.pi / DEGREE * np.outer(powers, np.arange(DEGREE)))
    # SEAL rounds each coefficient: the errors add up to about 2**-31 sqrt(8192).
    np.testing.assert_allclose((angles @ signed[0] / 2.0**30).real, values[:8], atol=1e-6)


def slow_uniform(seed: bytes, place: int, row: int) -> list[int]:
    """Return a row as `uniform` says it, where one draw of words is enough."""
    words = 4 * len(PRIMES) * (DEGREE + 512)
    start = place.to_bytes(8, "big") + bytes(8)
    stream = Cipher(algorithms.AES(seed), modes.CTR(start)).encryptor().update(bytes(words))
    part = stream[row * words // len(PRIMES) : (row + 1) * words // len(PRIMES)]
    found = [int.from_bytes(part[i : i + 4], "little") % 2**30 for i in range(0, len(part), 4)]
    return [x for x in found if x < PRIMES[row]][:DEGREE]


def test_a_seed_gives_what_its_definition_says() -> None:
    seed = bytes(range(32))
    found = ring.uniform(seed, 7)
    assert ring.below(found)
    assert found[4].tolist() == slow_uniform(seed, 7, 4)
    assert not np.array_equal(found, ring.uniform(seed, 8))
    assert not np.array_equal(found, ring.uniform(bytes(32), 7))


def test_a_number_at_its_prime_is_seen() -> None:
    x = ring.uniform(bytes(32), 0)
    assert ring.below(x)
    for row in range(len(PRIMES)):
        wrong = x.copy()
        wrong[row, -1] = PRIMES[row]
        assert not ring.below(wrong)
