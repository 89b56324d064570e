"""The gene network as an estimator is the analysis over sites, and keeps scikit-learn's rules."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from equipoise.analyses.frequency import Frequency
from equipoise.analyses.gene_network import GeneNetwork as Training
from equipoise.analyses.gene_network_result import TRAIN
from equipoise.learn import GeneNetwork, GeneNetworkClassifier, PolygenicRisk, gene_networks
from equipoise.learn.network_training import parts
from equipoise.solvers.logistic import probability
from equipoise.tools.adding import Adding
from learn.absent import printed_without
from strategies import Rows

pytest.importorskip("jax")

VARIANTS, SIZE = 24, 6
TINY: dict[str, Any] = {
    "width": 2,
    "attention": 2,
    "hidden": 2,
    "rounds": 12,
    "patience": 3,
    "least": 1,
    "rescale": True,
    "random_state": 1,
}

TOO_FEW = "10 to 15 people: too few for a score of 8 people and three parts, each with both kinds"
UNSCORED = "200 people without a score: fewer than 100 to compare on, so the linear model predicts"


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return scikit-learn's checks that must fail: each passes with a score, or without one."""
    binary = isinstance(estimator, GeneNetworkClassifier)
    if estimator.score_share == 0:
        return {"check_classifiers_train" if binary else "check_regressors_train": UNSCORED}
    names = ["check_fit2d_1feature"]
    if binary:
        names += ["check_n_features_in_after_fitting", "check_classifier_data_not_an_array"]
    else:
        names += ["check_regressors_no_decision_function"]
    return dict.fromkeys(names, TOO_FEW)


@parametrize_with_checks(
    [
        kind(score_share=share, **TINY)
        for kind in (GeneNetwork, GeneNetworkClassifier)
        for share in (0.4, 0.0)
    ],
    expected_failed_checks=expected_failures,
    xfail_strict=True,
)
def test_scikit_learns_own_checks_pass(estimator: Any, check: Any) -> None:
    """That of array-API input needs SCIPY_ARRAY_API and skips itself."""
    check(estimator)


def people(
    seed: int, n: int, interaction: float = 0.0, *, binary: bool = False, missing: float = 0.0
) -> dict[str, Any]:
    """Return people whose trait has two additive variants, age, and a product of two variants."""
    draw = np.random.default_rng(seed)
    X = draw.binomial(2, 0.4, (n, VARIANTS)).astype(np.float64)
    z, age = (X - 0.8) / np.sqrt(0.48), draw.normal(40, 10, size=n)
    additive = 0.5 * z[:, 0] + 0.5 * z[:, 7]
    truth = additive + interaction * z[:, 2] * z[:, 3] + 0.03 * (age - 40)
    noise = draw.logistic(size=n) if binary else draw.normal(size=n)
    y = np.where(truth + noise > 0, "yes", "no") if binary else 100 + 7 * (truth + noise)
    X[draw.random(X.shape) < missing] = np.nan
    return {"X": X, "y": y, "score": 3 * additive, "covariates": age[:, None], "truth": truth}


def beside(held: dict[str, Any]) -> dict[str, Any]:
    return {name: held[name] for name in ("score", "covariates")}


def small(binary: bool = False, **options: Any) -> Any:
    told = {"gene_size": SIZE, "width": 4, "rounds": 14, "random_state": 1, **options}
    return (GeneNetworkClassifier if binary else GeneNetwork)(**told)


def r2(one: Any, other: Any) -> float:
    return float(np.corrcoef(one, other)[0, 1] ** 2)


@pytest.mark.parametrize("binary", [False, True])
def test_it_is_the_training_over_masked_sites_to_the_last_digit(binary: bool) -> None:
    held = people(1, 300, 0.5, binary=binary, missing=0.03)
    model = small(binary).fit(held["X"], held["y"], **beside(held))
    trains = model.part_ == TRAIN
    columns = {"score": held["score"], "age": held["covariates"][:, 0]}
    columns["trait"] = (held["y"] == "yes") * 1.0 if binary else held["y"]
    for name in columns if not binary else ("score", "age"):
        own = columns[name][trains]
        columns[name] = (columns[name] - own.mean()) / own.std()
    columns["part"] = model.part_.astype(np.float64)
    rows = Rows(tuple(map(str, range(300))), held["X"].T, columns, np.zeros(300, np.int64))
    sites = rows.split(np.random.default_rng(2).integers(3, size=300), 3)
    own = Training(
        people=300,
        n_variants=VARIANTS,
        rounds=14,
        starts=(0, 6, 12, 18),
        stops=(6, 12, 18, 24),
        trait="trait",
        score="score",
        part="part",
        covariates=("age",),
        bounds=(8.0, 1.0 if binary else 8.0),
        seed=model._held.analysis.seed,
        frequencies=Adding(sites).run(Frequency(300, VARIANTS, 1, 1)),
        binary=binary,
        width=4,
    )
    found = Adding(sites, "masked", rounds=20).run(own)
    assert len(found.history) >= 5
    for name in type(found).__slots__:
        np.testing.assert_array_equal(getattr(found, name), getattr(model.trained_, name), name)
    derived = own.derive(rows.cohort(), found)
    for by in ("network", "linear"):
        f = derived[f"{by}_predictor"]
        model.set_params(model=by)
        if binary:
            p = model.predict_proba(held["X"], **beside(held))
            np.testing.assert_allclose(p[:, 1], probability(f), rtol=0, atol=1e-6)
        else:
            y = held["y"][trains]
            value = model.predict(held["X"], **beside(held))
            np.testing.assert_allclose(value, f * y.std() + y.mean(), rtol=1e-6)


def test_an_interaction_is_found_and_predicts_in_new_people() -> None:
    held, new = people(3, 5000, 1.0), people(4, 1000, 1.0)
    model = small(width=8, rounds=150).fit(held["X"], held["y"], covariates=held["covariates"])
    assert model.recommended_ == "network"
    assert model.recommendation_.startswith("Use the network: mean loss 0.")
    value = model.predict(new["X"], covariates=new["covariates"])
    model.set_params(model="linear")
    other = model.predict(new["X"], covariates=new["covariates"])
    assert r2(value, new["truth"]) > r2(other, new["truth"]) + 0.2
    assert r2(other, new["score"]) > 0.5


def test_additive_effects_are_left_to_the_score_unless_there_is_none() -> None:
    held = people(5, 2000)
    scored, unscored = (
        small(score_share=share, rounds=40).fit(held["X"], held["y"]) for share in (0.4, 0.0)
    )
    assert scored.recommended_ == "linear"
    assert scored.recommendation_.startswith("Use the linear model, since the network is")
    assert scored.score(held["X"], held["y"]) > 0.2
    assert unscored.recommended_ == "network"
    assert unscored.score_model_ is None


def test_the_score_is_of_people_who_have_no_say_in_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, seen = people(6, 400, missing=0.02), list[Any]()

    class Noting(PolygenicRisk):
        def fit(self, X: Any, y: Any, *given: Any, **named: Any) -> Any:
            seen.extend([X, y, named["covariates"]])
            return super().fit(X, y, *given, **named)

    monkeypatch.setattr(gene_networks, "PolygenicRisk", Noting)
    model = small().fit(held["X"], held["y"], covariates=held["covariates"])
    assert np.bincount(model.part_ + 1).tolist() == [160, 144, 48, 48]
    assert model.trained_.counts[:, 0].tolist() == [144, 48, 48]
    of = np.flatnonzero(model.part_ == -1)
    of = of[np.argsort(held["y"][of])]
    for given_to_it, name in zip(seen, ("X", "y", "covariates"), strict=True):
        np.testing.assert_array_equal(given_to_it[np.argsort(seen[1])], held[name][of], name)
    weights, means = model.score_model_.fitted_.weights[:, 0], model.score_model_.means_[:, 0]
    score = np.where(np.isnan(held["X"]), means, held["X"]) @ weights
    rows = np.column_stack([score, held["covariates"]])
    expected = model._held.predictors(held["X"], rows, network=model.recommended_ == "network")
    np.testing.assert_array_equal(model.predict(held["X"], covariates=held["covariates"]), expected)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(4, 200),
    shares=st.tuples(st.floats(0.01, 0.25), st.floats(0.01, 0.25)),
    seed=st.integers(0, 99),
)
def test_parts_are_of_their_sizes_and_of_like_traits(
    n: int, shares: tuple[float, float], seed: int
) -> None:
    draw = np.random.RandomState(seed)
    trait = (draw.random_sample(n) < 0.5).astype(np.float64)
    part = parts(trait, shares, draw)
    sizes = np.bincount(part, minlength=3)
    assert sizes[1:].tolist() == [max(int(share * n), 1) for share in shares]
    assert 2 * sizes[0] >= n
    for own in (trait[part == p] for p in range(3)):
        assert abs(own.sum() - trait.mean() * len(own)) <= 3


def test_the_same_state_fits_the_same_bytes_and_parameters_travel() -> None:
    held, new = people(7, 300), people(8, 50)
    one, other, third = (
        small(random_state=state, model="network").fit(held["X"], held["y"]) for state in (1, 1, 2)
    )
    a, b, c = (model.predict(new["X"]).tobytes() for model in (one, other, third))
    assert a == b != c
    copy = clone(one)
    assert copy.get_params() == one.get_params()
    assert not hasattr(copy, "trained_")


def test_genes_may_be_given_in_any_order_and_overlap() -> None:
    held = people(9, 300)
    tiles = [(18, 24), (0, 6), (12, 18), (6, 12)]
    a, b, c = (
        small(model="network").fit(held["X"], held["y"], genes=genes)
        for genes in (None, tiles, [(0, 10), (5, 20)])
    )
    assert a.genes_ == b.genes_ == tuple(sorted(tiles))
    assert a.predict(held["X"]).tobytes() == b.predict(held["X"]).tobytes()
    assert c.genes_ == ((0, 10), (5, 20))
    changed = held["X"].copy()
    changed[:, 20:] = 2 - changed[:, 20:]
    own = c.set_params(model="network")._held.predictors
    rows = np.zeros((300, 1))
    np.testing.assert_array_equal(
        own(held["X"], rows, network=True), own(changed, rows, network=True)
    )


@pytest.mark.parametrize("binary", [False, True])
def test_rescaled_columns_are_those_of_dosages(binary: bool) -> None:
    held = people(10, 300, binary=binary)
    plain, same, other = (
        small(binary, rescale=rescale, model="network").fit(X, held["y"], **beside(held))
        for X, rescale in ((held["X"], False), (held["X"], True), (4 * held["X"] - 1, True))
    )
    way = "decision_function" if binary else "predict"
    found = [
        getattr(model, way)(X, **beside(held))
        for model, X in ((plain, held["X"]), (same, held["X"]), (other, 4 * held["X"] - 1))
    ]
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_dosages_between_whole_numbers_are_read_as_they_are() -> None:
    held = people(11, 300)
    model = small(model="network").fit(held["X"], held["y"])
    half = np.concatenate([held["X"], np.full((1, VARIANTS), 0.5), np.full((1, VARIANTS), np.nan)])
    found = model.predict(half)
    np.testing.assert_allclose(found[:300], model.predict(held["X"]), rtol=1e-6)
    near = model.predict(np.full((1, VARIANTS), 0.0))[0], model.predict(np.ones((1, VARIANTS)))[0]
    assert min(near) < found[300] < max(near)
    imputed = small(model="network").fit(np.where(held["X"] == 1, 0.9, held["X"]), held["y"])
    assert np.isfinite(imputed.predict(held["X"])).all()


def test_probabilities_follow_the_log_odds_and_the_classes() -> None:
    held = people(12, 1200, binary=True)
    model = small(True).fit(held["X"], held["y"], **beside(held))
    odds = model.decision_function(held["X"], **beside(held))
    p = model.predict_proba(held["X"], **beside(held))
    np.testing.assert_allclose(p, np.column_stack([1 - probability(odds), probability(odds)]))
    assert model.classes_.tolist() == ["no", "yes"]
    predicted = model.predict(held["X"], **beside(held))
    assert predicted.tolist() == np.where(odds > 0, "yes", "no").tolist()
    assert (predicted == held["y"]).mean() > 0.6


def test_cross_validation_runs() -> None:
    held = people(13, 900)
    assert bool(np.all(cross_val_score(small(), held["X"], held["y"], cv=3) > 0.1))


def test_wrong_arguments_are_refused_in_words() -> None:
    held = people(14, 200)
    X, y = held["X"], held["y"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"genes": [0, 6]}, "pairs of whole numbers"),
        ({"genes": [(0, 6), (6, 6)]}, "0 <= start < stop <= 24"),
        ({"genes": [(0, 25)]}, "0 <= start < stop <= 24"),
        ({"score": np.zeros(199)}, "a score of the shape \\(199,\\); expected \\(200,\\)"),
        ({"score": np.full(200, np.nan)}, "none missing"),
        ({"covariates": np.zeros((199, 1))}, "covariates of 199 people; expected 200"),
    ]
    for named, said in wrong:
        with pytest.raises(ValueError, match=said):
            small().fit(X, y, **named)
    options = [("score_share", 1.0), ("stop_share", 0.4), ("rounds", 0), ("width", 0), ("least", 0)]
    for name, value in [*options, ("model", "best")]:
        with pytest.raises(ValueError, match=f"{name}="):
            small(**{name: value}).fit(X, y)
    for value in (-9, 2.5):
        with pytest.raises(ValueError, match="no dosage; expected 0 to 2"):
            small().fit(np.where(X == 2, value, X), y)
    with pytest.raises(ValueError, match="too few for three parts of which each has 20"):
        small().fit(X[:100], y[:100])
    with pytest.raises(ValueError, match="Only binary classification"):
        small(True).fit(X, np.arange(200) % 3)
    model = small().fit(X, y, **beside(held))
    with pytest.raises(ValueError, match="expected the same score"):
        model.predict(X, covariates=held["covariates"])
    with pytest.raises(ValueError, match="0 covariates; expected the 1"):
        model.predict(X, score=held["score"])
    with pytest.raises(ValueError, match="no dosage"):
        model.predict(X + 1, **beside(held))


def test_without_jax_the_error_says_what_to_install() -> None:
    code = (
        "import numpy as np; from equipoise.learn import GeneNetwork;"
        " GeneNetwork().fit(np.ones((9, 2)), np.arange(9.0))"
    )
    assert "pip install 'equipoise[network]'" in printed_without("jax", code)
