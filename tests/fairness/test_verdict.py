"""The three verdicts, p values and their adjustment, on hand-made intervals and real counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from equipoise.fairness.verdict import adjusted, p_value, verdict
from equipoise.solvers.intervals import Estimate, difference, wald


def at(value: float, error: float, margin: float) -> str:
    """Return the verdict on a gap with this standard error."""
    return verdict(wald(value, error), wald(value, error, 0.9), margin)


@pytest.mark.parametrize(
    ("value", "error", "margin", "expected"),
    [
        (0.0, 0.01, 0.05, "equivalence shown"),
        (0.0, 0.05, 0.05, "inconclusive"),  # no gap seen, and none excluded
        (0.2, 0.05, 0.05, "gap shown"),
        (-0.2, 0.05, 0.05, "gap shown"),
        (0.03, 0.01, 0.05, "equivalence shown"),  # a gap, and one that does not matter
        (0.08, 0.01, 0.05, "gap shown"),
        (0.04, 0.03, 0.05, "inconclusive"),
    ],
)
def test_a_gap_is_shown_or_excluded_or_neither(
    value: float, error: float, margin: float, expected: str
) -> None:
    assert at(value, error, margin) == expected
    assert at(-value, error, margin) == expected


def test_equivalence_is_judged_by_the_90_per_cent_interval() -> None:
    # 1.645 errors lie inside the margin, 1.96 do not: two one-sided tests at 5 %.
    assert at(0.0, 0.05 / 1.8, 0.05) == "equivalence shown"
    assert at(0.0, 0.05 / 1.6, 0.05) == "inconclusive"


def test_an_end_on_the_margin_is_not_inside_it_whatever_the_last_digit() -> None:
    on = Estimate(0.0, -0.05, round(5 * 0.01, 9))
    assert verdict(Estimate(0.0, -0.07, 0.07), on, 0.05) == "inconclusive"
    assert verdict(Estimate(0.05, 0.0, 0.1), on, 0.05) == "inconclusive"


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_a_margin_is_a_number_above_0(margin: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        at(0.0, 0.1, margin)


def wilson(events: int, n: int, level: float) -> Estimate:
    low, high = proportion_confint(events, n, alpha=1 - level, method="wilson")
    return Estimate(events / n, float(low), float(high))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # Lumaka et al. 2017, Clin Genet 92:166, recognised by DeepGestalt: African against
        # Caucasian patients. Reconstructed: 36.8 % as 7 of 19; 80 % as 16 of 20 is a guess.
        ((7, 19), (16, 20), "gap shown"),
        # After training on African photographs: 94.7 % as 18 of 19.
        ((18, 19), (16, 20), "inconclusive"),
        # Occult hypoxaemia during operations: Black and Hispanic against White patients.
        ((339, 16011), (791, 70722), "equivalence shown"),
        ((383, 21223), (791, 70722), "equivalence shown"),
    ],
)
def test_verdicts_on_rates_of_published_counts(
    one: tuple[int, int], other: tuple[int, int], expected: str
) -> None:
    wide, narrow = (difference(wilson(*one, level), wilson(*other, level)) for level in (0.95, 0.9))
    assert verdict(wide, narrow, 0.05) == expected
    if expected == "equivalence shown":
        # .010 and .007 of all patients: beyond chance, and a margin of .05 hides it. The
        # margin is the reader's to choose.
        assert verdict(wide, narrow, 0.002) == "gap shown"


@given(st.floats(-3, 3).filter(lambda v: abs(v) > 1e-6), st.floats(0.01, 2))
def test_p_is_that_of_the_normal_test(value: float, error: float) -> None:
    expected = 2 * stats.norm.sf(abs(value) / error)
    # Printed digits of 1.96 aside, the two are the same number.
    assert p_value(wald(value, error)) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_p_is_five_per_cent_where_the_interval_touches_0() -> None:
    assert p_value(Estimate(0.2, 0.0, 0.9)) == pytest.approx(0.05, abs=1e-12)
    assert p_value(Estimate(-0.2, -0.9, 0.0)) == pytest.approx(0.05, abs=1e-12)
    assert p_value(Estimate(0.0, -0.1, 0.1)) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_is_statsmodels(p: list[float]) -> None:
    expected = multipletests(p, method="fdr_bh")[1]
    assert np.array(adjusted(p)) == pytest.approx(expected, abs=1e-12)


def test_nothing_to_adjust_is_nothing() -> None:
    assert adjusted([]) == []
