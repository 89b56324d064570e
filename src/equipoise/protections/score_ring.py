"""Arithmetic of the ring in which scores are encrypted: Z[X]/(X**8192 + 1) modulo q.

q is the product of five primes just below 2**30, each 1 modulo 16384, the largest that SEAL
takes at this size: about 2**150. An element is an array (primes, degree) of residues. Products
are taken entry by entry of the number theoretic transform, whose order is that of SEAL: entry
j is the value at root**(2 r(j) + 1), with r the reversal of 13 bits and the root the least of
its order (Longa and Naehrig 2016, doi:10.1007/978-3-319-48965-0_8, algorithms 1 and 2).

Primes of 30 bits keep every product below 2**60, so that loops are plain 64-bit integers that
vectorise: residues come back by Barrett's method (Menezes et al. 1996, algorithm 14.42).
"""

from functools import cache
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from equipoise.native import compiled, native

DEGREE: Final = 8192
"""Coefficients of an element."""

PRIMES: Final = (1073233921, 1073299457, 1073430529, 1073479681, 1073643521)
"""The primes below 2**30 whose product is q."""

SPECIAL: Final = 1073692673
"""The prime more that SEAL's keys have; no message is modulo it."""

Q: Final = 1073233921 * 1073299457 * 1073430529 * 1073479681 * 1073643521

SHAPE: Final = (len(PRIMES), DEGREE)

Words = NDArray[np.uint64]
Residues = NDArray[np.uint32]
"""(primes, degree), below the primes: as elements are kept and sent."""

_BITS: Final = 30
_MODULI: Final = np.array(PRIMES, np.uint64)
_FACTORS: Final = np.array([2 ** (2 * _BITS) // p for p in PRIMES], np.uint64)
_SPARE: Final = 512
"""Words drawn beyond the degree; about 3 of 8192 are not below their prime."""


def residues(values: NDArray[np.int64]) -> Words:
    """Return whole numbers, (values,), modulo each prime, (primes, values).

    >>> residues(np.array([-1])).tolist()[0]
    [1073233920]
    """
    moduli = _MODULI.astype(np.int64)[:, None]
    if np.abs(values).max(initial=0) < PRIMES[0]:
        return np.where(values < 0, values + moduli, values).astype(np.uint64)
    return np.mod(values[None, :], moduli).astype(np.uint64)


def scaled(element: Words, factor: int) -> Words:
    """Return an element times a whole number, residue by residue."""
    total = np.zeros(element.shape, np.uint64)
    multiply_add(total, element.astype(np.uint32), _constant(factor))
    return total


@cache
def _constant(factor: int) -> Residues:
    by = np.array([[factor % p] for p in PRIMES], np.uint32)
    return np.tile(by, DEGREE)


def whole(parts: NDArray[np.integer[Any]]) -> int:
    """Return the whole number between -q/2 and q/2 with these residues, (primes,).

    >>> whole(np.array([(-12345) % p for p in PRIMES]))
    -12345
    """
    total = 0
    for part, p in zip(parts.tolist(), PRIMES, strict=True):
        total += part * (Q // p) * pow(Q // p, -1, p)
    total %= Q
    return total - Q if total > Q // 2 else total


def forward(element: Words) -> None:
    """Transform an element, (primes, degree), in place."""
    _forward(element, _roots()[0], _MODULI, _FACTORS)


def inverse(element: Words, first: int = 0) -> None:
    """Undo `forward`, in place; of an element without its rows before `first`, if that is said."""
    _inverse(element, _roots()[1][first:], _MODULI[first:], _FACTORS[first:], _ends()[first:])


def multiply_add(total: Words, left: Residues, right: Residues, first: int = 0) -> None:
    """Add the product of two transformed elements to `total`, in place; `first` as for `inverse`."""
    _multiply_add(total, left, right, _MODULI[first:], _FACTORS[first:])


def below(element: Residues) -> bool:
    """Return whether all entries are below their primes; the last axes are `SHAPE`."""
    return bool((element < _MODULI.astype(np.uint32)[:, None]).all())


def uniform(seed: bytes, place: int) -> Residues:
    """Return the uniform element, (primes, degree), that a public seed gives at a place.

    AES-256-CTR under the seed of 32 bytes; words of 30 bits that are not below the prime are
    passed over. Whoever gives the seed cannot choose what comes of it.
    """
    start = place.to_bytes(8, "big") + bytes(8)
    stream = Cipher(algorithms.AES(seed), modes.CTR(start)).encryptor()
    size = 4 * len(PRIMES) * (DEGREE + _SPARE)
    words = np.frombuffer(stream.update(bytes(size)), "<u4").reshape(len(PRIMES), -1)
    found, counts = np.empty(SHAPE, np.uint32), np.zeros(len(PRIMES), np.int64)
    while True:
        _take(words, found, counts, _MODULI)
        if counts.min() == DEGREE:
            return found
        words = np.frombuffer(stream.update(bytes(size)), "<u4").reshape(len(PRIMES), -1)


@cache
def _roots() -> tuple[Words, Words]:
    """Return powers of the root of each prime, and of its inverse, (primes, degree), reversed."""
    order = _reversed_bits()
    powers = np.empty((2, *SHAPE), np.uint64)
    for at, p in enumerate(PRIMES):
        root = _least_root(p)
        for which, base in enumerate((root, pow(root, -1, p))):
            power = 1
            for i in range(DEGREE):
                powers[which, at, order[i]] = power
                power = power * base % p
    return powers[0], powers[1]


@cache
def _ends() -> Words:
    """Return the inverse of the degree modulo each prime, (primes,)."""
    return np.array([pow(DEGREE, -1, p) for p in PRIMES], np.uint64)


def _reversed_bits() -> list[int]:
    order = [0]
    while len(order) < DEGREE:
        order = [2 * i for i in order] + [2 * i + 1 for i in order]
    return order


def _least_root(p: int) -> int:
    """Return the least number of order 2 DEGREE modulo p, which is the one that SEAL takes."""
    base = next(g for g in range(2, p) if pow(g, (p - 1) // 2, p) == p - 1)
    root = pow(base, (p - 1) // (2 * DEGREE), p)
    square, least = root * root % p, root
    for _ in range(DEGREE):
        least, root = min(least, root), root * square % p
    return least


@compiled
def _product(a: Any, b: Any, p: Any, factor: Any) -> Any:
    """Return a b modulo p, of numbers below 2**30."""
    x = a * b
    r = x - ((((x >> np.uint64(29)) * factor) >> np.uint64(31)) * p)
    r = min(r, r - p)  # below p, the difference wraps
    return min(r, r - p)


@native("uint64[:,:]", "uint64[:,:]", "uint64[:]", "uint64[:]")
def _forward(x: Any, roots: Any, moduli: Any, factors: Any) -> None:
    for at in range(len(moduli)):
        p, factor = moduli[at], factors[at]
        row, table = x[at], roots[at]
        half = len(row) // 2
        parts = 1
        while parts < len(row):
            for i in range(parts):
                root = table[parts + i]
                first = 2 * i * half
                for j in range(first, first + half):
                    u = row[j]
                    v = _product(row[j + half], root, p, factor)
                    row[j] = min(u + v, u + v - p)
                    row[j + half] = min(u - v, u - v + p)
            parts *= 2
            half //= 2


@native("uint64[:,:]", "uint64[:,:]", "uint64[:]", "uint64[:]", "uint64[:]")
def _inverse(x: Any, roots: Any, moduli: Any, factors: Any, ends: Any) -> None:
    for at in range(len(moduli)):
        p, factor = moduli[at], factors[at]
        row, table = x[at], roots[at]
        half = 1
        parts = len(row) // 2
        while parts > 0:
            for i in range(parts):
                root = table[parts + i]
                first = 2 * i * half
                for j in range(first, first + half):
                    u, v = row[j], row[j + half]
                    row[j] = min(u + v, u + v - p)
                    row[j + half] = _product(min(u - v, u - v + p), root, p, factor)
            parts //= 2
            half *= 2
        for j in range(len(row)):
            row[j] = _product(row[j], ends[at], p, factor)


@native("uint64[:,:]", "uint32[:,:]", "uint32[:,:]", "uint64[:]", "uint64[:]")
def _multiply_add(total: Any, left: Any, right: Any, moduli: Any, factors: Any) -> None:
    for at in range(len(moduli)):
        p, factor = moduli[at], factors[at]
        for j in range(total.shape[1]):
            s = total[at, j] + _product(np.uint64(left[at, j]), np.uint64(right[at, j]), p, factor)
            total[at, j] = min(s, s - p)


@native("uint32[:,:]", "uint32[:,:]", "int64[:]", "uint64[:]")
def _take(words: Any, found: Any, counts: Any, moduli: Any) -> None:
    for at in range(len(moduli)):
        count = counts[at]
        for j in range(words.shape[1]):
            if count == found.shape[1]:
                break
            word = words[at, j] & np.uint32(0x3FFFFFFF)
            found[at, count] = word
            count += np.int64(word < moduli[at])
        counts[at] = count
