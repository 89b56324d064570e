"""A key keeper's process that is killed and started again, over TLS on loopback."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from equipoise.ledger.audit import verify
from equipoise.ledger.reading import read
from equipoise.plan import KEEPER
from equipoise.study.keep import make_home
from equipoise.study.provision import provision
from protections.encrypted_rounds import INSTALLED
from study.small import edit
from transports.handed import Parts
from transports.processes import Process, Processes, same_science, started

pytest.importorskip("nvflare", reason="it needs the extra `federation`")
pytestmark = [INSTALLED, pytest.mark.timeout(240), pytest.mark.xdist_group("nvflare")]


class WithKeeper(Processes):
    """The processes of a study, one of which is the key keeper's."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        edit(parts.study, 'kind = "masked"', 'kind = "encrypted"\nkeeper = "University of North"')
        self.home, parts.handed = parts.folder / "keeper-home", parts.folder / "handed-too"
        cards = [*parts.cards, make_home(self.home)]
        provision(parts.study, parts.handed, cards, parts.address)

    def keep(self, *more: str) -> Process:
        study = self.parts.handed / KEEPER / "study.toml"
        words = [sys.executable, "-m", "equipoise", "keeper", "serve", str(self.home)]
        words += ["--study", str(study), *more]
        kept = subprocess.PIPE
        self.running[KEEPER] = subprocess.Popen(words, stdout=kept, stderr=kept, text=True)
        return self.running[KEEPER]

    def start_all(self) -> None:
        """Start the keeper's process, and all others."""
        self.keep()
        super().start_all()

    @property
    def out(self) -> Path:
        """The folder of the keeper's one run."""
        [found] = (self.home / "runs").iterdir()
        return found

    def ended(self) -> None:
        """As for the others, once the keeper's folder lies beside the results."""
        for name in ("centre", KEEPER):
            assert self.running[name].wait(120) == 0, (name, self.running[name].communicate())
        shutil.copytree(self.out, self.parts.folder / "out" / KEEPER)
        super().ended()


@pytest.fixture
def processes(parts: Parts) -> Iterator[WithKeeper]:
    yield from started(WithKeeper(parts))


def test_a_killed_key_keeper_comes_back_into_the_run(processes: WithKeeper) -> None:
    for exchange in (9, 30):
        processes.until(exchange)
        processes.kill(KEEPER)
        processes.keep()
    processes.ended()
    assert same_science(processes.parts)
    assert verify(processes.parts.folder / "out").keeper
    assert read(processes.out / "ledger").entries[-1].kind == "closed"
    assert not (processes.home / "unfinished").exists()
