"""Dosages of chosen variants, with what is missing in them put in by the global frequency."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.cohort import Cohort
from equipoise.sums import GENOTYPE, Field, Read, real

Array = NDArray[np.float64]


def dosages(cohort: Cohort, variants: NDArray[np.int64], frequencies: Frequencies) -> Array:
    """Return dosages, (variants, samples), missing ones as the global 2p."""
    mean = frequencies.mean_at(variants)
    dosage = cohort.dosage_at(variants)
    return np.where(np.isnan(dosage), mean[:, None], dosage)


def centred(cohort: Cohort, variants: NDArray[np.int64], frequencies: Frequencies) -> Array:
    """Return dosages less the global 2p, (variants, samples); 0 where missing."""
    return dosages(cohort, variants, frequencies) - frequencies.mean_at(variants)[:, None]


def gram_field(
    shape: tuple[int, ...], people: int, block: tuple[int, int], over: tuple[str, ...] = ()
) -> Field:
    """Return the declaration of G'G among such dosages of variants within `block`."""
    field = real(shape, 4.0, people, over, (Read(GENOTYPE, 2),))
    return replace(field, directions=shape[-1], block=block)
