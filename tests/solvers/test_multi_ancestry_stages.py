"""The stages of a risk model in small made people, and the simple scores beside it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from equipoise.solvers.block_correlations import (
    BlockCorrelations,
    Residuals,
    correlations,
    refined,
)
from equipoise.solvers.block_moments import BlockMoments, moments_of_rows
from equipoise.solvers.multi_ancestry import Penalties
from equipoise.solvers.risk_paths import Setting, joint_path, near_path, path, single_path
from equipoise.solvers.risk_stages import chosen, first, liked, second, singles, total
from equipoise.solvers.sparse_weights import SparseWeights
from equipoise.solvers.stack import StackMoments, incremental_r2, stack_moments
from equipoise.solvers.thresholding import clumped, thresholded

STARTS = np.array([0, 20, 40, 60])
FOLDS = 4
SIZES = {"large": 3000, "small": 150}


@dataclass(frozen=True)
class People:
    dosage: np.ndarray
    trait: np.ndarray


def people(effects: np.ndarray, n: int, seed: int) -> People:
    rng = np.random.default_rng(seed)
    both = np.zeros((n, 60))
    for _ in range(2):
        z = rng.normal(size=(n, 60))
        for j in range(1, 60):
            if j % 20:
                z[:, j] = 0.7 * z[:, j - 1] + 0.714 * z[:, j]
        both += z < 0.4
    return People(both, both @ effects + rng.normal(size=n))


def effects(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = np.where(np.arange(60) % 6 == 2, rng.normal(size=60), 0.0) * 0.4
    return {name: shared * (1 + 0.2 * rng.normal(size=60)) for name in SIZES}


MADE = effects(1)
TRAINING = {name: people(MADE[name], n, 2 + i) for i, (name, n) in enumerate(SIZES.items())}
TUNING = {name: people(MADE[name], 2000, 4 + i) for i, name in enumerate(SIZES)}
TEST = {name: people(MADE[name], 2000, 6 + i) for i, name in enumerate(SIZES)}


def moments(of: People) -> BlockMoments:
    return moments_of_rows(of.dosage, np.ones((len(of.trait), 1)), of.trait, STARTS)


MOMENTS = {name: moments(of) for name, of in TRAINING.items()}
STRATA = {name: correlations(held) for name, held in MOMENTS.items()}


def folds(weights: SparseWeights) -> dict[str, list[StackMoments]]:
    """Return what a site would send of the tuning people's scores."""
    found = {}
    for name, of in TUNING.items():
        scores = of.dosage @ weights.dense(0, 60)
        found[name] = [
            stack_moments(scores[k::FOLDS], np.ones((500, 1)), of.trait[k::FOLDS])
            for k in range(FOLDS)
        ]
    return found


def r2(name: str, weights: np.ndarray) -> float:
    return float(np.corrcoef(TEST[name].dosage @ weights, TEST[name].trait)[0, 1] ** 2)


def one(weights: SparseWeights, place: int) -> np.ndarray:
    return weights.dense(0, 60)[:, place]


def test_the_stack_serves_the_small_group_better_than_its_own_score_and_the_large_as_well() -> None:
    alone = first(STRATA)
    choice = liked(alone, total(folds(alone.weights)))
    joint = second(STRATA, alone, choice)
    ends = chosen(joint, folds(joint.weights))
    gain = {
        name: r2(name, joint.weights.combined(end.weights))
        - r2(name, one(alone.weights, choice.single[name]))
        for name, end in ends.items()
    }
    assert gain["small"] > 0.01
    assert gain["large"] > -0.005
    assert joint.joint.convergence.reached.all()


def test_a_second_time_on_refined_blocks_keeps_the_earlier_scores_at_hand() -> None:
    alone = first(STRATA)
    choice = liked(alone, total(folds(alone.weights)))
    score = {name: one(alone.weights, choice.single[name]) for name in STRATA}
    again = {}
    for name, of in TRAINING.items():
        left = of.trait - of.dosage @ score[name]
        sums = Residuals(np.array([left.sum()]), of.dosage.T @ left)
        again[name] = refined(STRATA[name], MOMENTS[name], sums, score[name])
    other = first(again)
    prior = singles(alone, choice)
    joint = second(again, other, liked(other, total(folds(other.weights))), prior=prior)
    for a, name in enumerate(STRATA):
        place = joint.own[name][1]
        np.testing.assert_array_equal(one(joint.weights, place), one(prior, a))
        assert joint.weights.labels[joint.own[name][0]].startswith(name)


def test_places_tell_what_each_candidate_is() -> None:
    alone = first(STRATA)
    for name, places in alone.single.items():
        assert all(alone.weights.labels[p].startswith(f"{name}: l1") for p in places)
    assert all(alone.weights.labels[p].startswith("all: l1") for p in alone.pooled)
    assert all("clumped" in alone.weights.labels[p] for p in alone.clumped)
    choice = liked(alone, total(folds(alone.weights)))
    for name, place in choice.single.items():
        held = incremental_r2(total(folds(alone.weights))[name])
        assert held[place] == held[list(alone.single[name])].max()
        label = f"{name}: l1 {choice.settings[name].l1:.4g}, l2 {choice.settings[name].l2:.4g}"
        assert alone.weights.labels[place] == label


def test_weights_of_a_path_are_per_copy_of_the_effect_allele() -> None:
    nothing = np.full((1, 1), 1e-12)
    none = Penalties(nothing, nothing, np.zeros(1), np.array([-1]), np.ones(1))
    found = path({"large": STRATA["large"]}, none, tolerance=1e-9).weights
    of = TRAINING["large"]
    # Hardly penalised, the weights of a block are those of least squares on its rows.
    for a, b in zip(STARTS[:-1].tolist(), STARTS[1:].tolist(), strict=True):
        x = np.column_stack([np.ones(len(of.trait)), of.dosage[:, a:b]])
        exact = np.linalg.lstsq(x, of.trait, rcond=None)[0][1:]
        np.testing.assert_allclose(found.dense(a, b)[:, 0], exact, atol=1e-6)


def test_a_variant_that_does_not_vary_has_no_weight_in_that_stratum_alone() -> None:
    of = TRAINING["small"]
    dosage = of.dosage.copy()
    dosage[:, 8] = 2.0
    strata = {**STRATA, "small": correlations(moments(replace(of, dosage=dosage)))}
    settings = {name: Setting(0.01, 0.1) for name in strata}
    weights = joint_path(strata, settings, multiples=(1.0,), couplings=(5.0,)).weights
    assert one(weights, 0)[8] != 0
    assert one(weights, 1)[8] == 0


def test_what_did_not_converge_is_told_by_the_point() -> None:
    settings = {name: Setting(0.001, 0.0) for name in STRATA}
    held = joint_path(STRATA, settings, multiples=(64.0, 1.0), couplings=(5.0,), most=4)
    assert held.convergence.sweeps.max() == 4
    assert not held.convergence.reached[1]
    assert held.weights.dense(0, 60)[:, 2:].any()


def test_a_path_near_what_was_liked_goes_through_it() -> None:
    alone = single_path("large", STRATA["large"], tolerance=1e-9)
    liked_ = [17, 14]
    l1, l2 = alone.penalties.l1[liked_, 0], alone.penalties.l2[liked_, 0]
    settings = [alone.setting(point) for point in liked_]
    assert settings == [Setting(*each) for each in zip(l1.tolist(), l2.tolist(), strict=True)]
    one = near_path("large", STRATA["large"], settings[:1], tolerance=1e-9)
    np.testing.assert_allclose(one.penalties.l1[:, 0] / l1[0], 2 ** np.arange(1, -1.1, -0.5))
    # Two fits to 1e-9; the least curvature is l2, .1.
    np.testing.assert_allclose(
        one.weights.dense(0, 60)[:, 2], alone.weights.dense(0, 60)[:, 17], atol=1e-6
    )
    both = near_path("large", STRATA["large"], [*settings, Setting(l1[0], 1.0)])
    assert both.penalties.l1.max() == pytest.approx(2 * max(l1))
    assert both.penalties.l1.min() == pytest.approx(min(l1) / 2)
    steps = np.diff(np.log2(both.penalties.l1[:, 0]))
    assert set(both.penalties.l2[:, 0]) == {*l2, 1.0}
    assert np.all((steps >= -0.5 - 1e-9) & (steps < 0) | (steps > 1))
    far = near_path("large", STRATA["large"], [settings[0], Setting(1e3 * l1[0], l2[0])])
    assert len(far.penalties.l1) == 10


def test_candidates_are_as_near_to_the_optimum_as_their_people_call_for() -> None:
    settings = {name: Setting(0.02, 0.1) for name in STRATA}
    for made_, most in (
        (single_path("large", STRATA["large"]), SIZES["large"]),
        (single_path("small", STRATA["small"]), SIZES["small"]),
        (joint_path(STRATA, settings), SIZES["large"]),
    ):
        bound = 0.01 / np.sqrt(most)
        assert made_.convergence.reached.all()
        # Neither worse, nor a hundred times better than was asked.
        assert bound / 100 < made_.convergence.residual.max() <= bound


def test_strata_with_other_blocks_are_refused() -> None:
    other = replace(STRATA["small"], starts=np.array([0, 10, 40, 60]))
    settings = {name: Setting(0.01, 0.1) for name in STRATA}
    with pytest.raises(ValueError, match="the same in all"):
        joint_path({**STRATA, "small": other}, settings)


def test_a_stratum_without_a_usable_variant_is_refused() -> None:
    nothing = replace(STRATA["small"], trait=np.zeros(60), usable=np.zeros(60, bool))
    with pytest.raises(ValueError, match="no variant of small"):
        single_path("small", nothing)


def slowly_clumped(stratum: BlockCorrelations, most: float) -> list[int]:
    """Return the variants kept, by looking at each pair in turn."""
    whole = np.zeros((60, 60))
    for i, block in enumerate(stratum.genotypes):
        part = slice(STARTS[i], STARTS[i + 1])
        whole[part, part] = block
    kept: list[int] = []
    for j in sorted(range(60), key=lambda j: (-abs(stratum.trait[j]), j)):
        if stratum.usable[j] and all(whole[j, k] ** 2 <= most for k in kept):
            kept.append(j)
    return sorted(kept)


@pytest.mark.parametrize("most", [0.05, 0.1, 0.5, 1.0])
def test_clumping_keeps_what_looking_at_each_pair_keeps(most: float) -> None:
    for stratum in STRATA.values():
        assert np.flatnonzero(clumped(stratum, most)).tolist() == slowly_clumped(stratum, most)


def test_thresholded_effects_are_those_of_one_variant_at_a_time() -> None:
    found = thresholded("large", STRATA["large"], (1e-4, 1.0), 1.0)
    of = TRAINING["large"]
    fits = [scipy_stats.linregress(of.dosage[:, j], of.trait) for j in range(60)]
    np.testing.assert_allclose(one(found, 1), [fit.slope for fit in fits], atol=1e-9)
    # The normal and not Student's t: far from the threshold they agree.
    below = np.array([fit.pvalue < 1e-5 for fit in fits])
    above = np.array([fit.pvalue > 1e-3 for fit in fits])
    kept = one(found, 0) != 0
    assert kept[below].all()
    assert not kept[above].any()
