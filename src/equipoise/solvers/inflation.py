"""Genomic inflation: how far the middle of a scan stands above what chance would give.

Devlin and Roeder 1999, doi:10.1111/j.0006-341X.1999.00997.x: lambda is the median of chi-square
with one degree of freedom over its median under chance. It grows with the number of people where
a trait has many small effects; that for 1,000 cases and 1,000 controls (de Bakker et al. 2008,
doi:10.1093/hmg/ddn288) can be compared.
"""

from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

from equipoise.solvers.student import student_log_tail

MEDIAN: Final = 0.454936423119572
"""Of chi-square with one degree of freedom."""

_special = cast("Any", special)  # scipy has no types

Floats = NDArray[np.float64]


def chi_square(neg_log_10_p: Floats) -> Floats:
    """Return the chi-square (one degree of freedom) of two-sided p-values, NaN of NaN.

    Right far below the least double: 1e-400 is 400.

    >>> chi_square(np.array([0.0, 1.301029995664, 400.0])).round(4).tolist()
    [0.0, 3.8415, 1834.1011]
    """
    # log(p / 2), at most that of p = 1.
    tail = -np.maximum(neg_log_10_p, 0.0) * np.log(10.0) - np.log(2.0)
    return np.asarray(_special.ndtri_exp(tail), np.float64) ** 2


def chi_square_of_t(t: Floats, dof: float) -> Floats:
    """Return the chi-square of the same p-value as each t statistic, NaN of NaN."""
    log_p = student_log_tail(np.abs(t), dof) + np.log(2.0)
    return chi_square(-log_p / np.log(10.0))


def lambda_gc(chi2: Floats) -> float:
    """Return the inflation of chi-squares, as z squared; NaN ones do not count.

    ValueError where none is left.

    >>> round(lambda_gc(np.array([0.1, 0.4549364, 9.0, np.nan])), 4)
    1.0
    """
    known = chi2[np.isfinite(chi2)]
    if not len(known):
        raise ValueError("no statistic that is finite; expected at least one")
    return float(np.median(known)) / MEDIAN


def lambda_of_median(neg_log_10_p: float) -> float:
    """Return the inflation of a scan from the median of its -log10 p.

    >>> round(lambda_of_median(0.30103), 4)
    1.0
    """
    return float(chi_square(np.array([neg_log_10_p]))[0]) / MEDIAN


def lambda_1000(inflation: float, cases: int, controls: int) -> float:
    """Return the inflation that 1,000 cases and 1,000 controls would have shown.

    >>> lambda_1000(1.2, 1000, 1000), round(lambda_1000(1.2, 20_000, 80_000), 5)
    (1.2, 1.00625)
    """
    if min(cases, controls) < 1:
        raise ValueError("no case or no control; expected at least one of each")
    return 1.0 + (inflation - 1.0) * (1 / cases + 1 / controls) / (2 / 1000)
