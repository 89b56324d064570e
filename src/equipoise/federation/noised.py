"""How noisy the totals of a plan will be: known before it runs, alike to all parties."""

from collections.abc import Mapping

from equipoise.federation import registry
from equipoise.plan import Plan
from equipoise.protections.noise import calibrated


def deviations(plan: Plan, prices: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the standard deviation of the noise in each total, by step and field.

    In the unit of the field; where a site is lost on the way, its noise is missing and the
    totals have a little less.

    prices  what one attempt at one round of each step may cost (`accounting.Account.prices`)

    DisclosureError where a step's part of the budget is so small that its noise has no room.
    """
    found: dict[str, dict[str, float]] = {}
    for step in plan.steps:
        if step.name not in prices:
            continue
        analysis = registry.build(step, None)
        schema = analysis.schema(analysis.start())
        n_sites, may_lose = len(plan.sites), plan.lost_site == "go_on"
        form = calibrated(schema, prices[step.name], n_sites, may_lose)
        own = found.setdefault(step.name, {})
        for block in form.added:
            for name, added in block.items():
                own[name] = max(own.get(name, 0.0), added.deviation(n_sites))
    return found
