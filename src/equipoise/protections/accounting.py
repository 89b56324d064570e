"""What a study's noised rounds spend of its privacy budget, and when it is spent.

A round is charged in zero-concentrated differential privacy: rho bounds the Renyi divergence of
every order a by a rho (Bun and Steinke 2016, arXiv:1605.02065, Definition 1.1). That is the
form in which the law of summed discrete Gaussians is known (`noise`), it adds up over rounds
that are chosen as a run goes on, and it needs no order fixed before. dp-accounting's RDP
accountant turns the sum into (epsilon, delta). Its PLD accountant would give 6 to 9 % less
epsilon, for one Gaussian or for one discrete Gaussian of one entry; the law of many entries of
a sum of them is neither, so its answer would not be a bound here.

Two data sets are neighbours if one has one person more. Sites publish how many people they
have, so what is hidden is what a person's data say, not that a site counts one more: the person
who is taken away stays as one who adds nothing ("zeroing out", Kairouz et al. 2021,
arXiv:2103.00039). A step may have its people drawn by chance for every round; what its rounds tell
is known by order (`amplification`) and added to the rest there.

Everything here follows from the plan and from the rounds so far: all parties compute the same.
"""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import frexp, isfinite, ldexp
from typing import Any

from equipoise.errors import DisclosureError, InputError
from equipoise.protections.amplification import ORDERS, curve

_ORDERS = tuple(1 + 2 ** (j / 8) for j in range(-24, 161))
_BITS = 24


@dataclass(frozen=True, slots=True)
class Budget:
    """What a study may spend, over all its rounds."""

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        """InputError for a budget that bounds nothing."""
        if not (isfinite(self.epsilon) and self.epsilon > 0 and 0 < self.delta < 1):
            raise InputError(
                f"a privacy budget has an epsilon above 0 and a delta between 0 and 1, not"
                f" epsilon = {self.epsilon} and delta = {self.delta}; a delta well below one in"
                " the number of people is usual"
            )

    @property
    def rho(self) -> float:
        """The greatest rho, of 24 bits, that is within the budget."""
        return _rho(self.epsilon, self.delta)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step that asks something: its most rounds, and its part of the budget beside others'.

    sampling  the chance with which each person is in each of its rounds
    """

    step: str
    rounds: int = 1
    weight: float = 1.0
    sampling: float = 1.0

    def __post_init__(self) -> None:
        """InputError for a step that could not be charged."""
        if not 0 < self.sampling <= 1:
            raise InputError(f"the step {self.step} samples a share of {self.sampling:g} of people")
        if self.rounds < 1 or not (isfinite(self.weight) and self.weight > 0):
            raise InputError(
                f"the step {self.step} has {self.rounds} rounds and a share of {self.weight} in"
                " the privacy budget: give it a share above 0, or leave the step out"
            )


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent up to a round, that round with it.

    rho    of rounds over everybody
    curve  what rounds over people drawn by chance add, at each of `amplification.ORDERS`; empty
           where there are none
    """

    step: str
    rho: float
    epsilon: float
    curve: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """A budget and the steps that share it, in the order of the plan.

    A step's part is split evenly over its most rounds. Every attempt at a round is charged:
    its noise is new, so two attempts tell more than one. What a step leaves unspent by ending
    early is there for attempts made again, and never makes a later round less noisy.
    """

    budget: Budget
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        """InputError where a step comes twice, or there is none."""
        names = [stage.step for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise InputError(f"a privacy budget is shared by steps, each named once, not {names}")

    @property
    def prices(self) -> dict[str, float]:
        """The rho of one attempt at one round of each step, never above its exact part.

        Of a step whose people are drawn by chance, that of the same round over everybody.
        """
        return {step: _below(price) for step, price in self._prices().items()}

    def planned(self) -> tuple[Spent, ...]:
        """Return what is spent after each round, if every step takes its most rounds."""
        done: list[str] = []
        found: list[Spent] = []
        for stage in self.stages:
            for _ in range(stage.rounds):
                done.append(stage.step)
                found.append(self.spent(done))
        return tuple(found)

    def spent(self, done: Sequence[str]) -> Spent:
        """Return what attempts have spent; `done` names the step of each, in order."""
        rho, curve = self._charges(done)
        epsilon = epsilon_of(float(rho), self.budget.delta, curve)
        return Spent(done[-1] if done else "", float(rho), epsilon, curve)

    def check_next(self, done: Sequence[str], step: str) -> None:
        """Raise DisclosureError where the budget does not hold one more attempt at a round."""
        if holds(self.budget, *self._charges([*done, step])):
            return
        spent = self.spent(done)
        raise DisclosureError(
            f"one more round of {step} is beyond the privacy budget: of epsilon ="
            f" {self.budget.epsilon:g} at delta = {self.budget.delta:g}, {spent.epsilon:.4g} is"
            f" spent by {len(done)} rounds; nothing was sent"
        )

    def _charges(self, done: Iterable[str]) -> tuple[Fraction, tuple[float, ...]]:
        """Return what attempts cost: as rho, and by order where people are drawn by chance."""
        prices = self._prices()
        rates = {stage.step: stage.sampling for stage in self.stages}
        total, curves = Fraction(0), list[tuple[float, ...]]()
        for step in done:
            if step not in prices:
                raise DisclosureError(f"the step {step} has no part in the privacy budget")
            if rates[step] < 1:
                curves.append(curve(_below(prices[step]), rates[step]))
            else:
                total += prices[step]
        return total, added(curves)

    def _prices(self) -> dict[str, Fraction]:
        if any(stage.sampling < 1 for stage in self.stages):
            return {s: Fraction(price) for s, price in _sampled(self).items()}
        weights = sum(Fraction(stage.weight) for stage in self.stages)
        whole = Fraction(self.budget.rho) / weights
        return {s.step: whole * Fraction(s.weight) / s.rounds for s in self.stages}


@lru_cache(maxsize=64)
def _sampled(account: Account) -> dict[str, float]:
    """Return the rho on everybody of each step's rounds, so that all together spend the budget.

    The part of a step whose people are drawn with chance q is taken for 1 / q**2 as much rho on
    everybody, which is what it comes to where both are small; then all are made less or more
    alike until the budget just holds them.
    """
    parts = {s.step: s.weight / s.rounds / s.sampling**2 for s in account.stages}

    def within(scale: float) -> bool:
        rho, curves = 0.0, list[tuple[float, ...]]()
        for stage in account.stages:
            price = scale * parts[stage.step]
            if stage.sampling < 1:
                curves.append(tuple(stage.rounds * x for x in curve(price, stage.sampling)))
            else:
                rho += stage.rounds * price
        return epsilon_of(rho, account.budget.delta, added(curves)) <= account.budget.epsilon

    scale = _most(within, 50) * (1 - 2.0**-20)  # what rounding adds when charges are added up
    return {step: _truncated(scale * part) for step, part in parts.items()}


def added(curves: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """Return the sum of curves, each empty or a number for each of `amplification.ORDERS`."""
    whole = [own for own in curves if own]
    return tuple(sum(at) for at in zip(*whole, strict=True))


def holds(budget: Budget, rho: Fraction, curve: Sequence[float] = ()) -> bool:
    """Return whether a budget holds what has been spent; exactly where none is by order."""
    if not curve:
        return rho <= Fraction(budget.rho)
    return epsilon_of(float(rho), budget.delta, tuple(curve)) <= budget.epsilon


def epsilon_of(rho: float, delta: float, curve: tuple[float, ...] = ()) -> float:
    """Return the epsilon at `delta` of what is rho-zCDP, and by order what `curve` adds.

    Canonne, Kamath and Steinke 2020, arXiv:2004.00010, Proposition 12, by dp-accounting.
    InputError where that is not installed.

    >>> round(epsilon_of(0.02, 1e-6), 3)
    0.9
    """
    dp = _library()
    if curve:
        orders = [float(order) for order in ORDERS]
        spent = [rho * order + more for order, more in zip(orders, curve, strict=True)]
        return float(dp.rdp.compute_epsilon(orders, spent, delta)[0])
    accountant = dp.rdp.RdpAccountant(list(_ORDERS))
    accountant.compose(dp.ZCDpEvent(rho))
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=64)
def _rho(epsilon: float, delta: float) -> float:
    return _truncated(_most(lambda rho: epsilon_of(rho, delta) <= epsilon, 80))


def _most(within: Callable[[float], bool], steps: int) -> float:
    """Return the greatest number that is within; 0 is, and so is all below one that is."""
    low, high = 0.0, 1.0
    while within(high):
        low, high = high, 2 * high
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return low


def _truncated(number: float) -> float:
    """Return a number to its first bits, so that all parties have the same."""
    mantissa, exponent = frexp(number)
    return ldexp(int(ldexp(mantissa, _BITS)), exponent - _BITS)


def _below(price: Fraction) -> float:
    """Return the greatest number of 53 bits that is not above a fraction, or one bit less."""
    near = float(price)
    return near if Fraction(near) <= price else near * (1 - 2.0**-52)


def _library() -> Any:
    try:
        return importlib.import_module("dp_accounting")
    except ImportError:
        raise InputError(
            "privacy accounting needs a package that this installation does not have; run:"
            " pip install 'equipoise[privacy]'"
        ) from None
