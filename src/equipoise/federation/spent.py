"""What a site has spent of its people's privacy: over all runs of a study, in the site's home.

A run's whole budget is entered before the site signs its plan, and what it did not ask for is
given back once it has ended, by what the site's own ledger says left. Besides each study's own
budget a site may have one for all studies together (`[privacy]` of its `site.toml`). A run that is broken off
where nothing can be given back counts as spent whole. Charges are in zero-concentrated privacy,
which adds up over runs (`accounting`).
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Any, cast

from equipoise.errors import DisclosureError, IntegrityError
from equipoise.federation import agreement
from equipoise.federation.homes import SITE_FILE, read_most
from equipoise.ledger.entry import Entry
from equipoise.plan import Plan
from equipoise.protections import accounting
from equipoise.protections.accounting import Account, Budget, added, epsilon_of, holds
from equipoise.protections.amplification import ORDERS

NAME = "spent.jsonl"


@dataclass(frozen=True, slots=True)
class Charge:
    """What one run of a study has spent or may still spend, as rho.

    curve  what rounds over people drawn by chance add, by order (`accounting.Spent`)
    """

    study: str
    run: str
    rho: float
    settled: bool
    curve: tuple[float, ...] = ()


class Spent:
    """A site's private record of what its noised rounds have spent, one charge a run."""

    def __init__(self, home: Path) -> None:
        """Keep it in the site's home, which belongs to the site alone."""
        self._path = home / NAME
        self._plan: Plan | None = None

    def charges(self, study: str | None = None) -> list[Charge]:
        """Return the charges of a study or of all, the last word on each run.

        IntegrityError where the record was altered.
        """
        if not self._path.exists():
            return []
        latest: dict[str, Charge] = {}
        for number, line in enumerate(self._path.read_bytes().splitlines(), start=1):
            charge = _read(self._path, number, line)
            latest[charge.run] = charge
        return [charge for charge in latest.values() if study in (None, charge.study)]

    def check(self, plan: Plan) -> None:
        """Raise DisclosureError where a budget does not hold one more such run.

        That of the study, and that of the site for all studies.
        """
        account = agreement.account(plan)
        if account is None:
            return
        run, price = plan.digest().hex(), _whole(account)
        earlier = [c for c in self.charges() if c.run != run]
        limits = [
            (
                [c for c in earlier if c.study == plan.id],
                study_budget(plan, account),
                "the study at this site",
                "agree on a greater `study_epsilon`",
            )
        ]
        if most := read_most(self._path.parent / SITE_FILE):
            remedy = f"let the site's steward allow more in `{SITE_FILE}`"
            limits.append((earlier, most, "this site for all studies", remedy))
        for charges, budget, whose, remedy in limits:
            rho = sum((Fraction(charge.rho) for charge in charges), Fraction(price.rho))
            if not holds(budget, rho, added([price.curve, *(c.curve for c in charges)])):
                used = _epsilon(charges, budget.delta) if charges else 0.0
                raise DisclosureError(
                    f"one more run of {plan.id} is beyond the privacy budget of {whose}: of"
                    f" epsilon = {budget.epsilon:g} at delta = {budget.delta:g}, {used:.4g} is"
                    f" spent by {len(charges)} earlier runs; nothing was sent: go by the results"
                    f" there are, or {remedy}"
                )

    def reserve(self, plan: Plan) -> None:
        """Enter a run with its whole budget, before its plan is signed; once for each run.

        Again where what it had left was given back: it may have been taken up since.
        """
        account = agreement.account(plan)
        if account is None:
            return
        self.check(plan)
        self._plan, run = plan, plan.digest().hex()
        held = (charge.run == run and not charge.settled for charge in self.charges(plan.id))
        if not any(held):
            whole = _whole(account)
            self._enter(Charge(plan.id, run, whole.rho, False, whole.curve))

    def settle(self, entries: Iterable[Entry]) -> None:
        """Give back what the run did not ask for; `entries` are those of the site's own ledger."""
        plan, self._plan = self._plan, None
        account = agreement.account(plan) if plan else None
        if plan is None or account is None:
            return
        asked = {
            tuple(str(entry.body[key]) for key in ("step", "round", "attempt"))
            for entry in entries
            if entry.kind == "release" and str(entry.body["phase"]).startswith("round")
        }
        done = [step for step, _, _ in sorted(asked)]
        spent = account.spent(done)
        self._enter(Charge(plan.id, plan.digest().hex(), spent.rho, True, spent.curve))

    def told(self, plan: Plan) -> str:
        """Say what earlier runs of the study have spent; DisclosureError where it is too much."""
        self.check(plan)
        account, charges = agreement.account(plan), self.charges()
        if account is None or not charges:
            return "nothing spent by earlier runs"
        told: list[str] = []
        of_study = [c for c in charges if c.study == plan.id]
        for found, whose in ((of_study, "earlier runs"), (charges, "runs of all studies")):
            if found:
                spent = _epsilon(found, account.budget.delta)
                told.append(f"epsilon {spent:.3g} spent by {len(found)} {whose}")
        return "; ".join(told if len(of_study) < len(charges) else told[:1])

    def _enter(self, charge: Charge) -> None:
        told = {name: getattr(charge, name) for name in Charge.__slots__}
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.open("ab") as file:
            file.write(json.dumps(told).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def study_budget(plan: Plan, account: Account) -> Budget:
    """Return what all runs of a study may spend together: that of one run if nothing is said."""
    told = (plan.privacy or {}).get("study_epsilon", account.budget.epsilon)
    return Budget(float(told), account.budget.delta)


def _whole(account: Account) -> accounting.Spent:
    return account.spent([s.step for s in account.stages for _ in range(s.rounds)])


def _epsilon(charges: Iterable[Charge], delta: float) -> float:
    spent = list(charges)
    return epsilon_of(sum(c.rho for c in spent), delta, added(c.curve for c in spent))


def _read(path: Path, number: int, line: bytes) -> Charge:
    try:
        told = cast("dict[str, Any]", json.loads(line))
        told["curve"] = tuple(float(x) for x in told.get("curve", ()))
        charge = Charge(**told)
        well = all(isfinite(x) and x >= 0 for x in (charge.rho, *charge.curve))
        well = well and len(charge.curve) in (0, len(ORDERS))
    except (ValueError, TypeError) as error:
        raise _altered(path, number) from error
    if not well:
        raise _altered(path, number)
    return charge


def _altered(path: Path, number: int) -> IntegrityError:
    return IntegrityError(f"{path}:{number}: no charge of a run; restore the file from a copy")
