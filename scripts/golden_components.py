"""Make tests/data/components_plink2.tsv: PLINK's principal components of the demo's people.

Everybody of the four cohorts, admitted or not, on the variants that `Pruning` keeps in
windows of 1 Mb (12 columns, r2 .1), given to `plink2 --pca 4`. Made with PLINK v2.00a3.5
(9 Aug 2022); needs plink2 on the path. Run from anywhere; it overwrites the file.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from analyses.test_components import demo_dosage, demo_pruned  # noqa: E402
from equipoise import demo  # noqa: E402
from equipoise.genotypes import plink, variants  # noqa: E402
from equipoise.packed.decode import encode  # noqa: E402

OUT = ROOT / "tests" / "data" / "components_plink2.tsv"


def main() -> None:
    listed = variants.read(demo.folder() / "variants.tsv")
    chosen = demo_pruned().variants
    dosage = demo_dosage()[chosen]
    kept = variants.Variants.of(listed.frame()[chosen])
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "demo"
        ids = tuple(f"P{i}" for i in range(dosage.shape[1]))
        plink.write(prefix, encode(dosage), kept, ids)
        given = ["--bfile", str(prefix), "--pca", "4", "--out", str(prefix)]
        subprocess.run(["plink2", *given], check=True, stdout=subprocess.DEVNULL)
        values = np.loadtxt(f"{prefix}.eigenval")
        vectors = pl.read_csv(f"{prefix}.eigenvec", separator="\t")
    lines = ["# made by scripts/golden_components.py with PLINK v2.00a3.5 --pca 4"]
    lines += ["\t".join(f"{value:g}" for value in values)]
    lines += ["\t".join(f"{v:.6g}" for v in row) for row in vectors.select("^PC.*$").iter_rows()]
    OUT.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
