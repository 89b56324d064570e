import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from equipoise.packed.decode import decode, encode, width
from equipoise.simulation import loops

SEEDS = st.integers(0, 2**32 - 1)


def drawn(frequency: float, n: int, seed: int = 1, variants: int = 20) -> np.ndarray:
    one = np.full((variants, 1), int((1 - (1 - frequency) ** 2) * 2**32), np.uint64)
    two = np.full((variants, 1), int(frequency**2 * 2**32), np.uint64)
    keys = np.random.default_rng(seed).integers(0, 2**64, variants, np.uint64)
    block = np.empty((variants, width(n)), np.uint8)
    loops.draw(one, two, np.zeros(4 * width(n), np.int8), keys, block)
    return decode(block, n)


def test_independent_genotypes_keep_hardy_weinberg_proportions() -> None:
    p, n = 0.3, 40_000
    dosage = drawn(p, n)
    for copies, share in ((0, (1 - p) ** 2), (1, 2 * p * (1 - p)), (2, p**2)):
        # 20 variants together: 5 standard errors.
        bound = 5 * np.sqrt(share * (1 - share) / dosage.size)
        assert abs((dosage == copies).mean() - share) < bound


def test_independent_genotypes_are_independent() -> None:
    dosage = drawn(0.4, 40_000)
    r = np.corrcoef(dosage)[np.triu_indices(20, 1)]
    assert np.abs(r).max() < 5 / np.sqrt(40_000)
    neighbours = np.corrcoef(dosage[:, :-1].ravel(), dosage[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 5 / np.sqrt(dosage.size)


def test_extremes_of_frequency_draw_one_genotype_only() -> None:
    assert set(np.unique(drawn(0.0, 99))) == {0.0}
    assert set(np.unique(drawn(1.0, 99))) == {2.0}


@given(SEEDS, st.integers(1, 40))
def test_packed_haplotypes_are_those_that_encode_makes_of_their_sums(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    haplotypes = rng.integers(0, 2, (7, 2 * n)).astype(np.uint8)
    first, second = np.full((2, 4 * width(n)), -1, np.int32)
    first[:n], second[:n] = rng.permutation(2 * n).reshape(2, n)
    block = np.empty((7, width(n)), np.uint8)
    loops.pack(haplotypes, first, second, block)
    sums = haplotypes[:, first[:n]] + haplotypes[:, second[:n]]
    np.testing.assert_array_equal(block, encode(sums.astype(np.float64)))


@given(SEEDS, st.integers(1, 40), st.floats(0, 0.9))
def test_lost_calls_are_of_members_only_and_change_nothing_else(
    seed: int, n: int, rate: float
) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 3, (9, n)).astype(np.float64)
    block = encode(before)
    members = np.flatnonzero(rng.random(n) < 0.5).astype(np.int32)
    loops.lose(block, members, np.full(9, rate), rng.integers(0, 2**64, 9, np.uint64))
    after = decode(block, n)
    lost = np.isnan(after)
    assert not lost[:, np.setdiff1d(np.arange(n), members)].any()
    np.testing.assert_array_equal(after[~lost], before[~lost])
    assert rate > 0 or not lost.any()


def test_calls_are_lost_at_their_rate_wherever_they_stand() -> None:
    n, rate = 30_000, 0.05
    block = encode(np.ones((8, n)))
    keys = np.random.default_rng(3).integers(0, 2**64, 8, np.uint64)
    loops.lose(block, np.arange(n, dtype=np.int32), np.full(8, rate), keys)
    lost = np.isnan(decode(block, n))
    bound = 5 * np.sqrt(rate * (1 - rate) / lost.size)
    assert abs(lost.mean() - rate) < bound
    first, last = lost[:, : n // 2].mean(), lost[:, n // 2 :].mean()
    assert abs(first - last) < 2 * bound * np.sqrt(2)
    both = (lost[:, 1:] & lost[:, :-1]).mean()
    assert abs(both - rate**2) < 5 * rate / np.sqrt(lost.size)


@given(SEEDS)
def test_gametes_are_those_of_a_walk_along_the_parents_haplotypes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    haplotypes = rng.integers(0, 2, (30, 8)).astype(np.uint8)
    position = np.sort(rng.choice(np.arange(1, 200), 30, replace=False))
    parent = rng.integers(0, 4, 5).astype(np.int32)
    each = [np.sort(rng.integers(2, 200, rng.poisson(2))) for _ in parent]
    each = [np.concatenate([np.full(rng.integers(0, 2), -1), e]).astype(np.int64) for e in each]
    start = np.cumsum([0, *map(len, each)])
    gametes = np.empty((30, 5), np.uint8)
    loops.pass_on(haplotypes, parent, start, np.concatenate(each), position, gametes)
    for g, crossings in enumerate(each):
        for v in range(30):
            which = sum(int(c <= position[v]) for c in crossings) % 2
            assert gametes[v, g] == haplotypes[v, 2 * parent[g] + which]
