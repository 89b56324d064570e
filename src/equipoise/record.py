"""Public records: the states and results that go from the centre to every site.

Every site recomputes what the centre publishes. Two machines do not round alike, so
each array of real values in a record names its grid: it is published as a multiple of
it, and a site accepts what lies within one step of its own. Everything discrete (a
selection, a rank, a stop) is a function of numbers that were published before, never
of unpublished ones, and must be equal. Hence there is no tie for a site to judge.
"""

from dataclasses import Field as DataclassField
from dataclasses import field, fields, replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError

T = TypeVar("T")


def grid(step: float) -> Any:
    """Return a dataclass field for real values published as multiples of `step`."""
    return field(metadata={"grid": step})


def exact() -> Any:
    """Return a dataclass field for whole numbers or text, which must be equal."""
    return field(metadata={"grid": None})


def step_of(declared: DataclassField[Any]) -> float | None:
    """Return the grid that a field of a record declares, None where it is exact."""
    if "grid" not in declared.metadata:
        raise TypeError(f"{declared.name}: a public record declares grid(...) or exact()")
    return cast("float | None", declared.metadata["grid"])


def rounded(record: T) -> T:
    """Return the record with every real value on its grid, and no negative zero."""
    changes: dict[str, Any] = {}
    for declared in fields(cast("Any", record)):
        step = step_of(declared)
        if step is not None:
            value = np.asarray(getattr(record, declared.name), np.float64)
            changes[declared.name] = np.asarray(np.rint(value / step) * step + 0.0)
    return replace(cast("Any", record), **changes)


def agree(own: object, proposed: object) -> None:
    """Raise ProtocolError unless `proposed` is what `own` could be on another machine."""
    if type(own) is not type(proposed):
        raise ProtocolError(
            f"the centre published a {type(proposed).__name__} where a"
            f" {type(own).__name__} follows from the totals"
        )
    for declared in fields(cast("Any", own)):
        mine, theirs = getattr(own, declared.name), getattr(proposed, declared.name)
        if type(mine) is not type(theirs) or not _close(
            np.asarray(mine), np.asarray(theirs), step_of(declared)
        ):
            raise ProtocolError(
                f"the published {type(own).__name__}.{declared.name} does not follow from the totals"
            )


def _close(mine: NDArray[Any], theirs: NDArray[Any], step: float | None) -> bool:
    if mine.shape != theirs.shape or mine.dtype.kind != theirs.dtype.kind:
        return False
    if step is None:
        return bool(np.array_equal(mine, theirs))
    missing = np.isnan(mine)
    if not np.array_equal(missing, np.isnan(theirs)):
        return False
    on_grid = np.rint(theirs / step) * step == theirs
    on_grid &= ~(np.signbit(theirs) & (theirs == 0))
    near = np.abs(mine - theirs) <= 1.5 * step
    return bool(np.all(missing | (near & on_grid)))
