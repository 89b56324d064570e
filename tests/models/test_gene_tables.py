"""Which variants a gene reads: against a slow twin, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.models.gene_tables import assigned, tiles

PLACES = st.lists(st.tuples(st.sampled_from("12X"), st.integers(1, 60)), min_size=1, max_size=30)
INTERVALS = st.lists(
    st.tuples(st.sampled_from("12X"), st.integers(1, 60), st.integers(0, 20)), max_size=8
)


@given(PLACES, INTERVALS, st.integers(0, 5))
def test_a_gene_reads_the_variants_that_lie_in_it(places, intervals, margin) -> None:
    places = sorted(places)
    chromosome, position = [c for c, _ in places], np.array([p for _, p in places])
    genes = [(f"g{i}", c, a, a + length) for i, (c, a, length) in enumerate(intervals)]
    slow = {
        name: inside
        for name, own, first, last in genes
        if (
            inside := [
                i
                for i, (c, p) in enumerate(places)
                if c == own and first - margin <= p <= last + margin
            ]
        )
    }
    if not slow:
        with pytest.raises(InputError, match="no gene of the table has a variant"):
            assigned(chromosome, position, genes, margin)
        return
    found = assigned(chromosome, position, genes, margin)
    ranges = zip(found.starts, found.stops, strict=True)
    assert {n: list(range(a, b)) for n, (a, b) in zip(found.names, ranges, strict=True)} == slow
    assert list(found.starts) == sorted(found.starts)
    assert found.outside == len(places) - len(set().union(*slow.values()))


@given(PLACES, st.integers(1, 12))
def test_tiles_are_even_and_cross_no_chromosome(places, most) -> None:
    places = sorted(places)
    chromosome, position = [c for c, _ in places], np.array([p for _, p in places])
    found = tiles(chromosome, position, most)
    assert found.starts == (0, *found.stops[:-1])
    assert found.stops[-1] == len(places)
    sizes: dict[str, list[int]] = {}
    for a, b in zip(found.starts, found.stops, strict=True):
        assert len(set(chromosome[a:b])) == 1
        sizes.setdefault(chromosome[a], []).append(b - a)
    for own in sizes.values():
        assert max(own) <= most
        assert max(own) - min(own) <= 1
        assert len(own) == -(-sum(own) // most)


@pytest.mark.parametrize("chromosome", [["1", "2", "1"], ["1", "1", "1"]])
def test_a_list_out_of_order_is_refused(chromosome: list[str]) -> None:
    with pytest.raises(InputError, match="sort the list by chromosome and position"):
        tiles(chromosome, np.array([5, 4, 6]), 2)


def test_nothing_to_read_is_refused() -> None:
    with pytest.raises(InputError, match="without variants"):
        tiles([], np.zeros(0, np.int64), 2)
    with pytest.raises(InputError, match="at least 1"):
        tiles(["1"], np.ones(1, np.int64), 0)
    assert list(pairwise(tiles(["1"], np.ones(1, np.int64), 3).stops)) == []
