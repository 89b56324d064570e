"""Dosages of chosen variants, with what is missing in them put in by the global frequency."""

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.cohort import Cohort

Array = NDArray[np.float64]


def dosages(cohort: Cohort, variants: NDArray[np.int64], frequencies: Frequencies) -> Array:
    """Return dosages, (variants, samples), missing ones as the global 2p."""
    mean = frequencies.mean_at(variants)
    dosage = cohort.dosage_at(variants)
    return np.where(np.isnan(dosage), mean[:, None], dosage)


def centred(cohort: Cohort, variants: NDArray[np.int64], frequencies: Frequencies) -> Array:
    """Return dosages less the global 2p, (variants, samples); 0 where missing."""
    return dosages(cohort, variants, frequencies) - frequencies.mean_at(variants)[:, None]
