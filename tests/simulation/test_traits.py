import numpy as np
import pytest
from scipy.stats import linregress

from equipoise.simulation.design import Trait
from equipoise.simulation.traits import effects


def drawn(trait: Trait, n: int = 20_000, populations: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    frequency = np.repeat(rng.uniform(0.01, 0.99, (n, 1)), populations, axis=1)
    return effects(trait, frequency, rng), frequency[:, 0]


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.85, 1.0])
def test_effects_of_two_populations_have_the_correlation_asked(correlation: float) -> None:
    effect, _ = drawn(Trait("a", correlation=correlation, alpha=0.0))
    reached = np.corrcoef(effect.T)[np.triu_indices(3, 1)]
    # The standard error of a correlation of n pairs is (1 - r**2) / sqrt(n).
    assert np.abs(reached - correlation).max() < 5 * (1 - correlation**2) / np.sqrt(20_000) + 1e-9


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 0.0, 0.5])
def test_the_variance_of_effects_goes_with_heterozygosity_to_the_alpha(alpha: float) -> None:
    effect, p = drawn(Trait("a", alpha=alpha), populations=1)
    fit = linregress(np.log(2 * p * (1 - p)), np.log(effect[:, 0] ** 2))
    assert abs(fit.slope - alpha) < 5 * fit.stderr


def test_an_allele_that_nobody_carries_has_a_finite_effect() -> None:
    effect = effects(Trait("a", alpha=-1.0), np.zeros((4, 2)), np.random.default_rng(1))
    assert np.isfinite(effect).all()
