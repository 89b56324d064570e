"""What a plan under noise costs in privacy and how noisy its totals will be, for who reads it."""

from typing import Any

from equipoise.federation import agreement, noised
from equipoise.federation.spent import study_budget
from equipoise.plan import Plan


def told(plan: Plan) -> dict[str, Any] | None:
    """Return budget, and by step what is spent up to its end and how noisy its totals are.

    None without noise. `epsilon_so_far` counts each step with its most rounds; deviations are of
    the noise in one entry of a total, by field, in the field's own unit.
    """
    account = agreement.account(plan)
    if account is None:
        return None
    spent = {row.step: row.epsilon for row in account.planned()}
    steps = {
        name: {"epsilon_so_far": spent[name], "standard_deviation_of_noise": own}
        for name, own in noised.deviations(plan, account.prices).items()
    }
    return {
        "epsilon": account.budget.epsilon,
        "delta": account.budget.delta,
        "study_epsilon": study_budget(plan, account).epsilon,
        "steps": steps,
    }
