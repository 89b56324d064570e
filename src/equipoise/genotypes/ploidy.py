"""Chromosomes of which some people have one copy: X, Y and MT.

As PLINK codes them, a haploid call counts as two copies or none, so that a man's X weighs
as much as a woman's two (`--xchr-model 2`).
"""

from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.variants import Text

MALE, FEMALE = 1, 2
"""Codes of sex in a genotype file."""


class Ploidy(Enum):
    """How many copies of a chromosome people have."""

    DIPLOID = "diploid"
    X = "X"
    Y = "Y"
    MT = "MT"


_NAMES: Final = {
    **dict.fromkeys(("X", "x", "23"), Ploidy.X),
    **dict.fromkeys(("Y", "y", "24"), Ploidy.Y),
    **dict.fromkeys(("MT", "M", "Mt", "mt", "26"), Ploidy.MT),
}
"""25 and XY are PLINK's part of X that pairs with Y: two copies in everybody."""


def ploidies(chromosome: Text) -> dict[Ploidy, NDArray[np.int64]]:
    """Return the places of the variants of each kind that there is, in order.

    >>> ploidies(np.array(["22", "X", "22"], np.dtypes.StringDType()))[Ploidy.X]
    array([1])
    """
    if not len(chromosome):
        return {Ploidy.DIPLOID: np.zeros(0, np.int64)}
    changes = chromosome[1:] != chromosome[:-1]
    begins = np.append(0, np.flatnonzero(changes) + 1)
    ends = np.append(begins[1:], len(chromosome))
    found: dict[Ploidy, list[NDArray[np.int64]]] = {}
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        kind = _NAMES.get(str(chromosome[begin]), Ploidy.DIPLOID)
        run: NDArray[np.int64] = np.arange(int(begin), int(end), dtype=np.int64)
        found[kind] = [*found.get(kind, []), run]
    return {kind: np.concatenate(found[kind]) for kind in Ploidy if kind in found}
