"""The scan against statsmodels' least squares on everybody's rows, variant by variant."""

from collections.abc import Iterator

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.linear import Association
from equipoise.errors import InputError
from equipoise.study.sections.association import neg_log_10_p
from laws import cases, harness
from strategies import COVARIATES, FOLDS, Rows, make_rows

KINDS = ["common", "linked", "rare", "monomorphic", "absent", "fixed", "common", "copy", "common"]


@pytest.fixture(scope="module")
def people() -> Rows:
    return make_rows(21, n=60, kinds=KINDS, missing=0.1)


@pytest.fixture(scope="module")
def found(people: Rows) -> Association:
    sites = people.split(np.arange(people.n) % 4, 4)
    return harness.run(cases.analysis("linear", people), sites, "masked").result


def design(people: Rows) -> NDArray[np.float64]:
    return np.column_stack([np.ones(people.n), *(people.columns[c] for c in COVARIATES)])


def training_sets(people: Rows) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    yield 0, np.ones(people.n, np.bool_)
    for fold in range(FOLDS):
        yield fold + 1, people.fold != fold


def imputed(people: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return dosages with missing calls as the mean of everybody called, and what is used."""
    called = np.count_nonzero(~np.isnan(people.dosage), axis=1)
    alleles = np.nansum(people.dosage, axis=1)
    mean = alleles / np.maximum(called, 1)
    minor = np.minimum(alleles, 2 * called - alleles)
    used = (minor >= 3) & (called >= cases.least_called(people))
    return np.where(np.isnan(people.dosage), mean[:, None], people.dosage), used


def test_every_variant_and_training_set_equals_ordinary_least_squares(
    people: Rows, found: Association
) -> None:
    dosage, used = imputed(people)
    assert used.sum() >= 4
    for row, chosen in training_sets(people):
        p = neg_log_10_p(found.t(row), found.dof(row))
        for v in np.flatnonzero(used):
            x = np.column_stack([dosage[v], design(people)])[chosen]
            fit = sm.OLS(people.columns["trait"][chosen], x).fit()
            assert found.dof(row) == fit.df_resid
            # Sums are published in steps of 2^-20; g'g~ is at least 2 here, so that beta,
            # of order 1, carries an error of a few of them and t one of some tens.
            assert found.variance[row, v] > 2
            np.testing.assert_allclose(found.beta(row)[v], fit.params[0], rtol=1e-5, atol=2e-6)
            np.testing.assert_allclose(found.standard_error(row)[v], fit.bse[0], rtol=1e-5)
            np.testing.assert_allclose(found.t(row)[v], fit.tvalues[0], rtol=1e-5, atol=2e-5)
            np.testing.assert_allclose(p[v], -np.log10(fit.pvalues[0]), rtol=1e-4, atol=2e-5)


def test_withheld_and_constant_variants_have_no_estimate(people: Rows, found: Association) -> None:
    used = imputed(people)[1]
    for row in range(FOLDS + 1):
        assert np.array_equal(np.isnan(found.beta(row)), ~used)
        assert np.array_equal(np.isnan(found.t(row)), ~used)
        assert np.array_equal(np.isnan(found.standard_error(row)), ~used)


def test_equal_variants_have_equal_rows_to_the_bit(people: Rows, found: Association) -> None:
    assert KINDS[7] == "copy"
    for row in range(FOLDS + 1):
        assert found.t(row)[6] == found.t(row)[7]


def test_counting_the_other_allele_turns_the_sign_only(people: Rows, found: Association) -> None:
    turned = Rows(people.ids, 2 - people.dosage, people.columns, people.fold)
    other = cases.pooled("linear", turned)
    used = imputed(people)[1]
    # A step of the grid in a score or in a g'g~ above 2.
    np.testing.assert_allclose(other.t(0)[used], -found.t(0)[used], rtol=1e-5, atol=1e-5)


def test_without_covariates_it_is_the_simple_regression() -> None:
    people = make_rows(22, n=60, kinds=["common"] * 3, missing=0)
    step = cases.step("linear", people)
    parameters = {**step.parameters, "covariates": (), "bounds": ()}
    frequencies: Frequencies = cases.pooled("frequency", people)
    analysis = type(cases.analysis("linear", people))(**{**parameters, "frequencies": frequencies})
    found = harness.run(analysis, people.split(np.arange(60) % 3, 3), "masked").result
    for v in range(3):
        fit = sm.OLS(people.columns["trait"], sm.add_constant(people.dosage[v])).fit()
        # As above.
        np.testing.assert_allclose(found.t(0)[v], fit.tvalues[1], rtol=1e-5, atol=1e-5)
        assert found.dof(0) == fit.df_resid


@pytest.mark.parametrize("how", ["constant", "twice", "constant without a fold"])
def test_covariates_that_are_not_independent_are_a_wrong_input(how: str) -> None:
    people = make_rows(23)
    sex = {
        "constant": np.ones(people.n),
        "twice": people.columns["age"],
        "constant without a fold": (people.fold == 1).astype(np.float64),
    }
    with pytest.raises(InputError, match="expected independent covariates"):
        cases.pooled("linear", people.with_column("sex", sex[how]))


def test_a_perfect_fit_is_finite() -> None:
    people = make_rows(24, n=60, kinds=["common"] * 2, missing=0)
    people = people.with_column("trait", (people.dosage[0] > 0).astype(np.float64))
    people = Rows(
        people.ids, np.minimum(people.dosage, 1), people.columns, people.fold
    )  # the first variant is the trait
    found = cases.pooled("linear", people)
    assert np.isclose(found.beta(0)[0], 1, rtol=0, atol=1e-5)  # a step of the grid over g'g~
    assert np.isfinite(found.t(0)[0])
    assert np.isfinite(neg_log_10_p(found.t(0), found.dof(0))).all()
