"""Names of loci: where their variants lie, by the positions of the list."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from equipoise.genotypes import loci
from equipoise.genotypes.variants import HEADER, Variants

ROWS = [("21", 100), ("21", 250), ("21", 900), ("22", 40), ("22", 41), ("X", 7)]


def listed(rows: list[tuple[str, int]]) -> Variants:
    full = [(chromosome, position, "A", "G") for chromosome, position in rows]
    schema = dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64}
    return Variants.of(pl.DataFrame(full, schema=schema, orient="row"))


def names(selected: list[int], locus: list[int], *, merged: bool = False) -> tuple[str, ...]:
    places = np.array(selected, np.int64), np.array(locus, np.int64)
    return loci.names(listed(ROWS), *places, merged=merged)


def test_a_locus_is_named_from_its_first_to_its_last_variant() -> None:
    assert names([0, 1, 4], [0, 0, 1]) == ("21:100-250", "22:41-41")


def test_the_order_of_selected_variants_does_not_matter() -> None:
    assert names([4, 1, 3, 0], [1, 0, 1, 0]) == ("21:100-250", "22:40-41")


def test_what_is_left_is_called_elsewhere_on_whatever_chromosomes() -> None:
    assert names([0, 3, 5], [0, 1, 1], merged=True) == ("21:100-100", "elsewhere")
    assert names([0, 5], [0, 0], merged=True) == ("elsewhere",)


def test_nothing_selected_has_no_name() -> None:
    assert names([], []) == ()


@given(st.lists(st.integers(0, 5), min_size=1, unique=True), st.booleans())
def test_each_variant_lies_in_its_locus_and_nothing_is_wider(
    selected: list[int], merged: bool
) -> None:
    chromosomes = list(dict.fromkeys(ROWS[place][0] for place in selected))
    locus = [chromosomes.index(ROWS[place][0]) for place in selected]
    found = names(selected, locus, merged=merged)
    assert len(found) == len(chromosomes)
    for number, name in enumerate(found):
        if merged and number == len(found) - 1:
            assert name == loci.ELSEWHERE
            continue
        own = [ROWS[place] for place, of in zip(selected, locus, strict=True) if of == number]
        positions = [position for _, position in own]
        assert name == f"{own[0][0]}:{min(positions)}-{max(positions)}"
