"""What the benchmarks of genotypes share: made files, timed programs, the floor."""

import json
import os
import platform
import resource
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

PROGRAM = str(Path(sys.executable).with_name("equipoise"))
COVARIATES = [f"c{i}" for i in range(10)]
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


def made(prefix: Path, people: int, variants: int, missing: float = 0.0, seed: int = 1) -> Path:
    """Write random genotypes in Hardy-Weinberg proportions, frequencies from .01 to .5.

    Made up, for measuring speed and agreement alone. People are a multiple of four.
    """
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.01, 0.5, variants).astype(np.float32)
    codes = np.array([3, 2, 0], np.uint8)
    with prefix.with_suffix(".bed").open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        step = max(1, 20_000_000 // people)
        for start in range(0, variants, step):
            p = frequency[start : start + step, None]
            shape = (len(p), people)
            copies = (rng.random(shape, np.float32) < p).astype(np.int8)
            copies += rng.random(shape, np.float32) < p
            code = codes[copies]
            if missing:
                code[rng.random(shape, np.float32) < missing] = 1
            quads = code.reshape(len(p), people // 4, 4)
            file.write((quads << np.array([0, 2, 4, 6], np.uint8)).sum(2, dtype=np.uint8).tobytes())
    described(prefix, people, variants)
    return prefix


def described(prefix: Path, people: int, variants: int) -> None:
    """Write the lists of variants and people that go with a file of genotypes."""
    with prefix.with_suffix(".bim").open("w") as file:
        for i in range(variants):
            file.write(f"{1 + i * 22 // variants}\tv{i}\t0\t{1000 + i * 100}\tA\tG\n")
    rows = (f"0\tP{i}\t0\t0\t{1 + i % 2}\t-9\n" for i in range(people))
    prefix.with_suffix(".fam").write_text("".join(rows))


def table(path: Path, people: int, cases: float = 0.0, first: int = 0, last: int = 0) -> Path:
    """Write a trait that genotypes have no part in, and ten covariates; cases for yes/no."""
    rng = np.random.default_rng(7)
    c = rng.standard_normal((people, len(COVARIATES)))
    y = c @ np.linspace(-0.2, 0.2, c.shape[1]) + rng.standard_normal(people)
    if cases:
        y = (y > np.quantile(y, 1 - cases)).astype(float)
    rows = ["\t".join(["#IID", "y", *COVARIATES])]
    rows += [
        "\t".join([f"P{i}", f"{y[i]:.6g}", *(f"{x:.6f}" for x in c[i])])
        for i in range(first, last or people)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def timed(command: list[str], environment: dict[str, str] | None = None) -> dict[str, float]:
    """Return wall and CPU seconds and the peak of anonymous memory of a whole command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Python keeps bytecode unless it is told not to, which would be timed as well.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
    )
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            for line in status.splitlines():
                if line.startswith("RssAnon:"):
                    peak[0] = max(peak[0], int(line.split()[1]))
            sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    watcher.join()
    if process.returncode:
        raise RuntimeError(errors.decode()[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": perf_counter() - began, "cpu": cpu, "anonymous_mb": peak[0] / 1024}


def plink2(prefix: Path, out: Path, *options: str, threads: int = 1) -> list[str]:
    """Return a command of plink2."""
    common = ["--bfile", str(prefix), "--threads", str(threads), "--out", str(out)]
    return ["plink2", *common, *options]


def glm(phenotypes: Path, *modifiers: str) -> list[str]:
    """Return the options of plink2 for an association with all covariates."""
    options = ["--glm", "hide-covar", "omit-ref", *modifiers]
    options += ["--pheno", str(phenotypes), "--pheno-name", "y"]
    return [*options, "--covar", str(phenotypes), "--covar-name", *COVARIATES]


def associate(genotypes: list[Path], phenotypes: list[Path], out: Path, *options: str) -> list[str]:
    """Return a command of ours."""
    command = [PROGRAM, "associate", "--trait", "y", "--covariates", ",".join(COVARIATES)]
    for path in genotypes:
        command += ["--genotypes", f"{path}.bed"]
    for path in phenotypes:
        command += ["--phenotypes", str(path)]
    return [*command, "--out", str(out), *options]


def floor(people: int, variants: int, columns: int) -> dict[str, float]:
    """Return what no program can beat on one core: the bytes to read and the sums to make.

    Sums at the speed of this machine's product of matrices in single precision, bytes at
    that of copying memory.
    """
    a = np.ones((1536, 1536), np.float32)
    a @ a
    speeds: list[float] = []
    for _ in range(5):
        began = perf_counter()
        a @ a
        speeds.append(2 * 1536**3 / (perf_counter() - began))
    source, target = np.ones(32_000_000), np.empty(32_000_000)
    rates: list[float] = []
    for _ in range(5):
        began = perf_counter()
        np.copyto(target, source)
        rates.append(2 * source.nbytes / (perf_counter() - began))
    flops, rate = float(np.median(speeds)), float(np.median(rates))
    size = people / 4 * variants
    return {
        "sgemm_gflops": flops / 1e9,
        "copy_gb_per_second": rate / 1e9,
        "bytes": size,
        "flops": 2.0 * people * variants * columns,
        "seconds": 2.0 * people * variants * columns / flops + size / rate,
    }


def machine() -> dict[str, object]:
    """Return what the figures were taken on, plink2 among it."""
    peer = subprocess.run(["plink2", "--version"], capture_output=True, text=True, check=True)
    ours = {name: version(name) for name in ("equipoise", "numpy", "numba", "polars")}
    return {"machine": processor(), "versions": {**ours, "plink2": peer.stdout.strip()}}


def processor() -> str:
    """Return the kind of machine, its cores and the Python that runs."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def written(name: str, found: dict[str, object]) -> None:
    """Write and print the figures."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
