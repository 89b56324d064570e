"""The AUC of summed bins against sklearn's on rows and on bins, and figures by site."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from equipoise.analyses.discrimination import AucResult, Discrimination
from equipoise.solvers.auc import auc_from_rows, auc_interval
from laws import cases, harness
from strategies import Rows, make_rows, rows


def ready(people: Rows, bins: int = 6, k: int = 2) -> tuple[Discrimination, Rows]:
    """Return the analysis, and the rows with the out-of-fold score of its weights."""
    found, scored = cases.ready("discrimination", people)
    assert isinstance(found, Discrimination)
    return replace(found, bins=bins, k=k), scored


def run(discrimination: Discrimination, people: Rows) -> AucResult:
    sites = people.split(np.arange(people.n) % 3, 3)
    return harness.run(discrimination, sites, "masked").result


def in_bins(discrimination: Discrimination, people: Rows) -> NDArray[np.float64]:
    """Return where each person lies, in bins: of equal width over all that weights can give."""
    frequencies, weights = discrimination.frequencies, discrimination.weights
    mean = 2 * frequencies.frequency[weights.variants]
    lows, highs = [0.0], [0.0]
    for row in weights.weights:
        ends = [(w * (0 - m), w * (2 - m)) for w, m in zip(row, mean, strict=True)]
        lows.append(sum(min(pair) for pair in ends))
        highs.append(sum(max(pair) for pair in ends))
    low, high = min(lows), max(highs)
    return (people.columns["score"] - low) / max(high - low, 1e-12) * discrimination.bins


@settings(max_examples=12)
@given(rows(least=40))
def test_the_auc_is_sklearns_of_the_bins_and_within_its_bound_of_that_of_rows(
    people: Rows,
) -> None:
    sound, people = ready(people)
    for bins in (2, 6, 1000):
        discrimination = replace(sound, bins=bins)
        found = run(discrimination, people)
        trait = people.columns["trait"]
        assert (found.n, found.events) == (people.n, trait.sum())
        if found.reason:
            assert min(trait.sum(), people.n - trait.sum()) < 2
            continue
        place = in_bins(discrimination, people)
        inner = (place > 0.5) & (place < bins - 0.5)
        if not np.any(inner & (np.abs(place - np.rint(place)) < 1e-9)):
            # Nobody lies on an edge, where the last digit would choose the bin.
            of_bins = roc_auc_score(trait, np.clip(np.floor(place), 0, bins - 1))
            # An AUC is published in steps of 2^-30, and sklearn's is a double.
            assert found.auc == pytest.approx(of_bins, abs=2.0**-30)
        of_rows = roc_auc_score(trait, people.columns["score"])
        assert abs(found.auc - of_rows) <= found.bound + 2.0**-29
        assert 0 <= found.low <= found.auc - found.bound + 2.0**-29
        assert found.auc + found.bound - 2.0**-29 <= found.high <= 1


def test_finer_bins_have_a_smaller_bound() -> None:
    sound, people = ready(make_rows(41, n=60))
    bounds = [float(run(replace(sound, bins=bins), people).bound) for bins in (1, 2, 8, 64)]
    assert bounds[0] == 0.5
    assert bounds == sorted(bounds, reverse=True)


def test_the_interval_takes_the_bound_in() -> None:
    discrimination, people = ready(make_rows(42, n=60))
    found = run(discrimination, people)
    controls = found.n - found.events
    low = auc_interval(float(found.auc - found.bound), found.events, controls)[0]
    high = auc_interval(float(found.auc + found.bound), found.events, controls)[1]
    # Two roundings to 2^-30, one of the interval and one of what it is made from here.
    assert found.low == pytest.approx(low, abs=2.0**-28)
    assert found.high == pytest.approx(high, abs=2.0**-28)


@pytest.mark.parametrize("shift", [-1e6, 1e6])
def test_scores_outside_the_public_range_fall_into_the_end_bins(shift: float) -> None:
    discrimination, people = ready(make_rows(43, n=60))
    shifted = people.with_column("score", people.columns["score"] + shift)
    (sums,) = harness.sums_of(discrimination, shifted.cohort(), discrimination.start())
    end = 0 if shift < 0 else -1
    assert sums["histogram"][:, end].sum() == people.n
    assert run(discrimination, shifted).auc == 0.5


@pytest.mark.parametrize("cases_", [0, 1, 4, 56, 60])
def test_too_few_of_a_kind_give_a_reason_and_no_count_of_them(cases_: int) -> None:
    discrimination, people = ready(make_rows(44, n=60), k=5)
    people = people.with_column("trait", (np.arange(60) < cases_).astype(np.float64))
    found = run(discrimination, people)
    assert found.reason == "fewer than 5 people with or without the trait"
    assert (found.n, found.events) == (60, 0)
    assert not any(value.any() for value in (found.auc, found.low, found.high, found.bound))
    figure = discrimination.figures(people.cohort(), found)["auc"]
    assert (figure.value, figure.low, figure.high, figure.events) == (None,) * 4
    assert figure.reason == found.reason


@settings(max_examples=20)
@given(rows(least=40))
def test_a_sites_figure_is_its_own_rows_auc_made_coarse(people: Rows) -> None:
    discrimination, people = ready(people)
    result = run(discrimination, people)
    for site in people.split(np.arange(people.n) % 2, 2):
        trait, score = site.column("trait"), site.column("score")
        figure = discrimination.figures(site, result)["auc"]
        events = int(trait.sum())
        if min(events, site.n - events) < 2:
            assert figure.value is None
            continue
        exact = roc_auc_score(trait, score)
        assert auc_from_rows(score, trait == 1) == pytest.approx(exact, abs=1e-12)
        assert figure.value == pytest.approx(exact, abs=discrimination.coarse / 2 + 1e-12)
        low, high = auc_interval(exact, events, site.n - events)
        for shown, ends in ((figure.low, low), (figure.high, high)):
            assert shown == pytest.approx(ends, abs=discrimination.coarse)
            assert round(shown * 100) == pytest.approx(shown * 100, abs=1e-9)
        # Outward: the coarse interval covers the fine one.
        assert figure.low <= low + 1e-9
        assert figure.high >= high - 1e-9
        assert (figure.n, figure.events) == (site.n, events)
