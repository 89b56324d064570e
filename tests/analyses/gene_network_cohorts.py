"""People for the tests of the gene network: a planted interaction, and a training of them."""

from typing import Any

import numpy as np

from equipoise.analyses.frequency import Frequency
from equipoise.analyses.gene_network import GeneNetwork
from equipoise.analyses.gene_network_result import TrainedNetwork
from equipoise.tools.adding import Adding
from strategies import Rows

GENES, SIZE = 8, 6


def planted(seed: int, n: int, interaction: float, *, binary: bool = True) -> Rows:
    """Return people whose trait has two additive variants, in the score, and an interaction.

    The two that interact lie in one gene and have no effect of their own: no linear model of
    genotypes sees them.
    """
    draw = np.random.default_rng(seed)
    dosage = draw.binomial(2, 0.4, (GENES * SIZE, n)).astype(np.float64)
    x = (dosage - 0.8) / np.sqrt(0.48)
    score = 0.5 * x[0] + 0.5 * x[7]
    eta = score + interaction * x[2] * x[3]
    noise = draw.logistic(size=n) if binary else draw.normal(size=n)
    trait = (eta + noise > 0).astype(np.float64) if binary else eta + noise
    part = draw.permutation(np.maximum(np.arange(n) % 5 - 2.0, 0.0))
    columns = {"trait": trait, "score": score, "part": part, "age": draw.normal(size=n)}
    columns |= {"group": (draw.random(n) < 0.3).astype(np.float64), "weight": np.ones(n)}
    return Rows(tuple(map(str, range(n))), dosage, columns, np.zeros(n, np.int64))


def training(rows: Rows, *, binary: bool = True, **options: Any) -> GeneNetwork:
    """Return the training of a network on such people."""
    m = rows.n_variants
    told: dict[str, Any] = {
        "people": rows.n,
        "n_variants": m,
        "rounds": 150,
        "starts": tuple(range(0, m, SIZE)),
        "stops": tuple(range(SIZE, m + 1, SIZE)),
        "trait": "trait",
        "score": "score",
        "part": "part",
        "covariates": ("age",),
        "bounds": (4.0, 1.0 if binary else 8.0),
        "seed": 3,
        "frequencies": Adding([rows.cohort()]).run(Frequency(rows.n, m, 1, 1)),
        "binary": binary,
    }
    return GeneNetwork(**{**told, **options})


def trained(rows: Rows, **options: Any) -> TrainedNetwork:
    """Return the network of a pooled run."""
    return Adding([rows.cohort()]).run(training(rows, **options))
