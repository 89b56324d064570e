"""The binary scan over sites: the laws of an analysis, and the one-site routines as reference."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.analyses.binary_scan import (
    FITTED,
    BinaryScan,
    BinaryScanState,
    BinaryScores,
    NullFit,
    NullLogistic,
    NullState,
)
from equipoise.analyses.binary_tails import BinaryTails, Tails, TailState
from equipoise.analyses.frequency import Frequency
from equipoise.errors import InputError
from equipoise.federation import registry
from equipoise.solvers.saddlepoint import Trait, log_two_sided
from equipoise.solvers.score import binary_block, null_logistic
from laws import harness, law
from strategies import BOUNDS, COVARIATES, SEEDS, Rows, labels, make_rows, permutations, rows

RECORDS = {
    **registry.RECORDS,
    **{
        kind.__name__: kind
        for kind in (NullState, NullFit, BinaryScanState, BinaryScores, TailState, Tails)
    },
}
ROUNDS = 40
NAMES = ("null", "scan", "tails")
EVERY = pytest.mark.parametrize("name", NAMES)
few = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OPTIONS = {"rounds": ROUNDS, "records": RECORDS}

TOLERANCE = {
    # Totals differ by quanta below 2^-34; Newton's step multiplies that by the information's
    # inverse, which the clipped age and both sexes hold below 2^10 in what is drawn here.
    "null": {"coefficients": 2.0**-20},
    # score and projected by the same inverse.
    "scan": {"score": 2.0**-16, "variance": 2.0**-16, "projected": 2.0**-16},
    # K' stops within 2^-10 of s, on either side of which t may lie.
    "tails": {"neg_log_10_p": 0.01},
}


def run(analysis, people: Rows):
    return harness.run(analysis, [people.cohort()], "clear", **OPTIONS).result


def chain(people: Rows, rounds: int = 25):
    """Return the three analyses, and the rows with the null model's column."""
    frequencies = run(Frequency(people.n, people.n_variants, 2, 1, block_size=5), people)
    null = NullLogistic(people.n, rounds, "trait", COVARIATES, BOUNDS)
    people = people.with_columns(null.derive(people.cohort(), run(null, people)))
    sizes = {"people": people.n, "covariates": COVARIATES, "frequencies": frequencies}
    scan = BinaryScan(
        n_variants=people.n_variants, trait="trait", bounds=BOUNDS, block_size=5, **sizes
    )
    scores = run(scan, people)
    tails = BinaryTails(rounds=12, most_flagged=3, least_minor=0, scores=scores, **sizes)
    return {"null": null, "scan": scan, "tails": tails}, people


def ready(name: str, people: Rows):
    """Return one analysis and its rows; None where the drawn trait has no null model."""
    try:
        analyses, people = chain(people)
    except InputError:
        return None
    return analyses[name], people


@EVERY
@pytest.mark.parametrize(("protection", "least"), [("clear", 1), ("masked", 3)])
@few
@given(data=st.data())
def test_any_split_of_people_over_sites_gives_the_pooled_result(
    name, protection, least, data
) -> None:
    found = ready(name, data.draw(rows()))
    if found is None:
        return
    analysis, people = found
    n_sites = data.draw(st.integers(least, 5))
    sites = people.split(data.draw(labels(people.n, n_sites)), n_sites)
    law.split_equals_pooled(analysis, people, sites, protection, TOLERANCE[name], **OPTIONS)


@EVERY
@few
@given(people=rows(most=40), seed=SEEDS, data=st.data())
def test_the_laws_of_an_analysis(name, people, seed, data) -> None:
    found = ready(name, people)
    if found is None:
        return
    analysis, people = found
    at = law.states(analysis, people, ROUNDS, RECORDS)
    law.order_is_irrelevant(analysis, people, data.draw(permutations(people.n)), at)
    law.an_empty_site_answers_zeros(analysis, people, at)
    law.one_person_moves_little(analysis, people, at[-1:])
    law.it_is_pure(analysis, people, at)
    law.counts_are_whole(analysis, people, at)
    law.products_of_variants_are_declared(analysis, at)
    law.only_declared_columns_are_read(analysis, people, np.random.default_rng(seed), at)


@cache
def example():
    kinds = ("common", "linked", "rare", "common", "copy", "common", "monomorphic")
    return chain(make_rows(21, 400, kinds, missing=0.0, effect=0.8))


def test_scores_are_those_of_one_site() -> None:
    analyses, people = example()
    scores = run(analyses["scan"], people)
    terms = np.column_stack([np.ones(people.n), *(people.columns[c] for c in COVARIATES)])
    null = null_logistic(terms, people.columns["trait"])
    np.testing.assert_allclose(people.columns[FITTED], null.fitted, atol=1e-8)
    rows_ = binary_block(people.dosage, null, firth_below=0)
    np.testing.assert_allclose(scores.z(), rows_.z, atol=1e-5)
    np.testing.assert_allclose(scores.beta(), rows_.beta, atol=1e-5)
    np.testing.assert_allclose(scores.standard_error(), rows_.standard_error, atol=1e-5)
    assert np.isnan(scores.neg_log_10_p()[-1])


def test_missing_calls_are_the_global_mean() -> None:
    analyses, people = chain(make_rows(22, 300, missing=0.2))
    scores = run(analyses["scan"], people)
    mean = np.nanmean(people.dosage, axis=1)[:, None]
    whole = replace(people, dosage=np.where(np.isnan(people.dosage), mean, people.dosage))
    terms = np.column_stack([np.ones(people.n), *(people.columns[c] for c in COVARIATES)])
    rows_ = binary_block(whole.dosage, null_logistic(terms, people.columns["trait"]))
    np.testing.assert_allclose(scores.z(), rows_.z, atol=1e-5)


def test_tails_are_those_of_the_one_site_saddle_point() -> None:
    analyses, people = example()
    scores, tails = run(analyses["scan"], people), run(analyses["tails"], people)
    chosen = tails.chosen[tails.chosen >= 0]
    assert len(chosen) >= 2
    assert (np.abs(scores.z()[chosen]) > 2).all()
    assert tails.settled[: len(chosen)].all()
    terms = np.column_stack([np.ones(people.n), *(people.columns[c] for c in COVARIATES)])
    adjusted = people.dosage[chosen] - scores.projected[chosen] @ terms.T
    trait = Trait.of(people.columns[FITTED])
    expected = -log_two_sided(adjusted, scores.score[chosen], trait) / np.log(10)
    # Twenty times nearer than the 2 % that is asked for.
    np.testing.assert_allclose(tails.neg_log_10_p[: len(chosen)], expected, atol=5e-4)


def test_whoever_does_not_fit_is_counted() -> None:
    analyses, people = example()
    scores = run(analyses["scan"], people)
    far = int((np.abs(scores.z()) > 2).sum())
    one = run(replace(analyses["tails"], most_flagged=1), people)
    assert one.left_out == far - 1
    assert one.chosen[0] == np.nanargmax(np.abs(scores.z()))
    none = run(replace(analyses["tails"], least_minor=10_000), people)
    assert none.left_out == far
    assert (none.chosen == -1).all()
    assert np.isnan(none.neg_log_10_p).all()


def test_too_few_rounds_leave_a_tail_unsettled_and_unnamed() -> None:
    analyses, people = example()
    short = run(replace(analyses["tails"], rounds=1), people)
    assert np.isnan(short.neg_log_10_p[short.settled == 0]).all()
    assert (short.settled == 0).any()


def test_a_trait_that_a_covariate_tells_is_refused_in_words() -> None:
    people = make_rows(1, 60)
    told = people.with_column("sex", people.columns["trait"])
    null = NullLogistic(people.n, 30, "trait", COVARIATES, BOUNDS)
    with pytest.raises(InputError, match=r"part cases from others|independent"):
        run(null, told)


def test_a_component_that_was_dropped_is_passed_over() -> None:
    people = make_rows(2, 80).with_column("PC1", np.zeros(80))
    names, bounds = (*COVARIATES, "PC1"), (*BOUNDS, 20.0)
    found = run(NullLogistic(80, 30, "trait", names, bounds, ("PC1",)), people)
    less = run(NullLogistic(80, 30, "trait", COVARIATES, BOUNDS), people)
    np.testing.assert_allclose(found.coefficients, [*less.coefficients, 0.0], atol=1e-9)
    with pytest.raises(InputError, match="independent"):
        run(NullLogistic(80, 30, "trait", names, bounds), people)


def test_what_is_asked_follows_from_literals_alone() -> None:
    analyses, _ = example()
    for name, empty in (("scan", {"frequencies": None}), ("tails", {"scores": None})):
        judged = replace(analyses[name], **empty)
        form = judged.schema(judged.start())
        assert form.size > 0
        assert form == analyses[name].schema(analyses[name].start())


def test_components_of_ancestry_are_declared_as_columns_of_the_product() -> None:
    analyses, _ = example()
    declared = replace(analyses["scan"], background=("age",))
    block = declared.schema(declared.start()).blocks[1]
    assert {name: field.directions for name, field in block.items()} == {
        "gr": 1,
        "gwg": 0,
        "gwc": 2,
    }
