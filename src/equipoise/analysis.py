"""The contract that every analysis meets: pure sums at a site, pure steps on totals.

An analysis is a frozen dataclass whose fields are its parameters: literals, or public
results of earlier steps. It never sees rows of two sites, never does I/O, and all it
publishes are public records (see `record`).

All rounds of one analysis have one form: the schema of every round that asks anything
equals that of the first. So what it will ever release is known from its parameters'
literals alone: `schema(start())` may use nothing else, since a plan is judged before
any result exists.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from equipoise.cohort import Cohort, Columns
from equipoise.step import Done, Next
from equipoise.sums import Schema, Sums

S = TypeVar("S")
R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class Analysis(Protocol[S, R]):
    """S is the public state, R the public result."""

    def start(self) -> S:
        """Return the first public state, from literal parameters alone."""
        ...

    def schema(self, state: S) -> Schema:
        """Return what this round's answer looks like; no blocks where nothing is asked."""
        ...

    def summarise(self, cohort: Cohort, state: S) -> Iterator[Sums]:
        """Yield the site's sums over its people, one item a block of the schema."""
        ...

    def advance(self, state: S, totals: Iterable[Sums]) -> Next[S] | Done[R]:
        """Return what follows from the totals."""
        ...

    def derive(self, cohort: Cohort, result: R, /) -> Columns:
        """Return per-person columns that stay at the person's own site."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a site publishes about itself, computed from its rows.

    `value`, `low` and `high` are multiples of `SiteFigures.coarse`; None, with the
    reason, where too few people stand behind it. `events` is None where the figure is
    not about cases. `shown` says whether `n` and `events` are published with it, or
    seen by the gate alone: counts of parts of a site would give others away.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int | None
    events: int | None
    reason: str | None = None
    shown: bool = True


@runtime_checkable
class SiteFigures(Protocol[R_contra]):
    """What an analysis has besides the five methods when sites publish figures of their own.

    Each such figure is a release by that site: listed in the plan, coarse by `coarse`.
    """

    coarse: float

    def figures(self, cohort: Cohort, result: R_contra, /) -> Mapping[str, Figure]:
        """Return the figures, computed on the site's own rows."""
        ...
