"""How long the demo's run and the first `--help` take, beside the same study on pooled data.

    python benchmarks/study.py

Writes benchmarks/results/study.json. The peer is the same study with all people at one site and
protection `clear`: the same science without walls between sites, so that the ratio is what the
walls cost. The floor is the bytes that must be read and sent in the scan at the speed this machine
copies memory at, and the sums that must be made at the speed it multiplies matrices at: what no
program can beat.
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
from equipoise.genotypes import plink
from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.decode import decode, encode

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


def pool(study: Path) -> Path:
    """Put all people of a study at one site, in the clear; return the new study file."""
    sites = sorted((study / "sites").iterdir())
    files = [PlinkFile.open(site / "genotypes.bed") for site in sites]
    n = files[0].n_variants
    dosage = [decode(file.packed(0, n), file.n_samples) for file in files]
    pooled = study / "sites" / "POOLED"
    pooled.mkdir()
    ids = tuple(person for file in files for person in file.sample_ids)
    sex = np.concatenate([file.sex for file in files])
    block = encode(np.concatenate(dosage, axis=1))
    plink.write(pooled / "genotypes", block, files[0].variants, ids, sex)
    for name in ("phenotypes.tsv", "consents.tsv"):
        tables = [(site / name).read_text("utf-8").splitlines(keepends=True) for site in sites]
        notes = [line for line in tables[0] if line.startswith("#")]
        rows = [[line for line in table if not line.startswith("#")] for table in tables]
        body = [rows[0][0], *(line for table in rows for line in table[1:])]
        (pooled / name).write_text("".join([*notes, *body]), "utf-8")
    text = (study / "study.toml").read_text("utf-8")
    head, tail = text.split("[[site]]", 1)[0], text[text.index("[protection]") :]
    names = ("genotypes.bed", "phenotypes.tsv", "consents.tsv")
    lines = [f'{name.split(".")[0]} = "sites/POOLED/{name}"\n' for name in names]
    site = '[[site]]\nname = "POOLED"\n' + "".join(lines) + "\n"
    path = study / "pooled.toml"
    path.write_text(head + site + tail.replace('"masked"', '"clear"'), "utf-8")
    return path


def main() -> None:
    """Time, print, write."""
    program = str(Path(sys.executable).with_name("equipoise"))
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "demo"
        demo.copy(study)
        both = {"sites": study / "study.toml", "pooled": pool(study)}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in both}
        for i in range(RUNS):
            for name, path in both.items():
                command = [program, "run", str(path), "--out", f"{folder}/{name}-{i}"]
                times[name].append(timed(command))
        steps = json.loads((Path(folder) / "sites-0" / "results.json").read_text())["timings"]
    runs, peer = times["sites"], times["pooled"]
    helps = [timed([program, "--help"]) for _ in range(RUNS)]
    least = floor()
    found = {
        "run_wall_seconds": statistics.median(wall for wall, _ in runs),
        "run_cpu_seconds": statistics.median(cpu for _, cpu in runs),
        "pooled_wall_seconds": statistics.median(wall for wall, _ in peer),
        "pooled_cpu_seconds": statistics.median(cpu for _, cpu in peer),
        "run_over_pooled_cpu": statistics.median(
            mine / theirs for (_, mine), (_, theirs) in zip(runs, peer, strict=True)
        ),
        "steps_of_one_run_seconds": steps,
        "help_wall_seconds": statistics.median(wall for wall, _ in helps),
        "floor_seconds": least,
        "run_over_floor": statistics.median(cpu for _, cpu in runs) / sum(least.values()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("equipoise", "numpy", "polars", "scipy")},
    }
    results = Path(__file__).parent / "results" / "study.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
