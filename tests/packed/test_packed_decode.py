"""The 2-bit coding: round trips, the other allele, and that pad bits never count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.packed.counts import genotype_counts
from equipoise.packed.decode import absent, decode, encode, flip, people, width

DOSAGES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 5), st.integers(0, 13)),
    elements=st.sampled_from([0.0, 1.0, 2.0, np.nan]),
)


def slow_dosage(block: NDArray[np.uint8], variant: int, sample: int) -> float:
    code = int(block[variant, sample // 4]) >> 2 * (sample % 4) & 3
    return {0: 2.0, 1: np.nan, 2: 1.0, 3: 0.0}[code]


def dirty(block: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    return block | ~people(n)


@given(DOSAGES)
def test_decoding_gives_back_what_was_encoded(dosage: NDArray[np.float64]) -> None:
    block = encode(dosage)
    assert block.shape == (dosage.shape[0], width(dosage.shape[1]))
    np.testing.assert_array_equal(decode(block, dosage.shape[1]), dosage)
    np.testing.assert_array_equal(decode(block, dosage.shape[1], np.float32), dosage)


@given(DOSAGES)
def test_decoding_equals_the_slow_twin(dosage: NDArray[np.float64]) -> None:
    block = encode(dosage)
    slow = [[slow_dosage(block, v, s) for s in range(dosage.shape[1])] for v in range(len(dosage))]
    np.testing.assert_array_equal(decode(block, dosage.shape[1]), np.reshape(slow, dosage.shape))


@given(DOSAGES)
def test_the_flip_counts_the_other_allele_and_undoes_itself(dosage: NDArray[np.float64]) -> None:
    block, n = encode(dosage), dosage.shape[1]
    np.testing.assert_array_equal(decode(flip(block, n), n), 2 - dosage)
    np.testing.assert_array_equal(flip(flip(block, n), n), block)


@given(DOSAGES, st.data())
def test_counts_equal_the_slow_twin(dosage: NDArray[np.float64], data: st.DataObject) -> None:
    n = dosage.shape[1]
    keep = data.draw(st.none() | hnp.arrays(np.bool_, n))
    kept = dosage if keep is None else dosage[:, keep]
    slow = [(kept == 2).sum(1), (kept == 1).sum(1), (kept == 0).sum(1), np.isnan(kept).sum(1)]
    counts = genotype_counts(encode(dosage), n, keep)
    np.testing.assert_array_equal(counts, np.stack(slow, axis=1))
    assert counts.dtype == np.int64


@given(DOSAGES)
def test_pad_bits_never_count(dosage: NDArray[np.float64]) -> None:
    block, n = encode(dosage), dosage.shape[1]
    soiled = dirty(block, n)
    np.testing.assert_array_equal(decode(soiled, n), dosage)
    np.testing.assert_array_equal(genotype_counts(soiled, n), genotype_counts(block, n))
    np.testing.assert_array_equal(flip(soiled, n), flip(block, n))


@given(DOSAGES)
def test_what_is_made_here_has_zeros_in_the_pad_bits(dosage: NDArray[np.float64]) -> None:
    n = dosage.shape[1]
    for block in (encode(dosage), flip(encode(dosage), n), absent(3, n)):
        assert not np.any(block & ~people(n))


@given(st.integers(0, 4), st.integers(0, 9))
def test_absent_is_nobody_called(variants: int, samples: int) -> None:
    block = absent(variants, samples)
    assert np.isnan(decode(block, samples)).all()
    np.testing.assert_array_equal(
        genotype_counts(block, samples), np.tile((0, 0, 0, samples), (variants, 1))
    )


def test_the_bytes_are_those_of_plinks_documentation() -> None:
    # The example at cog-genomics.org/plink/1.9/formats#bed: dc 0f, e7 0f, 6b 01 for six people
    # G G, A A, 0 0, A A, A A, A A and so on; A1 is G, then 1, then A.
    block = np.array([[0xDC, 0x0F], [0xE7, 0x0F], [0x6B, 0x01]], np.uint8)
    nan = np.nan
    expected = [[2, 0, nan, 0, 0, 0], [0, nan, 1, 0, 0, 0], [0, 1, 1, nan, nan, 2]]
    np.testing.assert_array_equal(decode(block, 6), expected)


@pytest.mark.parametrize("value", [0.5, 3.0, -1.0, np.inf])
def test_only_hard_calls_are_encoded(value: float) -> None:
    with pytest.raises(ValueError, match="hard calls"):
        encode(np.array([[value]]))


def test_a_block_of_another_width_is_no_block_of_these_people() -> None:
    with pytest.raises(ValueError, match=r"\(variants, 2\)"):
        decode(np.zeros((1, 1), np.uint8), 5)
    with pytest.raises(ValueError, match="mask"):
        genotype_counts(absent(1, 5), 5, np.ones(4, np.bool_))
