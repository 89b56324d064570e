"""The eigenvector search against numpy's dense solver, in little memory and with ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.solvers.subspace import Pairs, Search, residuals

Matrix = NDArray[np.float64]


def symmetric(values: Matrix, seed: int) -> Matrix:
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return (q * values) @ q.T


def searched(a: Matrix, search: Search, most: int = 300, near: float = 1e-9) -> Pairs:
    pairs = search.answer(a @ search.asked)
    for _ in range(most):
        if not search.asked.shape[1] or pairs.residuals[: search.wanted].max() < near:
            break
        pairs = search.answer(a @ search.asked)
    return pairs


@given(
    st.integers(2, 40),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(0, 2**31),
    st.floats(0.5, 0.99),
)
def test_the_search_finds_what_the_dense_solver_finds(
    size: int, wanted: int, width: int, seed: int, decay: float
) -> None:
    wanted = min(wanted, size)
    a = symmetric(np.asarray(decay ** np.arange(size), np.float64), seed)
    search = Search(size, width, wanted + 2 * width + 3, wanted, seed)
    pairs = searched(a, search)
    expected = np.linalg.eigvalsh(a)[::-1]
    np.testing.assert_allclose(pairs.values[:wanted], expected[:wanted], atol=1e-8)
    vectors = search.vectors(wanted)
    np.testing.assert_allclose(a @ vectors, vectors * pairs.values[:wanted], atol=1e-7)
    # Residuals are what they say they are.
    _, true = residuals(vectors, a @ vectors)
    np.testing.assert_allclose(pairs.residuals[:wanted], true, atol=1e-8)


def test_restarts_keep_memory_small_and_lose_nothing() -> None:
    values = np.concatenate([[9.0, 4, 2], np.linspace(1, 0, 297)])
    a = symmetric(values, 1)
    small, large = Search(300, 4, 12, 3, 1), Search(300, 4, 300, 3, 1)
    for search in (small, large):
        pairs = searched(a, search)
        np.testing.assert_allclose(pairs.values[:3], values[:3], atol=1e-9)
    assert small.restarts > 0
    assert large.restarts == 0


def test_a_matrix_of_low_rank_ends_without_fault() -> None:
    x = np.random.default_rng(2).normal(size=(3, 50))
    a = x.T @ x
    search = Search(50, 4, 50, 6, 1)
    pairs = searched(a, search, near=0.0)
    expected = np.linalg.eigvalsh(a)[::-1][:7]
    np.testing.assert_allclose(pairs.values, expected, atol=1e-8)
    assert not search.asked.shape[1]
    with pytest.raises(ValueError, match="nothing was asked"):
        search.answer(np.zeros((50, 0)))


def test_of_tied_eigenvalues_the_plane_is_found() -> None:
    a = symmetric(np.array([5.0, 5, 3, *np.linspace(1, 0, 37)]), 3)
    search = Search(40, 2, 12, 2, 1)
    pairs = searched(a, search)
    np.testing.assert_allclose(pairs.values[:2], 5, atol=1e-9)
    vectors = search.vectors(2)
    np.testing.assert_allclose(a @ vectors, 5 * vectors, atol=1e-6)


def test_the_same_seed_asks_the_same_and_zero_is_no_fault() -> None:
    one, two = (Search(9, 2, 8, 2, 7) for _ in range(2))
    np.testing.assert_array_equal(one.asked, two.asked)
    pairs = searched(np.zeros((9, 9)), one)
    np.testing.assert_allclose(pairs.values, 0, atol=1e-12)


def test_a_basis_that_cannot_grow_is_refused() -> None:
    with pytest.raises(ValueError, match="4 columns for 2 vectors"):
        Search(100, 2, 4, 2, 1)
