"""How long the demo's run and the first `--help` take, and what the machine could do at best.

    python benchmarks/walls.py

Writes benchmarks/results/walls.json. The floor is the bytes that must be read and sent at
the speed this machine copies memory at, and the sums that must be made at the speed it
multiplies matrices at: what no program can beat.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np

from equipoise import demo

RUNS = 5
PEOPLE, VARIANTS, TERMS = 315, 85_485, 3


def timed(command: list[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of a whole command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return perf_counter() - began, cpu


def floor() -> dict[str, float]:
    """Return the least seconds for the sums and bytes of the demo's scan, on one core."""
    a = np.ones((1024, 1024))
    began = perf_counter()
    for _ in range(5):
        a @ a
    flops = 5 * 2 * 1024**3 / (perf_counter() - began)
    source, target = np.ones(8_000_000), np.empty(8_000_000)
    began = perf_counter()
    for _ in range(5):
        np.copyto(target, source)
    speed = 5 * 2 * source.nbytes / (perf_counter() - began)
    sums = 2.0 * PEOPLE * VARIANTS * (TERMS + 1)
    bytes_read = PEOPLE / 4 * VARIANTS
    bytes_sent = 4 * 8 * 5 * VARIANTS * (TERMS + 1)
    return {"sums": sums / flops, "bytes": (bytes_read + bytes_sent) / speed}


def main() -> None:
    """Time, print, write."""
    program = str(Path(sys.executable).with_name("equipoise"))
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "demo"
        demo.copy(study)
        runs = [
            timed([program, "run", str(study / "study.toml"), "--out", f"{folder}/out-{i}"])
            for i in range(RUNS)
        ]
    helps = [timed([program, "--help"]) for _ in range(RUNS)]
    least = floor()
    found = {
        "run_wall_seconds": statistics.median(wall for wall, _ in runs),
        "run_cpu_seconds": statistics.median(cpu for _, cpu in runs),
        "help_wall_seconds": statistics.median(wall for wall, _ in helps),
        "floor_seconds": least,
        "run_over_floor": statistics.median(cpu for _, cpu in runs) / sum(least.values()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("equipoise", "numpy", "polars", "scipy")},
    }
    results = Path(__file__).parent / "results" / "walls.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
