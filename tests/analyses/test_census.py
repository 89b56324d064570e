"""The census against counting by hand, and when it ends a run."""

import numpy as np
import pytest
from hypothesis import given, settings

from equipoise.analyses.census import Census, People
from equipoise.errors import DisclosureError, InputError
from laws import harness
from strategies import FOLDS, Rows, make_rows, rows


def census(people: Rows, least: int = 0, k: int = 0) -> People:
    sites = people.split(np.arange(people.n) % 3, 3)
    return harness.run(Census(people.n, FOLDS, least, k, "trait"), sites, "masked").result


@settings(max_examples=10)
@given(rows())
def test_counts_equal_a_slow_twin(people: Rows) -> None:
    found = census(people)
    for fold in range(FOLDS):
        inside = [i for i in range(people.n) if people.fold[i] == fold]
        assert found.people[fold] == len(inside)
        assert found.cases[fold] == sum(people.columns["trait"][i] == 1 for i in inside)
    assert found.smallest == np.bincount(people.fold, minlength=FOLDS).min()


@pytest.fixture(scope="module")
def people() -> Rows:
    return make_rows(2, n=60)


def test_the_run_ends_where_a_fold_has_too_few_people(people: Rows) -> None:
    smallest = census(people).smallest
    assert census(people, least=smallest).smallest == smallest
    with pytest.raises(DisclosureError, match=f"fewer than {smallest + 1} people"):
        census(people, least=smallest + 1)


@pytest.mark.parametrize("others", [False, True])
def test_the_run_ends_where_a_fold_has_too_few_of_a_kind(people: Rows, others: bool) -> None:
    trait = people.columns["trait"]
    people = people.with_column("trait", 1 - trait if others else trait)
    found = census(people)
    fewest = int(min(found.cases.min(), (found.people - found.cases).min()))
    assert census(people, k=fewest).cases.tolist() == found.cases.tolist()
    with pytest.raises(DisclosureError, match=f"fewer than {fewest + 1} with or"):
        census(people, k=fewest + 1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_trait_that_everybody_shares_is_a_wrong_input(people: Rows, value: float) -> None:
    with pytest.raises(InputError, match="'trait' is the same in everybody"):
        census(people.with_column("trait", np.full(people.n, value)))
