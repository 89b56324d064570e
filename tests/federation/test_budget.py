"""What a plan lets be derived is computed from the plan, and no lie in it widens the budget."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.analysis import Figure
from equipoise.errors import DisclosureError
from equipoise.federation import budget, registry
from equipoise.plan import Member, Plan
from equipoise.study.compile import compile_plan, windows
from equipoise.study.records import Validation
from federation.building import LISTED, N_VARIANTS, study_of

SIZES = st.lists(st.integers(10, 500), min_size=2, max_size=6)


def plan(sizes: list[int], folds: int = 3) -> Plan:
    study = study_of([f"s{i}" for i in range(len(sizes))], "clear", folds)
    members = tuple(Member(f"s{i}", "", "", n) for i, n in enumerate(sizes))
    return compile_plan(replace(study, validation=Validation(folds=folds)), LISTED, members)


def with_score(made: Plan, rounds: int = 1, **parameters: int | tuple[float, ...]) -> Plan:
    score = made.step("score")
    changed = replace(score, rounds=rounds, parameters={**score.parameters, **parameters})
    return replace(made, steps=tuple(changed if s == score else s for s in made.steps))


def used(made: Plan) -> dict[tuple[int, int], tuple[int, int]]:
    found = budget.disclosure(made, registry.build)
    return {columns.block: (columns.used, columns.allowed) for columns in found.columns}


def check(made: Plan) -> None:
    budget.check(made, budget.disclosure(made, registry.build))


def test_a_fifth_of_the_smallest_set_is_allowed_and_no_more() -> None:
    made = plan([60, 60, 60])
    most = 120 // 3 // 5
    blocks = list(zip(windows(LISTED)[:-1], windows(LISTED)[1:], strict=True))
    assert used(made) == dict.fromkeys(blocks, (most, most))
    check(with_score(made, columns=most))
    with pytest.raises(DisclosureError, match=f"releases {most + 1} columns"):
        check(with_score(made, columns=most + 1))


def test_every_round_and_every_step_counts() -> None:
    made = plan([60, 60, 60])
    assert set(used(with_score(made, rounds=3)).values()) == {(24, 8)}
    twice = replace(made, steps=(*made.steps, replace(made.step("score"), name="again")))
    assert set(used(twice).values()) == {(16, 8)}


def test_blocks_that_overlap_count_together() -> None:
    made = plan([60, 60, 60])
    whole: tuple[float, ...] = (0, N_VARIANTS)
    wide = replace(with_score(made, windows=whole, columns=2).step("score"), name="wide")
    both = used(replace(made, steps=(*made.steps, wide)))
    n_windows = len(windows(LISTED)) - 1
    assert both.pop((0, N_VARIANTS)) == (2 + 8 * n_windows, 8)
    assert set(both.values()) == {(10, 8)}


@given(SIZES, st.integers(0, 10**6))
def test_a_site_that_claims_more_people_never_widens_the_budget(
    sizes: list[int], more: int
) -> None:
    """Beyond what the next largest site has, nothing is gained; the largest is not counted."""
    members = [Member(f"s{i}", "", "", n) for i, n in enumerate(sizes)]
    largest = max(sizes)
    lying = [replace(members[0], people=largest + more), *members[1:]]
    assert budget.people_outside(lying) <= sum(sizes[1:])
    assert budget.people_outside(members) == sum(sizes) - largest


def test_one_site_alone_has_nobody_to_hide_from() -> None:
    assert budget.people_outside([Member("a", "", "", 50)]) == 50


def test_folds_of_too_few_people_are_refused() -> None:
    check(plan([60, 15, 15], folds=3))
    with pytest.raises(DisclosureError, match="hold about 9 people"):
        check(plan([60, 15, 14], folds=3))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: replace(p, steps=(*p.steps, p.steps[0])), "one name"),
        (lambda p: with_score(p, windows=(0, N_VARIANTS + 1)), "none of the variants"),
        (lambda p: with_score(p, windows=(-1, N_VARIANTS)), "none of the variants"),
        (lambda p: with_score(p, windows=(0, 30, 30, N_VARIANTS)), "none of the variants"),
        (lambda p: with_score(p, windows=(0, 30, 10, N_VARIANTS)), "none of the variants"),
        (lambda p: with_score(p, folds=1), "another number of folds"),
        (lambda p: replace(p, folds=1), "another number of folds"),
        (lambda p: with_score(p, rounds=0), "none of its rounds"),
    ],
)
def test_a_plan_that_says_one_thing_and_asks_another_is_refused(change: object, says: str) -> None:
    assert callable(change)
    with pytest.raises(DisclosureError, match=says):
        check(change(plan([60, 60, 60])))


def test_figures_are_listed() -> None:
    assert budget.disclosure(plan([60, 60, 60]), registry.build).figures == ("discrimination",)


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        (Figure(0.815, 0.7, 0.9, 50, 20), "multiple of 0.01"),
        (Figure(0.81, 0.701, 0.9, 50, 20), "multiple of 0.01"),
        (Figure(0.81, 0.7, 0.9, 50, 4), "fewer than 5"),
        (Figure(0.81, 0.7, 0.9, 50, 46), "fewer than 5"),
        (Figure(0.81, 0.7, 0.9, None, 20), "fewer than 5"),
        (Figure(0.81, 0.7, 0.9, 50, None), "no value but a reason"),
        (Figure(None, None, None, 50, None), "no value but a reason"),
    ],
)
def test_a_fine_figure_or_one_of_few_people_is_refused(figure: Figure, says: str) -> None:
    with pytest.raises(DisclosureError, match=says):
        budget.check_figure(figure, 0.01, 5)


def test_a_coarse_figure_of_enough_people_passes() -> None:
    budget.check_figure(Figure(0.81, 0.7, 0.9, 50, 20), 0.01, 5)
    budget.check_figure(Figure(None, None, None, 50, None, "too few"), 0.01, 5)
