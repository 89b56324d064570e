"""Public records: what a grid does to a number, and what one site takes from another."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.errors import ProtocolError
from equipoise.record import agree, exact, grid, rounded

STEP = 2.0**-10


@dataclass(frozen=True, slots=True)
class Fit:
    """beta on a grid; places, n and reason exactly."""

    beta: NDArray[np.float64] = grid(STEP)
    places: NDArray[np.int64] = exact()
    n: int = exact()
    reason: str = exact()


@dataclass(frozen=True, slots=True)
class Other:
    """Looks like nothing else."""


def fit(beta: list[float]) -> Fit:
    return rounded(Fit(np.array(beta), np.array([1, 2]), 7, "ok"))


reals = hnp.arrays(np.float64, st.integers(0, 5), elements=st.floats(-1e6, 1e6))


@given(reals)
def test_rounding_goes_to_the_nearest_point_of_the_grid_and_stays_there(
    beta: NDArray[np.float64],
) -> None:
    record = fit(beta.tolist())
    assert np.array_equal(np.rint(record.beta / STEP) * STEP, record.beta)
    assert np.all(np.abs(record.beta - beta) <= STEP / 2)
    np.testing.assert_array_equal(rounded(record).beta, record.beta)
    agree(record, record)


@given(reals, st.sampled_from([-1, 0, 1]))
def test_a_neighbour_on_the_grid_agrees(beta: NDArray[np.float64], steps: int) -> None:
    own = fit(beta.tolist())
    agree(own, rounded(replace(own, beta=own.beta + steps * STEP)))


@pytest.mark.parametrize("steps", [2, -2, 3, 100, 0.25, 0.5, -1.25])
def test_two_steps_away_or_off_the_grid_does_not(steps: float) -> None:
    own = fit([0.5, -0.25])
    proposed = replace(own, beta=own.beta + np.array([0.0, steps * STEP]))
    with pytest.raises(ProtocolError, match=r"Fit\.beta does not follow from the totals"):
        agree(own, proposed)


@pytest.mark.parametrize("value", [-0.0, -STEP / 4, STEP / 4])
def test_there_is_no_negative_zero(value: float) -> None:
    assert not np.signbit(fit([value]).beta[0])


def test_rounding_leaves_what_is_exact_and_the_input() -> None:
    beta = np.array([0.3])
    before = Fit(beta, np.array([5]), 3, "few")
    after = rounded(before)
    assert beta[0] == 0.3
    assert (after.places.tolist(), after.n, after.reason) == ([5], 3, "few")
    assert after.places.dtype == np.int64


def test_missing_agrees_with_missing_only() -> None:
    own = fit([np.nan, 1.0])
    agree(own, fit([np.nan, 1.0]))
    for other in ([0.0, 1.0], [1.0, np.nan], [np.nan, np.nan]):
        with pytest.raises(ProtocolError, match="beta"):
            agree(own, fit(other))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("places", np.array([1, 3])),
        ("places", np.array([1])),
        ("places", np.array([1.0, 2.0])),
        ("n", 8),
        ("n", "7"),
        ("reason", "o"),
        ("beta", np.zeros((1, 1))),
        ("beta", np.zeros(2)),
        ("beta", np.array([1])),
        ("beta", np.array([np.inf])),
    ],
)
def test_anything_discrete_shape_and_kind_must_be_equal(name: str, value: object) -> None:
    own = fit([1.0])
    with pytest.raises(ProtocolError, match=rf"Fit\.{name} does not follow"):
        agree(own, replace(own, **{name: value}))


def test_another_record_is_not_taken() -> None:
    with pytest.raises(ProtocolError, match="a Other where a Fit follows"):
        agree(fit([1.0]), Other())


def test_a_record_says_of_each_field_how_it_is_published() -> None:
    @dataclass(frozen=True)
    class Silent:
        value: float

    with pytest.raises(TypeError, match=r"grid\(\.\.\.\) or exact\(\)"):
        rounded(Silent(1.0))
