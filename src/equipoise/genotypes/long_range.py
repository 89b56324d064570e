"""Regions of long-range linkage disequilibrium, which principal components follow by themselves.

The 24 regions of Price et al. 2008, doi:10.1016/j.ajhg.2008.06.005, most of them inversions,
centromeres and the HLA, found in people of European ancestry. GRCh36 is the paper's table, to
half a megabase, with the narrower bounds on chromosomes 6 and 8 that Anderson et al. 2010,
doi:10.1038/nprot.2010.116, use. GRCh37 and GRCh38 are these lifted over: as in the R package
plinkQC (CRAN). Where it has no single stretch (GRCh38 at 2:134, 3:89, 5:98, 5:135, 6:57, 11:46
and 12:110 Mb) the ends are those of neighbouring genes, not of a lift-over file: to be taken as
near, like the half megabases that they stand for.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.variants import Text

Region = tuple[str, int, int]

REGIONS: Final[Mapping[str, tuple[Region, ...]]] = {
    "GRCh36": (
        ("1", 48_000_000, 52_000_000),
        ("2", 86_000_000, 100_500_000),
        ("2", 134_500_000, 138_000_000),
        ("2", 183_000_000, 190_000_000),
        ("3", 47_500_000, 50_000_000),
        ("3", 83_500_000, 87_000_000),
        ("3", 89_000_000, 97_500_000),
        ("5", 44_500_000, 50_500_000),
        ("5", 98_000_000, 100_500_000),
        ("5", 129_000_000, 132_000_000),
        ("5", 135_500_000, 138_500_000),
        ("6", 25_500_000, 33_500_000),
        ("6", 57_000_000, 64_000_000),
        ("6", 140_000_000, 142_500_000),
        ("7", 55_000_000, 66_000_000),
        ("8", 8_000_000, 12_000_000),
        ("8", 43_000_000, 50_000_000),
        ("8", 112_000_000, 115_000_000),
        ("10", 37_000_000, 43_000_000),
        ("11", 46_000_000, 57_000_000),
        ("11", 87_500_000, 90_500_000),
        ("12", 33_000_000, 40_000_000),
        ("12", 109_500_000, 112_000_000),
        ("20", 32_000_000, 34_500_000),
    ),
    "GRCh37": (
        ("1", 48_227_413, 52_227_412),
        ("2", 86_146_489, 101_133_568),
        ("2", 134_783_530, 138_283_530),
        ("2", 183_291_755, 190_291_755),
        ("3", 47_524_996, 50_024_996),
        ("3", 83_417_310, 86_917_310),
        ("3", 88_917_310, 96_017_310),
        ("5", 44_464_243, 50_464_243),
        ("5", 97_972_101, 100_472_101),
        ("5", 128_972_101, 131_972_101),
        ("5", 135_472_101, 138_472_101),
        ("6", 25_392_021, 33_392_022),
        ("6", 56_892_041, 63_942_041),
        ("6", 139_958_307, 142_458_307),
        ("7", 55_032_506, 66_362_565),
        ("8", 7_962_590, 11_962_591),
        ("8", 42_880_843, 49_837_447),
        ("8", 111_930_824, 114_930_824),
        ("10", 36_959_994, 43_679_994),
        ("11", 46_043_424, 57_243_424),
        ("11", 87_860_352, 90_860_352),
        ("12", 33_108_733, 41_713_733),
        ("12", 111_015_617, 113_515_617),
        ("20", 32_536_339, 35_066_586),
    ),
    "GRCh38": (
        ("1", 47_761_741, 51_761_740),
        ("2", 85_919_366, 100_517_106),
        ("2", 134_026_087, 137_525_960),
        ("2", 182_427_028, 189_427_029),
        ("3", 47_483_506, 49_987_563),
        ("3", 83_368_159, 86_868_160),
        ("3", 88_868_160, 96_298_466),
        ("5", 44_464_141, 51_168_409),
        ("5", 98_636_397, 101_136_397),
        ("5", 129_636_408, 132_636_409),
        ("5", 136_136_412, 139_136_412),
        ("6", 25_391_793, 33_424_245),
        ("6", 57_027_243, 63_232_145),
        ("6", 139_637_170, 142_137_170),
        ("7", 54_964_813, 66_897_578),
        ("8", 8_105_068, 12_105_082),
        ("8", 43_025_700, 48_924_888),
        ("8", 110_918_595, 113_918_595),
        ("10", 36_671_066, 43_184_546),
        ("11", 46_021_873, 57_475_951),
        ("11", 88_127_184, 91_127_184),
        ("12", 32_955_799, 41_319_931),
        ("12", 110_577_812, 113_077_812),
        ("20", 33_948_533, 36_438_183),
    ),
}
"""Chromosome, first and last position, both within the region."""

BUILDS: Final = tuple(REGIONS)

_OTHER_NAMES: Final = {
    "hg18": "GRCh36",
    "b36": "GRCh36",
    "ncbi36": "GRCh36",
    "hg19": "GRCh37",
    "b37": "GRCh37",
    "hg38": "GRCh38",
    "b38": "GRCh38",
}


def regions_of(build: str) -> Sequence[Region]:
    """Return the regions of a genome build; InputError for a build that is not known.

    >>> regions_of("hg19")[0]
    ('1', 48227413, 52227412)
    """
    named = {one.lower(): one for one in BUILDS} | _OTHER_NAMES
    if build.lower() not in named:
        raise InputError(
            f"the genome build {build!r}; expected one of {', '.join(BUILDS)}; name the one that"
            " the positions are of"
        )
    return REGIONS[named[build.lower()]]


def in_long_range(chromosome: Text, position: NDArray[np.int64], build: str) -> NDArray[np.bool_]:
    """Return which variants lie in a region of long-range linkage, (variants,).

    >>> place = np.array([48_227_412, 48_227_413, 52_227_412, 52_227_413])
    >>> in_long_range(np.full(4, "1", np.dtypes.StringDType()), place, "GRCh37")
    array([False,  True,  True, False])
    """
    inside = np.zeros(len(position), np.bool_)
    for name, first, last in regions_of(build):
        inside |= (chromosome == name) & (position >= first) & (position <= last)
    return inside
