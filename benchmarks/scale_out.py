"""How long scans take by threads and by workers of dask, and whole-genome offsets by size.

    python benchmarks/scale_out.py [--people 20000] [--variants 100000]

Writes benchmarks/results/scale_out.json. Genotypes are random and independent: their time is that
of real ones, their results mean nothing. Needs the extra `cluster`.
"""

import argparse
import json
import os
import platform
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl
from distributed import LocalCluster

from equipoise.genotypes import plink
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import width
from equipoise.tools.associate import Request, associate
from equipoise.tools.design import design
from equipoise.tools.people import Matched
from equipoise.tools.ridge import offsets
from equipoise.tools.sites import open_sites

COVARIATES = 10


def written(folder: Path, people: int, variants: int) -> Path:
    """Write random genotypes without missing calls on 22 chromosomes, and phenotypes."""
    draw = np.random.default_rng(1)
    # Both bits of a code drawn apart would be a missing call in a quarter: 01 becomes 11.
    block = draw.integers(0, 256, (variants, width(people)), np.uint8)
    low = np.uint8(0x55)
    block |= (block & low) << np.uint8(1)
    if people % 4:
        block[:, -1] &= np.uint8((1 << 2 * (people % 4)) - 1)
    rows = {
        HEADER[0]: (np.arange(variants) * 22 // variants + 1).astype(str),
        HEADER[1]: np.arange(1, variants + 1),
        HEADER[2]: ["A"] * variants,
        HEADER[3]: ["G"] * variants,
    }
    ids = tuple(f"P{i}" for i in range(people))
    plink.write(folder / "site", block, Variants.of(pl.DataFrame(rows)), ids)
    names = ["trait", *(f"c{i}" for i in range(COVARIATES))]
    columns = {name: draw.normal(size=people) for name in names}
    pl.DataFrame({"IID": ids, **columns}).write_csv(folder / "phenotypes.tsv", separator="\t")
    return folder / "site.bed"


def scans(folder: Path, file: Path, scheduler: str) -> dict[str, float]:
    """Return wall seconds of a scan by each executor; the tables must be the same."""
    found: dict[str, float] = {}
    covariates = tuple(f"c{i}" for i in range(COVARIATES))
    texts = set()
    ways = {"one thread": (1, None), "two threads": (2, None), "two workers": (1, scheduler)}
    for name, (threads, address) in ways.items():
        out = folder / f"{name}.tsv"
        tables = (folder / "phenotypes.tsv",)
        asked = Request((str(file),), tables, ("trait",), covariates, out)
        began = perf_counter()
        associate(replace(asked, threads=threads, scheduler=address), lambda _: None)
        found[name] = round(perf_counter() - began, 2)
        texts.add(out.read_bytes())
    if len(texts) != 1:
        raise SystemExit("the tables differ")
    return found


def fitted(file: Path, folder: Path) -> dict[str, float]:
    """Return wall and CPU seconds of the offsets of one trait, blocks of 1,000 variants."""
    sites = open_sites([file])
    table = pl.read_csv(folder / "phenotypes.tsv", separator="\t").drop("IID")
    matched = (Matched(np.arange(len(table)), table.to_numpy(), {}),)
    columns = design(matched, ["trait"], [f"c{i}" for i in range(COVARIATES)])
    cohorts = columns.cohorts(sites, matched)
    began, cpu = perf_counter(), process_time()
    offsets(cohorts, columns, sites.variants.chromosome, [sites.sites[0].sample_ids])
    return {"wall": round(perf_counter() - began, 2), "cpu": round(process_time() - cpu, 2)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--variants", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = written(folder, asked.people, asked.variants)
        result = {"offsets_seconds": fitted(file, folder)}
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            address = cluster.scheduler_address.replace("tcp://", "dask://")
            result["scan_seconds"] = scans(folder, file, address)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    versions = {name: version(name) for name in ("numpy", "numba", "distributed", "scipy")}
    size = {"people": asked.people, "variants": asked.variants, "covariates": COVARIATES}
    written_to = Path(__file__).parent / "results" / "scale_out.json"
    told = {"machine": machine, "versions": versions, "size": size, **result}
    written_to.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
