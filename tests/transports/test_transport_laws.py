"""A message that a transport loses, doubles, alters or reorders is refused by a site."""

from collections.abc import Callable
from pathlib import Path

import pytest

from federation.building import Frames, build
from federation.driver import Driver

FAULTS: dict[str, Callable[[Frames], Frames]] = {
    "lost": lambda frames: [],
    "its first frame lost": lambda frames: frames[1:],
    "its last frame lost": lambda frames: frames[:-1],
    "a frame doubled": lambda frames: [*frames, frames[-1]],
    "a frame doubled inside": lambda frames: [frames[0], frames[1], *frames[1:]],
    "frames reordered": lambda frames: [frames[0], *frames[:0:-1]],
    "a header altered": lambda frames: [frames[0][:50] + b"\0" + frames[0][51:], *frames[1:]],
    "a block altered": lambda frames: [*frames[:-1], frames[-1][:-1] + b"\xff"],
    "a block cut": lambda frames: [*frames[:-1], frames[-1][:-1]],
    "two frames as one": lambda frames: [frames[0], b"".join(frames[1:])],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_site_refuses_a_message_that_did_not_come_whole(fault: str, tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear", n_sites=1)).until("frequency", "result")
    frames = driver.frames("s0", "outcome", driver.outcome, driver.publishing()["s0"])
    size = len(driver.federation.entries("s0"))
    assert driver.send("s0", FAULTS[fault](frames)).kind == "refusal"
    assert driver.federation.kinds("s0")[size:] == ["refusal"]
    driver.to_end()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_site_refuses_a_total_that_did_not_come_whole(fault: str, tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear", n_sites=1)).until("association", "round", 1)
    frames = driver.frames("s0", "round", driver.round, driver.next_phase()["s0"])
    assert driver.send("s0", FAULTS[fault](frames)).kind == "refusal"
    assert driver.federation.kinds("s0")[-1] == "refusal"


def test_a_message_that_comes_twice_has_one_answer(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path)).until("census", "round")
    for name, message in driver.next_phase().items():
        frames = driver.frames(name, "round", driver.round, message)
        size = len(driver.federation.entries(name))
        assert driver.send(name, frames).frames == driver.send(name, frames).frames
        assert driver.federation.kinds(name)[size:] == ["release"]
