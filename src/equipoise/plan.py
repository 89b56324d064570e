"""What a study will do, frozen and hashed: the thing that stewards sign.

A plan names analyses and their parameters, never code. Nothing in it depends on where
a site keeps its files.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias, cast

from equipoise.errors import ProtocolError

VERSION = 1

KEEPER = "keeper"
"""The name under which a key keeper signs, whoever it is; no site may bear it."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The public result of an earlier step, as a parameter of a later one."""

    step: str


Literal: TypeAlias = str | int | float | bool | tuple[str, ...] | tuple[float, ...]
Parameter: TypeAlias = Literal | Ref


@dataclass(frozen=True, slots=True)
class Step:
    """One analysis of a plan.

    rounds   the most rounds that may ask something of the sites
    keeps    the derived columns that stay at the site and may be read by later steps
    figures  whether each site publishes figures of its own after it
    """

    name: str
    analysis: str
    parameters: Mapping[str, Parameter]
    rounds: int = 1
    keeps: tuple[str, ...] = ()
    figures: bool = False

    def digest(self) -> bytes:
        """Return the SHA-256 of the analysis and its parameters."""
        return hashlib.sha256(canonical(_step_to_json(self))).digest()


@dataclass(frozen=True, slots=True)
class Member:
    """A site of the study: its signing key, its key for channels, its admitted people.

    external  whether it only tests: its people are in no sum
    """

    name: str
    signing_key: str
    channel_key: str
    people: int
    external: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A study as it will run.

    study       the public part of the study file
    variants    the SHA-256 of the public list of variants
    sources     the SHA-256 of the analyses' code, as it will run
    k, roster_k the smallest count published; the least difference of two rosters
    fold_by     what puts people into folds: "person", by chance; "site", each site is one
    lost_site   what follows where a site is lost: "end", or "go_on" without it
    privacy     of `noise`: epsilon and delta of a run, study_epsilon of all runs together, and
                shares, the part of each step beside others'
    keeper      of `encrypted`: who keeps the keys, its name and its signing_key
    """

    version: int
    package: str
    sources: str
    study: Mapping[str, Any]
    variants: str
    n_variants: int
    members: tuple[Member, ...]
    protection: str
    seed: int
    folds: int
    k: int
    roster_k: int
    steps: tuple[Step, ...]
    fold_by: str = "person"
    lost_site: str = "end"
    privacy: Mapping[str, Any] | None = None
    keeper: Mapping[str, str] | None = None
    # Asked for with every message, and a plan is never changed: each is computed once.
    _digests: dict[str, bytes] = field(
        default_factory=dict[str, bytes], init=False, repr=False, compare=False
    )

    @property
    def id(self) -> str:
        """The study's name."""
        return str(self.study["id"])

    @property
    def people(self) -> int:
        """Number of admitted people over all sites whose people are in sums."""
        return sum(member.people for member in self.members if not member.external)

    @property
    def training(self) -> tuple[str, ...]:
        """Names of the sites whose people are in sums, sorted."""
        return tuple(sorted(m.name for m in self.members if not m.external))

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites, sorted."""
        return tuple(member.name for member in self.members)

    @property
    def parties(self) -> tuple[str, ...]:
        """All who sign the plan and follow it, sorted: the sites, and the key keeper if any."""
        return tuple(sorted((*self.sites, *((KEEPER,) if self.keeper else ()))))

    def step(self, name: str) -> Step:
        """Return the step of that name."""
        for step in self.steps:
            if step.name == name:
                return step
        raise ProtocolError(f"the plan has no step {name!r}")

    def to_bytes(self) -> bytes:
        """Return the canonical JSON of the plan."""
        content: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        content["members"] = [asdict(member) for member in self.members]
        content["steps"] = [_step_to_json(step) for step in self.steps]
        return canonical(content)

    def digest(self) -> bytes:
        """Return the SHA-256 of the canonical JSON."""
        return self._once("plan", self.to_bytes)

    def members_digest(self) -> bytes:
        """Return the SHA-256 of the list of sites and keys."""
        return self._once("members", lambda: canonical([asdict(m) for m in self.members]))

    def _once(self, what: str, content: Callable[[], bytes]) -> bytes:
        if what not in self._digests:
            self._digests[what] = hashlib.sha256(content()).digest()
        return self._digests[what]

    @staticmethod
    def from_bytes(data: bytes) -> "Plan":
        """Read a plan; ProtocolError unless `data` is exactly what `to_bytes` gives."""
        try:
            content = cast("dict[str, Any]", json.loads(data))
            content["members"] = tuple(Member(**member) for member in content["members"])
            content["steps"] = tuple(_step_from_json(step) for step in content["steps"])
            plan = Plan(**content)
            same = plan.to_bytes() == data
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ProtocolError("the plan cannot be read") from error
        if plan.version != VERSION:
            raise ProtocolError(f"the plan has version {plan.version}; this site reads {VERSION}")
        if not same:
            raise ProtocolError("the plan is not in its canonical form")
        return plan


def canonical(content: object) -> bytes:
    """Return JSON with sorted keys and nothing to spare; ValueError for NaN."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _step_to_json(step: Step) -> dict[str, Any]:
    content = {name: _to_json(value) for name, value in sorted(step.parameters.items())}
    return {
        "name": step.name,
        "analysis": step.analysis,
        "parameters": content,
        "rounds": step.rounds,
        "keeps": list(step.keeps),
        "figures": step.figures,
    }


def _to_json(value: Parameter) -> Any:
    if isinstance(value, Ref):
        return {"ref": value.step}
    return list(value) if isinstance(value, tuple) else value


def _step_from_json(content: dict[str, Any]) -> Step:
    parameters = {name: _from_json(value) for name, value in content["parameters"].items()}
    return Step(
        content["name"],
        content["analysis"],
        parameters,
        content["rounds"],
        tuple(content["keeps"]),
        content["figures"],
    )


def _from_json(value: Any) -> Parameter:
    if isinstance(value, dict):
        return Ref(cast("dict[str, str]", value)["ref"])
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
