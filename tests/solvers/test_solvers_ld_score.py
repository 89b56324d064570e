"""LD scores against a slow twin; the regression against truths that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.packed.decode import encode
from equipoise.solvers import ld_score
from equipoise.solvers.ld_score import LdRegression, heritability, ld_regression, ld_scores
from strategies import KINDS, SEEDS, Memory, make_rows

Floats = NDArray[np.float64]


def slow(dosage: Floats, chromosome: NDArray[np.int64], position: Floats, reach: float) -> Floats:
    """A slow twin: numpy's correlation of every pair."""
    n = dosage.shape[1]
    counts = np.maximum((~np.isnan(dosage)).sum(axis=1), 1)
    mean = np.nansum(dosage, axis=1) / counts
    full = np.where(np.isnan(dosage), mean[:, None], dosage)
    out = np.full(len(full), np.nan)
    for j in np.flatnonzero(full.std(axis=1) > 1e-9):
        out[j] = 0.0
        for k in np.flatnonzero(full.std(axis=1) > 1e-9):
            if chromosome[j] == chromosome[k] and abs(position[j] - position[k]) <= reach:
                r2 = np.corrcoef(full[j], full[k])[0, 1] ** 2
                out[j] += r2 - (1 - r2) / (n - 2)
    return out


@settings(max_examples=40)
@given(
    SEEDS,
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=14),
    st.sampled_from([1, 3, 256]),
    st.floats(0, 12),
    st.booleans(),
)
def test_scores_are_those_of_a_slow_twin(
    seed: int, kinds: list[str], size: int, reach: float, some: bool
) -> None:
    rows = make_rows(seed, 30, kinds, missing=0.1)
    draw = np.random.default_rng(seed)
    chromosome = np.sort(draw.integers(1, 3, len(kinds)))
    position = np.arange(len(kinds)) + np.round(draw.random(len(kinds)), 2)
    people = np.arange(3, 28) if some else None
    used = rows.dosage if people is None else rows.dosage[:, people]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ld_score, "SIZE", size)
        found = ld_scores(Memory(encode(rows.dosage), rows.n), chromosome, position, reach, people)
    # Products are summed in single precision.
    np.testing.assert_allclose(found, slow(used, chromosome, position, reach), atol=2e-5)


def test_unlinked_variants_have_a_score_of_one() -> None:
    dosage = np.random.default_rng(6).binomial(2, 0.4, (400, 500)).astype(np.float64)
    at = np.zeros(400, np.int64), np.arange(400, dtype=np.float64)
    found = ld_scores(Memory(encode(dosage), 500), *at, reach=400)
    # 400 unbiased r^2 of variance 2 / n^2 add .04 of noise a score.
    assert found.mean() == pytest.approx(1.0, abs=0.02)


def test_variants_out_of_order_or_too_few_people_are_refused() -> None:
    block = Memory(encode(np.ones((3, 4))), 4)
    for chromosome, position in (([1, 1, 1], [1, 3, 2]), ([1, 2, 1], [1, 1, 2])):
        with pytest.raises(ValueError, match="out of order"):
            ld_scores(block, np.array(chromosome), np.array(position, np.float64), 1)
    with pytest.raises(ValueError, match="at least 3"):
        ld_scores(block, np.zeros(3, np.int64), np.arange(3.0), 1, np.array([0, 1]))


def scan(
    seed: int, people: float, h2: float, structure: float, blocks: int = 120
) -> tuple[Floats, Floats]:
    """Return chi-squares and LD scores of a scan whose truth is known, made up.

    Blocks of 60 variants in LD like AR(1) of different strength; every variant has an
    effect; `structure` is N a, what stratification adds to every chi-square.
    """
    draw = np.random.default_rng(seed)
    size, chi2, score = 60, [], []
    lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    for _ in range(blocks):
        r = draw.uniform(0.2, 0.98) ** lag
        effect = draw.normal(size=size) * np.sqrt(h2 / (blocks * size))
        noise = np.linalg.cholesky(r) @ draw.normal(size=size)
        z = np.sqrt(people) * r @ effect + noise + np.sqrt(structure) * draw.normal(size=size)
        chi2.append(z**2)
        score.append(np.square(r).sum(axis=1))
    return np.concatenate(chi2), np.concatenate(score)


@pytest.mark.parametrize("structure", [0.0, 0.4])
@pytest.mark.parametrize(("h2", "people"), [(0.0, 1000), (0.5, 1000), (0.5, 20_000)])
def test_the_intercept_tells_stratification_from_many_small_effects(
    h2: float, people: float, structure: float
) -> None:
    found = [ld_regression(*scan(s, people, h2, structure)) for s in range(8)]
    off = [(f.intercept - 1 - structure) / f.intercept_se for f in found]
    # Each is about a standard normal; the mean of 8 beyond 1.4 has a chance of 1 in 10,000.
    assert abs(np.mean(off)) < 1.4
    assert max(np.abs(off)) < 4.5
    heritabilities = [heritability(f, people, 7200) for f in found]
    errors = [(h - h2) / se for h, se in heritabilities]
    assert abs(np.mean(errors)) < 1.4
    if structure and not h2:
        assert all(f.ratio is not None and abs(f.ratio - 1) < 0.5 for f in found)


def test_one_strong_variant_does_not_move_the_intercept() -> None:
    chi2, score = scan(1, 1_000, 0.5, 0.0)
    before = ld_regression(chi2, score)
    chi2[100] = 1834.0
    after = ld_regression(chi2, score)
    # The one variant left out is one of 7,200.
    assert after.intercept == pytest.approx(before.intercept, abs=0.01)


def test_the_line_is_a_weighted_least_squares_fit_at_its_own_weights() -> None:
    chi2, score = scan(3, 1_000, 0.5, 0.1)
    chi2 = np.minimum(chi2, 29.0)  # both steps then use all
    found = ld_regression(chi2, score)
    line = np.array([1.0, (chi2.mean() - 1) / score.mean()])
    for _ in range(ld_score.ROUNDS):
        root = 1 / (np.sqrt(score) * (line[0] + line[1] * score))
        x = np.column_stack([root, root * score])
        line = np.linalg.lstsq(x, root * chi2, rcond=None)[0]
    assert found.intercept == pytest.approx(line[0], rel=1e-9)
    assert found.slope == pytest.approx(line[1], rel=0.02)  # one more set of weights


def test_the_jackknife_is_leaving_out_each_block() -> None:
    chi2, score = scan(4, 1_000, 0.5, 0.0)
    chi2 = np.minimum(chi2, 29.0)
    found = ld_regression(chi2, score, blocks=10)
    size = len(chi2) // 10
    left = []
    for b in range(10):
        keep = np.ones(len(chi2), np.bool_)
        keep[b * size : (b + 1) * size] = False
        left.append(ld_regression(chi2[keep], score[keep], blocks=9).intercept)
    by_hand = np.sqrt(9 / 10 * np.square(left - np.mean(left)).sum())
    # By hand the weights are those of each fit, here they are held.
    assert found.intercept_se == pytest.approx(by_hand, rel=0.1)


def test_what_is_not_known_is_left_out_and_too_little_is_refused() -> None:
    chi2, score = scan(2, 10_000, 0.2, 0.0, blocks=30)
    more = np.append(chi2, [np.nan, 3.0]), np.append(score, [4.0, np.nan])
    found: LdRegression = ld_regression(*more)
    assert found == ld_regression(chi2, score)
    assert found.variants == len(chi2)
    for bad in ((chi2[:5], score[:5]), (chi2, np.ones_like(score))):
        with pytest.raises(ValueError, match="different scores"):
            ld_regression(*bad)
