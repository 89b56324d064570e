"""What the releases of a plan let be derived, computed before anything runs.

Releases are read together: what subtraction gives counts as released. A field summed
over the cells of a partition lets every union of its cells be derived, and no less than
one cell; the smallest derivable set is therefore the smallest cell. Since a site may
subtract its own sums from a total, and may announce more people than it has, people of
the largest site are not counted. An external site is in no total, so neither are its
people. Where folds are the sites, each site's own sums can be derived exactly, and the
smallest set is the smallest site.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
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
    """Columns of G'G that a plan releases for a block of variants, and how many it may.

    Each column G'Gv tells one inner product of Gv with each variant of its block, so
    `used` is the most that are told about any one variant of the block, in all steps.
    `over` names the family of sets: each fold, of which columns asked by fold tell, or
    everybody, of whom all columns tell.
    """

    block: tuple[int, int]
    used: int
    allowed: int
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Disclosure:
    """All that a plan lets out: what stewards read and what every site enforces.

    sites_derivable  whether each site's own totals can be derived by subtracting
    reason           why that is asked for, empty where it is not
    """

    releases: tuple[Release, ...]
    cells: tuple[Cells, ...]
    columns: tuple[Columns, ...]
    figures: tuple[str, ...]
    sites_derivable: bool = False
    reason: str = ""


Build = Callable[[Step, Mapping[str, Any] | None], Analysis[Any, Any]]


def disclosure(plan: Plan, build: Build) -> Disclosure:
    """Return what `plan` releases; `build(step, None)` makes an analysis without results."""
    forms = {step.name: _form(plan, step, build) for step in plan.steps}
    if len(forms) != len(plan.steps):
        raise DisclosureError("two steps of the plan have one name: one would hide the other")
    by_site = plan.fold_by == "site"
    if by_site and plan.folds != len(plan.training):
        raise DisclosureError("folds that are the sites are as many as the sites that train")
    releases = tuple(_release(step, forms[step.name]) for step in plan.steps)
    overs = {over for form in forms.values() for _, field in form.fields for over in _sets(field)}
    cells = tuple(_cells(plan, over) for over in sorted(overs))
    figures = tuple(step.name for step in plan.steps if step.figures)
    reason = str(plan.study["validation"]["reason"]) if by_site else ""
    return Disclosure(releases, cells, _columns(plan, forms), figures, by_site, reason)


def check(plan: Plan, found: Disclosure) -> None:
    """Raise DisclosureError where a plan would let too much be derived."""
    if found.sites_derivable and not found.reason:
        raise DisclosureError(
            "the plan lets each site's own totals be derived by subtracting; that needs"
            " `hold_out_each_site` in the study file, with a reason"
        )
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
                f" {stop}{_of(plan, columns.over)}; at most {columns.allowed} are allowed, one for"
                f" {PEOPLE_PER_COLUMN} people of the smallest set that can be derived"
            )


def allowed_columns(people: int) -> int:
    """Return how many columns of G'G may be released about a set of people.

    >>> allowed_columns(57)
    11
    """
    return people // PEOPLE_PER_COLUMN


def check_figure(figure: Figure, coarse: float, k: int, least: int = 10) -> None:
    """Raise DisclosureError unless a site's own figure is coarse and stands on enough people.

    A figure about cases needs `k` of them and `k` others, any other `least` people. One
    without a value has a reason and says nothing of cases.
    """
    numbers = [v for v in (figure.value, figure.low, figure.high) if v is not None]
    if not all(isfinite(v) and abs(v / coarse - round(v / coarse)) <= 1e-6 for v in numbers):
        raise DisclosureError(f"a figure by site is a multiple of {coarse}; this one is not")
    if figure.shown and figure.n is not None and 0 < figure.n < k:
        raise DisclosureError(f"a figure by site shows a count from 1 to {k - 1}")
    if figure.value is None:
        if numbers or figure.events is not None or not figure.reason:
            raise DisclosureError("a figure by site without a value has a reason and no events")
    elif figure.n is None:
        raise DisclosureError("a figure by site does not say how many people stand behind it")
    elif figure.events is None:
        if figure.n < least:
            raise DisclosureError(f"a figure by site stands on fewer than {least} people")
    elif min(figure.events, figure.n - figure.events) < k:
        raise DisclosureError(f"a figure by site stands on fewer than {k} people of a kind")


def people_outside(members: Sequence[Member]) -> int:
    """Return the people whom the largest site cannot subtract: those of all others.

    Of sites that train, since the others are in no sum. A site alone has nobody to hide
    from.
    """
    sizes = [member.people for member in members if not member.external]
    return sum(sizes) - (max(sizes) if len(sizes) > 1 else 0)


def people_of_smallest(members: Sequence[Member], folds: int, fold_by: str) -> int:
    """Return the people expected in the smallest set that sums by fold let be derived.

    By person it is a fold without the people of the largest site; where folds are the
    sites, the smallest of them: the largest subtracts nothing from another's own sums.

    >>> members = [Member("a", "", "", 60), Member("b", "", "", 30), Member("c", "", "", 40)]
    >>> people_of_smallest(members, 5, "person"), people_of_smallest(members, 3, "site")
    (14, 30)
    """
    if fold_by == "site":
        return min((member.people for member in members if not member.external), default=0)
    return people_outside(members) // folds


def _form(plan: Plan, step: Step, build: Build) -> Schema:
    analysis = build(step, None)
    form = analysis.schema(analysis.start())
    if form.size and step.rounds < 1:
        raise DisclosureError(f"the step {step.name} asks for sums in none of its rounds")
    if form.sampling < 1 and plan.protection != "noise":
        raise DisclosureError(
            f"{step.name} draws its people by chance, which is for sums under noise alone: exact"
            " sums over few people tell too much"
        )
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
        smallest = _smallest(plan, over)
    return Cells(over, number, smallest)


def _sets(field: Field) -> set[tuple[str, ...]]:
    """Return the families of sets that a field sums over: its cells, and the yes in them.

    A product of two yes/no columns sums over the people with a yes in both.
    """
    yes = sorted({r.column for r in field.reads if r.two_valued} - set(field.over))
    both = [*combinations(yes, 1), *combinations(yes, 2)]
    return {field.over, *((*field.over, *columns) for columns in both)}


def _columns(plan: Plan, forms: Mapping[str, Schema]) -> tuple[Columns, ...]:
    """Return, for each family of sets and each block, the columns that all steps tell."""
    told = [
        (field.block, field.directions * step.rounds, _family(field))
        for step in plan.steps
        for _, field in forms[step.name].fields
        if field.directions and field.block is not None
    ]
    found: list[Columns] = []
    for over in ((), ("fold",)):
        # Folds add up to everybody; what is asked of everybody tells of no fold.
        part = [(block, columns) for block, columns, by in told if not over or by]
        if part:
            blocks = np.array([block for block, _ in part])
            used = _most(blocks, np.array([columns for _, columns in part])).tolist()
            most = {block: n for (block, _), n in zip(part, used, strict=True)}
            allowed = allowed_columns(_smallest(plan, over))
            found += (Columns(block, most[block], allowed, over) for block in sorted(most))
    return tuple(found)


def _most(blocks: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each block the most columns that all of them tell about one variant in it.

    `blocks` is (blocks, 2), the first variant and the one after the last.
    """
    edges, found = np.unique(blocks, return_inverse=True)
    places = found.reshape(blocks.shape)
    change = np.zeros(len(edges), np.int64)
    np.add.at(change, places[:, 0], columns)
    np.subtract.at(change, places[:, 1], columns)
    # From each edge to the next: reduced from the start to the end of each block, and
    # from there to the start of the next, which is left out.
    return np.maximum.reduceat(np.cumsum(change), places.ravel())[::2]


def _family(field: Field) -> tuple[str, ...]:
    """Return the partition that a field tells about G'G by: folds, or none."""
    if not set(field.over) <= {"fold"}:
        raise DisclosureError("columns of G'G may be released by fold only")
    if not any(read.column == GENOTYPE for read in field.reads):
        raise DisclosureError("a field that tells about G'G must declare that it reads genotypes")
    return field.over


def _smallest(plan: Plan, over: tuple[str, ...]) -> int:
    """Return the people of the smallest set of a family: of all folds, or of everybody."""
    if over:
        return people_of_smallest(plan.members, plan.folds, plan.fold_by)
    return people_outside(plan.members)


def _of(plan: Plan, over: tuple[str, ...]) -> str:
    if not over:
        return " of everybody"
    return " of a site" if plan.fold_by == "site" else " of a fold"
