"""Keystreams that mask integers: AES-256-CTR under keys that HKDF binds to their use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

CHUNK = 1 << 15
"""Values handled at once: 256 KiB stay in a core's second-level cache."""

_ZEROS = bytes(8 * CHUNK)


def derive_key(secret: bytes, info: bytes, length: int = 32) -> bytes:
    """Return a key for the one use that `info` names (HKDF-SHA256, RFC 5869, no salt)."""
    return HKDF(SHA256(), length, None, info).derive(secret)


@dataclass(slots=True)
class Keystreams:
    """One keystream for each field's name, all from one secret; each runs on over blocks."""

    secret: bytes
    info: bytes
    running: dict[str, Any] = field(default_factory=dict[str, Any])

    def apply(self, ring: Mapping[str, NDArray[np.uint64]], sign: int) -> None:
        """Add the next values of each field's keystream to `ring`, or take them away.

        ValueError for an array that is not contiguous: its copy would be masked, not it.
        """
        for name, values in ring.items():
            if not values.flags.c_contiguous:
                raise ValueError(f"{name}: only a contiguous array can be masked in place")
            if name not in self.running:
                both = derive_key(self.secret, self.info + b"|" + name.encode(), 48)
                cipher = Cipher(algorithms.AES(both[:32]), modes.CTR(both[32:]))
                self.running[name] = cipher.encryptor()
            _apply(values.reshape(-1), self.running[name], sign)


def _apply(values: NDArray[np.uint64], encryptor: Any, sign: int) -> None:
    out = bytearray(8 * min(len(values), CHUNK) + 16)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK]
        encryptor.update_into(_ZEROS[: part.nbytes], out)
        stream = np.frombuffer(out, "<u8", count=len(part))
        if sign > 0:
            part += stream
        else:
            part -= stream
