"""Alignment: any site, whatever its order and orientation, answers as the list says."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.align import AlignmentReport, align
from equipoise.genotypes.variants import FREQUENCY, HEADER, Variants
from equipoise.packed.decode import Block, decode, encode

Row = tuple[str, int, str, str]


class InMemory:
    def __init__(self, dosage: NDArray[np.float64]) -> None:
        self.block = encode(dosage)
        self.n_variants, self.n_samples = dosage.shape

    def packed(self, start: int, stop: int) -> Block:
        return self.block[start:stop]


def variants(rows: list[Row], frequency: list[float | None] | None = None) -> Variants:
    frame = pl.DataFrame(
        rows, schema=dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64}, orient="row"
    )
    if frequency is not None:
        frame = frame.with_columns(pl.Series(FREQUENCY, frequency, pl.Float64))
    return Variants.of(frame)


def dosages(n_variants: int, n_samples: int) -> NDArray[np.float64]:
    draw = np.random.default_rng(1)
    return draw.choice([0, 1, 2, np.nan], size=(n_variants, n_samples))


@given(st.data())
def test_order_orientation_and_gaps_of_a_site_do_not_show(data: st.DataObject) -> None:
    n, samples = 20, data.draw(st.integers(1, 9))
    listed: list[Row] = [("1", 10 * (i // 2 + 1), "A", "CG"[i % 2]) for i in range(n)]
    dosage = dosages(n, samples)
    kept = data.draw(st.lists(st.integers(0, n - 1), unique=True, min_size=16, max_size=n))
    turned = data.draw(st.sets(st.sampled_from(kept)))
    rows: list[Row] = []
    for i in kept:
        chromosome, position, effect, other = listed[i]
        alleles = (other, effect) if i in turned else (effect, other)
        rows.append((chromosome, position, *alleles))
    own = np.stack([2 - dosage[i] if i in turned else dosage[i] for i in kept])
    extra = dosages(2, samples)
    source = InMemory(np.concatenate([own, extra]))
    others: list[Row] = [("1", 10, "A", "T"), ("2", 10, "A", "C")]
    aligned, report = align(source, variants(rows + others), variants(listed))
    dosage[[i for i in range(n) if i not in kept]] = np.nan
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    assert (aligned.n_variants, aligned.n_samples) == (n, samples)
    np.testing.assert_array_equal(decode(aligned.packed(start, stop), samples), dosage[start:stop])
    assert report == AlignmentReport(len(kept) - len(turned), len(turned), n - len(kept))


def test_what_matches_is_left_as_it_is() -> None:
    rows: list[Row] = [("1", i, "A", "C") for i in range(1, 6)]
    dosage = dosages(5, 7)
    aligned, report = align(InMemory(dosage), variants(rows), variants(rows))
    assert report == AlignmentReport(5, 0, 0)
    np.testing.assert_array_equal(aligned.packed(0, 5), encode(dosage))


def test_another_allele_at_the_same_place_is_another_variant() -> None:
    rows: list[Row] = [("1", i, "A", "C") for i in range(1, 6)]
    listed = [*rows[:4], ("1", 5, "A", "CC")]
    _, report = align(InMemory(dosages(5, 2)), variants(rows), variants(listed))
    assert report == AlignmentReport(4, 0, 1)


@pytest.mark.parametrize("shared", [0, 79])
def test_too_few_matches_suggest_another_genome_build(shared: int) -> None:
    listed: list[Row] = [("1", i, "A", "C") for i in range(1, 101)]
    rows = [(c, p if p <= shared else p + 1000, e, o) for c, p, e, o in listed]
    with pytest.raises(InputError, match=rf"{shared} of 100 .* another genome build"):
        align(InMemory(dosages(100, 2)), variants(rows), variants(listed))


def test_four_in_five_suffice() -> None:
    listed: list[Row] = [("1", i, "A", "C") for i in range(1, 101)]
    _, report = align(InMemory(dosages(80, 2)), variants(listed[:80]), variants(listed))
    assert report == AlignmentReport(80, 0, 20)


def test_variants_of_another_file_are_no_description() -> None:
    rows: list[Row] = [("1", 1, "A", "C")]
    with pytest.raises(ValueError, match="2 variants in the source, 1 described"):
        align(InMemory(dosages(2, 2)), variants(rows), variants(rows))


# --- the other strand

PAIR = {"A": "T", "C": "G", "G": "C", "T": "A"}
PLAIN: list[Row] = [("1", i, *"ACAGTCTG"[2 * (i % 4) :][:2]) for i in range(1, 41)]
ALIKE: list[Row] = [("2", i, *("AT", "TA", "CG", "GC")[i % 4]) for i in range(1, 9)]
"""Variants that read the same on both strands."""
ALIKE_MORE: list[Row] = [("3", place, effect, other) for _, place, effect, other in ALIKE]


def other_strand(row: Row) -> Row:
    chromosome, position, effect, other = row
    effect, other = ("".join(PAIR[b] for b in reversed(allele)) for allele in (effect, other))
    return chromosome, position, effect, other


def swap(row: Row) -> Row:
    return row[0], row[1], row[3], row[2]


def read(
    own: list[Row],
    listed: list[Row],
    dosage: NDArray[np.float64],
    frequency: list[float | None] | None = None,
) -> tuple[NDArray[np.float64], AlignmentReport]:
    aligned, report = align(InMemory(dosage), variants(own), variants(listed, frequency))
    n = aligned.n_variants
    assert report.matched + report.swapped + report.other_strand + report.absent == n
    assert report.used == n - report.absent == int(aligned.present.sum())
    return decode(aligned.packed(0, n), aligned.n_samples), report


@given(st.data())
def test_a_site_on_either_strand_and_in_either_orientation_reads_as_the_list(
    data: st.DataObject,
) -> None:
    listed = [*PLAIN, *ALIKE, ("3", 1, "C", "CTA")]
    dosage = dosages(len(listed), 6)
    swapped = data.draw(st.sets(st.integers(0, len(listed) - 1)))
    strand = data.draw(st.booleans())
    own = [other_strand(row) if strand else row for row in listed]
    own = [swap(row) if i in swapped else row for i, row in enumerate(own)]
    turned = np.array([i in swapped for i in range(len(own))])
    found, report = read(own, listed, np.where(turned[:, None], 2 - dosage, dosage))
    np.testing.assert_array_equal(found, dosage)
    n = len(listed)
    if strand:
        assert report == AlignmentReport(0, 0, 0, other_strand=n)
    else:
        assert report == AlignmentReport(n - len(swapped), len(swapped), 0)


def mixed() -> tuple[list[Row], list[Row]]:
    """Return a list, and a site's variants with every second plain one on the other strand."""
    own = [other_strand(row) if i % 2 else row for i, row in enumerate(PLAIN)]
    return [*PLAIN, *ALIKE], [*own, *ALIKE]


def test_on_mixed_strands_what_reads_the_same_on_both_is_absent() -> None:
    listed, own = mixed()
    dosage = dosages(len(listed), 5)
    found, report = read(own, listed, dosage)
    np.testing.assert_array_equal(found[: len(PLAIN)], dosage[: len(PLAIN)])
    assert np.isnan(found[len(PLAIN) :]).all()
    assert report == AlignmentReport(20, 0, 8, other_strand=20, palindromic_dropped=8)


def test_on_mixed_strands_frequencies_tell_those_far_from_one_half() -> None:
    listed, own = mixed()
    samples = 60
    draw = np.random.default_rng(3)
    truth: list[float | None] = [*[None] * len(PLAIN), 0.1, 0.9, 0.2, 0.8, 0.3, 0.5, None, 0.1]
    chance = [0.3 if f is None else f for f in truth]
    dosage = draw.binomial(2, np.array(chance)[:, None], (len(listed), samples)).astype(np.float64)
    # At these the site's letters are those of the other strand: they read as a swap.
    turned = [len(PLAIN) + i for i in (1, 2)]
    given_ = dosage.copy()
    given_[turned] = 2 - given_[turned]
    found, report = read(own, listed, given_, truth)
    told = [len(PLAIN) + i for i in (0, 1, 2, 3, 4, 7)]
    np.testing.assert_array_equal(found[told], dosage[told])
    assert np.isnan(found[[len(PLAIN) + 5, len(PLAIN) + 6]]).all()
    assert report == AlignmentReport(
        matched=24,
        swapped=2,
        absent=2,
        other_strand=20,
        palindromic_by_frequency=6,
        palindromic_dropped=2,
    )


def test_a_few_variants_make_no_consensus() -> None:
    listed = [*PLAIN[:9], *ALIKE[:2]]
    _, report = read(listed, listed, dosages(11, 4))
    assert report == AlignmentReport(9, 0, 2, palindromic_dropped=2)


def test_a_match_as_the_list_spells_it_comes_before_one_on_the_other_strand() -> None:
    listed: list[Row] = [*PLAIN, ("9", 7, "A", "C"), ("9", 7, "T", "G")]
    dosage = dosages(42, 5)
    both, report = read(listed, listed, dosage)
    np.testing.assert_array_equal(both, dosage)
    assert report == AlignmentReport(42, 0, 0)
    one, report = read(listed[:41], listed, dosage[:41])
    np.testing.assert_array_equal(one[:41], dosage[:41])
    assert np.isnan(one[41]).all(), "one variant of the site does not stand for two"
    assert report == AlignmentReport(41, 0, 1)
    again, _ = read(listed, listed[:41], dosage)
    np.testing.assert_array_equal(again, dosage[:41])


def test_unknown_alleles_and_unplaced_variants_match_nothing() -> None:
    own: list[Row] = [*PLAIN, ("1", 41, "0", "A"), ("0", 0, "A", "C"), ("0", 0, "A", "C")]
    listed: list[Row] = [*PLAIN, ("1", 41, "N", "A"), ("1", 42, "A", "C")]
    _, report = read(own, listed, dosages(43, 3))
    assert report == AlignmentReport(40, 0, 2)


def test_palindromic_variants_count_as_found_when_the_build_is_judged() -> None:
    listed = [*PLAIN[:20], *ALIKE, *ALIKE_MORE]
    own = [other_strand(row) if i < 10 else row for i, row in enumerate(listed)]
    _, report = read(own, listed, dosages(len(listed), 3))
    assert report.palindromic_dropped == 16


def test_too_few_that_can_be_read_is_not_taken_for_another_build() -> None:
    listed = [*PLAIN[:4], *ALIKE]
    with pytest.raises(InputError, match=r"of unknown strand.*effect_allele_frequency") as caught:
        align(InMemory(dosages(12, 3)), variants(listed), variants(listed))
    assert "build" not in str(caught.value)
