"""Sparse weights: the same as the dense ones they were made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise.solvers.sparse_weights import SparseWeights, beside, sparse

DENSE = arrays(np.float64, (9, 4), elements=st.sampled_from([0.0, 0.0, 1.5, -2.0]))
LABELS = ["a", "b", "c", "d"]


def made(dense: np.ndarray) -> SparseWeights:
    return sparse([dense[:2], dense[2:2], dense[2:]], LABELS)


@given(DENSE, st.integers(0, 9), st.integers(0, 9))
def test_what_was_put_in_comes_out(dense: np.ndarray, one: int, other: int) -> None:
    held = made(dense)
    start, stop = min(one, other), max(one, other)
    np.testing.assert_array_equal(held.dense(start, stop), dense[start:stop])
    assert np.all(held.weight != 0)


@given(DENSE, arrays(np.float64, 4, elements=st.floats(-3, 3)))
def test_a_mixture_is_the_product(dense: np.ndarray, mixture: np.ndarray) -> None:
    np.testing.assert_allclose(made(dense).combined(mixture), dense @ mixture, atol=1e-12)


@given(DENSE, st.permutations(range(4)), st.integers(1, 4))
def test_chosen_candidates_come_in_the_order_given(
    dense: np.ndarray, order: list[int], n: int
) -> None:
    found = made(dense).chosen(order[:n])
    np.testing.assert_array_equal(found.dense(0, 9), dense[:, order[:n]])
    assert found.labels == tuple(LABELS[c] for c in order[:n])


@given(DENSE, DENSE)
def test_candidates_of_two_sets_stand_beside_one_another(
    one: np.ndarray, other: np.ndarray
) -> None:
    found = beside([made(one), made(other)])
    np.testing.assert_array_equal(found.dense(0, 9), np.concatenate([one, other], axis=1))
    assert found.labels == (*LABELS, *LABELS)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="one for each label"):
        sparse([np.ones((2, 3))], LABELS)
    with pytest.raises(ValueError, match="other variants"):
        beside([made(np.ones((9, 4))), sparse([np.ones((8, 4))], LABELS)])
