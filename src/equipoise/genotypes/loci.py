"""Names of loci: where on the genome their variants lie."""

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.variants import Variants

ELSEWHERE = "elsewhere"


def names(
    variants: Variants,
    selected: NDArray[np.int64],
    locus: NDArray[np.int64],
    *,
    merged: bool = False,
) -> tuple[str, ...]:
    """Return `chromosome:start-end` for each locus, from its first to its last variant.

    selected  (selected,) places in the list
    locus     (selected,) the locus of each, from 0 without a gap
    merged    whether the last stands for what is left, which is then called `elsewhere`
    """
    count = int(locus.max()) + 1 if len(locus) else 0
    found: list[str] = []
    for number in range(count):
        own = selected[locus == number]
        position = variants.position[own]
        found.append(f"{variants.chromosome[own[0]]}:{position.min()}-{position.max()}")
    if merged:
        found[-1] = ELSEWHERE
    return tuple(found)
