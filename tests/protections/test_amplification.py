"""What rounds over people drawn by chance tell: beside exact divergences and another's code."""

from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, InputError
from equipoise.protections.accounting import Account, Budget, Stage, added, epsilon_of
from equipoise.protections.amplification import ORDERS, curve
from equipoise.protections.discrete import Gaussian
from equipoise.protections.noise import cost

dp = pytest.importorskip("dp_accounting", reason="needs the extra `privacy`")

BUDGET = Budget(2.0, 1e-6)


def summed(deviation: int) -> NDArray[np.float64]:
    """Return the law of the sum of two discrete Gaussians, from -r to r."""
    x = np.arange(-20 * deviation, 20 * deviation + 1)
    one = np.exp(-(x**2) / (2 * deviation**2))
    both = np.convolve(one, one)
    return both / both.sum()


def divergence(p: NDArray[np.float64], q: NDArray[np.float64], order: int) -> float:
    there = (p > 1e-280) & (q > 1e-280)
    return log(np.exp(order * np.log(p[there]) - (order - 1) * np.log(q[there])).sum()) / (
        order - 1
    )


@pytest.mark.parametrize("rate", [0.003, 0.05, 0.3, 0.9])
@pytest.mark.parametrize(("deviation", "moves"), [(3, 1), (3, 4), (6, 5)])
def test_no_sampled_sum_of_discrete_gaussians_diverges_by_more(
    rate: float, deviation: int, moves: int
) -> None:
    """Both ways: with the person and without, the mixture over being drawn beside the law."""
    law = summed(deviation)
    without, within = np.pad(law, (0, moves)), np.pad(law, (moves, 0))
    mixed = (1 - rate) * without + rate * within
    rho = cost(Gaussian(deviation**2), moves, 1, 2)
    for order, bound in zip(ORDERS[:14], curve(rho, rate), strict=False):
        assert divergence(mixed, without, order) <= bound
        assert divergence(without, mixed, order) <= bound
    # Not by luck: a tenth of the bound would be wrong somewhere.
    found = [divergence(mixed, without, order) for order in ORDERS[:14]]
    assert any(f > b / 10 for f, b in zip(found, curve(rho, rate), strict=False))


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-4, 4), st.floats(1e-3, 0.9))
def test_it_is_at_least_that_of_one_gaussian(rho: float, rate: float) -> None:
    accountant = dp.rdp.RdpAccountant([float(order) for order in ORDERS])
    accountant.compose(dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent((2 * rho) ** -0.5)))
    for theirs, ours, order in zip(accountant._rdp, curve(rho, rate), ORDERS, strict=True):
        assert ours >= theirs * (1 - 1e-9)
        assert ours <= rho * order


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-4, 4), st.floats(1e-3, 0.5), st.floats(1.01, 2))
def test_more_noise_and_fewer_people_tell_less(rho: float, rate: float, more: float) -> None:
    own = curve(rho, rate)
    assert all(a <= b for a, b in zip(own, curve(more * rho, rate), strict=True))
    assert all(a <= b * (1 + 1e-9) for a, b in zip(own, curve(rho, more * rate), strict=True))
    assert all(a <= b for a, b in pairwise(own))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 80), st.floats(0.005, 0.6), st.floats(0.1, 10))
def test_planned_rounds_of_both_kinds_just_fit(rounds: int, rate: float, weight: float) -> None:
    account = Account(BUDGET, (Stage("counts"), Stage("train", rounds, weight, rate)))
    done = ["counts", *["train"] * rounds]
    spent = account.spent(done)
    assert 0.99 * BUDGET.epsilon < spent.epsilon <= BUDGET.epsilon
    account.check_next(done[:-1], "train")
    for step in ("counts", "train"):
        with pytest.raises(DisclosureError, match="beyond the privacy budget"):
            account.check_next([*done, step], step)


def test_sampling_buys_less_noise() -> None:
    prices = [
        Account(BUDGET, (Stage("train", 60, 1.0, rate),)).prices["train"] for rate in (1, 0.1, 0.01)
    ]
    # rho goes with the square of the deviation's inverse.
    assert prices[1] > 4 * prices[0]
    assert prices[2] > 8 * prices[1]


@given(st.lists(st.sampled_from(["counts", "train"]), max_size=6))
def test_what_is_spent_adds_up_by_order(done: list[str]) -> None:
    account = Account(BUDGET, (Stage("counts", 3), Stage("train", 3, 1.0, 0.1)))
    spent, single = account.spent(done), account.prices
    assert spent.rho == pytest.approx(done.count("counts") * single["counts"], rel=1e-12)
    assume("train" in done)
    own = curve(single["train"], 0.1)
    assert spent.curve == pytest.approx([done.count("train") * x for x in own], rel=1e-12)
    assert spent.epsilon == epsilon_of(spent.rho, BUDGET.delta, spent.curve)
    assert added([own, (), own]) == pytest.approx([2 * x for x in own])


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_of_people_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="samples a share"):
        Stage("train", 1, 1.0, rate)
