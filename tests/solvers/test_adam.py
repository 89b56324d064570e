"""Adam by block against Adam written out, and what a block's own mean square does."""

from math import sqrt

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from equipoise.solvers.adam import adam_step


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_one_parameter_a_block_is_adam_as_published(seed: int, decay: float) -> None:
    draw = np.random.default_rng(seed)
    parameters, moments = draw.normal(size=3), (np.zeros(3), np.zeros(3))
    slow, first, second = parameters.tolist(), [0.0] * 3, [0.0] * 3
    for step in range(1, 6):
        gradient = draw.normal(size=3)
        parameters, *rest = adam_step(
            parameters, gradient, moments, step, sizes=(1, 0, 1, 1), rate=0.1, decay=decay
        )
        moments = rest[0], rest[1]
        for i, g in enumerate(gradient.tolist()):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            m, v = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            slow[i] -= 0.1 * (m / (sqrt(v) + 1e-8) + decay * slow[i])
    np.testing.assert_allclose(parameters, slow, rtol=1e-9, atol=1e-12)


def test_within_a_block_steps_are_in_proportion_to_gradients() -> None:
    gradient = np.array([3.0, -1.0, 0.0, 7.0])
    moved, _, _ = adam_step(
        np.zeros(4), gradient, (np.zeros(4), np.zeros(2)), 1, sizes=(3, 1), rate=1.0
    )
    size = sqrt(10 / 3)
    np.testing.assert_allclose(moved, [-3 / size, 1 / size, 0, -1], rtol=1e-6)
