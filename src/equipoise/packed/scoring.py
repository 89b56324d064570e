"""Sums of weights times dosages, person by person: polygenic scores.

As plink2's `--score` (chrchang/plink-ng): a score is the sum, over its weights, of weight times
the dosage of the weight's allele; a person who is not called has the mean dosage instead, or
adds nothing where no means are given. Beside it stand the copies that are called of the
weights' alleles, and how many weights found no call.

A person's sums depend on that person's genotypes alone, added in the order of the terms: they
are the same to the last digit whoever else is in the file.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.native import compiled
from equipoise.packed.decode import Block, check

Reals = NDArray[np.float64]

_BYTES_AT_ONCE: Final = 1024
"""Bytes of a row, of four people each, whose sums stay in the second cache."""
_LOST: Final = float(1 << 30)
"""Calls not made are counted in steps of this, above the copies: one sum holds both."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Weights of some scores at the variants of a block, arrays of shape (terms,).

    variant  its row in the block
    score    which score it is of
    weight   for each copy of its allele
    swapped  whether its allele is the one that the dosage does not count
    """

    variant: NDArray[np.int64] = field(repr=False)
    score: NDArray[np.int64] = field(repr=False)
    weight: Reals = field(repr=False)
    swapped: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What is summed, arrays of shape (scores, people).

    score       weights times dosages
    copies      dosages of the weights' alleles, of those called
    not_called  how many weights found no call
    """

    score: Reals = field(repr=False)
    copies: Reals = field(repr=False)
    not_called: NDArray[np.int32] = field(repr=False)

    @classmethod
    def zeros(cls, n_scores: int, n_people: int) -> Self:
        """Return the sums over no weight."""
        shape = (n_scores, n_people)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int32))


def add_calls(sums: Sums, block: Block, terms: Terms, mean: Reals | None) -> None:
    """Add hard calls to `sums`, in place.

    `mean`, (variants,), is the dosage of those not called; None where they add nothing.

    >>> sums = Sums.zeros(1, 4)
    >>> one = Terms(np.array([0]), np.array([0]), np.array([0.5]), np.array([True]))
    >>> add_calls(sums, np.array([[0b11100100]], np.uint8), one, np.array([0.4]))
    >>> sums.score, sums.copies, sums.not_called
    (array([[0. , 0.8, 0.5, 1. ]]), array([[0., 0., 1., 2.]]), array([[0, 1, 0, 0]], dtype=int32))
    """
    check(block, sums.score.shape[1])
    if not len(terms.variant):
        return
    order = np.argsort(terms.score, kind="stable")
    dosage = np.array((2.0, np.nan, 1.0, 0.0))
    swapped = terms.swapped[order, None]
    copies = np.where(swapped, 2.0 - dosage, dosage)
    filled = np.where(np.isnan(copies), _filled(terms, mean)[order, None], copies)
    # The score and, for copies and calls, one number that holds both, as one complex.
    values = terms.weight[order, None] * filled + 1j * np.nan_to_num(copies, nan=_LOST)
    pairs = np.empty((len(order), 16, 2), np.complex128)
    pairs[..., 0], pairs[..., 1] = np.tile(values, 4), np.repeat(values, 4, axis=1)
    rows, which = terms.variant[order], terms.score[order]
    _add_calls(block, rows, which, pairs, sums.score, sums.copies, sums.not_called)


def add_dosages(sums: Sums, dosage: NDArray[np.float32], terms: Terms, mean: Reals | None) -> None:
    """Add dosages, (variants, people) in [0, 2] with NaN where not called, to `sums`, in place.

    `mean` as for `add_calls`.

    >>> sums = Sums.zeros(1, 2)
    >>> one = Terms(np.array([0]), np.array([0]), np.array([2.0]), np.array([False]))
    >>> add_dosages(sums, np.array([[0.25, np.nan]], np.float32), one, None)
    >>> sums.score, sums.copies, sums.not_called
    (array([[0.5, 0. ]]), array([[0.25, 0.  ]]), array([[0, 1]], dtype=int32))
    """
    if dosage.shape[1] != sums.score.shape[1]:
        raise ValueError(f"{dosage.shape[1]} people in the tile, {sums.score.shape[1]} in the sums")
    filled = terms.weight * _filled(terms, mean)
    for term in range(len(terms.variant)):
        at = terms.score[term]
        _add_dosages(
            dosage[terms.variant[term]],
            terms.weight[term],
            terms.swapped[term],
            filled[term],
            sums.score[at],
            sums.copies[at],
            sums.not_called[at],
        )


def _filled(terms: Terms, mean: Reals | None) -> Reals:
    """Return the dosage of each term's allele in those not called, (terms,)."""
    if mean is None:
        return np.zeros(len(terms.variant))
    known = mean[terms.variant]
    return np.where(terms.swapped, 2.0 - known, known)


@compiled
def _add_calls(
    block: Any, rows: Any, which: Any, pairs: Any, score: Any, copies: Any, not_called: Any
) -> None:
    held = np.zeros(4 * _BYTES_AT_ONCE, np.complex128)
    people = score.shape[1]
    for first in range(0, block.shape[1], _BYTES_AT_ONCE):
        stop = min(first + _BYTES_AT_ONCE, block.shape[1])
        for term in range(len(rows)):
            if term == 0 or which[term] != which[term - 1]:
                held[:] = 0
            row, table = block[rows[term]], pairs[term]
            for place in range(stop - first):
                low = row[first + place] & np.uint8(15)
                high = row[first + place] >> np.uint8(4)
                held[4 * place] += table[low, 0]
                held[4 * place + 1] += table[low, 1]
                held[4 * place + 2] += table[high, 0]
                held[4 * place + 3] += table[high, 1]
            if term + 1 == len(rows) or which[term] != which[term + 1]:
                at = which[term]
                for i in range(min(4 * stop, people) - 4 * first):
                    lost = np.floor(held[i].imag / _LOST)
                    score[at, 4 * first + i] += held[i].real
                    copies[at, 4 * first + i] += held[i].imag - lost * _LOST
                    not_called[at, 4 * first + i] += np.int32(lost)


@compiled
def _add_dosages(
    dosage: Any, weight: Any, swapped: Any, filled: Any, score: Any, copies: Any, not_called: Any
) -> None:
    for i in range(len(dosage)):
        found = np.float64(dosage[i])
        if np.isnan(found):
            score[i] += filled
            not_called[i] += 1
        else:
            if swapped:
                found = 2.0 - found
            score[i] += weight * found
            copies[i] += found
