"""Products with columns, G'B: exact, the same by either way, and blind to pad bits."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.packed import product as module
from equipoise.packed.counts import cell_counts
from equipoise.packed.decode import Block, decode, encode, people, valued
from equipoise.packed.gram import gram
from equipoise.packed.product import (
    Columns,
    Digits,
    Of,
    by_floats,
    columns,
    not_called,
    product,
    products_not_called,
)

KINDS: tuple[Of, ...] = ("dosage", "square", "not called")


def genotypes(seed: int, variants: int, samples: int) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).choice([0.0, 1.0, 2.0, np.nan], (variants, samples))
    return np.asarray(drawn, np.float64)


def of_kind(dosage: NDArray[np.float64], of: Of) -> NDArray[np.float64]:
    if of == "not called":
        return np.isnan(dosage).astype(np.float64)
    called = np.nan_to_num(dosage)
    return called**2 if of == "square" else called


CASES = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(0, 40),
    # Around whole bytes, vectors (256 people) and parts of a variant (5,120).
    st.one_of(st.integers(1, 20), st.sampled_from([255, 256, 257, 1023, 5119, 5120, 5121, 8500])),
    st.integers(0, 8),
)


def whole_product(block: Block, held: Columns, of: Of = "dosage") -> NDArray[np.int64]:
    """Return the sums in units of each column's grid, powers of two: exact."""
    return (product(block, held, of) / held.grid).astype(np.int64)


def assert_same_without_the_instruction(block: Block, held: Columns, of: Of) -> None:
    expected = whole_product(block, held, of)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equipoise.packed.product.byte_products", lambda: False)
        np.testing.assert_array_equal(whole_product(block, held, of), expected)


@settings(max_examples=60, deadline=None)
@given(CASES, st.sampled_from(KINDS), st.sampled_from((3, 4)))
def test_products_are_the_exact_sums(
    case: tuple[int, int, int, int], of: Of, digits: Digits
) -> None:
    seed, variants, samples, n = case
    dosage = genotypes(seed, variants, samples)
    values = np.random.default_rng(seed + 1).standard_normal((samples, n)) * 1e3
    # A column at both of its ends, with every digit at its own.
    values[:, :1] = np.where(values[:, :1] > 0, 1.0, -1.0) * (1 - 2.0**-22)
    held = columns(values, samples, digits=digits)
    assert np.abs(held.whole * held.grid - values).max(initial=0) <= held.grid.max(initial=0) / 2
    assert_same_without_the_instruction(encode(dosage), held, of)
    expected = of_kind(dosage, of).astype(np.int64) @ held.whole
    np.testing.assert_array_equal(whole_product(encode(dosage), held, of), expected)
    np.testing.assert_array_equal(product(encode(dosage), held, of), expected * held.grid)


@settings(max_examples=30, deadline=None)
@given(CASES, st.sampled_from(KINDS))
def test_a_processor_without_the_instruction_gives_the_same(
    case: tuple[int, int, int, int], of: Of
) -> None:
    seed, variants, samples, n = case
    block = encode(genotypes(seed, variants, samples))
    held = columns(np.random.default_rng(seed).uniform(-1, 1, (samples, n)), samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equipoise.packed.product._EXACT", 1024)
        slow = by_floats(block, held.digits, of)
    np.testing.assert_array_equal(module.multiply_rows(block, held.digits, samples, of), slow)


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_who_is_not_called_is_found_one_by_one(case: tuple[int, int, int, int]) -> None:
    seed, variants, samples, n = case
    block = encode(genotypes(seed, variants, samples))
    held = columns(np.random.default_rng(seed).uniform(-1, 1, (samples, n)), samples)
    np.testing.assert_array_equal(not_called(block, held), product(block, held, "not called"))


def test_products_of_columns_over_who_is_not_called() -> None:
    dosage = genotypes(1, 7, 37)
    held = np.random.default_rng(2).standard_normal((37, 3))
    missing = np.isnan(dosage).astype(np.float64)
    expected = np.einsum("vi,ip,iq->vpq", missing, held, held)
    np.testing.assert_allclose(products_not_called(encode(dosage), held), expected, atol=1e-12)


def test_pad_bits_and_people_of_no_column_add_nothing() -> None:
    dosage = genotypes(3, 5, 30)
    block = encode(dosage)
    rows = np.array([29, 4, 11])
    values = np.array([[1.0], [2.0], [-3.0]])
    held = columns(values, 30, rows)
    expected = np.nan_to_num(dosage[:, rows]) @ values
    np.testing.assert_array_equal(product(block | ~people(30), held), expected)
    np.testing.assert_array_equal(
        not_called(block | (~people(30) & np.uint8(0x55)), held), np.isnan(dosage[:, rows]) @ values
    )


def test_a_block_of_memory_in_steps_is_read_right() -> None:
    dosage = genotypes(5, 12, 300)
    block, held = encode(dosage), columns(np.arange(300.0)[:, None], 300)
    np.testing.assert_array_equal(product(block[::3], held), product(block, held)[::3])
    np.testing.assert_array_equal(
        cell_counts(block[::3], 300, np.ones((1, 300), np.bool_))[0],
        cell_counts(block, 300, np.ones((1, 300), np.bool_))[0, ::3],
    )


def test_threads_side_by_side_give_the_exact_sums() -> None:
    dosage = genotypes(8, 64, 9000)
    block, held = encode(dosage), columns(np.arange(9000.0 * 7).reshape(9000, 7), 9000)
    expected = np.nan_to_num(dosage).astype(np.int64) @ held.whole
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: whole_product(block, held), range(200)))
    for one in found:
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("digits", [3, 4])
def test_columns_are_pickled_without_their_digits_and_multiply_the_same(digits: Digits) -> None:
    dosage = genotypes(9, 5, 3000)
    held = columns(np.random.default_rng(1).standard_normal((3000, 4)), 3000, digits=digits)
    sent = pickle.dumps(held)
    assert len(sent) < 2 * held.whole.nbytes
    back = pickle.loads(sent)
    assert back.places == digits
    assert back.digits.ctypes.data % 64 == 0
    np.testing.assert_array_equal(product(encode(dosage), back), product(encode(dosage), held))


@pytest.mark.parametrize(("digits", "bits"), [(3, 22), (4, 30)])
def test_the_grid_follows_from_the_bound_and_not_from_the_values(digits: Digits, bits: int) -> None:
    values, bound = np.array([[0.3], [-0.1]]), np.array([8.0])
    narrow, wide = columns(values, 2, digits=digits), columns(values, 2, None, bound, digits)
    assert narrow.grid[0] == 2.0 ** (-1 - bits)
    assert wide.grid[0] == 2.0 ** (3 - bits)
    parts = [columns(values[i : i + 1], 2, np.array([i]), bound, digits).whole for i in (0, 1)]
    np.testing.assert_array_equal(parts[0] + parts[1], wide.whole)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_column_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        columns(np.array([[value]]), 1)


def test_a_column_beyond_its_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond its bound"):
        columns(np.array([[2.0]]), 1, bounds=np.array([1.0]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(0, 3))
def test_counts_of_cells_are_those_of_the_decoded(seed: int, samples: int, cells: int) -> None:
    dosage = genotypes(seed, 6, samples)
    masks = np.random.default_rng(seed).random((cells, samples)) < 0.5
    counted = cell_counts(encode(dosage) | ~people(samples), samples, masks)
    for mask, found in zip(masks, counted, strict=True):
        part = dosage[:, mask]
        slow = [(part == 2).sum(1), (part == 1).sum(1), (part == 0).sum(1), np.isnan(part).sum(1)]
        np.testing.assert_array_equal(found, np.stack(slow, axis=1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from(KINDS))
def test_a_gram_is_the_exact_product_of_variants(seed: int, samples: int, of: Of) -> None:
    left, right = genotypes(seed, 9, samples), genotypes(seed + 1, 7, samples)
    keep = np.random.default_rng(seed).random(samples) < 0.7
    expected = (of_kind(left, of) * keep) @ np.nan_to_num(right).T
    found = gram(encode(left), encode(right), samples, keep, (of, "dosage"))
    np.testing.assert_array_equal(found, expected.astype(np.int64))


@given(
    hnp.arrays(np.float64, (3, 4), elements=st.floats(-5, 5)), st.sampled_from([1, 2, 4, 7, 1000])
)
@settings(deadline=None)
def test_decoding_to_values_is_a_table(values: NDArray[np.float64], samples: int) -> None:
    dosage = genotypes(samples, 3, samples)
    place = np.where(np.isnan(dosage), 1, np.nan_to_num(2 - dosage) + (dosage < 2)).astype(int)
    expected = np.take_along_axis(values, place, axis=1)
    np.testing.assert_array_equal(valued(encode(dosage), samples, values), expected)
    single = valued(encode(dosage), samples, values, np.float32)
    np.testing.assert_array_equal(single, expected.astype(np.float32))
    assert np.array_equal(np.isnan(decode(encode(dosage), samples)), np.isnan(dosage))
