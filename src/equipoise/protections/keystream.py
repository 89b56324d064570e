"""Keystreams that mask integers: AES-256-CTR under keys that HKDF binds to their use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

CHUNK = 1 << 15
"""Values handled at once: 256 KiB of them and of a keystream stay in a core's second cache."""

ZEROS = memoryview(bytes(8 * CHUNK))
"""What is encrypted to make a keystream."""


def derive_key(secret: bytes, info: bytes, length: int = 32) -> bytes:
    """Return a key for the one use that `info` names (HKDF-SHA256, RFC 5869, no salt)."""
    return HKDF(SHA256(), length, None, info).derive(secret)


@dataclass(slots=True)
class Keystreams:
    """One keystream for each field's name, all from one secret; each runs on over blocks."""

    secret: bytes = field(repr=False)
    info: bytes
    running: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def apply(self, ring: Mapping[str, NDArray[np.uint64]], sign: int) -> None:
        """Add the next values of each field's keystream to `ring`, or take them away."""
        apply_all([(sign, self)], ring)

    def of(self, name: str) -> Any:
        """Return what makes the next bytes of a field's keystream."""
        if name not in self.running:
            both = derive_key(self.secret, self.info + b"|" + name.encode(), 48)
            cipher = Cipher(algorithms.AES(both[:32]), modes.CTR(both[32:]))
            self.running[name] = cipher.encryptor()
        return self.running[name]


def apply_all(
    streams: Sequence[tuple[int, Keystreams]],
    ring: Mapping[str, NDArray[np.uint64]],
    source: Mapping[str, NDArray[np.uint64]] | None = None,
) -> None:
    """Add the next values of several keystreams to `ring`, or take them away, by their signs.

    source  what is masked, of the same names and sizes, and written to `ring`; `ring` itself if
            not given. So nothing is copied before it is masked

    ValueError for an array that is not contiguous, whose copy would be masked, not it, and for a
    source without a keystream, which would go as it is.
    """
    if source is not None and not streams:
        raise ValueError("nothing would be masked: there is no keystream")
    most = max((values.size for values in ring.values()), default=0)
    out = np.empty(8 * min(most, CHUNK) + 16, np.uint8)
    made = out[:-16].view("<u8")
    for name, values in ring.items():
        if not values.flags.c_contiguous:
            raise ValueError(f"{name}: only a contiguous array can be masked in place")
        each = [(np.add if sign > 0 else np.subtract, s.of(name)) for sign, s in streams]
        flat = values.reshape(-1)
        read = flat if source is None else source[name].reshape(-1)
        for start in range(0, len(flat), CHUNK):
            part, held = flat[start : start + CHUNK], read[start : start + CHUNK]
            zeros, stream, room = ZEROS[: part.nbytes], made[: len(part)], out[: part.nbytes + 16]
            for add, encryptor in each:
                encryptor.update_into(zeros, room)
                add(held, stream, out=part)
                held = part
