"""BFV with TenSEAL, exactly: how 64-bit words become ciphertexts that add up, and come back.

A word w is sent as its two digits of 32 bits, each in a slot of its own: digits of n sites add
up to at most n (2**32 - 1), which is below the plaintext modulus t, so that no digit's sum wraps,
and the digits' sums give the sum of the words modulo 2**64. t has 33 + ceil(log2 n) bits. A slot
decrypted wrongly is anywhere below t, and in half the cases more than n digits can give.

Why no decryption is wrong. Ring of degree N = 4096 over q of 60 bits, with a prime of 49 bits
more in which SEAL encrypts before it divides by it: 109 bits in all, the most of the
Homomorphic Encryption Standard (Albrecht et al. 2018, iacr.org/2019/939, table 1) for 128-bit
security at this degree. The error of a fresh ciphertext is (e u + e1 + e2 s) / 2**48, with u and s of -1, 0 and 1 and
e of at most 21, that is below 1; (1 + N) / 2 for rounding each part; and 1/2 for rounding q m / t:
below 2051 in all (SEAL 4, `encryptor.cpp`; Fan and Vercauteren 2012, iacr.org/2012/144, lemma 1).
Of n sites it is below 2051 n, and decryption is right while that is below q / (2 t), which is at
least 2**26 / n in round figures: so up to 128 sites, with a bit to spare, whatever was drawn. A modulus
too large decrypts wrongly without an error (SEAL says so nowhere), so the keeper also looks at
what is left of the noise budget of each ciphertext, at the size of each digit's sum, and at the
empty slots.

Messages hold nothing but the coefficients modulo q, little-endian, 64 bits each: what is read is
a number below q or refused, and never reaches the loaders of SEAL or protobuf as its sender wrote
it. Adding needs no library. 16 bytes a digit: 32 a value.

Departure: issue 5 thought of residues modulo two primes. Digits hold all 64 bits, so that masks
of the ring Z/2**64 cancel in the sums.
"""

import importlib
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import FaultError, InputError, ProtocolError

DEGREE: Final = 4096
"""Slots of a ciphertext, and coefficients of each of its two polynomials."""

PRIMES: Final = (60, 49)
"""Bits of the primes: of q, and of the one that SEAL divides by."""

Q: Final = 2**60 - 2**14 + 1
"""The largest prime of 60 bits that is 1 modulo 2 N, which is the one that SEAL takes."""

MOST_SITES: Final = 128
"""Up to so many sites every total is exact, by the bound above."""

_DIGIT: Final = 32
_RAW: Final = 2 * DEGREE * 8
_MOST_KEY: Final = 1 << 20
_SIZES: Final = b"\x0a\x02\x80\x20\x12"  # protobuf: one vector of 4096 values, then bytes
_HEADER: Final = 16  # of SEAL: magic, its size, version, how compressed, length


def library(name: str = "tenseal") -> Any:
    """Return a package of the extra `encrypted`; InputError where it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"encrypted sums need {name}, which is not installed; run: pip install"
            " 'equipoise[encrypted]', or choose the protection \"masked\""
        ) from None


def modulus_bits(n_sites: int) -> int:
    """Return the bits of the plaintext modulus for so many sites.

    >>> [modulus_bits(n) for n in (3, 4, 5, 128)]
    [35, 35, 36, 40]
    """
    return _DIGIT + 1 + (n_sites - 1).bit_length()


def n_ciphertexts(n_values: int) -> int:
    """Return how many ciphertexts a block of so many values takes.

    >>> [n_ciphertexts(n) for n in (0, 1, 2048, 2049)]
    [0, 1, 1, 2]
    """
    return -(-2 * n_values // DEGREE)


def coefficients(data: bytes, n_values: int) -> NDArray[np.uint64]:
    """Return the coefficients of a block, (ciphertexts, 2 DEGREE), read-only.

    ProtocolError for another length, or a number that is not below q.
    """
    expected = _RAW * n_ciphertexts(n_values)
    if len(data) != expected:
        raise ProtocolError(f"expected an encrypted block of {expected} bytes, got {len(data)}")
    found = np.frombuffer(data, "<u8").astype(np.uint64, copy=False).reshape(-1, 2 * DEGREE)
    if found.max(initial=0) >= Q:
        raise ProtocolError("an encrypted block has a coefficient that is beyond the modulus")
    return found


def add(total: NDArray[np.uint64], part: NDArray[np.uint64]) -> None:
    """Add the coefficients of one more site to `total`, modulo q."""
    total += part
    np.minimum(total, total - np.uint64(Q), out=total)  # below q, the difference wraps


def digits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the digits of `words`, in rows of one ciphertext each; what is empty is 0."""
    rows = np.zeros(n_ciphertexts(len(words)) * DEGREE, np.uint64)
    rows[: len(words)] = words & np.uint64(2**_DIGIT - 1)
    rows[len(words) : 2 * len(words)] = words >> np.uint64(_DIGIT)
    return rows.reshape(-1, DEGREE)


def words_of(sums: NDArray[np.uint64], n_values: int, n_sites: int) -> NDArray[np.uint64]:
    """Return the sums of words modulo 2**64; ProtocolError where no digits add up to `sums`."""
    rows = sums.reshape(-1)
    most = n_sites * (2**_DIGIT - 1)
    if rows.max(initial=0) > most or rows[2 * n_values :].any():
        raise ProtocolError("an encrypted sum decrypts to what no sum of digits can be")
    return rows[:n_values] + (rows[n_values : 2 * n_values] << np.uint64(_DIGIT))


@dataclass(frozen=True, slots=True)
class Layout:
    """How TenSEAL writes a ciphertext around its coefficients; learnt from one of its own.

    header  SEAL's, but for the length
    head    what precedes the coefficients, the same for all of one context
    """

    header: bytes
    head: bytes

    @staticmethod
    def of(context: Any) -> "Layout":
        """Return the layout of a context's ciphertexts."""
        header, body = _opened(_encrypted(context, np.zeros(DEGREE, np.uint64)))
        return Layout(header[:5] + b"\0" + header[6:8], body[:-_RAW])

    def raw(self, written: bytes) -> bytes:
        """Return the coefficients of what TenSEAL wrote."""
        _, body = _opened(written)
        if body[:-_RAW] != self.head:
            raise FaultError("TenSEAL wrote a ciphertext in another form than the one before")
        return body[-_RAW:]

    def written(self, raw: bytes) -> bytes:
        """Return what TenSEAL reads, of coefficients that have been checked."""
        length = _HEADER + len(self.head) + _RAW
        sealed = self.header + length.to_bytes(8, "little") + self.head + raw
        return _SIZES + _varint(len(sealed)) + sealed


def _encrypted(context: Any, row: NDArray[np.uint64]) -> bytes:
    return library().bfv_vector(context, row.tolist()).serialize()


def _opened(written: bytes) -> tuple[bytes, bytes]:
    """Return SEAL's header and what it stands before, without compression."""
    start = len(_SIZES)
    while start < len(written) and written[start] & 128:
        start += 1
    header, body = written[start + 1 :][:_HEADER], written[start + 1 + _HEADER :]
    if header[5] == 2:
        body = library("zstandard").ZstdDecompressor().decompressobj().decompress(body)
    elif header[5] == 1:
        body = zlib.decompress(body)
    if not written.startswith(_SIZES) or header[:2] != b"\x5e\xa1" or len(body) <= _RAW:
        raise FaultError("this version of TenSEAL writes ciphertexts in a form that is not known")
    return header, body


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def _modulus(n_sites: int) -> int:
    return library("tenseal.sealapi").PlainModulus.Batching(DEGREE, modulus_bits(n_sites)).value()


class PublicKey:
    """What a site encrypts with."""

    def __init__(self, data: bytes, n_sites: int) -> None:
        """Read a key whose signature has been checked; ProtocolError for other parameters.

        TenSEAL's loader may end the process on bytes that nobody wrote on purpose.
        """
        if len(data) > _MOST_KEY:
            raise ProtocolError(f"a public key of {len(data)} bytes is too large")
        try:
            library("tenseal.sealapi")  # which makes the parameters' types known to Python
            self._context = library().context_from(data)
            told = self._context.seal_context().data.key_context_data().parms()
            primes = [prime.value().bit_length() for prime in told.coeff_modulus()]
            first, t = told.coeff_modulus()[0].value(), told.plain_modulus().value()
            degree, private = told.poly_modulus_degree(), self._context.has_secret_key()
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ProtocolError("a public key cannot be read") from error
        expected = (DEGREE, list(PRIMES), Q, _modulus(n_sites), False)
        if (degree, primes, first, t, private) != expected:
            raise ProtocolError("a public key has other parameters than those that are safe here")
        self._layout = Layout.of(self._context)

    def encrypt(self, words: NDArray[np.uint64]) -> bytes:
        """Return a block of encrypted words."""
        rows = digits(words)
        return b"".join(self._layout.raw(_encrypted(self._context, row)) for row in rows)


class SecretKey:
    """A key; what it decrypts are sums of the digits of so many sites."""

    def __init__(self, n_sites: int, kept: bytes | None = None) -> None:
        """Draw a key from the system's cryptographic source, as SEAL does, or take one up.

        `kept` is what `secret` gave of a key of this process' owner; nothing else is loaded.
        """
        tenseal, seal = library(), library("tenseal.sealapi")
        self._n_sites, self._modulus = n_sites, _modulus(n_sites)
        if kept is not None:
            self._context = tenseal.context_from(kept)
        else:
            self._context = tenseal.context(
                tenseal.SCHEME_TYPE.BFV,
                DEGREE,
                plain_modulus=self._modulus,
                coeff_mod_bit_sizes=list(PRIMES),
            )
        inner, secret = self._context.seal_context().data, self._context.secret_key().data
        self._decryptor = seal.Decryptor(inner, secret)
        self._layout = Layout.of(self._context)

    def public(self) -> bytes:
        """Return the public part."""
        return self._written(secret=False)

    def secret(self) -> bytes:
        """Return both parts, from which the same key can be made again."""
        return self._written(secret=True)

    def _written(self, *, secret: bool) -> bytes:
        return self._context.serialize(
            save_public_key=True,
            save_secret_key=secret,
            save_galois_keys=False,
            save_relin_keys=False,
        )

    def decrypt(self, data: bytes, n_values: int) -> NDArray[np.uint64]:
        """Return the sums of the words of a block, modulo 2**64; ProtocolError if unsure."""
        rows = [self._row(raw.tobytes()) for raw in coefficients(data, n_values)]
        sums = np.array(rows, np.uint64).reshape(-1, DEGREE)
        return words_of(sums, n_values, self._n_sites)

    def _row(self, raw: bytes) -> NDArray[np.uint64]:
        try:
            vector = library().bfv_vector_from(self._context, self._layout.written(raw))
            budget = self._decryptor.invariant_noise_budget(vector.ciphertext()[0])
            found = np.array(vector.decrypt(), np.int64)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ProtocolError("an encrypted sum cannot be decrypted") from error
        if budget < 1:
            raise ProtocolError("an encrypted sum has too much noise to be decrypted exactly")
        return np.mod(found, self._modulus).astype(np.uint64)
