"""Run the demo as five processes over TLS on loopback, and hold it to the run in one process.

    .venv/bin/python scripts/show_processes.py

Four sites and a coordinator, each a process of its own with keys and a folder of its own, speak
over NVFLARE with mutual TLS, as `equipoise site init`, `coordinate --provision`, `site serve` and
`coordinate` make them do. Then the same study runs in one process. Every artefact must be the same
byte for byte, at the centre and at the sites; `results.json` but for `timings` and `ledger`; the
dossier but for the ledger's root. The ledgers of the five processes, put together in one folder,
must hold. One line for each file, and exit code 1 where one differs.

It needs the extra `federation` and takes about a minute.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from equipoise import demo
from equipoise.errors import EquipoiseError
from equipoise.federation.homes import SITE_FILE, make_home
from equipoise.ledger.audit import verify
from equipoise.study import file
from equipoise.study.coordinate import coordinate
from equipoise.study.provision import provision
from equipoise.study.run import run
from equipoise.study.serve import serve

DIFFER = ("timings", "ledger")
"""What differs between any two runs of one study."""


def make_sites(study: Path, folder: Path, address: str) -> dict[str, Path]:
    """Make a home for each site and start-up folders for all; return the homes."""
    sites = file.read(study).sites
    homes = {site.name: folder / "homes" / site.name for site in sites}
    for site in sites:
        make_home(homes[site.name], site.name)
        paths = {"genotypes": site.genotypes, "phenotypes": site.phenotypes}
        rows = {**paths, "consents": site.consents}
        said = "".join(f"{key} = {json.dumps(str(path.resolve()))}\n" for key, path in rows.items())
        (homes[site.name] / SITE_FILE).write_text(said, "utf-8")
    cards = [home / f"{name}.json" for name, home in homes.items()]
    parties = provision(study, folder / "handed", cards, address)
    print(f"parties      {', '.join(sorted(parties.keys))}: {parties.fingerprint}", flush=True)
    return homes


def run_apart(study: Path, folder: Path) -> None:
    """Run the study in processes; the results of all parties come together in `folder/apart`."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    homes, out = make_sites(study, folder, f"127.0.0.1:{port}"), folder / "apart"
    with ExitStack() as stack:
        sites = {name: start(name, home, folder) for name, home in homes.items()}
        for process in sites.values():
            stack.callback(end, process)
        began = time.perf_counter()
        outcome = coordinate(folder / "handed" / "centre" / "study.toml", out)
        whole = time.perf_counter() - began
        codes = {name: process.wait(30) for name, process in sites.items()}
    said: Any = outcome.results["timings"]
    print(
        f"processes    exit codes {codes}; {whole:.1f} s, of them {said['total']:.1f} s the study"
    )
    for name in homes:
        shutil.copytree(folder / "sites" / name, out / "sites" / name)


def start(name: str, home: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start the process of a site."""
    study = folder / "handed" / name / "study.toml"
    words = [
        sys.executable,
        __file__,
        "--site",
        str(home),
        str(study),
        str(folder / "sites" / name),
    ]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs."""
    if process.poll() is None:
        process.terminate()
        process.wait(30)


def content(path: Path, roots: dict[str, str]) -> bytes:
    """Return what a file says but for what differs between any two runs."""
    data = path.read_bytes()
    if path.name == "results.json":
        said = json.loads(data)
        return json.dumps({k: v for k, v in said.items() if k not in DIFFER}).encode()
    for root in roots.values():
        data = data.replace(root.encode(), b"(root)")
    return data


def compare(one: Path, other: Path) -> bool:
    """Print whether each file of two runs is the same, and return whether all are."""
    files = {p.relative_to(folder) for folder in (one, other) for p in folder.rglob("*")}
    wanted = sorted(f for f in files if f.suffix and "ledger" not in f.parts)
    roots = {
        str(f): json.loads((f / "results.json").read_text())["ledger"]["root"] for f in (one, other)
    }
    well = True
    for name in wanted:
        there = (one / name).is_file() and (other / name).is_file()
        same = there and content(one / name, roots) == content(other / name, roots)
        well = well and same
        print(f"{'same' if same else 'DIFFERS':<12} {name}")
    return well and len(wanted) >= 4


def main() -> int:
    """Run everything and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--study", type=Path, default=demo.folder() / "study.toml")
    parser.add_argument("--keep", type=Path, help="a new folder for all that the runs write")
    parser.add_argument("--site", type=Path, nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.site:
        home, study, out = given.site
        serve(home, study, out=out, signed=False)
        return 0
    with tempfile.TemporaryDirectory(prefix="equipoise-processes-") as made:
        folder = given.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            run_apart(given.study, folder)
            held = verify(folder / "apart")
            print(f"ledgers      {held.entries} entries of {len(held.sites) + 1} parties hold")
            run(given.study, folder / "together")
        except EquipoiseError as error:
            print(f"FAIL {type(error).__name__}: {error}")
            return 1
        well = compare(folder / "together", folder / "apart")
    print("The same science." if well else "Something differs.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
