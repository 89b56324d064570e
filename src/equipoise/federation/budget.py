"""What the releases of a plan let be derived, computed before anything runs.

Releases are read together: what subtraction gives counts as released. A field summed
over the cells of a partition lets every union of its cells be derived, and no less than
one cell; the smallest derivable set is therefore the smallest cell. Since a site may
subtract its own sums from a total, and may announce more people than it has, people of
the largest site are not counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analysis import Analysis, Figure
from equipoise.errors import DisclosureError
from equipoise.plan import Member, Plan, Step
from equipoise.sums import GENOTYPE, PEOPLE_PER_COLUMN, Field, Schema


@dataclass(frozen=True, slots=True)
class Release:
    """What one step releases in all its rounds: values, and the partitions they run over."""

    step: str
    analysis: str
    rounds: int
    values: int
    over: tuple[str, ...]
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """A family of derivable sets: its number, and the people expected in the smallest.

    `smallest` is None where sizes depend on data that no plan knows.
    """

    over: tuple[str, ...]
    number: int | None
    smallest: int | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of G'G that a plan releases for a block of variants, and how many it may."""

    block: tuple[int, int]
    used: int
    allowed: int


@dataclass(frozen=True, slots=True)
class Disclosure:
    """All that a plan lets out: what stewards read and what every site enforces."""

    releases: tuple[Release, ...]
    cells: tuple[Cells, ...]
    columns: tuple[Columns, ...]
    figures: tuple[str, ...]


Build = Callable[[Step, Mapping[str, Any] | None], Analysis[Any, Any]]


def disclosure(plan: Plan, build: Build) -> Disclosure:
    """Return what `plan` releases; `build(step, None)` makes an analysis without results."""
    forms = {step.name: _form(plan, step, build) for step in plan.steps}
    if len(forms) != len(plan.steps):
        raise DisclosureError("two steps of the plan have one name: one would hide the other")
    releases = tuple(_release(step, forms[step.name]) for step in plan.steps)
    overs = {over for form in forms.values() for _, field in form.fields for over in _sets(field)}
    cells = tuple(_cells(plan, over) for over in sorted(overs))
    figures = tuple(step.name for step in plan.steps if step.figures)
    return Disclosure(releases, cells, _columns(plan, forms), figures)


def check(plan: Plan, found: Disclosure) -> None:
    """Raise DisclosureError where a plan would let too much be derived."""
    for cells in found.cells:
        if cells.smallest is not None and cells.smallest < plan.roster_k:
            raise DisclosureError(
                f"the cells of {' by '.join(cells.over) or 'everybody'} hold about"
                f" {cells.smallest} people; at least {plan.roster_k} are needed: use fewer"
                " folds or more people"
            )
    for columns in found.columns:
        if columns.used > columns.allowed:
            start, stop = columns.block
            raise DisclosureError(
                f"the plan releases {columns.used} columns of G'G for variants {start} to"
                f" {stop}; at most {columns.allowed} are allowed, one for {PEOPLE_PER_COLUMN}"
                " people of the smallest set that can be derived"
            )


def allowed_columns(people: int) -> int:
    """Return how many columns of G'G may be released about a set of people.

    >>> allowed_columns(57)
    11
    """
    return people // PEOPLE_PER_COLUMN


def check_figure(figure: Figure, coarse: float, k: int) -> None:
    """Raise DisclosureError unless a site's own figure is coarse and stands on enough people."""
    for value in (figure.value, figure.low, figure.high):
        if value is not None and abs(value / coarse - round(value / coarse)) > 1e-6:
            raise DisclosureError(f"a figure by site is a multiple of {coarse}; this one is not")
    if figure.events is None:
        if figure.value is not None or not figure.reason:
            raise DisclosureError("a figure by site without its count has no value but a reason")
    elif figure.n is None or min(figure.events, figure.n - figure.events) < k:
        raise DisclosureError(f"a figure by site stands on fewer than {k} people of a kind")


def people_outside(members: Sequence[Member]) -> int:
    """Return the people whom the largest site cannot subtract: those of all others.

    A site alone has nobody to hide from.
    """
    sizes = [member.people for member in members]
    return sum(sizes) - (max(sizes) if len(sizes) > 1 else 0)


def _form(plan: Plan, step: Step, build: Build) -> Schema:
    analysis = build(step, None)
    form = analysis.schema(analysis.start())
    if form.size and step.rounds < 1:
        raise DisclosureError(f"the step {step.name} asks for sums in none of its rounds")
    for name, field in form.fields:
        if "fold" in field.over and field.shape[field.over.index("fold")] != plan.folds:
            raise DisclosureError(f"{step.name}: {name} has another number of folds than the plan")
        start, stop = field.block or (0, plan.n_variants)
        if not 0 <= start < stop <= plan.n_variants:
            raise DisclosureError(f"{step.name}: {name} names a block that is none of the variants")
    return form


def _release(step: Step, form: Schema) -> Release:
    over = {name for _, field in form.fields for name in field.over}
    reads = {read.column for _, field in form.fields for read in field.reads}
    values = form.size * step.rounds
    parts = tuple(sorted(over)), tuple(sorted(reads))
    return Release(step.name, step.analysis, step.rounds, values, *parts)


def _cells(plan: Plan, over: tuple[str, ...]) -> Cells:
    number = smallest = None
    if set(over) <= {"fold"}:
        number = plan.folds if over else 1
        smallest = people_outside(plan.members) // number
    return Cells(over, number, smallest)


def _sets(field: Field) -> set[tuple[str, ...]]:
    """Return the families of sets that a field sums over: its cells, and the yes in them.

    A product of two yes/no columns sums over the people with a yes in both.
    """
    yes = sorted(read.column for read in field.reads if read.two_valued)
    both = [*combinations(yes, 1), *combinations(yes, 2)]
    return {field.over, *((*field.over, *columns) for columns in both)}


def _columns(plan: Plan, forms: Mapping[str, Schema]) -> tuple[Columns, ...]:
    """Return, for each block, the columns of all blocks that touch it, over the whole plan."""
    told = [
        (field.block, field.directions * step.rounds, _smallest(plan, field))
        for step in plan.steps
        for _, field in forms[step.name].fields
        if field.directions and field.block is not None
    ]
    if not told:
        return ()
    blocks = np.array([block for block, _, _ in told])
    columns = np.array([directions for _, directions, _ in told])
    allowed = allowed_columns(min(people for _, _, people in told))
    # Of the blocks that begin before this one ends, those that end before it begins.
    begun = _sums_before(blocks[:, 0], columns, blocks[:, 1])
    ended = _sums_before(blocks[:, 1], columns, blocks[:, 0] + 1)
    used = {block: int(n) for (block, _, _), n in zip(told, begun - ended, strict=True)}
    return tuple(Columns(block, used[block], allowed) for block in sorted(used))


def _sums_before(
    places: NDArray[np.int64], columns: NDArray[np.int64], limits: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return for each limit the sum of `columns` over all places before it."""
    order = np.argsort(places, kind="stable")
    sums = np.concatenate([[0], np.cumsum(columns[order])])
    return sums[np.searchsorted(places[order], limits, "left")]


def _smallest(plan: Plan, field: Field) -> int:
    """Return the people of the smallest derivable set that a field speaks of."""
    if not set(field.over) <= {"fold"}:
        raise DisclosureError("columns of G'G may be released by fold only")
    if not any(read.column == GENOTYPE for read in field.reads):
        raise DisclosureError("a field that tells about G'G must declare that it reads genotypes")
    return people_outside(plan.members) // (plan.folds if field.over else 1)
