"""Encrypted scores from seeded draws, and whether what they send looks uniform, for several tests.

Randomness comes from seeded generators, so that each statistical test has one outcome.
"""

import numpy as np
from numpy.typing import NDArray

from equipoise.protections import score_ring as ring
from equipoise.protections.score_key import Key
from equipoise.protections.score_ring import PRIMES, Q
from equipoise.protections.score_scheme import Asked, Draw, Model, answer

Reals = NDArray[np.float64]


def draws(seed: int) -> Draw:
    """Return a source for tests alone: the same bytes every time."""
    return np.random.default_rng(seed).bytes


def seed_of(number: int) -> bytes:
    return number.to_bytes(32, "little")


def ask(key: Key, dosage: Reals, number: int = 1) -> Asked:
    seed = seed_of(number)
    return key.ask(dosage, key.public(seed), seed, 0)


def scored(key: Key, weights: Reals, dosage: Reals, number: int = 1) -> Reals:
    asked = ask(key, dosage, number)
    answered = answer(Model.of(weights), asked, len(dosage), draws(number))
    return key.scores(answered, len(weights))


def extreme(n: int, seed: int) -> Reals:
    """Return weights from 1e-4 to 5 in size, of both signs."""
    draw = np.random.default_rng(seed)
    return draw.choice([-1.0, 1.0], n) * 10 ** draw.uniform(-4, np.log10(5), n)


def chi_square(fractions: Reals, cells: int = 64) -> float:
    """Return how far counts in equal cells of [0, 1) are from uniform, in standard deviations."""
    counts = np.bincount((fractions * cells).astype(np.int64), minlength=cells)
    expected = fractions.size / cells
    return (((counts - expected) ** 2 / expected).sum() - (cells - 1)) / np.sqrt(2 * (cells - 1))


def share_of_q(element: NDArray[np.uint64]) -> Reals:
    """Return coefficients, (primes, coefficients), as parts of q in [0, 1)."""
    parts = [
        (row * np.uint64(pow(Q // p, -1, p)) % np.uint64(p)) / p
        for row, p in zip(element, PRIMES, strict=True)
    ]
    return np.sum(parts, axis=0) % 1


def looks_uniform(element: NDArray[np.uint64]) -> bool:
    """Return whether coefficients pass the test modulo each prime, and modulo q.

    5 standard deviations: chance fails it less than once in ten thousand.
    """
    shares = [row / p for row, p in zip(element, PRIMES, strict=True)]
    return all(abs(chi_square(one)) < 5 for one in (*shares, share_of_q(element)))


def signed(element: NDArray[np.uint64]) -> list[int]:
    return [ring.whole(element[:, i]) for i in range(element.shape[1])]
