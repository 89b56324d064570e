"""Numbers as results give them."""

from typing import Any

import numpy as np


def digits(value: Any) -> float | None:
    """Return a number to nine significant digits, None where it is not one.

    >>> digits(1 / 3), digits(float("nan")), digits(None)
    (0.333333333, None, None)
    """
    if value is None:
        return None
    number = float(value)
    return None if np.isnan(number) else float(f"{number:.9g}")


def few(count: int | None, k: int) -> int | None:
    """Return a count, None where it is from 1 to k - 1 (or not known).

    >>> few(4, 5), few(0, 5), few(5, 5)
    (None, 0, 5)
    """
    return None if count is None or 0 < count < k else count
