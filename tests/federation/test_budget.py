"""What a plan lets be derived is computed from the plan, and no lie in it widens the budget."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.analysis import Figure
from equipoise.errors import DisclosureError
from equipoise.federation import budget, registry
from equipoise.plan import Member, Plan, Step
from equipoise.sums import GENOTYPE, Field, Read, Schema
from federation.building import N_VARIANTS, WINDOWS, plan_of, study_of

SIZES = st.lists(st.integers(10, 500), min_size=2, max_size=6)


def plan(sizes: list[int], folds: int = 3) -> Plan:
    study = study_of([f"s{i}" for i in range(len(sizes))], "clear", folds)
    members = tuple(Member(f"s{i}", "", "", n) for i, n in enumerate(sizes))
    return plan_of(study, members)


def with_model(made: Plan, rounds: int = 1, **parameters: int | tuple[float, ...]) -> Plan:
    nets = made.step("model")
    changed = replace(nets, rounds=rounds, parameters={**nets.parameters, **parameters})
    return replace(made, steps=tuple(changed if s == nets else s for s in made.steps))


def used(
    made: Plan, over: tuple[str, ...] = ("fold",), build: budget.Build = registry.build
) -> dict[tuple[int, int], tuple[int, int]]:
    found = budget.disclosure(made, build).columns
    return {c.block: (c.used, c.allowed) for c in found if c.over == over}


def check(made: Plan, build: budget.Build = registry.build) -> None:
    budget.check(made, budget.disclosure(made, build))


@dataclass(frozen=True)
class Asking:
    """Asks for columns of G'G and is nothing else."""

    directions: int
    block: tuple[int, int]
    over: tuple[str, ...]
    folds: int
    reads: str = GENOTYPE

    def start(self) -> None:
        return None

    def schema(self, state: None) -> Schema:
        shape = (self.folds,) if self.over == ("fold",) else (2,)
        reads = (Read(self.reads, 2),)
        field = Field(shape, 1.0, 1.0, 1.0, self.over, reads, False, self.directions, self.block)
        return Schema(({"x": field},))


def asking(
    *asked: tuple[int, tuple[int, int], tuple[str, ...]], rounds: int = 1, reads: str = GENOTYPE
) -> tuple[Plan, budget.Build]:
    """Return a plan whose steps ask for so many directions on a block, over folds or none."""
    made = plan([60, 60, 60])
    steps = tuple(Step(str(i), "asking", {}, rounds) for i in range(len(asked)))

    def build(step: Step, results: Mapping[str, Any] | None) -> Any:
        directions, block, over = asked[int(step.name)]
        return Asking(directions, block, over, made.folds, reads)

    return replace(made, steps=steps), build


def test_a_fifth_of_the_smallest_set_is_allowed_and_no_more() -> None:
    made = plan([60, 60, 60])
    most = 120 // 3 // 5
    blocks = list(pairwise(WINDOWS))
    assert used(made) == dict.fromkeys(blocks, (most, most))
    check(with_model(made, columns=most))
    with pytest.raises(DisclosureError, match=f"releases {most + 1} columns"):
        check(with_model(made, columns=most + 1))


def test_every_round_and_every_step_counts() -> None:
    made = plan([60, 60, 60])
    assert set(used(with_model(made, rounds=3)).values()) == {(24, 8)}
    twice = replace(made, steps=(*made.steps, replace(made.step("model"), name="again")))
    assert set(used(twice).values()) == {(16, 8)}


def test_blocks_that_overlap_count_together() -> None:
    """A variant of a window is in the wide block too; no variant is in two windows."""
    made = plan([60, 60, 60])
    whole: tuple[float, ...] = (0, N_VARIANTS)
    wide = replace(with_model(made, windows=whole, columns=2).step("model"), name="wide")
    both = used(replace(made, steps=(*made.steps, wide)))
    assert len(both) == len(WINDOWS)
    assert set(both.values()) == {(10, 8)}


# --- two families: columns by fold tell about each fold and everybody, others about everybody

FOLD = ("fold",)
WHOLE = (0, N_VARIANTS)


def test_columns_of_everybody_are_not_charged_to_folds() -> None:
    made, build = asking((7, WHOLE, ()), (5, (10, 20), FOLD), rounds=2)
    assert used(made, FOLD, build) == {(10, 20): (10, 8)}
    assert used(made, (), build) == {WHOLE: (24, 24), (10, 20): (24, 24)}


@pytest.mark.parametrize(
    ("by_fold", "of_everybody", "says"),
    [
        (8, 16, None),
        (9, 0, "releases 9 columns of G'G for variants 10 to 20 of a fold; at most 8"),
        (8, 17, "releases 25 columns of G'G for variants 0 to 60 of everybody; at most 24"),
        (0, 25, "releases 25 columns of G'G for variants 0 to 60 of everybody; at most 24"),
    ],
)
def test_both_families_are_held_to_a_fifth(
    by_fold: int, of_everybody: int, says: str | None
) -> None:
    asked = [(of_everybody, WHOLE, ()), (by_fold, (10, 20), FOLD)]
    made, build = asking(*(a for a in asked if a[0]))  # pyright: ignore[reportArgumentType]
    if says is None:
        check(made, build)
        return
    with pytest.raises(DisclosureError, match=says):
        check(made, build)


@given(
    st.lists(
        st.tuples(st.integers(0, 19), st.integers(1, 9), st.integers(1, 5), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_columns_are_counted_variant_by_variant(asked: list[tuple[int, int, int, bool]]) -> None:
    steps = [(d, (a, a + size), FOLD if by else ()) for a, size, d, by in asked]
    made, build = asking(*steps)
    for over in ((), FOLD):
        told = [(d, block) for d, block, by in steps if not over or by]
        expected: dict[tuple[int, int], int] = {}
        for _, (start, stop) in told:
            at = [sum(d for d, (a, b) in told if a <= v < b) for v in range(start, stop)]
            expected[start, stop] = max(at)
        found = used(made, over, build)
        assert {block: n for block, (n, _) in found.items()} == expected


def test_columns_by_anything_but_folds_are_refused() -> None:
    made, build = asking((1, WHOLE, ("trait",)))
    with pytest.raises(DisclosureError, match="by fold only"):
        check(made, build)
    made, build = asking((1, WHOLE, ()), reads="sex")
    with pytest.raises(DisclosureError, match="declare that it reads genotypes"):
        check(made, build)


# --- external sites, and folds that are the sites


def members(*sizes: int, external: int = 0) -> list[Member]:
    """Return members of so many people, the last ones external."""
    inside = len(sizes) - external
    return [Member(f"s{i}", "", "", n, i >= inside) for i, n in enumerate(sizes)]


@given(SIZES, st.lists(st.integers(10, 500), min_size=1, max_size=3), st.integers(2, 6))
def test_external_sites_never_change_a_budget(
    sizes: list[int], more: list[int], folds: int
) -> None:
    without, with_them = members(*sizes), members(*sizes, *more, external=len(more))
    assert budget.people_outside(with_them) == budget.people_outside(without)
    for by in ("person", "site"):
        of = [budget.people_of_smallest(m, folds, by) for m in (without, with_them)]
        assert of[0] == of[1]


def test_nobody_is_outside_where_every_site_is_external() -> None:
    assert budget.people_outside(members(40, 50, external=2)) == 0
    assert budget.people_of_smallest(members(40, 50, external=2), 2, "site") == 0


def by_site(*sizes: int, reason: str = "to see") -> Plan:
    held = {"hold_out_each_site": True, "reason": reason}
    made = plan(list(sizes), folds=len(sizes))
    study = {**made.study, "validation": {**made.study["validation"], **held}}
    return replace(made, fold_by="site", study=study)


def test_where_folds_are_sites_the_smallest_set_is_the_smallest_site() -> None:
    made = by_site(100, 40, 60)
    found = budget.disclosure(made, registry.build)
    smallest = {cells.over: cells.smallest for cells in found.cells}
    assert (smallest["fold",], smallest[()]) == (40, 100)
    assert {columns.allowed for columns in found.columns if columns.over == FOLD} == {8}
    assert {columns.allowed for columns in found.columns if not columns.over} == {20}
    check(with_model(made, columns=8))
    with pytest.raises(DisclosureError, match=r"releases 9 columns .* of a site; at most 8"):
        check(with_model(made, columns=9))


def test_that_sites_can_be_derived_is_said_and_needs_a_reason() -> None:
    assert budget.disclosure(by_site(40, 40, 40), registry.build).sites_derivable
    assert budget.disclosure(by_site(40, 40, 40), registry.build).reason == "to see"
    plain = budget.disclosure(plan([40, 40, 40]), registry.build)
    assert (plain.sites_derivable, plain.reason) == (False, "")
    check(by_site(40, 40, 40))
    with pytest.raises(DisclosureError, match="with a reason"):
        check(by_site(40, 40, 40, reason=""))


def test_folds_that_are_sites_are_as_many_as_train() -> None:
    made = by_site(40, 40, 40)
    outside = Member("s9", "", "", 40, external=True)
    check(replace(made, members=(*made.members, outside)))
    inside = replace(outside, external=False)
    with pytest.raises(DisclosureError, match="as many as the sites that train"):
        check(replace(made, members=(*made.members, inside)))


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
        (lambda p: with_model(p, windows=(0, N_VARIANTS + 1)), "none of the variants"),
        (lambda p: with_model(p, windows=(-1, N_VARIANTS)), "none of the variants"),
        (lambda p: with_model(p, windows=(0, 30, 30, N_VARIANTS)), "none of the variants"),
        (lambda p: with_model(p, windows=(0, 30, 10, N_VARIANTS)), "none of the variants"),
        (lambda p: with_model(p, folds=1), "another number of folds"),
        (lambda p: replace(p, folds=1), "another number of folds"),
        (lambda p: with_model(p, rounds=0), "none of its rounds"),
    ],
)
def test_a_plan_that_says_one_thing_and_asks_another_is_refused(change: object, says: str) -> None:
    assert callable(change)
    with pytest.raises(DisclosureError, match=says):
        check(change(plan([60, 60, 60])))


def test_figures_are_listed() -> None:
    assert budget.disclosure(plan([60, 60, 60]), registry.build).figures == ("performance",)


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        (Figure(0.815, 0.7, 0.9, 50, 20), "multiple of 0.01"),
        (Figure(0.81, 0.701, 0.9, 50, 20), "multiple of 0.01"),
        (Figure(0.81, 0.7, 0.9, 50, 4), "fewer than 5"),
        (Figure(0.81, 0.7, 0.9, 50, 46), "fewer than 5"),
        (Figure(0.81, 0.7, 0.9, 50, 4, shown=False), "fewer than 5"),
        (Figure(0.81, 0.7, 0.9, None, 20), "how many people"),
        (Figure(0.81, 0.7, 0.9, None, None), "how many people"),
        (Figure(0.81, 0.7, 0.9, 9, None), "fewer than 10"),
        (Figure(0.81, 0.7, 0.9, 9, None, shown=False), "fewer than 10"),
        (Figure(float("nan"), 0.7, 0.9, 50, 20), "multiple of 0.01"),
        (Figure(0.81, float("-inf"), 0.9, 50, 20), "multiple of 0.01"),
        (Figure(None, None, None, 50, None), "a reason and no events"),
        (Figure(None, None, None, 50, 20, "too few"), "a reason and no events"),
        (Figure(None, 0.7, 0.9, 50, None, "too few"), "a reason and no events"),
        (Figure(None, None, None, 4, None, "too few"), "a count from 1 to 4"),
        (Figure(None, None, None, 1, None, "too few"), "a count from 1 to 4"),
    ],
)
def test_a_fine_figure_or_one_of_few_people_is_refused(figure: Figure, says: str) -> None:
    with pytest.raises(DisclosureError, match=says):
        budget.check_figure(figure, 0.01, 5, 10)


@pytest.mark.parametrize(
    "figure",
    [
        Figure(0.81, 0.7, 0.9, 50, 20),
        Figure(0.81, 0.7, 0.9, 50, 20, shown=False),
        Figure(-0.33, None, None, 10, None),
        Figure(None, None, None, 50, None, "too few"),
        Figure(None, None, None, 0, None, "nobody"),
        Figure(None, None, None, None, None, "too few"),
        Figure(None, None, None, 3, None, "too few", shown=False),
    ],
)
def test_a_coarse_figure_of_enough_people_passes(figure: Figure) -> None:
    budget.check_figure(figure, 0.01, 5, 10)
