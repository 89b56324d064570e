"""A largest set of people of whom no two are related.

A maximum independent set of the graph whose edges are the related pairs. Each connected
component is first reduced (a person whose relatives, and they themselves, are all relatives
of a relative that is worth no more makes that relative dispensable), and what is left is
searched exactly, by branching on whoever has most relatives and by bounds from cliques,
where that takes little work. Elsewhere whoever has fewest relatives left is taken in turn,
which gives at least the sum of 1 / (relatives + 1) over all people (Caro 1979, Wei 1981), and the
answer says so with an upper bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

MOST_SEARCHED: Final = 300
"""People of a component, after reducing, that is searched exactly."""

MOST_REDUCED: Final = 2000
"""People of a component that is reduced at all."""

WORK: Final = 200_000
"""People looked at in the search of one component, over all branches, before it is given up."""

Graph: TypeAlias = dict[int, set[int]]
_Found: TypeAlias = tuple[int, int]
"""The summed worth of a set, and the set as bits."""


@dataclass(frozen=True, slots=True)
class Unrelated:
    """A set of unrelated people.

    kept   (people,) who is in it
    most   no set is larger than this
    exact  whether it is a largest one, and the best of these by the preferences
    """

    kept: NDArray[np.bool_] = field(repr=False)
    most: int
    exact: bool

    @property
    def n(self) -> int:
        """Number of people in the set."""
        return int(np.count_nonzero(self.kept))


def unrelated(
    n_people: int,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    *,
    cases: NDArray[np.bool_] | None = None,
    call_rate: NDArray[np.float64] | None = None,
    work: int = WORK,
) -> Unrelated:
    """Return a largest set without any of the pairs (first[i], second[i]).

    Of sets of the same size the one with most `cases`, then with the largest summed
    `call_rate` (0 to 1), both (people,); of what is left the earlier in the file, where the
    search meets both. ValueError for a pair of one person with themselves or beyond the
    people.

    >>> found = unrelated(4, np.array([0, 1]), np.array([1, 2]))
    >>> found.kept.tolist(), found.exact
    ([True, False, True, True], True)
    """
    _check(n_people, first, second)
    worth = _worth(n_people, cases, call_rate)
    kept = np.ones(n_people, np.bool_)
    kept[first] = kept[second] = False
    most, exact = int(np.count_nonzero(kept)), True
    for part in _components(_graph(first, second)):
        chosen, bound, proved = _largest(part, worth, work)
        kept[list(chosen)] = True
        most, exact = most + bound, exact and proved
    return Unrelated(kept, most, exact)


def _check(n_people: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
    if first.shape != second.shape or np.any(first == second):
        raise ValueError("a pair of one person with themselves, or halves of pairs")
    both = np.concatenate([first, second])
    if both.size and not 0 <= both.min() <= both.max() < n_people:
        raise ValueError(f"a pair with somebody beyond the {n_people} people")


def _worth(
    n_people: int, cases: NDArray[np.bool_] | None, call_rate: NDArray[np.float64] | None
) -> list[int]:
    """Return whole numbers whose sums are compared: first people, then cases, then call rates."""
    case = np.zeros(n_people, np.bool_) if cases is None else cases
    rate = np.zeros(n_people) if call_rate is None else call_rate
    if case.shape != (n_people,) or rate.shape != (n_people,):
        raise ValueError(f"preferences for other than {n_people} people")
    if not np.all((rate >= 0) & (rate <= 1)):
        raise ValueError("a call rate that is not from 0 to 1")
    grid = np.round(rate * 2**30).astype(np.int64).tolist()
    # 32 bits apart, more than all people together fill up.
    return [(1 << 128) + (int(c) << 96) + r for c, r in zip(case.tolist(), grid, strict=True)]


def _graph(first: NDArray[np.int64], second: NDArray[np.int64]) -> Graph:
    graph: Graph = {}
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        graph.setdefault(one, set()).add(other)
        graph.setdefault(other, set()).add(one)
    return graph


def _components(graph: Graph) -> Iterator[Graph]:
    """Yield each connected part, in the order of its first person."""
    seen: set[int] = set()
    for start in sorted(graph):
        if start in seen:
            continue
        part, front = {start}, [start]
        while front:
            new = graph[front.pop()] - part
            part |= new
            front += new
        seen |= part
        yield {person: graph[person] for person in sorted(part)}


def _largest(part: Graph, worth: list[int], work: int) -> tuple[set[int], int, bool]:
    """Return the people kept of a component, the most there can be, and whether that is proved."""
    if len(part) > MOST_REDUCED:
        return _greedy(part, worth), _cliques(part), False
    people = list(part)
    place = {person: i for i, person in enumerate(people)}
    near = [sum(1 << place[other] for other in part[person]) for person in people]
    search = _Search(near, [worth[person] for person in people], work)
    everybody = search.kernel()
    if everybody is None:
        return _greedy(part, worth), _cliques(part), False
    kernel = {people[i]: {people[j] for j in _bits(near[i] & everybody)} for i in _bits(everybody)}
    kept, bound, proved = set[int](), 0, True
    for piece in _components(kernel):
        within = sum(1 << place[person] for person in piece)
        found = search.best(within) if len(piece) <= MOST_SEARCHED else None
        chosen = _greedy(piece, worth) if found is None else {people[i] for i in _bits(found[1])}
        kept |= chosen
        bound += _cliques(piece) if found is None else len(chosen)
        proved = proved and found is not None
    return kept, bound, proved


class _GivenUp(Exception):  # noqa: N818  (no error: the search is cut short)
    """The search has looked at more people than it may."""


class _Search:
    """The exact search of a component, on sets of people as bits of whole numbers."""

    def __init__(self, near: list[int], worth: list[int], work: int) -> None:
        """Take each person's relatives and worth, and how much may be looked at."""
        self._near, self._worth, self._work = near, worth, work

    def kernel(self) -> int | None:
        """Return the people left after reducing, None where that is given up."""
        try:
            return self._reduced((1 << len(self._near)) - 1)
        except _GivenUp:
            return None

    def best(self, within: int) -> _Found | None:
        """Return the best set within these people, None where the search is given up."""
        try:
            return self._best(within)
        except _GivenUp:
            return None

    def _best(self, within: int) -> _Found:
        total, chosen = 0, 0
        for part in self._parts(self._reduced(within)):
            worth, found = self._branch(part)
            total, chosen = total + worth, chosen | found
        return total, chosen

    def _branch(self, part: int) -> _Found:
        """Return the best set of a connected part: with its most related person, or without."""
        most = max(_bits(part), key=lambda i: ((self._near[i] & part).bit_count(), -i))
        if part == 1 << most:
            return self._worth[most], part
        worth, found = self._best(part & ~self._near[most] & ~(1 << most))
        with_it = worth + self._worth[most], found | 1 << most
        without = part & ~(1 << most)
        if self._bound(without) <= with_it[0]:
            return with_it
        return max(with_it, self._best(without), key=lambda each: each[0])

    def _reduced(self, within: int) -> int:
        """Return the people without those for whom a relative can always stand in."""
        changed = True
        while changed:
            changed = False
            # From the last on, so that of equals the earlier stays.
            for i in reversed(list(_bits(within))):
                self._spend()
                closed = self._near[i] & within | 1 << i
                for j in _bits(self._near[i] & within):
                    own = self._near[j] & within | 1 << j
                    # j's relatives are all i's, so j can stand wherever i does.
                    if not own & ~closed and self._worth[j] >= self._worth[i]:
                        within &= ~(1 << i)
                        changed = True
                        break
        return within

    def _parts(self, within: int) -> Iterator[int]:
        while within:
            part = front = within & -within
            while front:
                i = front.bit_length() - 1
                new = self._near[i] & within & ~part
                part, front = part | new, front & ~(1 << i) | new
            within &= ~part
            yield part

    def _bound(self, within: int) -> int:
        """Return what no set can be worth more than: of each of some cliques its best person."""
        total = 0
        while within:
            i = within.bit_length() - 1
            clique, left, best = 1 << i, self._near[i] & within, self._worth[i]
            while left:
                j = left.bit_length() - 1
                clique, left, best = (
                    clique | 1 << j,
                    left & self._near[j],
                    max(best, self._worth[j]),
                )
                self._spend()
            total, within = total + best, within & ~clique
        return total

    def _spend(self) -> None:
        self._work -= 1
        if self._work < 0:
            raise _GivenUp


def _bits(of: int) -> Iterator[int]:
    while of:
        lowest = of & -of
        yield lowest.bit_length() - 1
        of ^= lowest


def _greedy(part: Graph, worth: list[int]) -> set[int]:
    """Return people taken in turn, each with fewest relatives left; of equals the worthiest."""
    left = {person: set(near) for person, near in part.items()}
    waiting = [(len(near), -worth[person], person) for person, near in left.items()]
    heapify(waiting)
    kept: set[int] = set()
    while waiting:
        number, _, chosen = heappop(waiting)
        if chosen not in left or number != len(left[chosen]):
            continue  # an entry from before this person lost a relative
        kept.add(chosen)
        gone = left[chosen] | {chosen}
        touched = {other for person in gone for other in left.pop(person)} - gone
        for person in touched:
            left[person] -= gone
            heappush(waiting, (len(left[person]), -worth[person], person))
    return kept


def _cliques(part: Graph) -> int:
    """Return in how many cliques the people fall: no set of unrelated people is larger."""
    left, number = set(part), 0
    for person in sorted(part, key=lambda p: (len(part[p]), p)):
        if person not in left:
            continue
        clique, shared = {person}, part[person] & left
        while shared:
            other = min(shared)
            clique.add(other)
            shared = shared & part[other]
        left -= clique
        number += 1
    return number
