"""A small study of a few sites, built in memory, and a centre that can be told to lie.

`Federation` has everything that a run has but files of genotypes: rosters, keys, ledgers,
journals and the compiled plan. `Driver` is a centre made by hand: it speaks the wire with
the centre's real key, is honest when asked to go on, and sends whatever a test makes up.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.consent.terms import Purpose
from equipoise.federation import agreement, registry, wire
from equipoise.federation.course import Course
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.people import Dataset, People
from equipoise.federation.roster import Register
from equipoise.federation.run import Centre, Run
from equipoise.federation.site import Site
from equipoise.federation.wire import Envelope
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.packed.decode import encode
from equipoise.plan import Member, Plan
from equipoise.protection import CentreMachine, Message
from equipoise.step import Done, Next
from equipoise.study.compile import ROSTER_K, K, compile_plan, public_study
from equipoise.study.records import (
    Covariates,
    Person,
    Protection,
    SiteFiles,
    Study,
    Trait,
    Validation,
    VariantList,
)
from equipoise.transports.local import LocalTransport

N_VARIANTS = 60
SPACING = 8_000
STRONG = 33
REFUSED = 6

LISTED = Variants.of(
    pl.DataFrame(
        [("22", 1 + SPACING * i, "A", "G") for i in range(N_VARIANTS)],
        schema=dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64},
        orient="row",
    )
)

Frames = list[bytes]
Steward = Callable[[Plan], None]


class InMemory:
    """A block source that was never a file."""

    def __init__(self, dosage: NDArray[np.float64]) -> None:
        self.block = encode(dosage)
        self.n_variants, self.n_samples = dosage.shape

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.block[start:stop]


@cache
def dataset(place: int, people: int) -> Dataset:
    """Return the people of one site: one strong variant, some missing calls, some refused."""
    draw = np.random.default_rng(place)
    frequency = np.linspace(0.25, 0.5, N_VARIANTS)
    dosage = draw.binomial(2, frequency[:, None], (N_VARIANTS, people)).astype(np.float64)
    trait = np.where(draw.random(people) < 0.1, dosage[STRONG] == 0, dosage[STRONG] > 0)
    dosage[draw.random(dosage.shape) < 0.02] = np.nan
    reasons = tuple("withdrawn" if i < REFUSED else None for i in range(people))
    columns = {
        "trait": trait.astype(np.float64),
        "sex": draw.integers(0, 2, people).astype(np.float64),
    }
    ids = tuple(f"{place}-{i}" for i in range(people))
    return Dataset(InMemory(dosage), ids, reasons, columns)


def study_of(names: Iterable[str], kind: str, folds: int) -> Study:
    """Return the study that all parties were given."""
    nowhere = Path("nowhere")
    return Study(
        id="made-up",
        question="Does it hold?",
        purpose=Purpose("HMB"),
        as_of=date(2024, 1, 1),
        seed=7,
        people=(Person("N. N.", "principal investigator", "n@example.org"),),
        trait=Trait("trait", "binary"),
        covariates=Covariates(("sex",)),
        variants=VariantList(nowhere, "GRCh37"),
        sites=tuple(SiteFiles(name, nowhere, nowhere, nowhere) for name in names),
        protection=Protection(kind),
        validation=Validation(folds=folds),
    )


@dataclass
class Federation:
    """All parties of a study, each with its own keys, people, journal and ledger."""

    root: Path
    study: Study
    identities: dict[str, Identity]
    peers: Peers
    sites: dict[str, Site] = field(default_factory=dict[str, Site])
    desks: dict[str, Desk] = field(default_factory=dict[str, Desk])
    people: dict[str, People] = field(default_factory=dict[str, People])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.sites))

    @property
    def variants(self) -> str:
        return LISTED.digest().hex()

    @property
    def public(self) -> dict[str, Any]:
        return public_study(self.study)

    def compiled(self, members: tuple[Member, ...]) -> Plan:
        return compile_plan(self.study, LISTED, members)

    def entries(self, name: str) -> list[Entry]:
        return list(self.desks[name].ledger.entries())

    def kinds(self, name: str) -> list[str]:
        return [entry.kind for entry in self.entries(name)]

    def run(self) -> tuple[Run, Log, dict[str, Mapping[str, Any]]]:
        """Run the study with the honest centre, over the local transport."""
        log = Log.create(self.root / "ledger", "equipoise/made-up/centre", self._key(CENTRE))
        transport = LocalTransport({name: site.handle for name, site in self.sites.items()})
        try:
            identity = self.identities[CENTRE]
            centre = Centre(identity, self.peers, transport, log, self.compiled, {})
            done = centre.run(self.public, self.variants)
            return done, log, centre.close(done)
        finally:
            transport.close()

    def close(self) -> None:
        for desk in self.desks.values():
            desk.ledger.close()

    def _key(self, name: str) -> Any:
        return self.identities[name].signing


def build(
    root: Path,
    *,
    kind: str = "masked",
    n_sites: int = 4,
    people: int = 36,
    steward: Steward | None = None,
) -> Federation:
    """Return a federation; without a `steward`, every site compiles the plan itself."""
    names = [f"s{i}" for i in range(n_sites)]
    study = study_of(names, kind, 3 if n_sites > 2 else 2)
    identities = {name: Identity.create(name) for name in [*names, CENTRE]}
    peers = Peers({name: identity.signing_key for name, identity in identities.items()})
    made = Federation(root, study, identities, peers)

    def compiles(plan: Plan) -> None:
        if made.compiled(plan.members).digest() != plan.digest():
            raise registry.ProtocolError("the plan is not the one that follows from the study")

    for place, name in enumerate(names):
        output = root / "sites" / name
        origin = f"equipoise/made-up/{name}"
        desk = Desk(
            identity=identities[name],
            peers=peers,
            study=made.public,
            variants=made.variants,
            publics={},
            approve=steward or compiles,
            journal=Journal(root / "journals" / name),
            ledger=Log.create(output / "ledger", origin, identities[name].signing),
        )
        register = Register(root / "homes" / name, ROSTER_K)
        folds = study.validation.folds
        own = People(dataset(place, people), register, study.seed, folds, K, ROSTER_K)
        made.desks[name], made.people[name] = desk, own
        made.sites[name] = Site(own, desk, output)
    return made


@dataclass(frozen=True)
class Answer:
    """What came back, read and verified."""

    kind: str
    body: Mapping[str, Any]
    head: bytes
    blocks: list[bytes]
    frames: Frames


Requests = Mapping[str, Message]


@dataclass
class Driver:
    """A centre made by hand."""

    federation: Federation
    plan: Plan | None = None
    signatures: dict[str, str] = field(default_factory=dict[str, str])
    course: Course | None = None
    phase: int = 0
    machine: CentreMachine | None = None
    waiting: Requests | None = None
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])

    def frames(
        self,
        to: str,
        kind: str,
        body: Mapping[str, Any],
        message: Message | None = None,
        *,
        sender: str = CENTRE,
        signer: Identity | None = None,
    ) -> Frames:
        """Return a message in the centre's name, or in another's."""
        message = message or Message()
        envelope = Envelope(kind, sender, {"to": to, **body}, message.head, message.blocks)
        identity = signer or self.federation.identities[CENTRE]
        return list(wire.frames(envelope, identity.sign))

    def send(self, to: str, frames: Iterable[bytes]) -> Answer:
        """Give a message to a site and read its answer to the end."""
        came = list(self.federation.sites[to].handle(iter(frames)))
        read = wire.read(iter(came), self.federation.peers.verify)
        assert read.sender == to
        return Answer(read.kind, read.body, read.head, list(read.blocks), came)

    def ask(
        self, kind: str, body: Mapping[str, Any], messages: Requests | None = None
    ) -> dict[str, Answer]:
        """Ask all sites, and fail where one refuses."""
        answers: dict[str, Answer] = {}
        for name in self.federation.names:
            message = (messages or {}).get(name)
            answers[name] = self.send(name, self.frames(name, kind, body, message))
            assert answers[name].kind != "refusal", answers[name].body
        return answers

    @property
    def hello(self) -> dict[str, Any]:
        return {"study": self.federation.public, "variants": self.federation.variants}

    def to_plan(self) -> "Driver":
        """Go to where a plan is to be signed."""
        answers = self.ask("hello", self.hello)
        members = tuple(Member(**answers[name].body["member"]) for name in sorted(answers))
        self.plan = self.federation.compiled(members)
        return self

    def to_agreed(self) -> "Driver":
        """Go to where the sites are to hear of one another's signatures."""
        self.to_plan()
        assert self.plan is not None
        plan = dict.fromkeys(self.federation.names, Message(self.plan.to_bytes()))
        answers = self.ask("plan", {}, plan)
        self.signatures = {name: answers[name].body["signature"] for name in answers}
        return self

    def to_start(self) -> "Driver":
        """Go to the first message of the first step."""
        self.to_agreed()
        self.ask("agreed", {"signatures": self.signatures})
        assert self.plan is not None
        self.course = Course(self.plan, registry.build, {})
        return self

    def until(self, step: str, due: str, phase: int = 0) -> "Driver":
        """Go to a phase of the round of a step, or to where its state or result is due."""
        if self.course is None:
            self.to_start()
        while not self._at(step, due, phase):
            assert not self.running.finished
            self.go()
        return self

    def to_end(self) -> "Driver":
        """Go to where the run is to be closed."""
        if self.course is None:
            self.to_start()
        while not self.running.finished:
            self.go()
        return self

    @property
    def running(self) -> Course:
        assert self.course is not None
        return self.course

    def go(self) -> None:
        """Send the next message as an honest centre would."""
        course = self.running
        if not course.asks:
            self.ask("outcome", self.outcome, self.publishing())
            course.adopt(course.follows)
            return
        self.ask_only(self.next_phase())
        self.take()

    def ask_only(self, messages: Requests) -> None:
        """Send the phase that is due, and keep the answers."""
        self.answers = self.ask("round", self.round, messages)

    def take(self) -> None:
        """Go on from the answers, as far as the next request or the end of the round."""
        self.waiting, self.phase = None, self.phase + 1
        assert self.machine is not None
        outcome = self.machine.step(
            {name: Message(answer.head, answer.blocks) for name, answer in self.answers.items()}
        )
        if isinstance(outcome, Done):
            self.machine, self.phase = None, 0
            self.running.total(outcome.result)
        else:
            self.waiting = _kept(outcome.state)

    def signing(self, to: str) -> Frames:
        """Return the message that puts the plan before a site."""
        assert self.plan is not None
        return self.frames(to, "plan", {}, Message(self.plan.to_bytes()))

    @property
    def outcome(self) -> dict[str, Any]:
        return agreement.published(self.running)

    @property
    def round(self) -> dict[str, Any]:
        return agreement.asked(agreement.context(self.running), self.phase)

    @property
    def closing(self) -> dict[str, Any]:
        return agreement.closing(self.running.plan, self.running.place)

    def publishing(self, change: Callable[[Any], Any] = lambda record: record) -> Requests:
        """Return what follows, to every site, once `change` has had its way with the record."""
        follows = self.running.follows
        changed = (
            Done(change(follows.result))
            if isinstance(follows, Done)
            else Next(change(follows.state))
        )
        return self.everybody(Message(b"", wire.pack_outcome(changed)))

    def everybody(self, message: Message) -> Requests:
        return dict.fromkeys(self.federation.names, message)

    def next_phase(self) -> Requests:
        """Return the messages of the phase that is due; the same when asked again."""
        if self.machine is None:
            context = agreement.context(self.running)
            kind = registry.protection(self.running.plan.protection)
            self.machine = kind.centre(context, self.running.schema)
            outcome = self.machine.step({})
            assert isinstance(outcome, Next)
            self.waiting = _kept(outcome.state)
        assert self.waiting is not None
        return self.waiting

    def _at(self, step: str, due: str, phase: int) -> bool:
        course = self.running
        here = not course.finished and course.step.name == step
        if due == "round":
            return here and course.asks and self.phase == phase
        ends = here and not course.asks and isinstance(course.follows, Done)
        return ends if due == "result" else here and not course.asks


def _kept(messages: Requests) -> dict[str, Message]:
    return {name: replace(m, blocks=list(m.blocks)) for name, m in messages.items()}
