"""Shamir shares of 32-byte secrets, by pycryptodome's scheme for 16-byte ones."""

from collections.abc import Sequence

from Crypto.Protocol.SecretSharing import Shamir


def split(secret: bytes, t: int, n: int) -> list[bytes]:
    """Return n shares of 32 bytes, any t of which give `secret` back.

    >>> parts = split(bytes(range(32)), 3, 4)
    >>> combine([(0, parts[0]), (2, parts[2]), (3, parts[3])]) == bytes(range(32))
    True
    """
    if len(secret) != 32:
        raise ValueError("a secret has 32 bytes")
    halves = [Shamir.split(t, n, half) for half in (secret[:16], secret[16:])]
    return [low[1] + high[1] for low, high in zip(*halves, strict=True)]


def combine(shares: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the secret behind at least t shares, given with their places from 0."""
    low = Shamir.combine([(place + 1, share[:16]) for place, share in shares])
    high = Shamir.combine([(place + 1, share[16:]) for place, share in shares])
    return bytes(low) + bytes(high)
