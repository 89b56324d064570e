"""The one typed seam to numba: how a loop becomes machine code.

What is compiled lets other threads run, divides as numpy does (by zero to infinity or NaN),
and is kept beside the source, or in the user's cache where that folder may not be written,
and loaded from there the next time.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
from numba import extending

F = TypeVar("F", bound=Callable[..., Any])

_njit = cast("Callable[..., Callable[[Any], Any]]", cast("Any", numba).njit)

_LOOSE: Final = {"reassoc", "contract", "nsz"}
"""Sums may be taken in another order, as vector instructions do; NaN stays NaN."""


def compiled(loop: F) -> F:
    """Return the loop, compiled at its first call.

    >>> @compiled
    ... def half(x: float) -> float:
    ...     return x / 2
    >>> half(3.0)
    1.5
    """
    return _compiled(loop)


def vectorised(loop: F) -> F:
    """Return the loop, compiled so that the order of additions is left to the machine."""
    return _compiled(loop, fastmath=_LOOSE)


def _compiled(loop: F, **options: Any) -> F:
    held = {"nogil": True, "error_model": "numpy", **options}
    try:
        return cast("F", _njit(cache=True, **held)(loop))
    except RuntimeError:
        # No file and no folder to keep it in: compiled anew in each process.
        return cast("F", _njit(**held)(loop))


instruction: Final[Callable[[Callable[..., Any]], Callable[..., Any]]] = cast(
    "Any", extending
).intrinsic
"""Turns a function that builds code of LLVM into one that compiled loops may call."""
