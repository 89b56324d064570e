"""Sums for masked rounds that are recorded and looked into."""

import numpy as np

from protections.rounds import Values, schema

SIZE = 4096
FORM = schema({"x": (SIZE,)})


def zeros(n_sites: int = 4) -> list[Values]:
    return [[{"x": np.zeros(SIZE, np.int64)}] for _ in range(n_sites)]


def constant(n_sites: int = 4) -> list[Values]:
    return [[{"x": np.full(SIZE, i + 1)}] for i in range(n_sites)]
