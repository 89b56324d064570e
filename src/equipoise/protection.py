"""The contract of a protection: how sites' integers become a total, and nothing else.

A protection is two step machines, one at each site and one at the centre. Both are
driven alike: the centre's machine takes the answers of all sites and gives the next
requests; a site's machine takes a request and gives its answer. A site's machine ends
only when it has accepted the total.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema

Ahead: TypeAlias = MutableMapping[bytes, Any]
"""What the centre or a key keeper keeps from a round for those to come; empty when a run begins."""


@dataclass(frozen=True, slots=True)
class Message:
    """A short head and a stream of blocks, each of them bytes.

    sha256  the joint digest of the blocks (`joint_digest`), where whoever carries the message
            checks it when the last of them is read; else nothing, and who needs it takes it
    """

    head: bytes = b""
    blocks: Iterable[bytes] = ()
    sha256: bytes = b""


def joint_digest(blocks: Iterable[bytes]) -> bytes:
    """Return the SHA-256 over the SHA-256 of each block."""
    joint = hashlib.sha256()
    for block in blocks:
        joint.update(hashlib.sha256(block).digest())
    return joint.digest()


@dataclass(frozen=True, slots=True)
class Context:
    """Which round of what this is; every key of a protection is bound to all of it.

    analysis  the digest of the analysis and its parameters
    members   that of the list of sites with their keys which every site has signed
    turn      how many rounds of the run have asked something before this one
    may_lose  whether the sites agreed to go on without one that is lost
    """

    study: str
    plan: bytes
    step: str
    round: int
    attempt: int
    analysis: bytes
    sites: tuple[str, ...]
    members: bytes
    turn: int = 0
    may_lose: bool = False

    def to_bytes(self) -> bytes:
        """Return an encoding that differs where any part differs."""
        parts = [self.study.encode(), self.plan, self.step.encode(), str(self.round).encode()]
        parts += [str(self.attempt).encode(), self.analysis, self.members]
        parts += [str(self.turn).encode(), str(self.may_lose).encode()]
        parts += [site.encode() for site in self.sites]
        return b"equipoise-round-2" + _framed(parts)

    def digest(self) -> bytes:
        """Return the SHA-256 of the encoding."""
        return hashlib.sha256(self.to_bytes()).digest()

    def turn_digest(self, turn: int, attempt: int) -> bytes:
        """Return what stands for a round that is still to come: of the run, only its number."""
        parts = [self.study.encode(), self.plan, self.members, str(turn).encode()]
        parts += [str(attempt).encode(), *(site.encode() for site in self.sites)]
        return hashlib.sha256(b"equipoise-turn-2" + _framed(parts)).digest()


def _framed(parts: Iterable[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def contribution(context: bytes, key: bytes, message: bytes) -> bytes:
    """Return what a site signs of a message that it encrypted for a round, all by digest.

    `context` is `Context.digest`, `key` the SHA-256 of the public key as it was sent.
    """
    return b"equipoise-encrypted-1|contribution|" + context + key + message


@dataclass(frozen=True, slots=True)
class Party:
    """What a site's machine may do in its site's name.

    sign      signs with the site's long-term key
    verify    raises ProtocolError unless a signature is that site's
    channel   the key that this site shares with another for the length of the run
    secret    32 bytes of this site alone, the same for the length of the run: what is drawn
              from it is drawn again after a restart
    """

    name: str
    sign: Callable[[bytes], bytes]
    verify: Callable[[str, bytes, bytes], None]
    channel: Callable[[str], bytes]
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The total that a site goes on from, and its last answer."""

    total: Sequence[Integers]
    answer: Message


class SiteMachine(Protocol):
    """One attempt at one round, at one site.

    settled  whether what it has answered may tell a total: then there is no other attempt
    """

    @property
    def settled(self) -> bool: ...  # noqa: D102

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the answer, or the accepted total with the last answer."""
        ...


class CentreMachine(Protocol):
    """One attempt at one round, at the centre."""

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[Sequence[Integers]]:
        """Return the next request to each site, or the total that all have accepted.

        A site without an answer is lost. TransportError where the round cannot go on so.
        """
        ...


class Protection(Protocol):
    """A kind of protection; its machines are made for one attempt at one round."""

    def check(self, n_sites: int) -> None:
        """Raise DisclosureError where so few sites cannot be protected."""
        ...

    def site(
        self,
        context: Context,
        party: Party,
        schema: Schema,
        values: Iterable[Integers],
    ) -> SiteMachine:
        """Return the machine of one site; `values` is taken once, block by block."""
        ...

    def centre(self, context: Context, schema: Schema, ahead: Ahead | None = None) -> CentreMachine:
        """Return the machine of the centre."""
        ...
