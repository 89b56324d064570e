"""A run under noise: each site adds some, all count what is spent, and no round is beyond it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import DisclosureError, InputError, ProtocolError
from equipoise.federation import agreement
from equipoise.plan import Plan
from equipoise.transport import Transport
from federation.building import PRIVACY, Federation, build
from federation.driver import Driver
from federation.test_lost_sites import Losing

pytest.importorskip("dp_accounting", reason="needs the extra `privacy`")


def plan(federation: Federation) -> Plan:
    made = Driver(federation).to_plan().plan
    assert made is not None
    return made


def test_totals_are_near_the_exact_ones_and_not_equal_to_them(tmp_path: Path) -> None:
    scores: list[Any] = []
    for kind in ("masked", "noise"):
        federation = build(tmp_path / kind, kind=kind)
        done, log, _ = federation.run()
        log.close()
        federation.close()
        scores.append(done.results["association"].score)
    exact, noised = scores
    assert not np.array_equal(exact, noised)
    np.testing.assert_allclose(noised, exact, atol=0.05 * np.abs(exact).max())


def test_a_plan_says_what_each_round_costs(tmp_path: Path) -> None:
    account = agreement.account(plan(build(tmp_path, kind="noise")))
    assert account is not None
    steps = [stage.step for stage in account.stages]
    assert steps[:4] == ["census", "frequency", "quality", "association"]
    assert account.prices["association"] == pytest.approx(4 * account.prices["frequency"])
    assert account.planned()[-1].epsilon <= PRIVACY["epsilon"]  # pyright: ignore[reportOperatorIssue]  a number


def test_another_attempt_at_a_round_is_beyond_a_budget_that_holds_one_of_each(
    tmp_path: Path,
) -> None:
    """The noise of an attempt is spent even if its total never comes out."""
    federation = build(tmp_path, kind="noise", lost_site="go_on")

    def over(local: Transport) -> Transport:
        return Losing(local, "s1", "round", 2, 1)

    with pytest.raises(DisclosureError, match="beyond the privacy budget"):
        federation.run(over)
    federation.close()


def test_figures_by_site_have_no_noise_and_are_refused(tmp_path: Path) -> None:
    made = plan(build(tmp_path, kind="noise"))
    step = replace(made.steps[-1], figures=True)
    with pytest.raises(DisclosureError, match="figures by site have no noise"):
        agreement.check_protection(replace(made, steps=(*made.steps[:-1], step)))


@pytest.mark.parametrize(
    ("privacy", "error"),
    [
        (None, InputError),
        ({"epsilon": 0.0, "delta": 1e-6}, InputError),
        ({"epsilon": 1.0, "delta": 1.0}, InputError),
        ({"epsilon": 1.0, "delta": 1e-6, "shares": {"census": 0.0}}, InputError),
        ({"epsilon": 1.0, "delta": 1e-6, "shares": {"nothing": 1.0}}, ProtocolError),
    ],
)
def test_a_budget_that_bounds_nothing_is_refused(
    tmp_path: Path, privacy: Any, error: type[Exception]
) -> None:
    made = plan(build(tmp_path, kind="noise"))
    with pytest.raises(error):
        agreement.check_protection(replace(made, privacy=privacy))


def test_every_site_counts_what_is_spent(tmp_path: Path) -> None:
    federation = build(tmp_path, kind="noise")
    done, log, _ = federation.run()
    log.close()
    federation.close()
    account = agreement.account(done.plan)
    assert account is not None
    for site in federation.sites.values():
        assert account.spent(site._asked).epsilon <= PRIVACY["epsilon"]  # pyright: ignore[reportOperatorIssue]  a number
    assert np.isfinite(account.spent(federation.sites["s0"]._asked).rho)
