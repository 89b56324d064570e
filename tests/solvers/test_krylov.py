"""Block Lanczos against numpy's dense eigenvalues, and what it does when nothing new is left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.solvers.krylov import Ritz, first_basis, next_basis, ritz, trace_of_square

Floats = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


def matrix(seed: int, size: int, rank: int) -> Floats:
    """Return a symmetric matrix without negative eigenvalues, of that rank."""
    draw = np.random.default_rng(seed).normal(size=(size, rank))
    return draw @ draw.T / max(rank, 1)


def lanczos(a: Floats, width: int, rounds: int, most: int) -> tuple[Floats, Floats, Ritz]:
    bases = first_basis(len(a), width, 3)[None]
    products = (a @ bases[-1])[None]
    for _ in range(rounds - 1):
        bases = np.concatenate([bases, next_basis(bases, products, 3)[None]])
        products = np.concatenate([products, (a @ bases[-1])[None]])
    return bases, products, ritz(bases, products, most)


@settings(max_examples=25)
@given(SEEDS, st.integers(0, 24), st.sampled_from([1, 2, 4]))
def test_all_directions_asked_for_give_all_eigenvalues_whatever_the_rank(
    seed: int, rank: int, width: int
) -> None:
    a = matrix(seed, 24, rank)
    bases, _, found = lanczos(a, width, 24 // width, 24)
    basis = np.concatenate(list(bases), axis=1)
    # The nudge is 2^-22 of the last block: what rounding leaves of that is below 2^-26.
    np.testing.assert_allclose(basis.T @ basis, np.eye(24), rtol=0, atol=2.0**-26)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(a)[::-1], rtol=0, atol=2.0**-20)
    assert found.residuals.max() < 2.0**-20


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([1, 2, 5]))
def test_an_eigenvalue_lies_within_the_residual_of_each_ritz_value(seed: int, width: int) -> None:
    a = matrix(seed, 60, 40)
    _, _, found = lanczos(a, width, 20 // width, 6)
    exact = np.linalg.eigvalsh(a)[::-1]
    assert np.all(found.values <= exact[:6] + 1e-9)  # from below; the rest is double rounding
    apart = np.abs(exact[:, None] - found.values[None]).min(axis=0)
    assert np.all(apart <= found.residuals + 1e-9)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=0), 1.0, rtol=1e-12)


def test_one_column_a_round_finds_more_than_wide_blocks_of_as_many_columns() -> None:
    a = matrix(4, 300, 300)
    exact = np.linalg.eigh(a)[1][:, -1]
    aside = []
    for width in (1, 4, 8):
        found = lanczos(a, width, 24 // width, 1)[2]
        aside.append(1 - abs(float(exact @ found.vectors[:, 0])))
    assert aside[0] < aside[1] < aside[2]


def test_the_residual_of_a_tie_does_not_depend_on_the_vectors_within_it() -> None:
    values = np.array([5.0, 3.0, 3.0, 1.0, 0.5, 0.25])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    a = turn @ np.diag(values) @ turn.T
    basis = turn[:, :3] + 0.01 * turn[:, 3:]
    basis = np.linalg.qr(basis)[0]
    inner = np.linalg.eigh(basis.T @ a @ basis)[1]
    mixed = inner.copy()
    mixed[:, :2] = inner[:, :2] @ np.array([[0.6, -0.8], [0.8, 0.6]])
    found = [ritz((basis @ w)[None], (a @ basis @ w)[None], 3).residuals for w in (inner, mixed)]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)


@given(SEEDS)
@settings(max_examples=10)
def test_the_trace_of_the_square_is_exact_in_as_many_directions_as_dimensions(seed: int) -> None:
    a = matrix(seed, 12, 9)
    first = first_basis(12, 12, 1)
    values, vectors = np.linalg.eigh(a)
    for known in (0, 1, 3):
        top, of = values[::-1][:known], vectors[:, ::-1][:, :known]
        found = trace_of_square(first, a @ first, top, of)
        assert found == pytest.approx(np.trace(a @ a), rel=1e-9)  # double rounding


def test_the_trace_of_the_square_is_as_accurate_as_it_says() -> None:
    a = matrix(5, 200, 200)
    eigen = np.linalg.eigvalsh(a)
    truth = float(eigen @ eigen)
    for width in (1, 4):
        firsts = [first_basis(200, width, seed) for seed in range(200)]
        none = np.zeros((200, 0))
        found = np.array([trace_of_square(v, a @ v, np.zeros(0), none) for v in firsts])
        said = np.sqrt(2 * (eigen**4).sum() / width)
        # Of 200 draws the mean has 1/14 of one's error, the deviation 5 % of itself; what is
        # said is for lengths that vary, and these have the same, which makes it less.
        assert abs(found.mean() - truth) < 4 * said / 14
        assert 0.6 * said < found.std() < 1.2 * said


def test_a_block_too_many_is_refused() -> None:
    bases = np.stack([np.eye(4)[:, :2], np.eye(4)[:, 2:]])
    with pytest.raises(ValueError, match="3 blocks of 2 columns do not fit 4"):
        next_basis(bases, bases, 1)
