"""Exact draws of the discrete Gaussian: an integer x with probability as exp(-x**2 / 2 variance).

By rejection from the discrete Laplace (Canonne, Kamath and Steinke 2020, arXiv:2004.00010,
Algorithms 1 to 3), in integers alone: no logarithm or exponential is ever taken, so that no
rounding shows in what is drawn. Random bits are AES-256-CTR under a key from the operating
system; the law is exact for bits that are uniform.

Departures:

- The scale t of the Laplace is the standard deviation itself where that is an integer, not the
  next integer above it. Any t gives the same law.
- The variance is an integer, and beyond 2**26 the square of one, so that 64 bits hold every
  product. `narrowest` widens what is asked to the next such.
- A Laplace draw that would be kept with a probability below e**-512 is not. Such a value lies
  more than 32 standard deviations out, where all values have a probability below 2 e**-512.
- A uniform integer below n is as many bits as n - 1 has, drawn until below n; n = 1 takes none.
  A trial of probability a / (b k) is one of a / b and one of 1 / k.

How long a draw takes depends on what is drawn: whoever can time a site's processor sees more
than the noised sums.
"""

import os
from dataclasses import dataclass
from math import ceil, floor, isqrt
from typing import Any, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from equipoise.native import compiled, native
from equipoise.protections.keystream import CHUNK, ZEROS

WIDEST = 1 << 26
"""The greatest standard deviation that 64 bits have room for."""

_FINE = 1 << 13
_FAR = 1 << 31  # its square, 2**62, is at least 2**9 times any d of `Gaussian.numbers`
_ENDED = -1


class Words(Protocol):
    """A source of uniform 64-bit words."""

    def take(self, n: int) -> NDArray[np.int64]:
        """Return the next n words."""
        ...


class Chance:
    """Words of AES-256-CTR under a key of the operating system, or the key given."""

    def __init__(self, key: bytes | None = None) -> None:
        """Take the key; one of its own is never told, and used for nothing else."""
        cipher = Cipher(algorithms.AES(key or os.urandom(32)), modes.CTR(bytes(16)))
        self._stream = cipher.encryptor()

    def take(self, n: int) -> NDArray[np.int64]:
        """Return the next n words."""
        found = bytearray(8 * n + 16)
        for start in range(0, n, CHUNK):
            size = 8 * min(CHUNK, n - start)
            self._stream.update_into(ZEROS[:size], memoryview(found)[8 * start :])
        return np.frombuffer(found, "<i8", count=n)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """The law: integers around 0 with probability as exp(-x**2 / 2 variance).

    variance  its parameter; what is drawn has this variance to within 1e-6, and from a parameter
              of 2 on to within 1e-14, and never more
    """

    variance: int

    def __post_init__(self) -> None:
        """ValueError for a variance that the arithmetic has no room for."""
        root = isqrt(max(self.variance, 0))
        square = root * root == self.variance
        if not 1 <= self.variance <= (WIDEST**2 if square else _FINE**2):
            raise ValueError(
                f"a variance of {self.variance}: it is an integer from 1 to {_FINE**2},"
                f" or the square of one up to {WIDEST}"
            )

    @property
    def deviation(self) -> float:
        """The square root of the parameter."""
        return float(self.variance) ** 0.5

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """Return t, m, r and d: y drawn at scale t is kept with exp(-(y m - r)**2 / d)."""
        root = isqrt(self.variance)
        if root * root == self.variance:
            return root, 1, root, 2 * self.variance
        t = root + 1
        return t, t, self.variance, 2 * self.variance * t * t


def narrowest(deviation: float) -> Gaussian:
    """Return the narrowest law that is at least so wide; ValueError beyond `WIDEST`.

    >>> [narrowest(d).variance for d in (0.1, 1.5, 10_000.5)]
    [1, 3, 100020001]
    """
    if not deviation <= WIDEST:
        raise ValueError(f"a standard deviation of {deviation:g} is beyond {WIDEST}")
    if deviation > _FINE - 1:
        return Gaussian(ceil(deviation) ** 2)
    least = max(1, floor(deviation**2))
    return Gaussian(least if least**0.5 >= deviation else least + 1)


def draw(law: Gaussian, words: Words, size: int) -> NDArray[np.int64]:
    """Return (size,) draws of a law; what is left of the words last taken is let go."""
    found = np.empty(size, np.int64)
    numbers = np.array(law.numbers, np.int64)
    done = np.zeros(2, np.int64)
    held = np.zeros(0, np.int64)
    while done[0] < size:
        # A draw that ran out of words begins again with the same ones and more.
        more = words.take(min(CHUNK, 24 * (size - int(done[0])) + 64))
        held = np.concatenate([held[done[1] :], more])
        done[1] = 0
        _draw(found, held, numbers, done)
    return found


@compiled
def _below(words: Any, place: Any, n: Any) -> Any:
    """Return a uniform integer below n, or `_ENDED` where no words are left."""
    mask = n - 1
    mask |= mask >> 1
    mask |= mask >> 2
    mask |= mask >> 4
    mask |= mask >> 8
    mask |= mask >> 16
    mask |= mask >> 32
    if mask == 0:
        return 0
    while place[1] < len(words):
        found = words[place[1]] & mask
        place[1] += 1
        if found < n:
            return found
    return _ENDED


@compiled
def _falls(words: Any, place: Any, a: Any, b: Any) -> Any:
    """Return 1 with probability exp(-a / b), else 0, for a up to b (Algorithm 1)."""
    k = 1
    while True:
        found = _below(words, place, b)
        if found == _ENDED:
            return _ENDED
        if found >= a:
            break
        found = _below(words, place, k)
        if found == _ENDED:
            return _ENDED
        if found > 0:
            break
        k += 1
    return k & 1


@compiled
def _falls_far(words: Any, place: Any, a: Any, b: Any) -> Any:
    """Return 1 with probability exp(-a / b), else 0, for any a."""
    while a > b:
        kept = _falls(words, place, 1, 1)
        if kept != 1:
            return kept
        a -= b
    return _falls(words, place, a, b)


@compiled
def _laplace(words: Any, place: Any, t: Any) -> Any:
    """Return |y|, y discrete Laplace of scale t before y = 0 is halved (Algorithm 2)."""
    while True:
        low = _below(words, place, t)
        if low == _ENDED:
            return _ENDED
        kept = _falls(words, place, low, t)
        if kept == _ENDED:
            return _ENDED
        if kept == 1:
            break
    high = 0
    while True:
        kept = _falls(words, place, 1, 1)
        if kept == _ENDED:
            return _ENDED
        if kept == 0:
            return low + t * high
        high += 1


@native("int64[:]", "int64[:]", "int64[:]", "int64[:]")
def _draw(found: Any, words: Any, numbers: Any, done: Any) -> None:
    """Go on from `done`, (values made, words used), until either has no more (Algorithm 3)."""
    t, m, r, d = numbers[0], numbers[1], numbers[2], numbers[3]
    start = done[1]
    while done[0] < len(found):
        size = _laplace(words, done, t)
        if size == _ENDED:
            break
        negative = _below(words, done, 2)
        if negative == _ENDED:
            break
        if negative == 1 and size == 0:
            continue
        gap = abs(size * m - r)
        if gap >= _FAR:
            continue
        kept = _falls_far(words, done, gap * gap, d)
        if kept == _ENDED:
            break
        if kept == 1:
            found[done[0]] = -size if negative == 1 else size
            done[0] += 1
            start = done[1]
    done[1] = start
