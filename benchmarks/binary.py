"""Yes/no traits under the null beside plink2: type I error at 1e-4, and quantiles.

    python benchmarks/binary.py [--quick]

Made genotypes of 10,000 people in Hardy-Weinberg proportions, no call missing, frequencies
log-uniform from .0005 to .5 (10 to 10,000 copies expected); 40 traits with 1 % cases that follow
ten covariates and that genotypes have no part in, so that every p value is one under the null.
`equipoise associate --binary` tests 40,000 variants, `plink2 --glm firth-fallback` the first
2,800 of them, with the same covariates; --quick takes a tenth of either. Shares of p values
below a level come with exact intervals of 95 % (Clopper and Pearson 1934,
doi:10.1093/biomet/26.4.404), which take tests as independent: variants are, and traits are but
for the covariates they share. Writes benchmarks/results/binary.json.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from peers import COVARIATES, ONE_THREAD, PROGRAM, described, machine, plink2, timed, written
from scipy import stats

PEOPLE, VARIANTS, BESIDE, CASES = 10_000, 40_000, 2_800, 0.01
TRAITS = [f"y{i}" for i in range(40)]
FREQUENCIES = 0.0005, 0.5
LEVELS = 1e-2, 1e-3, 1e-4
QUANTILES = 0.5, 0.1, 1e-2, 1e-3, 1e-4
MEDIAN = float(stats.chi2.median(1))

Array = NDArray[np.float64]


def made(prefix: Path, variants: int) -> Path:
    """Write random genotypes, rare ones among them."""
    rng = np.random.default_rng(21)
    frequency = np.exp(rng.uniform(*np.log(FREQUENCIES), variants)).astype(np.float32)
    codes = np.array([3, 2, 0], np.uint8)
    with prefix.with_suffix(".bed").open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        step = 1_000
        for start in range(0, variants, step):
            p = frequency[start : start + step, None]
            copies = (rng.random((len(p), PEOPLE), np.float32) < p).astype(np.int8)
            copies += rng.random(copies.shape, np.float32) < p
            quads = codes[copies].reshape(len(p), PEOPLE // 4, 4)
            file.write((quads << np.array([0, 2, 4, 6], np.uint8)).sum(2, dtype=np.uint8).tobytes())
    described(prefix, PEOPLE, variants)
    return prefix


def table(path: Path) -> Path:
    """Write the traits and their covariates; each trait weighs the covariates in its own way."""
    rng = np.random.default_rng(22)
    c = rng.standard_normal((PEOPLE, len(COVARIATES)))
    columns = {"#IID": [f"P{i}" for i in range(PEOPLE)]}
    for trait in TRAITS:
        weights = rng.permutation(np.linspace(-0.2, 0.2, len(COVARIATES)))
        liability = c @ weights + rng.standard_normal(PEOPLE)
        columns[trait] = (liability > np.quantile(liability, 1 - CASES)).astype(int)
    columns |= {name: c[:, i].round(6) for i, name in enumerate(COVARIATES)}
    pl.DataFrame(columns).write_csv(path, separator="\t")
    return path


def ours(prefix: Path, phenotypes: Path, out: Path) -> tuple[Array, Array]:
    """Return p, (traits, variants), and minor allele counts, by `associate --binary`."""
    command = [PROGRAM, "associate", "--binary", "--genotypes", f"{prefix}.bed"]
    command += ["--phenotypes", str(phenotypes), "--covariates", ",".join(COVARIATES)]
    command += [x for trait in TRAITS for x in ("--trait", trait)]
    timed([*command, "--out", str(out)], ONE_THREAD)
    read = {"separator": "\t", "null_values": "NA"}
    tables = [pl.read_csv(out.with_suffix(f".{trait}.tsv"), **read) for trait in TRAITS]
    p = [10.0 ** -one["neg_log_10_p_value"].cast(pl.Float64).to_numpy() for one in tables]
    share = tables[0]["effect_allele_frequency"].to_numpy()
    return np.stack(p), np.rint(2 * PEOPLE * np.minimum(share, 1 - share))


def theirs(prefix: Path, phenotypes: Path, out: Path, variants: int) -> tuple[Array, list[str]]:
    """Return p, (traits, variants), of the first variants by plink2, and its codes of error."""
    options = ["--glm", "firth-fallback", "hide-covar", "omit-ref", "--1"]
    options += ["--pheno", str(phenotypes), "--pheno-name", *TRAITS]
    options += ["--covar", str(phenotypes), "--covar-name", *COVARIATES]
    names = out.with_suffix(".names")
    names.write_text("".join(f"v{i}\n" for i in range(variants)))
    timed(plink2(prefix, out, "--extract", str(names), *options))
    found, codes = list[Array](), list[str]()
    for trait in TRAITS:
        path = out.with_name(f"{out.name}.{trait}.glm.logistic.hybrid")
        one = pl.read_csv(path, separator="\t", null_values="NA", infer_schema_length=None)
        if one["ID"].to_list() != [f"v{i}" for i in range(variants)]:
            raise RuntimeError(f"{path.name} has other variants than were asked for")
        found.append(one["P"].cast(pl.Float64).to_numpy())
        codes += one.filter(pl.col("P").is_null())["ERRCODE"].to_list()
    return np.stack(found), codes


def below(p: Array, level: float) -> dict[str, float]:
    """Return how many p values are below a level, and their share with its interval."""
    count, n = int(np.count_nonzero(p < level)), len(p)
    interval = stats.binomtest(count, n).proportion_ci(method="exact")
    return {"count": count, "share": count / n, "low": interval.low, "high": interval.high}


def calibration(p: Array) -> dict[str, object]:
    """Return shares below levels, the inflation at the median, and quantiles, of p (tests,)."""
    if not len(p):
        return {"tests": 0}
    return {
        "tests": len(p),
        "below": {f"{level:g}": below(p, level) for level in LEVELS},
        "lambda": float(stats.chi2.isf(np.median(p), 1)) / MEDIAN,
        "neg_log_10_p_at_quantile": {
            f"{q:g}": float(-np.log10(np.quantile(p, q))) for q in QUANTILES
        },
    }


def by_class(p: Array, mac: Array, use: NDArray[np.bool_]) -> dict[str, object]:
    """Return the calibration of tests to be used, all and by minor allele count.

    p, use  (traits, variants);  mac  (variants,)
    """
    classes = {
        "all": mac >= 0,
        "below_20": mac < 20,
        "20_to_200": (mac >= 20) & (mac <= 200),
        "above_200": mac > 200,
    }
    found: dict[str, object] = {}
    for name, inside in classes.items():
        part, used = p[:, inside], use[:, inside]
        found[name] = {"without_p": int(np.isnan(part).sum()), **calibration(part[used])}
    return found


def main() -> None:
    """Test, count, print, write."""
    tenth = 10 if "--quick" in sys.argv else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefix, traits = made(folder / "made", VARIANTS // tenth), table(folder / "traits.tsv")
        mine, mac = ours(prefix, traits, folder / "ours.tsv")
        peer, codes = theirs(prefix, traits, folder / "theirs", BESIDE // tenth)
    beside = mine[:, : peer.shape[1]]
    both = ~np.isnan(beside) & ~np.isnan(peer)
    found: dict[str, object] = {
        "design": {
            "people": PEOPLE,
            "cases": round(PEOPLE * CASES),
            "covariates": len(COVARIATES),
            "traits": len(TRAITS),
            "frequencies": FREQUENCIES,
            "variants": mine.shape[1],
            "variants_beside_plink2": peer.shape[1],
        },
        "same_tests": {
            "tests_asked_for": both.size,
            "ours": by_class(beside, mac[: peer.shape[1]], both),
            "plink2": by_class(peer, mac[: peer.shape[1]], both),
            "plink2_codes_where_it_has_no_p": {c: codes.count(c) for c in sorted(set(codes))},
        },
        "all_tests": {"ours": by_class(mine, mac, ~np.isnan(mine))},
    }
    written("binary", {**found, **machine()})


if __name__ == "__main__":
    main()
