"""On which strand a site names its alleles, and what that decides.

Sites name the alleles of one variant on the strand of the reference genome or on the other.
For most variants the letters tell which; A/T and C/G read the same on both. Those are decided
by what the others show of the file as a whole, else by their frequency, else left out, as
harmonisers of genome scans do: the GWAS Catalog's takes the consensus of the strand, TwoSampleMR
(Hemani et al. 2018, doi:10.7554/eLife.34408) takes frequencies. The odds are ours.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes.variants import HEADER

CONSENSUS: Final = 0.99
"""The share of a site's plain variants on one strand from which all are taken to be on it."""
LEAST_TELLING: Final = 10
"""Fewer variants than this make no consensus."""
MOST_MINOR: Final = 0.4
"""A minor allele is told by its frequency below this: near one half it may be either."""
LEAST_ODDS: Final = 1000.0
"""How many times likelier the orientation taken must be than the other."""

_BASES: Final = ["A", "C", "G", "T"]
_ACGT: Final = "^[ACGT]+$"


def spelled(frame: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which variants have both alleles spelled in A, C, G and T alone, (variants,)."""
    effect, other = pl.col(HEADER[2]), pl.col(HEADER[3])
    return frame.select(effect.str.contains(_ACGT) & other.str.contains(_ACGT)).to_series().to_numpy()  # fmt: skip


def complemented(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the variants with both alleles as the other strand has them, read backward.

    >>> rows = [("22", 100, "A", "G"), ("22", 200, "C", "CTA")]
    >>> complemented(pl.DataFrame(rows, schema=list(HEADER), orient="row"))["other_allele"].to_list()
    ['C', 'TAG']
    """
    return frame.with_columns(_other_strand(name) for name in HEADER[2:])


def palindromic(frame: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which variants read the same on both strands, (variants,).

    >>> rows = [("22", 1, "A", "T"), ("22", 2, "A", "C"), ("22", 3, "CA", "TG")]
    >>> palindromic(pl.DataFrame(rows, schema=list(HEADER), orient="row"))
    array([ True, False,  True])
    """
    return frame.select(_other_strand(HEADER[2]) == pl.col(HEADER[3])).to_series().to_numpy()


def single(frame: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which variants are of one letter against one, (variants,)."""
    one = (pl.col(name).str.len_bytes() == 1 for name in HEADER[2:])
    return frame.select(pl.all_horizontal(*one)).to_series().to_numpy()


def consensus(same: int, other: int) -> bool | None:
    """Return whether the file is on the other strand than the list; None where it is mixed.

    `same` and `other` are how many single-letter variants tell the one and the other.

    >>> consensus(99, 1), consensus(0, 100), consensus(98, 2), consensus(9, 0)
    (False, True, None, None)
    """
    telling = same + other
    if telling < LEAST_TELLING:
        return None
    if same >= CONSENSUS * telling:
        return False
    return True if other >= CONSENSUS * telling else None


def flipped_by_frequency(
    listed: NDArray[np.float64], copies: NDArray[np.int64], alleles: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which palindromic variants to flip, and which can be told at all, (variants,).

    listed   the list's frequency of the effect allele, NaN where it gives none
    copies   how many the site counts of the allele it calls by the same letter
    alleles  how many are called there

    Told are those whose minor allele is below 40 % in the list and at the site, if one
    orientation is 1000 times likelier than the other. With copies drawn at the list's
    frequency f, or at 1 - f, the log of their odds is (2 copies - alleles) ln(f / (1 - f)).

    >>> f, n = np.array([0.2, 0.2, 0.45, np.nan, 0.3]), np.array([180, 180, 180, 180, 10])
    >>> flipped_by_frequency(f, np.array([40, 140, 81, 40, 4]), n)
    (array([False,  True, False, False, False]), array([ True,  True, False, False, False]))
    """
    held = np.nan_to_num(listed, nan=0.5).clip(1e-9, 1 - 1e-9)
    minor = np.minimum(copies, alleles - copies)
    log_odds = (2 * copies - alleles) * np.log(held / (1 - held))
    told = (np.minimum(held, 1 - held) < MOST_MINOR) & (minor < MOST_MINOR * alleles)
    told &= np.abs(log_odds) >= np.log(LEAST_ODDS)
    return told & (log_odds < 0), told


def _other_strand(name: str) -> pl.Expr:
    return pl.col(name).str.replace_many(_BASES, _BASES[::-1]).str.reverse()
