"""Ridge regression from a correlation matrix."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def ridge(correlations: Matrix, r: Matrix, penalty: float) -> Matrix:
    """Return (R + penalty I)^-1 r, the standardised weights of all variants together.

    Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634, equation 2.1, on
    correlations. With penalty 0 and R regular these are the least squares weights.

    >>> ridge(np.eye(2), np.array([1.0, 0.5]), 1.0)
    array([0.5 , 0.25])
    """
    return cast("Matrix", np.linalg.solve(correlations + penalty * np.eye(len(r)), r))
