"""What a study spends of its column budget: never more than there is, whoever takes part."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import DisclosureError
from equipoise.federation import budget
from equipoise.federation.budget import allowed_columns, people_of_smallest, people_outside
from equipoise.plan import Member
from equipoise.study.budgeted import (
    MOST_CANDIDATES,
    MOST_PRUNED,
    MOST_ROUNDS,
    SPARE,
    Spending,
    spend,
)
from equipoise.study.compile import ROSTER_K

SIZES = st.lists(st.tuples(st.integers(10, 3000), st.booleans()), min_size=1, max_size=6)
FOLDS = st.integers(3, 20)
BY = st.sampled_from(["person", "site"])


def members(sizes: list[tuple[int, bool]]) -> tuple[Member, ...]:
    """Return sites of so many people; the first of them always trains."""
    return tuple(
        Member(f"s{i}", "", "", people, external and i > 0)
        for i, (people, external) in enumerate(sizes)
    )


def training(sites: tuple[Member, ...]) -> int:
    return sum(not site.external for site in sites)


def spent(sites: tuple[Member, ...], folds: int, by: str, components: int) -> Spending | str:
    """Return what is spent, or what is said where it is refused."""
    try:
        return spend(sites, folds, by, components)
    except DisclosureError as error:
        return str(error)


def by_fold(spending: Spending, components: int) -> int:
    """Return all columns about a fold: those of the model, and the scan's with components."""
    return spending.candidates + components


def of_everybody(spending: Spending, components: int) -> int:
    """Return all columns about everybody: folds add up to them, and by distance nothing is asked."""
    pruned = spending.pruned if spending.pruned > 1 else 0
    return by_fold(spending, components) + pruned + spending.width * spending.rounds


@given(SIZES, FOLDS, BY, st.integers(0, 10))
def test_no_more_is_spent_than_there_is(
    sizes: list[tuple[int, bool]], folds: int, by: str, components: int
) -> None:
    sites = members(sizes)
    folds = training(sites) if by == "site" else folds
    smallest = people_of_smallest(sites, folds, by)
    spending = spent(sites, folds, by, components)
    if isinstance(spending, str):
        assert components > 0
        assert f"{components} components" in spending
        return
    if smallest < ROSTER_K:
        return  # refused whatever it spends: so few people make no fold
    assert by_fold(spending, components) <= allowed_columns(smallest)
    assert of_everybody(spending, components) <= allowed_columns(people_outside(sites))
    assert 1 <= spending.candidates <= MOST_CANDIDATES
    assert 1 <= spending.pruned <= MOST_PRUNED
    assert spending.rounds <= MOST_ROUNDS
    assert spending.width <= components + SPARE
    if components:
        assert spending.width * spending.rounds >= 2 * (components + SPARE)
    else:
        assert (spending.width, spending.rounds, spending.pruned) == (0, 0, 1)


@given(SIZES, FOLDS, BY, st.integers(0, 10))
def test_a_site_that_never_trains_adds_nothing_to_the_budget(
    sizes: list[tuple[int, bool]], folds: int, by: str, components: int
) -> None:
    sites = members(sizes)
    folds = training(sites) if by == "site" else folds

    inside = tuple(site for site in sites if not site.external)
    assert spent(sites, folds, by, components) == spent(inside, folds, by, components)


@given(SIZES, FOLDS, st.integers(0, 10))
def test_the_model_counts_the_share_of_people_that_the_budget_counts(
    sizes: list[tuple[int, bool]], folds: int, components: int
) -> None:
    """A fold of so many people has so many whom the largest site cannot subtract."""
    sites = members(sizes)
    people = sum(site.people for site in sites if not site.external)
    spending = spent(sites, folds, "person", components)
    if isinstance(spending, Spending):
        assert spending.counted == people_outside(sites) / people
    assert spend(sites, training(sites), "site", 0).counted == 1.0


def test_with_many_people_the_budget_binds_nobody() -> None:
    sites = members([(100_000, False)] * 4)
    found = spend(sites, 5, "person", 4)
    assert found == Spending(MOST_CANDIDATES, MOST_PRUNED, 4 + SPARE, MOST_ROUNDS, 0.75)


@pytest.mark.parametrize("components", [1, 2, 4, 10])
def test_components_are_refused_one_person_below_what_they_need(components: int) -> None:
    def sites(people: int) -> tuple[Member, ...]:
        return members([(people, False), (people, False)])

    def had(people: int) -> bool:
        return isinstance(spent(sites(people), 3, "person", components), Spending)

    least = next(people for people in range(10, 1000) if had(people))
    assert all(had(people) for people in range(least, least + 60))
    with pytest.raises(DisclosureError, match="ask for fewer components") as caught:
        spend(sites(least - 1), 3, "person", components)
    needed = 2 * (components + SPARE)
    assert f"need at least {needed} columns of G'G, and {needed - 1} are left" in str(caught.value)
    assert "`components = 0`" in str(caught.value)
    assert spend(sites(least - 1), 3, "person", 0).width == 0


def test_components_that_a_fold_has_no_columns_for_are_refused() -> None:
    """The scan's products with components are by fold: one column each, and one for the model."""
    sites = members([(300, False), (60, False)])
    assert people_of_smallest(sites, 3, "person") == 20
    assert spend(sites, 3, "person", 0).candidates == 4
    said = "4 components of ancestry take 4 columns of G'G by fold, and 4 are allowed for about 20"
    with pytest.raises(DisclosureError, match=said):
        spend(sites, 3, "person", 4)


def test_without_components_nothing_is_refused_here_and_nothing_said_of_them() -> None:
    """Too few people for a fold are refused where the plan is checked, which says so."""
    sites = members([(4, False), (4, False)])
    assert spend(sites, 3, "person", 0) == Spending(1, 1, 0, 0, 0.5)


def test_pruning_goes_by_distance_where_its_columns_are_needed_for_components() -> None:
    scarce = members([(60, False), (60, False)])
    found = spend(scarce, 3, "person", 2)
    assert (found.candidates, found.pruned, found.width * found.rounds) == (2, 1, 8)
    plenty = tuple(replace(site, people=120) for site in scarce)
    assert spend(plenty, 3, "person", 2).pruned > 1


@given(SIZES, st.integers(1, 500))
def test_more_people_never_spend_less_on_the_model(
    sizes: list[tuple[int, bool]], more: int
) -> None:
    sites = members(sizes)
    grown = tuple(replace(site, people=site.people + more) for site in sites)
    assert spend(grown, 5, "person", 0).candidates >= spend(sites, 5, "person", 0).candidates >= 1


def test_where_folds_are_the_sites_the_smallest_site_is_what_counts() -> None:
    sites = members([(400, False), (30, False), (300, False)])
    assert spend(sites, 3, "site", 0).candidates == budget.allowed_columns(30) == 6
