"""The centre's side of an encrypted round: see `encrypted` for the whole."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from equipoise.errors import ProtocolError, TransportError
from equipoise.protection import Context, Message
from equipoise.protections.clear import raw_blocks
from equipoise.protections.encrypted_keeper import KEEPER, sizes
from equipoise.protections.encrypted_scheme import add, coefficients
from equipoise.protections.secrets import hexed, pack, single
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema, check_block, from_bytes

Requests = dict[str, Message]

_SIGNATURE = 64


@dataclass(slots=True)
class EncryptedCentre:
    """Passes on the key, adds ciphertexts, has the total decrypted, passes on forms."""

    context: Context
    schema: Schema
    due: str = "begin"
    contributions: dict[str, bytes] = field(default_factory=dict[str, bytes])
    total: Spool = field(default_factory=Spool)

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[Sequence[Integers]]:
        """Return the next phase's requests; it ends when every site accepted the total."""
        due, self.due = self.due, "nothing"
        if due == "begin":
            requests, self.due = {KEEPER: Message()}, "key"
        elif due == "key":
            requests, self.due = self._pass_key(answers), "input"
        elif due == "input":
            requests, self.due = {KEEPER: self._add(answers)}, "total"
        elif due == "total":
            requests, self.due = self._publish(answers), "forms"
        elif due == "forms":
            self._all(answers)
            forms = {site: single(a.head, "forms") for site, a in sorted(answers.items())}
            head = pack({"forms": hexed(forms)})
            requests, self.due = dict.fromkeys(self.context.sites, Message(head)), "accepted"
        elif due == "accepted":
            self._all(answers)
            return Done(Kept(self.schema, self.total))
        else:
            raise ProtocolError("this encrypted round has ended")
        return Next(requests)

    def _all(self, answers: Mapping[str, Message]) -> None:
        if strange := set(answers) - set(self.context.sites):
            raise ProtocolError(f"answers came from {sorted(strange)}, which take no part")
        if lost := sorted(set(self.context.sites) - set(answers)):
            raise TransportError(f"lost {', '.join(lost)}; encrypted sums need every site")

    def _kept(self, answers: Mapping[str, Message]) -> Message:
        if set(answers) != {KEEPER}:
            raise TransportError("the key keeper did not answer, and nobody else can decrypt")
        return answers[KEEPER]

    def _pass_key(self, answers: Mapping[str, Message]) -> Requests:
        answer = self._kept(answers)
        return dict.fromkeys(self.context.sites, Message(answer.head, list(answer.blocks)))

    def _add(self, answers: Mapping[str, Message]) -> Message:
        """Add the ciphertexts, block by block, blind to what is in them."""
        self._all(answers)
        streams = {site: iter(answers[site].blocks) for site in self.context.sites}
        joint = {site: hashlib.sha256() for site in streams}
        sums = Spool()
        for n_values in sizes(self.schema):
            total = np.zeros((), np.uint64)
            for site, stream in streams.items():
                data = next(stream, b"")
                part = coefficients(data, n_values)
                joint[site].update(len(data).to_bytes(8, "big") + data)
                if not total.ndim:
                    total = part.copy()
                else:
                    add(total, part)
            sums.add(total.astype("<u8", copy=False).tobytes())
        for site, stream in streams.items():
            signature = next(stream, b"")
            if len(signature) != _SIGNATURE or next(stream, None) is not None:
                raise ProtocolError(f"{site} did not end its encrypted message with a signature")
            self.contributions[site] = joint[site].digest() + signature
        return Message(pack({"contributions": hexed(self.contributions)}), sums)

    def _publish(self, answers: Mapping[str, Message]) -> Requests:
        answer = self._kept(answers)
        for block, data in zip(self.schema.blocks, raw_blocks(self.schema, answer), strict=True):
            check_block(block, from_bytes(block, data))
            self.total.add(data)
        content: dict[str, Any] = {"contributions": hexed(self.contributions)}
        for what in ("pads", "challenge", "signature"):
            content[what] = single(answer.head, what).hex()
        return dict.fromkeys(self.context.sites, Message(pack(content), self.total))
