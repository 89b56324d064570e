"""Every analysis of the package keeps every law, under every protection that applies."""

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.analysis import SiteFigures
from equipoise.errors import DisclosureError
from equipoise.federation import budget, registry
from equipoise.record import step_of
from laws import cases, harness, law
from strategies import SEEDS, Rows, labels, make_rows, permutations, rows

NAMES = sorted(registry.ANALYSES)
EVERY = pytest.mark.parametrize("name", NAMES)
ASKING = pytest.mark.parametrize("name", sorted({*NAMES} - law.ASKING_NOTHING))
"""Those that ask sites for sums: of the others, what a law says of sums says nothing."""

few = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
some = settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])


@EVERY
@pytest.mark.parametrize(("protection", "least"), [("clear", 1), ("masked", 3)])
@few
@given(data=st.data())
def test_any_split_of_people_over_sites_gives_the_pooled_result(
    name: str, protection: str, least: int, data: st.DataObject
) -> None:
    analysis, people = cases.ready(name, data.draw(rows()))
    n_sites = data.draw(st.integers(least, 5))
    sites = people.split(data.draw(labels(people.n, n_sites)), n_sites)
    near = cases.CASES[name].tolerance
    law.split_equals_pooled(analysis, people, sites, protection, near, rounds=cases.ROUNDS)


@EVERY
@some
@given(data=st.data())
def test_the_order_of_people_is_irrelevant(name: str, data: st.DataObject) -> None:
    analysis, people = cases.ready(name, data.draw(rows()))
    order = data.draw(permutations(people.n))
    law.order_is_irrelevant(analysis, people, order, law.states(analysis, people, cases.ROUNDS))


@ASKING
@some
@given(people=rows())
def test_an_empty_site_answers_zeros_of_the_declared_shape(name: str, people: Rows) -> None:
    analysis, people = cases.ready(name, people)
    law.an_empty_site_answers_zeros(analysis, people, law.states(analysis, people, cases.ROUNDS))


@ASKING
@few
@given(people=rows(most=40))
def test_nothing_exceeds_its_limit_and_nobody_leaves_their_cell(name: str, people: Rows) -> None:
    analysis, people = cases.ready(name, people)
    law.one_person_moves_little(analysis, people, law.states(analysis, people, cases.ROUNDS))


@ASKING
@some
@given(people=rows(), seed=SEEDS)
def test_each_field_reads_only_what_it_declares(name: str, people: Rows, seed: int) -> None:
    analysis, people = cases.ready(name, people)
    draw = np.random.default_rng(seed)
    law.only_declared_columns_are_read(
        analysis, people, draw, law.states(analysis, people, cases.ROUNDS)
    )


@ASKING
@some
@given(people=rows(), seed=SEEDS)
def test_columns_enter_by_their_declared_degree(name: str, people: Rows, seed: int) -> None:
    analysis, people = cases.ready(name, people)
    draw = np.random.default_rng(seed)
    states, rounding = law.states(analysis, people, cases.ROUNDS), cases.CASES[name].rounding
    law.columns_enter_by_their_degree(analysis, people, draw, states, rounding)


@EVERY
@some
@given(people=rows())
def test_inputs_stay_as_they_are_and_bytes_repeat(name: str, people: Rows) -> None:
    analysis, people = cases.ready(name, people)
    law.it_is_pure(analysis, people, law.states(analysis, people, cases.ROUNDS))


@ASKING
@some
@given(people=rows())
def test_head_counts_are_whole(name: str, people: Rows) -> None:
    analysis, people = cases.ready(name, people)
    law.counts_are_whole(analysis, people, law.states(analysis, people, cases.ROUNDS))


@EVERY
@few
@given(data=st.data())
def test_columns_are_derived_person_by_person(name: str, data: st.DataObject) -> None:
    analysis, people = cases.ready(name, data.draw(rows()))
    sites = people.split(data.draw(labels(people.n, 3)), 3)
    result = harness.run(analysis, [people.cohort()], "clear", rounds=cases.ROUNDS).result
    law.columns_are_derived_person_by_person(analysis, people, sites, result)


@EVERY
@few
@given(data=st.data())
def test_figures_by_site_pass_the_gate(name: str, data: st.DataObject) -> None:
    analysis, people = cases.ready(name, data.draw(rows()))
    if not isinstance(analysis, SiteFigures):
        return
    result = harness.run(analysis, [people.cohort()], "clear", rounds=cases.ROUNDS).result
    for site in people.split(data.draw(labels(people.n, 3)), 3):
        for figure in analysis.figures(site, result).values():
            budget.check_figure(figure, analysis.coarse, analysis.k)


def test_masked_sums_refuse_two_sites() -> None:
    people = make_rows(1)
    with pytest.raises(DisclosureError, match="at least 3 sites"):
        harness.run(cases.analysis("census", people), people.split([0, 1] * 24, 2), "masked")


# The meta-test: what is missing from the suite, from the registry, or from what a plan needs.


def unjudged(analyses: Any, suite: Any) -> set[str]:
    """Return the analyses that have no case in the suite."""
    return set(analyses) - set(suite)


def unregistered(analysis: type, records: Any) -> set[str]:
    """Return the public records of an analysis, states and results, that no wire carries."""
    hints = [get_type_hints(getattr(analysis, method)) for method in ("start", "advance")]
    kinds = {hints[0]["return"]} | {
        kind
        for outcome in (get_args(hints[1]["return"]), (hints[1]["return"],))
        for part in outcome
        for kind in get_args(part)
        if is_dataclass(kind)
    }
    return {kind.__name__ for kind in kinds if records.get(kind.__name__) is not kind}


def test_every_analysis_has_a_case_and_every_case_an_analysis() -> None:
    assert unjudged(registry.ANALYSES, cases.CASES) == set()
    assert unjudged(cases.CASES, registry.ANALYSES) == set()


def test_an_analysis_without_a_case_is_missed() -> None:
    fewer = {name: case for name, case in cases.CASES.items() if name != "linear"}
    assert unjudged(registry.ANALYSES, fewer) == {"linear"}


@EVERY
def test_every_public_record_is_registered(name: str) -> None:
    assert unregistered(registry.ANALYSES[name], registry.RECORDS) == set()


def test_a_record_that_is_not_registered_is_missed() -> None:
    fewer = {k: v for k, v in registry.RECORDS.items() if k not in ("Nets", "ElasticState")}
    assert unregistered(registry.ANALYSES["elastic_net"], fewer) == {"Nets", "ElasticState"}


@pytest.mark.parametrize("record", sorted(registry.RECORDS))
def test_every_field_of_a_public_record_declares_its_grid(record: str) -> None:
    for declared in fields(registry.RECORDS[record]):
        step = step_of(declared)
        assert step is None or step > 0


@cache
def example() -> Rows:
    return make_rows(7)


@EVERY
def test_a_plan_is_judged_without_any_result(name: str) -> None:
    law.a_plan_is_judged_without_results(
        cases.step(name, example()), cases.earlier(name, example())
    )


@ASKING
def test_products_of_variants_are_declared(name: str) -> None:
    analysis, people = cases.ready(name, example())
    law.products_of_variants_are_declared(analysis, law.states(analysis, people, cases.ROUNDS))


@EVERY
def test_a_tolerance_has_its_reason(name: str) -> None:
    case = cases.CASES[name]
    analysis, people = cases.ready(name, example())
    record = harness.run(analysis, [people.cohort()], "clear", rounds=cases.ROUNDS).result
    assert set(case.tolerance) <= {f.name for f in fields(record) if step_of(f) is not None}
    assert case.reason
