"""How long a genome scan takes, file to table, beside plink2 in the same run.

    python benchmarks/association.py [--quick]

20,000 people, 100,000 variants, 10 covariates, one thread each: linear, without and with .5 % of
calls missing; counts; two threads; four sites under masks beside all people in one file; a
yes/no trait with 1 % cases beside `plink2 --glm firth-fallback` (its first 1,000 variants).
plink2 needs minutes where calls are missing: it is run once, on the first 5,000 variants with
--quick. Times are whole processes, start and imports included; `loaded` is the scan and its table
within a process that has them already. Writes benchmarks/results/association.json.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
from peers import (
    COVARIATES,
    ONE_THREAD,
    associate,
    floor,
    glm,
    machine,
    made,
    plink2,
    table,
    timed,
    written,
)

from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.counts import genotype_counts

PEOPLE, VARIANTS, RUNS, SITES = 20_000, 100_000, 5, 4

LOADED = """
import sys, time
from pathlib import Path
from equipoise.tools.associate import Request, associate
request = Request((sys.argv[1],), (Path(sys.argv[2]),), ("y",), tuple({names!r}), Path(sys.argv[3]),
                  threads=int(sys.argv[4]))
times = []
for _ in range(4):
    began = time.perf_counter()
    associate(request, lambda share: None)
    times.append(time.perf_counter() - began)
print(sorted(times[1:])[1])
"""


def loaded(genotypes: Path, phenotypes: Path, out: Path, threads: int) -> float:
    """Return wall seconds of file to table in a process that has the program already."""
    code = LOADED.format(names=COVARIATES)
    command = [sys.executable, "-c", code, f"{genotypes}.bed", str(phenotypes), str(out)]
    environment = {**os.environ, **ONE_THREAD, "POLARS_MAX_THREADS": str(threads)}
    ran = subprocess.run(
        [*command, str(threads)], capture_output=True, text=True, check=True, env=environment
    )
    return float(ran.stdout)


SCAN = """
import sys, time
from collections import deque
from pathlib import Path
from equipoise.tools import design, linear, people, sites
from equipoise.tools.executors import executor
names = tuple({names!r})
opened = sites.open_sites([sys.argv[1]])
matched = people.match(opened, [people.read_tables([Path(sys.argv[2])], ("y",), names)], 1)
columns = design.design(matched, ("y",), names)
(cohort,) = columns.cohorts(opened, matched)
times = []
with executor(int(sys.argv[3])) as pool:
    for _ in range(4):
        began = time.perf_counter()
        deque(linear.at_one_site(cohort, columns, pool, lambda block: None), 0)
        times.append(time.perf_counter() - began)
print(sorted(times[1:])[1])
"""


def scan(genotypes: Path, phenotypes: Path, threads: int) -> float:
    """Return wall seconds of the scan alone: no start, no reading of lists, no table."""
    code = SCAN.format(names=COVARIATES)
    command = [sys.executable, "-c", code, f"{genotypes}.bed", str(phenotypes), str(threads)]
    environment = {**os.environ, **ONE_THREAD}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(ran.stdout)


def ratio(peer: list[dict[str, float]], ours: list[dict[str, float]], of: str = "cpu") -> float:
    """Return how many times quicker we are, the median over pairs."""
    return statistics.median(p[of] / o[of] for p, o in zip(peer, ours, strict=True))


def middle(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def agreement(ours: Path, theirs: Path) -> dict[str, float]:
    """Return how far t is from plink2's, at the variants that it has."""
    mine = pl.read_csv(ours, separator="\t", null_values="NA")
    peer = pl.read_csv(theirs, separator="\t", null_values="NA", infer_schema_length=None)
    joined = peer.join(mine.with_columns(ID=pl.col("name")), on="ID", how="left")
    sign = np.where(joined["A1"] == joined["effect_allele"], 1, -1)
    t = (joined["beta"] / joined["standard_error"]).to_numpy() * sign
    return {
        "variants": float(len(joined)),
        "greatest_difference_of_t": float(np.nanmax(np.abs(t - joined["T_STAT"].to_numpy()))),
    }


def split(prefix: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the people of a file as four sites."""
    block = np.memmap(prefix.with_suffix(".bed"), np.uint8, "r", 3, (VARIANTS, PEOPLE // 4))
    fam = prefix.with_suffix(".fam").read_text().splitlines(keepends=True)
    genotypes, tables, each = list[Path](), list[Path](), PEOPLE // SITES
    for i in range(SITES):
        site = folder / f"site{i}"
        with site.with_suffix(".bed").open("wb") as file:
            file.write(b"\x6c\x1b\x01")
            file.write(np.ascontiguousarray(block[:, i * each // 4 : (i + 1) * each // 4]).data)
        site.with_suffix(".fam").write_text("".join(fam[i * each : (i + 1) * each]))
        site.with_suffix(".bim").write_bytes(prefix.with_suffix(".bim").read_bytes())
        genotypes.append(site)
        tables.append(table(folder / f"site{i}.tsv", PEOPLE, 0.0, i * each, (i + 1) * each))
    return genotypes, tables


def main() -> None:
    """Time, print, write."""
    quick = "--quick" in sys.argv
    least = floor(PEOPLE, VARIANTS, len(COVARIATES) + 2)
    found: dict[str, object] = {"people": PEOPLE, "variants": VARIANTS, "floor": least}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        full, some = made(folder / "full", PEOPLE, VARIANTS), folder / "some"
        made(some, PEOPLE, VARIANTS, 0.005)
        trait, cases = table(folder / "trait.tsv", PEOPLE), table(folder / "c.tsv", PEOPLE, 0.01)
        ours, theirs = folder / "ours.tsv", folder / "theirs"
        one = associate([full], [trait], ours)
        timed(one, ONE_THREAD)  # compiled and cached
        pairs = [
            (timed(one, ONE_THREAD), timed(plink2(full, theirs, *glm(trait)))) for _ in range(RUNS)
        ]
        mine, peer = [list(runs) for runs in zip(*pairs, strict=True)]
        quiet = {threads: loaded(full, trait, ours, threads) for threads in (1, 2)}
        alone = {threads: scan(full, trait, threads) for threads in (1, 2)}
        two = [timed([*one, "--threads", "2"]) for _ in range(RUNS)]
        found["linear"] = {
            "ours": middle(mine),
            "plink2": middle(peer),
            "plink2_over_ours_cpu": ratio(peer, mine),
            "plink2_over_ours_wall": ratio(peer, mine, "wall"),
            "loaded_seconds": quiet,
            "plink2_cpu_over_ours_loaded": middle(peer)["cpu"] / quiet[1],
            "two_threads": middle(two),
            "one_thread_over_two_wall": ratio(mine, two, "wall"),
            "one_thread_over_two_loaded": quiet[1] / quiet[2],
            "scan_alone_seconds": alone,
            "one_thread_over_two_scan_alone": alone[1] / alone[2],
            "scan_alone_over_floor": alone[1] / least["seconds"],
            "ours_over_floor_loaded": quiet[1] / least["seconds"],
            "ours_over_floor_cpu": middle(mine)["cpu"] / least["seconds"],
            "agreement": agreement(ours, folder / "theirs.y.glm.linear"),
        }
        found["missing"] = missing(some, trait, folder, quick)
        found["four_sites"] = masks(full, trait, folder)
        found["counts"] = counts(some, folder)
        found["binary"] = binary(full, cases, folder)
    written("association", {**found, **machine()})


def missing(some: Path, trait: Path, folder: Path, quick: bool) -> dict[str, object]:
    """Return the same where .5 % of calls are missing."""
    ours, theirs = folder / "ours.tsv", folder / "theirs"
    mine = [timed(associate([some], [trait], ours), ONE_THREAD) for _ in range(RUNS)]
    part, variants = some, VARIANTS
    if quick:
        variants, part = 5_000, folder / "part"
        first(some, part, variants)
    peer = timed(plink2(part, theirs, *glm(trait)))
    scaled = peer["cpu"] * VARIANTS / variants
    return {
        "ours": middle(mine),
        "plink2": {**peer, "variants": variants},
        "plink2_over_ours_cpu": scaled / middle(mine)["cpu"],
        "agreement": agreement(ours, folder / "theirs.y.glm.linear"),
    }


def first(prefix: Path, part: Path, variants: int) -> None:
    """Write the first variants of a file."""
    names = part.with_suffix(".names")
    names.write_text("".join(f"v{i}\n" for i in range(variants)))
    timed(plink2(prefix, part, "--make-bed", "--extract", str(names)))


def masks(full: Path, trait: Path, folder: Path) -> dict[str, object]:
    """Return the CPU time of four sites under masks beside that of one file."""
    genotypes, tables = split(full, folder)
    sites = associate(genotypes, tables, folder / "sites.tsv", "--protection", "masked")
    pooled = associate([full], [trait], folder / "pooled.tsv")
    pairs = [(timed(sites, ONE_THREAD), timed(pooled, ONE_THREAD)) for _ in range(RUNS)]
    mine, peer = [list(runs) for runs in zip(*pairs, strict=True)]
    return {
        "four_sites_masked": middle(mine),
        "one_file_clear": middle(peer),
        "sites_over_one_cpu": ratio(mine, peer),
    }


def counts(some: Path, folder: Path) -> dict[str, object]:
    """Return the time of genotype counts: the kernel, and plink2's whole command."""
    peer = [timed(plink2(some, folder / "counts", "--geno-counts")) for _ in range(RUNS)]
    opened, times = PlinkFile.open(some), list[float]()
    for _ in range(RUNS + 1):
        began = perf_counter()
        parts = [
            genotype_counts(opened.packed(s, s + 1000), PEOPLE) for s in range(0, VARIANTS, 1000)
        ]
        times.append(perf_counter() - began)
    ours = np.concatenate(parts)
    table_ = pl.read_csv(folder / "counts.gcount", separator="\t")
    columns = ["TWO_ALT_GENO_CTS", "HET_REF_ALT_CTS", "HOM_REF_CT", "MISSING_CT"]
    return {
        "ours_seconds": statistics.median(times[1:]),
        "plink2": middle(peer),
        "plink2_over_ours": middle(peer)["cpu"] / statistics.median(times[1:]),
        "identical": bool(np.array_equal(ours, table_.select(columns).to_numpy())),
    }


def binary(full: Path, cases: Path, folder: Path) -> dict[str, object]:
    """Return the time a variant takes with 1 % cases."""
    ours = associate([full], [cases], folder / "binary.tsv", "--binary")
    timed(ours, ONE_THREAD)
    mine = [timed(ours, ONE_THREAD) for _ in range(3)]
    part, variants = folder / "first", 1_000
    first(full, part, variants)
    peer = timed(plink2(part, folder / "peer", "--1", *glm(cases, "firth-fallback")))
    each = {"ours": middle(mine)["cpu"] / VARIANTS, "plink2": peer["cpu"] / variants}
    return {
        "ours": middle(mine),
        "seconds_a_variant": each,
        "plink2_over_ours": each["plink2"] / each["ours"],
    }


if __name__ == "__main__":
    main()
