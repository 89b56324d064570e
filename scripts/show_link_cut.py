"""Cut the link to a site in mid-round, and show what follows at the coordinator.

    sudo .venv/bin/python scripts/show_link_cut.py

Three network namespaces, joined by pairs of virtual interfaces: one for the coordinator, one
for the first site of the demo, one for all others. The study runs over TLS, each party in a
process of its own. As the scan is about to ask the first site, its link is taken down, three
times over:

    restored   the link comes back before the coordinator's patience ends: the run ends with
               the same science as a run in one process, byte for byte
    ended      it stays down: the run ends with an error that names the site. The link comes
               back, the coordinator is started again, and the run goes on to the same science
    gone on    it stays down, and all have agreed to `lost_site = "go_on"`: the run ends with
               results over the other sites, which say at which step the site was lost

One line for each thing that must hold, and exit code 1 where one does not. It needs the extra
`federation` and root, for the namespaces: exit code 2 where they cannot be made. It takes about
three minutes.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from threading import Timer
from typing import Any

from show_processes import compare, end, make_sites

from equipoise import demo
from equipoise.errors import EquipoiseError
from equipoise.ledger.audit import verify
from equipoise.study import file
from equipoise.study.coordinate import Patience, Shown, coordinate
from equipoise.study.run import run
from equipoise.study.serve import serve

CENTRE = "10.99.0.1"
PORT = 8443
STEP = "association"
"""The step at whose first round the link is cut."""

SHORT, LONG = 20.0, 120.0
"""Seconds of patience where the link stays down, and where it is restored."""

RESTORED = 30.0
"""Seconds for which the link is down where it is restored."""


class Cut:
    """Takes the link to a site down as the coordinator is about to ask it in a step."""

    def __init__(self, site: str, link: str, seconds: float) -> None:
        """`seconds` is after how many the link comes back; 0 for never."""
        self._asked, self._link, self._seconds = f"{site}: asked", link, seconds
        self._due = self._done = False

    def begin(self, steps: tuple[str, ...]) -> None:
        """Take the steps of the plan."""

    def at(self, step: str, round: int) -> None:  # noqa: A002, ARG002 - `Progress` has it so
        """Be ready to cut once the step has begun."""
        self._due = step == STEP

    def tell(self, states: str) -> None:
        """Cut where the site is being asked."""
        if self._due and not self._done and self._asked in states:
            self._done = True
            self._set("down")
            if self._seconds:
                Timer(self._seconds, self._set, ["up"]).start()

    def _set(self, state: str) -> None:
        print(f"link {state}", flush=True)
        ip("link", "set", self._link, state)


def ip(*words: str) -> None:
    """Run `ip`; CalledProcessError where it fails."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def namespaces() -> Iterator[dict[str, str]]:
    """Make three namespaces, joined to one another by the centre's; they go at the end."""
    names = {part: f"eqp-{part}-{os.getpid()}" for part in ("centre", "first", "others")}
    centre = names["centre"]
    with ExitStack() as stack:
        for name in names.values():
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", centre, "addr", "add", f"{CENTRE}/32", "dev", "lo")
        for number, part in enumerate(("first", "others"), start=1):
            there, net = names[part], f"10.99.{number}"
            peer = ("peer", "name", "up0", "netns", there)
            ip("link", "add", f"to-{part}", "netns", centre, "type", "veth", *peer)
            ip("-n", centre, "addr", "add", f"{net}.1/24", "dev", f"to-{part}")
            ip("-n", there, "addr", "add", f"{net}.2/24", "dev", "up0")
            ip("-n", centre, "link", "set", f"to-{part}", "up")
            ip("-n", there, "link", "set", "up0", "up")
            ip("-n", there, "route", "add", f"{CENTRE}/32", "via", f"{net}.1")
        yield names


class Stage:
    """One run of a study over the three namespaces, in a folder of its own."""

    def __init__(self, names: dict[str, str], folder: Path, *, goes_on: bool) -> None:
        """Provision the study; start no process yet."""
        self._names, self.folder = names, folder
        shutil.copytree(demo.folder(), folder / "study")
        self.study = folder / "study" / "study.toml"
        if goes_on:
            text = self.study.read_text("utf-8")
            said = text.replace('kind = "masked"', 'kind = "masked"\nlost_site = "go_on"')
            self.study.write_text(said, "utf-8")
        with redirect_stdout(StringIO()):  # the fingerprint
            self.homes = make_sites(self.study, folder, f"{CENTRE}:{PORT}")
        self.first = file.read(self.study).sites[0].name
        self.out = folder / "apart"

    def sites(self) -> dict[str, subprocess.Popen[str]]:
        """Start the sites' processes."""
        return {
            name: self._start("first" if name == self.first else "others", "--site", *words)
            for name, home in self.homes.items()
            for words in [(home, self.folder / "handed" / name, self.folder / "sites" / name)]
        }

    def coordinate(self, patience: float, restored: float) -> tuple[int, str]:
        """Run the coordinator; return its exit code and what it said."""
        words = (self.folder / "handed" / "centre", self.out, self.first, patience, restored)
        process = self._start("centre", "--centre", *words)
        said, _ = process.communicate()
        return process.returncode, said.strip().replace("\n", "; ")

    def heal(self) -> None:
        """Take the link up again."""
        ip("-n", self._names["centre"], "link", "set", "to-first", "up")

    def gather(self, sites: dict[str, subprocess.Popen[str]]) -> dict[str, int]:
        """Put the sites' folders beside the centre's; return their processes' exit codes."""
        codes = {name: process.wait(60) for name, process in sites.items()}
        for name in sites:
            shutil.copytree(self.folder / "sites" / name, self.out / "sites" / name)
        return codes

    def _start(self, part: str, role: str, *words: object) -> subprocess.Popen[str]:
        there = ["ip", "netns", "exec", self._names[part], sys.executable, __file__, role]
        command = [*there, *(str(word) for word in words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def holds(what: str, well: bool, said: object) -> bool:
    """Print whether something that must hold does."""
    print(f"{'holds' if well else 'FAILS':<6} {what}: {said}", flush=True)
    return well


def same(stage: Stage) -> bool:
    """Return whether the results are those of a run in one process."""
    together = stage.folder / "together"
    run(stage.study, together)
    with redirect_stdout(StringIO()) as told:
        well = compare(together, stage.out)
    differs = [line for line in told.getvalue().splitlines() if not line.startswith("same")]
    counted = (
        f"{len(told.getvalue().splitlines())} files compared; that differ: {differs or 'none'}"
    )
    entries = verify(stage.out).entries
    return holds("the science of a run in one process", well, f"{counted}; {entries} entries hold")


def restored(names: dict[str, str], folder: Path) -> bool:
    """Show a link that comes back in time."""
    stage = Stage(names, folder, goes_on=False)
    with ExitStack() as stack:
        sites = stage.sites()
        for process in sites.values():
            stack.callback(end, process)
        code, said = stage.coordinate(LONG, RESTORED)
        well = holds("the run ends", code == 0, said)
        return (
            well and holds("exit codes", not any(stage.gather(sites).values()), 0) and same(stage)
        )


def ended(names: dict[str, str], folder: Path) -> bool:
    """Show a link that stays down, and a coordinator that is started again when it is back."""
    stage = Stage(names, folder, goes_on=False)
    with ExitStack() as stack:
        sites = stage.sites()
        for process in sites.values():
            stack.callback(end, process)
        code, said = stage.coordinate(SHORT, 0.0)
        named = f"site {stage.first} gave no answer" in said
        well = holds("the run ends with an error that names the site", code == 1 and named, said)
        well = holds("nothing is written", not stage.out.exists(), stage.out.name) and well
        stage.heal()
        code, said = stage.coordinate(LONG, 0.0)
        well = holds("started again, it goes on to its end", code == 0, said) and well
        return (
            well and holds("exit codes", not any(stage.gather(sites).values()), 0) and same(stage)
        )


def gone_on(names: dict[str, str], folder: Path) -> bool:
    """Show a link that stays down where all agreed to go on."""
    stage = Stage(names, folder, goes_on=True)
    with ExitStack() as stack:
        sites = stage.sites()
        for process in sites.values():
            stack.callback(end, process)
        code, said = stage.coordinate(SHORT, 0.0)
        if not holds("the run ends over the other sites", code == 0, said):
            return False
        found: Any = json.loads((stage.out / "results.json").read_text("utf-8"))
        lost = {site: one["lost_at"] for site, one in found["participants"].items()}
        expected = {site: STEP if site == stage.first else None for site in sites}
        stage.heal()
        return holds("the results say who was lost, and when", lost == expected, lost)


def play(given: argparse.Namespace) -> int | None:
    """Take the part of one of the processes, where this is one."""
    logging.getLogger("nvflare").setLevel(logging.ERROR)  # it warns of each answer that is late
    if given.site:
        home, handed, out = map(Path, given.site)
        serve(home, handed / "study.toml", out=out, signed=False)
        return 0
    if not given.centre:
        return None
    home, out, site, patience, seconds = given.centre
    cut = Cut(site, "to-first", float(seconds))
    shown = Shown(cut.tell, cut) if not Path(out).parent.joinpath("cut").exists() else None
    Path(out).parent.joinpath("cut").touch()
    try:
        waits = Patience(silent=float(patience), connected=120.0)
        coordinate(Path(home) / "study.toml", Path(out), patience=waits, shown=shown)
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    print("ended")
    return 0


def main() -> int:
    """Run everything and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("restored", "ended", "gone_on"))
    parser.add_argument("--site", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--centre", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    code = play(given)
    if code is not None:
        return code
    well = True
    for show in (restored, ended, gone_on):
        if given.only not in (None, show.__name__):
            continue
        print(f"{show.__name__}: {(show.__doc__ or '').rstrip('.')}", flush=True)
        with tempfile.TemporaryDirectory(prefix="equipoise-link-") as made, ExitStack() as stack:
            try:
                names = stack.enter_context(namespaces())
            except (OSError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", b"") or str(error).encode()
                print(f"no network namespace can be made ({said.decode().strip()}); run as root")
                return 2
            well = show(names, Path(made)) and well
    print("All of it holds." if well else "Something fails.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
