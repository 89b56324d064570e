"""What a plan may ask for in moments: the columns of G'G of each stratum, and what is refused."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses.moment_cohorts import KINDS, hard, run, soft, soft_people, with_strata
from equipoise.analyses.moment_totals import MomentsState, smallest_by_stratum
from equipoise.analyses.moments import Moments
from equipoise.analyses.strata import Strata
from equipoise.errors import DisclosureError, InputError
from equipoise.federation import budget, registry
from equipoise.plan import Plan, Ref, Step
from laws import harness
from strategies import FOLDS, make_rows


def plan(analysis: Moments, sizes: Sequence[int]) -> Plan:
    made = harness.plan_of({f"s{i}": n for i, n in enumerate(sizes)}, "masked")
    literal = {f.name: getattr(analysis, f.name) for f in fields(Moments)}
    step = Step("moments", "moments", {**literal, "frequencies": Ref("frequency")})
    return replace(made, n_variants=analysis.starts[-1], steps=(step,))


def test_a_block_wider_than_its_stratum_allows_is_refused_before_anything_runs() -> None:
    people = with_strata(make_rows(11, n=60, kinds=KINDS))
    analysis = hard(people, counted=(100, 24, 100))  # five variants, four columns allowed
    with pytest.raises(DisclosureError, match=r"5 columns of G'G of stratum 1, and 4 are allowed"):
        budget.disclosure(plan(analysis, [300, 300, 300]), registry.build)
    with pytest.raises(DisclosureError, match="give reference LD"):
        analysis.schema(analysis.start())
    lent = replace(analysis, borrowed=(1,))
    assert [told.used for told in lent.columns] == [5, 0, 5]
    assert budget.disclosure(plan(lent, [300, 300, 300]), registry.build).releases[0].rounds == 1
    narrow = replace(analysis, starts=(0, 4, 8, 9))
    assert max(told.used for told in narrow.columns) == 4
    budget.disclosure(plan(narrow, [300, 300, 300]), registry.build)


def test_a_stratum_found_smaller_than_counted_on_is_told_nothing_about() -> None:
    people = with_strata(make_rows(13, n=60, kinds=KINDS))
    sizes = np.bincount(people.columns["stratum"].astype(int))
    none = np.zeros((3, 1))
    found = Strata(none, np.arange(3), sizes, sizes)
    honest = tuple((sizes // FOLDS).tolist())
    small = hard(people, starts=(0, *range(1, 10)), counted=honest, found=found, least=1)
    assert next(iter(small.summarise(people.cohort(), MomentsState())))
    wide = replace(small, counted=(honest[0], honest[1] + 1, honest[2]))
    with pytest.raises(DisclosureError, match=f"stratum 1 has {sizes[1]} people"):
        next(iter(wide.summarise(people.cohort(), MomentsState())))


def test_the_result_says_what_was_told() -> None:
    people = with_strata(make_rows(13, n=60, kinds=KINDS))
    done = run(hard(people, borrowed=(1,)), people)
    assert (done.told.tolist(), done.allowed.tolist()) == ([5, 0, 5], [20, 20, 20])


def test_a_stratum_of_few_is_refused_though_its_linkage_is_borrowed() -> None:
    analysis = hard(soft_people(), counted=(100, 100, 9), borrowed=(2,))
    with pytest.raises(
        DisclosureError, match="about 9 people are in the smallest fold of stratum 2"
    ):
        analysis.schema(analysis.start())


def test_components_among_the_covariates_are_columns_too() -> None:
    people = with_strata(make_rows(11, n=60, kinds=KINDS))
    analysis = hard(people, counted=(25, 25, 25), background=("age",))
    with pytest.raises(DisclosureError, match="6 columns"):
        analysis.schema(analysis.start())


def test_the_budget_of_the_plan_counts_every_stratum() -> None:
    people = with_strata(make_rows(11, n=60, kinds=KINDS))
    sizes, analysis = [300, 300, 300], hard(people, starts=(0, 4, 9), borrowed=(2,))
    found = budget.disclosure(plan(analysis, sizes), registry.build)
    by_fold = {c.block: (c.used, c.allowed) for c in found.columns if c.over == ("fold",)}
    assert by_fold == {(0, 4): (8, 40), (4, 9): (10, 40)}
    budget.check(plan(analysis, sizes), found)
    few = [60, 60, 60]  # forty in a fold that the largest cannot subtract: eight columns
    with pytest.raises(DisclosureError, match="releases 10 columns"):
        budget.check(plan(analysis, few), budget.disclosure(plan(analysis, few), registry.build))


@given(st.lists(st.lists(st.integers(0, 500), min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_strata_may_tell_is_never_more_than_the_fold_may(sites: list[list[int]]) -> None:
    """Columns of strata add up in the plan's budget: each stratum's limit keeps the sum within it."""
    totals = [sum(site) for site in sites]
    left = sum(totals) - (max(totals) if len(sites) > 1 else 0)
    allowed = [n // 5 for n in smallest_by_stratum(sites, FOLDS)]
    assert sum(allowed) <= left // FOLDS // 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": 0.3}, "power of two"),
        ({"step": 2.0**-11}, "power of two"),
        ({"weights": ("w0", "w1")}, "one column of weights"),
        ({"stratum": "stratum"}, "one column of weights"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    analysis = soft(soft_people(), **changes)
    with pytest.raises(InputError, match=said):
        analysis.schema(analysis.start())
