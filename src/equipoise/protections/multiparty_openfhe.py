"""A key in parts by OpenFHE: the one place that calls it.

NOT RUN SO FAR: it was written from the library's documentation and examples. Wheels of openfhe
1.6.1 import on CPython 3.10 (build 22.4, which calls itself fit for any Python) and on 3.12 with
glibc 2.38 (Ubuntu 24.04); Equipoise was built on 3.11 with glibc 2.36, where neither does.
`Threshold.check` has it share, add and decrypt a small sum before a study may name it.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.protections.multiparty_scheme import MODULUS


def library() -> Any:
    """Return OpenFHE; InputError that says why it cannot be had and where it could."""
    try:
        return importlib.import_module("openfhe")
    except (ImportError, OSError) as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "openfhe"
        why = "is not installed" if absent else "cannot be loaded"
        raise InputError(
            f"threshold sums need OpenFHE, which {why} on this machine; its wheels import on"
            " Python 3.12 with glibc 2.38 (Ubuntu 24.04) and on 3.10, which Equipoise does not run"
            ' on; choose the protection "masked" or "encrypted"'
        ) from error


class OpenShares:
    """Shares by OpenFHE. Not run so far: see the top of this module."""

    def __init__(self, n_sites: int) -> None:
        """Make the context, which follows from the number of sites alone."""
        self._fhe = fhe = library()
        told = fhe.CCParamsBFVRNS()
        told.SetPlaintextModulus(MODULUS)
        told.SetMultiplicativeDepth(0)
        told.SetEvalAddCount(n_sites)
        told.SetSecurityLevel(fhe.SecurityLevel.HEStd_128_classic)
        told.SetThresholdNumOfParties(n_sites)
        told.SetMultipartyMode(fhe.MultipartyMode.NOISE_FLOODING_MULTIPARTY)
        self._context = fhe.GenCryptoContext(told)
        for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE", "MULTIPARTY"):
            self._context.Enable(getattr(fhe.PKESchemeFeature, feature))
        self._keys: Any = None
        self._public: Any = None

    def join(self, previous: bytes) -> bytes:
        """Make a part; return the public key so far."""
        before = previous and self._fhe.DeserializePublicKeyString(previous, self._fhe.BINARY)
        made = self._context.MultipartyKeyGen(before) if before else self._context.KeyGen()
        self._keys = made
        return self._fhe.Serialize(made.publicKey, self._fhe.BINARY)

    def read(self, public: bytes) -> None:
        """Take the public key of all."""
        self._public = self._fhe.DeserializePublicKeyString(public, self._fhe.BINARY)

    def slots(self) -> int:
        """Return the degree of the ring."""
        return int(self._context.GetRingDimension())

    def encrypt(self, row: NDArray[np.uint64]) -> bytes:
        """Return a ciphertext."""
        plain = self._context.MakePackedPlaintext(row.astype(np.int64).tolist())
        return self._fhe.Serialize(self._context.Encrypt(self._public, plain), self._fhe.BINARY)

    def add(self, parts: Sequence[bytes]) -> bytes:
        """Return the sum of ciphertexts."""
        total, *others = map(self._read, parts)
        for other in others:
            total = self._context.EvalAdd(total, other)
        return self._fhe.Serialize(total, self._fhe.BINARY)

    def partial(self, data: bytes, *, lead: bool) -> bytes:
        """Return this part's decryption."""
        context = self._context
        decrypt = context.MultipartyDecryptLead if lead else context.MultipartyDecryptMain
        (found,) = decrypt([self._read(data)], self._keys.secretKey)
        return self._fhe.Serialize(found, self._fhe.BINARY)

    def fuse(self, partials: Sequence[bytes]) -> NDArray[np.uint64]:
        """Return what all parts decrypt to."""
        found = self._context.MultipartyDecryptFusion([self._read(data) for data in partials])
        found.SetLength(self.slots())
        values = np.array(found.GetPackedValue(), np.int64)
        return np.mod(values, MODULUS).astype(np.uint64)

    def _read(self, data: bytes) -> Any:
        return self._fhe.DeserializeCiphertextString(data, self._fhe.BINARY)
