"""What a key in parts is asked for, and how 64-bit words become numbers that it adds up.

A word is sent as three digits of 22, 22 and 20 bits, each in a slot of its own, under a plaintext
modulus of 31 bits: digits of 128 sites add up to less than half of it, so that no digit's sum
wraps, and the digits' sums give the sum of the words modulo 2**64.

Departure: issue 5 asks for two residues of 31 bits. Digits hold all 64 bits, on which the masks
rest. One modulus of 60 bits decrypted wrongly without an error.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError

MODULUS: Final = 16383 * 2**17 + 1
"""The largest prime of 31 bits that is 1 modulo 2**17, as rings up to degree 2**16 need."""

MOST_SITES: Final = 128
"""Digits of so many sites add up to less than half the modulus."""

_DIGIT, _DIGITS = 22, 3


class Shares(Protocol):
    """One party's part of a shared key, and what can be done with it."""

    def join(self, previous: bytes) -> bytes:
        """Make a part; return the public key so far. The first has no `previous`."""
        ...

    def read(self, public: bytes) -> None:
        """Take the public key of all."""
        ...

    def slots(self) -> int:
        """Return how many numbers a ciphertext holds."""
        ...

    def encrypt(self, row: NDArray[np.uint64]) -> bytes:
        """Return a ciphertext of numbers below the modulus."""
        ...

    def add(self, parts: Sequence[bytes]) -> bytes:
        """Return the sum of ciphertexts."""
        ...

    def partial(self, data: bytes, *, lead: bool) -> bytes:
        """Return this part's decryption; one of all parties leads."""
        ...

    def fuse(self, partials: Sequence[bytes]) -> NDArray[np.uint64]:
        """Return the numbers that all parts decrypt to; the lead's comes first."""
        ...


def n_ciphertexts(n_values: int, slots: int) -> int:
    """Return how many ciphertexts of so many slots a block of so many values takes.

    >>> [n_ciphertexts(n, 16) for n in (0, 1, 5, 6)]
    [0, 1, 1, 2]
    """
    return -(-_DIGITS * n_values // slots)


def digits(words: NDArray[np.uint64], slots: int) -> NDArray[np.uint64]:
    """Return the digits of `words`, in rows of one ciphertext each; what is empty is 0."""
    parts = [words >> np.uint64(_DIGIT * i) & np.uint64(2**_DIGIT - 1) for i in range(_DIGITS)]
    rows = np.zeros(n_ciphertexts(len(words), slots) * slots, np.uint64)
    rows[: _DIGITS * len(words)] = np.concatenate(parts)
    return rows.reshape(-1, slots)


def words_of(sums: NDArray[np.uint64], n_values: int, n_sites: int) -> NDArray[np.uint64]:
    """Return the sums of words modulo 2**64; ProtocolError where no digits add up to `sums`."""
    rows = sums.reshape(-1)
    most = n_sites * (2**_DIGIT - 1)
    if rows.max(initial=0) > most or rows[_DIGITS * n_values :].any():
        raise ProtocolError("a shared decryption gave what no sum of digits can be")
    total = np.zeros(n_values, np.uint64)
    for i, part in enumerate(rows[: _DIGITS * n_values].reshape(_DIGITS, n_values)):
        total += part << np.uint64(_DIGIT * i)
    return total


def tried(shares: Callable[[int], Shares], n_sites: int) -> bool:
    """Return whether three parties of such shares decrypt the greatest sum rightly."""
    parties, public = [shares(n_sites) for _ in range(3)], b""
    for one in parties:
        public = one.join(public)
    centre = shares(n_sites)
    for one in (*parties, centre):
        one.read(public)
    row = np.full(centre.slots(), 2**_DIGIT - 1, np.uint64)
    total = centre.add([parties[i % 3].encrypt(row) for i in range(n_sites)])
    partials = [one.partial(total, lead=i == 0) for i, one in enumerate(parties)]
    return np.array_equal(centre.fuse(partials), row * np.uint64(n_sites))
