"""The FORMAT fields GT, DS and GP of one VCF record: from text to codes and dosages.

Each function says what is wrong in a ValueError, `found; expected ...`; who calls knows where.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.held import nobody_called
from equipoise.genotypes.source import EFFECT_ONCE, EFFECT_TWICE, NOT_CALLED, OTHER_TWICE

HALF_MISSING: Final = (
    "a half-missing genotype; expected both alleles or neither: plink2 --vcf-half-call sets them"
)
POLYPLOID: Final = "a genotype of more than two copies; expected one or two"
MALFORMED: Final = "a genotype of another form; expected alleles 0, 1 or . parted by / or |"
NO_FIELD: Final = "a record without GT, DS and GP; expected genotypes"
OUT_OF_RANGE: Final = "a dosage out of its range; expected 0 to 2, or 0 to 1 where haploid"
NO_NUMBER: Final = "a dosage that is no number; expected a number or a dot"
BAD_PROBABILITIES: Final = (
    "genotype probabilities that do not add up to 1; expected three numbers, or two where haploid"
)

ABSENT: Final = -2
"""The second allele of a haploid genotype where two are stored, as htslib and VCF-Zarr do."""

_TAB, _COLON, _SLASH, _BAR = (ord(c) for c in "\t:/|")
_HALF, _BAD, _MANY = 4, 5, 6
_NONE: Final = 3
_ALLELE: Final = np.full(256, _NONE, np.uint8)
_ALLELE[[ord(c) for c in "01."]] = 0, 1, 2
_ONE: Final = np.array((OTHER_TWICE, EFFECT_TWICE, NOT_CALLED, _BAD), np.uint8)
_TWO: Final = np.array(
    (
        (OTHER_TWICE, EFFECT_ONCE, _HALF, _BAD),
        (EFFECT_ONCE, EFFECT_TWICE, _HALF, _BAD),
        (_HALF, _HALF, NOT_CALLED, _BAD),
        (_BAD, _BAD, _BAD, _BAD),
    ),
    np.uint8,
)
_OF_COPIES: Final = np.array((OTHER_TWICE, EFFECT_ONCE, EFFECT_TWICE), np.uint8)
_SAID: Final = {_HALF: HALF_MISSING, _BAD: MALFORMED, _MANY: POLYPLOID}
_LEEWAY: Final = 0.05
"""How far probabilities may add up to another number than 1: writers round them to one decimal."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of the people of one record.

    text    their bytes, parted by tabs
    starts  (samples,) where each begins
    """

    form: "Form"
    text: bytes
    starts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Form:
    """Which of the fields a record has, by their place; -1 for none."""

    gt: int
    ds: int
    gp: int

    @classmethod
    def of(cls, cell: bytes) -> Self:
        """Return the places in a FORMAT cell.

        >>> Form.of(b"GT:DP:DS")
        Form(gt=0, ds=2, gp=-1)
        """
        names = cell.split(b":")
        gt, ds, gp = (names.index(n) if n in names else -1 for n in (b"GT", b"DS", b"GP"))
        return cls(gt, ds, gp)

    def cut(self, text: bytes, n_samples: int) -> Cells:
        """Return the cells of a record; ValueError where they are not as many as the people."""
        if self.gt == self.ds == self.gp == -1:
            raise ValueError(NO_FIELD)
        if self.gt > 0:
            raise ValueError("GT that is not the first field; expected GT first in FORMAT")
        raw = np.frombuffer(text, np.uint8)
        tabs = np.flatnonzero(raw == _TAB)
        if len(tabs) != n_samples - 1:
            found = f"{len(tabs) + 10} columns"
            raise ValueError(f"{found}; expected {n_samples + 9}, as the header has")
        return Cells(self, text, np.concatenate([np.zeros(1, np.int64), tabs + 1]))


def genotypes(cells: Cells) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    r"""Return the code of each genotype, (samples,), and whether it is haploid.

    >>> cells = Form.of(b"GT:DP").cut(b"0|1:3\t1/1\t0:2\t./.\t.", 5)
    >>> genotypes(cells)
    (array([2, 0, 3, 1, 1], dtype=uint8), array([False, False,  True, False,  True]))
    """
    if cells.form.gt < 0:
        n_samples = len(cells.starts)
        return nobody_called(n_samples), np.zeros(n_samples, np.bool_)
    raw = np.frombuffer(cells.text + b"\t\t\t", np.uint8)
    a, parting, b, after = (raw[cells.starts + i] for i in range(4))
    haploid = (parting == _TAB) | (parting == _COLON)
    diploid = (parting == _SLASH) | (parting == _BAR)
    ends = (after == _TAB) | (after == _COLON)
    more = diploid & ((after == _SLASH) | (after == _BAR))
    two = np.where(ends, _TWO[_ALLELE[a], _ALLELE[b]], np.where(more, _MANY, _BAD))
    codes = np.where(haploid, _ONE[_ALLELE[a]], np.where(diploid, two, _BAD)).astype(np.uint8)
    wrong = codes[codes > OTHER_TWICE]
    if wrong.size:
        raise ValueError(_SAID[int(wrong[0])])
    return codes, haploid


def of_alleles(alleles: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return codes and whether haploid, of allele numbers, (..., 1 or 2).

    -1 is a missing allele, -2 one that a haploid genotype does not have.

    >>> of_alleles(np.array([[0, 1], [1, -2], [-1, -1]]))
    (array([2, 0, 1], dtype=uint8), array([False,  True, False]))
    """
    first, second = alleles[..., 0], alleles[..., -1]
    haploid = (second == ABSENT) | np.bool_(alleles.shape[-1] == 1)
    second = np.where(haploid, first, second)
    if np.any((first < -1) | (first > 1) | (second < -1) | (second > 1)):
        raise ValueError(MALFORMED)
    missing = first == -1
    if np.any(missing != (second == -1)):
        raise ValueError(HALF_MISSING)
    codes = _OF_COPIES[np.where(missing, 0, first + second)]
    return np.where(missing, np.uint8(NOT_CALLED), codes), haploid


def dosages_given(cells: Cells, haploid: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    r"""Return the dosage of ALT by DS, or by GP where there is no DS; NaN where neither says.

    >>> cells = Form.of(b"GT:DS").cut(b"0|1:1.25\t0:.5\t0/0:.\t1|1", 4)
    >>> dosages_given(cells, np.array([False, True, False, False]))
    array([1.25, 1.  ,  nan,  nan], dtype=float32)
    """
    if cells.form.ds < 0 and cells.form.gp < 0:
        return None
    split = [cell.split(b":") for cell in cells.text.split(b"\t")]
    found = np.full(len(split), np.nan)
    if cells.form.gp >= 0:
        found = _by_probabilities(_field(split, cells.form.gp))
    if cells.form.ds >= 0:
        by_ds = _by_dosage(_field(split, cells.form.ds), haploid)
        found = np.where(np.isnan(by_ds), found, by_ds)
    return found.astype(np.float32)


def _field(split: list[list[bytes]], place: int) -> list[bytes]:
    # Fields at the end of a cell may be left away.
    return [cell[place] if len(cell) > place else b"." for cell in split]


def _by_dosage(values: list[bytes], haploid: NDArray[np.bool_]) -> NDArray[np.float64]:
    found = _numbers(values)
    in_range(found, haploid)
    return np.where(haploid, 2 * found, found)


def in_range(dosage: NDArray[np.float64], haploid: NDArray[np.bool_]) -> None:
    """Raise ValueError where a dosage is none."""
    most = np.where(haploid, 1.0, 2.0)
    if np.any((dosage < 0) | (dosage > most)):
        raise ValueError(OUT_OF_RANGE)


def _by_probabilities(values: list[bytes]) -> NDArray[np.float64]:
    found = np.full((len(values), 3), np.nan)
    for place, value in enumerate(values):
        parts = value.split(b",")
        if set(parts) <= {b"."}:
            continue
        if len(parts) not in (2, 3):
            raise ValueError(BAD_PROBABILITIES)
        numbers = _numbers(parts)
        if np.isnan(numbers).any():
            raise ValueError(BAD_PROBABILITIES)
        # Of two, which are haploid, the second counts as two copies.
        found[place] = numbers if len(parts) == 3 else (numbers[0], 0.0, numbers[1])
    return expected_copies(found)


def expected_copies(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the dosage of probabilities of 0, 1 and 2 copies, (samples, 3), NaN for none.

    ValueError where some do not add up to 1, within .05: they are scaled to do so.
    """
    total = probability.sum(axis=1)
    if np.any(probability < 0) or np.any(np.abs(total - 1) > _LEEWAY):
        raise ValueError(BAD_PROBABILITIES)
    return (probability[:, 1] + 2 * probability[:, 2]) / total


def _numbers(values: list[bytes]) -> NDArray[np.float64]:
    try:
        found = np.array([float("nan") if value == b"." else float(value) for value in values])
    except ValueError:
        raise ValueError(NO_NUMBER) from None
    if sum(value == b"." for value in values) != np.count_nonzero(np.isnan(found)):
        raise ValueError(NO_NUMBER)
    return found
