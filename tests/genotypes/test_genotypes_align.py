"""Alignment: any site, whatever its order and orientation, answers as the list says."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.align import AlignmentReport, align
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import Block, decode, encode

Row = tuple[str, int, str, str]


class InMemory:
    def __init__(self, dosage: NDArray[np.float64]) -> None:
        self.block = encode(dosage)
        self.n_variants, self.n_samples = dosage.shape

    def packed(self, start: int, stop: int) -> Block:
        return self.block[start:stop]


def variants(rows: list[Row]) -> Variants:
    return Variants.of(
        pl.DataFrame(
            rows, schema=dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64}, orient="row"
        )
    )


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
