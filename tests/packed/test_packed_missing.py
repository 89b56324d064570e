"""Missing calls by person: equal to decoding and counting, whatever the pad bits hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.packed.decode import absent, decode, encode, people
from equipoise.packed.missing import missing_counts

DOSAGES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 6), st.integers(0, 13)),
    elements=st.sampled_from([0.0, 1.0, 2.0, np.nan]),
)


@given(DOSAGES)
def test_missing_calls_equal_the_slow_twin(dosage: NDArray[np.float64]) -> None:
    counts = missing_counts(encode(dosage), dosage.shape[1])
    np.testing.assert_array_equal(counts, np.isnan(dosage).sum(axis=0))
    assert counts.dtype == np.int64


@given(DOSAGES)
def test_pad_bits_are_nobody(dosage: NDArray[np.float64]) -> None:
    block, n = encode(dosage), dosage.shape[1]
    for soil in (np.uint8(0b01010101), np.uint8(0xFF)):
        soiled = block | ~people(n) & soil
        np.testing.assert_array_equal(missing_counts(soiled, n), missing_counts(block, n))


@pytest.mark.parametrize("variants", [254, 255, 256, 511, 1000])
def test_more_variants_than_a_byte_counts_are_all_counted(variants: int) -> None:
    assert missing_counts(absent(variants, 5), 5).tolist() == [variants] * 5
    block = np.random.default_rng(1).integers(0, 256, (variants, 3), np.uint8)
    slow = np.isnan(decode(block, 11)).sum(axis=0)
    np.testing.assert_array_equal(missing_counts(block, 11), slow)


def test_a_block_of_other_people_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(variants, 2\)"):
        missing_counts(np.zeros((1, 1), np.uint8), 5)
