"""Plain sums: for one site, and for tests. The centre sees what each site sends."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from equipoise.errors import ProtocolError
from equipoise.protection import Accepted, Ahead, Context, Message, Party
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema, add, check_total, from_bytes, to_bytes


def raw_blocks(schema: Schema, message: Message) -> Iterator[bytes]:
    """Yield the blocks of a message; ProtocolError where their number is another."""
    came = iter(message.blocks)
    for _ in schema.blocks:
        data = next(came, None)
        if data is None:
            raise ProtocolError(f"expected {len(schema.blocks)} blocks, got fewer")
        yield data
    if next(came, None) is not None:
        raise ProtocolError(f"expected {len(schema.blocks)} blocks, got more")


def read_blocks(schema: Schema, message: Message) -> Iterator[Integers]:
    """Yield what the blocks of a message hold; ProtocolError for another form."""
    blocks = iter(schema.blocks)
    for data in raw_blocks(schema, message):
        yield from_bytes(next(blocks), data)


def read_total(schema: Schema, message: Message) -> tuple[Integers, ...]:
    """Return the total that a message carries, once it is within its limits."""
    total = tuple(read_blocks(schema, message))
    check_total(schema, total)
    return total


def total_message(schema: Schema, total: Iterable[Integers]) -> Message:
    """Return the message that carries a total."""
    pairs = zip(schema.blocks, total, strict=True)
    return Message(b"", [to_bytes(block, values) for block, values in pairs])


@dataclass(slots=True)
class ClearSite:
    """Sends its sums, then accepts the total."""

    schema: Schema
    values: Iterable[Integers]
    sent: bool = False

    @property
    def settled(self) -> bool:
        """Whether it has sent its sums."""
        return self.sent

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the sums; at the second call, the total that came."""
        if self.sent:
            return Done(Accepted(read_total(self.schema, request), Message()))
        self.sent = True
        pairs = zip(self.schema.blocks, self.values, strict=True)
        return Next(Message(b"", (to_bytes(block, values) for block, values in pairs)))


@dataclass(slots=True)
class ClearCentre:
    """Adds up what comes."""

    schema: Schema
    sites: tuple[str, ...]
    asked: bool = False
    total: tuple[Integers, ...] | None = None

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[tuple[Integers, ...]]:
        """Ask, add, publish."""
        if self.total is not None:
            return Done(self.total)
        if not self.asked:
            self.asked = True
            return Next(dict.fromkeys(self.sites, Message()))
        if set(answers) != set(self.sites):
            raise ProtocolError("a total needs the answer of every site")
        parts = [read_blocks(self.schema, answers[site]) for site in self.sites]
        self.total = tuple(add(self.schema, parts))
        check_total(self.schema, self.total)
        return Next(dict.fromkeys(self.sites, total_message(self.schema, self.total)))


@dataclass(frozen=True, slots=True)
class Clear:
    """No hiding at all."""

    def check(self, n_sites: int) -> None:
        """Any number of sites will do."""

    def site(
        self,
        context: Context,
        party: Party,
        schema: Schema,
        values: Iterable[Integers],
    ) -> ClearSite:
        """Return the machine of one site."""
        del context, party
        return ClearSite(schema, values)

    def centre(self, context: Context, schema: Schema, ahead: Ahead | None = None) -> ClearCentre:
        """Return the machine of the centre."""
        del ahead
        return ClearCentre(schema, context.sites)
