"""Encrypted scores: right to 1e-5, and what cannot be scored, or by what library, is refused."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import FaultError, InputError, ProtocolError
from equipoise.protections.score_ring import DEGREE, PRIMES
from equipoise.protections.score_scheme import (
    Model,
    answer,
    encoded,
    error_bound,
    group_size,
    noise,
)
from protections.score_draws import ask, draws, extreme, scored

pytest.importorskip("tenseal")
from equipoise.protections import score_key
from equipoise.protections.score_key import Key


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


@settings(max_examples=12)
@given(st.sampled_from([1, 2, 77, 4096, 4097, 8192, 8193, 20_000]), st.integers(0, 99))
def test_scores_are_right_for_every_number_of_weights(n: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    people = int(draw.integers(1, min(group_size(n), 9) + 1))
    weights = extreme(n, seed)
    dosage = np.where(
        draw.random((people, n)) < 0.5, draw.binomial(2, 0.3, (people, n)), draw.random((people, n))
    )
    found = scored(Key(), weights, dosage, seed)
    assert np.abs(found - dosage @ weights).max() <= error_bound(weights) < 1e-5


@pytest.mark.parametrize("kind", ["random", "extreme", "same sign"])
def test_scores_by_110_000_weights_are_right(key: Key, kind: str) -> None:
    n = 110_000
    weights = extreme(n, 5) if kind != "random" else np.random.default_rng(5).normal(0, 0.01, n)
    if kind == "same sign":
        weights = np.abs(weights)
    dosage = np.random.default_rng(6).binomial(2, 0.3, (1, n)).astype(float)
    if kind == "same sign":
        dosage[:] = 2
    found = scored(key, weights, dosage)
    assert np.abs(found - dosage @ weights).max() <= error_bound(weights) < 1e-5


def test_people_who_share_a_ciphertext_get_their_own_scores(key: Key) -> None:
    n = 77
    draw = np.random.default_rng(2)
    dosage = draw.binomial(2, 0.4, (group_size(n), n)).astype(float)
    weights = extreme(n, 2)
    together = scored(key, weights, dosage)
    assert np.abs(together - dosage @ weights).max() < 1e-5
    changed = dosage.copy()
    changed[1] = 2 - changed[1]
    again = scored(key, weights, changed)
    others = np.arange(len(dosage)) != 1
    assert np.abs(again - together)[others].max() < 1e-5
    assert abs(again[1] - together[1]) > 1e-3


def test_weights_that_cannot_be_exact_are_refused() -> None:
    for weights in ([np.nan], [np.inf], [-(2.0**22)], [2.0**20] * 3):
        with pytest.raises(InputError, match="cannot be scored encrypted"):
            Model.of(np.array(weights))


def test_dosages_out_of_range_are_no_genotypes() -> None:
    for wrong in (-0.1, 2.1, np.nan):
        with pytest.raises(ValueError, match="from 0 to 2"):
            next(encoded(np.array([[1.0, wrong]]), 2))
    with pytest.raises(ValueError, match="of shape"):
        next(encoded(np.ones((2, 8192)), 8192))


def test_answers_to_another_key_are_noticed(key: Key) -> None:
    """Numbers at random are beyond any score in half the cases: 40 people miss it never."""
    asked = ask(key, np.ones((40, 50)))
    answered = answer(Model.of(extreme(50, 1)), asked, 40, draws(1))
    with pytest.raises(ProtocolError, match="no score can be"):
        Key().scores(answered, 50)


# The library beneath


@pytest.mark.parametrize(
    "written",
    [
        bytes(2 * 8 * DEGREE),  # nothing was encrypted
        np.full(2 * DEGREE, 5, "<u8").tobytes(),  # it is laid out in another way
        np.random.default_rng(1).integers(0, PRIMES[-1], 2 * DEGREE).astype("<u8").tobytes(),
    ],
)
def test_another_version_of_seal_ends_in_an_error(
    written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_key, "_coefficients", lambda _: written)
    with pytest.raises(FaultError, match="this version of TenSEAL"):
        Key()


def test_noise_that_comes_twice_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    again = noise(draws(1))
    monkeypatch.setattr(Key, "_noise", lambda _: again)
    with pytest.raises(FaultError, match="this version of TenSEAL"):
        Key()


def test_where_tenseal_is_absent_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(InputError, match=r"pip install 'equipoise\[encrypted\]'"):
        Key()


def test_the_owner_needs_no_tenseal() -> None:
    """What came over the wire can reach no loader of SEAL where there is none."""
    code = (
        "import sys; sys.modules.update(tenseal=None, zstandard=None, nvflare=None);"
        " import equipoise.tools.encrypted_scoring.server, equipoise.cli.federating;"
        " print(*sorted(m for m in sys.modules if 'score_key' in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ""
