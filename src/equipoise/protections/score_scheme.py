"""Scores of encrypted genotypes: what the owner of the weights computes, and why it says no more.

Dosages g and weights w stand in the coefficients of ring elements, g(X) = sum g_j X**j and
w(X) = w_0 - sum w_j X**(N - j), so that coefficient 0 of the product is the sum of w_j g_j, and
coefficient i that of dosages placed from i on (Huang et al. 2022, USENIX Security, Cheetah,
section 3.1). All is whole numbers: a weight is rounded to 2**-40, a dosage to 2**-40 and held
at 2**86 above the noise, and nothing is rounded afterwards.

A ciphertext is a pair (c, a) with c + a s = 2**86 g + e, s the clinic's secret and e below 21.
Every a is drawn from a seed, which halves what is sent, and leaves a clinic that lies no choice
of it. The owner returns, of sum w c and sum w a over all blocks,

- of the first the coefficients of scores alone. The others are the partial sums; they are not
  sent, which is blinding them by uniform numbers modulo q (and unlike numbers added to slots,
  costs no precision);
- the second with an encryption of zero added, (b u + e', a u + e'') under the clinic's public
  pair (b, a) with u and e'' drawn for this one answer. Without it the clinic, who knows every a,
  would solve sum w a for w; with it, that is to tell ring-LWE samples of secret u from uniform
  numbers (degree 8192, 150 bits of at most 218 for 128 bits of security: Albrecht et al. 2018,
  iacr.org/2019/939, table 1, as for the ciphertexts);
- each coefficient with a number added that is uniform below 2**107 either way. It drowns
  sum w e + e_b u + e'' s, which is below 2**65.5: with it and without it, answers differ in
  distribution by at most 2**-41 (`DISTANCE`).

So an answer can be made up from the score, rounded to 2**-19, alone. It has 42 bits above the
flood whatever was asked: k answers tell at most 42 k bits about the weights.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.protections import score_ring as ring
from equipoise.protections.score_ring import DEGREE, SHAPE, Residues, Words

WEIGHT_BITS: Final = 40
DOSAGE_BITS: Final = 86
FINE_BITS: Final = 40
"""A dosage is rounded to 2**-40."""

FLOOD_BITS: Final = 107
LARGEST_SUM: Final = 2.0**21
"""The most that absolute weights may add up to."""

LARGEST_ERROR: Final = 1e-5
"""What a score may be wrong by."""

NOISE: Final = 21
"""Bound of each coefficient of e, of SEAL and of what is drawn here."""

DISTANCE: Final = 2.0**-41
"""Statistical distance between answers with and without their noise, for a score."""

Draw = Callable[[int], bytes]
"""Returns so many random bytes; only a cryptographic source will do."""

Reals = NDArray[np.float64]


def n_blocks(n_weights: int) -> int:
    """Return how many ciphertexts one group of people takes.

    >>> [n_blocks(n) for n in (1, 8192, 8193, 110_000)]
    [1, 1, 2, 14]
    """
    return max(-(-n_weights // DEGREE), 1)


def group_size(n_weights: int) -> int:
    """Return how many people share the ciphertexts of a group.

    >>> [group_size(n) for n in (77, 4096, 4097, 110_000)]
    [106, 2, 1, 1]
    """
    return max(DEGREE // max(n_weights, 1), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Weights as the owner's side multiplies with them, (blocks, primes, degree), transformed."""

    n_weights: int
    blocks: Residues = field(repr=False)

    @classmethod
    def of(cls, weights: Reals) -> "Model":
        """Return weights, (weights,), made ready; InputError where scores could not be exact."""
        bound = error_bound(weights)
        if not bound <= LARGEST_ERROR:
            raise InputError(
                f"{len(weights)} weights of absolute sum {np.abs(weights).sum():.3g} cannot be"
                f" scored encrypted within {LARGEST_ERROR:g}: expected finite weights that add up"
                f" to at most {LARGEST_SUM:g}; give them in a larger unit and scale the scores"
            )
        parts = np.rint(np.ldexp(weights, WEIGHT_BITS)).astype(np.int64)
        blocks = np.empty((n_blocks(len(parts)), *SHAPE), np.uint32)
        for at in range(len(blocks)):
            part = parts[at * DEGREE : (at + 1) * DEGREE]
            turned = np.zeros(DEGREE, np.int64)
            turned[: len(part)] = part
            turned[1:] = -turned[:0:-1]
            blocks[at] = _transformed(ring.residues(turned))
        return cls(len(parts), blocks)


def error_bound(weights: Reals) -> float:
    """Return what no score by these weights is wrong by; infinite where they are too large.

    Rounded are each weight, by 2**-41 for each of two copies, and each dosage, by 2**-41 for
    each unit of weight; the flood is 2**-19 of a score, and noise far below it. Two sums in
    double precision are added, for whoever compares.
    """
    total = float(np.abs(weights).sum())
    if not total <= LARGEST_SUM:
        return float("inf")
    rounding = np.ldexp(2.0 * len(weights) + total, -FINE_BITS - 1)
    flood = np.ldexp(1.0, FLOOD_BITS - DOSAGE_BITS - WEIGHT_BITS)
    return float(rounding + flood + np.ldexp(total, -48))


def encoded(dosage: Reals, n_weights: int) -> Iterator[Words]:
    """Yield the blocks of a group of people, not transformed, from dosages (people, weights).

    ValueError for more people than share a ciphertext, or a dosage that is not from 0 to 2.
    """
    people = len(dosage)
    if dosage.shape != (people, n_weights) or not 0 < people <= group_size(n_weights):
        raise ValueError(f"dosages of shape {dosage.shape} for {n_weights} weights")
    if not ((dosage >= 0) & (dosage <= 2)).all():
        raise ValueError("a dosage that is not from 0 to 2")
    flat = np.rint(np.ldexp(dosage, FINE_BITS)).astype(np.int64).reshape(-1)
    for at in range(n_blocks(n_weights)):
        part = np.zeros(DEGREE, np.int64)
        held = flat[at * DEGREE : (at + 1) * DEGREE]
        part[: len(held)] = held
        yield ring.scaled(ring.residues(part), 2 ** (DOSAGE_BITS - FINE_BITS))


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A group of people, encrypted: what the owner gets.

    public   b of the clinic's public pair, (primes, degree)
    blocks   c of each block, (blocks, primes, degree)
    seed     32 bytes that give every a: that of the pair at place 0, then block by block
    group    which group of the request this is
    """

    public: Residues = field(repr=False)
    blocks: Residues = field(repr=False)
    seed: bytes = field(repr=False)
    group: int = 0

    def mask(self, block: int) -> Residues:
        """Return a of a block."""
        return ring.uniform(self.seed, 1 + self.group * len(self.blocks) + block)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the owner returns for a group.

    sums  a coefficient a person, (people, primes)
    mask  the second part of the ciphertext, (primes, degree), transformed
    """

    sums: Residues = field(repr=False)
    mask: Residues = field(repr=False)


def answer(model: Model, asked: Asked, people: int, draw: Draw) -> Answer:
    """Return the encrypted scores of a group of so many people."""
    first, second = products(model, asked)
    randomise(first, second, asked, draw)
    ring.inverse(first)
    kept = first[:, np.arange(people) * model.n_weights].T
    drowned = [[flood % p for p in ring.PRIMES] for flood in (flooding(draw) for _ in kept)]
    sums = (kept + np.array(drowned, np.uint64)) % np.array(ring.PRIMES, np.uint64)
    return Answer(sums.astype(np.uint32), second.astype(np.uint32))


def products(model: Model, asked: Asked) -> tuple[Words, Words]:
    """Return sum w c and sum w a over the blocks, transformed: the owner's work."""
    first, second = np.zeros(SHAPE, np.uint64), np.zeros(SHAPE, np.uint64)
    for at, weights in enumerate(model.blocks):
        ring.multiply_add(first, asked.blocks[at], weights)
        ring.multiply_add(second, asked.mask(at), weights)
    return first, second


def randomise(first: Words, second: Words, asked: Asked, draw: Draw) -> None:
    """Add an encryption of zero under the clinic's public pair to both parts, in place.

    The part e' of it is left to the flood.
    """
    secret = _transformed(ring.residues(ternary(draw)))
    ring.multiply_add(first, asked.public, secret)
    ring.multiply_add(second, ring.uniform(asked.seed, 0), secret)
    ring.multiply_add(second, _transformed(ring.residues(noise(draw))), _ones())


def flooding(draw: Draw) -> int:
    """Return a uniform whole number from -2**107 to 2**107 - 1."""
    drawn = int.from_bytes(draw(FLOOD_BITS // 8 + 1), "big")
    return drawn % 2 ** (FLOOD_BITS + 1) - 2**FLOOD_BITS


def ternary(draw: Draw) -> NDArray[np.int64]:
    """Return uniform coefficients -1, 0 and 1, (degree,)."""
    kept = np.zeros(0, np.uint8)
    while len(kept) < DEGREE:
        drawn = np.frombuffer(draw(DEGREE + 256), np.uint8)
        kept = np.concatenate([kept, drawn[drawn < 255]])
    return kept[:DEGREE].astype(np.int64) % 3 - 1


def noise(draw: Draw) -> NDArray[np.int64]:
    """Return coefficients of a centred binomial law of 42 coins, (degree,), as SEAL's."""
    drawn = np.frombuffer(draw(8 * DEGREE), "<u8")
    coins = np.uint64(2**NOISE - 1)
    heads = np.bitwise_count(drawn & coins).astype(np.int64)
    return heads - np.bitwise_count((drawn >> np.uint64(NOISE)) & coins)


def _ones() -> Residues:
    return np.ones(SHAPE, np.uint32)


def _transformed(element: Words) -> Residues:
    ring.forward(element)
    return element.astype(np.uint32)
