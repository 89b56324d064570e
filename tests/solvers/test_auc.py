"""The AUC against sklearn, and its interval against simulation and its own symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from equipoise.solvers.auc import (
    auc_from_histogram,
    auc_from_rows,
    auc_interval,
    auc_variance,
    detectable_auc_gap,
)

# Whole numbers, so that ties are frequent and exact.
scores = hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(-5, 5).map(float))
AUCS = st.floats(0, 1)
SIZES = st.integers(2, 400)


def slow(score: NDArray[np.float64], case: NDArray[np.bool_]) -> float:
    """Return the share of pairs in which the case scores above, ties half."""
    pairs = [(a > b) + (a == b) / 2 for a in score[case] for b in score[~case]]
    return float(np.mean(pairs))


@settings(max_examples=30)
@given(scores, st.data())
def test_the_auc_of_rows_equals_pairs_and_sklearn(
    score: NDArray[np.float64], data: st.DataObject
) -> None:
    case = data.draw(hnp.arrays(np.bool_, len(score)))
    case[:2] = True, False
    found = auc_from_rows(score, case)
    # Ratios of whole numbers by three ways of double arithmetic.
    assert found == pytest.approx(slow(score, case), abs=1e-12)
    assert found == pytest.approx(roc_auc_score(case, score), abs=1e-12)


@settings(max_examples=30)
@given(scores, st.data())
def test_a_histogram_with_a_bin_a_value_is_exact_and_a_coarser_one_within_its_bound(
    score: NDArray[np.float64], data: st.DataObject
) -> None:
    case = data.draw(hnp.arrays(np.bool_, len(score)))
    case[:2] = True, False
    exact = auc_from_rows(score, case)
    for width in (1, 3, 11):
        place = ((score + 5) // width).astype(np.int64)
        cases = np.bincount(place[case], minlength=11)
        controls = np.bincount(place[~case], minlength=11)
        found, bound = auc_from_histogram(cases, controls)
        assert found == pytest.approx(roc_auc_score(case, place), abs=1e-12)
        assert abs(found - exact) <= bound + 1e-12
        if width == 1:
            assert found == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("case", [[True, True], [False, False]])
def test_one_kind_alone_has_no_auc(case: list[bool]) -> None:
    with pytest.raises(ValueError, match="a case and a control"):
        auc_from_rows(np.array([1.0, 2.0]), np.array(case))


@given(AUCS, SIZES, SIZES)
def test_the_interval_holds_the_estimate_and_stays_between_0_and_1(
    auc: float, n: int, m: int
) -> None:
    low, high = auc_interval(auc, n, m)
    assert 0 <= low <= auc + 1e-9  # the root finder stops within 2e-12
    assert auc - 1e-9 <= high <= 1


@given(AUCS, SIZES, SIZES)
def test_the_interval_is_the_mirror_image_for_the_reversed_score(
    auc: float, n: int, m: int
) -> None:
    low, high = auc_interval(auc, n, m)
    turned = auc_interval(1 - auc, m, n)
    # Near 0 and 1 the end moves by the square root of what the subtraction loses.
    assert turned == pytest.approx((1 - high, 1 - low), abs=1e-6)


@given(AUCS, st.integers(2, 50))
def test_more_people_and_less_confidence_make_it_narrower(auc: float, n: int) -> None:
    low, high = auc_interval(auc, n, 2 * n)
    for other in (auc_interval(auc, 4 * n, 8 * n), auc_interval(auc, n, 2 * n, level=0.8)):
        assert other[0] >= low - 1e-9
        assert other[1] <= high + 1e-9


@pytest.mark.parametrize(("n", "m"), [(2, 2), (10, 70), (50, 300), (5000, 5000)])
def test_an_estimate_of_0_or_1_still_has_a_width(n: int, m: int) -> None:
    # Unlike DeLong's and Hanley-McNeil's variances, which are 0 there.
    low, high = auc_interval(1.0, n, m)
    assert high == 1.0
    assert low < 1 - 0.5 / (n + m)
    assert auc_interval(0.0, n, m) == pytest.approx((0.0, 1 - low), abs=1e-9)


@given(st.floats(0.02, 0.98), SIZES, SIZES)
def test_the_ends_solve_newcombes_equation(auc: float, n: int, m: int) -> None:
    # Newcombe 2006, doi:10.1002/sim.2324, method 5, as in the docstring.
    for end in auc_interval(auc, n, m):
        size = (n + m) / 2 - 1
        spread = 1 + size * ((1 - end) / (2 - end) + end / (1 + end))
        width = stats.norm.isf(0.025) * np.sqrt(end * (1 - end) * spread / (n * m))
        assert abs(auc - end) == pytest.approx(width, abs=1e-5)


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.9, 0.97])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(auc: float) -> None:
    draw = np.random.default_rng(6)
    n, m, times = 15, 60, 400
    apart = np.sqrt(2) * stats.norm.ppf(auc)
    case = np.arange(n + m) < n
    covered = 0
    for _ in range(times):
        score = draw.normal(size=n + m) + apart * case
        low, high = auc_interval(auc_from_rows(score, case), n, m)
        covered += low <= auc <= high
    # Binormal scores and an exponential model: Newcombe's tables lie between .93 and .98;
    # four standard errors of 400 simulations are .044.
    assert 0.905 < covered / times <= 1


@pytest.mark.parametrize("auc", [0.5, 0.75, 0.95])
def test_the_variance_is_that_of_simulated_exponential_scores(auc: float) -> None:
    # The model behind Hanley and McNeil's Q1 and Q2.
    draw, (n, m), times = np.random.default_rng(7), (12, 30), 4000
    cases, controls = draw.exponential(auc / (1 - auc), (times, n)), draw.exponential(1, (times, m))
    found = np.mean(cases[:, :, None] > controls[:, None, :], axis=(1, 2))
    # A variance of 4000 draws has a relative error of 2.2 %; four of them, and fat tails.
    assert found.var() == pytest.approx(auc_variance(auc, n, m), rel=0.12)


@given(SIZES, SIZES)
def test_the_variance_at_a_half_is_nearly_wilcoxons(n: int, m: int) -> None:
    # (n + m + 1) / (12 n m) without any model; the exponential one comes to just that.
    assert auc_variance(0.5, n, m) == pytest.approx((n + m + 1) / (12 * n * m), rel=1e-9)


def test_the_detectable_gap_is_found_in_four_of_five_simulated_samples() -> None:
    sizes = (60, 240), (150, 600)
    least = detectable_auc_gap(0.75, *sizes)
    draw, shown = np.random.default_rng(8), 0
    for _ in range(400):
        aucs = []
        for (n, m), auc in zip(sizes, (0.75 - 0.8 * least, 0.75 + 0.2 * least), strict=True):
            # Scores of exponential distributions, whose variance Hanley and McNeil's is.
            ratio = auc / (1 - auc)
            score = np.concatenate([draw.exponential(ratio, n), draw.exponential(1.0, m)])
            aucs.append(auc_from_rows(score, np.arange(n + m) < n))
        error = np.sqrt(sum(auc_variance(a, *s) for a, s in zip(aucs, sizes, strict=True)))
        shown += abs(aucs[0] - aucs[1]) > 1.959964 * error
    # Four standard errors of 400 simulations of 80 % are .08.
    assert abs(shown / 400 - 0.8) < 0.08


def test_fifty_cases_detect_a_gap_of_an_eighth_and_five_hundred_of_a_third_of_that() -> None:
    # methods: "with 50 minority cases it is 0.13 AUC, with 500, 0.04".
    majority = (5000, 20000)
    assert detectable_auc_gap(0.7, (50, 200), majority) == pytest.approx(0.13, abs=0.01)
    assert detectable_auc_gap(0.7, (500, 2000), majority) == pytest.approx(0.04, abs=0.005)


@pytest.mark.parametrize("pooled", [0.0, 1.0])
def test_a_perfect_pooled_auc_does_not_make_any_gap_detectable(pooled: float) -> None:
    assert detectable_auc_gap(pooled, (20, 20), (40, 40)) > 0.01


@given(AUCS, SIZES, SIZES)
def test_the_detectable_gap_shrinks_with_more_people(auc: float, n: int, m: int) -> None:
    few = detectable_auc_gap(auc, (n, m), (50, 50))
    assert detectable_auc_gap(auc, (4 * n, 4 * m), (200, 200)) <= few + 1e-12
