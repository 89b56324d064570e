"""Laws of moments with soft weights (the suite holds those of strata by number), and a fault."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.moment_cohorts import hard, soft, soft_people, with_strata
from equipoise.analyses.moment_totals import MomentsState, effective_people
from equipoise.analyses.moments import Moments
from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.sums import Sums
from laws import cases, harness, law
from strategies import SEEDS, make_rows


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=40, max_size=40))
def test_soft_moments_of_any_split_are_those_of_the_pooled(labels: Sequence[int]) -> None:
    people = soft_people()
    tolerance = cases.CASES["moments"].tolerance
    sites = people.split(labels, 4)
    law.split_equals_pooled(soft(people), people, sites, "clear", tolerance)


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_soft_moments_keep_the_laws(seed: int) -> None:
    people, at = soft_people(), [MomentsState()]
    draw, analysis = np.random.default_rng(seed), soft(soft_people())
    law.an_empty_site_answers_zeros(analysis, people, at)
    law.one_person_moves_little(analysis, people, at)
    law.it_is_pure(analysis, people, at)
    law.order_is_irrelevant(analysis, people, draw.permutation(people.n), at)


def test_soft_weights_are_read_by_their_own_stratum_alone() -> None:
    people, analysis = soft_people(), soft(soft_people())
    before = harness.sums_of(analysis, people.cohort(), MomentsState())
    changed = people.with_column("w1", people.columns["w1"][::-1].copy())
    after = harness.sums_of(analysis, changed.cohort(), MomentsState())
    for one, other in zip(before[1:], after[1:], strict=True):
        moved = {name for name in one if one[name].tobytes() != other[name].tobytes()}
        assert moved == {"gc1", "gy1", "gg1"}


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_weights_beyond_one_are_refused_without_a_value(value: float) -> None:
    people = soft_people()
    weight = people.columns["w1"].copy()
    weight[7] = value
    with pytest.raises(InputError, match="not from 0 to 1") as raised:
        list(soft(people).summarise(people.with_column("w1", weight).cohort(), MomentsState()))
    assert str(value) not in str(raised.value)


@given(st.integers(1, 50), st.floats(0.01, 1))
def test_people_of_one_weight_count_for_one_each(n: int, weight: float) -> None:
    assert effective_people(np.full(n, weight)) == n
    assert effective_people(np.append(np.full(n, weight), 0.0)) == n
    assert effective_people(np.zeros(n)) == 0


# A planted fault: a site that imputes by its own frequencies.


class OwnMeans(Moments):
    """Imputes by the frequencies of the site's own people."""

    def summarise(self, cohort: Cohort, state: MomentsState) -> Iterator[Sums]:
        twice, once, none, _ = cohort.counts(0, self.starts[-1]).T
        called, alleles = np.maximum(twice + once + none, 1), 2 * twice + once
        own = replace(self.frequencies, called=called, alleles=alleles, floor=0, least_called=0)
        sound = {f.name: getattr(self, f.name) for f in fields(Moments)}
        yield from Moments(**{**sound, "frequencies": own}).summarise(cohort, state)


def test_imputing_by_a_sites_own_frequencies_is_seen() -> None:
    people = with_strata(make_rows(10, n=60, kinds=("common", "linked", "common"), missing=0.2))
    sites = people.split(np.arange(60) % 3, 3)
    near_enough = cases.CASES["moments"].tolerance
    law.split_equals_pooled(hard(people), people, sites, "clear", near_enough)
    wrong = OwnMeans(**{f.name: getattr(hard(people), f.name) for f in fields(Moments)})
    with pytest.raises(AssertionError, match="totals differ"):
        law.split_equals_pooled(wrong, people, sites, "clear", near_enough)
