"""What an exchange over our transport costs, against NVFLARE's own messages of the same size.

    python benchmarks/transport.py [--quick]

A centre and four sites, each a process of its own, on loopback with mutual TLS. An exchange is
one message to each of the four sites and one answer of the same size from each, all four at
once: 1 MB and 8 MB each way. Ours goes through `NvflareTransport.exchange` (parcels of 1 MiB,
each asked for and received once); bare is one request and one reply of a cell of NVFLARE's
with its own driver `stcp`, which is the least that NVFLARE can do. The two take turns, in one
run; both have a warm-up of two exchanges. Medians of the times, and their ratio, which is to
be 1.5 at most. --quick takes 7 turns in place of 31. Writes benchmarks/results/transport.json.
"""

import argparse
import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.message import Message
from peers import machine, written

from equipoise.transports.nvflare import NvflareTransport, serve
from equipoise.transports.nvflare_certificates import authority, make_key, request, sign, to_pem
from equipoise.transports.nvflare_tls import CENTRE, Credentials

SITES = ("a", "b", "c", "d")
SIZES = (1_000_000, 8_000_000)
TURNS = 31
PROMISE = 1.5
WAIT = 60.0


def provision(folder: Path) -> None:
    """Write an authority, and a key and a certificate for each party."""
    now, key = datetime.now(UTC), make_key(folder / "authority.key")
    own = authority(key, "benchmark", now)
    (folder / "authority.pem").write_bytes(to_pem(own))
    for name in (CENTRE, *SITES):
        asked = request(make_key(folder / f"{name}.key"), name)
        (folder / f"{name}.pem").write_bytes(to_pem(sign(own, key, asked, name, now=now)))


def credentials(folder: Path, name: str) -> Credentials:
    """Return a party's files."""
    return Credentials(folder / "authority.pem", folder / f"{name}.pem", folder / f"{name}.key")


def bare_cell(folder: Path, party: str, port: int) -> Any:
    """Return a cell of NVFLARE's with its own driver, not started."""
    name, side = ("server", "server") if party == CENTRE else (party, "client")
    own = credentials(folder, party)
    files = {"ca_cert": own.authority, f"{side}_cert": own.certificate, f"{side}_key": own.key}
    given = {key: str(path) for key, path in files.items()}
    url = f"stcp://127.0.0.1:{port}"
    return CoreCell(name, url, True, given, auth_identity_map={"server": CENTRE})


def site_ours(folder: Path, name: str, port: int) -> None:
    """Answer each message by one of the same size."""

    def handle(frames: Any) -> Any:
        yield bytes(sum(len(frame) for frame in frames))

    own = credentials(folder, name)
    serve(handle, site=name, address=f"127.0.0.1:{port}", credentials=own)


def site_bare(folder: Path, name: str, port: int) -> None:
    """Answer each message by one of the same size, until standard input ends."""
    cell = bare_cell(folder, name, port)
    cell.register_request_cb("bench", "size", lambda m: Message(payload=bytes(len(m.payload))))
    cell.start()
    sys.stdin.read()
    os._exit(0)


def centre_ours(folder: Path, name: str, port: int) -> None:
    """Exchange messages of each size read from standard input, and print the seconds."""
    transport = NvflareTransport(f"127.0.0.1:{port}", credentials(folder, name), SITES)
    transport.wait(WAIT)

    def exchange(size: int) -> list[int]:
        answers = transport.exchange({site: [bytes(size)] for site in SITES})
        return [sum(len(frame) for frame in answers[site]) for site in SITES]

    answer(exchange)
    transport.close()


def centre_bare(folder: Path, name: str, port: int) -> None:
    """Do the same by one request and one reply of a cell."""
    cell = bare_cell(folder, name, port)
    cell.start()
    while not all(site in cell.agents for site in SITES):
        time.sleep(0.05)
    pool = ThreadPoolExecutor(len(SITES))

    def exchange(size: int) -> list[int]:
        def ask(site: str) -> int:
            reply = cell.send_request("bench", "size", site, Message(payload=bytes(size)), WAIT)
            return len(reply.payload or b"")

        return list(pool.map(ask, SITES))

    answer(exchange)
    os._exit(0)


def answer(exchange: Any) -> None:
    """Run an exchange of each size that standard input names; print how long it took."""
    print("ready", flush=True)
    for line in sys.stdin:
        size, began = int(line), time.perf_counter()
        assert exchange(size) == [size] * len(SITES)
        print(time.perf_counter() - began, flush=True)


ROLES = {f.__name__: f for f in (site_ours, site_bare, centre_ours, centre_bare)}


class Party:
    """A process of this file in one of the roles."""

    def __init__(self, role: str, folder: Path, name: str, port: int) -> None:
        """Start it."""
        words = [sys.executable, __file__, "--role", role, str(folder), name, str(port)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)

    def time(self, size: int) -> float:
        """Return the seconds that an exchange took."""
        assert self.process.stdin
        self.process.stdin.write(f"{size}\n")
        self.process.stdin.flush()
        return float(self.line())

    def line(self) -> str:
        """Return the next line that it says."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def compare(turns: int, folder: Path) -> dict[str, Any]:
    """Return medians and ratios for each size."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        centres: dict[str, Party] = {}
        for kind in ("ours", "bare"):
            port = free_port()
            centres[kind] = Party(f"centre_{kind}", folder, CENTRE, port)
            sites = [Party(f"site_{kind}", folder, name, port) for name in SITES]
            for party in (centres[kind], *sites):
                stack.callback(party.end)
        for centre in centres.values():
            assert centre.line() == "ready"
        for size in SIZES:
            for _ in range(2):
                for centre in centres.values():
                    centre.time(size)
            pairs = [(centres["ours"].time(size), centres["bare"].time(size)) for _ in range(turns)]
            ours, bare = (statistics.median(times) for times in zip(*pairs, strict=True))
            found[f"{size // 1_000_000}_mb_each_way"] = {
                "ours_seconds": ours,
                "bare_seconds": bare,
                "ratio_of_medians": ours / bare,
                "median_of_ratios": statistics.median(o / b for o, b in pairs),
                "ours_mb_a_second": 2 * len(SITES) * size / 1e6 / ours,
            }
    return found


def main() -> None:
    """Time, print, write; or take the part of one of the processes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--role", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # NVFLARE has much to say
    if given.role:
        role, folder, name, port = given.role
        ROLES[role](Path(folder), name, int(port))
        return
    turns = 7 if given.quick else TURNS
    with tempfile.TemporaryDirectory(prefix="equipoise-transport-") as made:
        provision(Path(made))
        found = compare(turns, Path(made))
    worst = max(one["ratio_of_medians"] for one in found.values())
    about: Any = machine()
    about["versions"]["nvflare"] = version("nvflare")
    said = {"sites": len(SITES), "turns": turns, **found, "worst_ratio": worst}
    written("transport", {**said, "promised_at_most": PROMISE, "kept": worst <= PROMISE, **about})


if __name__ == "__main__":
    main()
