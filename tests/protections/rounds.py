"""One round of a protection among a few sites, driven phase by phase and looked at inside."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.federation.identity import Identity, Peers
from equipoise.protection import CentreMachine, Context, Message, Party, Protection, SiteMachine
from equipoise.step import Done, Next
from equipoise.sums import Field, Schema

Block = dict[str, NDArray[np.int64]]
Values = list[Block]

CONTEXT = Context(
    study="study",
    plan=bytes(32),
    step="step",
    round=1,
    attempt=0,
    analysis=bytes(32),
    sites=(),
    members=bytes(32),
)

WIDEST = 2**40
"""The most of a total, in quanta: what a field may declare."""


def names(n_sites: int) -> tuple[str, ...]:
    return tuple(f"s{i}" for i in range(n_sites))


def context(n_sites: int, **changes: Any) -> Context:
    return replace(CONTEXT, sites=names(n_sites), **changes)


@cache
def identity(name: str) -> Identity:
    return Identity.create(name)


def party(name: str, n_sites: int, run: bytes = b"") -> Party:
    """Return a site of the protocol; each `run` has secrets of its own."""
    peers = Peers({site: identity(site).signing_key for site in names(n_sites)})

    def channel(site: str) -> bytes:
        return identity(name).shared_with(identity(site).channel_key)

    own = identity(name)
    secret = hashlib.sha256(run + own.secret).digest()
    return Party(name, own.sign, peers.verify, channel, secret)


def schema(*shapes: Mapping[str, tuple[int, ...]]) -> Schema:
    return Schema(
        tuple(
            {name: Field(shape, float(WIDEST), float(WIDEST)) for name, shape in block.items()}
            for block in shapes
        )
    )


def added(parts: Sequence[Values]) -> Values:
    """Return the sum, by the plainest means."""
    return [
        {name: np.sum([part[i][name] for part in parts], axis=0) for name in block}
        for i, block in enumerate(parts[0])
    ]


def same(total: Sequence[Mapping[str, Any]], expected: Values) -> bool:
    return len(total) == len(expected) and all(
        list(got) == list(block)
        and all(
            np.asarray(got[name]).shape == np.asarray(block[name]).shape
            and np.array_equal(got[name], block[name])
            for name in block
        )
        for got, block in zip(total, expected, strict=True)
    )


Lost = Callable[[str, int], bool]
"""Whether a site's answer to a phase, from 0, does not come."""


@dataclass
class Round:
    """The machines of one round, its messages, and what came of it.

    ahead   what the centre keeps for later rounds
    secret  of which run its sites' secrets are
    lost    says which answers do not come; a site whose answer did not is asked no more
    """

    protection: Protection
    schema: Schema
    values: Mapping[str, Values]
    context: Context
    ahead: dict[bytes, Any] = field(default_factory=dict[bytes, Any])
    secret: bytes = field(default_factory=lambda: os.urandom(8))
    lost: Lost = lambda site, phase: False
    gone: set[str] = field(default_factory=set[str])
    sites: dict[str, Any] = field(default_factory=dict[str, Any])
    requests: list[dict[str, Message]] = field(default_factory=list[dict[str, Message]])
    answers: list[dict[str, Message]] = field(default_factory=list[dict[str, Message]])
    accepted: dict[str, Any] = field(default_factory=dict[str, Any])
    total: Any = None

    def __post_init__(self) -> None:
        n = len(self.context.sites)
        self.centre: CentreMachine = self.protection.centre(self.context, self.schema, self.ahead)
        for name in self.context.sites:
            own = party(name, n, self.secret), self.schema, iter(self.values[name])
            machine: SiteMachine = self.protection.site(self.context, *own)
            self.sites[name] = machine

    def run(self, phases: int = 99) -> "Round":
        """Go on for so many phases, or to the end."""
        while phases and self.total is None:
            outcome = self.centre.step(self.answers[-1] if self.answers else {})
            if isinstance(outcome, Done):
                self.total = outcome.result
                break
            self.requests.append(dict(outcome.state))
            asked = [name for name in outcome.state if name not in self.gone]
            self.gone |= {name for name in asked if self.lost(name, len(self.answers))}
            self.answers.append({name: self.ask(name) for name in asked if name not in self.gone})
            phases -= 1
        return self

    def then(self, parts: Sequence[Values], **changes: Any) -> "Round":
        """Return the round that follows, with the secrets that were sent ahead."""
        values = dict(zip(self.context.sites, parts, strict=True))
        after = replace(self.context, turn=self.context.turn + 1, **changes)
        return Round(
            self.protection,
            self.schema,
            values,
            after,
            self.ahead,
            self.secret,
            gone=set(self.gone),
        )

    def again(self, secret: bytes) -> "Round":
        """Return the same round from its beginning, by sites with the secrets of some run."""
        return Round(self.protection, self.schema, self.values, self.context, secret=secret)

    def ask(self, name: str, message: Message | None = None) -> Message:
        """Give a site the last request, or another message instead."""
        outcome = self.sites[name].step(message or self.requests[-1][name])
        if isinstance(outcome, Next):
            return Message(outcome.state.head, list(outcome.state.blocks))
        self.accepted[name] = outcome.result.total
        return outcome.result.answer


def start(protection: Protection, form: Schema, parts: Sequence[Values], **changes: Any) -> Round:
    values = dict(zip(names(len(parts)), parts, strict=True))
    return Round(protection, form, values, context(len(parts), **changes))
