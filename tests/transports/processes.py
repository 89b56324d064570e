"""Processes of a study over TLS on loopback, which a test may kill and start again."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TypeVar

from equipoise.ledger.audit import verify
from study.small import SITES, go, science
from transports.handed import Parts

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

    def start_all(self) -> None:
        """Start the processes of all sites, and the centre's."""
        for name in SITES:
            self.start(name)
        self.start("centre")

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


P = TypeVar("P", bound=Processes)


def started(made: P) -> Iterator[P]:
    """Yield processes that have all been started; what still runs in the end is killed."""
    try:
        made.start_all()
        yield made
    finally:
        for name, process in made.running.items():
            if process.poll() is None:
                made.kill(name)


def same_science(parts: Parts) -> bool:
    """Return whether a run over processes gave what a run in one process gives."""
    together = parts.folder / "together"
    go(parts.study, together)
    return science(parts.folder / "out") == science(together)
