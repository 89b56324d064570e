import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from equipoise.solvers.membership import membership_auc, membership_power

PEOPLE = st.integers(1, 10**6)


@given(PEOPLE, st.floats(1, 1e6), st.sampled_from([0.05, 0.001]))
def test_more_people_hide_each_other_better(people: int, variants: float, alpha: float) -> None:
    few = membership_power(people, variants, alpha)
    assert alpha <= membership_power(people + 1, variants, alpha) <= few <= 1
    assert membership_auc(people + 1, variants) <= membership_auc(people, variants)


def test_theory_holds_for_simulated_frequencies() -> None:
    """Theory against 400 members and 400 others, and 2,000 independent variants."""
    draw = np.random.default_rng(20261121)
    variants, people = 2_000, 400
    p = draw.uniform(0.1, 0.9, variants)
    members = draw.binomial(2, p, (people, variants))
    others = draw.binomial(2, p, (people, variants))
    q = members.mean(axis=0) / 2
    gain, loss = np.log(q / p), np.log((1 - q) / (1 - p))
    inside = members @ gain + (2 - members) @ loss
    outside = others @ gain + (2 - others) @ loss
    limit = np.quantile(outside, 0.95)
    auc = np.mean(inside[:, None] > outside[None, :])
    # Two standard errors of a share of 400 people are .05, of the AUC .03.
    assert abs(np.mean(inside > limit) - membership_power(people, variants, 0.05)) < 0.05
    assert abs(auc - membership_auc(people, variants)) < 0.03
