"""Real messages of a masked run, mutated, and fed to a site."""

import resource
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from equipoise.federation import wire
from federation.building import Federation, Frames, build
from federation.driver import Driver

SITE = "s1"
PHASES = 5


@dataclass
class Fuzzed:
    """What came of it: refusals by reason, answers that were none, memory in MB before and after."""

    refusals: Counter[str] = field(default_factory=Counter[str])
    accepted: int = 0
    crashed: int = 0
    memory: tuple[float, float] = (0.0, 0.0)


def resident() -> float:
    """Return resident memory now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def genuine(driver: Driver) -> list[Frames]:
    """Return messages that a site would take, or took: of all kinds, of this run."""
    driver.to_start()
    found = [driver.frames(SITE, "hello", driver.hello)]
    found.append(driver.frames(SITE, "agreed", {"signatures": driver.signatures}))
    found.append(driver.frames(SITE, "outcome", driver.outcome, driver.publishing()[SITE]))
    for phase in range(1, PHASES):
        driver.until("census", "round", phase)
        found.append(driver.frames(SITE, "round", driver.round, driver.next_phase()[SITE]))
    return found


def mutated(frames: Frames, draw: np.random.Generator) -> Frames:
    """Return a message that differs from this one."""
    way = int(draw.integers(0, 9))
    place = int(draw.integers(0, len(frames)))
    changed = [bytearray(frame) for frame in frames]
    target = changed[place]
    if way == 0 or not target:  # bytes of chance
        return [draw.bytes(int(draw.integers(0, 2000))) for _ in range(int(draw.integers(0, 4)))]
    if way == 1:  # one bit
        target[int(draw.integers(0, len(target)))] ^= 1 << int(draw.integers(0, 8))
    elif way == 2:  # a few bytes
        for _ in range(int(draw.integers(1, 20))):
            at = int(draw.integers(0, len(target)))
            target[at] = (target[at] + int(draw.integers(1, 256))) % 256
    elif way == 3:  # cut short
        del target[int(draw.integers(0, len(target))) :]
    elif way == 4:  # something put in
        at = int(draw.integers(0, len(target)))
        target[at:at] = draw.bytes(int(draw.integers(1, 64)))
    elif way == 5:  # a frame more
        changed.insert(place + 1, bytearray(draw.bytes(int(draw.integers(0, 64)))))
    elif way == 6:  # a length that promises the world
        target[6:10] = b"\xff\xff\xff\x7f"
    elif way == 7:  # deep nesting in the place of the header
        target[10:-64] = b"[" * int(draw.integers(1, 50_000))
    else:  # twice the same part
        target += target[: int(draw.integers(1, len(target) + 1))]
    return [bytes(frame) for frame in changed]


def fuzz(federation: Federation, n: int, seed: int = 1) -> Fuzzed:
    """Feed a site so many mutated messages in mid-round, and then the genuine one."""
    driver, draw, found = Driver(federation), np.random.default_rng(seed), Fuzzed()
    real = genuine(driver)
    before = resident()
    for number in range(n):
        frames = real[number % len(real)]
        changed = mutated(frames, draw)
        if changed == frames:
            continue
        try:
            answer = list(federation.sites[SITE].handle(iter(changed)))
            said = wire.read(iter(answer), federation.peers.verify)
        except Exception:  # whatever comes instead of a refusal is what this looks for
            found.crashed += 1
            continue
        if said.kind == "refusal":
            found.refusals[str(said.body["reason"]).split(":")[0][:60]] += 1
        else:
            found.accepted += 1
    found.memory = before, resident()
    return found


def a_federation(folder: Path) -> Federation:
    """Return a small one under masks."""
    return build(folder, kind="masked")
