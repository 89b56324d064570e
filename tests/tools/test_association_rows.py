"""Rows of a scan: the same wherever they lie and in whatever pieces they come."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.tools import association_rows
from equipoise.tools.association_rows import Found, Rows, Words, coded, room
from equipoise.tools.linear import Counted

WORDS = ["ok", "far", "."]
VALUES = st.one_of(st.just(np.nan), st.floats(0, 400))


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "file":
        monkeypatch.setattr(association_rows, "MOST", 0)


@pytest.mark.usefixtures("place")
def test_room_is_an_array_of_zeros_that_keeps_what_is_written() -> None:
    found = room((5, 3), np.int32)
    assert found.shape == (5, 3)
    assert found.dtype == np.int32
    assert not found.any()
    found[1:4, 1] = [7, -8, 9]
    assert found.sum(axis=0).tolist() == [0, 8, 0]


def test_what_is_large_is_not_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association_rows, "MOST", 80)
    assert room(10, np.float64).base is None
    assert isinstance(room(11, np.float64).base, np.memmap)


def found(values: list[float], code: list[int]) -> Found:
    numbers = np.array(values)
    status = np.array(code, np.int8)
    n = np.full(len(values), 7.0)
    return Found(numbers, numbers / 3, numbers, numbers, n, status, WORDS, status, WORDS[::-1])


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("size", [1, 4, 100])
def test_rows_put_in_any_order_are_the_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association_rows, "PART", size)
    rng = np.random.default_rng(size)
    values = np.where(rng.random(23) < 0.3, np.nan, rng.exponential(size=23))
    code = rng.integers(0, 3, 23)
    rows = Rows(23, with_method=True)
    for places in np.array_split(rng.permutation(23), 5):
        rows.put(places, found(values[places].tolist(), code[places].tolist()))
    np.testing.assert_array_equal(rows.standard_error, values / 3)
    assert rows.n.tolist() == [7] * 23
    assert rows.status.series(slice(2, 9)).to_list() == [WORDS[i] for i in code[2:9]]
    assert rows.method is not None
    assert rows.method.series(slice(0, 23)).to_list() == [WORDS[2 - i] for i in code]
    assert rows.status.count() == dict(sorted(Counter(WORDS[i] for i in code).items()))
    assert rows.best() == int(np.nanargmax(values))
    assert rows.median() == np.median(values[np.isfinite(values)])


@given(st.lists(VALUES, max_size=9))
def test_the_best_row_is_the_first_of_the_greatest(values: list[float]) -> None:
    rows = Rows(len(values))
    rows.put(slice(0, len(values)), found(values, [0] * len(values)))
    finite = [value for value in values if np.isfinite(value)]
    assert rows.best() == (values.index(max(finite)) if finite else None)
    assert rows.median() == (np.median(finite) if finite else None)


@given(st.lists(st.sampled_from(WORDS), max_size=9))
def test_words_are_coded_by_their_first_place(words: list[str]) -> None:
    code, listed = coded(np.array(words, object))
    assert [listed[i] for i in code] == words
    assert listed == list(dict.fromkeys(words))


def test_words_that_come_later_keep_the_earlier_ones() -> None:
    held = Words(3)
    held.put(slice(0, 1), np.array([1]), ["a", "b"])
    held.put([2, 1], np.array([0, 1]), ["c", "a"])
    assert held.series(slice(0, 3)).to_list() == ["b", "a", "c"]


@pytest.mark.usefixtures("place")
def test_counts_that_were_kept_come_back() -> None:
    held, counts = Counted(10), np.arange(24).reshape(6, 4)
    held[4, 10] = counts
    assert (4, 10) in held
    assert (0, 4) not in held
    np.testing.assert_array_equal(held[4, 10], counts)
    with pytest.raises(KeyError):
        held[0, 4]
