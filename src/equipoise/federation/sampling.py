"""Who is in a round whose people are drawn by chance.

The gate draws, not the analysis: each person by themselves, with a chance that follows from the
plan, and from a secret of the site and the round. Nobody else can know who was drawn, on which
the charge for such a round rests (`protections.amplification`). A round that is computed again
after a restart has the same people; another attempt at it has others.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.protection import Context
from equipoise.protections.discrete import Chance
from equipoise.protections.keystream import derive_key


def drawn(cohort: Cohort, rate: float, secret: bytes, context: Context) -> Cohort:
    """Return those of a cohort who are in a round, each with the chance `rate`.

    secret  32 bytes of the site alone
    """
    if rate >= 1:
        return cohort
    own = derive_key(secret, b"equipoise-sample-1|" + context.digest())
    here = chosen(cohort.n, rate, own)
    columns = {name: values[here] for name, values in cohort.columns.items()}
    rows, fold = cohort.rows[here], cohort.fold[here]
    return replace(cohort, rows=rows, fold=fold, columns=columns, counted=None)


def chosen(n: int, rate: float, key: bytes) -> NDArray[np.bool_]:
    """Return which of so many people are drawn, (n,), from a key for this one use.

    Words of 64 bits below `rate` times 2**64, rounded down: never more often than that.
    """
    words = Chance(key).take(n).view(np.uint64)
    return words < np.uint64(min(int(rate * 2**64), 2**64 - 1))
