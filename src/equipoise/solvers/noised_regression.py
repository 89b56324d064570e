"""How far noise in sums moves the effects that follow from them.

With C the covariates (the first a column of ones), A = (C'C)^-1, a = A C'y and b = A C'g,

    beta = N / D     N = g'y - C'g'a     D = g'g - C'g'b

so that to first order, each sum moved by a little,

    D dbeta = d(g'y) - beta d(g'g) - (a - 2 beta b)'d(C'g) - b'd(C'y) + b'd(C'C)(a - beta b)

which is what the chain rule gives. Noise is independent from sum to sum, so variances add up.
Of C'C the half below the diagonal is read and stands for both (`regression.regress`).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.regression import Moments


def added_variance(
    moments: Moments,
    cg: NDArray[np.float64],
    gy: NDArray[np.float64],
    gg: NDArray[np.float64],
    deviation: Mapping[str, float],
) -> NDArray[np.float64]:
    """Return, (variants, traits), the variance of each effect that noise in the sums makes.

    Shapes are those of `regression.regress`. `deviation` is that of the noise in one entry, by
    the name of the sum: cc, cy, cg, gy, gg. NaN where D is not above 0. ValueError where C'C is
    not positive definite.
    """
    try:
        lower = np.linalg.cholesky(moments.cc)
    except np.linalg.LinAlgError as error:
        raise ValueError("the covariates add up to one another") from error
    inverse = np.linalg.inv(lower @ lower.T)
    a, b = inverse @ moments.cy, inverse @ cg.T
    left = gg - np.einsum("kv,vk->v", b, cg)
    divisor = np.where(left > 0, left, np.nan)[:, None]
    beta = (gy - cg @ a) / divisor
    sums = deviation["gy"] ** 2 + beta**2 * deviation["gg"] ** 2
    sums += deviation["cy"] ** 2 * np.einsum("kv,kv->v", b, b)[:, None]
    rest = a.T[None] - beta[:, :, None] * b.T[:, None]  # (variants, traits, k)
    twice = rest - beta[:, :, None] * b.T[:, None]
    sums += deviation["cg"] ** 2 * np.einsum("vtk,vtk->vt", twice, twice)
    for j in range(len(b)):
        for i in range(j + 1):
            moved = b[j][:, None] * rest[:, :, i]
            moved = moved + b[i][:, None] * rest[:, :, j] if i < j else moved
            sums += deviation["cc"] ** 2 * moved**2
    return sums / divisor**2
