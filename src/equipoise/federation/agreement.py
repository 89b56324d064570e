"""What a site agrees to: one plan, this code, these sites, and nothing else."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equipoise
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.federation import noised, registry
from equipoise.federation.course import Course
from equipoise.federation.identity import Identity
from equipoise.federation.wire import Envelope
from equipoise.plan import KEEPER, Member, Plan, Step, canonical
from equipoise.protection import Context, Protection
from equipoise.protections import kinds
from equipoise.protections.accounting import Account, Budget, Stage
from equipoise.sums import Schema

Verify = Callable[[str, bytes, bytes], None]

HOMOMORPHIC = ("encrypted", "threshold")
"""Protections that add under encryption; they need every site to the end of a round."""

MOST_ATTEMPTS = 5
"""At one round. Another is made where a site is lost before anything that it sent was opened."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands for a site: each place has one answer, entered under it."""

    step: str
    round: int
    attempt: int
    phase: str

    @property
    def name(self) -> str:
        """The place in one line."""
        return f"{self.step} {self.round} {self.attempt} {self.phase}"


def content(plan: Plan) -> bytes:
    """Return what a site signs: the digest of the whole plan, keys and people included."""
    return b"equipoise-agreement-1|" + plan.digest()


def check_study(body: Mapping[str, Any], study: Mapping[str, Any], variants: str) -> None:
    """Raise ProtocolError unless the centre speaks of the study that this site was given."""
    if canonical(body.get("study")) != canonical(study):
        raise ProtocolError("the centre's study is not the one that this site was given")
    if body.get("variants") != variants:
        raise ProtocolError("the centre's list of variants is not the one of this site")


def check_due(body: Mapping[str, Any], due: Mapping[str, Any]) -> None:
    """Raise ProtocolError unless a request, but for whom it is to, says exactly what is due."""
    said = {name: value for name, value in body.items() if name != "to"}
    if canonical(said) != canonical(due):
        wrong = [n for n in due if n not in said or canonical(said[n]) != canonical(due[n])]
        raise ProtocolError(f"the request is not due here: wrong {', '.join(wrong) or 'fields'}")


def check_plan(
    plan: Plan, own: Member | None, keys: Mapping[str, bytes], study: Mapping[str, Any]
) -> None:
    """Raise ProtocolError unless the plan is for this code and for the parties as known here.

    `keys` are the signing keys of sites and key keeper and `study` the study as this party
    has them, not as the centre says; `own` is what this site announced, None at the keeper.
    """
    if plan.package != equipoise.__version__ or plan.sources != registry.sources():
        raise ProtocolError("the plan is for another version of this package")
    if list(plan.sites) != sorted(set(keys) - {KEEPER}):
        raise ProtocolError("the plan's list of sites is not the one of this site")
    for member in plan.members:
        if member.signing_key != keys[member.name].hex():
            raise ProtocolError(f"the plan gives {member.name} another signing key")
    _check_rules(plan, study)
    if plan.keeper != keeper(study, keys):
        raise ProtocolError("plan and study differ on who keeps the keys, or on that party's key")
    if own is not None and own not in plan.members:
        raise ProtocolError("the plan does not say of this site what it announced")
    check_protection(plan)


def _check_rules(plan: Plan, study: Mapping[str, Any]) -> None:
    """Raise ProtocolError where a plan's own fields differ from the study that it speaks of."""
    for member in plan.members:
        if member.external is not external(study, member.name):
            raise ProtocolError(f"plan and study differ on whether {member.name} is external")
    if plan.fold_by != fold_by(study):
        raise ProtocolError("plan and study differ on whether each site is held out in turn")
    if plan.lost_site != study["protection"]["lost_site"]:
        raise ProtocolError("plan and study differ on what follows where a site is lost")


def keeper(study: Mapping[str, Any], keys: Mapping[str, bytes]) -> dict[str, str] | None:
    """Return what a plan says of the key keeper: its name and its key; None without one.

    ProtocolError where the study names one whose key is not known here.
    """
    name = study["protection"].get("keeper")
    if not name:
        return None
    if KEEPER not in keys:
        raise ProtocolError("the study names a key keeper, and no key of one is known here")
    return {"name": str(name), "signing_key": keys[KEEPER].hex()}


def check_protection(plan: Plan) -> None:
    """Raise DisclosureError where too few sites train for the plan's protection.

    An external site adds zeros, behind which nobody hides. ProtocolError where there is a key
    keeper for no reason, or none where it takes one; InputError where a library is missing.
    """
    if (plan.protection == "encrypted") is not bool(plan.keeper):
        raise ProtocolError("encrypted sums, and no others, have a key keeper")
    if plan.protection in HOMOMORPHIC and plan.lost_site != "end":
        raise ProtocolError(f"{plan.protection} sums need every site: a lost one ends the run")
    if plan.protection == "noise" and any(step.figures for step in plan.steps):
        raise DisclosureError("figures by site have no noise; under noise no step may ask for them")
    try:
        protection(plan).check(len(plan.training))
    except DisclosureError as error:
        if len(plan.training) == len(plan.members):
            raise
        raise DisclosureError(f"{error}; external sites do not count, they add nothing") from None
    if spent := account(plan):
        noised.deviations(plan, spent.prices)


def account(plan: Plan) -> Account | None:
    """Return the privacy budget of a plan and what each step has of it; None without noise.

    Raises InputError for a budget that bounds nothing.
    """
    if plan.protection != "noise":
        return None
    told = plan.privacy or {}
    shares = told.get("shares", {})
    asking = [(step, schema) for step in plan.steps if (schema := _schema(step)).blocks]
    if strange := set(shares) - {step.name for step, _ in asking}:
        raise ProtocolError(
            f"the privacy budget has shares for {sorted(strange)}, which ask nothing"
        )
    stages = tuple(
        Stage(step.name, step.rounds, float(shares.get(step.name, 1.0)), schema.sampling)
        for step, schema in asking
    )
    return Account(Budget(float(told.get("epsilon", 0)), float(told.get("delta", 0))), stages)


def _schema(step: Step) -> Schema:
    """Return what each round of a step asks."""
    analysis = registry.build(step, None)
    return analysis.schema(analysis.start())


def protection(plan: Plan) -> Protection:
    """Return the protection of a plan."""
    spent = account(plan)
    return kinds.protection(plan.protection, spent and spent.prices)


def external(study: Mapping[str, Any], site: str) -> bool:
    """Return whether the public part of a study says that a site never trains."""
    return any(s["name"] == site and s["external"] for s in study["sites"])


def fold_by(study: Mapping[str, Any]) -> str:
    """Return what puts people into folds by the public part of a study: "person" or "site"."""
    return "site" if study["validation"]["hold_out_each_site"] else "person"


def check_signatures(plan: Plan, body: Mapping[str, Any], verify: Verify) -> None:
    """Raise ProtocolError unless every site, and the key keeper if any, has signed the plan."""
    signatures = body.get("signatures")
    if not isinstance(signatures, dict) or set(signatures) != set(plan.parties):  # pyright: ignore[reportUnknownArgumentType]
        raise ProtocolError("the agreement lacks a site's signature")
    for site in plan.parties:
        try:
            signature = bytes.fromhex(str(signatures[site]))  # pyright: ignore[reportUnknownArgumentType]
        except ValueError as error:
            raise ProtocolError("a signature is not hexadecimal") from error
        verify(site, signature, content(plan))


def member(identity: Identity, people: int, *, external: bool = False) -> Member:
    """Return a site's own line in the plan."""
    keys = identity.signing_key.hex(), identity.channel_key.hex()
    return Member(identity.name, *keys, people, external)


def place(kind: str, course: Course | None, phase: int, attempt: int = 0) -> Place:
    """Return where a site stands, as it knows it, whatever a request of this kind says."""
    if course is None or kind not in ("round", "outcome", "close"):
        return Place(kind, 0, 0, kind)
    step = "end" if course.finished else course.step.name
    if kind == "round":
        return Place(step, course.round, attempt, f"round {phase}")
    return Place(step, course.round, 0, f"{kind} {course.place}")


def asked(context: Context, phase: int) -> dict[str, Any]:
    """Return what a request for one phase of a round says."""
    return {
        "plan": context.plan.hex(),
        "step": context.step,
        "round": context.round,
        "attempt": context.attempt,
        "context": context.digest().hex(),
        "phase": phase,
    }


def published(course: Course) -> dict[str, Any]:
    """Return what the message says that carries the state or result due now."""
    step = course.step.name
    return {"plan": course.plan.digest().hex(), "step": step, "place": course.place}


def closing(plan: Plan, place: str) -> dict[str, Any]:
    """Return what the last message of a run says."""
    return {"plan": plan.digest().hex(), "place": place}


def asks_again(request: Envelope, course: Course | None, attempt: int) -> bool:
    """Return whether a request begins the next attempt at the round that is due."""
    if course is None or request.kind != "round" or attempt + 1 >= MOST_ATTEMPTS:
        return False
    again = asked(context(course, attempt + 1), 0)
    return canonical({n: v for n, v in request.body.items() if n != "to"}) == canonical(again)


def context(course: Course, attempt: int = 0) -> Context:
    """Return the context of an attempt at the round that is due."""
    plan = course.plan
    return Context(
        study=plan.id,
        plan=plan.digest(),
        step=course.step.name,
        round=course.round,
        attempt=attempt,
        analysis=hashlib.sha256(course.step.digest() + plan.sources.encode()).digest(),
        sites=plan.sites,
        members=plan.members_digest(),
        turn=course.turn,
        may_lose=plan.lost_site == "go_on",
    )
