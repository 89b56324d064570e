"""Sums over scores against rows at hand: all products, the diagonal alone, and who does not vary."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.analyses.candidate_scores import candidate_scores
from equipoise.analyses.risk_moments import ColumnSums
from equipoise.analyses.risk_records import Candidates
from equipoise.analyses.score_sums import ScoreSums, ScoreTotals
from equipoise.solvers.sparse_weights import sparse
from laws import cases, harness
from strategies import Rows, make_rows

Array = NDArray[np.float64]
KINDS = ("common", "rare", "common", "monomorphic", "common", "linked")


@pytest.fixture(scope="module")
def people() -> Rows:
    made = make_rows(5, n=240, kinds=KINDS, missing=0.05)
    place = np.arange(made.n)
    part, half = np.minimum(place % 6, 4).astype(float), (place // 6 % 2).astype(float)
    return made.with_columns({"part": part, "half": half})


def candidates(people: Rows, weights: Array) -> Candidates:
    return Candidates.of(sparse([weights], ["a", "b", "c"]), cases.pooled("frequency", people))


def sums(people: Rows, weights: Array) -> ScoreSums:
    y = people.columns["age"]
    columns = ColumnSums(
        np.array([float(people.n)]),
        np.ones((1, 1, 1)),
        np.array([[y.sum()]]),
        np.array([y @ y]),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
    )
    return ScoreSums(
        people=people.n,
        strata=2,
        candidates=4,
        part="part",
        tuning=4,
        trait="age",
        covariates=("sex",),
        bounds=(1.0,),
        frequencies=cases.pooled("frequency", people),
        weights=candidates(people, weights),
        columns=columns,
        stratum="half",
    )


WEIGHTS = np.array(
    [[0.5, 0, 1], [0, 0, 0.2], [-0.3, 0.1, 0], [1, 1, 1], [0, 0.7, -0.4], [0.2, 0, 0]]
)


def found(analysis: ScoreSums, people: Rows) -> ScoreTotals:
    sites = people.split(np.arange(people.n) % 3, 3)
    return harness.run(analysis, sites, "masked").result


def scores(people: Rows, analysis: ScoreSums) -> Array:
    """Return each person's scores, one variant after the other."""
    frequencies, made = analysis.frequencies, np.zeros((people.n, 3))
    mean, used = frequencies.means(0, people.n_variants)
    dense = analysis.weights.weights.dense(0, people.n_variants)
    for v in range(people.n_variants):
        if used[v]:
            g = np.where(np.isnan(people.dosage[v]), mean[v], people.dosage[v]) - mean[v]
            made += np.outer(g, dense[v])
    return made


def test_sums_are_those_of_rows(people: Rows) -> None:
    analysis = sums(people, WEIGHTS)
    totals, z = found(analysis, people), scores(people, analysis)
    y = analysis.columns.standard(people.columns["age"])
    for f in range(4):
        for s in range(2):
            m = (people.columns["part"] == f) & (people.columns["half"] == s)
            x = np.column_stack([np.ones(people.n), people.columns["sex"], z])[m]
            of = totals.of(s)[f]
            np.testing.assert_allclose(of.gram[:5, :5], x.T @ x, atol=1e-4)
            np.testing.assert_allclose(of.trait[:5], x.T @ y[m], atol=1e-4)
            assert of.people == m.sum()
            # There are three candidates where four may be.
            assert not of.gram[5].any()


def test_the_diagonal_is_that_of_all_products(people: Rows) -> None:
    whole = found(sums(people, WEIGHTS), people)
    part = found(replace(sums(people, WEIGHTS), full=False), people)
    off = part.gram[:, :, 2:, 2:] - part.gram[:, :, 2:, 2:] * np.eye(4)
    assert not off.any()
    place = np.arange(6)
    near = whole.gram[..., place, place], part.gram[..., place, place]
    np.testing.assert_allclose(*near, atol=1e-4)
    np.testing.assert_allclose(whole.trait, part.trait, atol=1e-4)


def test_those_who_test_are_one_set(people: Rows) -> None:
    tested = replace(sums(people, WEIGHTS), tuning=0, test=4)
    totals = found(tested, people)
    m = (people.columns["part"] == 4) & (people.columns["half"] == 1)
    assert totals.people.shape == (1, 2)
    assert totals.people[0, 1] == m.sum()


def test_a_score_that_hardly_varies_in_a_group_is_left_out(people: Rows) -> None:
    # The first half has no copies of the only variant that the third candidate goes by.
    weights = WEIGHTS.copy()
    weights[:, 2] = [0, 0, 0, 0, 1, 0]
    dosage = people.dosage.copy()
    dosage[4, people.columns["half"] == 0] = 0.0
    changed = replace(people, dosage=dosage)
    totals = found(sums(changed, weights), changed)
    assert not totals.gram[:, 0, 4, :].any()
    assert totals.gram[:, 1, 4, 4].all()


def test_scores_of_some_are_scores_of_all(people: Rows) -> None:
    analysis, cohort = sums(people, WEIGHTS), people.cohort()
    held, frequencies = analysis.weights.weights, analysis.frequencies
    everybody = candidate_scores(cohort, held, frequencies, np.arange(people.n))
    np.testing.assert_allclose(everybody, scores(people, analysis), atol=1e-9)
    some = np.array([7, 3, 200])
    few = candidate_scores(cohort, held, frequencies, some)
    np.testing.assert_allclose(few, everybody[some], atol=1e-12)
    assert candidate_scores(cohort, held, frequencies, some[:0]).shape == (0, 3)
