"""Polygenic models of the tests: small, and with every part that a model may have."""

import numpy as np
from hypothesis import strategies as st

from equipoise.models.polygenic import (
    BINARY,
    QUANTITATIVE,
    ModelVariants,
    PolygenicModel,
    SiteCalibration,
)
from equipoise.solvers.absolute_risk import TOO_FEW, Calibration, not_estimable, shares
from equipoise.solvers.score_adjustment import Adjustment
from equipoise.solvers.sparse_weights import sparse

ALLELES = ("A", "C", "G", "T", "ACT")


def variants(draw: np.random.Generator, n: int) -> ModelVariants:
    """Return variants of two chromosomes, of which some have no name."""
    pairs = [draw.choice(ALLELES, 2, replace=False) for _ in range(n)]
    return ModelVariants(
        tuple("" if i % 3 else f"rs{i}" for i in range(n)),
        tuple("1" if i < n // 2 else "X" for i in range(n)),
        np.sort(draw.choice(10**6, n, replace=False)).astype(np.int64) + 1,
        tuple(str(a) for a, _ in pairs),
        tuple(str(b) for _, b in pairs),
    )


def make_model(
    seed: int,
    *,
    n: int = 12,
    groups: tuple[str, ...] = ("AFR", "EUR", "rare"),
    covariates: tuple[str, ...] = ("age",),
    binary: bool = True,
    adjusted: bool = True,
) -> PolygenicModel:
    """Return a model whose last group is not estimable where there are three."""
    draw = np.random.default_rng(seed)
    k, g, terms = 4, len(groups), 2 + len(covariates)
    dense = draw.normal(size=(n, k)) * (draw.random((n, k)) < 0.6)
    candidates, mixture = (
        sparse([dense], [f"candidate {i}" for i in range(k)]),
        draw.normal(size=(k, g)),
    )
    root = draw.normal(0, 0.1, (g, terms, terms))
    held = [
        Calibration(
            binary,
            draw.normal(size=terms),
            root[i] @ root[i].T,
            0.0 if binary else float(draw.random()) + 0.5,
            int(draw.integers(100, 1000)),
            own_slope=bool(i % 2),
        )
        for i in range(g)
    ]
    if g > 2:
        held[-1] = not_estimable(binary, terms, 7, TOO_FEW)
    sites = {"Turku": SiteCalibration(0.1, 0.9), "Pisa": SiteCalibration(None, None, TOO_FEW)}
    adjustment = Adjustment(("PC1", "PC2"), draw.normal(size=3), 0.1 * draw.normal(size=3))
    return PolygenicModel(
        f"model {seed}",
        "height",
        BINARY if binary else QUANTITATIVE,
        "GRCh38",
        groups,
        variants(draw, n),
        np.column_stack([candidates.combined(mixture[:, i]) for i in range(g)]),
        2 * draw.random((n, g)),
        candidates,
        mixture,
        np.column_stack([shares(mixture[:, i], np.ones(k)) for i in range(g)]),
        draw.normal(size=g),
        draw.random(g) + 0.1,
        draw.normal(size=(k, g)),
        draw.random((k, g)) + 0.1,
        covariates,
        tuple(held),
        sites,
        adjustment if adjusted else None,
    )


@st.composite
def models(draw: st.DrawFn) -> PolygenicModel:
    """Draw a model of any size, also without variants."""
    return make_model(
        draw(st.integers(0, 2**32 - 1)),
        n=draw(st.integers(0, 8)),
        groups=draw(st.sampled_from([("all",), ("AFR", "EUR"), ("AFR", "EUR", "rare")])),
        covariates=draw(st.sampled_from([(), ("age",), ("sex", "age")])),
        binary=draw(st.booleans()),
        adjusted=draw(st.booleans()),
    )


def dosages(seed: int, people: int, n: int, missing: float = 0.2) -> np.ndarray:
    """Return dosages, some not called."""
    draw = np.random.default_rng(seed)
    found = draw.binomial(2, 0.4, (people, n)).astype(np.float64)
    found[draw.random(found.shape) < missing] = np.nan
    return found
