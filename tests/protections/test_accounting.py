"""The budget holds, by the library and by the closed form; what is beyond it is refused."""

import sys
from math import log, log1p

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from equipoise.errors import DisclosureError, InputError
from equipoise.protections.accounting import Account, Budget, Stage, epsilon_of

dp = pytest.importorskip("dp_accounting", reason="needs the extra 'privacy'")

BUDGET = Budget(1.0, 1e-6)
ACCOUNT = Account(BUDGET, (Stage("frequency", 1, 2.0), Stage("components", 3), Stage("fit", 5)))


def closed(rho: float, delta: float) -> float:
    """Return the least epsilon over all orders: Canonne et al. 2020, Proposition 12."""

    def at(u: float) -> float:
        a = 1 + 2.0**u
        return rho * a + log1p(-1 / a) - log(delta * a) / (a - 1)

    return float(minimize_scalar(at, bounds=(-3, 20), method="bounded").fun)


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-5, 5), st.sampled_from([1e-4, 1e-6, 1e-9]))
def test_the_library_gives_the_closed_form(rho: float, delta: float) -> None:
    """Orders lie 9 % apart: from above, and by no more than half a percent."""
    found, exact = epsilon_of(rho, delta), closed(rho, delta)
    assert exact - 1e-9 <= found <= exact * 1.005 + 1e-4


@pytest.mark.parametrize("rho", [0.001, 0.02, 0.5])
def test_the_bound_is_above_the_gaussian_and_near_it(rho: float) -> None:
    """The exact epsilon of one Gaussian, which no bound for zCDP may undercut."""
    from dp_accounting.gaussian_mechanism import get_epsilon_gaussian

    exact = get_epsilon_gaussian((2 * rho) ** -0.5, 1e-6)
    assert exact < epsilon_of(rho, 1e-6) < 1.15 * exact


def test_the_bound_is_above_the_exact_loss_of_one_discrete_gaussian() -> None:
    loss = dp.pld.privacy_loss_distribution.from_discrete_gaussian_mechanism(5.0)
    assert loss.get_epsilon_for_delta(1e-6) < epsilon_of(1 / 50, 1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 10), st.sampled_from([1e-4, 1e-6, 1e-9]))
def test_the_budget_is_used_to_the_last_of_24_bits_and_not_passed(
    epsilon: float, delta: float
) -> None:
    rho = Budget(epsilon, delta).rho
    assert epsilon_of(rho, delta) <= epsilon < epsilon_of(rho * (1 + 2.0**-22), delta)


def test_the_planned_rounds_just_fit() -> None:
    planned = ACCOUNT.planned()
    assert [spent.step for spent in planned] == ["frequency", *["components"] * 3, *["fit"] * 5]
    epsilons = [spent.epsilon for spent in planned]
    assert epsilons == sorted(epsilons)
    assert 0.999 * BUDGET.epsilon < epsilons[-1] <= BUDGET.epsilon


def test_each_planned_round_is_allowed_and_one_more_is_not() -> None:
    done: list[str] = []
    for spent in ACCOUNT.planned():
        ACCOUNT.check_next(done, spent.step)
        done.append(spent.step)
    for step in ("frequency", "components", "fit"):
        with pytest.raises(DisclosureError, match="beyond the privacy budget"):
            ACCOUNT.check_next(done, step)


def test_an_attempt_made_again_is_charged() -> None:
    """A step that ended early leaves room for it; one that took all its rounds does not."""
    early = ["frequency", "components", *["fit"] * 5]
    ACCOUNT.check_next(early, "fit")
    ACCOUNT.check_next([*early, "fit"], "components")
    with pytest.raises(DisclosureError):
        ACCOUNT.check_next(early, "frequency")


@given(st.permutations(["frequency", *["components"] * 3, *["fit"] * 4]))
def test_what_is_spent_does_not_depend_on_the_order(done: list[str]) -> None:
    assert ACCOUNT.spent(done).rho == ACCOUNT.spent(sorted(done)).rho
    ACCOUNT.check_next(done, "fit")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(1e-3, 1e3)), min_size=1, max_size=6))
def test_prices_add_up_to_no_more_than_the_budget(parts: list[tuple[int, float]]) -> None:
    from fractions import Fraction

    stages = tuple(Stage(str(i), rounds, weight) for i, (rounds, weight) in enumerate(parts))
    account = Account(BUDGET, stages)
    spent = sum(Fraction(account.prices[s.step]) * s.rounds for s in stages)
    assert Fraction(BUDGET.rho) * Fraction(999_999, 1_000_000) < spent <= Fraction(BUDGET.rho)
    account.check_next([s.step for s in stages for _ in range(s.rounds)][:-1], stages[-1].step)


def test_nothing_spent_is_nothing() -> None:
    assert ACCOUNT.spent([]).rho == 0
    assert ACCOUNT.spent([]).epsilon == 0


def test_a_step_without_a_part_is_refused() -> None:
    with pytest.raises(DisclosureError, match="no part"):
        ACCOUNT.check_next([], "extra")


@pytest.mark.parametrize(
    ("epsilon", "delta"),
    [(0, 1e-6), (-1, 1e-6), (float("nan"), 1e-6), (float("inf"), 1e-6), (1, 0), (1, 1)],
)
def test_a_budget_that_bounds_nothing_is_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(InputError, match="epsilon"):
        Budget(epsilon, delta)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_share_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match="share"):
        Stage("fit", 1, weight)


def test_steps_are_named_once() -> None:
    for stages in ((), (Stage("fit"), Stage("fit"))):
        with pytest.raises(InputError, match="each named once"):
            Account(BUDGET, stages)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(InputError, match=r"equipoise\[privacy\]"):
        epsilon_of(0.1, 1e-6)
