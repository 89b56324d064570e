"""Moments against rows: by stratum and fold, hard and soft, and what a plan may ask for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.analyses.cell_moments import reference_moments
from equipoise.analyses.frequency import Frequency
from equipoise.analyses.moment_totals import (
    MomentsState,
    MomentTotals,
    effective_people,
    smallest_by_stratum,
)
from equipoise.analyses.moments import Moments
from equipoise.analyses.strata import Strata
from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError, InputError
from equipoise.federation import budget, registry
from equipoise.plan import Plan, Ref, Step
from equipoise.solvers.block_moments import BlockMoments, moments_of_rows
from equipoise.solvers.reference_linkage import borrowed
from equipoise.sums import Sums
from laws import cases, harness, law
from strategies import BOUNDS, COVARIATES, FOLDS, SEEDS, Memory, Rows, make_rows, rows

Array = NDArray[np.float64]

KINDS = ("common", "linked", "rare", "common", "copy", "absent", "common", "fixed", "common")
COLUMNS = (*COVARIATES, "trait")
NEAR = 2.0**-20
"""Quanta are below 2^-25 here, and columns lie on a grid of 2^-26 or finer."""


def frequencies(people: Rows) -> Any:
    counting = Frequency(people.n, people.n_variants, 3, cases.least_called(people))
    return harness.run(counting, [people.cohort()], "clear").result


def hard(people: Rows, **changes: Any) -> Moments:
    made = Moments(
        people=people.n,
        folds=FOLDS,
        starts=(0, 4, people.n_variants) if people.n_variants > 4 else (0, people.n_variants),
        trait="trait",
        covariates=COVARIATES,
        bounds=(*BOUNDS, 1.0),
        counted=(100, 100, 100),
        frequencies=frequencies(people),
        stratum="stratum",
    )
    return replace(made, **changes)


def soft(people: Rows, **changes: Any) -> Moments:
    return hard(people, **{"stratum": "", "weights": ("w0", "w1", "w2"), **changes})


def with_strata(people: Rows, weighted: bool = False) -> Rows:
    """Return the people with a stratum of three, and weights: of that stratum, or of them all."""
    draw = np.random.default_rng(people.n)
    stratum = draw.integers(0, 3, people.n)
    weights = draw.dirichlet(np.ones(3), people.n).T if weighted else np.eye(3)[stratum].T
    columns = {f"w{s}": weights[s].copy() for s in range(3)}
    return people.with_columns({"stratum": stratum.astype(np.float64), **columns})


def run(analysis: Moments, people: Rows, sites: int = 3) -> MomentTotals:
    labels = np.arange(people.n) % sites
    return harness.run(analysis, people.split(labels, sites), "clear").result


def twin(people: Rows, analysis: Moments, weight: Array) -> BlockMoments:
    """Return the sums over people weighted so, from rows."""
    called = np.count_nonzero(~np.isnan(people.dosage), axis=1)
    mean = np.nansum(people.dosage, axis=1) / np.maximum(called, 1)
    g = np.where(np.isnan(people.dosage), mean[:, None], people.dosage)
    g = (g * analysis.frequencies.used[:, None]).T
    c = np.column_stack([np.ones(people.n), *(people.columns[n] for n in COVARIATES)])
    y, w = people.columns["trait"], weight[:, None]
    bounds = list(zip(analysis.starts[:-1], analysis.starts[1:], strict=True))
    return BlockMoments(
        people=float(weight.sum()),
        trait=np.array([weight @ y, weight @ (y * y)]),
        covariates=c.T @ (w * c),
        covariates_trait=c.T @ (weight * y),
        genotype_covariates=g.T @ (w * c),
        genotype_trait=g.T @ (weight * y),
        genotypes=tuple(g[:, a:b].T @ (w * g[:, a:b]) for a, b in bounds),
        starts=np.array(analysis.starts),
    )


def near(one: BlockMoments, other: BlockMoments, most: float = NEAR) -> None:
    for declared in fields(BlockMoments):
        mine, theirs = getattr(one, declared.name), getattr(other, declared.name)
        for a, b in zip(
            *((x if isinstance(x, tuple) else (x,)) for x in (mine, theirs)), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=0, atol=most, err_msg=declared.name)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows())
def test_moments_are_those_of_rows_in_every_stratum_and_fold(drawn: Rows) -> None:
    people = with_strata(drawn)
    analysis = hard(people)
    found = run(analysis, people)
    for s in range(3):
        own = people.columns["stratum"] == s
        near(found.of(s), twin(people, analysis, own.astype(float)))
        for f in range(FOLDS):
            near(found.of(s, f), twin(people, analysis, (own & (people.fold == f)).astype(float)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows(), st.sampled_from([2.0**-3, 2.0**-5, 2.0**-8, 2.0**-10]))
def test_soft_moments_are_those_of_rows_with_weights_in_steps(drawn: Rows, step: float) -> None:
    people = with_strata(drawn, weighted=True)
    analysis = soft(people, step=step)
    found = run(analysis, people)
    for s in range(3):
        weight = np.rint(people.columns[f"w{s}"] / step) * step
        near(found.of(s), twin(people, analysis, weight))
        for f in range(FOLDS):
            near(found.of(s, f), twin(people, analysis, weight * (people.fold == f)))


def test_without_missing_calls_sums_of_genotypes_are_whole_and_exact() -> None:
    people = with_strata(make_rows(3, n=59, kinds=("common", "linked", "common") * 4, missing=0))
    analysis = hard(people)
    found = run(analysis, people)
    for s in range(3):
        expected = twin(people, analysis, (people.columns["stratum"] == s).astype(float))
        for one, other in zip(found.of(s).genotypes, expected.genotypes, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(found.of(s).genotype_trait, expected.genotype_trait)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_folds_add_to_everybody_and_leave_one_another(missing: float) -> None:
    people = with_strata(make_rows(4, n=60, kinds=KINDS, missing=missing))
    found = run(hard(people), people)
    for s in range(3):
        first, second, third = (found.of(s, f) for f in range(FOLDS))
        near(first + second + third, found.of(s), 1e-9)
        near(found.of(s) - third, first + second, 1e-9)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows(), st.sampled_from([1.0, 2.0**-5, 2.0**-10]))
def test_weights_of_nought_and_one_are_strata(drawn: Rows, step: float) -> None:
    people = with_strata(drawn)
    one, other = run(hard(people), people), run(soft(people, step=step), people)
    for s in range(3):
        for fold in (None, *range(FOLDS)):
            near(one.of(s, fold), other.of(s, fold))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows(), st.integers(0, 2**12 - 1))
def test_counting_the_other_allele_changes_moments_as_algebra_says(drawn: Rows, which: int) -> None:
    people = with_strata(drawn)
    analysis = hard(people)
    flipped = np.array([bool(which >> v & 1) for v in range(people.n_variants)])
    flipped &= analysis.frequencies.used
    turned = np.where(flipped[:, None], 2 - people.dosage, people.dosage)
    counted = analysis.frequencies
    alleles = np.where(flipped, 2 * counted.called - counted.alleles, counted.alleles)
    other = replace(analysis, frequencies=replace(counted, alleles=alleles))
    found = run(other, replace(people, dosage=turned))
    before = run(analysis, people)
    # g becomes a + b g.
    a, b = np.where(flipped, 2.0, 0.0), np.where(flipped, -1.0, 1.0)
    for s in range(3):
        m, n = before.of(s), before.of(s).people
        total = m.genotype_covariates[:, 0]
        grams = []
        for i, gram in enumerate(m.genotypes):
            p = slice(int(m.starts[i]), int(m.starts[i + 1]))
            mixed = np.outer(a[p], b[p] * total[p])
            own = np.outer(b[p], b[p]) * gram
            grams.append(n * np.outer(a[p], a[p]) + mixed + mixed.T + own)
        gc = np.outer(a, m.covariates[0]) + b[:, None] * m.genotype_covariates
        gy = a * m.trait[0] + b * m.genotype_trait
        expected = replace(m, genotypes=tuple(grams), genotype_covariates=gc, genotype_trait=gy)
        near(found.of(s), expected, 4 * NEAR)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_borrowed_stratum_has_its_diagonal_alone(weighted: bool) -> None:
    people = with_strata(make_rows(5, n=60, kinds=KINDS, missing=0.1), weighted)
    make = soft if weighted else hard
    whole, part = run(make(people), people), run(make(people, borrowed=(1,)), people)
    for fold in (None, 0):
        near(part.of(0, fold), whole.of(0, fold), 1e-9)
        near(part.of(2, fold), whole.of(2, fold), 1e-9)
        of = whole.of(1, fold)
        expected = tuple(np.diag(np.diag(gram)) for gram in of.genotypes)
        near(part.of(1, fold), replace(of, genotypes=expected), 1e-9)
    every = run(make(people, borrowed=(0, 1, 2)), people)
    assert every.gg.size == 0
    # With the stratum's own linkage as the reference all is as if it had been released.
    found, match = borrowed(part.of(1), whole.of(1))
    near(found, whole.of(1))
    assert match.absent == 0


def test_one_stratum_of_everybody_needs_no_column() -> None:
    people = with_strata(make_rows(6, n=50, kinds=KINDS))
    analysis = hard(people, stratum="", counted=(100,))
    near(run(analysis, people).of(0), twin(people, analysis, np.ones(people.n)))


def test_block_by_block_is_the_same_as_all_at_once() -> None:
    people = with_strata(make_rows(7, n=60, kinds=KINDS))
    analysis = hard(people, borrowed=(2,))
    sums = list(analysis.summarise(people.cohort(), MomentsState()))
    done = analysis.advance(MomentsState(), iter(sums))
    for block, by_stratum in enumerate(analysis.by_block(iter(sums))):
        part = slice(*analysis.starts[block : block + 2])
        for s, by_fold in enumerate(by_stratum):
            for f, found in enumerate(by_fold):
                of = done.result.of(s, f)
                expected = replace(
                    of,
                    genotype_covariates=of.genotype_covariates[part],
                    genotype_trait=of.genotype_trait[part],
                    genotypes=(of.genotypes[block],),
                    starts=np.array([0, part.stop - part.start]),
                )
                near(found, expected, 0)


@dataclass(frozen=True)
class Dosages(Memory):
    """The same genotypes, said to be dosages."""

    dosage: Array

    has_dosages = True

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.dosage[start:stop].astype(np.float32)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lent", [(), (0, 1, 2)])
def test_dosages_that_are_whole_give_the_sums_of_hard_calls(
    weighted: bool, lent: tuple[int, ...]
) -> None:
    people = with_strata(make_rows(8, n=48, kinds=KINDS), weighted)
    analysis = (soft if weighted else hard)(people, borrowed=lent)
    cohort = people.cohort()
    held = cohort.genotypes
    assert isinstance(held, Memory)
    stranger = np.full((people.n_variants, 1), 2.0)
    file = np.concatenate([stranger, people.dosage[:, ::-1]], axis=1)
    other = replace(cohort, genotypes=Dosages(held.block, held.n_samples, file))
    one, two = (list(analysis.summarise(c, MomentsState())) for c in (cohort, other))
    for mine, theirs in zip(one, two, strict=True):
        for name in mine:
            np.testing.assert_allclose(mine[name], theirs[name], atol=1e-9, err_msg=name)


def test_a_reference_is_the_sums_of_its_own_people() -> None:
    people = make_rows(12, n=47, kinds=KINDS, missing=0.1)
    called = np.count_nonzero(~np.isnan(people.dosage), axis=1)
    mean = np.nansum(people.dosage, axis=1) / np.maximum(called, 1)
    g = np.where(np.isnan(people.dosage), mean[:, None], people.dosage).T
    starts = np.array([0, 5, 9])
    expected = moments_of_rows(g, np.ones((47, 1)), np.zeros(47), starts)
    near(reference_moments(people.cohort(), (0, 5, 9)), expected, 1e-9)


# Laws of soft weights: the suite holds those of numbers.


@cache
def soft_people() -> Rows:
    return with_strata(make_rows(9, n=40, kinds=KINDS, missing=0.1), weighted=True)


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


# What a plan may ask for.


def plan(analysis: Moments, sizes: Sequence[int]) -> Plan:
    made = harness.plan_of({f"s{i}": n for i, n in enumerate(sizes)}, "masked")
    literal = {f.name: getattr(analysis, f.name) for f in fields(Moments)}
    step = Step("moments", "moments", {**literal, "frequencies": Ref("frequency")})
    return replace(made, n_variants=analysis.starts[-1], steps=(step,))


def test_a_block_wider_than_its_stratum_allows_is_refused_before_anything_runs() -> None:
    people = with_strata(make_rows(11, n=60, kinds=KINDS))
    analysis = hard(people, counted=(100, 24, 100))  # five variants, four columns allowed
    with pytest.raises(DisclosureError, match=r"5 columns of G'G of stratum 1, and 4 are allowed"):
        budget.disclosure(plan(analysis, [300, 300, 300]), registry.build)
    with pytest.raises(DisclosureError, match="give reference LD"):
        analysis.schema(analysis.start())
    lent = replace(analysis, borrowed=(1,))
    assert [told.used for told in lent.columns] == [5, 0, 5]
    assert budget.disclosure(plan(lent, [300, 300, 300]), registry.build).releases[0].rounds == 1
    narrow = replace(analysis, starts=(0, 4, 8, 9))
    assert max(told.used for told in narrow.columns) == 4
    budget.disclosure(plan(narrow, [300, 300, 300]), registry.build)


def test_a_stratum_found_smaller_than_counted_on_is_told_nothing_about() -> None:
    people = with_strata(make_rows(13, n=60, kinds=KINDS))
    sizes = np.bincount(people.columns["stratum"].astype(int))
    none = np.zeros((3, 1))
    found = Strata(none, np.arange(3), sizes, sizes)
    honest = tuple((sizes // FOLDS).tolist())
    small = hard(people, starts=(0, *range(1, 10)), counted=honest, found=found, least=1)
    assert next(iter(small.summarise(people.cohort(), MomentsState())))
    wide = replace(small, counted=(honest[0], honest[1] + 1, honest[2]))
    with pytest.raises(DisclosureError, match=f"stratum 1 has {sizes[1]} people"):
        next(iter(wide.summarise(people.cohort(), MomentsState())))


def test_the_result_says_what_was_told() -> None:
    people = with_strata(make_rows(13, n=60, kinds=KINDS))
    done = run(hard(people, borrowed=(1,)), people)
    assert (done.told.tolist(), done.allowed.tolist()) == ([5, 0, 5], [20, 20, 20])


def test_a_stratum_of_few_is_refused_though_its_linkage_is_borrowed() -> None:
    analysis = hard(soft_people(), counted=(100, 100, 9), borrowed=(2,))
    with pytest.raises(
        DisclosureError, match="about 9 people are in the smallest fold of stratum 2"
    ):
        analysis.schema(analysis.start())


def test_components_among_the_covariates_are_columns_too() -> None:
    people = with_strata(make_rows(11, n=60, kinds=KINDS))
    analysis = hard(people, counted=(25, 25, 25), background=("age",))
    with pytest.raises(DisclosureError, match="6 columns"):
        analysis.schema(analysis.start())


def test_the_budget_of_the_plan_counts_every_stratum() -> None:
    people = with_strata(make_rows(11, n=60, kinds=KINDS))
    sizes, analysis = [300, 300, 300], hard(people, starts=(0, 4, 9), borrowed=(2,))
    found = budget.disclosure(plan(analysis, sizes), registry.build)
    by_fold = {c.block: (c.used, c.allowed) for c in found.columns if c.over == ("fold",)}
    assert by_fold == {(0, 4): (8, 40), (4, 9): (10, 40)}
    budget.check(plan(analysis, sizes), found)
    few = [60, 60, 60]  # forty in a fold that the largest cannot subtract: eight columns
    with pytest.raises(DisclosureError, match="releases 10 columns"):
        budget.check(plan(analysis, few), budget.disclosure(plan(analysis, few), registry.build))


@given(st.lists(st.lists(st.integers(0, 500), min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_strata_may_tell_is_never_more_than_the_fold_may(sites: list[list[int]]) -> None:
    """Columns of strata add up in the plan's budget: each stratum's limit keeps the sum within it."""
    totals = [sum(site) for site in sites]
    left = sum(totals) - (max(totals) if len(sites) > 1 else 0)
    allowed = [n // 5 for n in smallest_by_stratum(sites, FOLDS)]
    assert sum(allowed) <= left // FOLDS // 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": 0.3}, "power of two"),
        ({"step": 2.0**-11}, "power of two"),
        ({"weights": ("w0", "w1")}, "one column of weights"),
        ({"stratum": "stratum"}, "one column of weights"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    analysis = soft(soft_people(), **changes)
    with pytest.raises(InputError, match=said):
        analysis.schema(analysis.start())


@given(st.integers(1, 50), st.floats(0.01, 1))
def test_people_of_one_weight_count_for_one_each(n: int, weight: float) -> None:
    assert effective_people(np.full(n, weight)) == n
    assert effective_people(np.append(np.full(n, weight), 0.0)) == n
    assert effective_people(np.zeros(n)) == 0
