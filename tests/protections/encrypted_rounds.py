"""Rounds with a key keeper, driven phase by phase, and sums for them."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from equipoise.federation.identity import Peers
from equipoise.protection import Message, Party
from equipoise.protections import encrypted_scheme as scheme
from equipoise.protections.encrypted import Encrypted
from equipoise.protections.encrypted_keeper import KEEPER, KeyKeeper
from equipoise.step import Done, Next
from equipoise.sums import Schema
from protections.rounds import WIDEST, Round, Values, context, identity, names, schema

SHAPES = schema({"x": (3,), "y": (2, 2)}, {"z": (5,)})
RAW = 16 * scheme.DEGREE

INSTALLED = pytest.mark.skipif(
    not all(map(find_spec, ("tenseal", "zstandard"))),
    reason="the extra 'encrypted' is not installed",
)
"""The mark of tests that encrypt."""


def party(name: str, n_sites: int) -> Party:
    keys = {one: identity(one).signing_key for one in (*names(n_sites), KEEPER)}

    def channel(site: str) -> bytes:
        return identity(name).shared_with(identity(site).channel_key)

    return Party(name, identity(name).sign, Peers(keys).verify, channel)


class Seat:
    """The keeper's machine, which ends with an answer, among machines that end with a total."""

    def __init__(self, machine: KeyKeeper) -> None:
        self.machine = machine

    def step(self, request: Message) -> Next[Message]:
        outcome = self.machine.step(request)
        return Next(outcome.result if isinstance(outcome, Done) else outcome.state)


class Kept(Round):
    """A round with a keeper, who keeps its own list of the run's rounds."""

    def __post_init__(self) -> None:
        n = len(self.context.sites)
        kind: Any = self.protection
        self.centre = kind.centre(self.context, self.schema)
        self.sites[KEEPER] = Seat(
            kind.keeper(self.context, party(KEEPER, n), self.schema, self.ahead)
        )
        for name in self.context.sites:
            own = party(name, n), self.schema, iter(self.values[name])
            self.sites[name] = kind.site(self.context, *own)


def start(form: Schema, parts: Sequence[Values], **changes: Any) -> Kept:
    values = dict(zip(names(len(parts)), parts, strict=True))
    return Kept(Encrypted(), form, values, context(len(parts), **changes))


def drawn(form: Schema, n_sites: int, seed: int = 1) -> list[Values]:
    draw = np.random.default_rng(seed)
    most = WIDEST // n_sites
    return [
        [
            {name: draw.integers(-most, most, field.shape) for name, field in block.items()}
            for block in form.blocks
        ]
        for _ in range(n_sites)
    ]
