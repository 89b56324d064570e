"""Processes of a study that are killed and started again, over TLS on loopback."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from equipoise.ledger.audit import verify
from study.small import SITES, go, science
from transports.handed import Parts

pytest.importorskip("nvflare", reason="it needs the extra `federation`")
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("nvflare")]

Process = subprocess.Popen[str]


class Processes:
    """The processes of a study by the name of their party, each of which may be killed."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.running = parts, dict[str, Process]()

    def start(self, name: str, *more: str) -> Process:
        parts = self.parts
        words = [sys.executable, "-m", "equipoise"]
        if name == "centre":
            study, out = parts.centre / "study.toml", parts.folder / "out"
            words += ["coordinate", str(study), "--out", str(out), "--wait", "60", *more]
        else:
            home, study = parts.homes[name], parts.handed / name / "study.toml"
            words += ["site", "serve", str(home), "--study", str(study), "--approve", "study"]
            words += ["--out", str(parts.folder / "sites" / name), *more]
        kept = subprocess.PIPE
        self.running[name] = subprocess.Popen(words, stdout=kept, stderr=kept, text=True)
        return self.running[name]

    def kill(self, name: str) -> None:
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].communicate()

    def until(self, exchange: int) -> None:
        """Wait until the centre has begun so many exchanges."""
        place = self.parts.folder / ".out.unfinished" / "answers" / f"{exchange:06}"
        while not place.exists():
            for name, process in self.running.items():
                assert process.poll() is None, (name, process.communicate())
            time.sleep(0.01)

    def ended(self) -> None:
        """Wait for all to end well, and for the ledgers of all parties to hold together."""
        for name, process in self.running.items():
            said, told = process.communicate(timeout=120)
            assert process.returncode == 0, (name, said, told)
        out = self.parts.folder / "out"
        for name in SITES:
            shutil.copytree(self.parts.folder / "sites" / name, out / "sites" / name)
            assert not (self.parts.homes[name] / "unfinished").exists()
        assert verify(out).sites == tuple(sorted(SITES))
        assert not (self.parts.folder / ".out.unfinished").exists()


@pytest.fixture
def processes(parts: Parts) -> Iterator[Processes]:
    made = Processes(parts)
    for name in SITES:
        made.start(name)
    made.start("centre")
    yield made
    for process in made.running.values():
        if process.poll() is None:
            process.kill()
            process.communicate()


def same_science(parts: Parts) -> bool:
    together = parts.folder / "together"
    go(parts.study, together)
    return science(parts.folder / "out") == science(together)


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
