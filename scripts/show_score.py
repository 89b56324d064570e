"""Score real people by a scoring file as another source writes it, and hold that to plink2.

    .venv/bin/python scripts/show_score.py

Genotypes are calls of 1000 Genomes (`../shared/data/kg2504`, or the folder that EQUIPOISE_DATA
names), 2 % of them taken out, chromosome 22 named X, some variants given the letters of indels
and some put at one position with the one before. The scoring file is made in the form in which
the PGS Catalog harmonises (hm_ columns, gzip), with rows of each kind in `KINDS`. No chain file
is at hand, so a position "of another build" is the right one moved by a fixed number of bases.

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
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes import plink
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.variants import Variants
from equipoise.packed.decode import decode, encode

MOVED = 37_111
"""By how many bases a position of the other build is off."""

COLUMNS = (
    *("rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"),
    *("locus_name", "is_haplotype", "is_diplotype", "is_interaction", "is_dominant"),
    *("is_recessive", "dosage_0_weight", "dosage_1_weight", "dosage_2_weight"),
    *("allelefrequency_effect", "hm_source", "hm_rsID", "hm_chr", "hm_pos"),
    *("hm_inferOtherAllele", "hm_match_chr", "hm_match_pos"),
)
FLAGS = ("is_haplotype", "is_diplotype", "is_interaction", "is_dominant", "is_recessive")

UNUSED: dict[str, tuple[str, dict[str, str]]] = {
    "not_placed": ("not_placed", {}),
    "position_0": ("not_placed", {"hm_chr": "1", "hm_pos": "0"}),
    "allele_mismatch": ("allele_mismatch", {"other_allele": "GATTACA"}),
    "inferred_deletion": ("allele_mismatch", {"other_allele": "", "hm_inferOtherAllele": "-"}),
    "haplotype": (
        "haplotype",
        {
            "rsID": "rs429358;rs7412",
            "chr_name": "19",
            "chr_position": "45411941;45412079",
            "effect_allele": "C;C",
            "other_allele": "",
            "is_haplotype": "True",
        },
    ),
    "diplotype": (
        "diplotype",
        {"rsID": "", "effect_allele": "e4;e4", "other_allele": "", "is_diplotype": "TRUE"},
    ),
    "interaction": (
        "interaction",
        {
            "rsID": "rs1_x_rs2",
            "chr_name": "1_x_6",
            "chr_position": "5_x_7",
            "effect_allele": "A_x_G",
            "other_allele": "",
            "is_interaction": "True",
        },
    ),
    "dominant": ("dominant", {"is_dominant": "True"}),
    "recessive": ("recessive", {"is_recessive": "True"}),
    "dosage_weights": (
        "dosage_weights",
        {
            "effect_weight": "",
            "dosage_0_weight": "0",
            "dosage_1_weight": "0.1",
            "dosage_2_weight": "0.7",
        },
    ),
    "allele_form": (
        "allele_form",
        {"rsID": "", "effect_allele": "HLA-DQA1*05:01", "other_allele": ""},
    ),
    "haploid": ("haploid", {}),
}
"""The reason and the cells of rows that are not used."""
ELSEWHERE: dict[str, tuple[str, int] | None] = {
    **dict.fromkeys(("not_placed", "position_0", "haplotype", "diplotype", "interaction")),
    "allele_form": None,
    "haploid": ("Y", 2_655_180),
}
"""Their places, where not those of the variant."""
KINDS = (
    *("flipped", "no_other", "several_others", "several_inferred", "one_inferred", "absent"),
    *("duplicate", "both_alleles", "small_letters", "lifted"),
    *UNUSED,
)
"""Kinds of rows; two rows of three are plain ones, which one of these is between."""

USED = ("matched", "swapped", "other_strand", "ambiguous_kept")
TURNED = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class Variant:
    """A variant of the genotypes as their `.bim` has it, and how frequent its A1 is."""

    name: str
    chromosome: str
    position: int
    a1: str
    a2: str
    frequency: float


@dataclass(frozen=True)
class Row:
    """A row of the scoring file: its cells, its place on the genotypes' build, and its reason.

    reason  what is to become of it, as if A/T and C/G were kept
    """

    reason: str
    place: tuple[str, int] | None
    cells: dict[str, str] = field(default_factory=dict[str, str])
    palindromic: bool = False

    def due(self, keep_ambiguous: bool) -> str:
        """Return the reason that the report must give it."""
        if self.palindromic and not keep_ambiguous and self.reason != "several_fit":
            return "ambiguous"
        return self.reason


def turn(allele: str) -> str:
    """Return an allele as the other strand has it."""
    return allele.translate(TURNED)[::-1]


def write_genotypes(source: PlinkFile, prefix: Path, every: int) -> tuple[list[Variant], int]:
    """Write every n-th variant and return them, and the place of one at which nobody is called."""
    draw = np.random.default_rng(7)
    places = np.arange(0, source.n_variants, every)
    dosage = np.concatenate([decode(source.packed(p, p + 1), source.n_samples) for p in places])
    dosage[draw.random(dosage.shape) < 0.02] = np.nan
    v = source.variants
    chromosome, position = v.chromosome[places].copy(), v.position[places].copy()
    a1, a2 = v.effect_allele[places].copy(), v.other_allele[places].copy()
    chromosome[chromosome == "22"] = "X"
    for at in range(9, len(places), 20):
        a1[at] = a2[at] + "GT"
    for at in range(14, len(places), 25):
        if chromosome[at] == chromosome[at - 1] and len(a1[at - 1]) == 1:
            position[at], a1[at] = position[at - 1], a1[at - 1]
            a2[at] = next(b for b in "ACGT" if b not in (a1[at - 1], a2[at - 1]))
    never = next(at for at in range(6, len(places), 3) if turn(a1[at]) != a2[at])
    dosage[never] = np.nan
    called = np.count_nonzero(~np.isnan(dosage), axis=1)
    frequency = np.nansum(dosage, axis=1) / np.maximum(2 * called, 1)
    own = Variants(chromosome, position, a1, a2)
    plink.write(prefix, encode(dosage), own, source.sample_ids, source.sex)
    bim = [line.split("\t") for line in prefix.with_suffix(".bim").read_text().splitlines()]
    named = [
        Variant(f"v{i}", r[0], int(r[3]), r[4], r[5], float(f))
        for i, (r, f) in enumerate(zip(bim, frequency, strict=True))
    ]
    text = "".join(f"{v.chromosome}\t{v.name}\t0\t{v.position}\t{v.a1}\t{v.a2}\n" for v in named)
    prefix.with_suffix(".bim").write_text(text)
    return named, never


def rows_of(variants: list[Variant], never: int) -> list[Row]:
    """Return the rows of the scoring file, repeated ones last."""
    draw = np.random.default_rng(8)
    at = Counter((v.chromosome, v.position, a) for v in variants for a in (v.a1, v.a2))
    taken = {(v.chromosome, v.position) for v in variants}
    rows: list[Row] = []
    more: list[Row] = []
    for number, variant in enumerate(variants):
        effect, other = draw.permutation([variant.a1, variant.a2]).tolist()
        row = Row(
            "not_called" if number == never else "matched" if effect == variant.a1 else "swapped",
            (variant.chromosome, variant.position),
            {
                "rsID": f"rs{number}",
                "effect_allele": effect,
                "other_allele": other,
                "effect_weight": f"{draw.normal():.{int(draw.integers(3, 9))}g}",
            },
            turn(effect) == other,
        )
        if row.palindromic and row.reason in USED:
            row = replace(row, reason="ambiguous_kept")
        kind = KINDS[number // 3 % len(KINDS)] if number % 3 == 2 else "plain"
        several = at[variant.chromosome, variant.position, effect] > 1
        rows.append(of_kind(kind, row, several, taken))
        more += again(kind, row)
    return rows + more


def again(kind: str, row: Row) -> list[Row]:
    """Return further rows for the variant of a plain row."""
    effect, other = row.cells["effect_allele"], row.cells["other_allele"]
    if kind == "duplicate":
        return [made(row, kind, effect_weight="0.125")]
    if kind == "both_alleles":
        reason = {"matched": "swapped", "swapped": "matched"}.get(row.reason, row.reason)
        return [made(row, reason, effect_allele=other, other_allele=effect)]
    return []


def of_kind(kind: str, row: Row, several: bool, taken: set[tuple[str, int]]) -> Row:
    """Return a plain row made one of a kind.

    several  whether several variants at its position have its effect allele
    """
    effect, other = row.cells["effect_allele"], row.cells["other_allele"]
    if kind == "flipped" and not row.palindromic:
        row = made(row, "other_strand", effect_allele=turn(effect), other_allele=turn(other))
    elif kind == "one_inferred":
        row = made(row, row.reason, other_allele="", hm_inferOtherAllele=other)
    elif kind in ("no_other", "several_others", "several_inferred"):
        said = {"several_others": "other_allele", "several_inferred": "hm_inferOtherAllele"}
        cells = {"other_allele": ""} | ({said[kind]: f"{other}/N"} if kind in said else {})
        row = made(row, "several_fit" if several else row.reason, **cells)
    elif kind == "absent":
        assert row.place is not None
        beside = (row.place[0], row.place[1] + 1)
        assert beside not in taken
        row = replace(made(row, kind), place=beside, palindromic=False)
    elif kind == "small_letters":
        row = made(row, row.reason, effect_allele=effect.lower(), other_allele=other.lower())
    elif kind == "lifted":
        row = made(row, row.reason, hm_source="liftover", hm_match_pos="False")
    elif kind in UNUSED:
        reason, cells = UNUSED[kind]
        row = replace(made(row, reason, **cells), palindromic=False)
        if kind in ELSEWHERE:
            row = replace(row, place=ELSEWHERE[kind])
    return row


def made(row: Row, reason: str, **cells: str) -> Row:
    """Return a row with other cells, of another reason."""
    return replace(row, reason=reason, cells=row.cells | cells)


def write_scoring(path: Path, rows: list[Row], harmonised: str, authors: str) -> Path:
    """Write a harmonised file; positions of any build but GRCh37 are moved."""
    head = {
        "format_version": "2.0",
        "#POLYGENIC SCORE (PGS) INFORMATION": None,
        "pgs_id": path.name.partition("_")[0],
        "trait_reported": "a made-up trait = none",
        "weight_type": "beta",
        "genome_build": authors,
        "variants_number": str(len(rows)),
        "#HARMONIZATION DETAILS": None,
        "HmPOS_build": harmonised,
        "HmPOS_date": "2022-07-29",
        "HmPOS_match_pos": '{"True": null, "False": null}',
    }
    lines = ["###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/"]
    lines += [f"#{key}" + ("" if said is None else f"={said}") for key, said in head.items()]
    lines.append("\t".join(COLUMNS))
    for row in rows:
        cells = dict.fromkeys(FLAGS, "False") | {"hm_source": "Unknown"}
        if row.place is not None:
            chromosome, position = row.place
            cells |= {"chr_name": chromosome, "hm_chr": chromosome, "hm_source": "ENSEMBL"}
            cells["chr_position"] = str(position + MOVED * (authors != "GRCh37"))
            cells["hm_pos"] = str(position + MOVED * (harmonised != "GRCh37"))
            cells["hm_rsID"] = row.cells["rsID"]
        cells |= row.cells
        lines.append("\t".join(cells.get(name, "") for name in COLUMNS))
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


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
