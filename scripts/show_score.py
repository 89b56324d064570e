"""Score real people by a scoring file as another source writes it, and hold that to plink2.

    .venv/bin/python scripts/show_score.py

Genotypes are of 1000 Genomes (`../shared/data/kg2504`, or the folder that EQUIPOISE_DATA names);
`scored_rows.py` makes them harder, and the scoring file with rows of each kind.

For each way to score, `equipoise score` must give every row of the file the reason for which the
row was made, the reasons must add up to the rows, and the people's scores must be plink2's on the
weights that the match report calls used: allele counts exactly, sums in each of the six digits
that plink2 prints, averages as far as those go. Variants are found for plink2 from the report
and the `.bim` alone. Where both alleles of a variant have a weight, plink2 counts the variant
once among the alleles, and here each weight counts: so its count for the second is asked too.
Files of another build must be refused. One line for each; exit code 1 where one fails, 2 where
data or plink2 are missing. It takes about half a minute.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scored_rows import Variant, rows_of, turn, write_genotypes, write_scoring

from equipoise.genotypes.plink import PlinkFile


def lines_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table under the names of its columns."""
    names, *rows = (line.split("\t") for line in path.read_text("utf-8").splitlines())
    for row in rows:
        yield dict(zip(names, row, strict=True))


def told_plink2(report: Path, variants: list[Variant]) -> list[tuple[str, str, str]]:
    """Return (variant, allele, weight) of the weights that a match report calls used."""
    here: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        here.setdefault((variant.chromosome, str(variant.position)), []).append(variant)
    told: list[tuple[str, str, str]] = []
    for row in lines_of(report):
        if row["used"] != "yes":
            continue
        effect, other = row["effect_allele"], row["other_allele"]
        if row["reason"] == "other_strand":
            effect, other = turn(effect), turn(other)
        fit = [
            v
            for v in here[row["chromosome"], row["position"]]
            if (effect in (v.a1, v.a2) and other == "NA") or {effect, other} == {v.a1, v.a2}
        ]
        (one,) = fit
        told.append((one.name, effect, row["weight"]))
    return told


def by_plink2(
    program: str, prefix: Path, told: list[tuple[str, str, str]], imputed: bool
) -> NDArray[np.float64]:
    """Return ALLELE_CT, DENOM, the dosage sum and the sum of each person, (people, 4)."""
    weights, out = prefix.with_suffix(".weights"), prefix.with_suffix(".plink2")
    weights.write_text("".join("\t".join(row) + "\n" for row in told))
    words = [program, "--bfile", prefix, "--score", weights, "1", "2", "3"]
    words += [] if imputed else ["no-mean-imputation"]
    words += ["cols=nallele,denom,dosagesum,scoresums", "--threads", "1", "--out", out]
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    return np.loadtxt(f"{out}.sscore", usecols=(1, 2, 3, 4))


def unit(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Return what the last of so many digits of each value stands for."""
    return 10.0 ** (np.floor(np.log10(np.abs(values).clip(1e-300))) - digits + 1)


def seconds(told: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return the weights of variants that have one for the other allele before."""
    seen: set[str] = set()
    return [row for row in told if row[0] in seen or seen.add(row[0])]


class Stage:
    """Genotypes and rows in a folder, and what is shown with them."""

    def __init__(self, folder: Path, source: PlinkFile, program: str, every: int) -> None:
        """Write the genotypes of every n-th variant."""
        self.folder, self.program, self.prefix = folder, program, folder / "kg"
        self.variants, never = write_genotypes(source, self.prefix, every)
        self.rows = rows_of(self.variants, never)

    def scored(self, scoring: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `equipoise score`."""
        command = [sys.executable, "-m", "equipoise", "score", "--json", "--genotypes"]
        command += [f"{self.prefix}.bed", "--weights", str(scoring), "--out"]
        command += [str(self.folder / "scores.tsv"), *words]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    def same(self, what: str, scoring: Path, *words: str) -> bool:
        """Show that reasons and scores are as they must be."""
        done = self.scored(scoring, *words)
        if done.returncode:
            return holds(what, False, done.stderr.strip())
        report = list(lines_of(self.folder / "scores.match.tsv"))
        keep = "--keep-ambiguous" in words
        wrong = [
            (row["line"], row["reason"], made.due(keep))
            for row, made in zip(report, self.rows, strict=True)
            if row["reason"] != made.due(keep)
        ]
        counts = json.loads(done.stdout)["scores"][0]["reasons"]
        shown = ", ".join(f"{reason} {n}" for reason, n in counts.items() if n)
        well = holds(
            f"{what}: every row has its reason", not wrong, f"{shown}; wrong: {wrong[:3] or 'none'}"
        )
        total, parted = sum(counts.values()), Counter(row["reason"] for row in report)
        adds = total == len(self.rows) and parted == Counter({k: n for k, n in counts.items() if n})
        said = f"{total} reasons of {len(self.rows)} rows, {len(report)} in the report"
        well = holds(f"{what}: the reasons add up", adds, said) and well
        return self.agree(what, "--no-mean-imputation" not in words) and well

    def agree(self, what: str, imputed: bool) -> bool:
        """Show that the scores that were written last are plink2's on the report's weights."""
        told = told_plink2(self.folder / "scores.match.tsv", self.variants)
        theirs = by_plink2(self.program, self.prefix, told, imputed)
        again = seconds(told)
        theirs[:, :2] += by_plink2(self.program, self.prefix, again, imputed)[:, :2] if again else 0
        names = ("ALLELE_CT", "DENOM", "NAMED_ALLELE_DOSAGE_SUM", "SCORE_SUM", "SCORE_AVG")
        ours = pl.read_csv(self.folder / "scores.tsv", separator="\t").select(names).to_numpy()
        total, over = theirs[:, 3], theirs[:, 1]
        counts = np.abs(ours[:, :3] - theirs[:, :3])
        sums, averages = np.abs(ours[:, 3] - total), np.abs(ours[:, 4] - total / over)
        # Half a unit of the last digit that plink2 prints, and what binary forms of both add.
        half = 0.5001 * unit(total, 6)
        near = averages <= half / over + 0.5001 * unit(ours[:, 4], 10)  # here ten are printed
        well = bool((counts == 0).all() and (sums <= half).all() and near.all())
        said = (
            f"{len(theirs)} people, {len(told)} weights; max |difference| of sums"
            f" {sums.max():.2g} of up to {np.abs(total).max():.3g}, of averages"
            f" {averages.max():.2g}, of counts {counts.max():.2g}"
        )
        return holds(f"{what}: scores are plink2's", well, said)

    def refused(self, what: str, scoring: Path, expected: str, *words: str) -> bool:
        """Show that a file is refused as wrong input, with words that say why."""
        done = self.scored(scoring, *words)
        said = " ".join(done.stderr.split())
        return holds(what, done.returncode == 2 and expected in said, said[:160] or "not refused")

    def unclear(self) -> bool:
        """Show that A/T and C/G variants are of all frequencies: those near 1/2 tell least."""
        minor = [min(v.frequency, 1 - v.frequency) for v in self.variants if turn(v.a1) == v.a2]
        near = sum(f > 0.4 for f in minor)
        said = f"{near} above 40 %, {len(minor) - near} below, by minor allele frequency"
        return holds("A/T and C/G at all frequencies", 0 < near < len(minor), said)

    def show(self) -> bool:
        """Show everything; return whether all of it holds."""
        folder, rows = self.folder, self.rows
        right = write_scoring(folder / "PGS1_hmPOS_GRCh37.txt.gz", rows, "GRCh37", "GRCh38")
        other = write_scoring(folder / "PGS2_hmPOS_GRCh38.txt.gz", rows, "GRCh38", "GRCh37")
        neither = write_scoring(folder / "PGS3_hmPOS_GRCh38.txt.gz", rows, "GRCh38", "GRCh38")
        build = ("--build", "GRCh37")
        found = [
            self.unclear(),
            self.same("harmonised columns", right),
            self.same("A/T and C/G kept", right, "--keep-ambiguous", *build),
            self.same("missing calls left out", right, "--no-mean-imputation", *build),
            self.same("author's columns, the build asked for", other, *build),
            self.refused("another build, not asked for", other, "another genome build"),
            self.refused("another build throughout", neither, "expected one genome build", *build),
        ]
        return all(found)


def holds(what: str, well: bool, said: object) -> bool:
    """Print whether something that must hold does."""
    print(f"{'holds' if well else 'FAILS':<6} {what}: {said}", flush=True)
    return well


def main() -> int:
    """Run everything and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", type=int, default=2, help="take every n-th variant")
    given = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    data = Path(os.environ.get("EQUIPOISE_DATA", root.parent / "shared" / "data"))
    program, prefix = shutil.which("plink2"), data / "kg2504" / "kg2504_24k"
    if program is None or not prefix.with_suffix(".bed").is_file():
        missing = "plink2" if program is None else f"the genotypes {prefix.name}.bed"
        print(f"{missing} cannot be found; install it, or set EQUIPOISE_DATA")
        return 2
    with tempfile.TemporaryDirectory(prefix="equipoise-score-") as folder:
        well = Stage(Path(folder), PlinkFile.open(prefix), program, given.every).show()
    print("All of it holds." if well else "Something fails.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
