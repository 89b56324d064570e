"""Small problems of several strata, made with numpy alone: adelie's environment makes them too."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Problem:
    """R (strata, b, b), r and v (strata, b), l1, l2 and w (strata,), c; see `multi_ancestry`."""

    genotypes: np.ndarray
    trait: np.ndarray
    scale: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    weights: np.ndarray
    coupling: float


def problem(
    seed: int,
    strata: int = 3,
    variants: int = 30,
    *,
    coupling: float = 2.0,
    l1: float = 0.04,
    l2: float = 0.1,
    plain: bool = True,
) -> Problem:
    """Return strata of 150 to 300 people with LD, whose effects are alike but not the same.

    plain  w = v = 1 and all strata carry every variant
    """
    rng = np.random.default_rng(seed)
    shared = np.where(rng.random(variants) < 0.2, rng.normal(size=variants), 0.0) / 3
    scale = np.ones((strata, variants))
    if not plain:
        scale = rng.uniform(0.5, 1.5, (strata, variants)) * (rng.random((strata, variants)) < 0.8)
    genotypes, trait = np.zeros((strata, variants, variants)), np.zeros((strata, variants))
    for a in range(strata):
        n = 150 + 50 * a
        x = rng.standard_normal((n, variants))
        for j in range(1, variants):
            x[:, j] = 0.8 * x[:, j - 1] + 0.6 * x[:, j]
        y = x @ (shared + 0.05 * rng.normal(size=variants)) + rng.standard_normal(n)
        x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
        carried = scale[a] > 0
        genotypes[a] = np.where(np.outer(carried, carried), x.T @ x / n, 0.0)
        trait[a] = np.where(carried, x.T @ y / n, 0.0)
    each = np.ones(strata) if plain else rng.uniform(0.2, 1.0, strata)
    spread = rng.uniform(0.5, 1.5, (2, strata))
    return Problem(genotypes, trait, scale, l1 * spread[0], l2 * spread[1], each, coupling)


GOLDEN = {
    "one stratum": problem(1, 1, coupling=0.0),
    "no coupling": problem(2, coupling=0.0),
    "coupled": problem(3),
    "strongly coupled": problem(4, 4, coupling=100.0),
    "weights, scales and gaps": problem(5, 4, coupling=5.0, plain=False),
    "lasso": problem(6, coupling=1.0, l2=0.0),
    "next to nothing is penalised": problem(8, coupling=20.0, l1=1e-4, l2=1e-2, plain=False),
}


def quadratic(given: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A, v and p of b'A b / 2 - v'b + sum p |b|, over (strata, variants) in that order."""
    strata, variants = given.trait.shape
    a = np.zeros((strata * variants, strata * variants))
    carried = (given.scale > 0).sum(axis=0)
    for one in range(strata):
        own = slice(one * variants, (one + 1) * variants)
        inner = given.weights[one] * (given.genotypes[one] + given.l2[one] * np.eye(variants))
        a[own, own] = inner + np.diag(given.coupling * (carried - 1) * given.scale[one] ** 2)
        for other in range(strata):
            if other != one:
                part = slice(other * variants, (other + 1) * variants)
                a[own, part] = -np.diag(given.coupling * given.scale[one] * given.scale[other])
    linear = (given.weights[:, None] * given.trait).ravel()
    return a, linear, np.repeat(given.weights * given.l1, variants)
