"""What masked sums cost: a million values at 4 and 16 sites, and 100 million at 16.

    python benchmarks/masked.py [--quick]

CPU seconds of each site's machine and of the centre's, by phase, in one process, one thread.
`stream` is one keystream made and added: a site has one for each other site and one of its own.
AES-256-CTR alone is timed in the same run, over the same pieces: the limit that no mask can
pass. The long run streams its values in blocks and keeps its messages in files; its peak of
resident memory is that of all 17 parties together. The digest of the total is the wire's, which
takes it of every message whatever its protection; it is not counted here. --quick leaves it at 5 million values. Writes
benchmarks/results/masked.json.
"""

import statistics
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from peers import machine, written

from equipoise.federation.identity import Identity, Peers
from equipoise.protection import Context, Message, Party, joint_digest
from equipoise.protections.keystream import CHUNK, ZEROS
from equipoise.protections.masked import Masked
from equipoise.step import Done
from equipoise.sums import Field, Schema

BLOCK = 250_000
WIDEST = 2.0**40
RUNS = 5
PHASES = ("prepare", "input", "unmask", "check", "accept")


def schema(n_values: int) -> Schema:
    """Return a form of so many values, in blocks."""
    field = Field((BLOCK,), WIDEST, WIDEST)
    return Schema(tuple({"x": field} for _ in range(n_values // BLOCK)))


def parties(n_sites: int) -> dict[str, Party]:
    """Return what each site's machine may do in its name."""
    keys = {name: Identity.create(name) for name in (f"s{i:02}" for i in range(n_sites))}
    peers = Peers({name: key.signing_key for name, key in keys.items()})

    def party(key: Identity) -> Party:
        return Party(
            key.name, key.sign, peers.verify, lambda o: key.shared_with(keys[o].channel_key)
        )

    return {name: party(key) for name, key in keys.items()}


class Timed:
    """Adds up the CPU time of what is called through it, by name."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.seconds: dict[str, float] = {}

    def call(self, name: str, function: Any, *arguments: Any) -> Any:
        """Return what a function returns."""
        began = process_time()
        try:
            return function(*arguments)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + process_time() - began

    def through(self, name: str, items: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what an iterator yields, its own time counted."""
        while (item := self.call(name, partial(next, items, None))) is not None:
            yield item


def one_round(n_sites: int, n_values: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return CPU seconds of a site, on average, and of the centre, by phase."""
    form, everybody = schema(n_values), parties(n_sites)
    values = np.arange(BLOCK) - BLOCK // 2
    nothing = bytes(32)
    # The dearer kind: where no site may be lost there is a mask less, and no share.
    context = Context("s", nothing, "step", 1, 0, nothing, tuple(everybody), nothing, may_lose=True)
    sites = {
        name: Masked().site(context, party, form, ({"x": values} for _ in form.blocks))
        for name, party in everybody.items()
    }
    centre, at_sites, at_centre = Masked().centre(context, form), Timed(), Timed()
    answers: dict[str, Message] = {}
    for phase in (*PHASES, "end"):
        outcome = at_centre.call(phase, centre.step, answers)
        if isinstance(outcome, Done):
            total = outcome.result
            break
        answers, digest = {}, b""
        for name, asked in outcome.state.items():
            request = asked
            if phase == "check":  # as the wire has it, which checks it for every message
                digest = digest or joint_digest(asked.blocks)
                request = Message(asked.head, asked.blocks, digest)
            said = at_sites.call(phase, sites[name].step, request)
            message = said.result.answer if isinstance(said, Done) else said.state
            blocks = at_sites.through("blocks", iter(message.blocks))
            answers[name] = Message(message.head, blocks)
    assert all(np.array_equal(part["x"], values * n_sites) for part in total)
    # What the centre pulls out of a site's stream is that site's time, not its own.
    pulled = at_sites.seconds.pop("blocks")
    at_sites.seconds["input"] += pulled
    at_centre.seconds["unmask"] -= pulled
    return {p: s / n_sites for p, s in at_sites.seconds.items()}, at_centre.seconds


def cipher_speed(n_bytes: int) -> float:
    """Return bytes of AES-256-CTR a CPU second, the median of a few."""
    out, speeds = bytearray(8 * CHUNK + 16), list[float]()
    for _ in range(RUNS):
        encryptor = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor()
        began = process_time()
        for _ in range(n_bytes // (8 * CHUNK)):
            encryptor.update_into(ZEROS, out)
        speeds.append(n_bytes // (8 * CHUNK) * 8 * CHUNK / (process_time() - began))
    return statistics.median(speeds)


def middle(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def resident_mb() -> float:
    """Return the peak of resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Time, print, write."""
    found: dict[str, Any] = {}
    many = 5_000_000 if "--quick" in sys.argv else 100_000_000
    before = resident_mb()
    site, _ = one_round(16, many)
    aes = cipher_speed(2_000_000_000)
    masked = 16 * 8 * many / site["input"]
    found["long"] = {
        "values": many,
        "sites": 16,
        "site_cpu_seconds": site,
        "masked_bytes_a_second": masked,
        "aes_ctr_bytes_a_second": aes,
        "share_of_aes_ctr": masked / aes,
        "check_over_masking": site["check"] / site["input"],
        "resident_mb": resident_mb(),
        "resident_mb_before": before,
    }
    print(found["long"], flush=True)
    for n_sites in (4, 16):
        runs = [one_round(n_sites, 1_000_000) for _ in range(RUNS)]
        site, centre = (middle([run[i] for run in runs]) for i in (0, 1))
        found[f"sites_{n_sites}"] = {
            "values": 1_000_000,
            "site_cpu_seconds": site,
            "centre_cpu_seconds": centre,
            "site_cpu_seconds_in_all": sum(site.values()),
            "nanoseconds_a_value_a_stream": site["input"] / n_sites / 1e6 * 1e9,
            "check_over_masking": site["check"] / site["input"],
        }
    each = [found[f"sites_{n}"]["nanoseconds_a_value_a_stream"] for n in (4, 16)]
    found["stream_at_16_over_at_4"] = each[1] / each[0]
    written("masked", {**found, **machine()})


if __name__ == "__main__":
    main()
