"""Where each site is held out in turn, the folds are the sites, and the plan says so."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.federation import budget, registry
from federation.building import STRONG, build, scored, scores
from federation.driver import Driver

REASON = "to see how the model does at a site that took no part in training"


@pytest.mark.parametrize("kind", ["masked", "clear"])
def test_each_site_is_scored_by_a_model_that_never_saw_it(kind: str, tmp_path: Path) -> None:
    federation = build(
        tmp_path, kind=kind, external=("s1",), hold_out=REASON, people=100, calibrated=True
    )
    done, log, _ = federation.run()
    assert done.results["model"].variants.tolist() == [STRONG]
    for name, fold in {"s0": 0, "s1": -1, "s2": 1, "s3": 2}.items():
        found = scores(federation, name)
        assert {f for _, f in found} == {fold}
        np.testing.assert_allclose([s for s, _ in found], scored(federation, name, done, fold + 1))
    log.close()
    federation.close()


def test_sums_by_fold_are_the_sums_of_each_site(tmp_path: Path) -> None:
    """What the warning says: masked or not, each site's own counts are there to be read."""
    federation = build(tmp_path, hold_out=REASON)
    done, log, _ = federation.run()
    census = done.results["census"]
    rosters = [federation.people[name].roster.n for name in federation.names]
    cases = [int(federation.people[n].cohort.column("trait").sum()) for n in federation.names]
    assert (census.people.tolist(), census.cases.tolist()) == (rosters, cases)
    found = budget.disclosure(done.plan, registry.build)
    assert found.sites_derivable
    log.close()
    federation.close()


def test_the_reason_is_part_of_the_plan_that_every_site_signs(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, hold_out=REASON)).to_plan()
    assert driver.plan is not None
    assert driver.plan.study["validation"]["reason"] == REASON
    assert REASON.encode() in driver.plan.to_bytes()
    assert (driver.plan.fold_by, driver.plan.folds) == ("site", 4)
    for name in driver.federation.names:
        assert driver.send(name, driver.signing(name)).kind == "signed"
    driver.federation.close()
