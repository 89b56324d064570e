"""How the cost of a scan grows, from 5,000 × 25,000 to 80,000 × 400,000.

    python benchmarks/growth.py [--small]

One thread, ten covariates, file to table. Genotypes are random bytes that hold no missing call:
of no meaning, and as hard as any to compute with. Three costs, each over people times variants: of
the sums over people alone (`products`), which is all that touches genotypes; of the scan with its
regressions; and of the whole process less its start (a run on 4 variants), which has the list of
variants and the table in it as well: these cost the same for each variant however many people there
are. Memory is the peak of anonymous memory (the genotype file itself is mapped, and its pages are
the system's to drop). Beside it two threads: a process starts in one, however many it has then, so
that they pay the more the larger the scan. The last lines extrapolate to 500,000 × 1,000,000 and say from what. --small
leaves out the two largest, which need 10 GB of disk. Writes benchmarks/results/growth.json.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from association import scan
from peers import ONE_THREAD, associate, described, machine, table, timed, written

from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.product import columns, product
from equipoise.tools.linear import block_size

SIZES = [(5_000, 25_000), (10_000, 50_000), (20_000, 100_000), (40_000, 200_000), (80_000, 400_000)]
RUNS = 5
TARGET = 500_000, 1_000_000

ALL_CALLED = np.array(
    [b for b in range(256) if all(b >> 2 * i & 3 != 1 for i in range(4))], np.uint8
)


def random_file(prefix: Path, people: int, variants: int) -> Path:
    """Write random genotypes without a missing call, a few hundred megabytes a second."""
    rng = np.random.default_rng(people)
    with prefix.with_suffix(".bed").open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        left = people // 4 * variants
        while left:
            n = min(left, 50_000_000)
            places = rng.integers(0, len(ALL_CALLED), n, np.uint8)
            file.write(ALL_CALLED[places].data)
            left -= n
    described(prefix, people, variants)
    return prefix


def measured(folder: Path, people: int, variants: int) -> dict[str, float]:
    """Return what a run costs, the median of a few."""
    prefix = random_file(folder / "g", people, variants)
    trait = table(folder / "t.tsv", people)
    command = associate([prefix], [trait], folder / "out.tsv")
    runs = [timed(command, ONE_THREAD) for _ in range(RUNS)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def speedup(folder: Path) -> float:
    """Return how many times quicker two threads are, wall, the median over pairs of runs."""
    command = associate([folder / "g"], [folder / "t.tsv"], folder / "out.tsv")
    ratios: list[float] = []
    for _ in range(RUNS):
        one = timed([*command, "--threads", "1"], ONE_THREAD)["wall"]
        ratios.append(one / timed([*command, "--threads", "2"])["wall"])
    return statistics.median(ratios)


def products(prefix: Path, people: int, variants: int) -> float:
    """Return seconds of the products with eleven columns, file to sums, the best of a few."""
    opened, step = PlinkFile.open(prefix), block_size(people)
    held = columns(np.random.default_rng(1).standard_normal((people, 11)), people)
    times: list[float] = []
    for _ in range(RUNS):
        began = process_time()
        for start in range(0, variants, step):
            product(opened.packed(start, min(start + step, variants)), held)
        times.append(process_time() - began)
    return min(times)


def main() -> None:
    """Time, print, write."""
    sizes = SIZES[:3] if "--small" in sys.argv else SIZES
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for people, variants in sizes:
            start = measured(folder, people, 4)
            run = measured(folder, people, variants)
            each = 1e12 / (people * variants)
            alone = scan(folder / "g", folder / "t.tsv", 1)
            sums = products(folder / "g", people, variants)
            rows.append(
                {
                    "people": people,
                    "variants": variants,
                    "cpu_seconds": run["cpu"],
                    "wall_seconds": run["wall"],
                    "one_thread_over_two_wall": speedup(folder),
                    "start_cpu_seconds": start["cpu"],
                    "picoseconds_a_genotype": {
                        "products": sums * each,
                        "scan": alone * each,
                        "process": (run["cpu"] - start["cpu"]) * each,
                    },
                    "anonymous_mb": run["anonymous_mb"],
                }
            )
            print(rows[-1], flush=True)
    costs = [row["picoseconds_a_genotype"] for row in rows]
    spread = {
        name: max(cost[name] for cost in costs) / min(cost[name] for cost in costs)
        for name in costs[0]
    }
    people, variants = TARGET
    largest = rows[-1]
    written(
        "growth",
        {
            "rows": rows,
            "greatest_over_least_cost": spread,
            "largest_over_smallest_cost": {n: costs[-1][n] / costs[0][n] for n in spread},
            "extrapolated": {
                "people": people,
                "variants": variants,
                "cpu_hours_one_core": costs[-1]["process"] * 1e-12 * people * variants / 3600,
                "from": "the cost a genotype of the largest row, times people times variants",
                "anonymous_mb": largest["anonymous_mb"] * variants / largest["variants"],
                "anonymous_from": "the largest row's, in proportion to variants: a bound",
            },
            **machine(),
        },
    )


if __name__ == "__main__":
    main()
