"""What a step machine returns: that it goes on, or that it has ended."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

S_co = TypeVar("S_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Next(Generic[S_co]):
    """Another round follows; `state` is public and goes to every site."""

    state: S_co


@dataclass(frozen=True, slots=True)
class Done(Generic[R_co]):
    """The end; `result` is public.

    held  what else follows from the totals and later steps go by: every party works it out from
          the same totals, and none publishes it, since it would be as large as they are
    """

    result: R_co
    held: object = field(default=None, repr=False, compare=False)
