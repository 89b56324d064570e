"""Blocks of linkage from the study's own people, against correlations of rows."""

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from equipoise.analyses.ld_blocks import LdBlockSearch, reference_blocks
from equipoise.errors import DisclosureError
from equipoise.federation import budget, registry
from equipoise.plan import Plan, Ref, Step
from equipoise.solvers.ld_blocks import STEP, ld_blocks
from laws import cases, harness
from strategies import Rows, make_rows, rows

KINDS = ["common", "linked", "copy", "common", "absent", "linked", "rare", "common", "fixed"] * 3


def search(people: Rows, **changes: Any) -> tuple[LdBlockSearch, Rows]:
    built, ready = cases.ready("ld_blocks", people)
    assert isinstance(built, LdBlockSearch)
    return replace(built, **changes), ready


def run(analysis: LdBlockSearch, people: Rows) -> harness.Finished:
    sites = people.split(np.arange(people.n) % 3, 3)
    return harness.run(analysis, sites, "clear", rounds=1)


def twin(analysis: LdBlockSearch, people: Rows) -> NDArray[np.float64]:
    """Return the squared correlations from rows, one pair at a time."""
    called = np.count_nonzero(~np.isnan(people.dosage), axis=1)
    mean = np.nansum(people.dosage, axis=1) / np.maximum(called, 1)
    g = np.where(np.isnan(people.dosage), mean[:, None], people.dosage)
    r2 = np.zeros((people.n_variants, analysis.window))
    for s in range(len(analysis.counted)):
        own = g[:, people.columns["stratum"] == s]
        for first, last in pairwise(analysis.segments):
            for i in range(first, last):
                for j in range(i + 1, min(i + analysis.window + 1, last)):
                    known = analysis.frequencies.used[[i, j]].all() and own.shape[1] > 1
                    if known and own[[i, j]].var(axis=1).min() > 2.0**-10:
                        square = np.corrcoef(own[[i, j]])[0, 1] ** 2
                        r2[i, j - i - 1] += square if square >= analysis.least_r2 else 0
    return r2


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows(least=40))
def test_correlations_are_those_of_rows_within_strata(drawn: Rows) -> None:
    analysis, people = search(drawn)
    done = run(analysis, people)
    state = done.published[-2].state
    # A step of the grid; products are rounded to steps of 2^-30.
    np.testing.assert_allclose(state.r2, twin(analysis, people), atol=STEP)


@pytest.mark.parametrize("window", [1, 4, 26])
def test_blocks_follow_from_what_was_published(window: int) -> None:
    drawn = make_rows(41, n=90, kinds=KINDS, missing=0.05)
    limits = {"segments": (0, 10, 27), "window": window, "most": 6, "counted": (300, 300, 300)}
    analysis, people = search(drawn, **limits)
    done = run(analysis, people)
    state, found = done.published[-2].state, done.result
    expected = ld_blocks(state.r2, 6, (0, 10, 27))
    np.testing.assert_array_equal(found.starts, expected.starts)
    assert (float(found.cut[0]), float(found.within[0])) == (expected.cut, expected.within)
    assert 10 in found.starts
    # Copies are never cut from one another where there is room for both.
    assert not {2, 20} & set(found.starts.tolist())


def test_one_stratum_of_everybody_needs_no_column() -> None:
    analysis, people = search(make_rows(42, n=60, kinds=KINDS), stratum="", counted=(100,))
    analysis = replace(analysis, segments=(0, 27))
    everybody = people.with_column("stratum", np.zeros(60))
    state = run(analysis, people).published[-2].state
    np.testing.assert_allclose(state.r2, twin(analysis, everybody), atol=STEP)


def test_blocks_of_a_reference_are_those_of_its_people_as_a_study() -> None:
    people = make_rows(44, n=70, kinds=KINDS, missing=0.05)
    limits = {"segments": (0, 10, 27), "window": 5, "most": 6, "least_r2": 0.05}
    counts = replace(search(people)[0].frequencies, floor=0, least_called=1)
    analysis, _ = search(people, stratum="", counted=(100,), frequencies=counts, **limits)
    done = run(analysis, people).result
    found = reference_blocks(people.cohort(), (0, 10, 27), 5, 6)
    np.testing.assert_array_equal(found.starts, done.starts)
    assert (found.cut, found.within) == (done.cut, done.within)


def plan(analysis: LdBlockSearch, sizes: list[int]) -> Plan:
    made = harness.plan_of({f"s{i}": n for i, n in enumerate(sizes)}, "masked")
    literal = {f.name: getattr(analysis, f.name) for f in fields(LdBlockSearch)}
    step = Step("ld", "ld_blocks", {**literal, "frequencies": Ref("frequency")})
    return replace(made, n_variants=analysis.segments[-1], steps=(step,))


def test_a_window_wider_than_a_stratum_allows_is_refused() -> None:
    analysis, _ = search(make_rows(43, kinds=KINDS), window=9, counted=(200, 99, 200))
    with pytest.raises(DisclosureError, match="20 columns of G'G of stratum 1, and 19 are allowed"):
        analysis.schema(analysis.start())


def test_the_budget_counts_a_window_on_both_sides() -> None:
    analysis, _ = search(make_rows(43, kinds=KINDS), window=4, counted=(200, 200))
    found = budget.disclosure(plan(analysis, [300, 300, 300]), registry.build)
    # Of each of two strata: a variant's products with four on either side and with itself.
    assert max(c.used for c in found.columns if c.over == ()) == 2 * 2 * 5
    assert 2 * analysis.columns == 2 * 2 * 5
