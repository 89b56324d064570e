"""The clinic's key: secret and noise are SEAL's, through TenSEAL; the rest is arithmetic on them.

SEAL draws the secret s and makes encryptions of zero, (c, m) with c + m s = e, modulo one prime
of the ring, which is all that it takes to tell e. With the element a that a public seed gives,
e - a s + 2**86 g is then an encryption of the genotypes g as SEAL would have made it from the
same secret, noise and a: the seed takes the place of a, and SEAL writes a fifth of what it would
over all primes. Each e is looked at before it is used: a version of SEAL or TenSEAL that encrypts
otherwise ends in an error, and not in genotypes without noise.

TenSEAL hands ciphertexts out as bytes alone. Only what this process has just made is read from
them; nothing that came from elsewhere is ever given to the loaders of SEAL or protobuf.
"""

import importlib
import os
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import FaultError, InputError, ProtocolError
from equipoise.protections import score_ring as ring
from equipoise.protections.score_ring import DEGREE, PRIMES, SHAPE, SPECIAL, Residues, Words
from equipoise.protections.score_scheme import (
    DOSAGE_BITS,
    LARGEST_SUM,
    NOISE,
    WEIGHT_BITS,
    Answer,
    Asked,
    Reals,
    encoded,
    n_blocks,
)

_HEADER: Final = 16  # of SEAL: magic, its size, version, how compressed, length
_MAGIC: Final = b"\x5e\xa1\x10"
_RAW: Final = 2 * 8 * DEGREE
_LAST: Final = len(PRIMES) - 1
_PRIME: Final = PRIMES[_LAST]
"""The prime that SEAL takes where it takes one of 30 bits beside its special one."""

_LARGEST: Final = 2 * LARGEST_SUM + 1


def library(name: str) -> Any:
    """Return a package of the extra `encrypted`; InputError where it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"to have genotypes scored encrypted needs {name}, which is not installed;"
            " run: pip install 'equipoise[encrypted]'"
        ) from None


class Key:
    """A secret that never leaves this process, and what is encrypted under it."""

    def __init__(self) -> None:
        """Draw a secret from SEAL's source; FaultError where SEAL is not as this code knows it."""
        tenseal = library("tenseal")
        library("tenseal.sealapi")  # which makes the types of keys known to Python
        self._context: Any = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS,
            DEGREE,
            coeff_mod_bit_sizes=[30, 30],
            encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
            n_threads=1,
        )
        told = self._context.seal_context().data.key_context_data().parms()
        found = [prime.value() for prime in told.coeff_modulus()]
        if found != [_PRIME, SPECIAL]:
            raise FaultError(_OTHER)
        plain = self._context.secret_key().data.data()
        self._last: Residues = np.array([[plain[i] for i in range(DEGREE)]], np.uint32)
        coefficients = self._last.astype(np.uint64)
        ring.inverse(coefficients, _LAST)
        secret = _signed(coefficients)
        if np.abs(secret).max() != 1 or not 0.6 < secret.var() < 0.73:  # two thirds are not 0
            raise FaultError(_OTHER)
        element = ring.residues(secret)
        ring.forward(element)
        self._secret: Residues = element.astype(np.uint32)
        if np.array_equal(self._noise(), self._noise()):
            raise FaultError(_OTHER)

    def ask(self, dosage: Reals, public: Residues, seed: bytes, group: int) -> Asked:
        """Return a group of people, dosages (people, weights), encrypted.

        `seed` is one that no other request ever had.
        """
        blocks = np.empty((n_blocks(dosage.shape[1]), *SHAPE), np.uint32)
        asked = Asked(public, blocks, seed, group)
        for at, element in enumerate(encoded(dosage, dosage.shape[1])):
            blocks[at] = self._encrypted(element, asked.mask(at))
        return asked

    def public(self, seed: bytes) -> Residues:
        """Return the public pair's first part: an encryption of zero at the seed's place 0."""
        return self._encrypted(np.zeros(SHAPE, np.uint64), ring.uniform(seed, 0))

    def scores(self, answered: Answer, n_weights: int) -> Reals:
        """Return the scores of a group, (people,).

        ProtocolError where one is beyond every score, which numbers at random are in half the
        cases; what else an owner may return, nobody can tell from a score.
        """
        phase = np.zeros(SHAPE, np.uint64)
        ring.multiply_add(phase, answered.mask, self._secret)
        ring.inverse(phase)
        primes = np.array(PRIMES, np.uint64)
        places = np.arange(len(answered.sums)) * n_weights
        sums = (phase[:, places].T + answered.sums) % primes
        found = [ring.whole(one) / 2 ** (DOSAGE_BITS + WEIGHT_BITS) for one in sums]
        if any(abs(score) > _LARGEST for score in found):
            raise ProtocolError(
                "the owner's answer decrypts to what no score can be; ask the owner whether the"
                " server runs the same version of equipoise"
            )
        return np.array(found, np.float64)

    def _encrypted(self, element: Words, mask: Residues) -> Residues:
        """Return c of an encryption of an element whose second part is `mask`."""
        element += ring.residues(self._noise())
        ring.forward(element)
        primes = np.array(PRIMES, np.uint32)[:, None]
        ring.multiply_add(element, primes - mask, self._secret)
        return element.astype(np.uint32)

    def _noise(self) -> NDArray[np.int64]:
        """Return the noise of a new encryption of zero by SEAL, (degree,)."""
        vector = library("tenseal").ckks_vector(self._context, [0.0], 1.0)
        words = np.frombuffer(_coefficients(vector.serialize()), "<u8").reshape(2, 1, DEGREE)
        phase, second = words[0].astype(np.uint64), words[1].astype(np.uint32)
        ring.multiply_add(phase, second, self._last, _LAST)
        ring.inverse(phase, _LAST)
        found = _signed(phase)
        # Of standard deviation 3.2, so that 8192 of them cannot all be small either.
        if np.abs(found).max() > NOISE or not 8 < found.var() < 13:
            raise FaultError(_OTHER)
        return found


def _signed(words: Words) -> NDArray[np.int64]:
    """Return residues modulo SEAL's prime, (1, degree), as numbers from -p/2 to p/2, (degree,)."""
    found: NDArray[np.int64] = words[0].astype(np.int64)
    found[found > _PRIME // 2] -= _PRIME
    return found


_OTHER: Final = (
    "this version of TenSEAL encrypts in another way than the one that scores are made for; install"
    " the version that equipoise's constraints name"
)


def new_seed() -> bytes:
    """Return a new seed, from the system's cryptographic source."""
    return os.urandom(32)


def _coefficients(written: bytes) -> bytes:
    """Return the coefficients of a ciphertext that TenSEAL has just written."""
    start = written.find(_MAGIC, 0, 64)
    header, body = written[start : start + _HEADER], written[start + _HEADER :]
    if start < 0:
        raise FaultError(_OTHER)
    if header[5] == 2:
        body = library("zstandard").ZstdDecompressor().decompressobj().decompress(body)
    elif header[5] == 1:
        body = zlib.decompressobj().decompress(body)
    else:
        body = body[: int.from_bytes(header[8:], "little") - _HEADER]
    if len(body) <= _RAW:
        raise FaultError(_OTHER)
    return body[-_RAW:]
