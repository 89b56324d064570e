"""The elastic nets against scikit-learn, row by row; selection against plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import ElasticNet as Peer

from analyses.modelled import COVARIATES, PENALTIES, imputed, left, modelled, run, terms
from equipoise.analyses.candidates import candidates, least_t, reliable, strengths
from equipoise.analyses.training import places, totals_without, training_sets
from equipoise.errors import InputError
from strategies import FOLDS


def without(found, *folds: int) -> np.ndarray:
    return ~np.isin(found.rows.fold, folds)


def peer_weights(found, row: int, column: int, pair: int) -> np.ndarray:
    """Return weights fitted on rows by scikit-learn, for the candidates that the row may use."""
    out = {row - 1, column - 1} - {-1}
    kept = without(found, *out)
    x = terms(found.rows)[kept]
    g = left(imputed(found)[:, kept].T, x)
    y = left(found.rows.columns["trait"][kept], x)
    n, (l1, l2) = kept.sum(), PENALTIES[2 * pair : 2 * pair + 2]
    weights = np.zeros(len(found.nets.variants))
    dof = n - len(COVARIATES) - 2
    for window in found.elastic_net.candidates():
        usable = [v for v, used in zip(window.variants, window.rows[row], strict=True) if used]
        r = {v: g[:, v] @ y / np.sqrt(g[:, v] @ g[:, v] * (y @ y)) for v in usable}
        t2 = {v: r[v] ** 2 * dof / (1 - r[v] ** 2) for v in usable}
        if column not in (0, row):
            usable = [v for v in usable if t2[v] >= least_t(2.0, dof) ** 2]
        if not usable:
            continue
        scale = g[:, usable].std(axis=0)
        peer = Peer(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-13)
        peer.set_params(max_iter=10**6).fit(g[:, usable] / scale, y / y.std())
        for v, b in zip(usable, peer.coef_ / scale * y.std(), strict=True):
            weights[np.flatnonzero(found.nets.variants == v)] = b
    return weights


@pytest.mark.parametrize("row", range(FOLDS + 1))
def test_weights_are_those_of_scikit_learn_on_rows(row: int) -> None:
    found = modelled()
    for column in range(FOLDS + 1):
        for pair in range(len(PENALTIES) // 2):
            # Sums are on a grid of 2^-20; scikit-learn stops by its duality gap.
            np.testing.assert_allclose(
                found.nets.weights[row, column, pair],
                peer_weights(found, row, column, pair),
                atol=1e-5,
            )
    assert np.any(found.nets.weights[row] != 0)


def test_a_row_selects_by_nobody_whom_it_leaves_out() -> None:
    """Change the trait of one fold at will: the row that leaves it out has the same weights."""
    found = modelled()
    fold = 1
    rows = found.rows
    other = np.where(rows.fold == fold, 1 - rows.columns["trait"], rows.columns["trait"])
    changed = rows.with_column("trait", other)
    scan = run(replace_scan(found), changed)
    census = replace(found.census, cases=np.bincount(rows.fold, other, FOLDS).astype(np.int64))
    again = replace(found.elastic_net, association=scan, census=census)
    before, after = found.nets, run(again, changed)
    row = fold + 1
    one = {int(v): before.weights[row, row, :, i] for i, v in enumerate(before.variants)}
    two = {int(v): after.weights[row, row, :, i] for i, v in enumerate(after.variants)}
    for v in one.keys() | two.keys():
        zero = np.zeros(len(PENALTIES) // 2)
        # Nothing but the rounding of totals may differ.
        np.testing.assert_allclose(one.get(v, zero), two.get(v, zero), atol=1e-6)


def replace_scan(found):
    from equipoise.analyses.linear import LinearScan

    net = found.elastic_net
    return LinearScan(
        people=net.people,
        folds=net.folds,
        n_variants=found.rows.n_variants,
        trait="trait",
        covariates=net.covariates,
        bounds=net.bounds,
        frequencies=found.frequencies,
    )


def test_the_best_single_variant_is_the_one_of_the_largest_t() -> None:
    found = modelled()
    usable = reliable(found.frequencies, found.census) & ~found.quality.failed
    for row in range(FOLDS + 1):
        t = np.abs(np.nan_to_num(found.association.t(row))) * usable
        assert found.nets.best[row] == np.argmax(t)
    g = imputed(found) - 2 * found.frequencies.frequency[:, None]
    row = found.rows.fold + 1
    said = g[found.nets.best[row], np.arange(found.rows.n)] * found.nets.effect[row]
    np.testing.assert_allclose(found.rows.columns["single"], said, atol=1e-12)


def test_what_fails_quality_is_no_candidate() -> None:
    found = modelled()
    strong = int(np.argmax(found.quality.neg_log_10_p * 0 + np.abs(found.association.t(0))))
    p = found.quality.neg_log_10_p.copy()
    p[strong] = 50.0
    net = replace(found.elastic_net, quality=replace(found.quality, neg_log_10_p=p))
    assert all(strong not in window.variants for window in net.candidates())
    assert strong not in run(net, found.rows).best


def test_nothing_beyond_the_threshold_gives_no_weights() -> None:
    found = modelled()
    nets = run(replace(found.elastic_net, threshold=60.0), found.rows)
    assert len(nets.variants) == 0
    assert nets.weights.shape == (FOLDS + 1, FOLDS + 1, len(PENALTIES) // 2, 0)


def test_background_is_the_regression_of_dosage_on_components() -> None:
    found = modelled()
    x = np.column_stack([np.ones(found.rows.n), found.rows.columns["PC1"]])
    expected = np.linalg.lstsq(x, imputed(found)[found.nets.variants].T, rcond=None)[0].T
    np.testing.assert_allclose(found.nets.background, expected, atol=1e-7)


def test_constant_covariates_are_refused() -> None:
    found = modelled()
    rows = found.rows.with_column("sex", np.ones(found.rows.n))
    with pytest.raises(InputError, match="covariates are constant"):
        run(found.elastic_net, rows)


def test_a_component_that_is_zero_everywhere_changes_nothing() -> None:
    found = modelled()
    rows = found.rows.with_column("PC2", np.zeros(found.rows.n))
    net = replace(
        found.elastic_net,
        covariates=(*COVARIATES, "PC2"),
        bounds=(1.0, 20.0, 20.0),
        background=("PC1", "PC2"),
    )
    nets = run(net, rows)
    np.testing.assert_allclose(nets.weights, found.nets.weights, atol=1e-7)
    assert not nets.covariates[..., -1].any()
    assert not nets.background[:, -1].any()


@pytest.mark.parametrize("folds", [3, 5])
def test_totals_without_folds_are_those_of_the_people_left(folds: int) -> None:
    draw = np.random.default_rng(folds)
    by_fold = draw.normal(size=(folds, 2))
    totals = totals_without(by_fold)
    for place, out in enumerate(training_sets(folds)):
        kept = [f for f in range(folds) if f not in out]
        np.testing.assert_allclose(totals[place], by_fold[kept].sum(axis=0), atol=1e-12)
    table = places(folds)
    assert training_sets(folds)[table[2, 3]] == (1, 2)
    assert training_sets(folds)[table[0, 1]] == (0,)


def test_a_window_shares_its_room_among_rows_best_first() -> None:
    strength = np.array([[9.0, 8.0, 7.0, 0.0], [0.0, 9.0, 8.0, 7.0], [1.0, 1.0, 1.0, 1.0]])
    (window,) = candidates(strength, [2.0, 2.0, 2.0], (0, 4), 3)
    assert window.variants.tolist() == [0, 1, 2]
    # The second row's third choice has no room, and the third row's t are too small.
    assert window.rows.tolist() == [
        [True, True, True],
        [False, True, True],
        [False, False, False],
    ]


@pytest.mark.parametrize("dof", [100, 300, 10_000])
@pytest.mark.parametrize("threshold", [2.0, 5.45])
def test_the_threshold_follows_students_distribution(dof: int, threshold: float) -> None:
    exact = stats.t.isf(stats.norm.sf(threshold), dof)
    # What the expansion leaves out is below .001 from 100 degrees of freedom on.
    assert abs(least_t(threshold, dof) - exact) < 0.001


def test_variants_with_few_expected_alleles_are_not_reliable() -> None:
    found = modelled()
    people = found.census.people.sum()
    alleles = np.array([0, 1, 400, 2 * int(people)])
    few = replace(
        found.frequencies, alleles=alleles, called=np.full(4, people), floor=0, least_called=0
    )
    minor = np.minimum(alleles, 2 * people - alleles)
    sets = [np.ones(found.rows.n, bool), *(without(found, f) for f in range(FOLDS))]
    for row, kept in enumerate(sets):
        trait = found.rows.columns["trait"][kept]
        expected = minor * min(trait.sum(), len(trait) - trait.sum()) / people >= 5
        np.testing.assert_array_equal(reliable(few, found.census)[row], expected)
    everything = strengths(found.association, np.zeros(found.rows.n_variants, bool))
    assert not everything.any()
