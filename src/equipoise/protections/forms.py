"""Linear forms by which sites check that a total is the sum of what they sent.

Over the integers modulo 2**64 a form is the sum of r_k x_k with random r. If a total is wrong by
e, and 2**v is the greatest power of two that divides all of e, a form of e is a random multiple
of 2**v: 0 with probability 2**-(64 - v). An error within the limits of the total has v at most
log2(2 limit / quantum), from which the number of forms follows.

To draw an r for every value would cost as much as a mask, so that forms are taken twice. Each
piece of PIECE values gives INNER forms, with the same r for every piece: form f takes r_(k + f),
k counting values from the piece's first. A Toeplitz matrix whose entries are random maps any
vector that is not 0 modulo 2 to a random one (Krawczyk 1994, doi:10.1007/3-540-48658-5_15, for a
field); modulo 2**m a linear map is onto if it is onto modulo 2, so that the forms of e / 2**v are
independent and uniform modulo 2**(64 - v). Of the forms of all pieces, `count` more are taken,
each r drawn anew. (Hashes of hashes: Carter and Wegman 1979, doi:10.1016/0022-0000(79)90044-8.)

The first forms of a wrong piece are all divisible by 2**j, j >= v, with probability
2**-INNER(j - v), the second ones are then 0 with 2**-count(64 - j); summed over j from v to 64,
a wrong total passes with less than twice 2**-count(64 - v) where count < INNER, and with at most
(65 - v) 2**-count(64 - v) where they are as many.
"""

from math import floor, log2
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from equipoise.native import native
from equipoise.protections.keystream import derive_key
from equipoise.sums import Schema

BITS: Final = 64
"""A wrong total passes with probability below 2**-BITS."""

PIECE: Final = 1 << 12
"""Values with r of their own: 32 KiB of r stay in a core's first cache."""

INNER: Final = 3
"""Forms of each piece: as many as the widest limits need of the whole."""


def number_of_forms(schema: Schema) -> int:
    """Return how many forms find any wrong total within the limits.

    >>> from equipoise.sums import Field
    >>> [number_of_forms(Schema(({"x": Field((), 1.0, 2.0**b)},))) for b in (0, 20, 40)]
    [2, 2, 3]
    """
    v = max((floor(log2(2 * f.limit / f.quantum)) for _, f in schema.fields), default=0)
    return BITS // (64 - v) + 1


@native("uint64[:]", "uint64[:,:,:]", "uint64[:]", "int64", "uint64[:]", "uint64[:]")
def _add_forms(stream: Any, drawn: Any, values: Any, at: Any, inner: Any, sums: Any) -> None:
    """Add values to the forms of their pieces, and whole pieces' to the sums.

    stream  (PIECE + INNER - 1) r of the first forms
    drawn   (pieces, count, INNER) r of the second ones, for each piece begun or ended here
    at      how many values of the first piece came before
    inner   (INNER) first forms so far of a piece that is not whole
    """
    place = piece = 0
    while place < len(values):
        n = min(PIECE - at, len(values) - place)
        here = values[place : place + n]
        first, second, third = stream[at:], stream[at + 1 :], stream[at + 2 :]
        a = b = c = np.uint64(0)
        for i in range(n):
            a += first[i] * here[i]
            b += second[i] * here[i]
            c += third[i] * here[i]
        inner[0] += a
        inner[1] += b
        inner[2] += c
        at, place = at + n, place + n
        if at == PIECE:
            for f in range(len(sums)):
                for k in range(INNER):
                    sums[f] += drawn[piece, f, k] * inner[k]
            inner[:] = 0
            at, piece = 0, piece + 1


class Forms:
    """The same forms of one sequence of values or of several, which come bit by bit.

    The same secret and number give the same forms.
    """

    def __init__(self, secret: bytes, info: bytes, count: int, sequences: int = 1) -> None:
        """Take the secret of a challenge, what it is bound to, and how many forms of how many."""
        both = derive_key(secret, info, 48)
        cipher = Cipher(algorithms.AES(both[:32]), modes.CTR(both[32:]))
        self._cipher = cipher.encryptor()
        self._stream = self._draw(PIECE + INNER - 1)
        self._last = np.zeros((0, count, INNER), np.uint64)  # of a piece that is not whole
        self._at = 0
        self._inner = np.zeros((sequences, INNER), np.uint64)
        self._sums = np.zeros((sequences, count), np.uint64)

    @property
    def sums(self) -> NDArray[np.uint64]:
        """Return the (sequences, forms) so far."""
        if not self._at:
            return self._sums.copy()
        return self._sums + (self._last * self._inner[:, None, :]).sum(2, np.uint64)

    def add(self, *values: NDArray[np.uint64]) -> None:
        """Take the next values of each sequence, as many of each, contiguous and of one axis."""
        end = self._at + len(values[0])
        count, new = self._sums.shape[1], -(-end // PIECE) - len(self._last)
        more = self._draw(new * count * INNER).reshape(new, count, INNER)
        drawn = np.concatenate([self._last, more])
        for sequence, inner, sums in zip(values, self._inner, self._sums, strict=True):
            _add_forms(self._stream, drawn, sequence, self._at, inner, sums)
        self._at = end % PIECE
        self._last = drawn[-1:] if self._at else drawn[:0]

    def _draw(self, n: int) -> NDArray[np.uint64]:
        return np.frombuffer(self._cipher.update(bytes(8 * n)), "<u8").astype(np.uint64)
