"""Products of standardised genotypes beside plain matrices in double precision."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from equipoise.packed import standardised
from equipoise.packed.decode import encode


@given(st.integers(1, 150), st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**31))
def test_products_equal_those_of_plain_matrices(n: int, m: int, k: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    dosage = draw.integers(0, 3, (m, n)).astype(np.float64)
    dosage[draw.random((m, n)) < 0.1] = np.nan
    mean = draw.uniform(0.1, 1.9, m)
    x = np.nan_to_num((dosage - mean[:, None]) / np.sqrt(mean * (1 - mean / 2))[:, None])
    block, values = encode(dosage), standardised.values_of(mean)
    v, y = draw.normal(size=(m, k)), draw.normal(size=(n, k))
    # Single precision: 2^-24 a term, and terms are of size 1 to 10.
    found = standardised.scores(block, n, values, v.astype(np.float32))
    np.testing.assert_allclose(found, v.T @ x, atol=1e-4)
    found = standardised.loadings(block, n, values, y.astype(np.float32))
    np.testing.assert_allclose(found, x @ y, atol=2e-4)
    np.testing.assert_allclose(standardised.standardise(dosage, mean), x, atol=1e-5)


def test_more_people_than_a_tile_are_all_counted() -> None:
    n = 2 * standardised.PEOPLE + 3
    draw = np.random.default_rng(1)
    dosage = draw.integers(0, 3, (standardised.VARIANTS + 1, n)).astype(np.float64)
    mean = np.full(len(dosage), 1.0)
    x = (dosage - 1) / np.sqrt(0.5)
    y = draw.normal(size=(n, 2))
    values = standardised.values_of(mean)
    found = standardised.loadings(encode(dosage), n, values, y.astype(np.float32))
    np.testing.assert_allclose(found, x @ y, atol=2e-3)
    v = draw.normal(size=(len(dosage), 2))
    found = standardised.scores(encode(dosage), n, values, v.astype(np.float32))
    np.testing.assert_allclose(found, v.T @ x, atol=1e-4)
