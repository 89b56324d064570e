"""What moments for risk models cost a site: G'G by LD block, stratum and fold, and the rest.

    python benchmarks/moments.py [--quick]

20,000 people of four strata (75, 10, 8 and 7 %), five folds, ten covariates, LD blocks of 100 to
300 variants: 100,000 variants, and a quarter of them for the cost of a variant at two sizes;
--quick takes a tenth of both. Genotypes are random bytes without a missing call, of no meaning
and as hard as any to multiply; the last rows have .1 and 1 % of calls missing. Each run is a
process of its own. `counts` is the round before; `sums` the site's sums, file to numbers;
`streamed` those, encoded as they go out, decoded and read as moments block by block. One thread
each, and two for one run of all variants. CPU seconds are those of the process; wall seconds mean
little where others compute beside.

The floor is what the triangles of G'G would take at the speed of the processor's dot product of
bytes, measured on rows that stay in the first cache; sgemm is beside it. Memory is the peak of
anonymous memory (the genotype file is mapped). Writes benchmarks/results/moments.json.
"""

import json
import os
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from growth import random_file
from peers import ONE_THREAD, floor, made, processor, timed, written

from equipoise.analyses.frequency import Frequency
from equipoise.analyses.moment_totals import MomentsState
from equipoise.analyses.moments import Moments
from equipoise.cohort import Cohort
from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.cell_loops import LEFT_AT_ONCE, add_products, room_for
from equipoise.packed.processor import LANES, byte_products
from equipoise.sums import Sums, decode, encode
from equipoise.tools.adding import Adding

PEOPLE, VARIANTS, FOLDS = 20_000, 100_000, 5
SHARES = (0.75, 0.10, 0.08, 0.07)
COVARIATES = tuple(f"c{i}" for i in range(10))


def blocks(variants: int) -> tuple[int, ...]:
    """Return where LD blocks of 100 to 300 variants begin."""
    sizes = np.random.default_rng(5).integers(100, 301, variants // 100)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return (*starts[starts < variants].tolist(), variants)


def cohort(prefix: Path, people: int, pool: ThreadPoolExecutor | None) -> Cohort:
    """Return made-up people on a file of genotypes."""
    rng = np.random.default_rng(3)
    columns = {name: np.clip(rng.standard_normal(people), -4, 4) for name in (*COVARIATES, "y")}
    columns["stratum"] = rng.choice(len(SHARES), people, p=SHARES).astype(np.float64)
    rows, fold = np.arange(people), rng.integers(0, FOLDS, people)
    return Cohort(PlinkFile.open(prefix), rows, columns, fold, pool)


def seconds(work: Callable[[], None]) -> dict[str, float]:
    """Return CPU and wall seconds of some work."""
    cpu, wall = process_time(), perf_counter()
    work()
    return {"cpu": process_time() - cpu, "wall": perf_counter() - wall}


def stages(prefix: Path, people: int, variants: int, threads: int) -> dict[str, Any]:
    """Return what each stage of one site costs."""
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    site, found = cohort(prefix, people, pool), dict[str, Any]()
    counting = Frequency(people, variants, 1, 1)
    Adding([site]).run(Frequency(people, 64, 1, 1))
    found["counts"] = seconds(lambda: drained(iter([Adding([site]).run(counting)])))
    analysis = Moments(
        people=people,
        folds=FOLDS,
        starts=blocks(variants),
        trait="y",
        covariates=COVARIATES,
        bounds=(4.0,) * (len(COVARIATES) + 1),
        counted=(people,) * len(SHARES),
        frequencies=Adding([site]).run(counting),
        stratum="stratum",
    )
    found["columns"] = [asdict(told) for told in analysis.columns]
    # The first block compiles, or loads what was compiled.
    next(part for i, part in enumerate(analysis.summarise(site, MomentsState())) if i)
    found["sums"] = seconds(lambda: drained(analysis.summarise(site, MomentsState())))
    found["streamed"] = seconds(lambda: drained(analysis.by_block(streamed(analysis, site))))
    pairs = sum((b - a) * (b - a + 1) // 2 for a, b in pairwise(analysis.starts))
    found["pairs_a_person"] = pairs
    found["values"] = analysis.schema(MomentsState()).size
    return found


def drained(stream: Iterator[Any]) -> None:
    """Read a stream to its end."""
    deque(stream, maxlen=0)


def streamed(analysis: Moments, site: Cohort) -> Iterator[Sums]:
    """Yield totals as they come out of encoding, block by block."""
    schema = analysis.schema(MomentsState())
    sums = analysis.summarise(site, MomentsState())
    for block, part in zip(schema.blocks, sums, strict=True):
        yield decode(block, encode(block, part, site.n))


def byte_speed() -> float:
    """Return products of bytes a second on one core, the best of a few; 0 without them."""
    if not byte_products():
        return 0.0
    people, right = 2048, 96
    rng = np.random.default_rng(1)
    left = rng.integers(0, 3, (LEFT_AT_ONCE, people + LANES), np.uint8)
    other = rng.integers(0, 3, (right, people + LANES)).astype(np.int8)
    edges, sums = np.array([0, people]), np.zeros((1, LEFT_AT_ONCE, right), np.int64)
    times: list[float] = []
    for _ in range(20):
        began = process_time()
        for _ in range(100):
            add_products(left, other, edges, 0, sums, room_for(right))
        times.append(process_time() - began)
    return 100 * LEFT_AT_ONCE * right * people / min(times)


def measured(folder: Path, prefix: Path, variants: int, threads: int = 1) -> dict[str, Any]:
    """Return the stages of one run in a process of its own, its memory, and costs."""
    out = folder / "found.json"
    command = [sys.executable, __file__, "--one", str(prefix), str(variants), str(threads)]
    run = timed([*command, str(out)], ONE_THREAD)
    found = json.loads(out.read_text())
    products = PEOPLE * found["pairs_a_person"]
    return {
        "variants": variants,
        "threads": threads,
        **found,
        "anonymous_mb": run["anonymous_mb"],
        "giga_products_a_cpu_second": products / found["sums"]["cpu"] / 1e9,
        "cpu_microseconds_a_variant": {
            name: found[name]["cpu"] / variants * 1e6 for name in ("counts", "sums", "streamed")
        },
    }


def main() -> None:
    """Time, print, write."""
    if "--one" in sys.argv:
        prefix, variants, threads, out = sys.argv[2:]
        found = stages(Path(prefix), PEOPLE, int(variants), int(threads))
        Path(out).write_text(json.dumps(found))
        return
    variants = VARIANTS // 10 if "--quick" in sys.argv else VARIANTS
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = random_file(folder / "large", PEOPLE, variants)
        small = random_file(folder / "small", PEOPLE, variants // 4)
        some = made(folder / "some_missing", PEOPLE, variants // 4, missing=0.001)
        many = made(folder / "many_missing", PEOPLE, variants // 4, missing=0.01)
        for prefix, n, threads in (
            (small, variants // 4, 1),
            (large, variants, 1),
            (large, variants, 2),
            (some, variants // 4, 1),
            (many, variants // 4, 1),
        ):
            rows.append({"genotypes": prefix.name, **measured(folder, prefix, n, threads)})
            print(rows[-1], flush=True)
    speed, of = byte_speed(), rows[1]["pairs_a_person"]
    sgemm = floor(PEOPLE, variants, 1)["sgemm_gflops"]
    small_cost, large_cost = (row["cpu_microseconds_a_variant"] for row in rows[:2])
    written(
        "moments",
        {
            "people": PEOPLE,
            "strata": len(SHARES),
            "folds": FOLDS,
            "rows": rows,
            "floor": {
                "byte_products_giga_a_second": speed / 1e9,
                "sgemm_giga_products_a_second": sgemm / 2,
                "seconds": PEOPLE * of / speed if speed else None,
                "sums_over_floor": rows[1]["sums"]["cpu"] * speed / (PEOPLE * of),
            },
            "cost_of_a_variant_large_over_small": {
                name: large_cost[name] / small_cost[name] for name in large_cost
            },
            "load_average_at_the_end": os.getloadavg()[0],
            "machine": processor(),
        },
    )


if __name__ == "__main__":
    main()
