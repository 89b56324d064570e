"""Processes of a study that are killed and started again, over TLS on loopback."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from transports.handed import Parts
from transports.processes import Processes, same_science, started

pytest.importorskip("nvflare", reason="it needs the extra `federation`")
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("nvflare")]


@pytest.fixture
def processes(parts: Parts) -> Iterator[Processes]:
    yield from started(Processes(parts))


def test_a_killed_coordinator_takes_up_its_run(processes: Processes) -> None:
    for exchange in (9, 30):
        processes.until(exchange)
        processes.kill("centre")
        processes.start("centre")
    processes.ended()
    assert same_science(processes.parts)


def test_a_killed_site_comes_back_into_the_run(processes: Processes) -> None:
    for exchange, name in ((7, "North"), (30, "East")):
        processes.until(exchange)
        processes.kill(name)
        processes.start(name)
    processes.ended()
    assert same_science(processes.parts)


def test_a_second_coordinator_for_one_study_is_told_that_the_run_is_in_hand(
    processes: Processes,
) -> None:
    processes.until(9)
    parts, words = processes.parts, [sys.executable, "-m", "equipoise", "coordinate"]
    study = str(parts.centre / "study.toml")
    same, other = (
        subprocess.run(
            [*words, study, "--out", str(parts.folder / out)], capture_output=True, check=False
        )
        for out in ("out", "two")
    )
    assert (same.returncode, other.returncode) == (4, 4)
    assert b"another process" in same.stderr
    assert b"listen" in other.stderr
    processes.ended()
