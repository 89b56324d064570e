"""Columns of people that steps without a case derive, for the analyses that read them."""

import numpy as np

from equipoise.analyses.contributions import columns as contributions
from equipoise.cohort import Columns
from strategies import Rows

AXES = ("PC1", "PC2", "PC3")


def explained(rows: Rows) -> Columns:
    """Return a guess of who has the trait, and what it is made of."""
    draw = np.random.default_rng(rows.n)
    parts = {name: draw.normal(size=rows.n) for name in contributions(2)}
    return {"predicted": (rows.columns["score"] > 0).astype(np.float64), **parts}


def training(rows: Rows) -> Columns:
    """Return what each person is for, a weight, and one of three strata."""
    draw = np.random.default_rng(rows.n)
    part = draw.permutation(np.arange(rows.n) % 5) - 2.0
    weight = draw.uniform(0.5, 2.0, rows.n)
    return {"part": np.maximum(part, 0.0), "weight": weight, **strata(rows)}


def ancestry(rows: Rows) -> Columns:
    """Return components of two groups of people; the third is one that is not kept."""
    draw = np.random.default_rng(rows.n)
    first = 2.0 * draw.integers(0, 2, rows.n) - 1 + 0.4 * draw.normal(size=rows.n)
    second, third = 1.5 * draw.normal(size=rows.n), np.zeros(rows.n)
    return dict(zip(AXES, (first, second, third), strict=True))


def strata(rows: Rows) -> Columns:
    """Return one of three strata for each person."""
    draw = np.random.default_rng(rows.n)
    return {"stratum": draw.integers(0, 3, rows.n).astype(np.float64)}


def placed(rows: Rows) -> Columns:
    """Return strata and components."""
    return {**strata(rows), **ancestry(rows)}


def parted(rows: Rows) -> Columns:
    """Return one of two strata, and what people are for: three parts tune, half of them train."""
    place = np.random.default_rng(rows.n).permutation(rows.n)
    part, half = np.minimum(place % 6, 3), place // 6 % 2
    return {"part": part.astype(np.float64), "half": half.astype(np.float64)}
