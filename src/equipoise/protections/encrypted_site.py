"""A site's side of an encrypted round: see `encrypted` for the whole."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError
from equipoise.protection import Accepted, Context, Message, Party, contribution
from equipoise.protections.clear import raw_blocks
from equipoise.protections.encrypted_keeper import (
    CHALLENGE,
    DIGEST,
    KEEPER,
    bound,
    check_contributions,
    digest_of,
    told,
)
from equipoise.protections.encrypted_scheme import PublicKey
from equipoise.protections.forms import Forms, number_of_forms
from equipoise.protections.keystream import Keystreams, apply_all
from equipoise.protections.secrets import pack, single, unpack
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema, check_block, from_bytes

Masks: TypeAlias = list[tuple[int, Keystreams]]
"""The mask shared with each other site, and with which sign it is added."""


@dataclass(slots=True)
class EncryptedSite:
    """Encrypted input, forms of what was in it, acceptance.

    key    the digest of the key that this site encrypted with
    words  what was encrypted: sums under masks, of which forms are taken later
    pads   what hides the forms: random, and encrypted along with the sums
    said   the digest of what this site sent
    """

    context: Context
    party: Party
    schema: Schema
    values: Iterable[Integers]
    due: str = "input"
    key: bytes = b""
    words: Spool = field(default_factory=Spool)
    pads: bytes = field(default=b"", repr=False)
    said: bytes = b""
    total: Spool = field(default_factory=Spool)
    last: bytes = b""
    of_total: bytes = b""

    @property
    def settled(self) -> bool:
        """Whether it has been asked for its sums: the keeper may decrypt a total of them."""
        return self.due != "input"

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the answer to the next phase; it ends with the accepted total."""
        due, self.due = self.due, "nothing"  # whatever fails, this machine has ended
        if due == "input":
            answer, self.due = self._input(request), "check"
        elif due == "check":
            answer, self.due = self._check(request), "accept"
        elif due == "accept":
            return Done(self._accept(request))
        else:
            raise ProtocolError("this encrypted round has ended")
        return Next(answer)

    def _input(self, request: Message) -> Message:
        """Take the keeper's key; send sums under masks and encryption, signed."""
        public = _only(request)
        self.key = digest_of([public])
        signature = single(request.head, "signature")
        self.party.verify(KEEPER, signature, bound(self.context, b"key", self.key))
        return Message(b"", self._encrypted(PublicKey(public, len(self.context.sites))))

    def _encrypted(self, key: PublicKey) -> Iterator[bytes]:
        """Yield the blocks, then the pads, and last the signature over them."""
        joint = hashlib.sha256()
        for words in self._words():
            data = key.encrypt(words)
            joint.update(len(data).to_bytes(8, "big") + data)
            yield data
        self.said = joint.digest()
        yield self.party.sign(contribution(self.context.digest(), self.key, self.said))

    def _words(self) -> Iterator[NDArray[np.uint64]]:
        masks = masks_of(self.context, self.party)
        for block, values in zip(self.schema.blocks, self.values, strict=True):
            words = [masked(name, values[name], masks) for name in block]
            joined = np.concatenate([np.empty(0, np.uint64), *words])
            self.words.add(joined.astype("<u8", copy=False).tobytes())
            yield joined
        self.pads = os.urandom(8 * number_of_forms(self.schema))
        yield masked("", np.frombuffer(self.pads, "<i8"), masks)

    def _check(self, request: Message) -> Message:
        """Take the total as the keeper signed it; sign linear forms of what was sent."""
        if not self.said:
            raise ProtocolError("the encrypted message of this site has not been read to its end")
        contributions = unpack(request.head, "contributions")
        check_contributions(self.context, self.party, self.key, contributions)
        if contributions[self.party.name][:DIGEST] != self.said:
            raise ProtocolError("the centre announced another message for this site")
        for block, data in zip(self.schema.blocks, raw_blocks(self.schema, request), strict=True):
            check_block(block, from_bytes(block, data))
            self.total.add(data)
        pads, drawn = single(request.head, "pads"), single(request.head, "challenge")
        if len(pads) != len(self.pads) or len(drawn) != CHALLENGE:
            raise ProtocolError("what the keeper sent with the total has another length")
        self.last = digest_of(self.total) + told(contributions) + pads + drawn
        signature = single(request.head, "signature")
        self.party.verify(KEEPER, signature, bound(self.context, b"total", self.last))
        forms = self._forms(drawn, pads)
        self.words.clear()
        signed = forms + self.party.sign(bound(self.context, b"form", self.last + forms))
        return Message(pack({"forms": signed.hex()}))

    def _forms(self, drawn: bytes, pads: bytes) -> bytes:
        """Return the forms, asked once the total was fixed, of what was sent; keep the total's."""
        info = bound(self.context, b"forms", self.last)
        forms = Forms(drawn, info, number_of_forms(self.schema), 2)
        for words, total in zip(self.words, self.total, strict=True):
            forms.add(np.frombuffer(words, "<u8"), np.frombuffer(total, "<u8"))
        own, of_total = forms.sums + np.frombuffer(self.pads + pads, "<u8").reshape(2, -1)
        self.of_total = of_total.astype("<u8").tobytes()
        return own.astype("<u8").tobytes()

    def _accept(self, request: Message) -> Accepted:
        """Accept the total if the forms of all sites add up to its own."""
        given = unpack(request.head, "forms", self.context.sites)
        check_forms(self.context, self.party, self.last, self.of_total, given)
        signature = self.party.sign(bound(self.context, b"accepted", self.last))
        return Accepted(Kept(self.schema, self.total), Message(pack({"accept": signature.hex()})))


def masks_of(context: Context, party: Party) -> Masks:
    """Return the masks of a site: plus towards those that come after it, else minus."""
    own, info = party.name, bound(context, b"mask")
    others = [site for site in context.sites if site != own]
    return [(1 if own < site else -1, Keystreams(party.channel(site), info)) for site in others]


def masked(name: str, values: NDArray[np.int64], masks: Masks) -> NDArray[np.uint64]:
    """Return the values of a field under masks, along one axis; no field's name is empty."""
    words = values.astype(np.int64, order="C").view(np.uint64).reshape(-1)
    apply_all(masks, {name: words})
    return words


def check_forms(
    context: Context, party: Party, last: bytes, of_total: bytes, given: Mapping[str, bytes]
) -> None:
    """Raise ProtocolError unless the signed forms of all sites add up to those of the total."""
    size = len(of_total)
    added = np.zeros(size // 8, np.uint64)
    for site, signed in given.items():
        forms, signature = signed[:size], signed[size:]
        party.verify(site, signature, bound(context, b"form", last + forms))
        added += np.frombuffer(forms, "<u8")
    if added.astype("<u8").tobytes() != of_total:
        raise ProtocolError("the total is not the sum of what the sites sent; it was forged")


def _only(message: Message) -> bytes:
    blocks = iter(message.blocks)
    found = next(blocks, b"")
    if next(blocks, None) is not None:
        raise ProtocolError("expected one block, the keeper's public key; got more")
    return found
