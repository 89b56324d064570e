"""Which variant of a list of genotypes each weight of a score is for, and why some have none.

A weight is matched by chromosome, position and both alleles, whichever of them the genotypes
count; where that finds nothing, by the alleles as the other strand spells them. A/T and C/G read
the same on both strands: they are left out by default, as pgsc_calc does, and taken as spelled
if asked. A weight without an other allele is matched by its effect allele if just one variant
at the position has it, and never over strands: one letter is too little to tell.
Every weight gets one reason, so the reasons add up to the weights.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes import strand
from equipoise.genotypes.variants import HEADER, Variants

USED: Final = ("matched", "swapped", "other_strand", "ambiguous_kept")
"""Reasons of weights that are used; `swapped` is of those whose other allele is counted."""
UNUSED: Final = (
    "ambiguous",  # A/T or C/G, on either strand
    "allele_mismatch",  # variants there have other alleles
    "several_fit",  # no other allele, and several variants there have the effect allele
    "absent",  # no variant at the position
    "duplicate",  # an earlier weight is for the same allele of the same variant
    "not_called",  # nobody is called at the variant
    "not_placed",  # the scoring file gives no position
    "haploid",  # on Y or MT, where a dosage of 0 to 2 does not count alleles
    # What the scoring file says of a weight that is not additive over one plain allele.
    *("haplotype", "diplotype", "interaction", "dominant", "recessive"),
    *("dosage_weights", "allele_form"),
)
REASONS: Final = (*USED, *UNUSED)

LEAST_MATCHED: Final = 0.75
"""The share of weights whose variant must be there, as pgsc_calc's `min_overlap`."""

_NUMBERED: Final = {"23": "X", "24": "Y", "25": "X", "26": "MT"}
_NAMES: Final = {**_NUMBERED, "M": "MT", "XY": "X", "PAR1": "X", "PAR2": "X"}
_AT: Final = HEADER[:2]
_EFFECT, _OTHER = HEADER[2:]
_CODES: Final = {reason: code for code, reason in enumerate(REASONS)}
_ACGT: Final = "^[ACGT]+$"


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """What became of each weight, arrays of shape (weights,).

    place    of its variant in the list, -1 where it is not used
    swapped  whether the genotypes count the other allele, so that 2 - dosage is the weight's
    code     the place of its reason in `REASONS`
    """

    place: NDArray[np.int64]
    swapped: NDArray[np.bool_]
    code: NDArray[np.int8] = field(repr=False)

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which weights are used, (weights,)."""
        return self.place >= 0

    @property
    def reasons(self) -> list[str]:
        """What became of each weight, one of `REASONS`."""
        return [REASONS[code] for code in self.code.tolist()]

    def counts(self) -> dict[str, int]:
        """Return how many weights have each reason, in the order of `REASONS`."""
        times = np.bincount(self.code, minlength=len(REASONS)).tolist()
        return dict(zip(REASONS, times, strict=True))

    def without(self, lost: NDArray[np.bool_], reason: str) -> "Match":
        """Return the match without the weights in the mask `lost`, for that reason."""
        code = np.where(lost, np.int8(REASONS.index(reason)), self.code)
        return Match(np.where(lost, -1, self.place), self.swapped & ~lost, code)


def match(weights: pl.DataFrame, listed: Variants, *, keep_ambiguous: bool = False) -> Match:
    """Return the variant of each weight.

    `weights` has the columns chromosome, position, effect_allele, other_allele and unsupported,
    null where not known, as from `artefacts.pgs_catalog`. What stands in `unsupported` is one
    of `UNUSED`.

    >>> listed = [("22", 100, "A", "G"), ("22", 200, "C", "T"), ("22", 300, "A", "T")]
    >>> rows = [("22", 100, "G", "A"), ("chr22", 200, "G", "A"), ("22", 300, "A", "T")]
    >>> rows += [("22", 200, "T", None), ("22", 7, "A", "C")]
    >>> names = ["chromosome", "position", "effect_allele", "other_allele"]
    >>> weights = pl.DataFrame(rows, schema=names, orient="row")
    >>> own = Variants.of(pl.DataFrame(listed, schema=list(HEADER), orient="row"))
    >>> found = match(weights.with_columns(unsupported=pl.lit(None, pl.String)), own)
    >>> found.place, found.swapped
    (array([ 0,  1, -1,  1, -1]), array([ True, False, False,  True, False]))
    >>> found.reasons
    ['swapped', 'other_strand', 'ambiguous', 'swapped', 'absent']
    """
    asked = weights.select(
        _chromosome(HEADER[0]),
        pl.col("position").alias(HEADER[1]),
        *HEADER[2:],
        refused=_refused(),
    ).with_row_index("row")
    fits = _fits(asked.filter(pl.col("refused").is_null()), listed)
    decided = (
        asked.select("row", "refused")
        .join(fits, on="row", how="left", maintain_order="left")
        .with_columns(reason=pl.coalesce("refused", _outcome(keep_ambiguous)))
        .select(
            place=pl.when(pl.col("reason").is_in(USED)).then("place").fill_null(-1),
            swapped=pl.col("swapped").fill_null(value=False) & pl.col("reason").is_in(USED),
            code=pl.col("reason").replace_strict(_CODES, return_dtype=pl.Int8),
        )
    )
    place, swapped, code = (decided[name].to_numpy() for name in decided.columns)
    found = Match(place.astype(np.int64), swapped, code)
    return found.without(_repeated(found), "duplicate")


def refuse_too_few(name: str, found: Match, build: str | None, least: float) -> None:
    """Raise InputError unless the variants of a share `least` of the weights are there.

    Ambiguous variants and duplicates that are there count: whether to use them is another
    question than whether the positions are of the genome build of the genotypes.
    """
    counts = found.counts()
    total = len(found.place)
    there = sum(counts[reason] for reason in (*USED, "ambiguous", "duplicate", "not_called"))
    if there >= least * total:
        return
    why = ", ".join(f"{reason} {count}" for reason, count in counts.items() if count)
    hint = ""
    if 2 * counts["absent"] > total - there:
        of = f" ({build})" if build else ""
        hint = (
            f"; most likely the positions{of} are of another genome build than the genotypes:"
            " take the harmonised file of the right build"
        )
    raise InputError(
        f"{name}: the variants of {there} of {total} weights are in the genotypes,"
        f" {there / max(total, 1):.0%} ({why}); expected at least {least:.0%}{hint};"
        " to score with what there is, give --least-matched 0"
    )


def _chromosome(name: str) -> pl.Expr:
    """Return chromosomes under one name: without `chr`, 1 to 22, X, Y, MT."""
    plain = pl.col(name).str.replace("^(?i)chr", "").str.to_uppercase().str.replace("^0+", "")
    return plain.replace(_NAMES).alias("chromosome")


def _refused() -> pl.Expr:
    """Return why a weight is not looked for, null where it is."""
    haploid = _chromosome("chromosome").is_in(("Y", "MT"))
    unplaced = pl.col("chromosome").is_null() | pl.col("position").is_null()
    return (
        pl.when(pl.col("unsupported").is_not_null())
        .then("unsupported")
        .when(unplaced)
        .then(pl.lit("not_placed"))
        .when(haploid)
        .then(pl.lit("haploid"))
    )


def _fits(asked: pl.DataFrame, listed: Variants) -> pl.DataFrame:
    """Return, for each weight with a variant at its position, the one that fits best.

    Its columns: row; place; swapped; other (strand); palindromic; several, whether as many
    more fit as well. All but row are null where none fits.
    """
    own = listed.frame().with_columns(_chromosome(HEADER[0])).with_row_index("place")
    own = own.join(asked.select(_AT).unique(), on=_AT, how="semi")
    own = own.with_columns(pl.col(*HEADER[2:]).str.to_uppercase())
    own = own.with_columns(palindromic=pl.Series(strand.palindromic(own)))
    turned = strand.complemented(asked).select(turned=_EFFECT, other_turned=_OTHER)
    pairs = asked.hstack(turned).join(own, on=_AT, how="inner", suffix="_own")
    a1, a2 = (pl.col(f"{name}_own") for name in (_EFFECT, _OTHER))
    effect, other = pl.col(_EFFECT), pl.col(_OTHER)
    # Null without an other allele: then the effect allele alone decides.
    same = pl.coalesce((effect == a1) & (other == a2), effect == a1)
    swap = pl.coalesce((effect == a2) & (other == a1), effect == a2)
    spelled = effect.str.contains(_ACGT) & other.str.contains(_ACGT)
    same_turned = spelled & (pl.col("turned") == a1) & (pl.col("other_turned") == a2)
    swap_turned = spelled & (pl.col("turned") == a2) & (pl.col("other_turned") == a1)
    each = pairs.with_columns(
        rank=pl.when(same | swap).then(0).when(same_turned | swap_turned).then(1),
        swapped=swap | (swap_turned & ~same),
    )
    best = pl.col("rank").min()
    chosen = pl.col("rank") == best
    return each.group_by("row").agg(
        *(pl.col(name).filter(chosen).first() for name in ("place", "swapped", "palindromic")),
        other=best == 1,
        several=chosen.sum() > 1,
    )


def _outcome(keep_ambiguous: bool) -> pl.Expr:
    """Return what became of a weight that was looked for, from the columns of `_fits`."""
    kept = "ambiguous_kept" if keep_ambiguous else "ambiguous"
    return (
        pl.when(pl.col("several").is_null())
        .then(pl.lit("absent"))
        .when(pl.col("place").is_null())
        .then(pl.lit("allele_mismatch"))
        .when("several")
        .then(pl.lit("several_fit"))
        .when("palindromic")
        .then(pl.lit(kept))
        .when("other")
        .then(pl.lit("other_strand"))
        .when("swapped")
        .then(pl.lit("swapped"))
        .otherwise(pl.lit("matched"))
    )


def _repeated(found: Match) -> NDArray[np.bool_]:
    """Return which weights are for an allele of a variant that an earlier one is for."""
    at = np.flatnonzero(found.used)
    first = np.unique(2 * found.place[at] + found.swapped[at], return_index=True)[1]
    again = found.used.copy()
    again[at[first]] = False
    return again
