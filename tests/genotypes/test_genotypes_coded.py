"""Columns of few texts: the same texts come back, however they were taken."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from equipoise.genotypes import coded
from equipoise.genotypes.coded import Coded, Coder

WORDS = st.lists(st.text("ACGT", max_size=3), max_size=30)


def series(words: list[str]) -> pl.Series:
    return pl.Series(words, dtype=pl.String)


@given(WORDS)
def test_the_texts_of_a_column_come_back(words: list[str]) -> None:
    held = Coded.of(series(words))
    assert held.series().to_list() == held.text().tolist() == words
    assert held.series(slice(2, 5)).to_list() == words[2:5]
    backward = np.arange(len(words))[::-1]
    assert held.at(backward).series().to_list() == held.series(backward).to_list() == words[::-1]
    assert held.words.n_unique() == len(held.words) == len(set(words))


@given(st.lists(WORDS, max_size=4))
def test_pieces_make_the_column_of_the_whole(parts: list[list[str]]) -> None:
    coder, whole = Coder(), Coded.of(series([word for part in parts for word in part]))
    for part in parts:
        coder.add(series(part))
    assert coder.words.equals(whole.words)
    np.testing.assert_array_equal(coder.code, whole.code)


@given(WORDS, WORDS)
def test_columns_are_the_same_where_their_texts_are(one: list[str], other: list[str]) -> None:
    left, right = Coded.of(series(one)), Coded.of(series(other))
    assert left.same(right) == (one == other)
    turned = Coded.of(series(one[::-1])).at(np.arange(len(one))[::-1])
    assert left.same(turned)


def test_words_that_are_first_seen_late_are_learned() -> None:
    words = ["A"] * coded._FIRST + ["C", "A", "G"]
    assert Coded.of(series(words)).series().to_list() == words


def test_many_words_have_wider_codes() -> None:
    words = [str(i) for i in range(300)]
    coder = Coder()
    coder.add(series(words[:200]))
    coder.add(series(words[200:]))
    assert coder.code.dtype == np.uint16
    assert Coded(coder.code, coder.words).series().to_list() == words
