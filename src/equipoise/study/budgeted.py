"""How a study spends its column budget: so many columns of G'G for so many people.

The model is served first, then the pruning and the components of ancestry share what is
left about everybody. All of it follows from how many people the sites announced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from equipoise.errors import DisclosureError
from equipoise.federation.budget import allowed_columns, people_of_smallest, people_outside
from equipoise.plan import Member

MOST_CANDIDATES: Final = 10
"""Candidates of a window; more would add little within 100,000 base pairs."""

MOST_PRUNED: Final = 12
"""Variants of a window among which linkage disequilibrium is looked at."""

SPARE: Final = 2
"""Components computed beyond those asked for: they tell what the last is separated from."""

MOST_ROUNDS: Final = 24
"""Rounds of components. One column a round finds most with so many columns; where there
are more than enough, wider rounds save time."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Columns of G'G by use.

    candidates  of each window, by fold, in the model
    pruned      of each window, in pruning; 1 where only distance can be gone by
    width       of all variants in each round of components; 0 without components
    rounds      the most rounds of components
    counted     the share of a fold's people that the budget counts
    """

    candidates: int
    pruned: int
    width: int
    rounds: int
    counted: float


def spend(members: Sequence[Member], folds: int, fold_by: str, components: int) -> Spending:
    """Return what a study may spend; DisclosureError where components cannot be had.

    >>> sites = [Member(name, "", "", 80) for name in "abcd"]
    >>> spend(sites, 5, "person", 4)
    Spending(candidates=5, pruned=12, width=1, rounds=24, counted=0.75)
    """
    people = sum(member.people for member in members if not member.external)
    smallest = people_of_smallest(members, folds, fold_by)
    # The scan's products with components are columns of G'G, by fold and so of everybody.
    candidates = max(1, min(MOST_CANDIDATES, allowed_columns(smallest) - components))
    counted = 1.0 if fold_by == "site" else people_outside(members) / max(people, 1)
    if components and allowed_columns(smallest) <= components:
        raise DisclosureError(
            f"{components} components of ancestry take {components} columns of G'G by fold, and"
            f" {allowed_columns(smallest)} are allowed for about {smallest} people of the smallest"
            " fold: ask for fewer components or folds, or set `components = 0`"
        )
    if not components:
        return Spending(candidates, 1, 0, 0, counted)
    left = allowed_columns(people_outside(members)) - candidates - components
    least = 2 * (components + SPARE)
    # By distance nothing is asked, so what is left goes to the components alone.
    pruned = min(MOST_PRUNED, left // 3) if left // 3 >= 2 and left - left // 3 >= least else 1
    rest = left - (pruned if pruned > 1 else 0)
    width = max(1, min(components + SPARE, rest // MOST_ROUNDS))
    rounds = min(MOST_ROUNDS, rest // width)
    if rounds * width < least:
        raise DisclosureError(
            f"{components} components of ancestry need at least {least} columns of G'G, and"
            f" {max(left, 0)} are left of the budget of one for 5 people: ask for fewer"
            " components, or set `components = 0`"
        )
    return Spending(candidates, pruned, width, rounds, counted)
