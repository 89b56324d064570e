"""Merged bins never speak of too few, in any group nor between groups."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.solvers.auc import auc_from_histogram
from equipoise.solvers.bins import even_edges, filled_edges, gathered, merged, place

HISTOGRAMS = hnp.arrays(np.int64, (2, 2, 12), elements=st.integers(0, 9))


def cells(yes_and_no: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return everybody and two levels."""
    return np.concatenate([yes_and_no.sum(axis=0, keepdims=True), yes_and_no])


def enough(counts: NDArray[np.float64], k: int) -> bool:
    return bool(np.all((counts == 0) | (counts >= k)) and np.all(counts.sum(axis=-2) >= k))


@given(HISTOGRAMS, st.integers(1, 8), st.integers(1, 12))
def test_each_merged_bin_has_enough_people_of_each_kind_in_each_group(
    both: NDArray[np.int64], k: int, most: int
) -> None:
    histogram = cells(both)
    at = merged(histogram, k, most)
    assert at[0] == 0
    assert set(np.diff(at)) <= {0, 1}
    assert at[-1] < most
    wide = gathered(histogram, at)
    held = wide[histogram.sum(axis=(1, 2)) > 0]
    assert at[-1] == 0 or enough(held, k)
    assert np.array_equal(wide.sum(axis=-1), histogram.sum(axis=-1))


@given(HISTOGRAMS, st.integers(1, 8))
def test_no_union_of_published_bins_of_groups_leaves_a_few_by_subtraction(
    both: NDArray[np.int64], k: int
) -> None:
    # One partition: each run of bins of everybody less that of a level is a level's own.
    at = merged(cells(both), k, 12)
    if at[-1] == 0:
        return
    everybody, no, yes = gathered(cells(both), at)
    assert np.array_equal(everybody - no, yes)
    assert yes.sum() == 0 or enough(yes, k)


def test_bins_that_hold_few_cases_are_joined_to_the_next() -> None:
    one = np.array([[[20, 20, 20, 20], [0, 2, 4, 9]]])
    assert merged(one, 5, 8).tolist() == [0, 1, 1, 2]


def test_what_is_left_at_the_end_goes_to_the_bin_before() -> None:
    one = np.array([[[20, 20, 20, 20], [6, 6, 9, 2]]])
    assert merged(one, 5, 8).tolist() == [0, 1, 2, 2]


@given(hnp.arrays(np.float64, 20, elements=st.floats(-20, 20)), st.integers(1, 30))
def test_a_bin_of_a_logit_is_that_of_numpys_digitize(logit: NDArray[np.float64], bins: int) -> None:
    edges = even_edges(8.0, bins)
    assert np.allclose(edges, np.linspace(-8, 8, bins + 1)[1:-1])
    assert np.array_equal(place(logit, edges), np.digitize(logit, edges))


@given(hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 50)))
def test_filled_edges_are_in_order_within_the_span(counts: NDArray[np.int64]) -> None:
    edges = filled_edges(counts, 8.0)
    assert len(edges) == len(counts) - 1
    assert np.all(np.diff(edges) >= 0)
    assert np.all(np.abs(edges) <= 8.0)


def test_filled_bins_hold_about_as_many_people_each_and_bound_the_auc_tightly() -> None:
    draw = np.random.default_rng(4)
    logit = draw.normal(-1.0, 1.5, 4000)
    case = draw.random(4000) < 1 / (1 + np.exp(-logit))
    even = place(logit, even_edges(8.0, 25))
    filled = place(logit, filled_edges(np.bincount(even, minlength=25), 8.0))
    held = np.bincount(filled, minlength=25)
    assert held.min() > 0.7 * 160  # 4000 / 25; within an even bin people are not spread evenly
    assert held.max() < 1.3 * 160
    bounds = [
        auc_from_histogram(*(np.bincount(at[case == y], minlength=25) for y in (True, False)))[1]
        for at in (even, filled)
    ]
    assert bounds[1] < 1 / (2 * 25)
    assert bounds[1] < bounds[0] / 2
