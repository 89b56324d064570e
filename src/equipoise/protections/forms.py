"""Linear forms by which sites check that a total is the sum of what they sent.

Over the integers modulo 2**64 a form is the sum of r_k x_k with random r. If a total is wrong by
e, and 2**v is the greatest power of two that divides all of e, a form of e is a random multiple
of 2**v: 0 with probability 2**-(64 - v). An error within the limits of the total has v at most
log2(2 limit / quantum), from which the number of forms follows.

All forms come from one stream: form f takes r_(k + f), k counting values from 0. A Toeplitz
matrix whose entries are random maps any vector that is not 0 modulo 2 to a random one (Krawczyk
1994, doi:10.1007/3-540-48658-5_15, for a field); modulo 2**m a linear map is onto if it is onto
modulo 2, so that the forms of e / 2**v are independent and uniform modulo 2**(64 - v).
"""

from math import floor, log2
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from equipoise.native import native
from equipoise.protections.keystream import CHUNK, ZEROS, derive_key
from equipoise.sums import Schema

BITS = 64
"""A wrong total passes with probability below 2**-BITS."""


def number_of_forms(schema: Schema) -> int:
    """Return how many forms find any wrong total within the limits.

    >>> from equipoise.sums import Field
    >>> [number_of_forms(Schema(({"x": Field((), 1.0, 2.0**b)},))) for b in (0, 20, 40)]
    [2, 2, 3]
    """
    v = max((floor(log2(2 * f.limit / f.quantum)) for _, f in schema.fields), default=0)
    return BITS // (64 - v) + 1


@native("uint64[:]", "uint64[:]", "uint64[:]")
def _add_forms(stream: Any, values: Any, sums: Any) -> None:
    """Add to each sum the products of all values with as many of the stream, one on for each."""
    for f in range(len(sums)):
        total = np.uint64(0)
        own = stream[f : f + len(values)]
        for i in range(len(values)):
            total += own[i] * values[i]
        sums[f] += total


class Forms:
    """The same forms of one sequence of values or of several, which come piece by piece.

    sums  (sequences, forms) so far; the same secret and number give the same forms
    """

    def __init__(self, secret: bytes, info: bytes, count: int, sequences: int = 1) -> None:
        """Take the secret of a challenge, what it is bound to, and how many forms of how many."""
        both = derive_key(secret, info, 48)
        cipher = Cipher(algorithms.AES(both[:32]), modes.CTR(both[32:]))
        self._stream = cipher.encryptor()
        self.sums = np.zeros((sequences, count), np.uint64)
        # Room for a piece of the stream, the values before it that later forms still need, and
        # the block more that the cipher asks for.
        self._room = np.zeros(8 * (CHUNK + count - 1) + 16, np.uint8)
        self._draw(0, count - 1)

    def add(self, *values: NDArray[np.uint64]) -> None:
        """Take the next values of each sequence, as many of each, contiguous and of one axis."""
        more = self.sums.shape[1] - 1
        stream = self._room[:-16].view("<u8")
        for start in range(0, len(values[0]), CHUNK):
            n = min(CHUNK, len(values[0]) - start)
            self._draw(more, n)
            for sums, sequence in zip(self.sums, values, strict=True):
                _add_forms(stream[: n + more], sequence[start : start + n], sums)
            stream[:more] = stream[n : n + more].copy()

    def _draw(self, first: int, n: int) -> None:
        room = self._room.data[8 * first : 8 * (first + n) + 16]
        self._stream.update_into(ZEROS[: 8 * n], room)
