"""Scans of a genome, made up."""

from typing import Any

import numpy as np

from equipoise.artefacts.gwas_ssf import Statistics


def scan(n: int = 600, chromosomes: tuple[str, ...] = ("22",), seed: int = 1) -> Statistics:
    """Return a scan without signal but for three variants beyond the genome-wide line."""
    draw = np.random.default_rng(seed)
    p = -np.log10(draw.random(n))
    p[[n // 2, n // 2 + 1, n - 1]] = (94.4, 20.0, 7.4)
    code = np.arange(n) * len(chromosomes) // n
    start = np.searchsorted(code, code)
    position = (np.arange(n) - start) * 50_000 + 16_000_000
    return table(np.array(chromosomes)[code], position, p)


def table(chromosome: Any, position: Any, p: Any) -> Statistics:
    """Return statistics with the columns that the dossier reads."""
    n = len(p)
    real, text = np.full(n, 0.1), np.full(n, "A")
    fixed = {"effect_allele": text, "other_allele": text, "beta": real, "standard_error": real}
    return Statistics(
        chromosome=np.asarray(chromosome),
        base_pair_location=np.asarray(position, np.int64),
        effect_allele_frequency=real,
        neg_log_10_p_value=np.asarray(p, np.float64),
        n=np.full(n, 315),
        status=np.full(n, "ok"),
        **fixed,
    )


def untested() -> Statistics:
    """Return a scan in which no variant could be tested."""
    return table(["22"] * 3, [1, 2, 3], [np.nan] * 3)
