"""The map against counting by hand, what may be shown of it, and where a site says it lies."""

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.analyses.ancestry_map import AncestryCounts, AncestryMap, shown
from equipoise.federation import budget
from laws import harness
from strategies import SEEDS, Rows, make_rows

AXES = ("PC1", "PC2")


def people_at(first: NDArray[np.float64], second: NDArray[np.float64]) -> Rows:
    base = make_rows(1, n=len(first), kinds=["common"])
    return base.with_columns({"PC1": first, "PC2": second})


def drawn(seed: int, n: int = 60) -> Rows:
    first, second = 2 * np.random.default_rng(seed).normal(size=(2, n))
    return people_at(first, second)


def counted(people: Rows, bins: int, components: tuple[str, ...] = AXES) -> AncestryCounts:
    analysis = AncestryMap(people.n, bins, components, 5, 10)
    sites = people.split(np.arange(people.n) % 3, 3)
    return harness.run(analysis, sites, "masked").result


@settings(max_examples=10)
@given(SEEDS, st.integers(2, 9))
def test_counts_equal_a_slow_twin(seed: int, bins: int) -> None:
    people = drawn(seed)
    ends = [-4 + 8 * i / bins for i in range(1, bins)]
    slow = [[0] * bins for _ in range(bins)]
    for x, y in zip(people.columns["PC1"], people.columns["PC2"], strict=True):
        slow[sum(x >= end for end in ends)][sum(y >= end for end in ends)] += 1
    assert counted(people, bins).counts.tolist() == slow


def test_counts_are_those_of_numpy() -> None:
    people = drawn(7, n=200)
    places = [np.clip(people.columns[name], -4, 4) for name in AXES]
    expected = np.histogram2d(*places, bins=6, range=[(-4, 4), (-4, 4)])[0]
    np.testing.assert_array_equal(counted(people, 6).counts, expected)


def test_everybody_is_in_the_map_however_far_out() -> None:
    people = people_at(np.array([-90.0, 90.0, 0.0]), np.array([90.0, -4.0, 0.0]))
    found = counted(people, 3).counts
    assert found.sum() == 3
    assert [found[0, 2], found[2, 0], found[1, 1]] == [1, 1, 1]


def test_a_second_component_that_is_absent_is_like_one_that_is_not_kept() -> None:
    people = drawn(3)
    alone = counted(people, 4, ("PC1",)).counts
    flat = people.with_column("PC2", np.zeros(people.n))
    assert alone.tolist() == counted(flat, 4).counts.tolist()
    assert not alone[:, [0, 1, 3]].any()


def tables(k: int, most: int, squares: int) -> dict[object, list[tuple[int, ...]]]:
    """Return all small tables by what is seen of them: the counts shown, and the total."""
    seen: dict[object, list[tuple[int, ...]]] = defaultdict(list)
    for table in product(range(most + 1), repeat=squares):
        rows = shown(np.array([table]), k)
        seen[tuple(rows[0]), sum(table)].append(table)
    return seen


@pytest.mark.parametrize(("k", "most", "squares"), [(3, 9, 4), (5, 14, 3), (4, 7, 4)])
def test_no_small_count_follows_from_what_is_shown_and_the_total(
    k: int, most: int, squares: int
) -> None:
    for (cells, total), same in tables(k, most, squares).items():
        assert not any(cell is not None and 0 < cell < k for cell in cells)
        if total < 10 * squares and all(cell is None for cell in cells):
            continue  # nothing is shown, and a map has ten people a square
        for i, cell in enumerate(cells):
            values = {table[i] for table in same}
            assert cell is not None or len(values) > 1 or min(values) not in range(1, k)


def test_what_is_shown_is_what_was_counted() -> None:
    counts = np.array([[0, 3, 20], [7, 31, 0], [2, 9, 12]])
    assert shown(counts, 5) == [[0, None, 20], [7, 31, 0], [None, 9, 12]]
    assert shown(counts, 1) == counts.tolist()
    assert shown(np.zeros((2, 2), np.int64), 5) == [[0, 0], [0, 0]]


def test_a_single_small_count_takes_the_smallest_shown_with_it() -> None:
    assert shown(np.array([[0, 3], [20, 7]]), 5) == [[0, None], [20, None]]
    # The one hidden with it is no larger than the 7 shown, which would tell the 3.
    assert shown(np.array([[7, 3], [20, 7]]), 5) == [[None, None], [20, None]]
    assert shown(np.array([[0, 3], [0, 0]]), 5) == [[None, None], [None, None]]


def test_a_site_says_where_it_lies_to_a_tenth() -> None:
    people = drawn(5, n=41)
    analysis = AncestryMap(people.n, 3, AXES, 5, 10)
    figures = analysis.figures(people.cohort(), AncestryCounts(np.zeros((3, 3), np.int64)))
    assert list(figures) == list(AXES)
    for name, figure in figures.items():
        values = people.columns[name]
        budget.check_figure(figure, analysis.coarse, 5, 10)
        # Half a step of a tenth.
        assert figure.value == pytest.approx(np.mean(values), abs=0.05 + 1e-9)
        assert figure.low == pytest.approx(np.mean(values) - np.std(values), abs=0.05 + 1e-9)
        assert figure.high == pytest.approx(np.mean(values) + np.std(values), abs=0.05 + 1e-9)
        assert (figure.n, figure.events) == (41, None)


def test_a_component_that_is_not_kept_lies_at_zero() -> None:
    people = people_at(np.zeros(20), -np.zeros(20) - 0.04)
    analysis = AncestryMap(20, 3, AXES, 5, 10)
    found = analysis.figures(people.cohort(), AncestryCounts(np.zeros((3, 3), np.int64)))
    assert [str(f.value) for f in found.values()] == ["0.0", "0.0"]


@pytest.mark.parametrize(("n", "says"), [(0, False), (9, False), (10, True)])
def test_a_site_of_few_people_does_not_say_where_it_lies(n: int, says: bool) -> None:
    people = drawn(6)
    analysis = AncestryMap(people.n, 3, AXES, 5, 10)
    figures = analysis.figures(people.cohort(range(n)), counted(people, 3))
    for figure in figures.values():
        budget.check_figure(figure, analysis.coarse, 5, 10)
        assert (figure.value is not None) == says
        assert figure.reason == (None if says else "fewer than 10 people at the site")
