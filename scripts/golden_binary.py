"""Make tests/data/binary_plink2.tsv and binary_people.tsv: plink2's logistic and Firth fits.

    .venv/bin/python scripts/golden_binary.py --genotypes FOLDER/kg2504_24k --plink2 /usr/bin/plink2

Real genotypes of the 1000 Genomes Project: every third person, and 80 variants, half of them
those with the fewest minor alleles. One call in fifty is made missing; the trait (one in
fifteen) and the covariates are simulated. The tables hold genotypes, trait and covariates as
text, so that the tests need neither plink2 nor the genotype file. plink2's version is in
the first line. Running the script twice gives the same bytes.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes.plink import PlinkFile, write
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import decode, encode

ROOT = Path(__file__).resolve().parent.parent
FITS = ROOT / "tests" / "data" / "binary_plink2.tsv"
PEOPLE = ROOT / "tests" / "data" / "binary_people.tsv"
COVARIATES = ("sex", "age", "exposure")

Array = NDArray[np.float64]


def chosen(source: PlinkFile) -> Array:
    """Return dosages, (80, people), rare ones first; some calls made missing."""
    draw = np.random.default_rng(11)
    whole = decode(source.packed(0, source.n_variants), source.n_samples)[:, ::3]
    alleles = np.nansum(whole, axis=1)
    minor = np.minimum(alleles, 2 * whole.shape[1] - alleles)
    order = np.argsort(np.where(minor >= 3, minor, np.inf), kind="stable")
    others = draw.choice(order[40 : source.n_variants // 2], 40, replace=False)
    dosage = whole[np.concatenate([order[:40], np.sort(others)])]
    dosage[draw.random(dosage.shape) < 0.02] = np.nan
    return dosage


def simulated(dosage: Array) -> pl.DataFrame:
    """Return a simulated trait and covariates, rounded to what plink2 is given."""
    draw = np.random.default_rng(12)
    n = dosage.shape[1]
    sex, age = draw.integers(1, 3, n), draw.normal(size=n).round(4)
    exposure = draw.gamma(1.0, size=n).round(4)
    carried = np.nan_to_num(dosage[5] + dosage[60])
    logit = -3.4 + 0.4 * age + 0.3 * exposure + 0.2 * sex + 0.8 * carried
    trait = (draw.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    columns = {"trait": trait, "sex": sex, "age": age, "exposure": exposure}
    return pl.DataFrame({"IID": [f"P{i}" for i in range(n)], **columns})


def fits(plink2: str, folder: Path, modifier: str) -> pl.DataFrame:
    """Return plink2's beta, standard error, p and status of each variant."""
    command = [plink2, "--bfile", str(folder / "g"), "--pheno", str(folder / "people")]
    command += ["--pheno-name", "trait", "--1", "--covar", str(folder / "people")]
    command += ["--covar-name", *COVARIATES, "--threads", "1", "--out", str(folder / modifier)]
    options = ["hide-covar", modifier, "cols=chrom,pos,ref,alt,a1count,nobs,orbeta,se,p,err"]
    subprocess.run([*command, "--glm", *options], check=True, stdout=subprocess.DEVNULL)
    (path,) = folder.glob(f"{modifier}.trait.glm.*")
    table = pl.read_csv(path, separator="\t", infer_schema=False, null_values="NA")
    beta = pl.col("OR").cast(pl.Float64).log()
    return table.select(
        pl.col("A1"),
        pl.col("OBS_CT").alias("n"),
        beta.round(8).alias(f"{modifier}_beta"),
        pl.col("LOG(OR)_SE").cast(pl.Float64).alias(f"{modifier}_se"),
        pl.col("P").cast(pl.Float64).alias(f"{modifier}_p"),
        pl.col("ERRCODE").alias(f"{modifier}_error"),
    )


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genotypes", type=Path, required=True)
    parser.add_argument("--plink2", default="plink2")
    arguments = parser.parse_args()
    version = subprocess.run(
        [arguments.plink2, "--version"], check=True, capture_output=True, text=True
    )
    dosage = chosen(PlinkFile.open(arguments.genotypes))
    people = simulated(dosage)
    names = [["1"] * 80, list(range(1, 81)), ["A"] * 80, ["C"] * 80]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        people.write_csv(folder / "people", separator="\t")
        listed = Variants.of(pl.DataFrame(names, schema=list(HEADER)))
        write(folder / "g", encode(dosage), listed, tuple(people["IID"]))
        tables = [fits(arguments.plink2, folder, kind) for kind in ("no-firth", "firth")]
    text = ["".join("." if np.isnan(d) else str(int(d)) for d in row) for row in dosage]
    joined = pl.concat([tables[0], tables[1].drop("A1", "n")], how="horizontal")
    header = f"# {version.stdout.strip()}, --glm; scripts/golden_binary.py; simulated trait\n"
    for path, table in ((PEOPLE, people), (FITS, joined.with_columns(genotypes=pl.Series(text)))):
        path.write_text(header + table.write_csv(separator="\t", null_value="NA"))


if __name__ == "__main__":
    main()
