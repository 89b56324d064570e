"""People drawn by chance for a round: by the gate, under noise, and charged as such."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from equipoise.analyses.frequency import Frequency
from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError
from equipoise.federation import agreement, sampling
from equipoise.protection import Context
from equipoise.protections.noise import Noise
from equipoise.sums import Schema
from federation.building import build

RATE = 0.5
KEY = bytes(range(32))


def context(**changes: Any) -> Context:
    nothing = bytes(32)
    made = Context("study", nothing, "step", 1, 0, nothing, ("a", "b", "c"), nothing)
    return replace(made, **changes)


def cohort_of(n: int) -> Cohort:
    draw = np.random.default_rng(n)
    columns = {"trait": draw.standard_normal(n), "age": draw.standard_normal(n)}
    return Cohort(cast("Any", None), 2 * np.arange(n), columns, draw.integers(5, size=n))


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the frequencies counted over people drawn by chance."""
    asked = Frequency.schema
    monkeypatch.setattr(Frequency, "schema", lambda *of: Schema(asked(*of).blocks, RATE))


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.97])
def test_each_person_is_drawn_with_the_same_chance(rate: float) -> None:
    drawn = np.array([sampling.chosen(500, rate, KEY[:30] + bytes([i, 1])) for i in range(200)])
    spread = np.sqrt(rate * (1 - rate))
    assert abs(drawn.mean() - rate) < 4 * spread / np.sqrt(drawn.size)
    by_person, by_round = drawn.mean(axis=0), drawn.mean(axis=1)
    assert np.abs(by_person - rate).max() < 5 * spread / np.sqrt(200)
    assert np.abs(by_round - rate).max() < 5 * spread / np.sqrt(500)
    # Independent: pairs of people are together as often as chance has it.
    together = (drawn[:, :-1] & drawn[:, 1:]).mean()
    assert abs(together - rate**2) < 5 * spread / np.sqrt(drawn.size)


def test_a_round_has_the_same_people_again_and_any_other_has_others() -> None:
    cohort = cohort_of(400)
    own = sampling.drawn(cohort, RATE, KEY, context())
    assert np.array_equal(own.rows, sampling.drawn(cohort, RATE, KEY, context()).rows)
    others = [context(attempt=1), context(round=2), context(step="other"), context(plan=b"1" * 32)]
    for other in others:
        assert not np.array_equal(own.rows, sampling.drawn(cohort, RATE, KEY, other).rows)
    assert not np.array_equal(own.rows, sampling.drawn(cohort, RATE, bytes(32), context()).rows)
    assert sampling.drawn(cohort, 1.0, KEY, context()) is cohort


def test_who_is_drawn_comes_with_all_that_is_known_of_them() -> None:
    cohort = cohort_of(100)
    own = sampling.drawn(cohort, RATE, KEY, context())
    here = np.isin(cohort.rows, own.rows)
    assert 20 < own.n < 80
    assert np.array_equal(own.fold, cohort.fold[here])
    for name, values in cohort.columns.items():
        assert np.array_equal(own.column(name), values[here])


def test_a_run_counts_those_who_were_drawn(tmp_path: Path, sampled: None) -> None:
    pytest.importorskip("dp_accounting", reason="needs the extra `privacy`")
    federation = build(tmp_path / "drawn", kind="noise")
    done, log, _ = federation.run()
    log.close()
    federation.close()
    everybody = sum(member.people for member in done.plan.members)
    called = done.results["frequency"].called
    assert called.std() < 1e-3 * everybody + 5  # everybody has calls: the same people throughout
    assert abs(called.mean() - RATE * everybody) < 5 * np.sqrt(everybody * RATE * (1 - RATE))
    account = agreement.account(done.plan)
    assert account is not None
    assert account.spent(["frequency"]).curve
    assert account.spent(["frequency"]).rho == 0


def test_exact_sums_over_people_drawn_by_chance_are_refused(tmp_path: Path, sampled: None) -> None:
    federation = build(tmp_path, kind="masked")
    with pytest.raises(DisclosureError, match="draws its people by chance"):
        federation.run()
    federation.close()


def test_noise_is_that_of_the_round_over_everybody(tmp_path: Path, sampled: None) -> None:
    pytest.importorskip("dp_accounting", reason="needs the extra `privacy`")
    federation = build(tmp_path, kind="noise")
    done, log, _ = federation.run()
    log.close()
    federation.close()
    account = agreement.account(done.plan)
    made = agreement.protection(done.plan)
    assert isinstance(made, Noise)
    assert account is not None
    assert made.rho["frequency"] == account.prices["frequency"]
