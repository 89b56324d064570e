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
arXiv:2103.00039). There is no sampling, and so no amplification by it.

Everything here follows from the plan and from the rounds so far: all parties compute the same.
"""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import frexp, isfinite, ldexp
from typing import Any

from equipoise.errors import DisclosureError, InputError

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
    """A step that asks something: its most rounds, and its part of the budget beside others'."""

    step: str
    rounds: int = 1
    weight: float = 1.0

    def __post_init__(self) -> None:
        """InputError for a step that could not be charged."""
        if self.rounds < 1 or not (isfinite(self.weight) and self.weight > 0):
            raise InputError(
                f"the step {self.step} has {self.rounds} rounds and a share of {self.weight} in"
                " the privacy budget: give it a share above 0, or leave the step out"
            )


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent up to a round, that round with it."""

    step: str
    rho: float
    epsilon: float


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
        """The rho of one attempt at one round of each step, never above its exact part."""
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
        rho = self._rho(done)
        return Spent(
            done[-1] if done else "", float(rho), epsilon_of(float(rho), self.budget.delta)
        )

    def check_next(self, done: Sequence[str], step: str) -> None:
        """Raise DisclosureError where the budget does not hold one more attempt at a round."""
        rho, whole = self._rho([*done, step]), Fraction(self.budget.rho)
        if rho <= whole:
            return
        spent = self.spent(done)
        raise DisclosureError(
            f"one more round of {step} is beyond the privacy budget: of epsilon ="
            f" {self.budget.epsilon:g} at delta = {self.budget.delta:g}, {spent.epsilon:.4g} is"
            f" spent by {len(done)} rounds; nothing was sent"
        )

    def _rho(self, done: Iterable[str]) -> Fraction:
        prices = self._prices()
        total = Fraction(0)
        for step in done:
            if step not in prices:
                raise DisclosureError(f"the step {step} has no part in the privacy budget")
            total += prices[step]
        return total

    def _prices(self) -> dict[str, Fraction]:
        weights = sum(Fraction(stage.weight) for stage in self.stages)
        whole = Fraction(self.budget.rho) / weights
        return {s.step: whole * Fraction(s.weight) / s.rounds for s in self.stages}


def epsilon_of(rho: float, delta: float) -> float:
    """Return the epsilon at `delta` of what is rho-zCDP.

    Canonne, Kamath and Steinke 2020, arXiv:2004.00010, Proposition 12, by dp-accounting.
    InputError where that is not installed.

    >>> round(epsilon_of(0.02, 1e-6), 3)
    0.9
    """
    dp = _library()
    accountant = dp.rdp.RdpAccountant(list(_ORDERS))
    accountant.compose(dp.ZCDpEvent(rho))
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=64)
def _rho(epsilon: float, delta: float) -> float:
    low, high = 0.0, 1.0
    while epsilon_of(high, delta) <= epsilon:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    mantissa, exponent = frexp(low)
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
