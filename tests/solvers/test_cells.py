"""Which groups may be asked about, and what follows for the others by subtraction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.solvers.cells import from_yes, levels, names, open_cells

COUNT = st.integers(0, 30)
PAIR = st.tuples(COUNT, COUNT)


@given(st.lists(st.tuples(PAIR, PAIR), min_size=1, max_size=3))
def test_a_level_is_open_only_if_what_it_leaves_is_enough_too(
    columns: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    for no, yes in columns:
        counts = from_yes(np.array([np.add(no, yes), yes]))
        assert counts[1:].tolist() == [list(no), list(yes)]
        everybody, *both = open_cells(counts, 5, 10)
        assert everybody == (min(counts[0]) >= 5)
        assert both == [min(*no, *yes) >= 10] * 2


def test_a_column_of_more_than_two_values_is_refused_without_its_values() -> None:
    with pytest.raises(InputError, match="'age' has values other than 0 and 1") as raised:
        list(levels("age", np.array([61.5, 0.0])))
    assert "61" not in str(raised.value)


def test_a_column_with_a_missing_value_is_refused() -> None:
    with pytest.raises(InputError, match="other than 0 and 1"):
        list(levels("sex", np.array([np.nan, 0.0])))


def test_cells_are_named_in_the_order_of_their_counts() -> None:
    assert names(("sex", "smoker")) == ("", "sex=0", "sex=1", "smoker=0", "smoker=1")
    assert names(()) == ("",)
