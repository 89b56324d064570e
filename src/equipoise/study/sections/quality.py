"""What was removed, and why: variants over all sites, and what each site's files held."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.hardy import LEAST_P, HardyWeinberg
from equipoise.federation.load import Loaded
from equipoise.federation.run import Run
from equipoise.genotypes.align import LEAST_MATCHED
from equipoise.genotypes.quality import LEAST_CALLED
from equipoise.study.sections.numbers import few
from equipoise.study.steps import CALL_RATE, LEAST_FREQUENCY


def quality(run: Run, loaded: Mapping[str, Loaded]) -> dict[str, Any]:
    """Return the section `quality`."""
    counts: Frequencies = run.results["frequency"]
    hardy: HardyWeinberg | None = run.results.get("quality")
    failed = np.zeros(len(counts.used), np.bool_) if hardy is None else hardy.failed & counts.used
    removed = {
        f"call rate under {CALL_RATE} %": counts.low_call_rate,
        f"fewer than {counts.floor} minor alleles": counts.rare,
        **({} if hardy is None else {"Hardy-Weinberg": failed}),
    }
    return {
        "variants": {
            "listed": len(counts.called),
            "used": int(np.count_nonzero(counts.used & ~failed)),
            "removed": {reason: int(np.count_nonzero(which)) for reason, which in removed.items()},
        },
        "hardy_weinberg": None if hardy is None else _hardy(hardy, failed, run.plan.k),
        "sites": {site: _site(own, run.plan.k) for site, own in sorted(loaded.items())},
        "call_rate_limit": LEAST_CALLED,
        "minor_allele_limit": counts.floor,
        "minor_allele_frequency_limit": LEAST_FREQUENCY,
        "least_matched": LEAST_MATCHED,
    }


def _hardy(found: HardyWeinberg, failed: NDArray[np.bool_], k: int) -> dict[str, Any]:
    return {
        "tested": int(np.count_nonzero(found.tested)),
        "failed": int(np.count_nonzero(failed)),
        "neg_log_10_p_limit": LEAST_P,
        "controls_by_stratum": [few(int(n), k) for n in found.controls if n],
        "tested_in": _tested_in(found.strata),
    }


def _tested_in(strata: int) -> str:
    if strata == 0:
        return "nobody: too few people without the trait"
    within = "as one group" if strata == 1 else f"within each of {strata} ancestry strata"
    return f"people without the trait, {within}"


def _site(loaded: Loaded, k: int) -> dict[str, Any]:
    found = loaded.alignment
    return {
        "matched": found.matched,
        "swapped": found.swapped,
        "other_strand": found.other_strand,
        "palindromic_by_frequency": found.palindromic_by_frequency,
        "palindromic_dropped": found.palindromic_dropped,
        "absent": found.absent,
        "without_genotypes": few(loaded.unknown_phenotypes, k),
        "duplicates_sought": loaded.duplicates_sought,
    }
