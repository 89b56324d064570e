"""Genotypes in common: the products of indicators equal comparing one pair after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.packed.concordance import calls, shared
from equipoise.packed.decode import encode


def called(samples: int, variants: int = 7) -> st.SearchStrategy[NDArray[np.int8]]:
    return hnp.arrays(np.int8, (variants, samples), elements=st.integers(-1, 2))


@given(called(3), called(4))
def test_the_products_equal_the_slow_twin(left: NDArray[np.int8], right: NDArray[np.int8]) -> None:
    same, both = shared(left, right)
    for i in range(3):
        for j in range(4):
            in_both = (left[:, i] >= 0) & (right[:, j] >= 0)
            assert both[i, j] == in_both.sum()
            assert same[i, j] == (in_both & (left[:, i] == right[:, j])).sum()


@given(called(5))
def test_everybody_agrees_with_themselves(own: NDArray[np.int8]) -> None:
    same, both = shared(own, own)
    np.testing.assert_array_equal(np.diag(same), (own >= 0).sum(axis=0))
    np.testing.assert_array_equal(np.diag(same), np.diag(both))
    np.testing.assert_array_equal(same, same.T)


@given(called(6))
def test_calls_are_what_was_encoded(own: NDArray[np.int8]) -> None:
    dosage = np.where(own < 0, np.nan, own)
    np.testing.assert_array_equal(calls(encode(dosage), 6), own)


def test_people_are_compared_at_the_same_variants() -> None:
    with pytest.raises(ValueError, match="2 variants on the left, 1 on the right"):
        shared(np.zeros((2, 1), np.int8), np.zeros((1, 1), np.int8))
