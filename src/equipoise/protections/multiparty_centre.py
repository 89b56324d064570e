"""The centre's side of a threshold round: see `multiparty` for the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from equipoise.errors import ProtocolError, TransportError
from equipoise.protection import Context, Message
from equipoise.protections.encrypted_keeper import digest_of
from equipoise.protections.multiparty_blocks import exactly, fused, gathered
from equipoise.protections.multiparty_scheme import Shares
from equipoise.protections.secrets import hexed, pack, single
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema

Requests = dict[str, Message]


@dataclass(slots=True)
class ThresholdCentre:
    """Passes on parts of the key, messages, and parts of the decryption; joins these as well."""

    context: Context
    schema: Schema
    shares: Shares
    due: str = "share"
    keys: dict[str, bytes] = field(default_factory=dict[str, bytes])
    public: bytes = b""
    total: Spool = field(default_factory=Spool)

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[Sequence[Integers]]:
        """Return the next phase's requests; it ends when every site accepted the total."""
        due, self.due = self.due, "nothing"
        if due == "share":
            self.due = "shared"
            return Next(self._ask(self.context.sites[0]))
        if due == "shared":
            return Next(self._share(answers))
        self._all(answers, self.context.sites)
        if due == "input":
            request, self.due = self._pass_on(answers), "decrypt"
        elif due == "decrypt":
            request, self.due = self._join(answers), "accepted"
        elif due == "accepted":
            return Done(Kept(self.schema, self.total))
        else:
            raise ProtocolError("this threshold round has ended")
        return Next(dict.fromkeys(self.context.sites, request))

    def _all(self, answers: Mapping[str, Message], asked: Sequence[str]) -> None:
        if lost := sorted(set(asked) - set(answers)):
            raise TransportError(f"lost {', '.join(lost)}; threshold sums need every site")
        if strange := set(answers) - set(asked):
            raise ProtocolError(f"answers came from {sorted(strange)}, which were not asked")

    def _ask(self, site: str) -> Requests:
        return {site: Message(pack({"keys": hexed(self.keys)}), [self.public])}

    def _share(self, answers: Mapping[str, Message]) -> Requests:
        """Ask one site after the other for its part of the key; then give the whole to all."""
        site = self.context.sites[len(self.keys)]
        self._all(answers, [site])
        (self.public,) = exactly(answers[site], 1)
        self.keys[site] = single(answers[site].head, "key")
        if len(self.keys) < len(self.context.sites):
            self.due = "shared"
            return self._ask(self.context.sites[len(self.keys)])
        self.due = "input"
        self.shares.read(self.public)
        head = pack({"keys": hexed(self.keys)})
        return dict.fromkeys(self.context.sites, Message(head, [self.public]))

    def _pass_on(self, answers: Mapping[str, Message]) -> Message:
        """Give each site the messages of all, block by block."""
        n_blocks, signed = len(self.schema.blocks), dict[str, bytes]()
        messages = {s: exactly(answers[s], n_blocks + 1) for s in sorted(self.context.sites)}
        for site, (*blocks, signature) in messages.items():
            signed[site] = digest_of(blocks) + signature
        side = [blocks[i] for i in range(n_blocks) for blocks in messages.values()]
        return Message(pack({"contributions": hexed(signed)}), side)

    def _join(self, answers: Mapping[str, Message]) -> Message:
        """Join the parts, and give them to each site, which does the same."""
        n_blocks, sites = len(self.schema.blocks), sorted(self.context.sites)
        messages = [exactly(answers[site], n_blocks) for site in sites]
        side = [blocks[i] for i in range(n_blocks) for blocks in messages]
        signed = {site: single(answers[site].head, "part") for site in sites}
        parts = gathered(Message(b"", side), n_blocks, signed)
        self.total = fused(self.shares, parts, self.schema, len(sites))
        return Message(pack({"parts": hexed(signed)}), side)
