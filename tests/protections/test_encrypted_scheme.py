"""Words come back from sums of their ciphertexts exactly, or not at all."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import ProtocolError
from equipoise.protections import encrypted_scheme as scheme
from protections.encrypted_rounds import INSTALLED, RAW

pytestmark = INSTALLED


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=3), min_size=3))
def test_digits_of_words_add_up_to_the_words(words: list[list[int]]) -> None:
    sums = np.sum([scheme.digits(np.array(w, np.uint64)) for w in words], axis=0, dtype=np.uint64)
    expected = [sum(column) % 2**64 for column in zip(*words, strict=True)]
    assert scheme.words_of(sums, 3, len(words)).tolist() == expected


def test_the_worst_error_of_most_sites_decrypts_rightly_by_the_bound() -> None:
    """The bound of the docstring, from the library's own primes: |error| < q / (2 t)."""
    seal = scheme.library("tenseal.sealapi")
    q, special = (p.value() for p in seal.CoeffModulus.Create(scheme.DEGREE, list(scheme.PRIMES)))
    assert q == scheme.Q
    assert sum(scheme.PRIMES) <= seal.CoeffModulus.MaxBitCount(
        scheme.DEGREE, seal.SEC_LEVEL_TYPE.TC128
    )
    fresh = 21 * (2 * scheme.DEGREE + 1) / special + (1 + scheme.DEGREE) / 2 + 0.5
    for n_sites in range(3, scheme.MOST_SITES + 1):
        t = seal.PlainModulus.Batching(scheme.DEGREE, scheme.modulus_bits(n_sites)).value()
        assert n_sites * (2**32 - 1) < t
        assert t / 2 > 2**32  # what is encoded counts as signed
        assert fresh * n_sites < q / (2 * t)


def test_sums_of_most_sites_at_their_greatest_are_exact() -> None:
    n = scheme.MOST_SITES
    secret = scheme.SecretKey(n)
    words = np.full(2048, 2**64 - 1, np.uint64)
    part = scheme.coefficients(scheme.PublicKey(secret.public(), n).encrypt(words), 2048)
    total = np.zeros_like(part)
    for _ in range(n):  # one ciphertext over and over: its error adds up in the worst way
        scheme.add(total, part)
    assert np.array_equal(secret.decrypt(total.tobytes(), 2048), words * np.uint64(n))


def test_too_much_noise_decrypts_wrongly_without_an_error_and_is_refused_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Doubled 24 times, the error is beyond q / (2 t): TenSEAL says nothing, the keeper does."""
    secret = scheme.SecretKey(4)
    words = np.zeros(2048, np.uint64)
    total = scheme.coefficients(scheme.PublicKey(secret.public(), 4).encrypt(words), 2048).copy()
    for _ in range(24):
        scheme.add(total, total.copy())
    with pytest.raises(ProtocolError, match="too much noise"):
        secret.decrypt(total.tobytes(), 2048)
    found: list[Any] = []
    monkeypatch.setattr(scheme, "words_of", lambda sums, *_: found.append(sums))
    unchecked: Any = secret
    unchecked._decryptor = type("Blind", (), {"invariant_noise_budget": lambda *_: 1})()
    unchecked.decrypt(total.tobytes(), 2048)
    assert found[0].any()  # not the zeros that were encrypted


def test_a_modulus_too_large_decrypts_wrongly_without_an_error_in_tenseal() -> None:
    """What the choice of parameters avoids: 50 bits of plain modulus over a prime of 54."""
    tenseal, seal = scheme.library(), scheme.library("tenseal.sealapi")
    t = seal.PlainModulus.Batching(scheme.DEGREE, 50).value()
    kind = tenseal.SCHEME_TYPE.BFV
    own = tenseal.context(kind, scheme.DEGREE, plain_modulus=t, coeff_mod_bit_sizes=[54, 54])
    vector = tenseal.bfv_vector(own, [1] * scheme.DEGREE)
    assert vector.decrypt() != [1] * scheme.DEGREE


@pytest.mark.parametrize(
    "change",
    [
        lambda sums, n: sums.__setitem__(0, n * (2**32 - 1) + 1),
        lambda sums, n: sums.__setitem__(-1, 1),
    ],
    ids=["a digit too large", "an empty slot filled"],
)
def test_what_no_digits_add_up_to_is_refused(change: Any) -> None:
    sums = scheme.digits(np.arange(5, dtype=np.uint64)).reshape(-1)
    scheme.words_of(sums, 5, 3)
    change(sums, 3)
    with pytest.raises(ProtocolError, match="no sum of digits"):
        scheme.words_of(sums, 5, 3)


@given(st.lists(st.integers(0, scheme.Q - 1), min_size=2, max_size=2), st.booleans())
def test_coefficients_add_up_modulo_q(pair: list[int], last: bool) -> None:
    total, part = (np.array([scheme.Q - 1 if last else v], np.uint64) for v in pair)
    expected = (int(total[0]) + int(part[0])) % scheme.Q
    scheme.add(total, part)
    assert int(total[0]) == expected


def test_random_coefficients_are_refused_or_decrypt_to_nothing_but_never_crash() -> None:
    secret, draw = scheme.SecretKey(4), np.random.default_rng(3)
    for _ in range(20):
        with pytest.raises(ProtocolError):
            secret.decrypt(draw.integers(0, scheme.Q, RAW // 8, dtype=np.uint64).tobytes(), 2048)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(8), bytes(RAW - 8), bytes(RAW + 8), scheme.Q.to_bytes(8, "little") * (RAW // 8)],
)
def test_a_block_that_is_no_ciphertext_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        scheme.coefficients(data, 7)


def test_a_key_of_other_parameters_is_refused() -> None:
    tenseal, seal = scheme.library(), scheme.library("tenseal.sealapi")
    good = scheme.SecretKey(4)
    scheme.PublicKey(good.public(), 4)
    with pytest.raises(ProtocolError, match="other parameters"):
        scheme.PublicKey(good.public(), 5)  # too small a modulus for five
    t = seal.PlainModulus.Batching(scheme.DEGREE, 35).value()
    for bits in ([60, 48], [54, 54]):
        other = tenseal.context(
            tenseal.SCHEME_TYPE.BFV, scheme.DEGREE, plain_modulus=t, coeff_mod_bit_sizes=bits
        )
        public = other.serialize(save_public_key=True, save_secret_key=False)
        with pytest.raises(ProtocolError, match="other parameters"):
            scheme.PublicKey(public, 4)
    private: Any = good
    with_secret = private._context.serialize(save_public_key=True, save_secret_key=True)
    with pytest.raises(ProtocolError):
        scheme.PublicKey(with_secret, 4)
    with pytest.raises(ProtocolError, match="too large"):
        scheme.PublicKey(bytes(2**21), 4)
