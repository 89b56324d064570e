"""A site takes part in what its steward approved, and in nothing else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import equipoise
from equipoise.errors import InputError, IntegrityError, ProtocolError
from equipoise.federation.approval import Approvals, digest, read_proposal, subject
from equipoise.federation.identity import Identity
from equipoise.plan import Plan, Step
from federation.building import build
from federation.driver import Driver


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    made = Driver(build(tmp_path / "federation")).to_plan().plan
    assert made is not None
    return made


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    home = tmp_path / "home"
    return Approvals(home, Identity.at(home, "s0"))


DIFFERENCES = (
    "other parameters",
    "another analysis",
    "an extra round",
    "a step less",
    "another site's people",
    "a site less",
    "another site's key",
    "another protection",
    "another rule for lost sites",
    "another seed",
    "another list of variants",
)


def altered(plan: Plan) -> dict[str, Plan]:
    """Return plans that differ in one thing each."""
    first = plan.steps[0]
    other = {**first.parameters, "least": 3}
    member = replace(plan.members[1], people=plan.members[1].people + 1)
    return {
        "other parameters": replace(
            plan, steps=(replace(first, parameters=other), *plan.steps[1:])
        ),
        "another analysis": replace(
            plan, steps=(Step("census", "frequency", first.parameters), *plan.steps[1:])
        ),
        "an extra round": replace(plan, steps=(replace(first, rounds=2), *plan.steps[1:])),
        "a step less": replace(plan, steps=plan.steps[:-1]),
        "another site's people": replace(
            plan, members=(plan.members[0], member, *plan.members[2:])
        ),
        "a site less": replace(plan, members=plan.members[:-1]),
        "another site's key": replace(
            plan,
            members=(replace(plan.members[0], signing_key="00" * 32), *plan.members[1:]),
        ),
        "another protection": replace(plan, protection="clear"),
        "another rule for lost sites": replace(plan, lost_site="go_on"),
        "another seed": replace(plan, seed=plan.seed + 1),
        "another list of variants": replace(plan, variants="0" * 64),
    }


def test_a_plan_that_nobody_looked_at_is_kept_and_refused(approvals: Approvals, plan: Plan) -> None:
    with pytest.raises(ProtocolError, match="is not approved by this site's steward"):
        approvals.check(plan)
    assert list(approvals.proposals()) == [subject(plan)]


def test_an_approved_plan_passes_and_its_channel_keys_may_differ(
    approvals: Approvals, plan: Plan
) -> None:
    approvals.approve(plan)
    approvals.check(plan)
    later = replace(plan, members=tuple(replace(m, channel_key="11" * 32) for m in plan.members))
    assert digest(later) == digest(plan)
    approvals.check(later)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_any_other_plan_is_refused(approvals: Approvals, plan: Plan, name: str) -> None:
    approvals.approve(plan)
    other = altered(plan)[name]
    assert set(altered(plan)) == set(DIFFERENCES)
    assert digest(other) != digest(plan)
    with pytest.raises(ProtocolError, match="is not approved"):
        approvals.check(other)


def test_an_approval_that_is_taken_back_counts_no_more(approvals: Approvals, plan: Plan) -> None:
    approvals.approve(plan)
    assert approvals.revoke(plan)
    assert not approvals.revoke(plan)
    with pytest.raises(ProtocolError):
        approvals.check(plan)


@pytest.mark.parametrize("key", ["study", "plan", "package", "sources", "signature"])
def test_an_altered_approval_is_found(
    approvals: Approvals, plan: Plan, tmp_path: Path, key: str
) -> None:
    approvals.approve(plan)
    path = tmp_path / "home" / "approvals" / f"{digest(plan)}.json"
    told: dict[str, Any] = json.loads(path.read_text())
    told[key] = "00" * 32
    path.write_text(json.dumps(told))
    with pytest.raises(IntegrityError, match="not signed by this site"):
        approvals.check(plan)


def test_an_approval_of_another_site_does_not_count(
    approvals: Approvals, plan: Plan, tmp_path: Path
) -> None:
    approvals.approve(plan)
    other = Approvals(tmp_path / "home", Identity.create("s1"))
    with pytest.raises(IntegrityError, match="not signed by this site"):
        other.check(plan)


def test_an_approval_is_for_one_version_of_the_code(
    approvals: Approvals, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    approvals.approve(plan)
    with monkeypatch.context() as patch:
        patch.setattr(equipoise, "__version__", "9.9")
        with pytest.raises(ProtocolError, match="is not approved"):
            approvals.check(plan)
        with pytest.raises(InputError, match="install the same"):
            approvals.approve(plan)


def test_a_proposal_that_was_altered_is_found(
    approvals: Approvals, plan: Plan, tmp_path: Path
) -> None:
    path = approvals.propose(plan)
    path.write_bytes(replace(subject(plan), seed=1).to_bytes())
    with pytest.raises(IntegrityError, match="not the proposal that its name says"):
        list(approvals.proposals())
    path.write_text("{}")
    with pytest.raises(InputError, match="holds no plan"):
        read_proposal(path)


def test_a_run_waits_for_every_steward(tmp_path: Path) -> None:
    """The first run is refused; once each has approved, the same study runs."""
    stewards: dict[str, Approvals] = {}
    for name in (f"s{i}" for i in range(4)):
        home = tmp_path / "stewards" / name
        stewards[name] = Approvals(home, Identity.at(home, name))

    def attempt(number: int) -> None:
        federation = build(tmp_path / str(number))
        for name, desk in federation.desks.items():
            # Keys of sites are new in each of these runs: what is told of them is left as it was.
            desk.approve = lambda plan, name=name: stewards[name].check(_as_if(plan))
        try:
            federation.run()[1].close()
        finally:
            federation.close()

    with pytest.raises(ProtocolError, match="not approved by this site's steward"):
        attempt(1)
    for steward in stewards.values():
        for plan in steward.proposals():
            steward.approve(plan)
    attempt(2)


def _as_if(plan: Plan) -> Plan:
    return replace(plan, members=tuple(replace(m, signing_key="00" * 32) for m in plan.members))
