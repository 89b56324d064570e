"""Moments against rows: by stratum and fold, hard and soft, borrowed, and block by block."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analyses.moment_cohorts import KINDS, NEAR, Array, hard, near, run, soft, twin, with_strata
from equipoise.analyses.cell_moments import reference_moments
from equipoise.analyses.moment_totals import MomentsState
from equipoise.solvers.block_moments import moments_of_rows
from equipoise.solvers.reference_linkage import borrowed
from strategies import FOLDS, Memory, Rows, make_rows, rows


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
