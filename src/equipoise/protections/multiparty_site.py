"""A site's side of a threshold round: see `multiparty` for the whole."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.errors import ProtocolError
from equipoise.protection import Accepted, Context, Message, Party
from equipoise.protections.encrypted_keeper import (
    DIGEST,
    bound,
    check_contributions,
    digest_of,
    told,
)
from equipoise.protections.encrypted_site import masked, masks_of
from equipoise.protections.multiparty_blocks import exactly, framed, fused, gathered, rows_of
from equipoise.protections.multiparty_scheme import Shares, digits
from equipoise.protections.secrets import pack, unpack
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema


@dataclass(slots=True)
class ThresholdSite:
    """A part of the key, encrypted input, decryption in part, acceptance.

    key   the digest of this site's part of the key, then that of the whole
    said  the digest of what this site sent last
    last  what stands for the contributions that were decrypted
    """

    context: Context
    party: Party
    schema: Schema
    values: Iterable[Integers]
    shares: Shares
    due: str = "share"
    key: bytes = b""
    said: bytes = b""
    last: bytes = b""

    @property
    def settled(self) -> bool:
        """Whether it has been asked to decrypt, or failed: without its part there is no total."""
        return self.due not in ("share", "input", "decrypt")

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the answer to the next phase; it ends with the accepted total."""
        due, self.due = self.due, "nothing"  # whatever fails, this machine has ended
        if due == "share":
            answer, self.due = self._share(request), "input"
        elif due == "input":
            answer, self.due = self._input(request), "decrypt"
        elif due == "decrypt":
            answer, self.due = self._decrypt(request), "accept"
        elif due == "accept":
            return Done(self._accept(request))
        else:
            raise ProtocolError("this threshold round has ended")
        return Next(answer)

    def _share(self, request: Message) -> Message:
        """Add a part to the public key."""
        (previous,), sites = exactly(request, 1), self.context.sites
        earlier, keys = sites[: sites.index(self.party.name)], unpack(request.head, "keys")
        before = check_key(self.context, self.party, earlier, previous, keys)
        public = self.shares.join(previous if earlier else b"")
        self.key = digest_of([public])
        signature = self.party.sign(bound(self.context, b"share", before + self.key))
        return Message(pack({"key": (self.key + signature).hex()}), [public])

    def _input(self, request: Message) -> Message:
        """Take the key of all; send sums under masks and encryption, signed."""
        (public,) = exactly(request, 1)
        keys = unpack(request.head, "keys")
        whole = check_key(self.context, self.party, self.context.sites, public, keys)
        if keys[self.party.name][:DIGEST] != self.key:
            raise ProtocolError("the centre announced another part of the key for this site")
        self.key = whole
        self.shares.read(public)
        return Message(b"", self._encrypted())

    def _encrypted(self) -> Iterator[bytes]:
        """Yield the blocks, and last the signature over them."""
        joint, masks = hashlib.sha256(), masks_of(self.context, self.party)
        for block, values in zip(self.schema.blocks, self.values, strict=True):
            words = [masked(name, values[name], masks) for name in block]
            rows = digits(np.concatenate([np.empty(0, np.uint64), *words]), self.shares.slots())
            data = framed(self.shares.encrypt(row) for row in rows)
            joint.update(len(data).to_bytes(8, "big") + data)
            yield data
        self.said = joint.digest()
        yield self.party.sign(bound(self.context, b"contribution", self.key + self.said))

    def _decrypt(self, request: Message) -> Message:
        """Add what all sites signed for this round, and decrypt the sum in part."""
        contributions = unpack(request.head, "contributions")
        check_contributions(self.context, self.party, self.key, contributions)
        if contributions[self.party.name][:DIGEST] != self.said:
            raise ProtocolError("the centre announced another message for this site")
        lead, parts = self.party.name == min(self.context.sites), Spool()
        kept = gathered(request, len(self.schema.blocks), contributions)
        for rows in rows_of(kept, self.schema, self.shares.slots()):
            sums = map(self.shares.add, rows)
            parts.add(framed(self.shares.partial(row, lead=lead) for row in sums))
        self.said, self.last = digest_of(parts), told(contributions)
        signature = self.party.sign(bound(self.context, b"part", self.last + self.said))
        return Message(pack({"part": (self.said + signature).hex()}), parts)

    def _accept(self, request: Message) -> Accepted:
        """Join the parts of all sites to the total."""
        signed = unpack(request.head, "parts", self.context.sites)
        for site, content in signed.items():
            digest, signature = content[:DIGEST], content[DIGEST:]
            self.party.verify(site, signature, bound(self.context, b"part", self.last + digest))
        if signed[self.party.name][:DIGEST] != self.said:
            raise ProtocolError("the centre announced another part for this site")
        parts = gathered(request, len(self.schema.blocks), signed)
        total = fused(self.shares, parts, self.schema, len(self.context.sites))
        content = bound(self.context, b"accepted", self.last + digest_of(total))
        head = pack({"accept": self.party.sign(content).hex()})
        return Accepted(Kept(self.schema, total), Message(head))


def check_key(
    context: Context, party: Party, sites: Sequence[str], public: bytes, keys: Mapping[str, bytes]
) -> bytes:
    """Return the digest of a public key, once all `sites` signed it, one on top of the other."""
    if set(keys) != set(sites):
        raise ProtocolError("the parts of the key are not those of the listed sites")
    before = bytes(DIGEST)
    for site in sites:
        digest, signature = keys[site][:DIGEST], keys[site][DIGEST:]
        party.verify(site, signature, bound(context, b"share", before + digest))
        before = digest
    if before != (digest_of([public]) if sites else bytes(DIGEST)):
        raise ProtocolError("the public key is not the one that the last site signed")
    return before
