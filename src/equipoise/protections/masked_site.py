"""A site's side of a masked round: see `masked` for the whole."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.protection import Accepted, Context, Message, Party, joint_digest
from equipoise.protections.clear import raw_blocks
from equipoise.protections.forms import Forms, number_of_forms
from equipoise.protections.graph import joined
from equipoise.protections.keystream import Keystreams, apply_all
from equipoise.protections.secrets import (
    Secrets,
    Turn,
    checked_key,
    hexed,
    opened,
    pack,
    prepared,
    unpack,
)
from equipoise.protections.spool import Kept, Spool, rooms
from equipoise.step import Done, Next
from equipoise.sums import Block, Integers, Schema, check_block, from_bytes

AHEAD, ASKED = b"ahead", b"asked"
"""Secrets are sent a round ahead, or where the centre asks for them since it has none."""


def turn_of(context: Context, later: int = 0) -> Turn:
    """Return the turn of a round, or the first attempt at a later one."""
    attempt = 0 if later else context.attempt
    digest = context.turn_digest(context.turn + later, attempt)
    return Turn(context.sites, digest, handing=context.may_lose)


def bound(context: Context, purpose: bytes, content: bytes = b"") -> bytes:
    """Return bytes that stand for one use within one round."""
    return b"equipoise-masked-2|" + purpose + b"|" + context.digest() + content


@dataclass(slots=True)
class MaskedSite:
    """Secrets if none were sent ahead, masked input, unmasking, forms, acceptance.

    due     the phase that comes next
    sent    what was sent but for this site's own mask: forms are taken of it once the total is known
    whole   whether it has been read to its end
    """

    context: Context
    party: Party
    schema: Schema
    values: Iterable[Integers]
    due: str = "begin"
    secrets: Secrets = field(default_factory=Secrets)
    public: dict[str, bytes] = field(default_factory=dict[str, bytes])
    nonces: dict[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    seed_shares: dict[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    key_shares: dict[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    survivors: tuple[str, ...] = ()
    sent: Spool = field(default_factory=Spool)
    whole: bool = False
    total: Spool = field(default_factory=Spool)
    total_digest: bytes = b""
    of_total: bytes = b""

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the answer to the next phase; it ends with the accepted total."""
        due, self.due = self.due, "nothing"  # whatever fails, this machine has ended
        if due == "begin":
            return self._begin(request)
        if due == "input":
            answer, self.due = self._input(request), "unmask"
        elif due == "unmask":
            answer, self.due = self._unmask(request), "check"
        elif due == "check":
            answer, self.due = self._check(request), "accept"
        elif due == "accept":
            return Done(self._accept(request))
        else:
            raise ProtocolError("this masked round has ended")
        return Next(answer)

    @property
    def settled(self) -> bool:
        """Whether the centre may have all that tells a total, or this failed.

        Where no site may be lost that is so once all have sent their masked messages.
        """
        open_ = ("begin", "input", "unmask") if self.context.may_lose else ("begin", "input")
        return self.due not in open_

    @property
    def _turn(self) -> Turn:
        return turn_of(self.context)

    def _begin(self, request: Message) -> Next[Message]:
        """Send secrets where none were sent ahead; else the round begins with the input."""
        if request.head:
            self.secrets = Secrets.of(self.party, self._turn, AHEAD)
            answer, self.due = self._input(request), "unmask"
            return Next(answer)
        self.secrets, self.due = Secrets.of(self.party, self._turn, ASKED), "input"
        return Next(Message(pack({"prepared": prepared(self.secrets, self._turn, self.party)})))

    def _input(self, request: Message) -> Message:
        """Take the others' keys and shares; send the masked message, and secrets ahead."""
        turn, own = self._turn, self.party.name
        signed = unpack(request.head, "keys")
        sealed = unpack(request.head, "sealed", tuple(signed))
        if not set(signed) <= set(self.context.sites) or own not in signed:
            raise ProtocolError("the keys of a masked round are not those of the listed sites")
        if not self.context.may_lose and len(signed) < len(self.context.sites):
            raise DisclosureError("a site is lost, and the sites agreed to end where one is")
        around = turn.holders()
        for site in sorted(signed):
            self.public[site] = checked_key(signed[site], site, turn, self.party)
            nonce, seed, key = opened(sealed[site], site, turn, self.party)
            self.nonces[site] = nonce
            if seed:
                self.seed_shares[site], self.key_shares[site] = seed, key
        if self.public[own] != self.secrets.public:
            raise ProtocolError("the centre announced another key for this site")
        if not joined(self.context.sites, turn.digest, signed):
            raise DisclosureError("too few sites are left for masks to hide one of them")
        peers = [site for site in around[own] if site != own and site in self.public]
        later = turn_of(self.context, 1)
        coming = Secrets.of(self.party, later, AHEAD)
        head = pack({"prepared": prepared(coming, later, self.party)})
        return Message(head, self._masked(peers))

    def _masked(self, peers: list[str]) -> Iterator[bytes]:
        pairs = [self._pair_mask(site) for site in peers]
        own = [(1, self._own_mask())] if self.context.may_lose else []
        kept_in = rooms(self.schema)
        for block, values, kept in zip(self.schema.blocks, self.values, kept_in, strict=True):
            given = {n: v.astype(np.int64, copy=False).view(np.uint64) for n, v in values.items()}
            between = fields_of(block, kept)
            apply_all(pairs, between, given)
            # No copies of them: each would cost as much as another mask.
            self.sent.add(raw(kept))
            sent = kept
            if own:
                sent = np.empty(len(kept), np.uint64)
                apply_all(own, fields_of(block, sent), between)
            yield cast("bytes", raw(sent))
        self.whole = True

    def _own_mask(self) -> Keystreams:
        return Keystreams(self.secrets.seed, bound(self.context, b"mask"))

    def _pair_mask(self, site: str) -> tuple[int, Keystreams]:
        secret = self.secrets.agreed(self.public[site])
        return pair_sign(self.party.name, site), Keystreams(secret, bound(self.context, b"mask"))

    def _unmask(self, request: Message) -> Message:
        """Hand in one secret's share of each site, the seed's where it stayed, else the key's.

        And sign who stayed, as this site was told: all sites must have been told the same.
        """
        named = unpack(request.head, "survivors")
        survivors = tuple(sorted(named))
        if not self.whole:
            raise ProtocolError("the masked message of this site has not been read to its end")
        known = set(survivors) <= set(self.public) and not any(named.values())
        if not known or self.party.name not in survivors:
            raise ProtocolError("the survivors of a masked round are not those of the listed sites")
        if not self.context.may_lose and len(survivors) < len(self.context.sites):
            raise DisclosureError("a site is lost, and the sites agreed to end where one is")
        if not joined(self.context.sites, self._turn.digest, survivors):
            raise DisclosureError("too few sites are left for masks to hide one of them")
        stayed = {s: share for s, share in self.seed_shares.items() if s in survivors}
        lost = {s: share for s, share in self.key_shares.items() if s not in survivors}
        self.survivors, self.seed_shares, self.key_shares = survivors, {}, {}
        signed = self.party.sign(self._stayed_bound())
        return Message(pack({"seeds": hexed(stayed), "keys": hexed(lost), "signed": signed.hex()}))

    def _check(self, request: Message) -> Message:
        """Take the total, and sign linear forms of what this site added to it.

        What it sent, less its own mask and its masks with lost sites, adds up to the total
        over the survivors; the centre knows as much, and cannot foresee which forms are asked.
        """
        for site, signature in unpack(request.head, "signed", self.survivors).items():
            self.party.verify(site, signature, self._stayed_bound())
        for block, data in zip(self.schema.blocks, raw_blocks(self.schema, request), strict=True):
            check_block(block, from_bytes(block, data))
            self.total.add(data)
        self.total_digest = request.sha256 or joint_digest(self.total)
        forms_of = self._forms()
        masks = [
            self._pair_mask(s)
            for s in self._turn.holders()[self.party.name]
            if s in self.public and s not in self.survivors
        ]
        for block, sent, data in zip(self.schema.blocks, self.sent, self.total, strict=True):
            whole = np.frombuffer(sent, "<u8").astype(np.uint64, copy=bool(masks))
            if masks:
                apply_all([(-sign, stream) for sign, stream in masks], fields_of(block, whole))
            forms_of.add(whole, np.frombuffer(data, "<u8"))
        self.secrets = Secrets()  # no secret of this round outlives it
        self.sent.clear()
        forms, self.of_total = (sums.astype("<u8").tobytes() for sums in forms_of.sums)
        signed = forms + self.party.sign(self._form_bound(forms))
        return Message(pack({"forms": signed.hex()}))

    def _forms(self) -> Forms:
        """Return forms, of two sequences, that follow from the total and what sites alone know."""
        told = [self.total_digest, *(site.encode() + b"\0" for site in self.survivors)]
        asked = hashlib.sha256(b"".join(told)).digest()
        secret = b"".join(self.nonces[site] for site in sorted(self.nonces))
        info = bound(self.context, b"forms", asked)
        return Forms(secret, info, number_of_forms(self.schema), 2)

    def _stayed_bound(self) -> bytes:
        return bound(self.context, b"stayed", "\0".join(self.survivors).encode())

    def _form_bound(self, forms: bytes) -> bytes:
        return bound(self.context, b"form", self.total_digest + forms)

    def _accept(self, request: Message) -> Accepted:
        """Accept the total if the forms of all survivors add up to its own."""
        size = 8 * number_of_forms(self.schema)
        added = np.zeros(size // 8, np.uint64)
        for site, signed in unpack(request.head, "forms", self.survivors).items():
            forms, signature = signed[:size], signed[size:]
            self.party.verify(site, signature, self._form_bound(forms))
            added += np.frombuffer(forms, "<u8")
        if added.astype("<u8").tobytes() != self.of_total:
            raise ProtocolError("the total is not the sum of what the sites sent; it was forged")
        signature = self.party.sign(bound(self.context, b"total", self.total_digest))
        return Accepted(Kept(self.schema, self.total), Message(pack({"accept": signature.hex()})))


def pair_sign(one: str, other: str) -> int:
    """Return with which sign a site adds the mask that it shares with another."""
    return 1 if one < other else -1


def raw(whole: NDArray[np.uint64]) -> memoryview:
    """Return the bytes of a block of a message, little-endian, as they lie in memory.

    They cannot be written by it: whoever made the block is done with it.
    """
    return whole.astype("<u8", copy=False).view(np.uint8).data.toreadonly()


def fields_of(block: Block, whole: NDArray[np.uint64]) -> dict[str, NDArray[np.uint64]]:
    """Return the fields of one block of a message, each along one axis, to change in place."""
    found: dict[str, NDArray[np.uint64]] = {}
    place = 0
    for name, described in block.items():
        found[name] = whole[place : place + described.size]
        place += described.size
    return found
