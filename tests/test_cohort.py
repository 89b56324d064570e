"""The cohort: which rows and columns an analysis sees, and work on blocks in order."""

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.cohort import IN_FLIGHT, Cohort, blocks_of
from equipoise.errors import ProtocolError
from strategies import Rows, make_rows, permutations, rows


@settings(max_examples=30)
@given(rows(), st.data())
def test_a_cohort_reads_its_own_people_in_its_own_order(people: Rows, data: st.DataObject) -> None:
    chosen = data.draw(permutations(people.n))[: data.draw(st.integers(0, people.n))]
    cohort = people.cohort(chosen)
    assert cohort.n == len(chosen)
    np.testing.assert_array_equal(
        cohort.dosage(0, people.n_variants), people.dosage[:, chosen], strict=True
    )
    np.testing.assert_array_equal(cohort.column("age"), people.columns["age"][chosen])


@pytest.mark.parametrize("near", [1, 1 << 16])
@settings(max_examples=20)
@given(people=rows(), data=st.data())
def test_dosages_of_single_variants_are_those_of_the_block(
    near: int, people: Rows, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equipoise.cohort.NEAR", near)
        _dosages_are_those_of_the_block(people, data)


def _dosages_are_those_of_the_block(people: Rows, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, people.n_variants - 1), max_size=5))
    found = people.cohort().dosage_at(np.array(wanted, np.int64))
    np.testing.assert_array_equal(found, people.dosage[wanted].reshape(-1, people.n))


def test_an_undeclared_column_is_not_there() -> None:
    cohort = make_rows(1).cohort()
    restricted = cohort.restrict(frozenset({"age", "unheard-of"}))
    assert set(restricted.columns) == {"age"}
    np.testing.assert_array_equal(restricted.column("age"), cohort.column("age"))
    with pytest.raises(ProtocolError, match="'sex' is not among those declared"):
        restricted.column("sex")
    assert "sex" in cohort.columns


def test_restricting_changes_nothing_else() -> None:
    cohort = make_rows(1).cohort()
    restricted = cohort.restrict(frozenset())
    assert replace(restricted, columns=cohort.columns) == cohort


def test_derived_columns_come_beside_the_others_and_the_first_cohort_stays() -> None:
    cohort = make_rows(1).cohort()
    more = cohort.with_columns({"pc1": np.arange(cohort.n, dtype=np.float64)})
    assert set(more.columns) == {*cohort.columns, "pc1"}
    assert "pc1" not in cohort.columns


@given(st.integers(0, 30), st.integers(1, 8))
def test_blocks_tile_the_variants_in_order(n_variants: int, size: int) -> None:
    bounds = blocks_of(n_variants, size)
    assert [v for start, stop in bounds for v in range(start, stop)] == list(range(n_variants))
    assert all(0 < stop - start <= size for start, stop in bounds)


def counting(cohort: Cohort) -> list[NDArray[np.float64]]:
    bounds = blocks_of(cohort.genotypes.n_variants, 2)
    return list(cohort.map_blocks(lambda a, b: np.nansum(cohort.dosage(a, b), axis=1), bounds))


@settings(max_examples=30)
@given(rows())
def test_an_executor_gives_the_same_bytes_as_none(people: Rows) -> None:
    alone = people.cohort()
    with ThreadPoolExecutor(3) as executor:
        together = counting(replace(alone, executor=executor))
    assert [part.tobytes() for part in counting(alone)] == [part.tobytes() for part in together]


def test_blocks_come_in_order_whichever_is_ready_first() -> None:
    # The first block waits until the second is done: only order, not luck, can put it first.
    second = threading.Event()

    def work(start: int, stop: int) -> int:
        if start == 0:
            assert second.wait(60)
        if start == 1:
            second.set()
        return start

    bounds = tuple((i, i + 1) for i in range(9))
    with ThreadPoolExecutor(2) as executor:
        cohort = replace(make_rows(1).cohort(), executor=executor)
        assert list(cohort.map_blocks(work, bounds)) == list(range(9))


class Counting(Executor):
    """Runs at once; keeps count of what was submitted."""

    def __init__(self) -> None:
        self.submitted = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        done = Future[Any]()
        try:
            done.set_result(fn(*args, **kwargs))
        except ArithmeticError as error:
            done.set_exception(error)
        return done


def test_no_more_blocks_are_ready_than_declared() -> None:
    executor = Counting()
    cohort = replace(make_rows(1).cohort(), executor=executor)
    stream = cohort.map_blocks(lambda a, b: a, tuple((i, i + 1) for i in range(20)))
    for taken in range(1, 21):
        next(stream)
        assert executor.submitted <= taken + IN_FLIGHT - 1
    assert list(stream) == []


@pytest.mark.parametrize("executor", [None, Counting()])
def test_a_failure_in_a_block_is_raised_where_it_is_taken(executor: Executor | None) -> None:
    cohort = replace(make_rows(1).cohort(), executor=executor)
    stream = cohort.map_blocks(lambda a, b: 1 // (a - 1), ((0, 1), (1, 2)))
    assert next(stream) == -1
    with pytest.raises(ZeroDivisionError):
        next(stream)
