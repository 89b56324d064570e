"""Sums by cell: exact, the same by either way and in any pieces, and blind to who is in none."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.packed import cell_sums as sums_module
from equipoise.packed import cells as module
from equipoise.packed.cell_sums import cell_sums
from equipoise.packed.cells import cells_of, columns_of
from equipoise.packed.decode import encode, people

Array = NDArray[np.float64]
Found = tuple[Array, Array]


@dataclass(frozen=True)
class Made:
    """A block and its people, as drawn; means are multiples of 1/16, so that sums are exact."""

    dosage: Array
    rows: NDArray[np.int64]
    cell: NDArray[np.int64]
    n_cells: int
    whole: NDArray[np.int64]
    mean: Array
    used: NDArray[np.bool_]
    weights: NDArray[np.int64] | None

    def found(self, linkage: bool = True, spoil: int = 0) -> Found:
        samples = self.dosage.shape[1]
        cells = cells_of(samples, self.rows, self.cell, self.n_cells)
        grid = np.full(self.whole.shape[1], 0.5)
        columns = columns_of(cells, self.whole, grid, self.weights)
        block = encode(self.dosage) | (~people(samples) & np.uint8(spoil))
        return cell_sums(block, cells, columns, self.mean, self.used, linkage)

    def twin(self) -> Found:
        """Return the same from decoded dosages, one cell at a time."""
        g = np.where(np.isnan(self.dosage), self.mean[:, None], self.dosage) * self.used[:, None]
        sets = [np.ones(g.shape[1])] if self.weights is None else list(self.weights.astype(float))
        upper = np.triu_indices(len(g))
        grams = np.zeros((len(sets), self.n_cells, len(upper[0])))
        sums = np.zeros((len(sets), self.n_cells, len(g), self.whole.shape[1]))
        for s, w in enumerate(sets):
            for c in range(self.n_cells):
                who = self.rows[self.cell == c]
                weighted = g[:, who] * w[who]
                grams[s, c] = (weighted @ g[:, who].T)[upper]
                sums[s, c] = weighted @ (self.whole[who] * 0.5)
        return grams, sums


@st.composite
def made(draw: st.DrawFn) -> Made:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Around whole bytes, vectors (256 people) and tiles of 2,048.
    sizes = st.one_of(st.integers(1, 30), st.sampled_from([255, 256, 257, 1023, 4097]))
    samples, variants = draw(sizes), draw(st.integers(0, 30))
    dosage = rng.choice([0.0, 1.0, 2.0], (variants, samples))
    dosage[rng.random(dosage.shape) < draw(st.sampled_from([0.0, 0.01, 0.5]))] = np.nan
    rows = rng.permutation(samples)[: int(rng.integers(0, samples + 1))]
    n_cells = draw(st.integers(1, 6))
    most = draw(st.sampled_from([0, 1, 32, 33, 1024]))
    return Made(
        dosage,
        rows,
        rng.integers(-1, n_cells, len(rows)),
        n_cells,
        rng.integers(-(2**20), 2**20, (samples, draw(st.integers(0, 3)))),
        rng.integers(0, 33, variants) / 16,
        rng.random(variants) < 0.8,
        rng.integers(0, most + 1, (2, samples)) if most else None,
    )


def same(one: Found, other: Found) -> None:
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@settings(max_examples=80, deadline=None)
@given(made())
def test_sums_are_exactly_those_of_decoded_dosages(case: Made) -> None:
    same(case.found(), case.twin())


@settings(max_examples=30, deadline=None)
@given(made())
def test_the_diagonal_alone_is_that_of_the_whole(case: Made) -> None:
    gram, sums = case.twin()
    i = np.arange(len(case.dosage))
    diagonal = i * len(i) - i * (i - 1) // 2
    same(case.found(linkage=False), (gram[..., diagonal], sums))


@settings(max_examples=30, deadline=None)
@given(made())
def test_a_processor_without_the_instruction_gives_the_same(case: Made) -> None:
    expected = case.found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums_module, "byte_products", lambda: False)
        same(case.found(), expected)


@settings(max_examples=30, deadline=None)
@given(made())
def test_people_in_pieces_give_the_same(case: Made) -> None:
    expected = case.found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PEOPLE_AT_ONCE", 256)
        same(case.found(), expected)


@settings(max_examples=20, deadline=None)
@given(made(), st.integers(0, 255))
def test_pad_bits_add_nothing(case: Made, spoil: int) -> None:
    same(case.found(spoil=spoil), case.found())


def test_threads_side_by_side_give_the_same() -> None:
    rng = np.random.default_rng(3)
    dosage = rng.choice([0.0, 1.0, 2.0, np.nan], (40, 5000))
    case = Made(
        dosage,
        np.arange(5000),
        rng.integers(0, 4, 5000),
        4,
        rng.integers(-9, 9, (5000, 2)),
        np.full(40, 0.5),
        np.ones(40, np.bool_),
        None,
    )
    expected = case.twin()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: case.found(), range(20)):
            same(found, expected)


def test_the_largest_sums_of_a_piece_are_exact() -> None:
    """Everybody has two alleles, and the largest digit and weight: nothing runs over."""
    n = module.PEOPLE_AT_ONCE
    cells = cells_of(n, np.arange(n), np.zeros(n, np.int64), 1)
    block = np.zeros((1, n // 4), np.uint8)
    whole = np.full((n, 1), -(2**31 - 1), np.int64)
    weights = np.full((1, n), 1 << 2 * module.WEIGHT_BITS, np.int64)
    columns = columns_of(cells, whole, np.ones(1), weights)
    for found in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not found:
                patch.setattr(sums_module, "byte_products", lambda: False)
            gram, sums = cell_sums(block, cells, columns, np.ones(1), np.ones(1, np.bool_))
        assert gram.item() == 4 * 1024 * n
        assert sums.item() == -2 * 1024 * n * float(2**31 - 1)


@pytest.mark.parametrize("samples", [0, 3, 300])
def test_cells_without_anybody_have_no_sums(samples: int) -> None:
    none = np.zeros(0, np.int64)
    cells = cells_of(samples, none, none, 2)
    columns = columns_of(cells, np.ones((samples, 1), np.int64), np.ones(1))
    block = np.full((3, (samples + 3) // 4), 0b01_01_01_01, np.uint8)
    gram, sums = cell_sums(block, cells, columns, np.ones(3), np.ones(3, np.bool_))
    assert (gram.shape, sums.shape) == ((1, 2, 6), (1, 2, 3, 1))
    assert not gram.any()
    assert not sums.any()


@pytest.mark.parametrize("weight", [-1, 1025])
def test_weights_out_of_range_are_refused(weight: int) -> None:
    cells = cells_of(4, np.arange(4), np.zeros(4, np.int64), 1)
    with pytest.raises(ValueError, match="from 0 to 2"):
        columns_of(cells, np.ones((4, 1), np.int64), np.ones(1), np.full((1, 4), weight))


def test_blocks_of_other_people_are_refused() -> None:
    cells = cells_of(40, np.arange(40), np.zeros(40, np.int64), 1)
    columns = columns_of(cells, np.ones((40, 1), np.int64), np.ones(1))
    with pytest.raises(ValueError, match="40 samples"):
        cell_sums(np.zeros((1, 3), np.uint8), cells, columns, np.ones(1), np.ones(1, np.bool_))
