"""What our figures differ by from plink2's, on real genotypes and on made ones.

    python benchmarks/agreement.py [PREFIX]

PREFIX is a PLINK file of real people (by default that of 2,504 people of the 1000 Genomes in
../shared/data/kg2504, where it is there); made genotypes with missing calls come besides. Traits
are simulated. Compared are genotype counts, Hardy-Weinberg p and mid-p, missingness by variant and
person, linear t with complete cases and, over four sites, with imputed dosages, Firth's effects,
kinship, components, and whether pruned variants satisfy their bound. Writes
benchmarks/results/agreement.json.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from peers import PROGRAM, machine, made, timed, written

from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.counts import genotype_counts
from equipoise.packed.decode import decode
from equipoise.packed.missing import missing_counts
from equipoise.solvers.hardy_exact import neg_log_10_p

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "kg2504"


def table(path: Path) -> pl.DataFrame:
    """Return a table of plink2's or ours."""
    return pl.read_csv(path, separator="\t", null_values=["NA", "."], infer_schema_length=None)


def peer(prefix: Path, out: Path, *options: str, kind: str = "--bfile") -> None:
    """Run plink2."""
    subprocess.run(
        ["plink2", kind, str(prefix), "--out", str(out), *options],
        check=True,
        capture_output=True,
    )


def ours(*options: object) -> None:
    """Run a command of ours."""
    timed([PROGRAM, *map(str, options)])


def greatest(left: np.ndarray, right: np.ndarray) -> float:
    """Return the greatest absolute difference; NaN in one alone is infinitely far."""
    if np.any(np.isnan(left) != np.isnan(right)):
        return float("inf")
    return float(np.nanmax(np.abs(left - right), initial=0.0))


def relative(left: np.ndarray, right: np.ndarray) -> float:
    """Return the greatest relative difference, of those that a double holds."""
    held = (right > 1e-300) & (left > 1e-300)
    return float(np.max(np.abs(left[held] / right[held] - 1), initial=0.0))


def counts(prefix: Path, folder: Path) -> dict[str, object]:
    """Compare counts, Hardy-Weinberg and missingness."""
    peer(prefix, folder / "p", "--geno-counts", "--hardy", "--missing")
    peer(prefix, folder / "mid", "--hardy", "midp")
    opened = PlinkFile.open(prefix)
    block = opened.packed(0, opened.n_variants)
    found = genotype_counts(block, opened.n_samples)
    theirs = table(folder / "p.gcount").select(
        "TWO_ALT_GENO_CTS", "HET_REF_ALT_CTS", "HOM_REF_CT", "MISSING_CT"
    )
    p, mid = (10.0**-x for x in neg_log_10_p(found[:, 1], found[:, 0], found[:, 2]))
    hardy = table(folder / "p.hardy")["P"].to_numpy()
    middle = table(folder / "mid.hardy")["MIDP"].to_numpy()
    lost = missing_counts(block, opened.n_samples)
    return {
        "variants": opened.n_variants,
        "people": opened.n_samples,
        "counts_identical": bool(np.array_equal(found, theirs.to_numpy())),
        "greatest_relative_difference_of_hwe_p": relative(p, hardy),
        "greatest_relative_difference_of_hwe_mid_p": relative(mid, middle),
        "missing_by_variant_identical": bool(
            np.array_equal(found[:, 3], table(folder / "p.vmiss")["MISSING_CT"].to_numpy())
        ),
        "missing_by_person_identical": bool(
            np.array_equal(lost, table(folder / "p.smiss")["MISSING_CT"].to_numpy())
        ),
    }


def phenotypes(prefix: Path, path: Path, rows: slice = slice(None)) -> Path:
    """Write simulated traits and covariates for people of a file, the same for each person."""
    opened = PlinkFile.open(prefix)
    rng = np.random.default_rng(11)
    n = opened.n_samples
    g = np.nan_to_num(decode(opened.packed(10, 11), n)[0])
    c = rng.standard_normal((n, 3))
    y = 0.3 * g + c @ [0.2, -0.1, 0.0] + rng.standard_normal(n)
    case = (rng.random(n) < 1 / (1 + np.exp(2.5 - 0.5 * g - 0.3 * c[:, 0]))).astype(int)
    frame = pl.DataFrame({"#IID": opened.sample_ids, "y": y, "case": case})
    frame = frame.with_columns(pl.Series(f"c{i}", c[:, i]) for i in range(3))
    frame[rows].write_csv(path, separator="\t")
    return path


def linear(prefix: Path, folder: Path) -> dict[str, object]:
    """Compare t: complete cases at one site, imputed dosages over four."""
    trait = phenotypes(prefix, folder / "t.tsv")
    options = ["--pheno", str(trait), "--pheno-name", "y", "--covar", str(trait)]
    options += ["--covar-name", "c0", "c1", "c2", "--vif", "1000"]
    peer(prefix, folder / "p", "--glm", "hide-covar", "omit-ref", *options)
    common = ("--trait", "y", "--covariates", "c0,c1,c2")
    one = folder / "one.tsv"
    ours("associate", "--genotypes", f"{prefix}.bed", "--phenotypes", trait, *common, "--out", one)
    sites, tables = split(prefix, folder)
    many = folder / "many.tsv"
    named = [x for site in sites for x in ("--genotypes", f"{site}.bed")]
    named += [x for one in tables for x in ("--phenotypes", one)]
    ours("associate", *named, *common, "--out", many)
    whole = imputed(prefix, folder)
    peer(whole, folder / "i", "--glm", "hide-covar", "omit-ref", *options, kind="--pfile")
    return {
        "complete_cases_greatest_difference_of_t": t_apart(one, folder / "p.y.glm.linear"),
        "four_masked_sites_greatest_difference_of_t": t_apart(many, folder / "i.y.glm.linear"),
    }


def t_apart(mine: Path, theirs: Path) -> float:
    """Return the greatest difference of t; both tables are in the order of the file."""
    own, other = table(mine), table(theirs)
    sign = np.where(own["effect_allele"] == other["A1"], 1.0, -1.0)
    t = (own["beta"] / own["standard_error"]).to_numpy() * sign
    return greatest(t.astype(float), other["T_STAT"].cast(pl.Float64).to_numpy())


def imputed(prefix: Path, folder: Path) -> Path:
    """Write the dosages with the mean for a missing call, as a PGEN, and name it."""
    import_ = folder / "imputed"
    opened = PlinkFile.open(prefix)
    people = opened.sample_ids
    with (folder / "imputed.vcf").open("w") as file:
        file.write("##fileformat=VCFv4.2\n")
        file.write('##FORMAT=<ID=DS,Number=A,Type=Float,Description="dosage">\n')
        file.write("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]))
        file.write("\tFORMAT\t" + "\t".join(people) + "\n")
        v = opened.variants
        for i in range(opened.n_variants):
            g = decode(opened.packed(i, i + 1), opened.n_samples)[0]
            g = np.where(np.isnan(g), np.nanmean(g) if np.isfinite(g).any() else 0.0, g)
            head = [v.chromosome[i], str(v.position[i]), f"r{i}", v.other_allele[i]]
            cells = [f"{x:.6f}".rstrip("0").rstrip(".") for x in g.tolist()]
            line = [*map(str, head), str(v.effect_allele[i]), ".", ".", ".", "DS", *cells]
            file.write("\t".join(line) + "\n")
    subprocess.run(
        [
            *("plink2", "--vcf", str(folder / "imputed.vcf"), "dosage=DS", "--make-pgen"),
            *("--out", str(import_)),
        ],
        check=True,
        capture_output=True,
    )
    return import_


def split(prefix: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the people as four sites."""
    opened = PlinkFile.open(prefix)
    each = -(-opened.n_samples // 4)
    sites, tables = list[Path](), list[Path]()
    for i in range(4):
        part = slice(i * each, (i + 1) * each)
        names = folder / f"names{i}"
        names.write_text("\n".join(["#IID", *opened.sample_ids[part]]) + "\n")
        peer(prefix, folder / f"site{i}", "--keep", str(names), "--make-bed")
        sites.append(folder / f"site{i}")
        tables.append(phenotypes(prefix, folder / f"t{i}.tsv", part))
    return sites, tables


def firth(prefix: Path, folder: Path) -> dict[str, object]:
    """Compare Firth's effects of the first thousand variants."""
    opened = PlinkFile.open(prefix)
    names = folder / "names"
    names.write_text("\n".join(map(str, opened.ids[:1000])) + "\n")
    part = folder / "part"
    peer(prefix, part, "--extract", str(names), "--make-bed")
    trait = phenotypes(prefix, folder / "t.tsv")
    options = ["--1", "--pheno", str(trait), "--pheno-name", "case", "--covar", str(trait)]
    options += ["--covar-name", "c0", "c1", "c2", "--vif", "1000"]
    peer(part, folder / "f", "--glm", "firth", "hide-covar", "omit-ref", "cols=+beta", *options)
    mine = folder / "firth.tsv"
    common = ("--trait", "case", "--covariates", "c0,c1,c2", "--binary", "--firth")
    ours("associate", "--genotypes", f"{part}.bed", "--phenotypes", trait, *common, "--out", mine)
    return effects_apart(table(mine), table(folder / "f.case.glm.firth"))


def effects_apart(own: pl.DataFrame, other: pl.DataFrame) -> dict[str, object]:
    """Compare effects variant by variant, of one allele, and count why some have none.

    A variant is compared where both tables have Firth's effect of it; `by_reason` counts all
    variants of either table.
    """
    if "BETA" not in other.columns:
        other = other.with_columns(pl.col("OR").log().alias("BETA"))
    if "SE" not in other.columns:
        other = other.rename({"LOG(OR)_SE": "SE"})
    both = own.with_columns(ID=pl.col("name")).join(other, on="ID", how="full", validate="1:1")
    both = both.with_columns(reason=reason())
    compared = both.filter(pl.col("reason").str.starts_with("compared"))
    sign = pl.when(pl.col("effect_allele") == pl.col("A1")).then(1.0).otherwise(-1.0)
    apart = compared.select((sign * pl.col("beta") - pl.col("BETA")).abs() / pl.col("SE"))
    return {
        "variants": len(apart),
        "by_reason": dict(both["reason"].value_counts(sort=True).iter_rows()),
        "greatest_difference_of_beta_over_its_error": apart.to_series().max(),
    }


def reason() -> pl.Expr:
    """Return whether a variant's effects are compared, or why not, in our words and plink2's."""
    same, swapped = (pl.col(f"{name}_allele") == pl.col("A1") for name in ("effect", "other"))
    here = pl.col("method").str.ends_with("_firth") & pl.col("beta").is_not_null()
    there = pl.col("BETA").is_not_null()
    status, code = pl.col("status"), pl.col("ERRCODE").fill_null("no code")
    return (
        pl.when(pl.col("ID").is_null())
        .then(pl.lit("in plink2's table alone"))
        .when(pl.col("ID_right").is_null())
        .then(pl.lit("in our table alone"))
        .when(~same & ~swapped)
        .then(pl.lit("other alleles"))
        .when(here & there & same)
        .then(pl.lit("compared"))
        .when(here & there)
        .then(pl.lit("compared, alleles swapped"))
        .when(here)
        .then(pl.format("plink2 has no effect ({})", code))
        .when(there)
        .then(pl.format("we have no effect of Firth's ({})", status))
        .otherwise(pl.format("neither has an effect (we: {}; plink2: {})", status, code))
    )


def kinship(prefix: Path, folder: Path) -> dict[str, object]:
    """Compare KING-robust kinship of all pairs above a cutoff."""
    peer(prefix, folder / "k", "--autosome", "--make-king-table", "--king-table-filter", "-0.05")
    mine = folder / "pairs.tsv"
    ours("relatedness", "--genotypes", f"{prefix}.bed", "--cutoff", "-0.05", "--out", mine)
    own, other = table(mine), table(folder / "k.kin0")
    names = [c for c in own.columns if c.upper().lstrip("#") in ("IID1", "IID2")]
    kin = {frozenset(pair): value for *pair, value in own.select(*names, "KINSHIP").iter_rows()}
    pairs = [c for c in other.columns if "IID" in c]
    theirs = other.select(*pairs, "KINSHIP").iter_rows()
    apart = [abs(kin.get(frozenset((a, b)), np.inf) - value) for a, b, value in theirs]
    return {"pairs": len(apart), "greatest_difference": float(max(apart, default=0.0))}


def components(prefix: Path, folder: Path) -> dict[str, object]:
    """Compare components without pruning, and hold pruned variants to their bound."""
    peer(prefix, folder / "c", "--autosome", "--pca", "10")
    mine = folder / "pcs.tsv"
    common = ("--genotypes", f"{prefix}.bed", "--components", 10)
    ours("pca", *common, "--no-prune", "--maf", 0, "--out", mine)
    own, other = table(mine), table(folder / "c.eigenvec")
    r = [
        abs(float(np.corrcoef(own[f"PC{i}"].to_numpy(), other[f"PC{i}"].to_numpy())[0, 1]))
        for i in range(1, 6)
    ]
    ours("pca", *common, "--r2", 0.2, "--window", "500kb", "--out", folder / "pruned.tsv")
    path = folder / "pruned.loadings.tsv"
    kept = pl.read_csv(path, separator="\t", comment_prefix="#", infer_schema_length=None)
    return {
        "least_correlation_of_components_1_to_5": min(r),
        "one_less_correlation": [1 - x for x in r],
        "pruned_variants": len(kept),
        "greatest_r2_within_500_kb": bound(prefix, kept),
    }


def bound(prefix: Path, kept: pl.DataFrame) -> float:
    """Return the greatest squared correlation of kept variants within 500 kb of each other."""
    opened = PlinkFile.open(prefix)
    place = {
        (str(c), int(p)): i
        for i, (c, p) in enumerate(
            zip(opened.variants.chromosome, opened.variants.position, strict=True)
        )
    }
    columns = kept.columns
    chromosome = kept[columns[0]].cast(pl.String).to_list()
    position = kept[columns[1]].to_list()
    rows = [place[c, p] for c, p in zip(chromosome, position, strict=True)]
    most, window = 0.0, list[tuple[str, int, np.ndarray]]()
    for c, p, row in zip(chromosome, position, rows, strict=True):
        g = decode(opened.packed(row, row + 1), opened.n_samples)[0]
        g = np.where(np.isnan(g), np.nanmean(g), g)
        g = (g - g.mean()) / (g.std() * np.sqrt(len(g)))
        window = [w for w in window if w[0] == c and p - w[1] <= 500_000]
        if window:
            most = max(most, float(np.max((np.stack([w[2] for w in window]) @ g) ** 2)))
        window.append((c, p, g))
    return most


def main() -> None:
    """Compare, print, write."""
    real = Path(sys.argv[1]) if len(sys.argv) > 1 else next(REAL.glob("*.bed"), None)
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        sets = {"made": made(Path(name) / "made", 2_000, 4_000, 0.01)}
        if real is not None:
            sets["real"] = real.with_suffix("")
        for kind, prefix in sets.items():
            folder = Path(name) / kind / "work"
            folder.mkdir(parents=True)
            parts = (counts, linear, firth, kinship, components)
            found[kind] = {
                part.__name__: part(prefix, folder) for part in parts[: 3 if kind == "made" else 5]
            }
    written("agreement", {**found, **machine()})


if __name__ == "__main__":
    main()
