"""What a centre with the real keys may try, and how each attempt is judged.

Each attack is shown twice. With the gate as it is, every site answers by a refusal and by
nothing else, and enters it in its own ledger (`refused`). With the check taken out that
the attack names, every site answers (`answered`): so it is that check which refuses.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from equipoise.plan import Plan
from federation.building import Federation, Frames, build
from federation.driver import Driver

Patch = pytest.MonkeyPatch


def agreeable(plan: Plan) -> None:
    """Approve anything: what is left is what the gate itself refuses."""


@dataclass(frozen=True)
class Attack:
    """reach    how far an honest run goes first
    message  what the centre then sends to a site
    says     words of the refusal
    remove   takes the check out that refuses
    study    what the study is besides: see `build`
    """

    name: str
    reach: Callable[[Driver], Any]
    message: Callable[[Driver, str], Frames]
    says: str
    remove: Callable[[Federation, Patch], None]
    steward: Callable[[Plan], None] | None = None
    kind: str = "clear"
    study: Mapping[str, Any] = field(default_factory=dict[str, Any])


def nothing(*_: Any, **__: Any) -> None:
    return None


def without(*checks: tuple[Any, str]) -> Callable[[Federation, Patch], None]:
    """Return what makes each of these checks pass anything."""

    def remove(federation: Federation, patch: Patch) -> None:
        for owner, name in checks:
            patch.setattr(owner, name, nothing)

    return remove


def without_steward(federation: Federation, patch: Patch) -> None:
    for desk in federation.desks.values():
        desk.approve = agreeable


def at(step: str, due: str, phase: int = 0) -> Callable[[Driver], Any]:
    return lambda driver: driver.until(step, due, phase)


def reached(attack: Attack, root: Path) -> Driver:
    driver = Driver(build(root, kind=attack.kind, steward=attack.steward, **attack.study))
    attack.reach(driver)
    return driver


def refused(attack: Attack, root: Path) -> None:
    """Every site refuses, says why in its own ledger, and sends nothing else."""
    driver = reached(attack, root)
    federation = driver.federation
    for name in federation.names:
        frames, before = attack.message(driver, name), len(federation.entries(name))
        answer = driver.send(name, frames)
        assert (answer.kind, answer.head, answer.blocks) == ("refusal", b"", [])
        (entry,) = federation.entries(name)[before:]
        assert entry.kind == "refusal"
        assert re.search(attack.says, str(entry.body["reason"])), entry.body["reason"]
        assert entry.body["message_sha256"] in (identifier(frames), "0" * 64)
    federation.close()


def answered(attack: Attack, root: Path, patch: Patch) -> None:
    """Without the check that the attack names, every site answers."""
    driver = reached(attack, root)
    attack.remove(driver.federation, patch)
    for name in driver.federation.names:
        answer = driver.send(name, attack.message(driver, name))
        assert answer.kind != "refusal", answer.body
    driver.federation.close()


def identifier(frames: Frames) -> str:
    """Return the SHA-256 of a message's header."""
    _, _, length = struct.unpack(">4sHI", frames[0][:10])
    return hashlib.sha256(frames[0][10 : 10 + length]).hexdigest()


def each(attacks: list[Attack]) -> Any:
    return pytest.mark.parametrize("attack", attacks, ids=[a.name for a in attacks])
