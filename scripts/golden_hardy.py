"""Make tests/data/hardy_midp.tsv: plink2's Hardy-Weinberg mid-p values on real genotypes.

    .venv/bin/python scripts/golden_hardy.py --plink2 /usr/bin/plink2

From the bundled study: people of the site GBR without the trait, every 150th variant of the
list and the ones around GSTT1, where both everybody and those people are tested: a deletion
looks like a loss of heterozygotes, so p values there are small in everybody. plink2's version
is in the first line of the file. Running the script twice gives the same bytes.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "src" / "equipoise" / "demo" / "gstt1" / "sites" / "GBR"
GOLDEN = ROOT / "tests" / "data" / "hardy_midp.tsv"

EVERY = 150
GENE = (24_360_000, 24_385_000)
"""Base pairs of chromosome 22, GRCh37."""

COUNTS = {"HOM_A1_CT": "hom", "HET_A1_CT": "het", "TWO_AX_CT": "other"}


def chosen() -> list[str]:
    """Return the names of the variants: all near the gene, a few elsewhere."""
    bim = pl.read_csv(SITE / "genotypes.bim", separator="\t", has_header=False)
    rows = enumerate(bim.select(bim.columns[0], *bim.columns[3:]).iter_rows())
    return [
        f"{chromosome}:{at}:{a2}:{a1}"
        for i, (chromosome, at, a1, a2) in rows
        if i % EVERY == 0 or GENE[0] <= at <= GENE[1]
    ]


def controls() -> list[str]:
    """Return the people without the trait."""
    table = pl.read_csv(SITE / "phenotypes.tsv", separator="\t", comment_prefix="#")
    return table.filter(pl.col("GSTT1_null") == "no")["IID"].to_list()


def hardy(plink2: str, folder: Path, keep: list[str] | None) -> pl.DataFrame:
    """Return counts and mid-p values of the chosen variants, in `keep` or in everybody."""
    (folder / "variants").write_text("\n".join(chosen()) + "\n")
    command = [plink2, "--bfile", str(SITE / "genotypes"), "--set-all-var-ids"]
    command += ["@:#:$r:$a", "--extract", str(folder / "variants")]
    if keep is not None:
        (folder / "keep").write_text("#IID\n" + "\n".join(keep) + "\n")
        command += ["--keep", str(folder / "keep")]
    command += ["--nonfounders", "--hardy", "midp", "--out", str(folder / "out")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = pl.read_csv(folder / "out.hardy", separator="\t", schema_overrides={"MIDP": pl.String})
    people = "everybody" if keep is None else "controls"
    counts = [pl.col(theirs).alias(ours) for theirs, ours in COUNTS.items()]
    p = pl.col("MIDP").alias("p")
    return found.select(pl.lit(people).alias("people"), pl.col("ID").alias("variant"), *counts, p)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plink2", default="plink2")
    plink2 = parser.parse_args().plink2
    version = subprocess.run([plink2, "--version"], check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as made:
        parts = [hardy(plink2, Path(made), keep) for keep in (controls(), None)]
    GOLDEN.parent.mkdir(exist_ok=True)
    with GOLDEN.open("w") as file:
        file.write(f"# {version.stdout.strip()}, --hardy midp; scripts/golden_hardy.py\n")
        file.write(pl.concat(parts).write_csv(separator="\t"))


if __name__ == "__main__":
    main()
