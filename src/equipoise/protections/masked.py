"""Sums under one-time masks that cancel in the total, and under nothing less.

Double masking after Bonawitz et al. 2017 (doi:10.1145/3133956.3133982), Figure 4, in the
ring of integers modulo 2**64. Site i sends

    x_i + PRG(b_i) + sum over j > i of PRG(s_ij) - sum over j < i of PRG(s_ij)

where s_ij comes from an X25519 exchange between i and j and b_i is i's own seed. Both
secrets of each site are shared among all, t of n; for every site that stays, t of them
hand in their shares of b_i, and the centre removes PRG(b_i) from the sum. It may
learn b_i or the key behind s_ij, never both.

Departures: PRG is AES-256-CTR under HKDF-SHA256 keys, one for each pair and field,
whose info is the whole context (study, plan, step, round, attempt, analysis, signed
list of sites). All secrets are made for one attempt at one round. A site that is lost
ends the round with a refusal: the phase that would rebuild its pairwise key exists
(`unmask` names the survivors) but asks for all sites. Every site signs the total that
it accepts; proof that the total is no forgery is the place of that same phase.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.protection import Accepted, Context, Message, Party
from equipoise.protections.clear import read_blocks, read_total, total_message
from equipoise.protections.keystream import Keystreams, derive_key
from equipoise.protections.shares import combine, split
from equipoise.step import Done, Next
from equipoise.sums import Block, Integers, Schema, check_total, to_bytes

SECRET = 32
"""Bytes of a private key and of a seed; a share of either is as long."""

COLLUDING = 1
"""How many sites may collude with the centre without reading another's sums."""


def threshold(n_sites: int) -> int:
    """Return t: any t sites can lift self-masks, fewer learn nothing.

    t is at least 3 and c + 2, and 2 t > n + c, so that a centre which tells different
    sites different lists of survivors cannot gather both secrets of a site.

    >>> [threshold(n) for n in (3, 4, 5, 16)]
    [3, 3, 4, 9]
    """
    return max(3, COLLUDING + 2, (n_sites + COLLUDING) // 2 + 1)


def _pack(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _unpack(head: bytes, key: str, sites: Sequence[str]) -> dict[str, bytes]:
    """Return the bytes that a head holds for each site; ProtocolError otherwise."""
    try:
        content = cast("dict[str, dict[str, str]]", json.loads(head))
        found = {site: bytes.fromhex(value) for site, value in content[key].items()}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ProtocolError(f"the {key} of a masked round cannot be read") from error
    if set(found) != set(sites):
        raise ProtocolError(f"the {key} of a masked round are not those of the listed sites")
    return found


@dataclass(slots=True)
class MaskedSite:
    """Keys, shares, masked input, unmasking, acceptance: one call to `step` each."""

    context: Context
    party: Party
    schema: Schema
    values: Iterable[Integers]
    key: bytes = field(default_factory=lambda: os.urandom(32))
    seed: bytes = field(default_factory=lambda: os.urandom(32))
    phase: int = 0
    public: dict[str, bytes] = field(default_factory=dict[str, bytes])
    seed_shares: dict[str, bytes] = field(default_factory=dict[str, bytes])
    key_shares: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the answer to the next phase; it ends with the accepted total."""
        phases = (self._keys, self._shares, self._input, self._unmask)
        self.phase += 1
        if self.phase <= len(phases):
            return Next(phases[self.phase - 1](request))
        total = read_total(self.schema, request)
        signed = self.party.sign(self._bound(b"total", _total_digest(self.schema, total)))
        return Done(Accepted(total, Message(_pack({"accept": signed.hex()}))))

    def _bound(self, purpose: bytes, content: bytes) -> bytes:
        return b"equipoise-masked-1|" + purpose + b"|" + self.context.digest() + content

    def _keys(self, request: Message) -> Message:
        del request
        public = self._private.public_key().public_bytes_raw()
        signature = self.party.sign(self._bound(b"key", public))
        return Message(_pack({"key": (public + signature).hex()}))

    def _shares(self, request: Message) -> Message:
        for site, signed in _unpack(request.head, "keys", self.context.sites).items():
            self.party.verify(site, signed[32:], self._bound(b"key", signed[:32]))
            self.public[site] = signed[:32]
        if self.public[self.party.name] != self._private.public_key().public_bytes_raw():
            raise ProtocolError("the centre announced another key for this site")
        n, t = len(self.context.sites), threshold(len(self.context.sites))
        seeds, keys = split(self.seed, t, n), split(self.key, t, n)
        sealed = {
            site: self._seal(site, seeds[i] + keys[i]).hex()
            for i, site in enumerate(self.context.sites)
        }
        return Message(_pack({"shares": sealed}))

    def _input(self, request: Message) -> Message:
        for site, sealed in _unpack(request.head, "shares", self.context.sites).items():
            opened = self._open(site, sealed)
            if len(opened) != 2 * SECRET:
                raise ProtocolError(f"the shares that {site} sent have another length")
            self.seed_shares[site], self.key_shares[site] = opened[:SECRET], opened[SECRET:]
        return Message(b"", self._masked())

    def _unmask(self, request: Message) -> Message:
        survivors = _unpack(request.head, "survivors", self.context.sites)
        answer = {site: self.seed_shares[site].hex() for site in survivors}
        # No secret of this round outlives it.
        self.key, self.seed, self.seed_shares, self.key_shares = b"", b"", {}, {}
        return Message(_pack({"seeds": answer}))

    def _masked(self) -> Iterator[bytes]:
        info = self._bound(b"mask", b"")
        private, streams = self._private, [(1, Keystreams(self.seed, info))]
        for site in self.context.sites:
            if site != self.party.name:
                peer = X25519PublicKey.from_public_bytes(self.public[site])
                sign = 1 if self.party.name < site else -1
                streams.append((sign, Keystreams(private.exchange(peer), info)))
        for block, values in zip(self.schema.blocks, self.values, strict=True):
            ring = {
                name: values[name].astype(np.int64, order="C").view(np.uint64) for name in block
            }
            for sign, stream in streams:
                stream.apply(ring, sign)
            yield to_bytes(block, {name: ring[name].view(np.int64) for name in block})

    @property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.key)

    def _channel(self, site: str) -> AESGCM:
        return AESGCM(derive_key(self.party.channel(site), self._bound(b"channel", b"")))

    def _seal(self, to: str, plain: bytes) -> bytes:
        nonce = os.urandom(12)
        bound = self._bound(b"share", f"{self.party.name}>{to}".encode())
        return nonce + self._channel(to).encrypt(nonce, plain, bound)

    def _open(self, sender: str, sealed: bytes) -> bytes:
        bound = self._bound(b"share", f"{sender}>{self.party.name}".encode())
        try:
            return self._channel(sender).decrypt(sealed[:12], sealed[12:], bound)
        except (InvalidTag, ValueError) as error:
            raise ProtocolError(f"the share that {sender} sent cannot be opened") from error


@dataclass(slots=True)
class MaskedCentre:
    """Passes on keys and sealed shares, adds masked messages, lifts self-masks."""

    context: Context
    schema: Schema
    phase: int = 0
    masked: list[dict[str, NDArray[np.uint64]]] = field(
        default_factory=list[dict[str, NDArray[np.uint64]]]
    )
    total: tuple[Integers, ...] = ()

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[tuple[Integers, ...]]:
        """Return the next phase's requests; it ends when all sites accepted the total."""
        if self.phase and set(answers) != set(self.context.sites):
            raise ProtocolError("a masked round needs the answer of every site")
        phases = (self._begin, self._keys, self._shares, self._add, self._lift)
        self.phase += 1
        if self.phase <= len(phases):
            return Next(phases[self.phase - 1](answers))
        return Done(self.total)

    def _all(self, message: Message) -> dict[str, Message]:
        return dict.fromkeys(self.context.sites, message)

    def _begin(self, answers: Mapping[str, Message]) -> dict[str, Message]:
        del answers
        return self._all(Message())

    def _keys(self, answers: Mapping[str, Message]) -> dict[str, Message]:
        keys = {site: _single(answers[site].head, "key") for site in self.context.sites}
        return self._all(Message(_pack({"keys": keys})))

    def _shares(self, answers: Mapping[str, Message]) -> dict[str, Message]:
        sites = self.context.sites
        sealed = {site: _unpack(answers[site].head, "shares", sites) for site in sites}
        return {
            to: Message(_pack({"shares": {site: sealed[site][to].hex() for site in sites}}))
            for to in sites
        }

    def _add(self, answers: Mapping[str, Message]) -> dict[str, Message]:
        streams = [read_blocks(self.schema, answers[site]) for site in self.context.sites]
        for block, *parts in zip(self.schema.blocks, *streams, strict=True):
            self.masked.append(_ring_sum(block, parts))
        survivors = dict.fromkeys(self.context.sites, "")
        return self._all(Message(_pack({"survivors": survivors})))

    def _lift(self, answers: Mapping[str, Message]) -> dict[str, Message]:
        sites = self.context.sites
        handed = {site: _unpack(answers[site].head, "seeds", sites) for site in sites}
        t = threshold(len(sites))
        info = b"equipoise-masked-1|mask|" + self.context.digest()
        for owner in sites:
            shares = [(i, handed[site][owner]) for i, site in enumerate(sites)][:t]
            stream = Keystreams(combine(shares), info)
            for ring in self.masked:
                stream.apply(ring, -1)
        self.total = tuple(
            {name: ring[name].view(np.int64) for name in ring} for ring in self.masked
        )
        self.masked = []
        check_total(self.schema, self.total)
        return self._all(total_message(self.schema, self.total))


def _single(head: bytes, key: str) -> str:
    try:
        return str(json.loads(head)[key])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"the {key} of a masked round cannot be read") from error


def _ring_sum(block: Block, parts: Sequence[Integers]) -> dict[str, NDArray[np.uint64]]:
    zero = {name: np.zeros(f.shape, np.uint64) for name, f in block.items()}
    for part in parts:
        for name in zero:
            zero[name] += part[name].view(np.uint64)
    return zero


def _total_digest(schema: Schema, total: Sequence[Integers]) -> bytes:
    digest = hashlib.sha256()
    for block, values in zip(schema.blocks, total, strict=True):
        for name in block:
            digest.update(np.ascontiguousarray(values[name], "<i8").data)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Masked:
    """The everyday protection, from three sites on."""

    def check(self, n_sites: int) -> None:
        """Refuse fewer than three sites: each of two would learn the other's sums."""
        if n_sites < 3:
            raise DisclosureError(
                f"masked sums need at least 3 sites, this study has {n_sites}: each of two"
                " sites would learn the other's sums by subtracting its own; add a site, or use"
                ' kind = "clear" where one party may see every sum'
            )

    def site(
        self, context: Context, party: Party, schema: Schema, values: Iterable[Integers]
    ) -> MaskedSite:
        """Return the machine of one site."""
        return MaskedSite(context, party, schema, values)

    def centre(self, context: Context, schema: Schema) -> MaskedCentre:
        """Return the machine of the centre."""
        return MaskedCentre(context, schema)
