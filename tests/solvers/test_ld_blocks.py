"""Blocks of linkage against every possible cut, and what holds of all."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.solvers.ld_blocks import STEP, joined, ld_blocks

Array = NDArray[np.float64]


def within(r2: Array, starts: tuple[int, ...]) -> int:
    """Return the sum of pairs in one block, in steps, one pair at a time."""
    return sum(
        round(r2[i, j - i - 1] / STEP)
        for a, b in pairwise(starts)
        for i in range(a, b)
        for j in range(i + 1, min(b, i + r2.shape[1] + 1))
    )


def best(r2: Array, most: int, segments: tuple[int, ...]) -> tuple[int, int]:
    """Return the largest sum within blocks and then the smallest sum of squares, of all cuts."""
    n, found = len(r2), []
    for k in range(n):
        for inner in combinations(range(1, n), k):
            starts = (0, *inner, n)
            sizes = np.diff(starts)
            if max(sizes) <= most and set(segments) <= set(starts):
                found.append((within(r2, starts), -int(sizes @ sizes)))
    return max(found)


@st.composite
def bands(draw: st.DrawFn, most: int = 9) -> Array:
    """Draw r^2 in few levels, so that ties are common."""
    n, window = draw(st.integers(1, most)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.choice([0.0, 0.25, 0.5, 1.0, 0.3], (n, window))


@settings(max_examples=80, deadline=None)
@given(bands(), st.integers(1, 9), st.data())
def test_no_cut_of_all_is_better(r2: Array, most: int, data: st.DataObject) -> None:
    edge = data.draw(st.integers(0, len(r2)))
    segments = (0, edge, len(r2)) if 0 < edge < len(r2) else (0, len(r2))
    found = ld_blocks(r2, most, segments)
    sizes = np.diff(found.starts)
    value = within(r2, tuple(found.starts.tolist()))
    assert (value, -int(sizes @ sizes)) == best(r2, most, segments)
    assert found.within == value * STEP
    whole = sum(within(r2, pair) for pair in pairwise(segments))
    assert found.cut == (whole - value) * STEP


@settings(max_examples=30, deadline=None)
@given(bands(most=60), st.integers(1, 20))
def test_blocks_are_all_variants_in_order_and_no_larger_than_allowed(r2: Array, most: int) -> None:
    found = ld_blocks(r2, most, (0, len(r2)))
    assert found.starts[0] == 0
    assert found.starts[-1] == len(r2)
    assert np.all(np.diff(found.starts) >= 1)
    assert np.all(np.diff(found.starts) <= most)
    assert ld_blocks(r2, most + 1, (0, len(r2))).cut <= found.cut


@settings(max_examples=30, deadline=None)
@given(bands(most=30), st.integers(1, 8))
def test_the_other_direction_cuts_as_little(r2: Array, most: int) -> None:
    n, window = r2.shape
    mirrored = np.zeros_like(r2)
    for i in range(n):
        for d in range(1, window + 1):
            if i + d < n:
                mirrored[n - 1 - i - d, d - 1] = r2[i, d - 1]
    one, other = ld_blocks(r2, most, (0, n)), ld_blocks(mirrored, most, (0, n))
    assert one.cut == other.cut


def test_planted_blocks_are_found() -> None:
    edges = np.cumsum([0, 7, 3, 12, 1, 9, 20])
    block = np.repeat(np.arange(6), np.diff(edges))
    i, d = np.arange(52)[:, None], np.arange(1, 25)
    other = np.minimum(i + d, 51)
    r2 = np.where(block[other] == block[i], 0.6**d, 0.01) * (i + d < 52)
    assert ld_blocks(r2, 20, (0, 52), 0.02).starts.tolist() == edges.tolist()


def test_without_linkage_every_variant_is_its_own_block() -> None:
    assert ld_blocks(np.full((5, 2), 0.04), 3, (0, 5), 0.05).starts.tolist() == list(range(6))


@pytest.mark.parametrize(("most", "segments"), [(0, (0, 3)), (2, (0, 4)), (2, (1, 3))])
def test_what_are_no_segments_is_refused(most: int, segments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        ld_blocks(np.zeros((3, 1)), most, segments)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 20), st.integers(0, 29))
def test_blocks_that_are_joined_are_whole_ones_and_small(
    sizes: list[int], least: int, edge: int
) -> None:
    starts = np.cumsum([0, *sizes])
    middle = int(starts[min(edge, len(sizes) - 1)])
    segments = tuple(sorted({0, middle, int(starts[-1])}))
    found = joined(starts, least, segments)
    assert set(segments) <= set(found.tolist()) <= set(starts.tolist())
    for a, b in pairwise(found.tolist()):
        assert b - a <= least or (a, b) in set(pairwise(starts.tolist()))
    # Nothing is left that could be joined with its neighbour.
    for a, b, c in zip(found, found[1:], found[2:], strict=False):
        assert c - a > least or int(b) in segments
