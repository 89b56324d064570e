"""What a site keeps of what its study's runs have spent: by hand, beside the record."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import DisclosureError, InputError
from equipoise.federation import agreement
from equipoise.federation.spent import Spent, study_budget
from equipoise.ledger.entry import Entry
from equipoise.plan import Plan
from equipoise.protections.accounting import Budget
from federation.building import build
from federation.driver import Driver

pytest.importorskip("dp_accounting", reason="needs the extra `privacy`")

RUNS = 3
"""That the study's budget holds, whole ones, and a little more."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    federation = build(tmp_path_factory.mktemp("noise"), kind="noise")
    made = Driver(federation).to_plan().plan
    federation.close()
    assert made is not None
    whole = Budget(2.0, 1e-6).rho
    privacy = {"epsilon": 2.0, "delta": 1e-6, "study_epsilon": _epsilon(RUNS * whole)}
    return replace(made, privacy=privacy)


def _epsilon(rho: float) -> float:
    """Return an epsilon that holds so much and less than a tenth more."""
    epsilon = 2.0
    while Budget(epsilon, 1e-6).rho < rho:
        epsilon *= 1.01
    return epsilon


def run(plan: Plan, number: int) -> Plan:
    """Return the same plan with another channel key, as each run has."""
    first, *rest = plan.members
    return replace(plan, members=(replace(first, channel_key=f"{number:064x}"), *rest))


def released(plan: Plan, steps: int) -> list[Entry]:
    """Return a ledger in which so many steps were asked, in four phases each."""
    rest: dict[str, Any] = {"attempt": 0, "sha256": "0" * 64, "bytes": 1}
    return [
        Entry("release", {"step": step.name, "round": 1, "phase": f"round {phase}", **rest})
        for step in plan.steps[:steps]
        for phase in range(4)
    ]


def test_a_studys_budget_holds_as_many_whole_runs_as_it_says(plan: Plan, tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    for number in range(RUNS):
        Spent(tmp_path).reserve(run(plan, number))  # each from the file alone
    with pytest.raises(DisclosureError, match=f"spent by {RUNS} earlier runs"):
        spent.reserve(run(plan, RUNS))
    assert len(spent.charges(plan.id)) == RUNS
    spent.reserve(run(replace(plan, study={**plan.study, "id": "another"}), RUNS))


def test_a_sites_own_budget_holds_over_all_studies(plan: Plan, tmp_path: Path) -> None:
    most = _epsilon(2 * Budget(2.0, 1e-6).rho)
    (tmp_path / "site.toml").write_text(f"[privacy]\nepsilon = {most}\ndelta = 1e-6\n")
    one, other, third = (
        run(replace(plan, study={**plan.study, "id": name}), number)
        for number, name in enumerate(("one", "other", "third"))
    )
    Spent(tmp_path).reserve(one)
    assert "runs of all studies" not in Spent(tmp_path).told(one)
    Spent(tmp_path).reserve(other)
    said = Spent(tmp_path).told(other)
    assert "spent by 1 earlier runs; " in said
    assert said.endswith("spent by 2 runs of all studies")
    with pytest.raises(DisclosureError, match=r"of this site for all studies.*by 2 earlier runs"):
        Spent(tmp_path).reserve(third)
    assert len(Spent(tmp_path).charges()) == 2
    Spent(tmp_path).reserve(other)  # what has been set aside stays so
    (tmp_path / "site.toml").unlink()
    Spent(tmp_path).reserve(third)


@pytest.mark.parametrize(
    "said", ["privacy = 3", "[privacy]\nepsilon = 1", '[privacy]\nepsilon = "1"\ndelta = 1e-6', "x"]
)
def test_a_sites_budget_of_another_form_is_refused(plan: Plan, tmp_path: Path, said: str) -> None:
    (tmp_path / "site.toml").write_text(said)
    with pytest.raises(InputError, match=r"site\.toml"):
        Spent(tmp_path).reserve(plan)
    assert not (tmp_path / "spent.jsonl").exists()


def test_a_run_is_entered_once_however_often_its_plan_is_signed(plan: Plan, tmp_path: Path) -> None:
    for _ in range(3):
        Spent(tmp_path).reserve(plan)
    assert len((tmp_path / "spent.jsonl").read_text().splitlines()) == 1


def test_a_run_that_is_taken_up_after_it_was_settled_is_whole_again(
    plan: Plan, tmp_path: Path
) -> None:
    spent = Spent(tmp_path)
    spent.reserve(plan)
    [before] = spent.charges(plan.id)
    spent.settle(released(plan, 1))
    [settled] = spent.charges(plan.id)
    assert 0 < settled.rho < before.rho
    Spent(tmp_path).reserve(plan)
    assert spent.charges(plan.id) == [before]


@settings(max_examples=20, deadline=None)
@given(asked=st.lists(st.integers(0, 7), max_size=8))
def test_what_is_charged_is_what_was_asked(
    plan: Plan, tmp_path_factory: pytest.TempPathFactory, asked: list[int]
) -> None:
    """Against a sum by hand, until a run is refused; then nothing is entered."""
    account = agreement.account(plan)
    assert account is not None
    home, by_hand = tmp_path_factory.mktemp("home"), 0.0
    whole, most = account.budget.rho, study_budget(plan, account).rho
    prices = [account.prices.get(step.name, 0.0) for step in plan.steps]
    for number, steps in enumerate(asked):
        spent = Spent(home)
        if by_hand + whole > most:
            with pytest.raises(DisclosureError):
                spent.reserve(run(plan, number))
            continue
        spent.reserve(run(plan, number))
        spent.settle(released(plan, steps))
        by_hand += sum(prices[:steps])
        kept = sum(charge.rho for charge in Spent(home).charges(plan.id))
        assert kept == pytest.approx(by_hand, rel=1e-9)


def test_a_plan_without_noise_spends_nothing(plan: Plan, tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    spent.reserve(replace(plan, protection="masked", privacy=None))
    spent.settle([])
    assert not (tmp_path / "spent.jsonl").exists()
