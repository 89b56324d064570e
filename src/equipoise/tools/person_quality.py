"""What each person of a site has: missing calls, heterozygosity, and the sex that X tells."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.packed.decode import Block
from equipoise.packed.kinship import planes, tally
from equipoise.solvers.outliers import distances
from equipoise.tools.chromosome_kinds import AUTOSOME, FEMALE, MALE, X, Y
from equipoise.tools.variant_quality import VariantQuality, ratio

MOST_FEMALE, LEAST_MALE = 0.2, 0.8
"""Inbreeding on X, as in PLINK: below the first two X chromosomes, above the second one."""

LEAST_X: Final = 50
"""Fewer polymorphic variants on X tell nobody's sex."""

_HET, _CALLED, _EXPECTED, _MISSING, _MISSING_Y, _HET_X, _EXPECTED_X = range(7)
"""Rows of the sums by person."""

ROWS: Final = 7


@dataclass(frozen=True, slots=True)
class PersonQuality:
    """What each person has, arrays of shape (people,).

    missing, variants  variants not called, of how many; those on Y count for men alone
    polymorphic        autosomal variants called that differ among the site's people
    hom, expected_hom  of these, homozygous, and how many would be in equilibrium
    inbreeding         1 - heterozygous / expected, as plink2 --het; NaN without a call
    distance           spreads of inbreeding from the median of the stratum (`solvers.outliers`)
    x                  inbreeding on X; None where X tells nothing, for `no_sex_check`
    """

    missing: NDArray[np.int64]
    variants: NDArray[np.int64]
    polymorphic: NDArray[np.int64]
    hom: NDArray[np.int64]
    expected_hom: NDArray[np.float64]
    inbreeding: NDArray[np.float64]
    distance: NDArray[np.float64]
    x: NDArray[np.float64] | None
    no_sex_check: str = ""

    @property
    def call_rate(self) -> NDArray[np.float64]:
        """The share of variants called."""
        return 1 - ratio(self.missing, self.variants)

    @property
    def sex(self) -> NDArray[np.int8] | None:
        """The sex that X tells: 1 male, 2 female, 0 neither; None where X tells nothing."""
        if self.x is None:
            return None
        return np.where(self.x > LEAST_MALE, MALE, FEMALE * (self.x < MOST_FEMALE)).astype(np.int8)


def sums_by_person(
    block: Block, n: int, kind: NDArray[np.int64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sums of a block by person, (ROWS, people); they add up over blocks.

    kind, expected  (variants,) kind of chromosome, and expected heterozygosity
    """
    people = np.zeros((ROWS, n))
    different = expected > 0
    parts = (
        ((kind == AUTOSOME) & different, (_HET, _EXPECTED)),
        ((kind == X) & different, (_HET_X, _EXPECTED_X)),
        (kind == Y, None),
    )
    left = np.ones(len(block), np.bool_)
    for chosen, rows in parts:
        left &= ~chosen
        if not chosen.any():
            continue
        found = tally(planes(block if chosen.all() else block[chosen], n), expected[chosen])
        people[_MISSING if rows else _MISSING_Y] += found.not_called
        if rows:
            people[rows[0]] += found.het
            people[rows[1]] += expected[chosen].sum() - found.weight
        if rows == (_HET, _EXPECTED):
            people[_CALLED] += np.count_nonzero(chosen) - found.not_called
    if left.any():
        found = tally(planes(block[left], n), expected[left])
        people[_MISSING] += found.not_called
    return people


def quality_of(
    sums: NDArray[np.float64],
    variants: VariantQuality,
    kind: NDArray[np.int64],
    sex: NDArray[np.int8],
    stratum: NDArray[np.int64] | None,
) -> PersonQuality:
    """Return the figures of each person, given `sums_by_person` over all variants.

    stratum  (people,) place of each person's, -1 for none; None where there are no strata
    """
    men = sex == MALE
    on_y = int(np.count_nonzero(kind == Y))
    inbreeding = 1 - ratio(sums[_HET], sums[_EXPECTED])
    told = int(np.count_nonzero((kind == X) & (variants.minor > 0)))
    reason = "" if told >= LEAST_X else f"{told} variants on X that differ among people"
    return PersonQuality(
        (sums[_MISSING] + men * sums[_MISSING_Y]).astype(np.int64),
        len(kind) - on_y + men * on_y,
        sums[_CALLED].astype(np.int64),
        (sums[_CALLED] - sums[_HET]).astype(np.int64),
        sums[_CALLED] - sums[_EXPECTED],
        inbreeding,
        distances(inbreeding, stratum),
        None if reason else 1 - ratio(sums[_HET_X], sums[_EXPECTED_X]),
        reason,
    )
