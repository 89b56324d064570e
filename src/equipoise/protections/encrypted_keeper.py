"""The key keeper's side of an encrypted round: see `encrypted` for the whole."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from equipoise import plan
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.protection import Ahead, Context, Message, Party, contribution
from equipoise.protections.encrypted_scheme import SecretKey
from equipoise.protections.forms import number_of_forms
from equipoise.protections.secrets import hexed, pack, unpack
from equipoise.protections.spool import Spool
from equipoise.step import Done, Next
from equipoise.sums import Schema, check_block, from_bytes

KEEPER = plan.KEEPER
"""The name under which the key keeper signs; no site may bear it."""

LEAST = 3
"""The fewest contributions of which a total is decrypted."""

CHALLENGE = 32
"""Bytes that the keeper draws once a total is fixed; the forms that are asked follow from them."""

DIGEST = 32
"""Bytes of a message's digest, before its signature."""


def bound(context: Context, purpose: bytes, content: bytes = b"") -> bytes:
    """Return bytes that stand for one use within one round."""
    return b"equipoise-encrypted-1|" + purpose + b"|" + context.digest() + content


def digest_of(blocks: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of blocks, each after its length."""
    joint = hashlib.sha256()
    for block in blocks:
        joint.update(len(block).to_bytes(8, "big") + block)
    return joint.digest()


def sizes(schema: Schema) -> list[int]:
    """Return the values of each encrypted block; the last holds what hides each site's forms."""
    own = [sum(field.size for field in block.values()) for block in schema.blocks]
    return [*own, number_of_forms(schema)]


def told(contributions: Mapping[str, bytes]) -> bytes:
    """Return what stands for a list of signed contributions, in whatever order it came."""
    return digest_of(p for s in sorted(contributions) for p in (s.encode(), contributions[s]))


def check_contributions(
    context: Context, party: Party, key: bytes, contributions: Mapping[str, bytes]
) -> None:
    """Raise unless every site of the round, and nobody else, signed its contribution to it."""
    if len(contributions) < LEAST:
        raise DisclosureError(
            f"a total of {len(contributions)} contributions is not decrypted: at least {LEAST}"
        )
    if set(contributions) != set(context.sites):
        raise ProtocolError("the contributions are not those of the listed sites")
    for site, signed in contributions.items():
        digest, signature = signed[:DIGEST], signed[DIGEST:]
        party.verify(site, signature, contribution(context.digest(), key, digest))


@dataclass(slots=True)
class KeyKeeper:
    """A key for one attempt at one round, and one decryption with it.

    ahead   the rounds of this run whose total this keeper was asked for, kept as long as the run
    secret  the key, drawn at the first call where none was taken up
    key     the digest of the public key
    """

    context: Context
    party: Party
    schema: Schema
    ahead: Ahead
    due: str = "key"
    secret: SecretKey | None = field(default=None, repr=False)
    key: bytes = b""

    def step(self, request: Message) -> Next[Message] | Done[Message]:
        """Return the public key; at the second call, the total of what was encrypted with it."""
        due, self.due = self.due, "nothing"  # whatever fails, this machine has ended
        if due == "key":
            answer, self.due = self._begin(), "total"
            return Next(answer)
        if due != "total":
            raise ProtocolError("the keeper's part of this round has ended")
        secret, self.secret = self.secret, None
        if secret is None or self.ahead.setdefault(self.context.digest(), self) is not self:
            raise ProtocolError("the total of this round has been asked for before")
        return Done(self._total(request, secret))

    def _begin(self) -> Message:
        self.secret = self.secret or SecretKey(len(self.context.sites))
        public = self.secret.public()
        self.key = digest_of([public])
        signature = self.party.sign(bound(self.context, b"key", self.key))
        return Message(pack({"signature": signature.hex()}), [public])

    def _total(self, request: Message, secret: SecretKey) -> Message:
        """Decrypt the sums once all sites signed; nothing leaves unless all of it is sound."""
        contributions = unpack(request.head, "contributions")
        check_contributions(self.context, self.party, self.key, contributions)
        total, blocks = Spool(), iter(request.blocks)
        *own, n_pads = sizes(self.schema)
        for block, n_values in zip(self.schema.blocks, own, strict=True):
            data = _bytes(secret.decrypt(next(blocks, b""), n_values))
            check_block(block, from_bytes(block, data))
            total.add(data)
        pads = _bytes(secret.decrypt(next(blocks, b""), n_pads))
        if next(blocks, None) is not None:
            raise ProtocolError("the keeper was sent more blocks than the round has")
        after = {"pads": pads, "challenge": os.urandom(CHALLENGE)}
        content = digest_of(total) + told(contributions) + pads + after["challenge"]
        after["signature"] = self.party.sign(bound(self.context, b"total", content))
        return Message(pack(hexed(after)), total)


def _bytes(words: NDArray[np.uint64]) -> bytes:
    return words.astype("<u8", copy=False).tobytes()
