"""Kinds of chromosome, which with a person's sex say how many copies there are."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.variants import Variants
from equipoise.tools.relatedness import AUTOSOMES

AUTOSOME, X, Y, SHARED, OTHER = range(5)
"""Kinds of chromosome: X without its ends, which Y shares and everybody has two copies of."""

UNKNOWN, MALE, FEMALE = 0, 1, 2

_X_NAMES: Final = ("X", "x", "23")
_Y_NAMES: Final = ("Y", "y", "24")
_SHARED_NAMES: Final = ("XY", "xy", "25", "PAR1", "PAR2")
_FIRST_END, _LAST_START = 2_781_479, 154_931_044
"""Ends of X that Y shares: up to the end of PAR1 in GRCh38, and from the start of PAR2 in
GRCh37. In either build a few more variants are left out than must be."""


def kinds(variants: Variants) -> NDArray[np.int64]:
    """Return the kind of chromosome of each variant, (variants,)."""
    name = variants.chromosome.astype(object)
    position = variants.position
    shared = np.isin(name, _SHARED_NAMES)
    x = np.isin(name, _X_NAMES)
    ends = x & ((position <= _FIRST_END) | (position >= _LAST_START))
    found = np.full(len(name), OTHER)
    found[np.isin(name, AUTOSOMES)] = AUTOSOME
    found[x & ~ends] = X
    found[np.isin(name, _Y_NAMES)] = Y
    found[shared | ends] = SHARED
    return found
