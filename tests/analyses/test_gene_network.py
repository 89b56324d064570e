"""The gene network: it finds what a linear model cannot, says so, and otherwise says the other."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from analyses.gene_network_cohorts import planted, trained, training
from equipoise.analyses.gene_network_result import COMPARE, STOP, TRAIN, TrainedNetwork
from equipoise.errors import InputError
from equipoise.federation.budget import allowed_columns
from equipoise.federation.sampling import drawn
from equipoise.models.gene_sums import PER_ALLELE
from equipoise.protection import Context
from equipoise.protections.discrete import Chance
from equipoise.protections.noise import calibrated, noised, restored
from equipoise.record import rounded
from equipoise.step import Next
from equipoise.sums import GENOTYPE, check_total, decode, encode
from laws import harness
from strategies import Rows

pytest.importorskip("jax")


@pytest.mark.parametrize("binary", [True, False])
def test_a_planted_interaction_is_found_that_no_linear_model_sees(binary: bool) -> None:
    rows = planted(1, 6000, 1.0, binary=binary)
    found = trained(rows, binary=binary)
    assert found.recommended == "network"
    mean, error = found.gain
    assert mean > 3 * error if not binary else mean > 2 * error
    assert found.recommendation.startswith("Use the network: mean loss 0.")
    # Without the product the linear model of all 48 variants explains no more than the score.
    train = rows.columns["part"] == TRAIN
    design = np.column_stack([rows.dosage.T, np.ones(rows.n)])[train]
    left = (rows.columns["trait"] - _fitted(rows, train))[train]
    explained = 1 - np.linalg.lstsq(design, left)[1][0] / (left @ left)
    assert explained < 2 * 48 / train.sum()


def _fitted(rows: Rows, train: Any) -> Any:
    design = np.column_stack([rows.columns["score"], np.ones(rows.n)])
    return design @ np.linalg.lstsq(design[train], rows.columns["trait"][train])[0]


@pytest.mark.parametrize(("seed", "binary"), [(1, True), (2, True), (3, False), (4, False)])
def test_where_there_is_no_interaction_the_linear_model_is_recommended(
    seed: int, binary: bool
) -> None:
    found = trained(planted(seed, 4000, 0.0, binary=binary), binary=binary)
    assert found.recommended == "linear"
    assert found.recommendation.startswith("Use the linear model, since the network is")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("clip", [0.0, 0.7])
def test_a_masked_run_over_sites_is_the_pooled_run_step_by_step(binary: bool, clip: float) -> None:
    rows = planted(5, 300, 0.8, binary=binary)
    own = training(rows, binary=binary, clip=clip, rounds=14, group="group", groups=2)
    label = np.random.default_rng(1).choice(3, rows.n, p=[0.6, 0.3, 0.1])
    pooled = harness.run(own, [rows.cohort()], "clear", rounds=20)
    split = harness.run(own, rows.split(label, 3), "masked", rounds=20)
    assert len(pooled.published) == len(split.published) > 14
    for one, other in zip(pooled.published, split.published, strict=True):
        harness_equal(one, other)
    for one, other in zip(pooled.asked, split.asked, strict=True):
        for a, b in zip(one.total, other.total, strict=True):
            assert {n: v.tolist() for n, v in a.items()} == {n: v.tolist() for n, v in b.items()}
    assert len(pooled.result.history) >= 5


def harness_equal(one: Any, other: Any) -> None:
    held = [getattr(o, "state", None) or o.result for o in (one, other)]
    assert type(held[0]) is type(held[1])
    for name in type(held[0]).__slots__:
        np.testing.assert_array_equal(getattr(held[0], name), getattr(held[1], name), name)


def rounds_of(own: Any, rows: Rows, number: int) -> list[Any]:
    """Return the states at which a pooled run of so many rounds asks."""
    found = harness.run(replace(own, rounds=number), [rows.cohort()], "clear", rounds=number)
    return [asked.state for asked in found.asked]


def test_nothing_about_the_network_is_told_before_the_linear_model_is_fitted() -> None:
    rows = planted(6, 300, 0.5)
    own = training(rows)
    states = rounds_of(own, rows, 12)
    early = [s for s in states if not len(s.history) and s.change[0] >= 2.0**-20]
    assert len(early) >= 4
    for state in early:
        (sums,) = harness.sums_of(own, rows.cohort(), state)
        assert not any(sums[name].any() for name in ("weights", "biases", "head"))
    (first,) = harness.sums_of(own, rows.cohort(), states[0])
    assert [name for name, value in first.items() if value.any()] == ["counts"]
    (last,) = harness.sums_of(own, rows.cohort(), states[-1])
    assert all(last[name].all() for name in ("weights", "biases", "linear_gradient"))


def test_the_linear_model_is_that_of_newton_over_those_who_train() -> None:
    rows = planted(7, 500, 0.0)
    found = trained(rows, rounds=12)
    train = rows.columns["part"] == TRAIN
    x = np.column_stack([np.ones(rows.n), rows.columns["score"], rows.columns["age"]])[train]
    p = 1 / (1 + np.exp(-(x @ found.linear)))
    gradient = x.T @ (rows.columns["trait"][train] - p) - 0.1 * np.array([0, 1, 1]) * found.linear
    assert np.abs(gradient).max() < 1e-3


def test_what_is_derived_has_the_losses_that_the_result_tells() -> None:
    rows = planted(8, 700, 1.0)
    own = training(rows, rounds=30, patience=3)
    found = trained(rows, rounds=30, patience=3)
    columns = own.derive(rows.cohort(), found)
    for part in (TRAIN, STOP, COMPARE):
        f, y = columns["network_predictor"], rows.columns["trait"]
        of = rows.columns["part"] == part
        loss = np.logaddexp(0, f[of]) - y[of] * f[of]
        assert loss.sum() == pytest.approx(found.history[found.best_round, part, 0], abs=1e-3)
    assert found.losses[0] + found.gain[0] == pytest.approx(found.losses[1])


def test_rounds_end_when_the_loss_to_stop_by_is_no_longer_least() -> None:
    rows = planted(9, 700, 0.0)
    found = trained(rows, patience=4, rounds=100)
    losses = found.history[:, STOP, 0]
    assert found.best_round == int(np.argmin(losses))
    assert len(losses) - 1 - found.best_round == 4
    assert found.rounds < 100


def test_people_of_no_weight_and_of_other_parts_change_no_gradient() -> None:
    rows = planted(10, 400, 0.8)
    weight = (np.arange(rows.n) % 2).astype(np.float64)
    rows = rows.with_column("weight", weight)
    own = training(rows, weight="weight", least=0)
    state = rounds_of(own, rows, 12)[-1]
    unseen = (weight == 0) | (rows.columns["part"] != TRAIN)
    trait = np.where(unseen, 1 - rows.columns["trait"], rows.columns["trait"])
    (one,) = harness.sums_of(own, rows.cohort(), state)
    (other,) = harness.sums_of(own, rows.with_column("trait", trait).cohort(), state)
    for name in ("weights", "biases", "head", "linear_gradient"):
        np.testing.assert_array_equal(one[name], other[name])
    assert np.any(one["losses"] != other["losses"])


def test_groups_gain_weight_by_their_losses() -> None:
    rows = planted(11, 800, 1.0)
    own = training(rows, group="group", groups=2, group_rate=0.5, rounds=20)
    asked = harness.run(own, [rows.cohort()], "clear", rounds=20).asked
    asked = tuple(a for a in asked if a.state.change[0] < 2.0**-20)
    train = rows.columns["part"] == TRAIN
    share = (rows.columns["group"] == 1)[train].mean()
    for one, following in pairwise(asked):
        (block,), (total,) = one.schema.blocks, one.total
        sums = decode(block, total)
        mean = sums["group_losses"] / sums["group_counts"]
        odds = one.state.chances[1] / one.state.chances[0] * np.exp(0.5 * (mean[1] - mean[0]))
        chances = following.state.chances
        assert chances[1] / chances[0] == pytest.approx(odds, rel=1e-6)
        expected = chances / np.array([1 - share, share])
        np.testing.assert_allclose(following.state.factors, expected, rtol=1e-6)
    assert len(asked) > 10


def test_a_groups_weight_multiplies_its_peoples_gradients() -> None:
    rows = planted(12, 200, 1.0)
    own = training(rows, group="group", groups=2, least=0, width=2)
    state = rounds_of(own, rows, 12)[-1]
    both, none, second = (
        harness.sums_of(own, rows.cohort(), replace(state, factors=np.array(f)))[0]
        for f in ((1.0, 2.0), (1.0, 0.0), (0.0, 2.0))
    )
    for name in ("weights", "biases", "head"):
        np.testing.assert_array_equal(both[name], none[name] + second[name])
        assert second[name].any()


def test_a_person_adds_no_more_than_the_bound_to_the_norm() -> None:
    rows = planted(12, 120, 1.0)
    own = training(rows, clip=0.3, least=0)
    state = rounds_of(own, rows, 14)[-1]
    names = ("weights", "biases", "head")
    norms = []
    for person in np.flatnonzero(rows.columns["part"] == TRAIN)[:20]:
        (sums,) = harness.sums_of(own, rows.cohort([person]), state)
        norms.append(np.sqrt(sum(float((sums[name] ** 2).sum()) for name in names)))
    assert max(norms) <= 0.3 * (1 + 1e-5)
    declared = [own.form.network()[name].l2 for name in names]
    assert all(0.3 < l2 < 0.3001 for l2 in declared)
    assert max(norms) > 0.25


def test_noise_of_one_chance_gives_one_step_and_of_another_another() -> None:
    rows = planted(13, 400, 0.8)
    own = training(rows, clip=1.0, least=0)
    state = rounds_of(own, rows, 12)[-1]
    schema = own.schema(state)
    (block,), (sums,) = schema.blocks, harness.sums_of(own, rows.cohort(), state)
    form = calibrated(schema, 100.0, 3, may_lose=False)

    def stepped(seed: bytes) -> Any:
        values = [encode(block, sums, rows.n)]
        (total,) = noised(form, values, Chance(seed))
        own_units = restored(block, form.added[0], total)
        check_total(schema, [own_units])
        outcome = own.advance(state, [decode(block, own_units)])
        assert isinstance(outcome, Next)
        return rounded(outcome.state)

    one, again, other = stepped(bytes(32)), stepped(bytes(32)), stepped(b"1" * 32)
    np.testing.assert_array_equal(one.parameters, again.parameters)
    assert np.any(one.parameters != other.parameters)


def test_a_round_declares_what_it_tells_about_genotypes() -> None:
    rows = planted(14, 300, 0.5)
    own = training(rows, starts=(0, 4, 20), stops=(6, 20, 48), width=4)
    (block,) = own.schema(own.start()).blocks
    weights = block["weights"]
    assert (weights.directions, weights.block) == (2 * 4 * 2, (0, 48))
    assert weights.directions * 10 > allowed_columns(rows.n)
    assert weights.quantum * PER_ALLELE == block["biases"].quantum
    reads = {read.column for read in weights.reads}
    assert reads == {GENOTYPE, "trait", "score", "part", "age"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stops": (49,), "starts": (0,)}, "reaches beyond the list"),
        ({"bounds": (4.0,)}, "a bound for each covariate and for the trait"),
        ({"clip": -1.0}, "clip is at least 0"),
        ({"patience": 0}, "patience are at least 1"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        training(planted(15, 50, 0.0), **change)


def test_parts_that_are_too_small_are_refused_before_sums_are_asked() -> None:
    rows = planted(16, 200, 0.0)
    with pytest.raises(InputError, match="fewer than 30 people, or fewer with the trait"):
        trained(rows, least=30)
    part = rows.columns["part"]
    few = rows.with_column("part", np.where(part == TRAIN, STOP, np.where(part == STOP, 0, part)))
    with pytest.raises(InputError, match="fewer than half of the people train"):
        trained(few, least=0)


def table(n: int, loss: float, more: float, square: float) -> TrainedNetwork:
    history = np.zeros((1, 3, 3))
    history[0, COMPARE] = n * loss, n * more, n * square
    counts = np.array([[2 * n, n], [n, n // 2], [n, n // 2]])
    return TrainedNetwork(np.zeros(1), np.zeros(2), history, counts, 0, 9)


def test_the_recommendation_follows_from_paired_differences() -> None:
    # Standard error sqrt((.0404 - .0004) / 399) = .01001, so a gain of .02 is 1.998 of them.
    shown, not_shown = table(400, 0.6, 0.02, 0.0404), table(400, 0.6, 0.0194, 0.0404)
    assert shown.gain == pytest.approx((0.02, 0.01001252))
    assert shown.losses == pytest.approx((0.6, 0.62))
    assert (shown.recommended, not_shown.recommended) == ("network", "linear")
    worse = table(400, 0.6, -0.1, 0.0404)
    assert "the network is worse" in worse.recommendation
    assert table(99, 0.6, 0.5, 0.25).recommended == "linear"
    nothing = replace(shown, best_round=-1)
    assert nothing.recommended == "linear"
    assert "too few people" in nothing.recommendation
    assert np.isnan(nothing.losses[0])


def test_it_trains_on_people_drawn_anew_each_round() -> None:
    """As DP-SGD does, here without noise: the rounds it may have, and the interaction found."""
    rows = planted(12, 6000, 1.2)
    own = training(rows, sampling=0.5, linear_rounds=5, rounds=45, patience=40)
    with pytest.raises(InputError, match="linear_rounds"):
        replace(own, linear_rounds=0)
    state = rounded(own.start())
    for number in range(100):
        schema = own.schema(state)
        assert not schema.blocks or schema.sampling == 0.5
        place = Context("s", b"", "n", number, 0, b"", ("a",), b"")
        here = drawn(rows.cohort(), schema.sampling, bytes(32), place)
        assert not schema.blocks or 0.45 < here.n / rows.n < 0.55
        outcome = own.advance(state, harness.sums_of(own, here, state) if schema.blocks else ())
        if not isinstance(outcome, Next):
            break
        state = rounded(outcome.state)
    found = rounded(outcome.result)
    assert found.rounds == 45
    assert len(found.history) == 45 - 6
    losses = found.history[:, TRAIN, 0]
    assert losses[-5:].mean() < 0.97 * losses[:5].mean()
    assert found.recommended == "network"
