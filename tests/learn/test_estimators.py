"""The estimators keep scikit-learn's rules, and predict what their saved model predicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from equipoise.learn import PolygenicRisk, PolygenicRiskClassifier
from equipoise.models.polygenic import ModelVariants
from equipoise.solvers.logistic import probability
from equipoise.tools import model_files
from learn.absent import printed_without

VARIANTS = 60
SIZES = {"EUR": 900, "AFR": 300}


@parametrize_with_checks([PolygenicRisk(), PolygenicRiskClassifier()])
def test_scikit_learns_own_checks_pass(estimator: Any, check: Any) -> None:
    """All of them; that of array-API input needs SCIPY_ARRAY_API and skips itself."""
    check(estimator)


def people(
    seed: int, sizes: dict[str, int] = SIZES, *, binary: bool = False, missing: float = 0.02
) -> dict[str, Any]:
    """Return people of two groups, other frequencies but the same ten effects in each."""
    effects = np.zeros(VARIANTS)
    effects[::6] = np.random.default_rng(99).normal(0, 0.35, 10)
    draw = np.random.default_rng(seed)
    parts: dict[str, list[Any]] = {"X": [], "y": [], "groups": [], "covariates": [], "truth": []}
    for place, (name, n) in enumerate(sizes.items()):
        frequency = np.random.default_rng(50 + place).uniform(0.2, 0.8, VARIANTS)
        X = draw.binomial(2, frequency, (n, VARIANTS)).astype(np.float64)
        age = draw.normal(size=n)
        truth = (X - 2 * frequency) @ effects + 0.5 * age
        if binary:
            y = (draw.random(n) < probability(truth - 0.4)).astype(np.int64)
        else:
            y = truth + draw.normal(size=n)
        X[draw.random(X.shape) < missing] = np.nan
        columns = (X, y, np.full(n, name), age[:, None], truth)
        for key, column in zip(parts, columns, strict=True):
            parts[key].append(column)
    return {key: np.concatenate(columns) for key, columns in parts.items()}


def fitted(estimator: Any, held: dict[str, Any], **more: Any) -> Any:
    named = {"groups": held["groups"], "covariates": held["covariates"], **more}
    return estimator.fit(held["X"], held["y"], **named)


def given(held: dict[str, Any]) -> tuple[Any, Any, Any]:
    return held["X"], held["groups"], held["covariates"]


def variants() -> ModelVariants:
    names = tuple(f"rs{i}" for i in range(VARIANTS))
    position = np.arange(1, VARIANTS + 1, dtype=np.int64)
    return ModelVariants(names, ("1",) * VARIANTS, position, ("A",) * VARIANTS, ("G",) * VARIANTS)


def r2(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1] ** 2)


@pytest.mark.parametrize("binary", [False, True])
def test_the_saved_model_predicts_what_the_estimator_does(tmp_path: Path, binary: bool) -> None:
    estimator = (PolygenicRiskClassifier if binary else PolygenicRisk)(random_state=1, least=20)
    held, new = people(1, binary=binary), people(2, binary=binary)
    fitted(estimator, held)
    model = estimator.to_model(variants(), name="m", trait="t", build="GRCh38")
    model_files.save(tmp_path, model)
    again = model_files.load(tmp_path)
    value = estimator.predict_proba(*given(new))[:, 1] if binary else estimator.predict(*given(new))
    interval = estimator.predict_interval(*given(new))
    assert again.groups == ("AFR", "EUR")
    for group in again.groups:
        who = new["groups"] == group
        found = again.predict(again.score(new["X"][who], group), group, new["covariates"][who])
        assert found.risk is not None
        np.testing.assert_allclose(found.risk.value, value[who], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.risk.low, interval[who, 0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.risk.high, interval[who, 1], rtol=0, atol=1e-12)


def test_a_small_group_gains_from_a_large_one() -> None:
    held, new = people(3), people(4)
    small = held["groups"] == "AFR"
    alone = {key: column[small] for key, column in held.items()}
    among = new["groups"] == "AFR"
    test = {key: column[among] for key, column in new.items()}
    joint, own = (
        fitted(PolygenicRisk(random_state=1, least=20), part).predict(*given(test))
        for part in (held, alone)
    )
    assert r2(joint, test["truth"]) > r2(own, test["truth"]) + 0.05


def test_probabilities_are_calibrated_in_people_not_seen() -> None:
    held = people(5, {"EUR": 4000}, binary=True)
    new = people(6, {"EUR": 4000}, binary=True)
    estimator = fitted(PolygenicRiskClassifier(random_state=1), held)
    p = estimator.predict_proba(*given(new))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=0, atol=1e-12)
    logit = np.log(p[:, 1] / p[:, 0])
    fit = sm.GLM(new["y"], sm.add_constant(logit), family=sm.families.Binomial()).fit()
    # The calibration's own error is of the size of this one's: three of both together.
    assert abs(fit.params[1] - 1) < 3 * np.sqrt(2) * fit.bse[1]
    assert abs(fit.params[0]) < 3 * np.sqrt(2) * fit.bse[0]
    assert estimator.predict(*given(new)).tolist() == (p[:, 1] > 0.5).astype(int).tolist()


def test_the_same_state_fits_the_same_bytes_and_parameters_travel() -> None:
    held, new = people(7), people(8)
    one, other, third = (
        fitted(PolygenicRisk(random_state=state, least=20), held) for state in (1, 1, 2)
    )
    a, b, c = (estimator.predict(*given(new)) for estimator in (one, other, third))
    assert a.tobytes() == b.tobytes()
    assert a.tobytes() != c.tobytes()
    copy = clone(one)
    assert copy.get_params() == one.get_params()
    assert not hasattr(copy, "fitted_")
    assert copy.set_params(refinements=0).refinements == 0


def test_groups_are_the_same_by_name_and_by_number() -> None:
    held, new = people(9), people(10)
    numbers = {"EUR": 2, "AFR": 1}
    by_name = fitted(PolygenicRisk(random_state=1), held).predict(*given(new))
    changed = [
        {**part, "groups": np.array([numbers[g] for g in part["groups"]])} for part in (held, new)
    ]
    by_number = fitted(PolygenicRisk(random_state=1), changed[0]).predict(*given(changed[1]))
    assert by_name.tobytes() == by_number.tobytes()


def test_a_group_with_few_tuning_people_has_values_and_no_interval() -> None:
    held = people(11, {"EUR": 1200, "AFR": 100}, binary=True)
    new = people(12, {"EUR": 50, "AFR": 50}, binary=True)
    estimator = fitted(PolygenicRiskClassifier(random_state=1), held)
    p = estimator.predict_proba(*given(new))
    assert bool(np.all((p >= 0.001) & (p <= 0.999)))
    assert r2(p[new["groups"] == "AFR", 1], new["truth"][new["groups"] == "AFR"]) > 0.2
    with pytest.raises(ValueError, match="not calibrated"):
        estimator.predict_interval(*given(new))
    only = new["groups"] == "EUR"
    interval = estimator.predict_interval(*(column[only] for column in given(new)))
    assert bool(np.all((interval[:, 0] < p[only, 1]) & (p[only, 1] < interval[:, 1])))


def test_a_variant_that_is_called_in_nobody_weighs_nothing() -> None:
    held, new = people(13), people(14)
    held["X"][:, 7] = np.nan
    estimator = fitted(PolygenicRisk(random_state=1, least=20), held)
    assert not estimator.fitted_.weights[7].any()
    changed = {**new, "X": new["X"].copy()}
    changed["X"][:, 7] = 2.0
    one, other = (estimator.predict(*given(part)) for part in (new, changed))
    np.testing.assert_array_equal(one, other)


def test_weights_are_those_of_the_candidates_that_are_mixed() -> None:
    estimator = fitted(PolygenicRisk(random_state=1, block_size=7), people(15))
    held = estimator.fitted_
    for g in range(2):
        combined = held.candidates.combined(held.mixture[:, g])
        np.testing.assert_array_equal(held.weights[:, g], combined)


def test_blocks_may_be_given_and_make_a_difference() -> None:
    held, new = people(16), people(17)
    of_seven, given_seven, whole = (
        fitted(PolygenicRisk(random_state=1, block_size=size), held, ld_blocks=blocks)
        for size, blocks in ((7, None), (50, [*range(0, 60, 7), 60]), (60, None))
    )
    a, b, c = (estimator.predict(*given(new)) for estimator in (of_seven, given_seven, whole))
    assert a.tobytes() == b.tobytes()
    assert a.tobytes() != c.tobytes()


def test_cross_validation_runs() -> None:
    held = people(18, {"EUR": 1500})
    found = cross_val_score(PolygenicRisk(random_state=1), held["X"], held["y"], cv=3)
    assert bool(np.all(found > 0.2))


def test_wrong_arguments_are_refused_in_words() -> None:
    held = people(19, {"EUR": 100, "AFR": 100})
    X, groups, covariates = given(held)
    y, estimator = held["y"], PolygenicRisk(random_state=1)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"groups": groups[:-1]}, "expected \\(200,\\)"),
        ({"covariates": covariates[:-1]}, "covariates of 199 people; expected 200"),
        ({"covariates": np.full((200, 1), np.nan)}, "NaN"),
        ({"ld_blocks": [0, 10]}, "rise from 0 to 60"),
        ({"ld_blocks": [0, 10, 10, 60]}, "rise from 0 to 60"),
        ({"groups": np.array(["few"] * 5 + ["many"] * 195)}, "n_samples=5 in a group"),
    ]
    for named, said in wrong:
        with pytest.raises(ValueError, match=said):
            estimator.fit(X, y, **named)
    for name, value in (("tuning_share", 1.0), ("folds", 3), ("block_size", 0), ("least", 1)):
        with pytest.raises(ValueError, match=f"{name}="):
            PolygenicRisk(**{name: value}).fit(X, y)
    with pytest.raises(ValueError, match="that varies"):
        estimator.fit(X, np.ones(200))
    fitted(estimator, held)
    with pytest.raises(ValueError, match="groups that were not fitted: \\['EAS'\\]"):
        estimator.predict(X, np.full(200, "EAS"), covariates)
    with pytest.raises(ValueError, match="0 covariates; expected the 1"):
        estimator.predict(X, groups)
    with pytest.raises(ValueError, match="Only binary classification"):
        PolygenicRiskClassifier().fit(X, np.arange(200) % 3)
    few = ModelVariants((), (), np.zeros(0, np.int64), (), ())
    with pytest.raises(ValueError, match="0 variants; expected the 60"):
        estimator.to_model(few, name="m", trait="t", build="GRCh38")


def test_without_scikit_learn_the_error_says_what_to_install() -> None:
    said = printed_without("sklearn", "import equipoise.learn")
    assert "pip install 'equipoise[learn]'" in said
