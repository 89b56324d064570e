"""Noise in sums moves effects as far as `added_variance` says: against noise that is drawn."""

import numpy as np
import pytest

from equipoise.solvers.noised_regression import added_variance
from equipoise.solvers.regression import Moments, regress

PEOPLE, VARIANTS, DRAWS = 5000, 6, 2000
WHOLE = {"cc": 10.0, "cy": 8.0, "cg": 12.0, "gy": 15.0, "gg": 30.0}
Sums = tuple[Moments, np.ndarray, np.ndarray, np.ndarray]


def sums() -> Sums:
    draw = np.random.default_rng(1)
    g = draw.binomial(2, 0.3, (PEOPLE, VARIANTS)).astype(float)
    sex = draw.integers(0, 2, PEOPLE).astype(float)
    y = (draw.random(PEOPLE) < 0.2 + 0.1 * g[:, 0] + 0.1 * sex).astype(float)[:, None]
    c = np.column_stack([np.ones(PEOPLE), sex])
    return Moments.of(c, y), g.T @ c, g.T @ y, (g**2).sum(axis=0)


@pytest.mark.parametrize("alone", [None, *WHOLE])
def test_effects_scatter_as_the_variance_says(alone: str | None) -> None:
    """All sums noised, or one of them, three times as much."""
    sd = WHOLE if alone is None else {k: 3 * v if k == alone else 0.0 for k, v in WHOLE.items()}
    moments, cg, gy, gg = sums()
    exact = regress(moments, cg, gy, gg).beta
    draw = np.random.default_rng(2)

    def noised(value: np.ndarray, name: str) -> np.ndarray:
        return value + draw.normal(0, sd[name], value.shape)

    moved = [
        regress(
            Moments(noised(moments.cc, "cc"), noised(moments.cy, "cy"), moments.yy),
            noised(cg, "cg"),
            noised(gy, "gy"),
            noised(gg, "gg"),
        ).beta
        - exact
        for _ in range(DRAWS)
    ]
    ratio = np.mean(np.square(moved), axis=0) / added_variance(moments, cg, gy, gg, sd)
    # Of 2,000 draws the mean square is within 5 sqrt(2 / 2,000); a tenth is for second order.
    assert np.all(np.abs(ratio - 1) < 5 * np.sqrt(2 / DRAWS) + 0.1), ratio


def test_a_variant_that_noise_leaves_nothing_of_has_no_variance() -> None:
    moments, cg, gy, gg = sums()
    gg = gg.copy()
    gg[2] = 0.0
    found = added_variance(moments, cg, gy, gg, WHOLE)[:, 0]
    assert np.isnan(found[2])
    assert np.all(np.delete(found, 2) > 0)


def test_covariates_that_cannot_be_told_apart_are_an_error() -> None:
    moments, cg, gy, gg = sums()
    singular = Moments(np.ones((2, 2)), moments.cy, moments.yy)
    with pytest.raises(ValueError, match="add up to one another"):
        added_variance(singular, cg, gy, gg, WHOLE)
