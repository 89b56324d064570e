"""Matching of weights: one reason each, as a slow twin finds it, whatever the order."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.genotypes.matching import REASONS, USED, Match, match, refuse_too_few
from equipoise.genotypes.variants import HEADER, Variants

Weight = tuple[str | None, int | None, str, str | None, str | None]
Row = tuple[str, int, str, str]

COMPLEMENT = str.maketrans("ACGT", "TGCA")
ALLELE = st.sampled_from(["A", "C", "G", "T", "AC", "GT"])


def variants(rows: list[Row]) -> Variants:
    schema = dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64}
    return Variants.of(pl.DataFrame(rows, schema=schema, orient="row"))


def weights(rows: list[Weight]) -> pl.DataFrame:
    names = ("chromosome", "position", "effect_allele", "other_allele", "unsupported")
    schema = dict.fromkeys(names, pl.String) | {"position": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def turned(allele: str) -> str:
    return allele.translate(COMPLEMENT)[::-1]


def twin(asked: list[Weight], own: list[Row], keep: bool) -> list[tuple[int, bool, str]]:
    """Return place, swap and reason of each weight, one after the other."""
    taken: set[tuple[int, bool]] = set()
    found: list[tuple[int, bool, str]] = []
    for weight in asked:
        place, swapped, reason = alone(weight, own, keep)
        if reason in USED and (place, swapped) in taken:
            reason = "duplicate"
        if reason in USED:
            taken.add((place, swapped))
        found.append((place, swapped, reason) if reason in USED else (-1, False, reason))
    return found


def alone(weight: Weight, own: list[Row], keep: bool) -> tuple[int, bool, str]:
    """Return what a weight is for if no other is there."""
    chromosome, position, effect, other, unsupported = weight
    if unsupported is not None:
        return -1, False, unsupported
    if chromosome is None or position is None:
        return -1, False, "not_placed"
    if chromosome in {"Y", "MT"}:
        return -1, False, "haploid"
    here = [(at, *row[2:]) for at, row in enumerate(own) if row[:2] == (chromosome, position)]
    fits, strand = fitting(here, effect, other), False
    if not fits and other is not None:
        fits, strand = fitting(here, turned(effect), turned(other)), True
    if len(fits) != 1:
        few = "allele_mismatch" if here else "absent"
        return -1, False, "several_fit" if fits else few
    place, swapped = fits[0]
    if turned(own[place][2]) == own[place][3]:
        return place, swapped, "ambiguous_kept" if keep else "ambiguous"
    return place, swapped, "other_strand" if strand else "swapped" if swapped else "matched"


def fitting(
    here: list[tuple[int, str, str]], effect: str, other: str | None
) -> list[tuple[int, bool]]:
    return [
        (at, effect == a2)
        for at, a1, a2 in here
        if effect in (a1, a2) and (other is None or {a1, a2} == {effect, other})
    ]


@st.composite
def listed(draw: st.DrawFn) -> list[Row]:
    """Draw variants at few positions, none twice."""
    return draw(
        st.lists(
            st.tuples(st.sampled_from(["1", "X", "Y"]), st.integers(1, 3), ALLELE, ALLELE).filter(
                lambda row: row[2] != row[3]
            ),
            max_size=12,
            unique_by=lambda row: (row[0], row[1], frozenset(row[2:])),
        )
    )


WEIGHT = st.tuples(
    st.sampled_from(["1", "1", "X", "Y", None]),
    st.sampled_from([1, 2, 3, 4, None]),
    ALLELE,
    st.one_of(st.none(), ALLELE),
    st.sampled_from([None, None, None, "haplotype"]),
).filter(lambda row: row[2] != row[3])


@given(st.lists(WEIGHT, max_size=12), listed(), st.booleans())
def test_each_weight_is_matched_as_the_slow_twin_does(
    asked: list[Weight], own: list[Row], keep: bool
) -> None:
    found = match(weights(asked), variants(own), keep_ambiguous=keep)
    pairs = list(zip(found.place.tolist(), found.swapped.tolist(), found.reasons, strict=True))
    assert pairs == twin(asked, own, keep)
    assert sum(found.counts().values()) == len(asked)
    assert np.count_nonzero(found.used) == sum(found.counts()[reason] for reason in USED)


@given(listed(), st.data())
def test_what_the_genotypes_count_only_swaps(own: list[Row], data: st.DataObject) -> None:
    asked: list[Weight] = [(*row, None) for row in own]
    flip = data.draw(st.lists(st.booleans(), min_size=len(own), max_size=len(own)))
    other = [(c, p, b, a) if f else (c, p, a, b) for (c, p, a, b), f in zip(own, flip, strict=True)]
    plain = match(weights(asked), variants(own), keep_ambiguous=True)
    found = match(weights(asked), variants(other), keep_ambiguous=True)
    assert found.place.tolist() == plain.place.tolist()
    assert found.swapped.tolist() == [
        f and u for f, u in zip(flip, plain.used.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "own"),
    [("chr1", "1"), ("1", "CHR1"), ("01", "1"), ("23", "X"), ("X", "23"), ("chrX", "PAR1"), ("x", "XY")],
)  # fmt: skip
def test_a_chromosome_has_many_names(name: str, own: str) -> None:
    found = match(weights([(name, 5, "A", "C", None)]), variants([(own, 5, "A", "C")]))
    assert found.reasons == ["matched"]


def test_alleles_in_small_letters_match() -> None:
    found = match(weights([("1", 5, "A", "C", None)]), variants([("1", 5, "c", "a")]))
    assert found.reasons == ["swapped"]


@pytest.mark.parametrize("name", ["Y", "MT", "24", "26", "chrM"])
def test_haploid_chromosomes_are_not_scored(name: str) -> None:
    found = match(weights([(name, 5, "A", "C", None)]), variants([(name, 5, "A", "C")]))
    assert found.reasons == ["haploid"]


def test_both_alleles_of_a_variant_may_have_a_weight() -> None:
    asked: list[Weight] = [("1", 5, "A", "C", None), ("1", 5, "C", "A", None), ("1", 5, "A", "C", None)]  # fmt: skip
    assert match(weights(asked), variants([("1", 5, "A", "C")])).reasons == [
        "matched",
        "swapped",
        "duplicate",
    ]


def test_an_effect_allele_alone_is_not_looked_for_on_the_other_strand() -> None:
    found = match(weights([("1", 5, "T", None, None)]), variants([("1", 5, "A", "C")]))
    assert found.reasons == ["allele_mismatch"]


def test_a_reason_is_taken_back_whole() -> None:
    asked: list[Weight] = [("1", 5, "A", "C", None), ("1", 6, "G", "A", None)]
    found = match(weights(asked), variants([("1", 5, "A", "C"), ("1", 6, "A", "G")]))
    left = found.without(np.array([False, True]), "not_called")
    assert left.reasons == ["matched", "not_called"]
    assert (left.place.tolist(), left.swapped.tolist()) == ([0, -1], [False, False])


def made(counts: dict[str, int]) -> Match:
    code = np.repeat([REASONS.index(reason) for reason in counts], list(counts.values()))
    place = np.where(np.isin(code, [REASONS.index(r) for r in USED]), np.arange(len(code)), -1)
    return Match(place.astype(np.int64), np.zeros(len(code), np.bool_), code.astype(np.int8))


def test_too_few_suggest_another_build_where_most_are_absent() -> None:
    few = made({"matched": 50, "ambiguous": 24, "absent": 26})
    with pytest.raises(InputError, match=r"74 of 100 .*GRCh38.*another genome build"):
        refuse_too_few("PGS1", few, "GRCh38", 0.75)
    refuse_too_few("PGS1", made({"matched": 51, "ambiguous": 24, "absent": 25}), None, 0.75)
    refuse_too_few("PGS1", made({"absent": 10}), None, 0.0)


def test_too_few_for_another_reason_suggest_no_build() -> None:
    with pytest.raises(InputError, match=re.escape("(matched 1, haplotype 9)")) as caught:
        refuse_too_few("PGS1", made({"matched": 1, "haplotype": 9}), "GRCh38", 0.75)
    assert "build" not in str(caught.value)
    assert "--least-matched 0" in str(caught.value)
