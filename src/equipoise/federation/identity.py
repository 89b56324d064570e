"""Who signs: long-term Ed25519 keys, and the keys that a run's sites share in pairs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from equipoise.errors import InputError, ProtocolError

CENTRE = "centre"
"""The name under which the centre signs; no site may bear it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A party's secrets: a long-term key to sign with, one for the channels of this run.

    secret  32 bytes of this run, from which all follows that is drawn in it
    """

    name: str
    signing: Ed25519PrivateKey
    channel: X25519PrivateKey
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    @staticmethod
    def create(name: str) -> "Identity":
        """Return new keys from the system's cryptographic source."""
        return Identity(name, Ed25519PrivateKey.generate(), X25519PrivateKey.generate())

    @staticmethod
    def at(home: Path, name: str, run: Path | None = None) -> "Identity":
        """Return the party whose signing key is kept in `home`; make one where there is none.

        The secrets of a run are kept in the folder `run`, where one is given, for as long as
        that lasts, and taken from there; else they are new and never kept. InputError where a
        file is not a key.
        """
        signing = Ed25519PrivateKey.from_private_bytes(_kept(home / "signing.key", "signing key"))
        if run is None:
            return Identity(name, signing, X25519PrivateKey.generate())
        channel = X25519PrivateKey.from_private_bytes(_kept(run / "channel.key", "channel key"))
        return Identity(name, signing, channel, _kept(run / "secret.key", "secret"))

    @property
    def signing_key(self) -> bytes:
        """The public half of the signing key."""
        return self.signing.public_key().public_bytes_raw()

    @property
    def channel_key(self) -> bytes:
        """The public half of the channel key."""
        return self.channel.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> bytes:
        """Return the signature over `content`."""
        return self.signing.sign(content)

    def shared_with(self, channel_key: bytes) -> bytes:
        """Return the secret shared with the owner of `channel_key`."""
        return self.channel.exchange(X25519PublicKey.from_public_bytes(channel_key))


def _kept(path: Path, what: str) -> bytes:
    """Return the 32 bytes of a secret that is kept in a file; draw them where there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(new, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
    content = path.read_bytes()
    if len(content) != 32:
        raise InputError(f"{path} is not a {what} of 32 bytes; restore it")
    return content


@dataclass(frozen=True, slots=True)
class Peers:
    """The signing keys of all parties, agreed on before the run and not through the centre."""

    keys: Mapping[str, bytes]

    def verify(self, name: str, signature: bytes, content: bytes) -> None:
        """Raise ProtocolError unless the party `name` signed `content`."""
        if name not in self.keys:
            raise ProtocolError(f"{name!r} is no party to this study")
        try:
            Ed25519PublicKey.from_public_bytes(self.keys[name]).verify(signature, content)
        except InvalidSignature as error:
            raise ProtocolError(f"a signature is not that of {name!r}") from error
