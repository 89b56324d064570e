"""How well releases tell who took part: theory beside attacks, simulated and on real genomes.

    .venv/bin/python benchmarks/leakage.py [--data ../shared/data] [--quick]

1. Pools drawn with independent variants, of people tested and not: the membership test of
   `solvers/membership.py` against its theory.
2. The 2,504 genomes of `kg2504`, half of each population in the pool, the other half the
   others of the same ancestry, and other shares, with variants from 5 % on and from 1 % on.
3. The demo, attacked from its folder by `equipoise leakage`: its own people who were refused
   are the others.
4. LiRA on a linear model that has more columns than people, as it is and under the Gaussian
   mechanism at epsilon = 1, beside the leverages of the design.

Writes results/leakage.json. Nothing here is timed but the whole.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from math import exp, sqrt
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise import demo
from equipoise.genotypes import plink
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.source import codes_of
from equipoise.packed.decode import decode, encode
from equipoise.solvers import lira, membership
from equipoise.solvers.distributions import normal_cdf, normal_quantile, root
from equipoise.solvers.membership import Linkage, Stratum
from equipoise.study.run import run
from equipoise.tools.leakage import leak

COPIES = np.array([2, membership.NOT_CALLED, 1, 0], np.uint8)
EPSILON, DELTA = 1.0, 1e-5


def drawn(draw: np.random.Generator, p: NDArray[np.float64], people: int) -> NDArray[np.uint8]:
    """Return copies in Hardy-Weinberg proportions, (variants, people)."""
    each = p.astype(np.float32)[:, None]
    first = draw.random((len(p), people), np.float32) < each
    return first.astype(np.uint8) + (draw.random((len(p), people), np.float32) < each)


def simulated(people: int, variants: int, pools: int) -> dict[str, Any]:
    """Return power and AUC over so many pools, 250 members and 250 others of each tested."""
    draw = np.random.default_rng([1, people, variants])
    p = draw.uniform(0.1, 0.9, variants)
    tested = 250
    hits, above = np.zeros(2, np.int64), []
    for _ in range(pools):
        members = drawn(draw, p, tested)
        rest = draw.binomial(2 * (people - tested), p)
        pool = (members.sum(axis=1) + rest) / (2 * people)
        inside = membership.statistic(members, pool, p, people)
        outside = membership.statistic(drawn(draw, p, tested), pool, p, people)
        gain, loss = np.log(pool / p), np.log((1 - pool) / (1 - p))
        mean = 2 * np.sum(p * gain + (1 - p) * loss)
        sd = np.sqrt(2 * np.sum(p * (1 - p) * (gain - loss) ** 2))
        limits = [mean + normal_quantile(a) * sd for a in membership.ALARMS]
        hits += [np.count_nonzero(inside > limit) for limit in limits]
        above.append(np.mean(inside[:, None] > outside))
    found: dict[str, Any] = {"people": people, "variants": variants, "tested": pools * tested}
    for alarm, n in zip(membership.ALARMS, hits.tolist(), strict=True):
        share = lira.clopper_pearson(n, pools * tested)
        found[f"power_{alarm}"] = [share.value, share.low, share.high]
        found[f"theory_{alarm}"] = membership.membership_power(people, variants, alarm)
    found["auc"], found["theory_auc"] = (
        float(np.mean(above)),
        membership.membership_auc(people, variants),
    )
    return found


def strata_of(
    copies: NDArray[np.uint8], labels: NDArray[np.str_], seed: int, share: float = 0.5
) -> list[Stratum]:
    """Return a share of each population as members, the rest as others."""
    draw = np.random.default_rng(seed)
    found = []
    for name in np.unique(labels):
        own = draw.permutation(np.flatnonzero(labels == name))
        inside = round(share * len(own))
        found.append(Stratum(copies[:, own[:inside]], copies[:, own[inside:]]))
    return found


def attacked(strata: list[Stratum], effective: NDArray[np.float64]) -> dict[str, Any]:
    """Return what the test attains where the pool is the members, and what theory says."""
    members = np.concatenate([s.members for s in strata], axis=1)
    known = members != membership.NOT_CALLED
    pool = np.where(known, members, 0).sum(axis=1) / (2 * np.maximum(known.sum(axis=1), 1))
    people = members.shape[1]
    pairs = membership.paired_statistics(pool, people, strata)
    each = [membership.standardised(pair) for pair in pairs]
    inside, outside = (np.concatenate([pair[i] for pair in each]) for i in (0, 1))
    found = lira.measured((inside, outside), membership.ALARMS, normal=True)
    expected = membership.Attained.of(people, effective, each)
    told: dict[str, Any] = {"people": people, "others": found.others}
    for rate in found.rates:
        power = rate.power
        told[f"power_{rate.false_positives}"] = [power.value, power.low, power.high]
        told[f"theory_{rate.false_positives}"] = expected.power(rate.false_positives)
    told["auc"] = [found.auc.value, found.auc.low, found.auc.high]
    told["theory_auc"] = expected.auc()
    return told


def genomes(data: Path, quick: bool, floor: float) -> dict[str, Any]:
    """Return the attacks on the real genomes: the populations' halves, and smaller pools."""
    file = PlinkFile.open(data / "kg2504" / "kg2504_24k")
    rows = (data / "kg2504" / "kg2504_pops.tsv").read_text().splitlines()[1:]
    population = {row.split("\t")[0]: row.split("\t")[1] for row in rows}
    labels = np.array([population[iid] for iid in file.sample_ids])
    codes = codes_of(file.packed(0, file.n_variants), file.n_samples)
    copies = COPIES[codes][:: 4 if quick else 1]
    called = copies != membership.NOT_CALLED
    frequency = np.where(called, copies, 0).sum(axis=1) / (2 * np.maximum(called.sum(axis=1), 1))
    copies = copies[np.minimum(frequency, 1 - frequency) > floor]
    linkage = Linkage(strata_of(copies, labels, 1))
    for start in range(0, len(copies), 2048):
        linkage.add(strata_of(copies[start : start + 2048], labels, 1))
    effective = linkage.by_stratum()
    pools = [
        attacked(strata_of(copies, labels, seed, share), effective)
        for share in (0.75, 0.5, 0.25, 0.1)
        for seed in range(2, 3 if quick else 8)
    ]
    return {
        "least_minor_frequency": floor,
        "variants": len(copies),
        "effective_variants": linkage.effective(),
        "pools": pools,
    }


def of_the_demo(folder: Path) -> dict[str, Any]:
    """Return the attack on the demo's folder, its own refused people as the others."""
    study = folder / "demo"
    demo.copy(study)
    run(study / "study.toml", folder / "out", None)
    words: list[str] = []
    cases: list[str] = []
    for place, sites in enumerate((("CEU", "GBR"), ("FIN",), ("TSI",))):
        files = [PlinkFile.open(study / "sites" / site / "genotypes.bed") for site in sites]
        n = files[0].n_variants
        calls = np.concatenate([decode(f.packed(0, n), f.n_samples) for f in files], axis=1)
        ids = np.array([iid for f in files for iid in f.sample_ids])
        known: set[str] = set()
        for site in sites:
            table = (folder / "out" / "sites" / site / "scores.tsv").read_text().splitlines()
            known |= {row.split("\t")[0] for row in table[1:]}
            header, *rows = (
                row.split("\t")
                for row in (study / "sites" / site / "phenotypes.tsv").read_text().splitlines()
                if not row.startswith("#")
            )
            at = header.index("GSTT1_null")
            cases += [row[0] for row in rows if row[at] in {"1", "yes"} and row[0] in known]
        chosen = np.isin(ids, sorted(known))
        if np.count_nonzero(~chosen) < membership.LEAST_OTHERS:
            continue
        for name, mask in (("in", chosen), ("out", ~chosen)):
            prefix = folder / f"{place}-{name}"
            plink.write(prefix, encode(calls[:, mask]), files[0].variants, tuple(ids[mask]))
            words.append(f"{prefix}.bed")
    listed = folder / "cases.txt"
    listed.write_text("\n".join(cases) + "\n")
    found = leak(folder / "out", words, listed)
    for row in found["sets"]:
        if row["measured"]:
            del row["measured"]["curve"]
    return {name: found[name] for name in ("effective_variants", "variants", "sets", "model")}


def gaussian_sd(sensitivity: float) -> float:
    """Return the noise of the Gaussian mechanism: Balle and Wang 2018, arXiv 1805.06530, th. 8."""

    def excess(sd: float) -> float:
        a, b = sensitivity / (2 * sd), EPSILON * sd / sensitivity
        return normal_cdf(a - b) - exp(EPSILON) * normal_cdf(-a - b) - DELTA

    return root(excess, 1e-2 * sensitivity, 1e3 * sensitivity)


def linear(noise: float, people: int, columns: int) -> Callable[..., Any]:
    """Return the training of a linear model on X'X and X'y with noise of this SD."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(people, columns))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.where(draw.random(people) < 0.5, 1.0, -1.0)

    def train(chosen: NDArray[np.int64]) -> Callable[..., Any]:
        upper = np.triu(draw.normal(0, noise, (columns, columns)))
        gram = x[chosen].T @ x[chosen] + upper + np.triu(upper, 1).T
        gram += (1e-6 + 2 * noise * sqrt(columns)) * np.eye(columns)
        weight = np.linalg.solve(gram, x[chosen].T @ y[chosen] + draw.normal(0, noise, columns))
        return lambda places: lira.label_confidence(x[places] @ weight, y[places] > 0)

    return train


def models(quick: bool) -> dict[str, Any]:
    """Return LiRA's rates with and without privacy, and the baseline of leverages."""
    people, columns, known, targets = (200, 300, 80, 20) if quick else (400, 600, 160, 60)
    private = gaussian_sd(sqrt(2))
    told: dict[str, Any] = {
        "people": people,
        "columns": columns,
        "epsilon": EPSILON,
        "delta": DELTA,
        "bound_at_1_percent": exp(EPSILON) * 0.01 + DELTA,
    }
    for name, noise in (("without", 0.0), ("private", private), ("noise over 100", private / 100)):
        draw = np.random.default_rng(2)
        train = linear(noise, people, columns)
        shadow, aims = (lira.shadows(train, people, n, draw) for n in (known, targets))
        for how in (lira.online, lira.offline):
            found = lira.attacked(shadow, aims, how)
            rates = {
                f"power_{rate.false_positives}": [rate.power.value, rate.power.low, rate.power.high]
                for rate in found.rates
                if rate.power is not None
            }
            told[f"{name}, {how.__name__}"] = {"auc": found.auc.value, **rates}
    told["leverage_power_at_1_percent"] = {
        str(h): lira.leverage_power(np.array([h]), 0.01) for h in (0.01, 0.1, 0.5, 0.9)
    }
    return told


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside)
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is written")
    asked = parser.parse_args()
    began = perf_counter()
    pools = 4 if asked.quick else 40
    sizes = [(n, m) for n in (500, 2_000) for m in (1_000, 5_000, 20_000)]
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "simulated": [simulated(n, m, pools) for n, m in sizes],
            "genomes": [genomes(asked.data, asked.quick, floor) for floor in (0.05, 0.01)],
            "demo": of_the_demo(Path(folder)),
            "models": models(asked.quick),
        }
    found["seconds"] = perf_counter() - began
    found["machine"] = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    found["versions"] = {name: version(name) for name in ("equipoise", "numpy", "scipy")}
    print(json.dumps(found, indent=1))
    if not asked.quick:
        results = Path(__file__).parent / "results" / "leakage.json"
        results.parent.mkdir(exist_ok=True)
        results.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
