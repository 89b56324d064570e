"""A steward's word: which plans a site may take part in, signed and kept in its home.

What is approved is a plan as a whole, people and keys to sign with included, with this version
of the package and this code of the analyses; only the keys of channels are left out, which are
new for every run. A site that is asked to sign a plan nobody has approved keeps it for its
steward to look at, and refuses.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import equipoise
from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError, IntegrityError, ProtocolError
from equipoise.federation import registry
from equipoise.federation.identity import Identity, Peers
from equipoise.plan import Plan, canonical

PROPOSALS: Final = "proposals"
APPROVALS: Final = "approvals"


@dataclass(frozen=True, slots=True)
class Approval:
    """What was signed: by digests, a plan, a version of the package and its analyses' code."""

    study: str
    plan: str
    package: str
    sources: str
    signature: str

    def content(self) -> bytes:
        """Return what the signature is over."""
        told = {"study": self.study, "plan": self.plan, "package": self.package}
        return b"equipoise-approval-1|" + canonical({**told, "sources": self.sources})


def subject(plan: Plan) -> Plan:
    """Return what is approved of a plan: all of it but the keys of this run's channels."""
    members = tuple(replace(member, channel_key="") for member in plan.members)
    return replace(plan, members=members)


def digest(plan: Plan) -> str:
    """Return the SHA-256 by which a plan is approved."""
    return subject(plan).digest().hex()


class Approvals:
    """The proposals that came to a site, and what its steward approved of them."""

    def __init__(self, home: Path, identity: Identity) -> None:
        """Keep them in the site's home, signed with its key."""
        self._home, self._identity = home, identity

    def propose(self, plan: Plan) -> Path:
        """Keep a plan for the steward to look at, and return where."""
        path = self._home / PROPOSALS / f"{digest(plan)}.json"
        write_whole(path, [subject(plan).to_bytes().decode() + "\n"])
        return path

    def proposals(self) -> Iterator[Plan]:
        """Yield the plans that came, the last one first."""
        held = (self._home / PROPOSALS).glob("*.json")
        for path in sorted(held, key=lambda p: p.stat().st_mtime_ns, reverse=True):
            plan = read_proposal(path)
            if digest(plan) != path.stem:
                raise IntegrityError(f"{path} is not the proposal that its name says; remove it")
            yield plan

    def approve(self, plan: Plan) -> Approval:
        """Sign a plan; InputError where it is for another version of this package."""
        if (plan.package, plan.sources) != (equipoise.__version__, registry.sources()):
            raise InputError(
                f"the plan is for equipoise {plan.package} and its code; this is"
                f" {equipoise.__version__}: install the same, or ask for a new plan"
            )
        unsigned = Approval(plan.id, digest(plan), plan.package, plan.sources, "")
        signed = replace(unsigned, signature=self._identity.sign(unsigned.content()).hex())
        told = {name: getattr(signed, name) for name in Approval.__slots__}
        write_whole(self._path(signed.plan), [json.dumps(told, indent=1) + "\n"])
        return signed

    def revoke(self, plan: Plan) -> bool:
        """Take an approval back; return whether there was one. What has left, has left."""
        path = self._path(digest(plan))
        there = path.exists()
        path.unlink(missing_ok=True)
        return there

    def approved(self, plan: Plan) -> bool:
        """Return whether this very plan is approved; IntegrityError for an altered approval."""
        path = self._path(digest(plan))
        if not path.exists():
            return False
        approval = _read(path)
        peers = Peers({self._identity.name: self._identity.signing_key})
        try:
            signature = bytes.fromhex(approval.signature)
            peers.verify(self._identity.name, signature, approval.content())
        except (ProtocolError, ValueError) as error:
            raise IntegrityError(f"{path} is not signed by this site; remove it") from error
        now = plan.id, digest(plan), equipoise.__version__, registry.sources()
        return (approval.study, approval.plan, approval.package, approval.sources) == now

    def check(self, plan: Plan) -> None:
        """Raise ProtocolError, and keep the plan to be looked at, unless it is approved."""
        if not self.approved(plan):
            self.propose(plan)
            raise ProtocolError(
                f"the plan {digest(plan)[:16]} of {plan.id} is not approved by this site's"
                " steward; look at it with `equipoise site review`, approve it with `equipoise"
                " site approve`, and run the study again"
            )

    def _path(self, of: str) -> Path:
        return self._home / APPROVALS / f"{of}.json"


def read_proposal(path: Path) -> Plan:
    """Return a plan that was proposed; InputError where the file is none."""
    try:
        return Plan.from_bytes(path.read_bytes().rstrip(b"\n"))
    except (OSError, ProtocolError) as error:
        raise InputError(f"{path} holds no plan: {error}; ask for it again") from error


def _read(path: Path) -> Approval:
    try:
        told = cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
        return Approval(**{name: str(told[name]) for name in Approval.__slots__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is no approval; remove it and approve again") from error
