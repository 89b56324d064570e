"""A site's secrets for one attempt at one masked round, and the shares of them that others hold.

They are made one round ahead: a site sends its public key and its sealed shares along with its
masked message of the round before, so that a round begins with masked messages. Nothing about
them depends on what the coming round asks; they are bound to the run, to the round's number
within it and to the attempt.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from equipoise.errors import ProtocolError
from equipoise.protection import Party
from equipoise.protections.graph import holders, threshold
from equipoise.protections.keystream import derive_key
from equipoise.protections.shares import split

SECRET = 32
"""Bytes of a private key, of a seed and of a nonce; a share is as long."""

PUBLIC = 32
"""Bytes of a public key, before its signature."""


def pack(content: Mapping[str, Any]) -> bytes:
    """Return the head of a message."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def unpack(head: bytes, key: str, sites: Sequence[str] | None = None) -> dict[str, bytes]:
    """Return the bytes that a head holds for each site; ProtocolError otherwise.

    `sites`, where given, are those that it must hold bytes for.
    """
    try:
        content = cast("dict[str, dict[str, str]]", json.loads(head))
        found = {str(site): bytes.fromhex(value) for site, value in content[key].items()}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ProtocolError(f"the {key} of a masked round cannot be read") from error
    if sites is not None and set(found) != set(sites):
        raise ProtocolError(f"the {key} of a masked round are not those of the listed sites")
    return found


def single(head: bytes, key: str) -> bytes:
    """Return the bytes that a head holds under one key; ProtocolError otherwise."""
    try:
        return bytes.fromhex(json.loads(head)[key])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"the {key} of a masked round cannot be read") from error


def read_prepared(head: bytes) -> dict[str, Any]:
    """Return what a site sent ahead, in its own words; ProtocolError for another form."""
    try:
        found = cast("dict[str, Any]", json.loads(head)["prepared"])
        sealed = {str(site): str(value) for site, value in found["sealed"].items()}
        return {"key": str(found["key"]), "sealed": sealed}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ProtocolError("the keys of a masked round cannot be read") from error


def hexed(content: Mapping[str, bytes]) -> dict[str, str]:
    """Return what `unpack` reads."""
    return {site: value.hex() for site, value in content.items()}


@dataclass(frozen=True, slots=True)
class Turn:
    """Which round of a run secrets are for.

    sites    all sites of the run
    digest   binds every key and share to the run, the round's number and the attempt
    handing  whether secrets may ever be handed in, so that shares of them are given: not where
             the run ends with a lost site
    """

    sites: tuple[str, ...]
    digest: bytes
    handing: bool = True

    def holders(self) -> dict[str, tuple[str, ...]]:
        """Return who holds shares of whose secrets."""
        return holders(self.sites, self.digest)

    def bound(self, purpose: bytes, content: bytes = b"") -> bytes:
        """Return bytes that stand for one use of the turn's secrets."""
        return b"equipoise-masked-2|" + purpose + b"|" + self.digest + content


@dataclass(slots=True)
class Secrets:
    """A key for masks of pairs, a seed for the mask of its own, and a nonce for the challenge.

    The key or the seed may become known to the centre once the round ends, never both.
    """

    key: bytes = field(default=b"", repr=False)
    seed: bytes = field(default=b"", repr=False)
    nonce: bytes = field(default=b"", repr=False)

    @staticmethod
    def of(party: Party, turn: Turn, when: bytes) -> "Secrets":
        """Return a site's secrets for a turn; `when` tells those sent ahead from those asked for.

        They follow from the site's secret of the run, so that a site that was restarted has
        the same ones.
        """
        key, seed, nonce = (
            derive_key(party.secret, turn.bound(b"own " + purpose, when), SECRET)
            for purpose in (b"key", b"seed", b"nonce")
        )
        return Secrets(key, seed, nonce)

    @property
    def private(self) -> X25519PrivateKey:
        """The key as one that others' public keys are taken to."""
        return X25519PrivateKey.from_private_bytes(self.key)

    @property
    def public(self) -> bytes:
        """The public part of the key."""
        return self.private.public_key().public_bytes_raw()

    def agreed(self, public: bytes) -> bytes:
        """Return the secret that is shared with whoever has the other key."""
        try:
            return self.private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:
            raise ProtocolError("a key of a masked round is no key") from error


def prepared(secrets: Secrets, turn: Turn, party: Party) -> dict[str, Any]:
    """Return what a site sends ahead: its public key, signed, and its sealed shares."""
    public = secrets.public
    signed = public + party.sign(turn.bound(b"key", public))
    shares = _shares(secrets, turn, party) if turn.handing else {}
    sealed = {
        site: _seal(party, turn, site, secrets.nonce + shares.get(site, b"")) for site in turn.sites
    }
    return {"key": signed.hex(), "sealed": hexed(sealed)}


def _shares(secrets: Secrets, turn: Turn, party: Party) -> dict[str, bytes]:
    """Return the share of the seed, and that of the key, of each that holds some."""
    around = turn.holders()[party.name]
    t, n = threshold(len(around)), len(around)
    pairs = zip(split(secrets.seed, t, n), split(secrets.key, t, n), strict=True)
    return {site: seed + key for site, (seed, key) in zip(around, pairs, strict=True)}


def checked_key(signed: bytes, site: str, turn: Turn, party: Party) -> bytes:
    """Return the public key of a site; ProtocolError unless that site signed it."""
    public, signature = signed[:PUBLIC], signed[PUBLIC:]
    party.verify(site, signature, turn.bound(b"key", public))
    return public


def opened(sealed: bytes, sender: str, turn: Turn, party: Party) -> tuple[bytes, bytes, bytes]:
    """Return a sender's nonce, and its shares of seed and key, which only its holders get."""
    channel = _channel(party, turn, sender)
    bound = turn.bound(b"share", f"{sender}>{party.name}".encode())
    try:
        plain = channel.decrypt(sealed[:12], sealed[12:], bound)
    except (InvalidTag, ValueError) as error:
        raise ProtocolError(f"the share that {sender} sent cannot be opened") from error
    holds = turn.handing and party.name in turn.holders()[sender]
    if len(plain) != (3 * SECRET if holds else SECRET):
        raise ProtocolError(f"the shares that {sender} sent have another length")
    return plain[:SECRET], plain[SECRET : 2 * SECRET], plain[2 * SECRET :]


def _channel(party: Party, turn: Turn, site: str) -> AESGCM:
    return AESGCM(derive_key(party.channel(site), turn.bound(b"channel")))


def _seal(party: Party, turn: Turn, to: str, plain: bytes) -> bytes:
    nonce = os.urandom(12)
    bound = turn.bound(b"share", f"{party.name}>{to}".encode())
    return nonce + _channel(party, turn, to).encrypt(nonce, plain, bound)
