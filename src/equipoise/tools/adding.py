"""Running one analysis over the cohorts of several sites, in one process.

The same machines, masks and encoding as in a study, without agreements, ledgers or a wire:
what a command for one person needs, and what shows the cost of a protection by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from equipoise.analysis import Analysis
from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError, InputError
from equipoise.federation.identity import Identity, Peers
from equipoise.protection import (
    Ahead,
    Context,
    Message,
    Party,
    Protection,
    SiteMachine,
    joint_digest,
)
from equipoise.protections.kinds import protection
from equipoise.protections.spool import Spool
from equipoise.record import rounded
from equipoise.step import Done
from equipoise.sums import Integers, Schema, Sums, decode, encode

R = TypeVar("R")

MOST_ROUNDS = 1000


@dataclass(slots=True)
class Adding:
    """The sites of one command and how their sums are protected.

    Raises DisclosureError where the protection cannot hold for so few sites.
    """

    cohorts: Sequence[Cohort]
    protection: str = "clear"
    rounds: int = 0
    _parties: dict[str, Party] = field(init=False)
    _ahead: Ahead = field(init=False)
    _machine: Protection = field(init=False)

    def __post_init__(self) -> None:
        """Give each site keys of its own, for this command alone."""
        names = [f"site{i + 1}" for i in range(len(self.cohorts))]
        self._machine = protection(self.protection)
        self._machine.check(len(names))
        self._parties = _parties(names)
        self._ahead = {}

    def run(self, analysis: Analysis[Any, R]) -> R:
        """Return the public result of an analysis over all sites."""
        return self.end(analysis).result

    def end(self, analysis: Analysis[Any, R], told: Callable[[Any], None] | None = None) -> Done[R]:
        """Return the public result of an analysis over all sites, and what is held beside it.

        `told` is told each public state on the way.
        """
        state = rounded(analysis.start())
        for _ in range(MOST_ROUNDS):
            outcome = analysis.advance(state, self.totals(analysis, state))
            if isinstance(outcome, Done):
                return Done(rounded(outcome.result), outcome.held)
            state = rounded(outcome.state)
            if told:
                told(state)
        raise InputError(f"no end after {MOST_ROUNDS} rounds; ask for fewer components or variants")

    def totals(self, analysis: Analysis[Any, Any], state: Any) -> Iterator[Sums]:
        """Return one round's totals over all sites, block by block."""
        schema = analysis.schema(state)
        total = self._total(analysis, state, schema) if schema.blocks else ()
        return (decode(b, integers) for b, integers in zip(schema.blocks, total, strict=True))

    def _total(
        self, analysis: Analysis[Any, Any], state: Any, schema: Schema
    ) -> Sequence[Integers]:
        """Return one round's total, as the centre and every site accept it."""
        self.rounds += 1
        if schema.sampling < 1:
            raise DisclosureError(
                "people are drawn by chance for sums under noise alone, which commands do not have"
            )
        context = self._context(type(analysis).__name__)
        machines: dict[str, SiteMachine] = {}
        for cohort, (name, party) in zip(self.cohorts, self._parties.items(), strict=True):
            values = _values(analysis, cohort, state, schema)
            machines[name] = self._machine.site(context, party, schema, values)
        centre = self._machine.centre(context, schema, self._ahead)
        answers: Mapping[str, Message] = {}
        while not isinstance(outcome := centre.step(answers), Done):
            requests = _carried(outcome.state)
            answers = {name: _step(machines[name], requests[name]) for name in machines}
        return outcome.result

    def _context(self, step: str) -> Context:
        sites = tuple(self._parties)
        nothing = bytes(32)
        turn = self.rounds - 1
        return Context("command", nothing, step, self.rounds, 0, nothing, sites, nothing, turn)


def _values(
    analysis: Analysis[Any, Any], cohort: Cohort, state: Any, schema: Schema
) -> Iterator[Integers]:
    sums = analysis.summarise(cohort.restrict(schema.columns), state)
    for block, part in zip(schema.blocks, sums, strict=True):
        yield encode(block, part, cohort.n)


def _carried(requests: Mapping[str, Message]) -> dict[str, Message]:
    """Return requests as a wire hands them on: with the digest of what all are sent, taken once."""
    digests: dict[int, bytes] = {}

    def carried(request: Message) -> Message:
        if not isinstance(request.blocks, Spool):
            return request
        if id(request.blocks) not in digests:
            digests[id(request.blocks)] = joint_digest(request.blocks)
        return replace(request, sha256=digests[id(request.blocks)])

    return {name: carried(request) for name, request in requests.items()}


def _step(machine: SiteMachine, request: Message) -> Message:
    answer = machine.step(request)
    return answer.result.answer if isinstance(answer, Done) else answer.state


def _parties(names: Sequence[str]) -> dict[str, Party]:
    keys = {name: Identity.create(name) for name in names}
    peers = Peers({name: key.signing_key for name, key in keys.items()})

    def party(key: Identity) -> Party:
        return Party(
            key.name, key.sign, peers.verify, lambda other: key.shared_with(keys[other].channel_key)
        )

    return {name: party(key) for name, key in keys.items()}
