"""Sums of weights times dosages: as a slow twin adds them, the same for a person in any file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.packed.decode import encode
from equipoise.packed.scoring import Sums, Terms, add_calls, add_dosages

Reals = NDArray[np.float64]


def drawn(seed: int, variants: int, people: int, scores: int, n_terms: int) -> tuple[Reals, Terms]:
    draw = np.random.default_rng(seed)
    dosage = draw.choice([0.0, 1.0, 2.0, np.nan], (variants, people), p=[0.4, 0.3, 0.2, 0.1])
    terms = Terms(
        np.sort(draw.integers(0, variants, n_terms)),
        draw.integers(0, scores, n_terms),
        draw.normal(size=n_terms),
        draw.random(n_terms) < 0.5,
    )
    return dosage, terms


def twin(dosage: Reals, terms: Terms, scores: int, mean: Reals | None) -> list[Reals]:
    """Return score, copies and not called, one term and person after the other."""
    sums = np.zeros((3, scores, dosage.shape[1]))
    each = zip(terms.variant, terms.score, terms.weight, terms.swapped, strict=True)
    for variant, score, weight, swapped in each:
        for person, found in enumerate(dosage[variant]):
            called = not np.isnan(found)
            filled = 0.0 if mean is None else 2 - mean[variant] if swapped else mean[variant]
            copies = 2 - found if swapped else found
            sums[0, score, person] += weight * (copies if called else filled)
            sums[1, score, person] += copies if called else 0
            sums[2, score, person] += not called
    return list(sums)


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 3), st.integers(0, 20), st.booleans())  # fmt: skip
def test_calls_and_dosages_add_up_as_the_slow_twin_does(
    seed: int, people: int, scores: int, n_terms: int, imputed: bool
) -> None:
    dosage, terms = drawn(seed, 6, people, scores, n_terms)
    mean = np.random.default_rng(seed).uniform(0, 2, 6) if imputed else None
    expected = twin(dosage, terms, scores, mean)
    sums = Sums.zeros(scores, people)
    add_calls(sums, encode(dosage), terms, mean)
    # Sums of up to 20 terms of size 1 and one product each: a few units in the last place.
    np.testing.assert_allclose(sums.score, expected[0], rtol=0, atol=1e-13)
    np.testing.assert_array_equal(sums.copies, expected[1])
    np.testing.assert_array_equal(sums.not_called, expected[2])
    same = Sums.zeros(scores, people)
    add_dosages(same, dosage.astype(np.float32), terms, mean)
    np.testing.assert_allclose(same.score, expected[0], rtol=0, atol=1e-13)
    np.testing.assert_array_equal(same.copies, expected[1])
    np.testing.assert_array_equal(same.not_called, expected[2])


@pytest.mark.parametrize("people", [4095, 4096, 4097, 9001])
def test_more_people_than_are_added_at_once(people: int) -> None:
    dosage, terms = drawn(1, 7, people, 3, 12)
    sums = Sums.zeros(3, people)
    add_calls(sums, encode(dosage), terms, np.ones(7))
    some = np.array([0, people // 2, 4090, people - 1])
    expected = twin(dosage[:, some], terms, 3, np.ones(7))
    np.testing.assert_allclose(sums.score[:, some], expected[0], rtol=0, atol=1e-13)
    np.testing.assert_array_equal(sums.copies[:, some], expected[1])
    np.testing.assert_array_equal(sums.not_called[:, some], expected[2])


@given(st.integers(0, 2**32), st.data())
def test_a_person_scores_the_same_to_the_last_digit_in_any_file(
    seed: int, data: st.DataObject
) -> None:
    dosage, terms = drawn(seed, 9, 13, 2, 15)
    some = np.array(data.draw(st.lists(st.integers(0, 12), min_size=1, unique=True)))
    sums, part = Sums.zeros(2, 13), Sums.zeros(2, len(some))
    add_calls(sums, encode(dosage), terms, np.ones(9))
    add_calls(part, encode(dosage[:, some]), terms, np.ones(9))
    np.testing.assert_array_equal(part.score, sums.score[:, some])


def test_tiles_add_to_what_is_there() -> None:
    dosage, terms = drawn(3, 8, 11, 2, 10)
    whole, tiled = Sums.zeros(2, 11), Sums.zeros(2, 11)
    add_calls(whole, encode(dosage), terms, None)
    for start in (0, 4):
        here = (terms.variant >= start) & (terms.variant < start + 4)
        part = Terms(
            terms.variant[here] - start, terms.score[here], terms.weight[here], terms.swapped[here]
        )
        add_calls(tiled, encode(dosage[start : start + 4]), part, None)
    np.testing.assert_allclose(tiled.score, whole.score, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(tiled.copies, whole.copies)
    np.testing.assert_array_equal(tiled.not_called, whole.not_called)


def test_a_tile_of_other_people_is_refused() -> None:
    _, terms = drawn(1, 2, 4, 1, 1)
    with pytest.raises(ValueError, match="9 samples"):
        add_calls(Sums.zeros(1, 9), encode(np.zeros((2, 4))), terms, None)
    with pytest.raises(ValueError, match="4 people in the tile, 9 in the sums"):
        add_dosages(Sums.zeros(1, 9), np.zeros((2, 4), np.float32), terms, None)
