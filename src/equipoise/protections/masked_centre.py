"""The centre's side of a masked round: see `masked` for the whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from equipoise.errors import LostError, ProtocolError, RestartedError, TransportError
from equipoise.protection import Ahead, Context, Message
from equipoise.protections.clear import raw_blocks
from equipoise.protections.graph import joined, threshold
from equipoise.protections.keystream import Keystreams, apply_all
from equipoise.protections.masked_site import bound, fields_of, pair_sign, raw, turn_of
from equipoise.protections.secrets import (
    PUBLIC,
    Secrets,
    hexed,
    pack,
    read_prepared,
    single,
    unpack,
)
from equipoise.protections.shares import combine
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema, check_block, from_bytes

Requests = dict[str, Message]


@dataclass(slots=True)
class MaskedCentre:
    """Passes on keys and sealed shares, adds masked messages, lifts masks, passes on forms.

    ahead      what sites sent for rounds to come, by turn and site
    prepared   the sites of which keys are known, and what they sent
    survivors  the sites whose masked messages are in the sum
    """

    context: Context
    schema: Schema
    ahead: Ahead
    due: str = "begin"
    prepared: dict[str, Any] = field(default_factory=dict[str, Any])
    survivors: tuple[str, ...] = ()
    sums: Spool = field(default_factory=Spool)

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[Sequence[Integers]]:
        """Return the next phase's requests; it ends when the sites accepted the total."""
        due, self.due = self.due, "nothing"
        if due == "begin":
            self.prepared = self.ahead.pop(turn_of(self.context).digest, {})
            if not self.prepared:
                self.due = "prepared"
                return Next(dict.fromkeys(self.context.sites, Message()))
            requests, self.due = self._ask_input(), "input"
        elif due == "prepared":
            self.prepared = {site: read_prepared(a.head) for site, a in self._sorted(answers)}
            requests, self.due = self._ask_input(), "input"
        elif due == "input":
            requests, self.due = self._add(answers), "unmask"
        elif due == "unmask":
            requests, self.due = self._lift(answers), "forms"
        elif due == "forms":
            requests, self.due = self._pass_on(answers), "accepted"
        elif due == "accepted":
            if not answers:
                raise TransportError("no site is left that accepted the total")
            return Done(Kept(self.schema, self.sums))
        else:
            raise ProtocolError("this masked round has ended")
        return Next(requests)

    def _sorted(self, answers: Mapping[str, Message]) -> list[tuple[str, Message]]:
        if strange := set(answers) - set(self.context.sites):
            raise ProtocolError(f"answers came from {sorted(strange)}, which take no part")
        return sorted(answers.items())

    def _enough(self, left: Sequence[str]) -> None:
        """Raise TransportError where the round cannot go on with these sites alone."""
        lost = sorted(set(self.context.sites) - set(left))
        if lost and not self.context.may_lose:
            raise TransportError(f"lost {', '.join(lost)}; the sites agreed to end where one is")
        if not joined(self.context.sites, turn_of(self.context).digest, left):
            raise TransportError(f"lost {', '.join(lost)}: too few sites are left to go on")

    def _ask_input(self) -> Requests:
        """Give each site all keys, and the shares that are for it."""
        there = sorted(self.prepared)
        self._enough(there)
        keys = {site: self.prepared[site]["key"] for site in there}
        return {
            to: Message(
                pack({"keys": keys, "sealed": {s: self.prepared[s]["sealed"][to] for s in there}})
            )
            for to in there
        }

    def _add(self, answers: Mapping[str, Message]) -> Requests:
        """Add the masked messages, block by block."""
        came = [(site, a) for site, a in self._sorted(answers) if site in self.prepared]
        self.survivors = tuple(site for site, _ in came)
        self._enough(self.survivors)
        self.ahead[turn_of(self.context, 1).digest] = {s: read_prepared(a.head) for s, a in came}
        streams = [self._stream(site, answer) for site, answer in came]
        for block, *parts in zip(self.schema.blocks, *streams, strict=True):
            total = np.zeros(sum(f.size for f in block.values()), np.uint64)
            for part in parts:
                if len(part) != total.nbytes:
                    raise ProtocolError(f"expected a block of {total.nbytes} bytes")
                total += np.frombuffer(part, "<u8")
            self.sums.add(raw(total))
        head = pack({"survivors": dict.fromkeys(self.survivors, "")})
        return dict.fromkeys(self.survivors, Message(head))

    def _stream(self, site: str, answer: Message) -> Iterator[bytes]:
        """Yield a site's blocks; LostError where they end too early and it may be left out."""
        try:
            yield from raw_blocks(self.schema, answer)
        except RestartedError:
            raise
        except TransportError as error:
            if self.context.may_lose:
                raise LostError(site) from error
            raise

    def _lift(self, answers: Mapping[str, Message]) -> Requests:
        """Take off the survivors' own masks and their masks with lost sites."""
        if gone := sorted(set(self.survivors) - set(answers)):
            raise TransportError(
                f"lost {', '.join(gone)} after its masked message had come: nobody can vouch for"
                " its part of the total any more, which is refused"
            )
        heads = {site: answer.head for site, answer in self._sorted(answers)}
        seeds = {site: unpack(head, "seeds") for site, head in heads.items()}
        keys = {site: unpack(head, "keys") for site, head in heads.items()}
        streams = [
            (-1, Keystreams(self._rebuilt(site, seeds), bound(self.context, b"mask")))
            for site in (self.survivors if self.context.may_lose else ())
        ]
        for lost in sorted(set(self.prepared) - set(self.survivors)):
            streams += self._left_of(lost, keys)
        if streams:
            self.sums = self._lifted(streams)
        for block, data in zip(self.schema.blocks, self.sums, strict=True):
            check_block(block, from_bytes(block, data))
        signed = {site: single(head, "signed") for site, head in heads.items()}
        head = pack({"signed": hexed(signed)})
        return {site: Message(head, self.sums) for site in self.survivors}

    def _lifted(self, streams: Sequence[tuple[int, Keystreams]]) -> Spool:
        """Return the sums without some masks; those with them are let go block by block."""
        lifted = Spool()
        for block, data in zip(self.schema.blocks, self.sums.taken(), strict=True):
            masked = np.frombuffer(data, "<u8").astype(np.uint64, copy=False)
            whole = np.empty(len(masked), np.uint64)
            apply_all(streams, fields_of(block, whole), fields_of(block, masked))
            lifted.add(raw(whole))
        return lifted

    def _left_of(self, lost: str, keys: Mapping[str, Mapping[str, bytes]]) -> list[Any]:
        """Return what takes off the masks that survivors shared with a lost site."""
        secrets = Secrets(self._rebuilt(lost, keys))
        if secrets.public != self._public(lost):
            raise ProtocolError(f"the shares of the key of {lost} do not give its key")
        info = bound(self.context, b"mask")
        near = set(turn_of(self.context).holders()[lost]) & set(self.survivors)
        return [
            (-pair_sign(site, lost), Keystreams(secrets.agreed(self._public(site)), info))
            for site in sorted(near)
        ]

    def _public(self, site: str) -> bytes:
        return bytes.fromhex(self.prepared[site]["key"])[:PUBLIC]

    def _rebuilt(self, owner: str, handed: Mapping[str, Mapping[str, bytes]]) -> bytes:
        """Return the secret of a site from the shares that its holders handed in."""
        around = turn_of(self.context).holders()[owner]
        shares = [(i, handed[s][owner]) for i, s in enumerate(around) if owner in handed.get(s, {})]
        t = threshold(len(around))
        if len(shares) < t:
            raise TransportError(f"too few shares of {owner} are left to lift its masks")
        return combine(shares[:t])

    def _pass_on(self, answers: Mapping[str, Message]) -> Requests:
        """Give each survivor the forms of all."""
        if gone := sorted(set(self.survivors) - set(answers)):
            raise TransportError(
                f"lost {', '.join(gone)} before it vouched for its part of the total, which is"
                " refused"
            )
        forms = {site: single(answer.head, "forms") for site, answer in self._sorted(answers)}
        return dict.fromkeys(self.survivors, Message(pack({"forms": hexed(forms)})))
