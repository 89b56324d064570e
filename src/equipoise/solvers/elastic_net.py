"""Elastic net regression from correlations, many problems at once."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 1e-11
"""Weights are published on a grid a hundred times as coarse."""

MOST_SWEEPS = 20_000


def elastic_net(
    correlations: Array,
    r: Array,
    l1: Array,
    l2: Array,
    usable: NDArray[np.bool_] | None = None,
) -> Array:
    """Return the standardised weights of each problem of a batch, which minimise this sum.

        1/2 b'Rb - r'b + l2/2 |b|^2 + l1 |b|_1

    correlations  (..., variants, variants) R
    r             (..., variants) correlations with the trait
    l1, l2        (...) penalties; l2 above 0, so that there is one minimum
    usable        (..., variants) False where the weight must stay 0

    Leading axes are broadcast. Cyclic coordinate descent on summary statistics
    (Friedman et al. 2010, doi:10.18637/jss.v033.i01; on sums, Mak et al. 2017,
    doi:10.1002/gepi.22050): b_j becomes S(r_j - R_j b + R_jj b_j, l1) / (R_jj + l2), S the
    soft threshold. Departure: all problems of a batch are swept until the last has ended.

    Raises ArithmeticError where the sweeps do not settle: R is then no correlation matrix.

    >>> one = elastic_net(np.eye(2), np.array([0.5, 0.1]), np.array(0.2), np.array(1.0))
    >>> one.round(3).tolist()
    [0.15, 0.0]
    """
    shape = np.broadcast_shapes(r.shape, (*np.shape(l1), 1), correlations.shape[:-1])
    weights = np.zeros(shape)
    allowed = np.ones(shape, np.bool_) if usable is None else np.broadcast_to(usable, shape)
    r = np.broadcast_to(r, shape)
    diagonal = np.broadcast_to(np.diagonal(correlations, axis1=-2, axis2=-1), shape)
    for _ in range(MOST_SWEEPS):
        most = 0.0
        for j in range(shape[-1]):
            own = weights[..., j]
            fitted = np.einsum("...v,...v->...", correlations[..., j, :], weights)
            left = r[..., j] - fitted + diagonal[..., j] * own
            shrunk = np.sign(left) * np.maximum(np.abs(left) - l1, 0.0)
            new = np.where(allowed[..., j], shrunk / (diagonal[..., j] + l2), 0.0)
            # np.maximum keeps a NaN, which then never settles.
            most = float(np.maximum(most, np.abs(new - own).max(initial=0.0)))
            weights[..., j] = new
        if not np.isfinite(most):
            break
        if most < TOLERANCE:
            return weights
    raise ArithmeticError("the elastic net does not settle: the sums are of no correlations")
