"""One round of a protection among a few sites, driven phase by phase and looked at inside."""

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


def party(name: str, n_sites: int) -> Party:
    peers = Peers({site: identity(site).signing_key for site in names(n_sites)})

    def channel(site: str) -> bytes:
        return identity(name).shared_with(identity(site).channel_key)

    return Party(name, identity(name).sign, peers.verify, channel)


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

    aheads  what each party keeps for later rounds; "" is the centre
    lost    says which answers do not come; a site whose answer did not is asked no more
    """

    protection: Protection
    schema: Schema
    values: Mapping[str, Values]
    context: Context
    aheads: dict[str, dict[bytes, Any]] = field(default_factory=dict[str, dict[bytes, Any]])
    lost: Lost = lambda site, phase: False
    gone: set[str] = field(default_factory=set[str])
    sites: dict[str, Any] = field(default_factory=dict[str, Any])
    requests: list[dict[str, Message]] = field(default_factory=list[dict[str, Message]])
    answers: list[dict[str, Message]] = field(default_factory=list[dict[str, Message]])
    accepted: dict[str, Any] = field(default_factory=dict[str, Any])
    total: Any = None

    def __post_init__(self) -> None:
        n = len(self.context.sites)
        for name in ("", *self.context.sites):
            self.aheads.setdefault(name, {})
        self.centre: CentreMachine = self.protection.centre(
            self.context, self.schema, self.aheads[""]
        )
        for name in self.context.sites:
            own = party(name, n), self.schema, iter(self.values[name]), self.aheads[name]
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
        return Round(self.protection, self.schema, values, after, self.aheads, gone=set(self.gone))

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
