"""Genotypes of real people made harder, and a scoring file for them with rows of each kind.

Genotypes are calls of 1000 Genomes, 2 % of them taken out, chromosome 22 named X, some variants
given the letters of indels and some put at one position with the one before. The scoring file is
made in the form in which the PGS Catalog harmonises (hm_ columns, gzip), with rows of each kind in
`KINDS`. No chain file is at hand, so a position "of another build" is the right one moved by a
fixed number of bases. `show_score.py` scores the one by the other.
"""

import gzip
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

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
