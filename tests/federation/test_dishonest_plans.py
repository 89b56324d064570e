"""A centre that puts another plan before the sites is refused by every site."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from equipoise.federation import agreement, budget
from equipoise.federation.identity import Identity
from equipoise.federation.people import People
from equipoise.plan import Member, Plan, Step
from equipoise.protection import Message
from federation.attacks import (
    Attack,
    Patch,
    agreeable,
    answered,
    each,
    nothing,
    refused,
    without,
    without_steward,
)
from federation.building import Federation, Frames
from federation.driver import Driver


def plans(change: Callable[[Plan], Plan]) -> Callable[[Driver, str], Frames]:
    def message(driver: Driver, to: str) -> Frames:
        assert driver.plan is not None
        changed = change(driver.plan).to_bytes()
        return driver.frames(to, "plan", {}, Message(changed))

    return message


def parameter(step: str, **changes: Any) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        return with_step(
            plan, replace(plan.step(step), parameters={**plan.step(step).parameters, **changes})
        )

    return change


def with_step(plan: Plan, step: Step) -> Plan:
    return replace(plan, steps=tuple(step if s.name == step.name else s for s in plan.steps))


def columns(by: int) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        at_most = plan.step("model").parameters["columns"]
        assert isinstance(at_most, int)
        return parameter("model", columns=at_most + by)(plan)

    return change


def more_folds(plan: Plan) -> Plan:
    steps = tuple(
        replace(
            s, parameters={**s.parameters, "folds": 2} if "folds" in s.parameters else s.parameters
        )
        for s in plan.steps
    )
    return replace(plan, folds=2, steps=steps)


def hidden_step(plan: Plan) -> Plan:
    """Give a step that asks for a lot the name of one that asks for little."""
    greedy = columns(+40)(plan).step("model")
    return replace(plan, steps=(*plan.steps[:-1], greedy, replace(plan.steps[0], name="model")))


def member(place: int, **changes: Any) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        members = list(plan.members)
        members[place] = replace(members[place], **changes)
        return replace(plan, members=tuple(members))

    return change


def added_site(plan: Plan) -> Plan:
    new = Identity.create("s9")
    line = Member("s9", new.signing_key.hex(), new.channel_key.hex(), 30)
    return replace(plan, members=(*plan.members, line))


def every_other_site(driver: Driver, to: str) -> Frames:
    """Leave out a site, another one than the one that is asked."""
    assert driver.plan is not None
    lost = "s0" if to != "s0" else "s1"
    kept = tuple(m for m in driver.plan.members if m.name != lost)
    return plans(lambda plan: replace(plan, members=kept))(driver, to)


def another_own_line(driver: Driver, to: str) -> Frames:
    assert driver.plan is not None
    return plans(member(driver.plan.sites.index(to), people=10**6))(driver, to)


no_members = without((agreement, "check_plan"))
no_budget = without((budget, "check"))


def no_members_and_no_budget(federation: Federation, patch: Patch) -> None:
    """Take out both: fewer sites are fewer people, for whom the budget is too small as well."""
    no_members(federation, patch)
    no_budget(federation, patch)


def no_disclosure(federation: Federation, patch: Patch) -> None:
    patch.setattr(budget, "disclosure", nothing)
    patch.setattr(budget, "check", nothing)


def held_out(plan: Plan) -> Plan:
    """Make each site a fold, of a plan whose folds are as many."""
    return replace(plan, fold_by="site")


def unapproved(name: str, change: Callable[[Plan], Plan]) -> Attack:
    return Attack(
        name,
        Driver.to_plan,
        plans(change),
        "not the one that follows from the study",
        without_steward,
    )


def refused_anyway(
    name: str,
    change: Callable[[Plan], Plan],
    says: str,
    remove: Callable[[Federation, Patch], None],
    **study: Any,
) -> Attack:
    """Return a plan that is refused although the steward would approve anything."""
    return Attack(name, Driver.to_plan, plans(change), says, remove, agreeable, study=study)


PLANS = [
    unapproved("a column less", columns(-1)),
    unapproved("another threshold", parameter("model", threshold=1.0)),
    unapproved("another trait", parameter("association", trait="sex")),
    unapproved("other penalties", parameter("model", penalties=(0.5, 0.1))),
    unapproved("people counted whom the budget does not", parameter("model", counted=2.0)),
    unapproved("no test of quality", parameter("quality", least=10**6)),
    unapproved("fewer variants", parameter("frequency", n_variants=1)),
    unapproved(
        "another analysis",
        lambda p: with_step(
            p,
            replace(
                p.step("census"), analysis="frequency", parameters=p.step("frequency").parameters
            ),
        ),
    ),
    unapproved(
        "steps in another order", lambda p: replace(p, steps=(p.steps[1], p.steps[0], *p.steps[2:]))
    ),
    unapproved(
        "a step more", lambda p: replace(p, steps=(*p.steps, replace(p.steps[0], name="again")))
    ),
    unapproved("a step less", lambda p: replace(p, steps=p.steps[:-1])),
    unapproved(
        "figures by site that nobody approved",
        lambda p: with_step(p, replace(p.step("census"), figures=True)),
    ),
    unapproved(
        "more rounds than the analysis needs",
        lambda p: with_step(p, replace(p.step("census"), rounds=2)),
    ),
    replace(unapproved("no masks", lambda p: replace(p, protection="clear")), kind="masked"),
    refused_anyway(
        "one column over the budget",
        columns(+1),
        "DisclosureError: the plan releases 7 columns",
        no_budget,
    ),
    refused_anyway(
        "columns once more in another round",
        lambda p: with_step(p, replace(p.step("model"), rounds=2)),
        "DisclosureError: the plan releases 12 columns",
        no_budget,
    ),
    refused_anyway(
        "a step hidden behind another's name",
        hidden_step,
        "two steps of the plan have one name",
        no_disclosure,
    ),
    refused_anyway(
        "blocks that run backwards",
        parameter("model", windows=(0, 60, 0, 60)),
        "a block that is none of the variants",
        no_disclosure,
    ),
    refused_anyway(
        "more folds than the plan says",
        parameter("association", folds=30),
        "another number of folds than the plan",
        no_disclosure,
    ),
    refused_anyway(
        "a step in none of its rounds",
        lambda p: with_step(p, replace(p.step("census"), rounds=0)),
        "asks for sums in none of its rounds",
        no_disclosure,
    ),
    refused_anyway(
        "other folds than the site's",
        more_folds,
        "another seed, number of folds",
        without((People, "check_plan")),
    ),
    refused_anyway(
        "another seed",
        lambda p: replace(p, seed=8),
        "another seed",
        without((People, "check_plan")),
    ),
    refused_anyway(
        "a smaller least count",
        lambda p: replace(p, k=1),
        "least count",
        without((People, "check_plan")),
    ),
    refused_anyway(
        "rosters that may be near",
        lambda p: replace(p, roster_k=1),
        "least count",
        without((People, "check_plan")),
    ),
    refused_anyway(
        "an analysis that is not in the package",
        lambda p: with_step(p, replace(p.step("census"), analysis="rows")),
        "there is no analysis 'rows'",
        no_disclosure,
    ),
    refused_anyway(
        "a parameter that no analysis has",
        parameter("census", rows=1),
        "has parameters that census does not",
        no_disclosure,
    ),
    refused_anyway(
        "code of another version",
        lambda p: replace(p, sources="0" * 64),
        "another version of this package",
        no_members,
    ),
    refused_anyway("a site more", added_site, "list of sites", no_members),
    refused_anyway(
        "another list of variants",
        lambda p: replace(p, variants="0" * 64),
        "list of variants",
        without((agreement, "check_study")),
    ),
    refused_anyway(
        "another study",
        lambda p: replace(p, study={**p.study, "question": "?"}),
        "study is not the one",
        without((agreement, "check_study")),
    ),
    Attack(
        "a site less",
        Driver.to_plan,
        every_other_site,
        "list of sites",
        no_members_and_no_budget,
        agreeable,
    ),
    Attack(
        "other people at the site than it announced",
        Driver.to_plan,
        another_own_line,
        "what it announced",
        no_members,
        agreeable,
    ),
    Attack(
        "another key for every site",
        Driver.to_plan,
        plans(
            lambda p: replace(p, members=tuple(replace(m, signing_key="0" * 64) for m in p.members))
        ),
        "another signing key",
        no_members,
        agreeable,
    ),
    refused_anyway(
        "a site that trains marked as external",
        member(0, external=True),
        "differ on whether s0 is external",
        no_members_and_no_budget,
    ),
    refused_anyway(
        "an external site marked as one that trains",
        member(3, external=False),
        "differ on whether s3 is external",
        no_members,
        external=("s3",),
    ),
    refused_anyway(
        "sites held out that the study does not hold out",
        held_out,
        "differ on whether each site is held out",
        no_members_and_no_budget,
        n_sites=3,
    ),
    refused_anyway(
        "people in folds by chance where the study holds out sites",
        lambda p: replace(p, fold_by="person"),
        "differ on whether each site is held out",
        no_members_and_no_budget,
        n_sites=3,
        hold_out="to see",
    ),
    refused_anyway(
        "folds by a rule that there is not",
        lambda p: replace(p, fold_by="row"),
        "differ on whether each site is held out",
        no_members,
    ),
    refused_anyway(
        "each site held out without a reason",
        lambda p: p,
        "`hold_out_each_site` in the study file, with a reason",
        no_budget,
        hold_out="",
    ),
]


@each(PLANS)
def test_every_site_refuses(attack: Attack, tmp_path: Path) -> None:
    refused(attack, tmp_path)


@each(PLANS)
def test_every_site_refuses_and_the_check_is_what_refuses(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(attack, tmp_path, monkeypatch)
